use super::*;
use crate::config::EtcdGuard;
use crate::facts::MachineType;
use crate::freeze::message::{DeviceName, Devices, Outcome as Each};
use crate::freeze::model::{FreezerModel, node};
use crate::log::logged::Logged;
use crate::report::Glob;

const LIMIT: Duration = Duration::from_secs(8);
const START: Duration = Duration::from_secs(1000);

const fn millis_of(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A machine with its freezer, at a time that the test moves.
struct World {
    quiesce: Quiesce,
    freezer: FreezerModel,
    facts: Facts,
    now: Duration,
    /// How often Talos was asked for etcd.
    looks: usize,
}

impl World {
    /// Nothing has happened; the freezer has not reported.
    fn new(config: &QuiesceConfig) -> Self {
        let mut quiesce = Quiesce::new(|| Duration::from_secs(1_770_091_506));
        quiesce.configure(config);
        Self {
            quiesce,
            freezer: FreezerModel::default(),
            facts: node(),
            now: START,
            looks: 0,
        }
    }

    /// All is known, and what is done once at the start is done.
    fn ready(mode: QuiesceMode) -> Self {
        let mut world = Self::new(&config(mode));
        world.know();
        world.settle();
        world
    }

    fn know(&mut self) {
        self.quiesce.handle_facts(&self.facts, self.now);
    }

    /// Commands reach the freezer, and its reports the machine.
    fn settle(&mut self) {
        loop {
            while let Some(order) = self.quiesce.poll_order() {
                match order {
                    QuiesceOrder::LookAtEtcd => self.looks += 1,
                    QuiesceOrder::Freezer(command) => self.freezer.handle(&command, self.now),
                }
            }
            let Some(report) = self.freezer.poll_report() else {
                break;
            };
            self.quiesce.handle_report(&report, self.now);
        }
    }

    fn begin(&mut self) -> Result<(), Refusal> {
        self.begin_at(None)
    }

    fn begin_at(&mut self, mount_points: Option<Vec<String>>) -> Result<(), Refusal> {
        let begun = self
            .quiesce
            .begin(request(mount_points), &self.facts, self.now);
        self.settle();
        begun
    }

    fn frozen(mode: QuiesceMode) -> Self {
        let mut world = Self::ready(mode);
        world.begin().unwrap();
        world.pass(millis_of(120));
        world.finish();
        assert_eq!(world.events(), [Event::Frozen(2)]);
        assert_eq!(world.quiesce.phase(), Phase::Frozen);
        world
    }

    /// The freezer is through with the freeze.
    fn finish(&mut self) {
        self.freezer.finish(self.now);
        self.settle();
    }

    fn thaw(&mut self, why: Why) {
        self.quiesce.thaw(why, self.now);
        self.settle();
    }

    /// Time passes for both.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = [self.quiesce.poll_timeout(), self.freezer.poll_timeout()];
            let Some(due) = due.into_iter().flatten().min().filter(|due| *due <= end) else {
                break;
            };
            self.now = due;
            self.freezer.handle_timeout(due);
            self.settle();
            self.quiesce.handle_timeout(due);
            self.settle();
        }
        self.now = end;
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.quiesce.poll_event()).collect()
    }
}

fn config(mode: QuiesceMode) -> QuiesceConfig {
    QuiesceConfig {
        mode,
        max_freeze: LIMIT,
        ..QuiesceConfig::default()
    }
}

fn request(mount_points: Option<Vec<String>>) -> Request {
    Request {
        asker: "a host",
        mount_points,
        only_sync: false,
        most: None,
    }
}

fn thawed(why: Why, lasted: u64, covered: bool) -> Event {
    let lasted = millis_of(lasted);
    Event::Thawed(Ended {
        why,
        lasted,
        covered,
    })
}

fn reason(refused: Result<(), Refusal>) -> String {
    refused.unwrap_err().to_string()
}

fn outcomes(all: &[Each]) -> Outcomes {
    Outcomes::new(all.iter().copied()).unwrap()
}

#[test]
fn a_freeze_is_ordered_frozen_thawed_and_logged_twice() {
    let mut world = World::ready(QuiesceMode::Freeze);
    let logged = Logged::new();
    world
        .quiesce
        .begin(request(None), &world.facts, world.now)
        .unwrap();
    assert_eq!(world.quiesce.phase(), Phase::Beginning);
    let devices = ["nvme98n1p1", "nvme97n1p6"].map(|name| DeviceName::new(name).unwrap());
    let freeze = Command::Freeze {
        run: 1,
        how: How::Freeze,
        limit: LIMIT,
        devices: Devices::new(devices).unwrap(),
    };
    assert_eq!(
        world.quiesce.poll_order(),
        Some(QuiesceOrder::Freezer(freeze))
    );
    assert_eq!(world.quiesce.poll_order(), None);
    world.freezer.handle(&freeze, world.now);
    world.pass(millis_of(120));
    world.finish();
    assert_eq!(world.events(), [Event::Frozen(2)]);
    world.pass(millis_of(3012));
    world.thaw(Why::Done);
    assert_eq!(world.events(), [thawed(Why::Done, 3012, true)]);
    assert_eq!(world.quiesce.phase(), Phase::Idle);
    assert!(!world.freezer.is_frozen());
    let shown = "ready; last 2026-02-03T04:05:06Z 3012 ms done";
    assert_eq!(world.quiesce.shown(), shown);
    let lines = logged.take();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for part in [
        "a host",
        "/var/mnt/data /var",
        "took_ms=120",
        "limit_ms=8000",
    ] {
        assert!(lines[0].1.contains(part), "{part} in {lines:?}");
    }
    for part in ["a host", "lasted_ms=3012", "done"] {
        assert!(lines[1].1.contains(part), "{part} in {lines:?}");
    }
}

/// What makes a world different.
type Change = fn(&mut World);

#[test]
fn a_freeze_is_refused_where_it_cannot_begin_and_the_log_says_why() {
    let cases: [(&str, Change, usize); 9] = [
        (
            "quiesce.mode",
            |it| it.quiesce.configure(&config(QuiesceMode::Off)),
            0,
        ),
        ("already in progress", |it| it.begin().unwrap(), 1),
        (
            "shutting down",
            |it| it.facts.stage = Some(Stage::ShuttingDown),
            1,
        ),
        ("not known", |it| it.facts.stage = None, 1),
        ("has not listed", |it| it.facts.storage.mounts = None, 1),
        (
            "CAP_SYS_ADMIN",
            |it| it.quiesce.handle_report(&Report::Ready(Some(1)), START),
            1,
        ),
        ("not running", |it| it.freezer.kill(), 1),
        (
            "Kubernetes",
            |it| {
                let in_pod = true;
                let config = config(QuiesceMode::Freeze);
                it.quiesce.configure(&QuiesceConfig { in_pod, ..config });
            },
            1,
        ),
        (
            "no file system",
            |it| {
                let exclude = vec![Glob::new("*")];
                let config = config(QuiesceMode::Freeze);
                it.quiesce.configure(&QuiesceConfig { exclude, ..config });
            },
            1,
        ),
    ];
    for (part, change, lines) in cases {
        let mut world = World::ready(QuiesceMode::Freeze);
        change(&mut world);
        world.settle();
        let logged = Logged::new();
        let reason = reason(world.begin());
        assert!(reason.contains(part), "{part}: {reason}");
        let warnings = logged.warnings();
        assert_eq!(warnings.len(), lines, "{warnings:?}");
        assert!(warnings.iter().all(|line| line.contains(&reason)));
        assert!(!world.freezer.is_frozen());
        assert_eq!(world.events(), []);
    }
}

#[test]
fn more_volumes_than_fit_into_a_command_are_refused_and_not_frozen_in_part() {
    let mut world = World::ready(QuiesceMode::Freeze);
    let storage = &mut world.facts.storage;
    for number in 0..40 {
        let (id, device) = (format!("u-{number}"), format!("/dev/nvme9{number}n1"));
        storage
            .volumes
            .as_mut()
            .unwrap()
            .push(crate::facts::Volume {
                id: id.clone(),
                location: device.clone(),
                file_system: "xfs",
                ..crate::facts::Volume::default()
            });
        storage
            .mounts
            .as_mut()
            .unwrap()
            .insert(crate::facts::Mount {
                target: format!("/var/mnt/{id}"),
                volume: id,
                source: device,
                read_only: false,
            });
    }
    world.know();
    world.settle();
    let refused = reason(world.begin());
    assert!(
        refused.contains("42 volumes") && refused.contains("quiesce.exclude"),
        "{refused}"
    );
    assert!(
        world
            .quiesce
            .shown()
            .starts_with("unavailable: there are 42 volumes")
    );
    assert!(matches!(world.quiesce.check(), Outcome::Fails { .. }));
    assert!(!world.freezer.is_busy());
}

#[test]
fn an_abort_before_all_is_frozen_is_never_followed_by_frozen() {
    for is_late in [false, true] {
        let mut world = World::ready(QuiesceMode::Freeze);
        world.begin().unwrap();
        if is_late {
            // The report crosses the abort.
            world.freezer.finish(world.now);
        }
        world.thaw(Why::Aborted);
        let aborted = Event::Failed("the host has given the snapshot up".to_owned());
        assert_eq!(world.events(), [aborted]);
        assert_eq!(world.quiesce.phase(), Phase::Idle);
        assert!(!world.freezer.is_frozen());
        assert!(
            world.quiesce.shown().ends_with("Z aborted"),
            "{}",
            world.quiesce.shown()
        );
        world.begin().unwrap();
        world.finish();
        assert_eq!(world.events(), [Event::Frozen(2)]);
    }
}

#[test]
fn a_snapshot_is_not_covered_once_the_limit_was_reached() {
    let mut world = World::frozen(QuiesceMode::Freeze);
    let logged = Logged::new();
    world.pass(LIMIT);
    assert_eq!(world.events(), [thawed(Why::Limit, 8000, false)]);
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("quiesce.max_freeze"), "{warnings:?}");
    assert!(world.quiesce.shown().ends_with("8000 ms limit"));
    // The host is done at the moment at which the freezer thaws: what the freezer says counts.
    let mut world = World::frozen(QuiesceMode::Freeze);
    world.now += LIMIT;
    world.freezer.handle_timeout(world.now);
    world.thaw(Why::Done);
    assert_eq!(world.events(), [thawed(Why::Limit, 8000, false)]);
}

#[test]
fn a_freezer_whose_timer_does_nothing_is_asked_to_thaw() {
    let mut world = World::frozen(QuiesceMode::Freeze);
    let due = world.quiesce.poll_timeout().unwrap();
    assert_eq!(due, world.now + LIMIT + THAW_PATIENCE);
    world.now = due;
    world.quiesce.handle_timeout(due);
    world.settle();
    assert!(!world.freezer.is_frozen());
    let [Event::Thawed(ended)] = world.events()[..] else {
        panic!("not thawed");
    };
    assert_eq!((ended.why, ended.covered), (Why::Limit, false));
}

#[test]
fn a_freezer_that_thaws_by_itself_covers_nothing() {
    let mut world = World::frozen(QuiesceMode::Freeze);
    world.freezer.terminate(world.now);
    world.thaw(Why::Done);
    assert_eq!(world.events(), [thawed(Why::Stopping, 0, false)]);
}

#[test]
fn every_other_end_thaws_and_covers_nothing() {
    for why in [Why::Aborted, Why::HostGone, Why::Power, Why::Stopping] {
        let mut world = World::frozen(QuiesceMode::Freeze);
        world.thaw(why);
        // The first counts.
        world.thaw(Why::Done);
        assert_eq!(world.events(), [thawed(why, 0, false)]);
        assert!(!world.freezer.is_frozen());
    }
}

#[test]
fn a_machine_that_leaves_its_stage_is_thawed() {
    let mut world = World::frozen(QuiesceMode::Freeze);
    world.facts.stage = Some(Stage::ShuttingDown);
    world.know();
    world.settle();
    assert_eq!(world.events(), [thawed(Why::Power, 0, false)]);
}

#[test]
fn a_freeze_that_hangs_fails_in_time_and_stays_busy_until_the_freezer_answers() {
    let mut world = World::ready(QuiesceMode::Freeze);
    world
        .quiesce
        .begin(request(None), &world.facts, world.now)
        .unwrap();
    let Some(QuiesceOrder::Freezer(freeze)) = world.quiesce.poll_order() else {
        panic!("no command");
    };
    world.freezer.handle(&freeze, world.now);
    let due = world.quiesce.poll_timeout().unwrap();
    assert_eq!(due, world.now + LIMIT + SYNC_PATIENCE);
    world.now = due;
    let logged = Logged::new();
    world.quiesce.handle_timeout(due);
    assert!(matches!(&world.events()[..], [Event::Failed(why)] if why.contains("too long")));
    assert_eq!(logged.warnings().len(), 1);
    assert_eq!(world.quiesce.phase(), Phase::Thawing);
    assert_eq!(world.quiesce.poll_timeout(), None);
    let again = world.quiesce.begin(request(None), &world.facts, world.now);
    assert_eq!(again, Err(Refusal::Busy));
    // The file system is frozen at last, and at once thawed.
    world.freezer.finish(world.now);
    world.settle();
    assert_eq!(world.events(), []);
    assert_eq!(world.quiesce.phase(), Phase::Idle);
    assert!(!world.freezer.is_frozen());
}

#[test]
fn a_thaw_that_hangs_is_said_in_time_and_covers_nothing() {
    let mut world = World::frozen(QuiesceMode::Freeze);
    world.quiesce.thaw(Why::Done, world.now);
    let due = world.quiesce.poll_timeout().unwrap();
    assert_eq!(due, world.now + THAW_PATIENCE);
    world.quiesce.handle_timeout(due);
    assert_eq!(world.events(), [thawed(Why::Done, 5000, false)]);
    assert_eq!(world.quiesce.phase(), Phase::Thawing);
    world.settle();
    assert_eq!(world.events(), [], "the host has its answer");
    assert_eq!(world.quiesce.phase(), Phase::Idle);
}

#[test]
fn a_failure_names_the_volume_and_the_reason() {
    let mut world = World::ready(QuiesceMode::Freeze);
    world.freezer.outcome = Each::Failed(5);
    world.begin().unwrap();
    world.finish();
    let [Event::Failed(why)] = &world.events()[..] else {
        panic!("not failed");
    };
    assert!(
        why.starts_with("/var/mnt/data (u-data): I/O error"),
        "{why}"
    );
    // Too slow: the freezer has undone what it had.
    world.begin().unwrap();
    let (run, outcomes) = (2, outcomes(&[Each::Done]));
    world
        .quiesce
        .handle_report(&Report::Failed { run, outcomes }, world.now);
    let [Event::Failed(why)] = &world.events()[..] else {
        panic!("not failed");
    };
    assert!(why.contains("quiesce.max_freeze"), "{why}");
}

#[test]
fn what_another_program_has_frozen_is_left_alone_and_named() {
    let mut world = World::ready(QuiesceMode::Freeze);
    world.begin().unwrap();
    let logged = Logged::new();
    let (run, outcomes) = (1, outcomes(&[Each::Left, Each::Done]));
    world
        .quiesce
        .handle_report(&Report::Frozen { run, outcomes }, world.now);
    assert_eq!(world.events(), [Event::Frozen(1)]);
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("/var/mnt/data (u-data): another program"),
        "{warnings:?}"
    );
    // With nothing of its own frozen there is no snapshot worth the name.
    let mut world = World::ready(QuiesceMode::Freeze);
    world.freezer.outcome = Each::Left;
    world.begin().unwrap();
    world.finish();
    assert!(matches!(&world.events()[..], [Event::Failed(why)] if why.contains("another program")));
    assert_eq!(world.quiesce.phase(), Phase::Idle);
}

#[test]
fn reports_of_another_run_are_ignored() {
    let mut world = World::frozen(QuiesceMode::Freeze);
    let none = outcomes(&[]);
    for run in [0, 2] {
        let (cause, lasted) = (Cause::Asked, START);
        for report in [
            Report::Frozen {
                run,
                outcomes: none,
            },
            Report::Synced {
                run,
                outcomes: none,
            },
            Report::Failed {
                run,
                outcomes: none,
            },
            Report::Thawed { run, cause, lasted },
        ] {
            world.quiesce.handle_report(&report, world.now);
        }
    }
    assert_eq!(world.events(), []);
    assert_eq!(world.quiesce.phase(), Phase::Frozen);
}

#[test]
fn the_end_of_the_freezer_ends_the_freeze_and_the_next_is_refused() {
    let mut world = World::frozen(QuiesceMode::Freeze);
    world.pass(millis_of(500));
    world.freezer.kill();
    let logged = Logged::new();
    world.settle();
    assert_eq!(logged.take(), [], "nothing is thawed by it");
    assert_eq!(world.events(), [thawed(Why::FreezerGone, 500, false)]);
    assert!(reason(world.begin()).contains("freezer is not running"));
    assert!(
        world
            .quiesce
            .shown()
            .starts_with("unavailable: the freezer is not running; last ")
    );
    let mut world = World::ready(QuiesceMode::Freeze);
    world.begin().unwrap();
    world.freezer.kill();
    world.settle();
    assert!(matches!(&world.events()[..], [Event::Failed(why)] if why.contains("freezer")));
}

#[test]
fn sync_freezes_nothing_and_says_so_each_time() {
    for (mode, only_sync) in [(QuiesceMode::Sync, false), (QuiesceMode::Freeze, true)] {
        let mut world = World::ready(mode);
        for _ in 0..2 {
            let logged = Logged::new();
            let request = Request {
                only_sync,
                ..request(None)
            };
            world
                .quiesce
                .begin(request, &world.facts, world.now)
                .unwrap();
            world.settle();
            world.finish();
            assert!(!world.freezer.is_frozen());
            assert_eq!(world.events(), [Event::Synced(2)]);
            assert_eq!(world.quiesce.phase(), Phase::Idle);
            let lines = logged.take();
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].1.contains("crash-consistent only"), "{lines:?}");
        }
    }
}

#[test]
fn a_host_narrows_which_file_systems_and_how_long_and_never_widens() {
    let at = |path: &str| Some(vec![path.to_owned(), "/nowhere".to_owned()]);
    let mut world = World::ready(QuiesceMode::Freeze);
    world.begin_at(at("/var")).unwrap();
    world.finish();
    assert_eq!(world.events(), [Event::Frozen(1)]);
    world.thaw(Why::Done);
    assert_eq!(world.events(), [thawed(Why::Done, 0, true)]);
    world.begin_at(at("/")).unwrap();
    assert_eq!(world.events(), [Event::Synced(0)]);
    assert_eq!(world.quiesce.phase(), Phase::Idle);
    for (most, counts) in [(3, 3), (900, 8)] {
        let most = Some(Duration::from_secs(most));
        let request = Request {
            most,
            ..request(None)
        };
        world
            .quiesce
            .begin(request, &world.facts, world.now)
            .unwrap();
        let order = world.quiesce.poll_order();
        let Some(QuiesceOrder::Freezer(Command::Freeze { limit, run, .. })) = order else {
            panic!("no command: {order:?}");
        };
        assert_eq!(limit, Duration::from_secs(counts));
        let outcomes = outcomes(&[]);
        world
            .quiesce
            .handle_report(&Report::Failed { run, outcomes }, world.now);
        world.events();
    }
}

#[test]
fn etcd_is_looked_at_on_a_control_plane_before_it_is_frozen() {
    let three = |live| Some(Etcd { voters: 3, live });
    for (etcd, guard, freezes, warns) in [
        (three(3), EtcdGuard::Refuse, true, false),
        (three(2), EtcdGuard::Refuse, false, true),
        (three(2), EtcdGuard::Warn, true, true),
        (None, EtcdGuard::Refuse, false, true),
        (None, EtcdGuard::Warn, true, true),
    ] {
        let mut world = World::ready(QuiesceMode::Freeze);
        let etcd_guarded = QuiesceConfig {
            etcd: guard,
            ..config(QuiesceMode::Freeze)
        };
        world.quiesce.configure(&etcd_guarded);
        world.facts.node.machine_type = Some(MachineType::ControlPlane);
        world.begin().unwrap();
        assert_eq!((world.looks, world.freezer.is_busy()), (1, false));
        let logged = Logged::new();
        if etcd.is_some() {
            world.quiesce.handle_etcd(etcd, world.now);
        } else {
            world.pass(ETCD_PATIENCE - millis_of(1));
            assert!(!world.freezer.is_busy());
            world.pass(millis_of(1));
        }
        world.settle();
        assert_eq!(world.freezer.is_busy(), freezes, "{etcd:?} {guard:?}");
        let warnings = logged.warnings();
        assert_eq!(warnings.len(), usize::from(warns), "{warnings:?}");
        assert!(
            warnings.iter().all(|line| line.contains("quiesce.etcd")),
            "{warnings:?}"
        );
        world.finish();
        let events = world.events();
        match freezes {
            true => assert_eq!(events, [Event::Frozen(2)]),
            false => assert!(
                matches!(&events[..], [Event::Failed(why)] if why.contains("etcd")),
                "{events:?}"
            ),
        }
        // An answer that comes late changes nothing.
        world.quiesce.handle_etcd(three(3), world.now);
        world.settle();
        assert_eq!(world.events(), []);
    }
}

#[test]
fn an_abort_while_etcd_is_looked_at_ends_it_at_once() {
    let mut world = World::ready(QuiesceMode::Freeze);
    world.facts.node.machine_type = Some(MachineType::Init);
    world.begin().unwrap();
    world.thaw(Why::Aborted);
    assert!(matches!(&world.events()[..], [Event::Failed(_)]));
    assert_eq!(world.quiesce.phase(), Phase::Idle);
    world
        .quiesce
        .handle_etcd(Some(Etcd { voters: 3, live: 3 }), world.now);
    world.settle();
    assert!(!world.freezer.is_busy());
}

#[test]
fn what_a_predecessor_left_frozen_is_thawed_first_whatever_the_stage_and_the_settings_exclude() {
    let exclude = vec![Glob::new("EPHEMERAL")];
    let mut world = World::new(&QuiesceConfig {
        exclude,
        ..config(QuiesceMode::Freeze)
    });
    world.freezer.left_frozen = vec!["nvme97n1p6".to_owned()];
    world.facts.stage = Some(Stage::Booting);
    let logged = Logged::new();
    world.settle();
    assert_eq!(world.freezer.left_frozen.len(), 1, "no volumes are known");
    world.know();
    let Some(QuiesceOrder::Freezer(rescue @ Command::Rescue(_))) = world.quiesce.poll_order()
    else {
        panic!("no rescue");
    };
    world.facts.stage = Some(Stage::Running);
    let refused = world.quiesce.begin(request(None), &world.facts, world.now);
    assert!(reason(refused).contains("from before"));
    logged.take();
    world.freezer.handle(&rescue, world.now);
    world.settle();
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("/var (EPHEMERAL)") && !warnings[0].contains("u-data"));
    // Once.
    world.freezer.left_frozen = vec!["nvme97n1p6".to_owned()];
    world.know();
    world.settle();
    assert_eq!(world.freezer.left_frozen.len(), 1);
    world.begin().unwrap();
}

#[test]
fn nothing_is_rescued_in_mode_sync_and_nothing_at_all_is_done_while_off() {
    for (mode, orders) in [(QuiesceMode::Off, 0), (QuiesceMode::Sync, 1)] {
        let mut world = World::new(&config(mode));
        world.quiesce.handle_report(&Report::Ready(None), world.now);
        world.know();
        let ordered: Vec<_> = std::iter::from_fn(|| world.quiesce.poll_order()).collect();
        assert_eq!(ordered.len(), orders);
        assert!(
            ordered
                .iter()
                .all(|it| matches!(it, QuiesceOrder::Freezer(Command::Probe(_))))
        );
    }
}

#[test]
fn volumes_are_tried_once_and_when_they_have_changed() {
    let mut world = World::ready(QuiesceMode::Freeze);
    assert_eq!(world.quiesce.shown(), "ready");
    let words =
        "can be frozen: u-data at /var/mnt/data (nvme98n1p1), EPHEMERAL at /var (nvme97n1p6)";
    let works = Outcome::Works(words.to_owned());
    assert_eq!(world.quiesce.check(), works);
    world.know();
    assert_eq!(world.quiesce.poll_order(), None);
    let mounts = world.facts.storage.mounts.as_mut().unwrap();
    mounts.retain(|mount| mount.target == "/var");
    world.know();
    let logged = Logged::new();
    let order = world.quiesce.poll_order();
    assert!(matches!(
        order,
        Some(QuiesceOrder::Freezer(Command::Probe(_)))
    ));
    world
        .quiesce
        .handle_report(&Report::Probed(outcomes(&[Each::Failed(2)])), world.now);
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let problem = "/var (EPHEMERAL): No such file or directory";
    assert!(warnings[0].contains(problem));
    assert_eq!(world.quiesce.shown(), format!("unavailable: {problem}"));
    assert!(matches!(world.quiesce.check(), Outcome::Fails { problem: why, .. } if why == problem));
}

#[test]
fn what_is_shown_and_checked_says_why_nothing_can_be_frozen() {
    let cases: [(&str, Change); 5] = [
        ("off", |it| it.quiesce.configure(&config(QuiesceMode::Off))),
        ("ready (sync)", |it| {
            it.quiesce.configure(&config(QuiesceMode::Sync));
        }),
        (
            "unavailable: the freezer lacks the capability CAP_SYS_ADMIN",
            |it| {
                it.quiesce.handle_report(&Report::Ready(Some(1)), START);
            },
        ),
        ("unavailable: Talos has not listed the volumes yet", |it| {
            it.facts.storage.volumes = None;
            it.know();
        }),
        ("frozen", |it| {
            it.begin().unwrap();
            it.finish();
        }),
    ];
    for (shown, change) in cases {
        let mut world = World::ready(QuiesceMode::Freeze);
        change(&mut world);
        assert_eq!(world.quiesce.shown(), shown);
    }
}

#[test]
fn what_may_not_be_frozen_can_still_be_synced() {
    let mut world = World::ready(QuiesceMode::Sync);
    world
        .quiesce
        .handle_report(&Report::Ready(Some(1)), world.now);
    assert_eq!(world.quiesce.shown(), "ready (sync)");
    world.begin().unwrap();
    world.finish();
    assert_eq!(world.events(), [Event::Synced(2)]);
}
