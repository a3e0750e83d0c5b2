//! What only the kernel says of the machine: the parts that can be read, each with what comes of it.

use std::time::Duration;

use super::Load;

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelPart {
    /// How busy the machine is: memory, pages, switches, disks.
    Load,
    /// The clock.
    Time,
    /// The load averages.
    LoadAverage,
    /// The processors.
    Processors,
    /// What the processors have done since boot.
    ProcessorTimes,
    /// What the disks have done since boot.
    DiskCounters,
    /// The blocks of memory that could be plugged.
    MemoryBlocks,
}

/// What was read. A part that the kernel does not show is empty or `None`.
#[derive(Clone, Debug, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one at a time, handed on by reference and dropped"
)]
pub enum Reading {
    /// [`KernelPart::Load`]
    Load(Load),
    /// [`KernelPart::Time`]: since 1970, by CLOCK_REALTIME.
    Time(Duration),
    /// [`KernelPart::LoadAverage`]: over one, five and fifteen minutes.
    LoadAverage(Option<[f64; 3]>),
    /// [`KernelPart::Processors`], by number.
    Processors(Vec<Processor>),
    /// [`KernelPart::ProcessorTimes`], by number.
    ProcessorTimes(Vec<ProcessorTimes>),
    /// [`KernelPart::DiskCounters`], in the kernel's order.
    DiskCounters(Vec<DiskCounters>),
    /// [`KernelPart::MemoryBlocks`]; `None` where memory is not divided into blocks.
    MemoryBlocks(Option<MemoryBlocks>),
}

/// A processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// Its number.
    pub id: u64,
    /// Whether it runs.
    pub online: bool,
    /// Whether it could be switched off.
    pub can_offline: bool,
}

/// What one processor has done since boot (stat), in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessorTimes {
    /// Its number.
    pub id: u64,
    /// user, nice, system and idle, which every kernel has.
    pub basic: [u64; 4],
    /// iowait, irq, softirq, steal, guest, guest_nice; `None` from where the kernel's line ends.
    pub further: [Option<u64>; 6],
}

/// What one disk or partition has done since boot (diskstats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// Name such as `sda1`.
    pub name: String,
    /// Device number.
    pub major: u64,
    /// Device number.
    pub minor: u64,
    /// The fields behind the name, in the kernel's order: 11, 15 or 17 of them.
    pub fields: Vec<u64>,
}

/// Blocks of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryBlocks {
    /// Size of each, in bytes.
    pub block_bytes: u64,
    /// The blocks, by number.
    pub blocks: Vec<MemoryBlock>,
}

/// A block of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryBlock {
    /// Its number.
    pub index: u64,
    /// Whether it is in use.
    pub online: bool,
    /// Whether it could be taken out; `None` when the kernel does not say.
    pub can_offline: Option<bool>,
}
