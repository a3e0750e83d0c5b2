//! The counters of memory, processors and disks [perfMonLinux.c].
//!
//! ```text
//! meminfo    MemFree:  1572864 kB         zoneinfo   present  262144      (one line a zone)
//! vmstat     pgpgin 81234                 stat       ctxt 987654
//! diskstats  8 0 sda reads . . . writes . . . in-flight . weighted-ms …
//! ```

use super::{Kernel, read};
use crate::facts::{Counters, DiskLoad, Load, Memory};

impl Kernel {
    /// Reads everything once.
    pub fn load(&self) -> Load {
        let file = |name: &str| read(&self.proc.join(name)).unwrap_or_default();
        let meminfo = file("meminfo");
        let vmstat = file("vmstat");
        let stat = file("stat");
        let blocks = self.sys.join("block");
        Load {
            page_bytes: self.page_bytes,
            present_pages: present_pages(&file("zoneinfo")),
            memory: memory(&meminfo),
            paged_in: field(&vmstat, "pgpgin"),
            paged_out: field(&vmstat, "pgpgout"),
            context_switches: field(&stat, "ctxt"),
            running: field(&stat, "procs_running"),
            disks: read(&self.proc.join("diskstats"))
                .map(|text| disks(&text, |name| blocks.join(name).exists())),
        }
    }
}

impl Kernel {
    /// Reads the counters that identify this machine; `None` when the kernel does not show them.
    pub fn counters(&self) -> Option<Counters> {
        counters(&read(&self.proc.join("stat"))?)
    }
}

/// This machine's counters at this moment.
pub fn own_counters() -> Option<Counters> {
    Kernel::new().counters()
}

/// Parses stat.
pub fn counters(text: &str) -> Option<Counters> {
    Some(Counters {
        boot_time: field(text, "btime")?,
        context_switches: field(text, "ctxt")?,
        processes: field(text, "processes")?,
    })
}

/// Parses meminfo.
pub fn memory(text: &str) -> Memory {
    let mut memory = Memory::default();
    for (name, value) in fields(text) {
        let Some(name) = name.strip_suffix(':') else {
            continue;
        };
        let part = match name {
            "MemTotal" => &mut memory.total,
            "MemFree" => &mut memory.free,
            "MemAvailable" => &mut memory.available,
            "Buffers" => &mut memory.buffers,
            "Cached" => &mut memory.cached,
            "Active(file)" => &mut memory.active_file,
            "SReclaimable" => &mut memory.slab_reclaimable,
            "SwapFree" => &mut memory.swap_free,
            "HugePages_Total" => &mut memory.huge_pages,
            "Hugepagesize" => &mut memory.huge_page_size,
            _ => continue,
        };
        *part = Some(value);
    }
    memory
}

/// The physical pages of all zones in zoneinfo.
pub fn present_pages(text: &str) -> Option<u64> {
    fields(text)
        .filter(|(name, _)| name.starts_with("present"))
        .map(|(_, pages)| pages)
        .reduce(u64::saturating_add)
}

/// The value of one field of vmstat or stat.
pub fn field(text: &str, wanted: &str) -> Option<u64> {
    fields(text)
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

/// Parses diskstats. Leaves out partitions, and disks that have never been used.
pub fn disks(text: &str, is_disk: impl Fn(&str) -> bool) -> Vec<DiskLoad> {
    text.lines()
        .filter_map(disk)
        .filter(|disk| is_disk(&disk.name))
        .collect()
}

/// One line of diskstats; `None` when it is too short, or when the disk was never used.
fn disk(line: &str) -> Option<DiskLoad> {
    let mut words = line.split_ascii_whitespace();
    let name = words.nth(2)?.to_owned();
    let reads = number(words.next()?)?;
    let writes = number(words.nth(3)?)?;
    let in_flight = number(words.nth(3)?)?;
    let weighted_ms = number(words.nth(1)?)?;
    let used = reads != 0 || writes != 0;
    used.then(|| DiskLoad {
        name,
        in_flight,
        // The kernel's counter has 32 bits.
        weighted_ms: u32::try_from(weighted_ms & u64::from(u32::MAX)).unwrap_or_default(),
    })
}

/// First and second word of each line that has a number as its second.
fn fields(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        Some((words.next()?, number(words.next()?)?))
    })
}

/// The digits at the start of a word.
fn number(word: &str) -> Option<u64> {
    let end = word
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(word.len());
    word.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proc::folder::Folder;

    const MEMINFO: &str = "\
MemTotal:        4030000 kB
MemFree:         1572864 kB
MemAvailable:    2500000 kB
Buffers:           51200 kB
Cached:          1400000 kB
SwapCached:            0 kB
Active(file):     500000 kB
SwapTotal:             0 kB
SwapFree:              0 kB
SReclaimable:      90000 kB
HugePages_Total:       0
Hugepagesize:       2048 kB
DirectMap4k:      100000 kB
";

    const ZONEINFO: &str = "\
Node 0, zone      DMA
  per-node stats
      nr_inactive_anon 1
  pages free     2816
        boost    0
        min      66
        low      82
        spanned  4095
        present  3998
        managed  3840
Node 0, zone    DMA32
  pages free     400000
        present  782160
Node 0, zone   Normal
        present  262144
    pagesets
    cpu: 0
              count:    12
";

    const STAT: &str = "\
cpu  10 0 20 3000 4 0 1 0 0 0
cpu0 10 0 20 3000 4 0 1 0 0 0
intr 99 1 2 3
ctxt 987654
btime 1700000000
processes 4242
procs_running 3
procs_blocked 0
";

    const DISKSTATS: &str = "   7       0 loop0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
   8       0 sda 100 1 2000 30 400 5 6000 70 2 900 1234 0 0 0 0 5 6
   8       1 sda1 90 1 2000 30 400 5 6000 70 1 900 1000 0 0 0 0 5 6
 259       0 nvme0n1 0 0 0 0 7 0 56 1 0 2 4294967297
  11       0 sr0 5 0 40 1
";

    #[test]
    fn a_machine_is_read() {
        let proc = Folder::new(&[
            ("meminfo", MEMINFO),
            ("zoneinfo", ZONEINFO),
            (
                "vmstat",
                "nr_free_pages 1\npgpgin 81234\npgpgout 4321\npgpgoutrun 1\n",
            ),
            ("stat", STAT),
            ("diskstats", DISKSTATS),
        ]);
        let sys = Folder::new(&[("block/sda/size", "1"), ("block/nvme0n1/size", "1")]);
        let load = Kernel::at(&proc.0, &sys.0).load();
        let disk = |name: &str, in_flight, weighted_ms| DiskLoad {
            name: name.into(),
            in_flight,
            weighted_ms,
        };
        assert!(load.page_bytes >= 4096);
        assert_eq!(
            load,
            Load {
                page_bytes: load.page_bytes,
                present_pages: Some(3998 + 782_160 + 262_144),
                memory: Memory {
                    total: Some(4_030_000),
                    free: Some(1_572_864),
                    available: Some(2_500_000),
                    buffers: Some(51_200),
                    cached: Some(1_400_000),
                    active_file: Some(500_000),
                    slab_reclaimable: Some(90_000),
                    swap_free: Some(0),
                    huge_pages: Some(0),
                    huge_page_size: Some(2048),
                },
                paged_in: Some(81_234),
                paged_out: Some(4321),
                context_switches: Some(987_654),
                running: Some(3),
                disks: Some(vec![disk("sda", 2, 1234), disk("nvme0n1", 0, 1)]),
            }
        );
    }

    #[test]
    fn what_is_not_there_is_not_known() {
        let nothing = Folder::new(&[("some/file", "")]);
        let load = Kernel::at(&nothing.0, &nothing.0).load();
        assert_eq!(
            load,
            Load {
                page_bytes: load.page_bytes,
                ..Load::default()
            }
        );
    }

    #[test]
    fn this_very_machine_can_be_read() {
        let load = Kernel::new().load();
        assert!(load.memory.total.is_some_and(|total| total > 1024));
        assert!(load.context_switches.is_some());
        assert!(load.running.is_some());
    }

    #[test]
    fn the_counters_of_a_machine_are_read_whole_or_not_at_all() {
        let expected = Counters {
            boot_time: 1_700_000_000,
            context_switches: 987_654,
            processes: 4242,
        };
        assert_eq!(counters(STAT), Some(expected));
        for word in ["ctxt", "btime", "processes"] {
            assert_eq!(counters(&STAT.replace(word, "x")), None, "{word}");
        }
        let (before, after) = (own_counters().unwrap(), own_counters().unwrap());
        assert!(before.context_switches <= after.context_switches);
        assert!(before.processes <= after.processes);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(?s)[ -~\n\t]{0,300}") {
            let _ = (memory(&text), present_pages(&text), field(&text, "ctxt"), disks(&text, |_| true));
        }

        #[test]
        fn a_file_cut_anywhere_is_answered(cut in any::<prop::sample::Index>()) {
            for text in [MEMINFO, ZONEINFO, STAT, DISKSTATS] {
                let text = &text[..cut.index(text.len())];
                let _ = (memory(text), present_pages(text), field(text, "ctxt"), disks(text, |_| true));
            }
        }

        #[test]
        fn what_the_kernel_writes_is_read(values in proptest::collection::vec(any::<u64>(), 3)) {
            let text = format!("MemFree: {} kB\nCached: {:>20} kB\nSwapFree:\t{} kB\n", values[0], values[1], values[2]);
            let memory = memory(&text);
            prop_assert_eq!(memory.free, Some(values[0]));
            prop_assert_eq!(memory.cached, Some(values[1]));
            prop_assert_eq!(memory.swap_free, Some(values[2]));
        }
    }
}
