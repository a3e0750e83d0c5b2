//! Memory and processor statistics, type 8 [guestStats.h, perfMonLinux.c].
//!
//! ```text
//! u32 5 · u32 flags · u64 memTotal · 72 × 0 · u64 hugePagesTotal · 16 × 0      the legacy struct, 112 bytes
//! then per stat: u32 datum flags, and for each bit, lowest first, u16 size and as many bytes:
//!   0x02 namespace   0x04 id   0x08 type of the value   0x20 unit   0x80 value
//! ac000000 0100 04 0100 09 0200 0308 0400 00001800                            mem.free, KiB, 1572864
//! ```
//!
//! Integers are little-endian in the smallest of 0, 1, 2, 4 and 8 bytes that holds them; 0 bytes mean 0. A rate is
//! a float where that is exact, else a double. Only the first stat names the namespace. A stat that could not be
//! read is sent without its value.

use super::guest_info;

/// GUEST_TOOLS_NAMESPACE with its NUL.
const NAMESPACE: &[u8] = b"_tools/v1\0";
/// GUESTMEMINFO_V5.
const VERSION: u32 = 5;
/// sizeof GuestMemInfoLegacy.
const LEGACY_LEN: usize = 112;
/// MEMINFO_MEMTOTAL.
const MEM_TOTAL_VALID: u32 = 1 << 0;
/// MEMINFO_HUGEPAGESTOTAL.
const HUGE_PAGES_TOTAL_VALID: u32 = 1 << 10;

/// GUEST_DATUM_NAMESPACE.
const DATUM_NAMESPACE: u32 = 0x02;
/// GUEST_DATUM_ID.
const DATUM_ID: u32 = 0x04;
/// GUEST_DATUM_VALUE_TYPE_ENUM.
const DATUM_TYPE: u32 = 0x08;
/// GUEST_DATUM_VALUE_UNIT_ENUM.
const DATUM_UNIT: u32 = 0x20;
/// GUEST_DATUM_VALUE.
const DATUM_VALUE: u32 = 0x80;

/// GuestTypeUint64.
const TYPE_UNSIGNED: u64 = 9;
/// GuestTypeDouble.
const TYPE_DOUBLE: u64 = 11;

/// What a stat counts (GuestStatToolsID); the ids that open-vm-tools publishes on Linux.
pub mod id {
    /// GuestStatID_ContextSwapRate: context switches.
    pub const CONTEXT_SWAP_RATE: u32 = 2;
    /// GuestStatID_MemActiveFileCache.
    pub const MEM_ACTIVE_FILE_CACHE: u32 = 3;
    /// GuestStatID_MemFree.
    pub const MEM_FREE: u32 = 4;
    /// GuestStatID_MemNeeded: what the guest needs to run well.
    pub const MEM_NEEDED: u32 = 5;
    /// GuestStatID_MemPhysUsable.
    pub const MEM_PHYS_USABLE: u32 = 6;
    /// GuestStatID_PageInRate.
    pub const PAGE_IN_RATE: u32 = 7;
    /// GuestStatID_PageOutRate.
    pub const PAGE_OUT_RATE: u32 = 8;
    /// GuestStatID_SwapSpaceRemaining.
    pub const SWAP_SPACE_REMAINING: u32 = 9;
    /// GuestStatID_PhysicalPageSize.
    pub const PHYSICAL_PAGE_SIZE: u32 = 10;
    /// GuestStatID_HugePageSize.
    pub const HUGE_PAGE_SIZE: u32 = 11;
    /// GuestStatID_Linux_HugePagesTotal.
    pub const HUGE_PAGES_TOTAL: u32 = 12;
    /// GuestStatID_MemNeededReservation: a part of MEM_NEEDED that is kept for surges.
    pub const MEM_NEEDED_RESERVATION: u32 = 13;
    /// GuestStatID_Linux_MemAvailable.
    pub const MEM_AVAILABLE: u32 = 25;
    /// GuestStatID_Linux_MemBuffers.
    pub const MEM_BUFFERS: u32 = 26;
    /// GuestStatID_Linux_MemCached.
    pub const MEM_CACHED: u32 = 27;
    /// GuestStatID_Linux_MemSlabReclaim.
    pub const MEM_SLAB_RECLAIM: u32 = 34;
    /// GuestStatID_Linux_MemTotal.
    pub const MEM_TOTAL: u32 = 60;
    /// GuestStatID_Linux_CpuRunQueue: tasks that run or could.
    pub const CPU_RUN_QUEUE: u32 = 61;
    /// GuestStatID_Linux_DiskRequestQueue: requests under way.
    pub const DISK_REQUEST_QUEUE: u32 = 62;
    /// GuestStatID_Linux_DiskRequestQueueAvg: the same on average, times 100.
    pub const DISK_REQUEST_QUEUE_AVG: u32 = 63;
}

/// The unit of a value (GuestValueUnits).
pub mod unit {
    /// GuestUnitsNumber.
    pub const NUMBER: u32 = 0x0002;
    /// GuestUnitsBytes.
    pub const BYTES: u32 = 0x0003;
    /// GuestUnitsNumberPerSecond.
    pub const NUMBER_PER_SECOND: u32 = 0x0042;
    /// GuestUnitsKiB.
    pub const KIB: u32 = 0x0803;
    /// GuestUnitsPagesPerSecond.
    pub const PAGES_PER_SECOND: u32 = 0x8043;
    /// GuestUnitsHugePages.
    pub const HUGE_PAGES: u32 = 0x8803;
}

/// A value in its type; `None` when it could not be read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// GuestTypeUint64.
    Unsigned(Option<u64>),
    /// GuestTypeDouble: something per second.
    Double(Option<f64>),
}

/// One stat.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stat {
    /// One of [`id`].
    pub id: u32,
    /// One of [`mod@unit`].
    pub unit: u32,
    /// The value.
    pub value: Value,
}

/// All statistics of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuestStats {
    /// memTotal of the legacy struct, in KiB; the same as [`id::MEM_PHYS_USABLE`].
    pub mem_total_kib: Option<u64>,
    /// hugePagesTotal of the legacy struct.
    pub huge_pages_total: Option<u64>,
    /// In the order in which they are sent.
    pub stats: Vec<Stat>,
}

/// The message of type 8.
pub fn statistics(stats: &GuestStats) -> Vec<u8> {
    guest_info::memory(&stats.encode())
}

impl GuestStats {
    /// The payload of the message.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEGACY_LEN + 24 * self.stats.len());
        let valid = |value: Option<u64>, flag| if value.is_some() { flag } else { 0 };
        let flags = valid(self.mem_total_kib, MEM_TOTAL_VALID)
            | valid(self.huge_pages_total, HUGE_PAGES_TOTAL_VALID);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&self.mem_total_kib.unwrap_or(0).to_le_bytes());
        bytes.extend([0; 72]);
        bytes.extend_from_slice(&self.huge_pages_total.unwrap_or(0).to_le_bytes());
        bytes.extend([0; 16]);
        let mut namespace = Some(NAMESPACE);
        for stat in &self.stats {
            stat.encode(&mut bytes, namespace.take());
        }
        bytes
    }
}

impl Stat {
    fn encode(&self, bytes: &mut Vec<u8>, namespace: Option<&[u8]>) {
        let (kind, value) = match self.value {
            Value::Unsigned(value) => (TYPE_UNSIGNED, value.map(unsigned)),
            Value::Double(value) => (TYPE_DOUBLE, value.map(double)),
        };
        let mut flags = DATUM_ID | DATUM_TYPE | DATUM_UNIT;
        if namespace.is_some() {
            flags |= DATUM_NAMESPACE;
        }
        if value.is_some() {
            flags |= DATUM_VALUE;
        }
        bytes.extend_from_slice(&flags.to_le_bytes());
        let data = [
            namespace.map(<[u8]>::to_vec),
            Some(unsigned(self.id.into())),
            Some(unsigned(kind)),
            Some(unsigned(self.unit.into())),
            value,
        ];
        for datum in data.into_iter().flatten() {
            let size = u16::try_from(datum.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&size.to_le_bytes());
            bytes.extend_from_slice(&datum);
        }
    }
}

/// The smallest form of an integer.
fn unsigned(value: u64) -> Vec<u8> {
    let len = match value {
        0 => 0,
        1..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => 8,
    };
    value.to_le_bytes().into_iter().take(len).collect()
}

/// The smallest form of a rate.
fn double(value: f64) -> Vec<u8> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "used only where nothing is lost"
    )]
    let float = value as f32;
    if value == 0.0 {
        Vec::new()
    } else if f64::from(float) == value {
        float.to_le_bytes().to_vec()
    } else {
        value.to_le_bytes().to_vec()
    }
}

#[cfg(test)]
pub(crate) mod tests;
