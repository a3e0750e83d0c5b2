//! Faults at each piece of news from Talos and at the power call, as they reach the services.
//!
//! The client itself, with a real server behind it, is tried in `machined.rs` beside this.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use talos_vmtoolsd::config::TransportChoice;
use talos_vmtoolsd::facts::Facts;
use talos_vmtoolsd::power::PowerOutcome;
use talos_vmtoolsd::vmware::link::LinkSettings;
use talos_vmtoolsd::vmware::rpc::message_channel::Bandwidth;
use talos_vmtoolsd::vmware::transport::vsock::HostVsock;
use tokio::time::Instant;
use vmx::{Host, HostConfig};

use crate::backdoor::{self, Port};
use crate::node;
use crate::report::{self, Outcome};
use crate::session::{self, Bounds, Scripted, TalosScript};

/// One fact that becomes known, or changes.
type Change = fn(&mut Facts);

/// The news of a start and of a change of address, in Talos' order.
const NEWS: [(u64, Change); 9] = [
    (300, |facts| facts.talos = first().talos),
    (310, |facts| facts.host_name = first().host_name),
    (320, |facts| facts.links = first().links),
    (330, |facts| facts.addresses = first().addresses),
    (340, |facts| facts.node_addresses = first().node_addresses),
    (350, |facts| facts.virtual_ips = first().virtual_ips),
    (1000, |facts| facts.addresses = second().addresses),
    (1010, |facts| facts.node_addresses = second().node_addresses),
    (1020, |facts| {
        facts.stage = Some(talos_vmtoolsd::facts::Stage::Running)
    }),
];

/// Which watch brings each piece of news.
const WATCHES: [u8; NEWS.len()] = [0, 1, 2, 3, 4, 5, 3, 4, 6];

fn first() -> Facts {
    node::with_address(node::FIRST_ADDRESS)
}

fn second() -> Facts {
    node::with_address(node::ADDRESS)
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// This watch breaks before the news and is open again five seconds later; the others go on.
    WatchLost,
    /// The stream falls silent here for half a minute, and then goes on.
    Silent,
    /// Talos goes away here; when it is back everything is told once more.
    Restart,
    /// The news comes three times.
    Repeated,
    /// A new watch shows its resources one by one: for a moment there are none.
    EmptyFirst,
    /// The power call is refused this many times.
    Refused(&'static str, usize),
    /// The power call takes 30 s.
    Slow,
    /// Talos accepts, and then nothing happens, this many times.
    DidNotHappen(usize),
}

#[derive(Clone, Copy, Debug)]
struct Case {
    fault: Fault,
    /// The first piece of news that it concerns.
    at: usize,
}

#[test]
fn a_fault_at_any_news_or_power_call_is_survived() {
    let mut cases = Vec::new();
    for at in 0..NEWS.len() {
        for fault in [
            Fault::WatchLost,
            Fault::Silent,
            Fault::Restart,
            Fault::Repeated,
            Fault::EmptyFirst,
        ] {
            cases.push(Case { fault, at });
        }
    }
    for times in [1, 3] {
        for code in [
            "unavailable",
            "permission denied",
            "unimplemented",
            "deadline exceeded",
        ] {
            let fault = Fault::Refused(code, times);
            cases.push(Case { fault, at: 0 });
        }
        let fault = Fault::DidNotHappen(times);
        cases.push(Case { fault, at: 0 });
    }
    cases.push(Case {
        fault: Fault::Slow,
        at: 0,
    });
    report::run(
        "faults at each piece of news from Talos and at the power call",
        &cases,
        crate::processors(),
        |case| format!("{:?}", case.fault),
        play,
    );
}

fn script(case: &Case) -> TalosScript {
    let ms = Duration::from_millis;
    let mut script = TalosScript::default();
    let mut changes: Vec<(Duration, Change)> = NEWS
        .iter()
        .map(|(due, change)| (ms(*due), *change))
        .collect();
    match case.fault {
        Fault::WatchLost => {
            for (at, (due, _)) in changes.iter_mut().enumerate().skip(case.at) {
                if WATCHES[at] == WATCHES[case.at] {
                    *due += Duration::from_secs(5);
                }
            }
        }
        Fault::Silent => {
            for (due, _) in &mut changes[case.at..] {
                *due += Duration::from_secs(30);
            }
        }
        Fault::Restart => {
            let back = Duration::from_secs(4);
            let again: Vec<_> = NEWS
                .iter()
                .map(|(due, change)| (ms(*due) + back, *change))
                .collect();
            changes.truncate(case.at);
            changes.extend(again);
        }
        Fault::Repeated => {
            let news = changes[case.at];
            changes.extend([news; 2]);
        }
        Fault::EmptyFirst => {
            let due = changes[case.at].0 - ms(5);
            for (due, _) in &mut changes[case.at..] {
                *due += ms(30 * case.at as u64 + 5);
            }
            changes.push((due, |facts| {
                facts.links = facts.links.as_ref().map(|_| Vec::new());
                facts.addresses = facts.addresses.as_ref().map(|_| Vec::new());
                facts.node_addresses = facts.node_addresses.as_ref().map(|_| Default::default());
            }));
            changes.extend(
                NEWS[..case.at]
                    .iter()
                    .enumerate()
                    .map(|(order, (_, change))| (due + ms(30 * order as u64 + 1), *change)),
            );
        }
        Fault::Refused(code, times) => {
            let refused = (ms(80), PowerOutcome::Rejected(code.into()));
            let accepted = script.power.clone();
            script.power = vec![refused; times];
            script.power.extend(accepted);
            script.statuses = vec![false; times];
            script.statuses.push(true);
        }
        Fault::Slow => {
            script.power[0].0 = Duration::from_secs(30);
            script.wishes = vec![(ms(5000), "OS_Halt"), (ms(9000), "OS_Halt")];
            script.statuses = vec![true; 3];
            script.calls = 1;
        }
        Fault::DidNotHappen(times) => {
            for time in 0..times as u64 {
                let happens_not = Scripted::Power(PowerOutcome::DidNotHappen("locked".into()));
                script.late_news.push((ms(3000 + 2000 * time), happens_not));
                script.wishes.push((ms(4000 + 2000 * time), "OS_Halt"));
            }
            script.statuses = vec![true; times + 1];
        }
    }
    if !matches!(case.fault, Fault::Slow) {
        script.calls = script.statuses.len();
    }
    // What happens at the same time happens in the order in which it was written.
    changes.sort_by_key(|(due, _)| *due);
    let mut facts = Facts::default();
    script.news = changes
        .into_iter()
        .map(|(due, change)| {
            change(&mut facts);
            (due, Scripted::Facts(Box::new(facts.clone())))
        })
        .collect();
    script.news.append(&mut script.late_news);
    script
}

fn play(case: &Case) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let now = Instant::now().into_std();
        let host = Rc::new(RefCell::new(Host::new(
            HostConfig::default(),
            now,
            Duration::ZERO,
        )));
        backdoor::connect(&host);
        let settings = LinkSettings {
            transport: TransportChoice::Backdoor,
            access: Some(Port),
            bandwidth: Bandwidth::High,
        };
        let bounds = Bounds {
            silence: Duration::from_millis(500),
            took: Duration::from_secs(40),
            patience: false,
        };
        session::play(&host, settings, &HostVsock, script(case), bounds).await
    })
}
