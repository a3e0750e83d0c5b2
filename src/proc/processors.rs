//! The processors, what they have done, and how much waits for them.
//!
//! ```text
//! loadavg  0.42 0.31 0.20 2/431 12345
//! stat     cpu0 120 0 1580 300000 4 0 10 0 0 0            in ticks: user nice system idle iowait irq softirq …
//! sysfs    devices/system/cpu/cpu1/online     1           not there for one that cannot be switched off
//! ```

use super::hardware::names;
use super::{Kernel, read};
use crate::facts::{Processor, ProcessorTimes};

impl Kernel {
    /// The processors, by number.
    pub(super) fn processors(&self) -> Vec<Processor> {
        let folder = self.sys.join("devices/system/cpu");
        let processor = |name: String| {
            let id = name.strip_prefix("cpu")?.parse().ok()?;
            let online = read(&folder.join(&name).join("online"));
            Some(Processor {
                id,
                online: online.as_deref().is_none_or(|text| text.trim() == "1"),
                can_offline: online.is_some(),
            })
        };
        let mut found: Vec<_> = names(&folder).into_iter().filter_map(processor).collect();
        found.sort_unstable_by_key(|processor| processor.id);
        found
    }
}

/// Parses loadavg.
pub(super) fn load_average(text: &str) -> Option<[f64; 3]> {
    let mut numbers = text.split_ascii_whitespace();
    let mut next = || -> Option<f64> {
        let number: f64 = numbers.next()?.parse().ok()?;
        number.is_finite().then_some(number)
    };
    Some([next()?, next()?, next()?])
}

/// The times of each processor in stat, in milliseconds.
pub(super) fn times(text: &str, ticks_per_second: u64) -> Vec<ProcessorTimes> {
    let processor = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let id = words.next()?.strip_prefix("cpu")?.parse().ok()?;
        let mut next = || {
            let ticks: u64 = words.next()?.parse().ok()?;
            ticks.saturating_mul(1000).checked_div(ticks_per_second)
        };
        let basic = [next()?, next()?, next()?, next()?];
        let mut further = [None; 6];
        for value in &mut further {
            *value = next();
        }
        Some(ProcessorTimes { id, basic, further })
    };
    text.lines().filter_map(processor).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proc::folder::Folder;

    #[test]
    fn processors_come_by_number_and_the_first_may_not_be_switched_off() {
        let at = |rest: &str| format!("devices/system/cpu/{rest}");
        let files = [
            (at("cpu0/topology"), ""),
            (at("cpu10/online"), "1\n"),
            (at("cpu9/online"), "0\n"),
            (at("cpufreq/x"), ""),
            (at("cpuidle/x"), ""),
            (at("online"), "0-1\n"),
        ];
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (&path[..], *text))
            .collect();
        let sys = Folder::new(&files);
        let found = Kernel::at("/nonexistent", &sys.0).processors();
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.id, it.online, it.can_offline))
            .collect();
        assert_eq!(
            found,
            [(0, true, false), (9, false, true), (10, true, true)]
        );
    }

    #[test]
    fn a_load_average_is_read_whole_or_not_at_all() {
        assert_eq!(
            load_average("0.42 0.31 0.20 2/431 12345\n"),
            Some([0.42, 0.31, 0.20])
        );
        for text in ["", "0.42 0.31", "0.42 x 0.20", "inf 0.3 0.2"] {
            assert_eq!(load_average(text), None, "{text}");
        }
    }

    #[test]
    fn times_are_in_milliseconds_and_end_where_the_line_does() {
        let stat = "cpu  13 0 158 0 4 0 1 0 0 0\n\
                    cpu0 12 0 158 30 4 5 6 7 8 9\n\
                    cpu1 1 2 3 4 5\n\
                    cpu2 1 2 3\n\
                    ctxt 99\n";
        let times = times(stat, 100);
        let [first, second] = &times[..] else {
            panic!("{times:?}");
        };
        assert_eq!((first.id, first.basic), (0, [120, 0, 1580, 300]));
        assert_eq!(first.further, [40, 50, 60, 70, 80, 90].map(Some));
        assert_eq!((second.id, second.basic), (1, [10, 20, 30, 40]));
        assert_eq!(second.further, [Some(50), None, None, None, None, None]);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "(?s)[ -~\n\t]{0,300}", ticks in 0..1000_u64) {
            let _ = (load_average(&text), times(&text, ticks), times(&format!("cpu0 {text}"), ticks));
        }
    }
}
