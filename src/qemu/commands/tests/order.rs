//! Requests are carried out one after the other, each is answered once, and a host that floods costs no memory.

use proptest::prelude::*;

use super::freeze::{config, node_with_volumes};
use super::*;
use crate::config::QuiesceMode;
use crate::facts::Reading;
use crate::freeze::model::FreezerModel;
use crate::power::{PowerOperation, PowerOutcome, Press};

const SHUTDOWN: &str = r#"{"execute": "guest-shutdown"}"#;
const PING: &str = r#"{"execute": "guest-ping"}"#;

fn sync(id: usize) -> String {
    json!({"execute": "guest-sync", "arguments": {"id": id}}).to_string()
}

#[test]
fn a_request_that_waits_holds_up_those_behind_it() {
    let mut bench = Bench::of(&node());
    bench.send(&format!("{SHUTDOWN}{PING}{}", sync(4)));
    assert!(bench.replies().is_empty());
    let outcome = PowerOutcome::Accepted;
    bench
        .agent
        .handle_power(PowerOperation::Shutdown, outcome, bench.now);
    let ok = || json!({"return": {}});
    assert_eq!(bench.replies(), [ok(), ok(), json!({"return": 4})]);
}

#[test]
fn too_many_requests_behind_one_that_waits_are_refused_each() {
    let mut bench = Bench::of(&node());
    bench.send(SHUTDOWN);
    for id in 0..10_000 {
        bench.send(&sync(id));
    }
    bench
        .agent
        .handle_power(PowerOperation::Shutdown, PowerOutcome::Accepted, bench.now);
    let mut replies = Vec::new();
    loop {
        let more = bench.pass(Duration::ZERO);
        if more.is_empty() {
            break;
        }
        replies.extend(more);
    }
    assert_eq!(replies.len(), 10_001);
    let numbers: Vec<_> = replies[1..]
        .iter()
        .map_while(|it| it["return"].as_u64())
        .collect();
    assert_eq!(numbers, (0..64).collect::<Vec<_>>());
    let refused = &replies[65..];
    assert!(
        refused
            .iter()
            .all(|it| *it == generic("too many requests at once"))
    );
    assert_eq!(bench.get("guest-ping"), json!({}));
}

#[test]
fn no_more_replies_are_made_than_the_host_takes() {
    let mut bench = Bench::of(&node());
    let info = r#"{"execute": "guest-info"}"#;
    for _ in 0..1000 {
        bench.send(info);
    }
    let waiting: usize = bench.agent.replies.iter().map(Vec::len).sum();
    assert!((64 << 10..80 << 10).contains(&waiting), "{waiting}");
    // While nothing is taken, there is nothing to wake up for.
    assert_eq!(bench.agent.poll_timeout(), None);
    let mut count = 0;
    loop {
        let more = bench.pass(Duration::ZERO).len();
        if more == 0 {
            break;
        }
        count += more;
    }
    assert_eq!(count, 1000);
}

#[test]
fn an_error_of_the_stream_keeps_its_place() {
    let mut bench = Bench::of(&node());
    bench.send(&format!("{}[1]{PING}", sync(1)));
    let replies = bench.replies();
    assert_eq!(replies[0], json!({"return": 1}));
    assert!(replies[1]["error"].is_object(), "{replies:?}");
    assert_eq!(replies[2], json!({"return": {}}));
}

/// The freezer gets what is for it, and is as far as `now`.
fn freeze(bench: &mut Bench, freezer: &mut FreezerModel) {
    let (orders, others): (Vec<_>, Vec<_>) = bench
        .orders()
        .into_iter()
        .partition(|order| matches!(order, Order::Freezer(_)));
    bench.agent.orders.extend(others);
    for order in orders {
        if let Order::Freezer(command) = order {
            freezer.handle(&command, bench.now);
        }
    }
    freezer.handle_timeout(bench.now);
    while let Some(report) = freezer.poll_report() {
        bench.agent.handle_freezer(&report, bench.now);
    }
}

/// Steps in any order: after all that waits has come to its end, each request of a client that stays has one reply, and
/// nothing is frozen.
fn play(steps: &[u8]) {
    let mut bench = Bench::of(&node());
    let mut freezer = FreezerModel::default();
    bench.agent.configure_quiesce(&config(QuiesceMode::Freeze));
    bench.facts(&node_with_volumes());
    freeze(&mut bench, &mut freezer);
    freeze(&mut bench, &mut freezer);
    let (mut sent, mut answered) = (0_usize, 0_usize);
    let commands = [
        PING,
        SHUTDOWN,
        r#"{"execute": "guest-network-get-interfaces"}"#,
        r#"{"execute": "guest-get-fsinfo"}"#,
        r#"{"execute": "guest-get-time"}"#,
        r#"{"execute": "guest-nope"}"#,
        r#"{"execute": "guest-fsfreeze-freeze"}"#,
        r#"{"execute": "guest-fsfreeze-thaw"}"#,
    ];
    for step in steps {
        match step % 15 {
            step @ 0..8 => {
                bench.send(commands[usize::from(step)]);
                sent += 1;
            }
            8 => {
                bench.agent.handle_left(bench.now);
                (sent, answered) = (0, 0);
            }
            9 => answered += bench.pass(seconds(1)).len(),
            10 => answered += bench.pass(seconds(60)).len(),
            11 => bench.facts(&Facts::default()),
            12 => freeze(&mut bench, &mut freezer),
            13 => {
                freezer.finish(bench.now);
                freeze(&mut bench, &mut freezer);
            }
            _ => {
                for order in bench.orders() {
                    match order {
                        Order::Power(Press { is_again: true, .. }) => {}
                        Order::Power(Press { operation, .. }) => {
                            let outcome = PowerOutcome::Rejected("why".into());
                            bench.agent.handle_power(operation, outcome, bench.now);
                        }
                        Order::Measure(subject) => bench.measured(subject, Measured::Failed),
                        Order::Read(_) => {
                            let reading = Reading::Time(seconds(1));
                            bench.agent.handle_reading(&reading, bench.now);
                        }
                        Order::Inquiry(..) => panic!("no guest operations on QEMU"),
                        Order::LookAtEtcd
                        | Order::FollowEtcd(_)
                        | Order::HandOver
                        | Order::LookForLife => panic!("no control plane"),
                        Order::Freezer(command) => freezer.handle(&command, bench.now),
                        Order::Work(work) => match work {},
                    }
                }
            }
        }
    }
    for _ in 0..=sent {
        answered += bench.pass(seconds(40)).len();
        freeze(&mut bench, &mut freezer);
    }
    bench.pass(seconds(40));
    freeze(&mut bench, &mut freezer);
    assert_eq!(answered, sent);
    assert!(!freezer.is_frozen());
    assert_eq!(bench.agent.poll_timeout(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_of_a_client_that_stays_is_answered_once(steps in prop::collection::vec(any::<u8>(), 0..60)) {
        play(&steps);
    }
}
