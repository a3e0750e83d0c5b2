//! One rule a test, on virtual time.

mod day;
mod world;

use super::*;
use crate::facts::Stage;
use crate::log::logged::Logged;
use crate::vmware::services::service::NOT_OFFERED_DELAY;
use world::{SETTLE, SILENT_FOR, UNREADY_FOR, WINDOW, World, config, minutes, seconds};

#[test]
fn while_it_is_off_nothing_is_asked_and_nothing_is_due() {
    let mut world = World::new(HaConfig::default());
    world.pass(minutes(60));
    assert!(world.sent.is_empty() && world.looks == 0);
    assert_eq!(world.monitor.deadline(), None);
    assert_eq!(world.monitor.check(), None);
}

#[test]
fn it_is_enabled_after_settle_and_marked_every_eight_seconds() {
    let mut world = World::new(config(HaMonitor::Node));
    world.pass(SETTLE - seconds(1));
    assert!(
        world
            .sent
            .iter()
            .all(|(_, sent)| *sent == Command::IsEnabled)
    );
    assert_eq!(world.looks, 0, "Talos is left alone");
    world.sent.clear();
    world.pass(seconds(2));
    let [(enabled, Command::Enable), (marked, Command::MarkActive)] = world.sent[..] else {
        panic!("{:?}", world.sent)
    };
    assert!(marked - enabled < seconds(1));
    world.sent.clear();
    world.pass(minutes(10));
    let marks: Vec<_> = world
        .sent
        .iter()
        .filter(|(_, sent)| *sent == Command::MarkActive)
        .collect();
    assert!(
        marks
            .windows(2)
            .all(|two| two[1].0 - two[0].0 == MARK_EVERY)
    );
    assert!(marks.len() >= 74 && world.count(Command::GetAppStatus) >= 9);
    assert!(world.host.resets.is_empty());
}

#[test]
fn what_was_never_seen_alive_is_not_monitored() {
    for (monitor, stage, ready, life) in [
        (HaMonitor::Node, Stage::Running, true, Life::Silent),
        (
            HaMonitor::Node,
            Stage::Running,
            true,
            Life::Unclear("no".into()),
        ),
        (HaMonitor::Node, Stage::Maintenance, true, Life::Answers),
        (HaMonitor::Node, Stage::Installing, true, Life::Answers),
        (HaMonitor::Node, Stage::Unknown, true, Life::Answers),
        (HaMonitor::Ready, Stage::Booting, false, Life::Answers),
        (HaMonitor::Ready, Stage::Running, false, Life::Answers),
    ] {
        let mut world = World::new(config(monitor));
        world.life = life;
        world.stage(stage, ready);
        world.pass(minutes(120));
        assert_eq!(world.count(Command::Enable), 0, "{monitor:?} {stage:?}");
        world.silent(false);
        world.stage(Stage::Running, true);
        world.pass(seconds(15));
        assert!(world.host.enabled, "{monitor:?} {stage:?}");
    }
}

#[test]
fn a_silent_talos_is_dead_after_silent_for_which_is_said_before() {
    let mut world = World::monitored(HaMonitor::Node);
    let logged = Logged::new();
    world.silent(true);
    let death = world.now;
    world.pass(SILENT_FOR - WARN_BEFORE);
    assert_eq!(logged.warnings(), [""; 0]);
    world.pass(seconds(11));
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("will reset this machine unless it recovers"));
    assert!(warnings[0].contains("within_s=60"), "{warnings:?}");
    world.pass(seconds(30));
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("no more marks are sent"));
    world.pass(minutes(2));
    let [reset] = world.host.resets[..] else {
        panic!("{:?}", world.host.resets)
    };
    assert!(reset >= death + SILENT_FOR && reset <= death + SILENT_FOR + WINDOW + seconds(10));
}

#[test]
fn the_shortest_silent_for_is_warned_of_60_s_before_the_reset() {
    let mut world = World::new(HaConfig {
        silent_for: minutes(1),
        ..config(HaMonitor::Node)
    });
    world.pass(SETTLE + minutes(3));
    let logged = Logged::new();
    world.silent(true);
    world.pass(minutes(2));
    let warnings = logged.warnings();
    assert!(warnings[0].contains("within_s=60"), "{warnings:?}");
    assert_eq!(world.host.resets.len(), 1);
}

#[test]
fn a_node_that_is_back_before_the_reset_is_marked_again() {
    let mut world = World::monitored(HaMonitor::Node);
    let logged = Logged::new();
    world.silent(true);
    world.pass(SILENT_FOR + seconds(12));
    assert_eq!(logged.warnings().len(), 2);
    world.silent(false);
    world.pass(minutes(10));
    assert!(world.host.enabled && world.host.resets.is_empty());
    assert!(
        logged
            .take()
            .iter()
            .any(|(_, line)| line.contains("the machine lives"))
    );
}

#[test]
fn unready_counts_only_where_it_is_asked_for_and_after_its_grace() {
    for (monitor, resets) in [(HaMonitor::Node, 0), (HaMonitor::Ready, 1)] {
        let mut world = World::monitored(monitor);
        for _ in 0..5 {
            world.stage(Stage::Running, false);
            world.pass(UNREADY_FOR - seconds(5));
            world.stage(Stage::Running, true);
            world.pass(seconds(1));
        }
        assert!(world.host.resets.is_empty(), "an upgrade of Kubernetes");
        let began = world.now;
        world.stage(Stage::Running, false);
        world.pass(UNREADY_FOR * 2);
        assert_eq!(world.host.resets.len(), resets);
        for reset in world.host.resets {
            let took = reset - began;
            assert!(took >= UNREADY_FOR && took <= UNREADY_FOR + WINDOW + seconds(10));
        }
    }
}

#[test]
fn each_planned_end_comes_after_disable() {
    for stage in [
        Stage::Rebooting,
        Stage::ShuttingDown,
        Stage::Upgrading,
        Stage::Resetting,
        Stage::Installing,
        Stage::Maintenance,
    ] {
        let mut world = World::monitored(HaMonitor::Ready);
        world.stage(stage, true);
        world.pass(seconds(1));
        assert_eq!(world.last(), Some(Command::Disable), "{stage:?}");
        world.silent(true);
        world.pass(minutes(60));
        assert!(world.host.resets.is_empty());
    }
    let ends: [fn(&mut World); 3] = [
        |world| world.is_end = true,
        |world| world.monitor.stop(),
        |world| world.monitor.configure(HaConfig::default(), world.now),
    ];
    for end in ends {
        let mut world = World::monitored(HaMonitor::Ready);
        end(&mut world);
        world.drive();
        assert_eq!(world.last(), Some(Command::Disable));
        let is_owing = world.monitor.is_owing();
        world.pass(minutes(60));
        assert_eq!(world.last(), Some(Command::Disable));
        assert!(!world.host.enabled && world.host.resets.is_empty());
        assert!(!world.monitor.is_owing());
        assert_eq!(is_owing, world.monitor.stops);
    }
}

#[test]
fn an_end_that_does_not_come_is_followed_by_marks_without_settle() {
    let mut world = World::monitored(HaMonitor::Node);
    world.is_end = true;
    world.pass(seconds(100));
    assert!(!world.host.enabled);
    world.is_end = false;
    world.pass(seconds(12));
    assert!(world.host.enabled && world.host.resets.is_empty());
}

#[test]
fn a_host_that_has_forgotten_is_asked_to_count_again() {
    // Gray, with a new session and without.
    for connects in [true, false] {
        let mut world = World::monitored(HaMonitor::Node);
        world.host.enabled = false;
        if connects {
            world.connect();
        }
        world.pass(seconds(10));
        assert!(world.host.enabled);
        assert_eq!(world.count(Command::Enable), 1);
    }
    // Although Talos is silent at that moment: it was seen alive before.
    let mut world = World::monitored(HaMonitor::Node);
    world.silent(true);
    world.pass(seconds(30));
    world.host.enabled = false;
    world.connect();
    world.pass(seconds(1));
    assert!(world.host.enabled);
    world.pass(SILENT_FOR + minutes(1));
    assert_eq!(world.host.resets.len(), 1);
}

#[test]
fn a_restarted_agent_goes_on_with_the_marks_at_once() {
    let mut world = World::monitored(HaMonitor::Node);
    for _ in 0..3 {
        world.restart_agent(config(HaMonitor::Node));
        world.pass(seconds(1));
        assert_eq!(world.last(), Some(Command::MarkActive));
    }
    world.pass(minutes(60));
    assert!(world.host.enabled && world.host.resets.is_empty());
}

#[test]
fn what_was_enabled_before_the_machine_started_is_not_taken_over() {
    let mut world = World::monitored(HaMonitor::Node);
    world.now = seconds(15);
    world.host = world::Host::default();
    world.host.enabled = true;
    world.restart_agent(config(HaMonitor::Node));
    world.pass(SETTLE - seconds(10));
    assert_eq!(world.count(Command::Disable), 1);
    assert!(!world.host.enabled && world.host.resets.is_empty());
    world.pass(minutes(1));
    assert!(world.host.enabled);
}

#[test]
fn a_machine_that_stays_dead_is_reset_once() {
    let mut world = World::monitored(HaMonitor::Node);
    world.silent(true);
    world.pass(SILENT_FOR + minutes(1));
    assert_eq!(world.host.resets.len(), 1);
    world.now = seconds(30);
    world.restart_agent(config(HaMonitor::Node));
    world.pass(minutes(600));
    assert_eq!(world.host.resets.len(), 1);
    world.silent(false);
    world.pass(minutes(1));
    assert!(world.host.enabled);
}

#[test]
fn a_host_without_it_is_named_once_and_asked_again_in_the_next_session() {
    for (words, remedy, most) in [
        (&b"Unknown command"[..], "VM and Application Monitoring", 4),
        // Every ten minutes, too.
        (b"Permission denied", "1024", 14),
    ] {
        let logged = Logged::new();
        let mut world = World::new(config(HaMonitor::Node));
        world.host.refuses = Some(words);
        world.pass(minutes(60));
        world.connect();
        world.pass(minutes(60));
        let warnings = logged.warnings();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(remedy));
        assert!(world.sent.len() <= most, "{:?}", world.sent);
        assert_eq!(world.monitor.deadline().is_some(), most > 4);
        assert!(matches!(world.monitor.check(), Some(Outcome::Fails { .. })));
        world.host.refuses = None;
        world.connect();
        world.pass(minutes(1));
        assert!(world.host.enabled);
        assert!(matches!(world.monitor.check(), Some(Outcome::Works(_))));
    }
}

#[test]
fn a_remedy_counts_at_a_reload_and_for_some_words_without_one() {
    for (words, reloads) in [
        (&b"Unknown command"[..], true),
        (b"Permission denied", true),
        (b"Permission denied", false),
    ] {
        let mut world = World::new(config(HaMonitor::Node));
        world.host.refuses = Some(words);
        world.pass(minutes(60));
        world.host.refuses = None;
        if reloads {
            world.monitor.configure(config(HaMonitor::Node), world.now);
            world.pass(minutes(1));
        } else {
            world.pass(NOT_OFFERED_DELAY + minutes(1));
        }
        assert!(world.host.enabled, "{reloads}");
    }
}

#[test]
fn a_host_that_refuses_for_a_moment_has_its_marks_in_time() {
    for moment in [1, 5, 15, 20] {
        let mut world = World::monitored(HaMonitor::Node);
        for _ in 0..20 {
            world.host.refuses = Some(b"Unknown command");
            world.pass(seconds(moment));
            world.host.refuses = None;
            world.pass(seconds(40));
        }
        assert!(world.host.enabled && world.host.resets.is_empty());
        world.host.refuses = Some(b"Unknown command");
        world.is_end = true;
        world.pass(seconds(moment));
        world.host.refuses = None;
        world.pass(seconds(1));
        assert!(!world.host.enabled, "a planned end is one");
        assert!(world.host.resets.is_empty());
    }
}

#[test]
fn a_machine_that_slept_is_not_dead() {
    for silent in [false, true] {
        let mut world = World::monitored(HaMonitor::Ready);
        world.silent(silent);
        world.stage(Stage::Running, false);
        world.pass(seconds(100));
        world.suspend(minutes(8 * 60));
        world.host.enabled = false;
        world.silent(false);
        world.stage(Stage::Running, true);
        world.pass(seconds(15));
        assert!(world.host.enabled, "enabled again");
        world.pass(minutes(60));
        assert!(world.host.resets.is_empty());
    }
}

#[test]
fn lost_and_slow_commands_do_not_make_a_mark_late() {
    for (takes, loses) in [(7, 0), (7, 1), (3, 2), (0, 40), (12, 0)] {
        let mut world = World::monitored(HaMonitor::Node);
        for _ in 0..20 {
            (world.takes, world.loses) = (seconds(takes), loses);
            if takes == 0 {
                world.takes = Duration::from_millis(5);
            }
            world.pass(minutes(2));
            world.loses = 0;
        }
        assert!(world.host.resets.is_empty(), "{takes} s, {loses} lost");
    }
}

#[test]
fn what_says_nothing_of_the_machine_ends_the_monitoring_and_resets_nothing() {
    let logged = Logged::new();
    let mut world = World::monitored(HaMonitor::Ready);
    world.life = Life::Unclear("the certificate has expired".into());
    // Facts are of before, too.
    world.stage(Stage::Running, false);
    world.pass(minutes(60));
    assert!(!world.host.enabled && world.host.resets.is_empty());
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("the certificate has expired"));
    assert!(matches!(world.monitor.check(), Some(Outcome::Fails { .. })));
    world.silent(false);
    world.stage(Stage::Running, true);
    world.pass(minutes(1));
    assert!(world.host.enabled);
}

#[test]
fn a_host_that_answers_nonsense_is_not_asked_faster() {
    let mut world = World::monitored(HaMonitor::Node);
    world.sent.clear();
    // Enabled and forgotten at each step.
    for _ in 0..600 {
        world.host.enabled = false;
        world.pass(seconds(1));
    }
    let per_minute = world.sent.len() / 10;
    assert!(per_minute < 30, "{per_minute} a minute");
    assert!(world.host.resets.is_empty());
}

#[test]
fn a_late_mark_that_the_host_complains_of_is_said_once() {
    let logged = Logged::new();
    let mut monitor = Monitor::default();
    monitor.configure(config(HaMonitor::Node), seconds(1000));
    for word in [&b"red"[..], b"red", b"green", b"green", b"odd"] {
        monitor.flight = Some(Flight {
            command: Command::GetAppStatus,
            since: seconds(1000),
        });
        monitor.handle_outcome(&RpciOutcome::Accepted(word.to_vec()), seconds(1000));
    }
    assert_eq!(logged.warnings().len(), 1);
}
