//! What disks and partitions have done since boot (diskstats).
//!
//! ```text
//! 254 0 vda 7 0 20 7 1 0 2 2 0 12 11 0 0 0 0 1 1      device number, name, then 11, 15 or 17 fields by the kernel's age
//! ```

use crate::facts::DiskCounters;

/// Fields that every kernel has.
const FEWEST: usize = 11;
/// All that are known.
const MOST: usize = 17;

/// Parses diskstats.
pub(super) fn all(text: &str) -> Vec<DiskCounters> {
    text.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<DiskCounters> {
    let mut words = line.split_ascii_whitespace();
    let major = words.next()?.parse().ok()?;
    let minor = words.next()?.parse().ok()?;
    let name = words.next()?.to_owned();
    let fields = words.take(MOST).map(str::parse);
    let fields: Vec<u64> = fields.collect::<Result<_, _>>().ok()?;
    (fields.len() >= FEWEST).then_some(DiskCounters {
        name,
        major,
        minor,
        fields,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_of_every_kernel_are_read_and_short_ones_are_not() {
        let text = " 254       0 vda 7 0 20 7 1 0 2 2 0 12 11 0 0 0 0 1 1\n\
                    254 1 vda1 1 2 3 4 5 6 7 8 9 10 11\n\
                    254 2 vda2 1 2 3 4\n\
                    254 3 vda3 1 2 3 4 5 6 7 8 9 10 x\n";
        let found = all(text);
        let [whole, old] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((&*whole.name, whole.major, whole.minor), ("vda", 254, 0));
        assert_eq!(
            whole.fields,
            [7, 0, 20, 7, 1, 0, 2, 2, 0, 12, 11, 0, 0, 0, 0, 1, 1]
        );
        assert_eq!(old.fields, (1..=11).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(?s)[ -~\n\t]{0,300}") {
            let _ = (all(&text), all(&format!("1 2 x {text}")));
        }
    }
}
