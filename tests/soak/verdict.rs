//! Whether a process has grown.
//!
//! ```text
//! 0 %      10 %        20 %                               90 %      100 %
//! │ warm-up │ first tenth │ …                               │ last tenth │
//! ```
//! The samples are taken at checkpoints, where the process has nothing to do and every connection stands, so
//! they can be compared: the medians of the two tenths may differ by no more than the allowance.

use std::time::Duration;

use crate::sample::Sample;

/// Memory: what happens to lie at the end of the heap keeps it as large as it once was, which takes long to reach
/// its bound. A leak of 40 bytes at each operation of an hour is more.
const MEMORY_KIB: u64 = 128;
/// From so long a run on: before that the heap has not seen its worst, and grows.
const MEMORY_JUDGED: Duration = Duration::from_secs(600);
/// Descriptors and threads that belong to nothing are never right.
const NOTHING: u64 = 0;

/// One quantity over the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    /// What it is.
    pub(crate) name: &'static str,
    /// Over the whole run.
    pub(crate) min: u64,
    /// Over the whole run.
    pub(crate) max: u64,
    /// Median of the first tenth after the warm-up.
    pub(crate) first: u64,
    /// Median of the last tenth.
    pub(crate) last: u64,
    /// How much more the last may be; `None` where the run was too short to tell.
    pub(crate) allowance: Option<u64>,
}

impl Growth {
    /// Whether it has grown by more than is allowed.
    pub(crate) fn is_too_much(&self) -> bool {
        self.allowance
            .is_some_and(|allowance| self.last > self.first.saturating_add(allowance))
    }
}

/// A quantity of a sample: its name, how to see it, its allowance.
type Quantity = (&'static str, fn(&Sample) -> u64, u64);

const QUANTITIES: [Quantity; 4] = [
    ("VmRSS, KiB", |sample| sample.rss_kib, MEMORY_KIB),
    ("RssAnon, KiB", |sample| sample.anon_kib, MEMORY_KIB),
    ("file descriptors", |sample| sample.fds, NOTHING),
    ("threads", |sample| sample.threads, NOTHING),
];

/// Every quantity over a run of this length; `None` when there are no samples in one of the tenths.
pub(crate) fn growths(samples: &[Sample], length: Duration) -> Option<Vec<Growth>> {
    let tenth = length / 10;
    let part = |from: Duration, to: Duration| {
        let within = samples
            .iter()
            .filter(move |sample| (from..to).contains(&sample.at));
        within.copied().collect::<Vec<_>>()
    };
    let first = part(tenth, tenth * 2);
    let last = part(tenth * 9, Duration::MAX);
    let quantities = QUANTITIES.iter();
    let growth = quantities.map(|&(name, of, allowance)| {
        let all = samples.iter().map(of);
        Some(Growth {
            name,
            min: all.clone().min()?,
            max: all.max()?,
            first: median(first.iter().map(of))?,
            last: median(last.iter().map(of))?,
            allowance: (allowance != MEMORY_KIB || length >= MEMORY_JUDGED).then_some(allowance),
        })
    });
    growth.collect()
}

fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(1000);

    /// One sample a second of a process that is like this then.
    fn run(like: impl Fn(u64) -> Sample) -> Vec<Growth> {
        let samples: Vec<Sample> = (0..1000)
            .map(|second| Sample {
                at: Duration::from_secs(second),
                ..like(second)
            })
            .collect();
        growths(&samples, LENGTH).unwrap()
    }

    fn grown(growths: &[Growth]) -> Vec<&'static str> {
        let grown = growths.iter().filter(|growth| growth.is_too_much());
        grown.map(|growth| growth.name).collect()
    }

    fn steady(second: u64) -> Sample {
        Sample {
            at: Duration::ZERO,
            rss_kib: 4000 + second % 40,
            anon_kib: 900 + second % 30,
            fds: 12 + u64::from(second.is_multiple_of(7)),
            threads: 1,
        }
    }

    #[test]
    fn what_goes_up_and_down_has_not_grown() {
        assert_eq!(grown(&run(steady)), [""; 0]);
    }

    #[test]
    fn the_warm_up_does_not_count() {
        let growths = run(|second| Sample {
            anon_kib: if second < 90 { 100 } else { 900 },
            ..steady(second)
        });
        assert_eq!(grown(&growths), [""; 0]);
        assert_eq!((growths[1].min, growths[1].max), (100, 900));
    }

    #[test]
    fn a_slow_leak_has() {
        let growths = run(|second| Sample {
            anon_kib: 900 + second / 5,
            rss_kib: 4000 + second / 5,
            ..steady(second)
        });
        assert_eq!(grown(&growths), ["VmRSS, KiB", "RssAnon, KiB"]);
    }

    #[test]
    fn a_short_run_says_nothing_of_memory() {
        let samples: Vec<Sample> = (0..300)
            .map(|second| Sample {
                at: Duration::from_secs(second),
                rss_kib: 4000 + second,
                anon_kib: 900 + second,
                fds: 12 + second / 200,
                threads: 1,
            })
            .collect();
        let growths = growths(&samples, Duration::from_secs(300)).unwrap();
        assert_eq!(grown(&growths), ["file descriptors"]);
    }

    #[test]
    fn one_descriptor_or_thread_has() {
        let growths = run(|second| Sample {
            fds: 12 + u64::from(second > 500),
            threads: 1 + u64::from(second > 800),
            ..steady(second)
        });
        assert_eq!(grown(&growths), ["file descriptors", "threads"]);
    }

    #[test]
    fn nothing_is_said_without_samples() {
        assert_eq!(growths(&[], LENGTH), None);
        let early = Sample {
            at: Duration::from_secs(150),
            ..steady(0)
        };
        assert_eq!(growths(&[early], LENGTH), None);
    }
}
