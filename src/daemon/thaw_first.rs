//! Thaw first, then call Talos for a power operation: with file systems frozen it could not stop the pods.

use std::collections::VecDeque;
use std::time::Duration;

use crate::freeze::message::How;
use crate::freeze::{Command, Report};
use crate::interruption::Call;

/// How long a call waits for a thaw at most, and never for more than half of the time that it has: a host waits for the
/// answer. A thaw takes milliseconds; the freezer goes on trying, and Talos' drain gives it time.
const PATIENCE: Duration = Duration::from_secs(2);

/// Calls for power operations, each held until nothing is frozen.
#[derive(Debug, Default)]
pub(super) struct ThawFirst {
    /// A command to freeze is out, and nothing has ended it.
    may_be_frozen: bool,
    /// In order, with the time since when they wait.
    held: VecDeque<(Call, Duration)>,
}

impl ThawFirst {
    /// A command goes to the freezer.
    pub(super) const fn handle_command(&mut self, command: &Command) {
        if let Command::Freeze {
            how: How::Freeze, ..
        } = command
        {
            self.may_be_frozen = true;
        }
    }

    /// The freezer reports. Says whether it has left something frozen that only another one can thaw.
    pub(super) const fn handle_report(&mut self, report: &Report) -> bool {
        let may_have_left = self.may_be_frozen && matches!(report, Report::Gone);
        if report.ends_run() {
            self.may_be_frozen = false;
        }
        may_have_left
    }

    /// Talos is to be called; the front end has ordered the thaw before it.
    pub(super) fn request(&mut self, call: Call, now: Duration) {
        self.held.push_back((call, now));
    }

    /// The next call that may go; what it has waited is taken from its deadline.
    pub(super) fn poll(&mut self, now: Duration) -> Option<Call> {
        if self.may_be_frozen && now < self.deadline()? {
            return None;
        }
        let (call, since) = self.held.pop_front()?;
        if self.may_be_frozen {
            tracing::warn!(
                operation = ?call.operation,
                "calling Talos although file systems may still be frozen: the thaw takes too long"
            );
        }
        let waited = now.saturating_sub(since);
        Some(Call {
            deadline: call.deadline.saturating_sub(waited),
            ..call
        })
    }

    /// When [`Self::poll`] has something although nothing has happened.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let (call, since) = self.held.front()?;
        Some(since.saturating_add(PATIENCE.min(call.deadline / 2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{BusyPolicy, RebootMode};
    use crate::freeze::message::{Cause, Devices};
    use crate::interruption::CallId;
    use crate::power::PowerOperation;

    const NOW: Duration = Duration::from_secs(1);
    const DEADLINE: Duration = Duration::from_secs(5);

    fn call(number: u64) -> Call {
        Call {
            id: CallId::new(number),
            operation: PowerOperation::Shutdown,
            is_forced: false,
            takes_over: false,
            deadline: DEADLINE,
            reboot_mode: RebootMode::Default,
            busy: BusyPolicy::Refuse,
        }
    }

    fn freeze() -> Command {
        begin(How::Freeze)
    }

    fn begin(how: How) -> Command {
        Command::Freeze {
            run: 1,
            how,
            limit: Duration::from_secs(8),
            devices: Devices::new([]).unwrap(),
        }
    }

    #[test]
    fn an_operation_goes_at_once_while_nothing_is_frozen() {
        let mut thaw_first = ThawFirst::default();
        thaw_first.handle_command(&Command::Thaw);
        for number in 1..3 {
            thaw_first.request(call(number), NOW);
        }
        for number in 1..3 {
            assert_eq!(thaw_first.poll(NOW), Some(call(number)));
        }
        assert_eq!((thaw_first.poll(NOW), thaw_first.deadline()), (None, None));
    }

    #[test]
    fn an_operation_waits_for_the_thaw_and_no_longer_than_it_may() {
        for is_thawed in [true, false] {
            let mut thaw_first = ThawFirst::default();
            thaw_first.handle_command(&freeze());
            thaw_first.request(call(1), NOW);
            assert_eq!(thaw_first.poll(NOW), None);
            thaw_first.handle_report(&Report::Ready(None));
            assert_eq!(thaw_first.deadline(), Some(NOW + PATIENCE));
            assert_eq!(thaw_first.poll(NOW + PATIENCE / 2), None);
            let at = if is_thawed {
                let (run, cause, lasted) = (1, Cause::Asked, NOW);
                thaw_first.handle_report(&Report::Thawed { run, cause, lasted });
                NOW + PATIENCE / 2
            } else {
                NOW + PATIENCE
            };
            // The wait is part of the time that the call has.
            let expected = Call {
                deadline: DEADLINE - (at - NOW),
                ..call(1)
            };
            assert_eq!(thaw_first.poll(at), Some(expected));
            assert_eq!(thaw_first.deadline(), None);
        }
    }

    #[test]
    fn a_call_that_has_little_time_keeps_half_of_it() {
        let brief = Call {
            deadline: PATIENCE,
            ..call(1)
        };
        let mut thaw_first = ThawFirst::default();
        thaw_first.handle_command(&freeze());
        thaw_first.request(brief, NOW);
        let half = PATIENCE / 2;
        assert_eq!(thaw_first.deadline(), Some(NOW + half));
        let called = thaw_first.poll(NOW + half).unwrap();
        assert_eq!(called.deadline, half);
    }

    #[test]
    fn a_freezer_that_ends_has_left_something_frozen_only_between_the_command_and_the_end_of_its_run()
     {
        let (run, cause, lasted) = (1, Cause::Asked, NOW);
        let thawed = Report::Thawed { run, cause, lasted };
        let cases = [
            (None, None, false),
            (Some(begin(How::Sync)), None, false),
            (Some(freeze()), None, true),
            (Some(freeze()), Some(Report::Ready(None)), true),
            (Some(freeze()), Some(thawed), false),
        ];
        for (command, report, expected) in cases {
            let mut thaw_first = ThawFirst::default();
            if let Some(command) = command {
                thaw_first.handle_command(&command);
            }
            if let Some(report) = report {
                assert!(!thaw_first.handle_report(&report));
            }
            let may_have_left = thaw_first.handle_report(&Report::Gone);
            assert_eq!(may_have_left, expected, "{command:?} {report:?}");
        }
    }
}
