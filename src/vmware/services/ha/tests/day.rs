//! A day of a node: all that may happen to it, and no reset that is wrong or missing.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{SILENT_FOR, UNREADY_FOR, WINDOW, World, config, minutes, seconds};
use crate::config::HaMonitor;
use crate::facts::{Life, Stage};

/// What happens.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// Kubernetes is upgraded: unready for so many seconds.
    Upgrade(u64),
    /// Talos answers nothing for so many seconds: machined starts again, or hangs.
    Silence(u64),
    /// vMotion: the host forgets.
    Migration,
    /// The agent is killed and started again.
    Restart,
    /// A power operation is asked for, and refused after so many seconds.
    Refused(u64),
    /// The host is slow or loses commands.
    SlowHost(u64, u32),
    /// A certificate expires, and is renewed after so many seconds.
    Unclear(u64),
    /// The machine sleeps.
    Suspend(u64),
    /// Nothing, for so many seconds.
    Quiet(u64),
}

/// Plays it. Whether the machine was reset.
fn play(world: &mut World, happening: Happening, monitor: HaMonitor) {
    match happening {
        Happening::Upgrade(time) => {
            world.stage(Stage::Running, false);
            world.pass(seconds(time));
            world.stage(Stage::Running, true);
        }
        Happening::Silence(time) => {
            world.silent(true);
            world.pass(seconds(time));
            world.silent(false);
        }
        Happening::Migration => {
            world.host.enabled = false;
            world.connect();
        }
        Happening::Restart => world.restart_agent(config(monitor)),
        Happening::Refused(time) => {
            world.is_end = true;
            world.pass(seconds(time));
            world.is_end = false;
        }
        Happening::SlowHost(takes, loses) => {
            let before = std::mem::replace(&mut world.takes, seconds(takes));
            world.loses = loses;
            world.pass(seconds(60));
            (world.takes, world.loses) = (before, 0);
        }
        Happening::Unclear(time) => {
            world.life = Life::Unclear("expired".into());
            world.pass(seconds(time));
            world.silent(false);
        }
        Happening::Suspend(time) => world.suspend(seconds(time)),
        Happening::Quiet(time) => world.pass(seconds(time)),
    }
    world.pass(seconds(20));
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        // Each bounded by what the settings allow, with the questions in between.
        (10..UNREADY_FOR.as_secs()).prop_map(Happening::Upgrade),
        (1..SILENT_FOR.as_secs()).prop_map(Happening::Silence),
        Just(Happening::Migration),
        Just(Happening::Restart),
        (1..200_u64).prop_map(Happening::Refused),
        (1..8_u64, 0..2_u32).prop_map(|(takes, loses)| Happening::SlowHost(takes, loses)),
        (1..1000_u64).prop_map(Happening::Unclear),
        (60..30_000_u64).prop_map(Happening::Suspend),
        (1..2000_u64).prop_map(Happening::Quiet),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// Not one wrong reset; and when the machine really dies at last, one, in time.
    #[test]
    fn a_day_has_no_wrong_reset_and_the_right_one(
        happenings in prop::collection::vec(happening(), 20..80),
        is_ready in any::<bool>(),
        dies_silently in any::<bool>(),
    ) {
        let monitor = if is_ready { HaMonitor::Ready } else { HaMonitor::Node };
        let mut world = World::monitored(monitor);
        for happening in happenings {
            play(&mut world, happening, monitor);
            prop_assert!(world.host.resets.is_empty(), "{happening:?}: {:?}", world.host.resets);
        }
        // What follows a restart waits for settle where the host had been asked to count no longer.
        world.pass(minutes(30));
        prop_assert!(world.host.enabled);
        let death = world.now;
        let grace = if dies_silently || !is_ready {
            world.silent(true);
            SILENT_FOR
        } else {
            world.stage(Stage::Running, false);
            UNREADY_FOR
        };
        world.pass(grace + WINDOW + seconds(20));
        prop_assert_eq!(world.host.resets.len(), 1);
        let took = world.host.resets[0] - death;
        prop_assert!(took >= grace && took <= grace + WINDOW + seconds(10), "{took:?}");
    }
}

#[test]
fn a_day_as_it_may_be() {
    for monitor in [HaMonitor::Node, HaMonitor::Ready] {
        let mut world = World::monitored(monitor);
        let end = world.now + Duration::from_secs(24 * 3600);
        let all = [
            Happening::Upgrade(560),
            Happening::Silence(40),
            Happening::Migration,
            Happening::Restart,
            Happening::Refused(90),
            Happening::SlowHost(7, 1),
            Happening::Silence(280),
            Happening::Quiet(3000),
            Happening::Unclear(100),
            Happening::Suspend(3600),
        ];
        for happening in all.iter().cycle() {
            if world.now >= end {
                break;
            }
            play(&mut world, *happening, monitor);
            assert!(world.host.resets.is_empty(), "{happening:?}");
        }
    }
}
