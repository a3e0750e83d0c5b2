//! Operations that are held, and drains that are bounded.

use super::*;
use crate::config::{DrainDeadline, EtcdConfig, PowerConfig, QuorumGuard, ShutdownConfig};
use crate::facts::{EtcdLook, MachineType};

const SECOND: Duration = Duration::from_secs(1);

fn config() -> PowerConfig {
    PowerConfig {
        deadline: 30 * SECOND,
        shutdown: ShutdownConfig {
            drain_deadline: DrainDeadline::After(60 * SECOND),
            budget: 100 * SECOND,
            escalate_after: 30 * SECOND,
        },
        etcd: EtcdConfig {
            guard: QuorumGuard::Hold,
            hold: 30 * SECOND,
            ..EtcdConfig::default()
        },
        ..PowerConfig::default()
    }
}

/// A control plane, of whose two others one is missing.
fn at_stake() -> News {
    News::Etcd(EtcdLook {
        members: Some(Etcd { voters: 3, live: 2 }),
        ..EtcdLook::default()
    })
}

/// A daemon with this news to come, whose button has just been pressed.
fn pressed(
    operation: PowerOperation,
    news: Vec<(u64, News)>,
) -> (Core<Busy, Newsy, Paused>, Asked) {
    let mut node = Newsy::with(std::iter::once((0, News::Facts)).chain(news));
    node.facts.node.machine_type = Some(MachineType::ControlPlane);
    let asked = Rc::clone(&node.asked);
    let mut core = core(Busy::default(), node);
    core.set_power(&config());
    core.front_end.due = Some(Duration::ZERO);
    let press = press(operation);
    core.front_end.orders.push_back(press);
    (core, asked)
}

/// Lets the daemon run so long.
async fn run(core: &mut Core<Busy, Newsy, Paused>, time: Duration) {
    let end = Instant::now() + time;
    loop {
        tokio::select! {
            biased;
            () = sleep_until(end) => return,
            _ = core.step() => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_held_when_the_end_comes_is_asked_for_at_once() {
    for (operation, accepts) in [
        (PowerOperation::Shutdown, true),
        (PowerOperation::Reboot, false),
    ] {
        let mut news = vec![(100, at_stake())];
        if accepts {
            news.push((5_100, accepted()));
        }
        let (mut core, asked_of) = pressed(operation, news);
        // The facts come first.
        let press = core.front_end.orders.pop_front().unwrap();
        core.step().await;
        core.step().await;
        core.front_end.orders.push_back(press);
        let start = Instant::now();
        run(&mut core, 5 * SECOND).await;
        assert_eq!(core.front_end.phases, ["holding"]);
        core.front_end.debt = None;
        core.close().await;
        let all = asked(&asked_of, start);
        assert_eq!(all[0], (0, "etcd"));
        assert_eq!(all.last().unwrap(), &(5_000, "power"));
        // The call has time to reach Talos, whoever waits for it.
        let took = start.elapsed() - 5 * SECOND;
        let limit = if accepts { 300 } else { 710 };
        assert!(took <= Duration::from_millis(limit), "{took:?}");
        assert!(accepts || took >= OUTCOME_WAIT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_takes_too_long_is_ended_and_the_first_call_followed_no_longer() {
    let second = News::Heard(CallId::new(2), Heard::Outcome(PowerOutcome::Accepted));
    let news = vec![
        (200, accepted()),
        (10, News::Heard(CallId::new(1), Heard::Draining)),
        (61_000, second),
    ];
    let (mut core, asked_of) = pressed(PowerOperation::Shutdown, news);
    core.front_end.orders.clear();
    core.step().await;
    core.step().await;
    core.node.facts.node.machine_type = None;
    core.set_power(&PowerConfig {
        etcd: EtcdConfig {
            guard: QuorumGuard::Off,
            ..EtcdConfig::default()
        },
        ..config()
    });
    core.front_end
        .orders
        .push_back(press(PowerOperation::Shutdown));
    let start = Instant::now();
    run(&mut core, 90 * SECOND).await;
    let expected = [(0, "power"), (60_210, "forced power"), (61_210, "forget")];
    assert_eq!(asked(&asked_of, start), expected);
    assert_eq!(core.front_end.phases, ["draining", "hurrying", "stopping"]);
    let answers = core.front_end.handled.iter();
    assert_eq!(answers.filter(|(what, _)| *what == "power").count(), 1);
}
