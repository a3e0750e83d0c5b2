//! The freezer over file systems that fail as a test wants.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::*;

const LIMIT: Duration = Duration::from_secs(8);

/// What was done to the file systems, and what is to go wrong.
#[derive(Default)]
struct Kernel {
    calls: Vec<String>,
    frozen: Vec<String>,
    open: usize,
    /// The next of these calls fail; those of one call in order.
    faults: VecDeque<(&'static str, Errno)>,
    unmounted: Vec<&'static str>,
    /// How long this call takes.
    slow: Option<(&'static str, Duration)>,
    now: Duration,
}

impl Kernel {
    fn call(&mut self, what: &str, name: &str) -> Result<(), Errno> {
        let call = format!("{what} {name}");
        if let Some((slow, time)) = self.slow
            && slow == call
        {
            self.now += time;
        }
        let fault = self.faults.iter().position(|(fault, _)| *fault == call);
        self.calls.push(call);
        match fault.and_then(|index| self.faults.remove(index)) {
            Some((_, errno)) => Err(errno),
            None => Ok(()),
        }
    }
}

/// Shared with the test.
#[derive(Clone, Default)]
struct Fake(Rc<RefCell<Kernel>>);

/// Counts those that are open.
struct Root(String, Fake);

impl Drop for Root {
    fn drop(&mut self) {
        self.1.0.borrow_mut().open -= 1;
    }
}

impl FileSystems for Fake {
    type Root = Root;

    fn open(&mut self, device: &DeviceName) -> Result<Root, Unopened> {
        let mut kernel = self.0.borrow_mut();
        if kernel.unmounted.contains(&device.as_str()) {
            return Err(Unopened::NotMounted);
        }
        let opened = kernel.call("open", device.as_str());
        opened.map_err(Unopened::Refused)?;
        kernel.open += 1;
        drop(kernel);
        Ok(Root(device.as_str().to_owned(), self.clone()))
    }

    fn sync(&mut self, root: &Root) -> Result<(), Errno> {
        self.0.borrow_mut().call("sync", &root.0)
    }

    fn sync_all(&mut self) {
        let _ = self.0.borrow_mut().call("sync", "all");
    }

    fn freeze(&mut self, root: &Root) -> Result<(), Errno> {
        let mut kernel = self.0.borrow_mut();
        kernel.call("freeze", &root.0)?;
        if kernel.frozen.contains(&root.0) {
            return Err(Errno::EBUSY);
        }
        kernel.frozen.push(root.0.clone());
        Ok(())
    }

    fn thaw(&mut self, root: &Root) -> Result<(), Errno> {
        let mut kernel = self.0.borrow_mut();
        kernel.call("thaw", &root.0)?;
        let frozen = kernel.frozen.iter().position(|name| *name == root.0);
        kernel.frozen.remove(frozen.ok_or(Errno::EINVAL)?);
        Ok(())
    }
}

/// A freezer with its kernel, its reports and the time.
struct Bench {
    freezer: Freezer<Fake>,
    kernel: Fake,
    reports: Vec<Report>,
}

impl Bench {
    fn new() -> Self {
        let kernel = Fake::default();
        Self {
            freezer: Freezer::new(kernel.clone()),
            kernel,
            reports: Vec::new(),
        }
    }

    fn with_fault(call: &'static str, errno: Errno) -> Self {
        let bench = Self::new();
        bench.fault(call, errno);
        bench
    }

    fn fault(&self, call: &'static str, errno: Errno) {
        self.kernel.0.borrow_mut().faults.push_back((call, errno));
    }

    fn slow(&self, call: &'static str, time: Duration) {
        self.kernel.0.borrow_mut().slow = Some((call, time));
    }

    fn now(&self) -> Duration {
        self.kernel.0.borrow().now
    }

    fn command(&mut self, command: &Command) {
        let report = self.freezer.handle_command(command, self.now());
        self.reports.extend(report);
    }

    /// One step that is due.
    fn step(&mut self) -> bool {
        let is_due = self
            .freezer
            .poll_timeout()
            .is_some_and(|at| at <= self.now());
        if is_due {
            let report = self.freezer.step(self.now());
            self.reports.extend(report);
        }
        is_due
    }

    fn settle(&mut self) {
        while self.step() {}
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now() + time;
        loop {
            self.settle();
            match self.freezer.poll_timeout().filter(|at| *at <= end) {
                Some(at) => self.kernel.0.borrow_mut().now = at,
                None => break,
            }
        }
        let mut kernel = self.kernel.0.borrow_mut();
        kernel.now = kernel.now.max(end);
    }

    fn after(&mut self, command: &Command) -> Vec<Report> {
        self.command(command);
        self.settle();
        self.reports()
    }

    fn reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.kernel.0.borrow_mut().calls)
    }

    fn frozen(&self) -> Vec<String> {
        self.kernel.0.borrow().frozen.clone()
    }

    #[track_caller]
    fn assert_nothing_is_held(&self) {
        let kernel = self.kernel.0.borrow();
        assert_eq!((&kernel.frozen, kernel.open), (&Vec::new(), 0));
    }
}

fn devices(names: &[&str]) -> Devices {
    Devices::new(names.iter().map(|name| DeviceName::new(name).unwrap())).unwrap()
}

fn begin(run: u32, how: How, names: &[&str]) -> Command {
    Command::Freeze {
        run,
        how,
        limit: LIMIT,
        devices: devices(names),
    }
}

fn freeze(names: &[&str]) -> Command {
    begin(1, How::Freeze, names)
}

fn all<const N: usize>(all: [Outcome; N]) -> Outcomes {
    Outcomes::new(all).unwrap()
}

fn frozen<const N: usize>(outcomes: [Outcome; N]) -> Report {
    let (run, outcomes) = (1, all(outcomes));
    Report::Frozen { run, outcomes }
}

fn failed<const N: usize>(outcomes: [Outcome; N]) -> Report {
    let (run, outcomes) = (1, all(outcomes));
    Report::Failed { run, outcomes }
}

fn thawed(cause: Cause, lasted: Duration) -> Report {
    let run = 1;
    Report::Thawed { run, cause, lasted }
}

use Outcome::{Done, Failed, Left, Skipped};

#[test]
fn all_are_synced_before_the_first_is_frozen_and_thawed_in_reverse_order() {
    let mut bench = Bench::new();
    assert_eq!(bench.after(&freeze(&["a", "b"])), [frozen([Done, Done])]);
    let order = [
        "open a", "sync a", "open b", "sync b", "freeze a", "freeze b",
    ];
    assert_eq!(bench.calls(), order);
    bench.wait(Duration::from_secs(2));
    let report = thawed(Cause::Asked, Duration::from_secs(2));
    assert_eq!(bench.after(&Command::Thaw), [report]);
    assert_eq!(bench.calls(), ["thaw b", "thaw a"]);
    bench.assert_nothing_is_held();
    assert_eq!(bench.after(&Command::Thaw), []);
}

#[test]
fn what_cannot_be_frozen_is_skipped_and_what_somebody_else_has_frozen_stays_so() {
    for errno in [Errno::EOPNOTSUPP, Errno::ENOTTY, Errno::EROFS] {
        let mut bench = Bench::with_fault("freeze b", errno);
        bench.kernel.0.borrow_mut().frozen.push("c".to_owned());
        bench.kernel.0.borrow_mut().unmounted.push("d");
        let reports = bench.after(&freeze(&["a", "b", "c", "d"]));
        assert_eq!(reports, [frozen([Done, Skipped, Left, Skipped])]);
        assert_eq!(
            bench.kernel.0.borrow().open,
            1,
            "only what is frozen stays open"
        );
        bench.after(&Command::Thaw);
        assert_eq!(bench.frozen(), ["c"]);
    }
}

#[test]
fn after_any_other_fault_nothing_stays_frozen() {
    let faults = [
        ("open b", vec![Done, Failed(5)]),
        ("sync b", vec![Done, Failed(5)]),
        ("freeze a", vec![Failed(5), Done]),
        ("freeze b", vec![Done, Failed(5)]),
    ];
    for (call, outcomes) in faults {
        let mut bench = Bench::with_fault(call, Errno::EIO);
        let (run, outcomes) = (1, Outcomes::new(outcomes).unwrap());
        let report = Report::Failed { run, outcomes };
        assert_eq!(bench.after(&freeze(&["a", "b"])), [report], "{call}");
        bench.assert_nothing_is_held();
    }
}

#[test]
fn the_limit_counts_from_the_first_freeze() {
    let mut bench = Bench::new();
    bench.slow("sync a", Duration::from_secs(20));
    assert_eq!(bench.after(&freeze(&["a"])), [frozen([Done])]);
    bench.wait(LIMIT - Duration::from_millis(1));
    assert_eq!(bench.reports(), []);
    bench.wait(Duration::from_millis(1));
    assert_eq!(bench.reports(), [thawed(Cause::Limit, LIMIT)]);
    bench.assert_nothing_is_held();
}

#[test]
fn a_freeze_that_takes_longer_than_the_limit_is_none() {
    for slow in ["freeze a", "freeze b"] {
        let mut bench = Bench::new();
        bench.slow(slow, LIMIT);
        let reports = bench.after(&freeze(&["a", "b"]));
        assert_eq!(reports, [failed([Done, Done])], "{slow}");
        bench.assert_nothing_is_held();
        let calls = bench.calls();
        assert_eq!(calls.contains(&"freeze b".to_owned()), slow == "freeze b");
    }
}

#[test]
fn the_agent_cannot_have_a_longer_limit_than_a_minute() {
    let mut bench = Bench::new();
    let command = Command::Freeze {
        run: 1,
        how: How::Freeze,
        limit: Duration::MAX,
        devices: devices(&["a"]),
    };
    bench.after(&command);
    bench.wait(LONGEST_LIMIT);
    assert_eq!(bench.reports(), [thawed(Cause::Limit, LONGEST_LIMIT)]);
}

#[test]
fn a_thaw_a_signal_and_the_end_count_between_two_steps_of_a_freeze() {
    type Stop = fn(&mut Freezer<Fake>, Duration);
    let stops: [Stop; 3] = [
        |freezer, now| assert_eq!(freezer.handle_command(&Command::Thaw, now), None),
        Freezer::handle_termination,
        Freezer::handle_end,
    ];
    for stop in stops {
        // After the sixth it is frozen.
        for steps in 0..6 {
            let mut bench = Bench::new();
            bench.command(&freeze(&["a", "b"]));
            for _ in 0..steps {
                assert!(bench.step());
            }
            let now = bench.now();
            stop(&mut bench.freezer, now);
            bench.settle();
            bench.assert_nothing_is_held();
            let reports = bench.reports();
            let [report] = &reports[..] else {
                panic!("after {steps} steps: {reports:?}");
            };
            assert!(
                matches!(report, Report::Failed { run: 1, .. }),
                "{report:?}"
            );
        }
    }
}

#[test]
fn a_thaw_that_fails_is_tried_until_each_is_thawed() {
    let mut bench = Bench::new();
    bench.after(&freeze(&["a", "b", "c"]));
    for _ in 0..3 {
        bench.fault("thaw b", Errno::EIO);
    }
    bench.calls();
    assert_eq!(bench.after(&Command::Thaw), []);
    assert_eq!(bench.frozen(), ["b"]);
    assert_eq!(bench.kernel.0.borrow().open, 1);
    bench.wait(PAUSE * 4);
    assert_eq!(bench.reports(), [thawed(Cause::Asked, PAUSE * 3)]);
    bench.assert_nothing_is_held();
    let order = ["thaw c", "thaw b", "thaw a", "thaw b", "thaw b", "thaw b"];
    assert_eq!(bench.calls(), order);
}

#[test]
fn what_somebody_else_has_thawed_is_thawed() {
    let mut bench = Bench::new();
    bench.after(&freeze(&["a", "b"]));
    bench.kernel.0.borrow_mut().frozen.remove(0);
    let report = thawed(Cause::Asked, Duration::ZERO);
    assert_eq!(bench.after(&Command::Thaw), [report]);
    bench.assert_nothing_is_held();
}

#[test]
fn a_signal_thaws_and_the_next_freeze_works() {
    let mut bench = Bench::new();
    bench.after(&freeze(&["a"]));
    let now = bench.now();
    bench.freezer.handle_termination(now);
    bench.settle();
    let report = thawed(Cause::Terminated, Duration::ZERO);
    assert_eq!(bench.reports(), [report]);
    assert!(!bench.freezer.is_over());
    assert_eq!(bench.after(&freeze(&["a"])), [frozen([Done])]);
}

#[test]
fn it_is_over_when_the_agent_is_gone_and_all_is_thawed() {
    let mut bench = Bench::with_fault("thaw a", Errno::EIO);
    bench.after(&freeze(&["a"]));
    assert!(!bench.freezer.is_over());
    bench.freezer.handle_end(bench.now());
    bench.settle();
    assert!(!bench.freezer.is_over());
    bench.wait(PAUSE);
    assert!(bench.freezer.is_over());
    bench.assert_nothing_is_held();
}

#[test]
fn a_second_freeze_is_refused_and_the_first_stays_as_it_is() {
    let mut bench = Bench::new();
    bench.after(&freeze(&["a"]));
    for how in [How::Freeze, How::Sync] {
        let (run, outcomes) = (2, all([]));
        let refused = Report::Failed { run, outcomes };
        assert_eq!(bench.after(&begin(2, how, &["b"])), [refused]);
    }
    let busy = Failed(Errno::EBUSY as i32);
    let reports = bench.after(&Command::Rescue(devices(&["a", "b"])));
    assert_eq!(reports, [Report::Rescued(all([busy, busy]))]);
    assert_eq!(
        bench.after(&Command::Probe(devices(&["a"]))),
        [Report::Probed(all([busy]))]
    );
    assert_eq!(bench.frozen(), ["a"]);
    bench.wait(LIMIT);
    assert_eq!(bench.reports(), [thawed(Cause::Limit, LIMIT)]);
}

#[test]
fn of_a_freeze_of_nothing_there_is_nothing_to_thaw() {
    let mut bench = Bench::new();
    bench.kernel.0.borrow_mut().unmounted.push("a");
    assert_eq!(bench.after(&freeze(&["a"])), [frozen([Skipped])]);
    assert_eq!(bench.after(&Command::Thaw), []);
    assert_eq!(bench.after(&freeze(&["b"])), [frozen([Done])]);
}

#[test]
fn a_sync_freezes_nothing_and_goes_on_after_a_fault() {
    let mut bench = Bench::new();
    let sync = begin(1, How::Sync, &["a", "b"]);
    let (run, outcomes) = (1, all([Done, Done]));
    assert_eq!(bench.after(&sync), [Report::Synced { run, outcomes }]);
    assert_eq!(bench.calls(), ["open a", "sync a", "open b", "sync b"]);
    bench.fault("sync a", Errno::EIO);
    assert_eq!(bench.after(&sync), [failed([Failed(5), Done])]);
    bench.assert_nothing_is_held();
}

#[test]
fn without_the_right_to_open_one_everything_is_synced() {
    for errno in [Errno::EPERM, Errno::EACCES, Errno::ENOSYS] {
        let mut bench = Bench::with_fault("open a", errno);
        let (run, outcomes) = (1, all([Done]));
        let sync = begin(1, How::Sync, &["a"]);
        assert_eq!(bench.after(&sync), [Report::Synced { run, outcomes }]);
        assert_eq!(bench.calls(), ["open a", "sync all"]);
        bench.fault("open a", errno);
        assert_eq!(
            bench.after(&freeze(&["a"])),
            [failed([Failed(errno as i32)])]
        );
    }
}

#[test]
fn a_rescue_thaws_what_is_frozen_and_says_so() {
    let mut bench = Bench::with_fault("open d", Errno::EIO);
    let mut kernel = bench.kernel.0.borrow_mut();
    kernel.frozen.extend(["a".to_owned(), "e".to_owned()]);
    kernel.unmounted.push("c");
    kernel.faults.push_back(("thaw e", Errno::EOPNOTSUPP));
    drop(kernel);
    let reports = bench.after(&Command::Rescue(devices(&["a", "b", "c", "d", "e"])));
    let outcomes = all([Done, Left, Skipped, Failed(5), Skipped]);
    assert_eq!(reports, [Report::Rescued(outcomes)]);
    assert_eq!(
        (bench.frozen(), bench.kernel.0.borrow().open),
        (vec!["e".to_owned()], 0)
    );
}

#[test]
fn what_comes_during_a_rescue_waits_until_it_is_over() {
    let mut bench = Bench::new();
    for command in [
        Command::Rescue(devices(&["a"])),
        Command::Probe(devices(&["a"])),
    ] {
        assert!(bench.freezer.takes_commands());
        bench.command(&command);
        assert!(!bench.freezer.takes_commands());
        bench.freezer.handle_termination(bench.now());
        bench.settle();
        assert_eq!(bench.reports().len(), 1);
    }
    bench.command(&freeze(&["a"]));
    assert!(bench.freezer.takes_commands());
}

#[test]
fn a_probe_opens_and_lets_go() {
    let mut bench = Bench::with_fault("open b", Errno::EPERM);
    let reports = bench.after(&Command::Probe(devices(&["a", "b"])));
    assert_eq!(reports, [Report::Probed(all([Done, Failed(1)]))]);
    assert_eq!(bench.calls(), ["open a", "open b"]);
    bench.assert_nothing_is_held();
}
