//! How busy the machine is at one moment, as the kernel counts it.

/// One reading of the kernel's counters; a field is `None` if the kernel does not report it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Size of a page, in bytes.
    pub page_bytes: u64,
    /// Pages of physical memory that exist, over all zones.
    pub present_pages: Option<u64>,
    /// meminfo.
    pub memory: Memory,
    /// Pages read from disks since boot (vmstat pgpgin).
    pub paged_in: Option<u64>,
    /// Pages written to disks since boot (vmstat pgpgout).
    pub paged_out: Option<u64>,
    /// Context switches since boot (stat ctxt).
    pub context_switches: Option<u64>,
    /// Tasks that run or could, the reader included (stat procs_running).
    pub running: Option<u64>,
    /// Disks that have done anything since boot, in the kernel's order; `None` when that cannot be read.
    pub disks: Option<Vec<DiskLoad>>,
}

/// Parts of meminfo, in KiB unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// MemTotal.
    pub total: Option<u64>,
    /// MemFree.
    pub free: Option<u64>,
    /// MemAvailable.
    pub available: Option<u64>,
    /// Buffers.
    pub buffers: Option<u64>,
    /// Cached.
    pub cached: Option<u64>,
    /// Active(file).
    pub active_file: Option<u64>,
    /// SReclaimable.
    pub slab_reclaimable: Option<u64>,
    /// SwapFree.
    pub swap_free: Option<u64>,
    /// HugePages_Total, in huge pages.
    pub huge_pages: Option<u64>,
    /// Hugepagesize.
    pub huge_page_size: Option<u64>,
}

/// The load of a disk (diskstats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskLoad {
    /// Name such as `sda`.
    pub name: String,
    /// Requests under way.
    pub in_flight: u64,
    /// Milliseconds that all requests together have spent, since boot; wraps around.
    pub weighted_ms: u32,
}
