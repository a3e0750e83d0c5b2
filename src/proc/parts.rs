//! The parts that can be read of the kernel, one by one.

use super::Kernel;
use crate::facts::{KernelPart, Reading};

impl Kernel {
    /// Reads one part.
    pub fn read(&self, part: KernelPart) -> Reading {
        match part {
            KernelPart::Load => Reading::Load(self.load()),
            KernelPart::Time => Reading::Time(std::time::Duration::ZERO),
            KernelPart::LoadAverage => Reading::LoadAverage(None),
            KernelPart::Processors => Reading::Processors(Vec::new()),
            KernelPart::ProcessorTimes => Reading::ProcessorTimes(Vec::new()),
            KernelPart::DiskCounters => Reading::DiskCounters(Vec::new()),
            KernelPart::MemoryBlocks => Reading::MemoryBlocks(None),
        }
    }
}
