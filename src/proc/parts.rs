//! The parts that can be read of the kernel, one by one.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

use super::hardware::names;
use super::{Kernel, processors, read};
use crate::facts::{KernelPart, MemoryBlock, MemoryBlocks, Reading};

impl Kernel {
    /// Reads one part.
    pub fn read(&self, part: KernelPart) -> Reading {
        let proc = |name: &str| read(&self.proc.join(name));
        match part {
            KernelPart::Load => Reading::Load(self.load()),
            KernelPart::Time => Reading::Time(wall_clock()),
            KernelPart::LoadAverage => Reading::LoadAverage(
                proc("loadavg").and_then(|text| processors::load_average(&text)),
            ),
            KernelPart::Processors => Reading::Processors(self.processors()),
            KernelPart::ProcessorTimes => {
                let stat = proc("stat").unwrap_or_default();
                Reading::ProcessorTimes(processors::times(&stat, self.ticks_per_second))
            }
            KernelPart::DiskCounters => {
                let diskstats = proc("diskstats").unwrap_or_default();
                Reading::DiskCounters(super::disk_counters::all(&diskstats))
            }
            KernelPart::MemoryBlocks => Reading::MemoryBlocks(self.memory_blocks()),
        }
    }

    /// The blocks that memory is divided into; `None` where it is not.
    fn memory_blocks(&self) -> Option<MemoryBlocks> {
        let folder = self.sys.join("devices/system/memory");
        let size = read(&folder.join("block_size_bytes"))?;
        let block = |name: String| {
            let index = name.strip_prefix("memory")?.parse().ok()?;
            let file = |file: &str| read(&folder.join(&name).join(file));
            Some(MemoryBlock {
                index,
                online: file("state")?.trim() == "online",
                can_offline: file("removable").map(|text| text.trim() == "1"),
            })
        };
        let mut blocks: Vec<_> = names(&folder).into_iter().filter_map(block).collect();
        blocks.sort_unstable_by_key(|block| block.index);
        Some(MemoryBlocks {
            block_bytes: u64::from_str_radix(size.trim(), 16).ok()?,
            blocks,
        })
    }
}

/// The time since 1970.
#[allow(
    clippy::disallowed_methods,
    reason = "the host asks for the very time that may jump; nothing is measured with it"
)]
pub fn wall_clock() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME)
        .map(Duration::from)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Processor;
    use crate::proc::folder::Folder;

    #[test]
    fn blocks_of_memory_are_read_in_their_order() {
        let at = |rest: &str| format!("devices/system/memory/{rest}");
        let files = [
            (at("block_size_bytes"), "8000000\n"),
            (at("memory10/state"), "offline\n"),
            (at("memory9/state"), "online\n"),
            (at("memory9/removable"), "1\n"),
            (at("power/state"), "online\n"),
        ];
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (&path[..], *text))
            .collect();
        let sys = Folder::new(&files);
        let expected = MemoryBlocks {
            block_bytes: 128 << 20,
            blocks: vec![
                MemoryBlock {
                    index: 9,
                    online: true,
                    can_offline: Some(true),
                },
                MemoryBlock {
                    index: 10,
                    online: false,
                    can_offline: None,
                },
            ],
        };
        assert_eq!(
            Kernel::at("/nonexistent", &sys.0).read(KernelPart::MemoryBlocks),
            Reading::MemoryBlocks(Some(expected))
        );
    }

    #[test]
    fn a_kernel_that_shows_nothing_is_answered() {
        let kernel = Kernel::at("/nonexistent", "/nonexistent");
        for (part, expected) in [
            (KernelPart::LoadAverage, Reading::LoadAverage(None)),
            (KernelPart::Processors, Reading::Processors(Vec::new())),
            (
                KernelPart::ProcessorTimes,
                Reading::ProcessorTimes(Vec::new()),
            ),
            (KernelPart::DiskCounters, Reading::DiskCounters(Vec::new())),
            (KernelPart::MemoryBlocks, Reading::MemoryBlocks(None)),
        ] {
            assert_eq!(kernel.read(part), expected);
        }
    }

    #[test]
    fn this_very_machine_is_read() {
        let kernel = Kernel::new();
        let Reading::Time(time) = kernel.read(KernelPart::Time) else {
            panic!("no time");
        };
        assert!(time > Duration::from_secs(1_700_000_000), "{time:?}");
        let Reading::Processors(processors) = kernel.read(KernelPart::Processors) else {
            panic!("no processors");
        };
        assert!(processors.iter().any(|Processor { online, .. }| *online));
        let Reading::ProcessorTimes(times) = kernel.read(KernelPart::ProcessorTimes) else {
            panic!("no times");
        };
        assert!(
            times
                .iter()
                .any(|times| times.basic.iter().any(|&ms| ms > 0))
        );
        let load = kernel.read(KernelPart::LoadAverage);
        assert!(matches!(load, Reading::LoadAverage(Some(_))), "{load:?}");
    }
}
