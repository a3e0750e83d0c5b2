//! Faults at each step of a session with quiesced snapshots. Whatever happens: nothing is frozen in the end, no snapshot
//! is called good that was not covered by the freeze from its commit to its end, Talos is asked once to shut down and
//! never while something is frozen, and the next snapshot comes to a good end.

mod backup;
mod node;

use std::ffi::OsString;
use std::time::Duration;

use talos_vmtoolsd::config::{self, Config, Sources};
use talos_vmtoolsd::daemon::core::{Core, Left};
use talos_vmtoolsd::vmware::Vmware;
use talos_vmtoolsd::vmware::link::LinkSettings;
use talos_vmtoolsd::vmware::link::alarm::Alarm;
use talos_vmtoolsd::vmware::transport::vsock::HostVsock;
use tokio::time::{sleep, sleep_until};
use vmx::FaultKind;

use crate::backdoor::{self, Case, Fault as AccessFault, Port, Step};
use crate::daemon::{Paused, services};
use crate::report::{self, Outcome};
use crate::session::SharedHost;
use backup::{Backup, SNAPSHOT, Wanted};
use node::{ControlPlane, Fault};

/// How long file systems stay frozen at most.
const LIMIT: Duration = Duration::from_secs(2);
/// How long it takes Talos to start an agent again that has ended.
const AGAIN: Duration = Duration::from_secs(5);

/// What happens on the host's side in the middle of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disturbance {
    /// The snapshot is given up.
    Abort,
    /// The machine is to shut down.
    Halt,
    /// The agent gets SIGTERM.
    Stop,
    /// Requests find no channel.
    CloseTclo,
    /// An event may be lost.
    CloseRpci,
    /// Suspend and resume: all channels are gone.
    Moved,
    /// The next event is refused.
    RefusesEvents,
    /// The host says nothing any more of this snapshot.
    Forgets,
    /// Another start comes in between.
    StartsTwice,
}

const DISTURBANCES: [Disturbance; 9] = [
    Disturbance::Abort,
    Disturbance::Halt,
    Disturbance::Stop,
    Disturbance::CloseTclo,
    Disturbance::CloseRpci,
    Disturbance::Moved,
    Disturbance::RefusesEvents,
    Disturbance::Forgets,
    Disturbance::StartsTwice,
];

/// One session.
#[derive(Clone, Copy, Debug, Default)]
struct Session {
    node: Option<Fault>,
    /// So long after the first start was asked for.
    host: Option<(Duration, Disturbance)>,
    access: Option<Case>,
    /// The host's snapshot takes longer than anything may be frozen, the first time.
    long: bool,
}

#[test]
fn a_fault_of_freezer_talos_or_host_at_any_moment_leaves_nothing_frozen_and_no_snapshot_that_is_none()
 {
    let ms = Duration::from_millis;
    let healthy = play(Session::default());
    assert_eq!(
        healthy.outcome.wrong,
        Vec::<String>::new(),
        "without a fault"
    );
    assert_eq!(healthy.failures, 0, "without a fault");
    let mut faults = vec![
        None,
        Some(Fault::FailedFreeze),
        Some(Fault::EtcdSilent),
        Some(Fault::EtcdHangs),
        Some(Fault::PowerRefused),
    ];
    for millis in [10, 300, 700, 1500, 2500, 6000] {
        faults.extend([
            Some(Fault::SlowFreeze(ms(millis))),
            Some(Fault::SlowThaw(ms(millis))),
            Some(Fault::EtcdLate(ms(millis))),
        ]);
    }
    for millis in (0..=900).step_by(60) {
        faults.extend([
            Some(Fault::Killed(ms(millis))),
            Some(Fault::Terminated(ms(millis))),
            Some(Fault::Leaves(ms(millis))),
        ]);
    }
    let mut sessions = Vec::new();
    for (node, long) in faults
        .into_iter()
        .map(|node| (node, false))
        .chain([(None, true)])
    {
        sessions.push(Session {
            node,
            long,
            ..Session::default()
        });
        for disturbance in DISTURBANCES {
            // With a freezer that is well, each moment; else what may meet.
            let (last, step) = match (node, long) {
                (None, false) => (1_500, 20),
                (None, true) => (4_000, 100),
                _ => (1_500, 250),
            };
            sessions.extend((0..=last).step_by(step).map(|after| Session {
                node,
                host: Some((ms(after), disturbance)),
                long,
                access: None,
            }));
        }
    }
    report::run(
        "quiesced snapshots: freezer, Talos and host",
        &sessions,
        crate::processors(),
        |session| {
            let node = session.node.map(|fault| format!("{fault:?}"));
            let node = node.as_deref().unwrap_or("well");
            let node = node.split('(').next().unwrap_or_default();
            let host = session
                .host
                .map(|(_, disturbance)| format!("{disturbance:?}"));
            format!("{node}, {}", host.as_deref().unwrap_or("undisturbed"))
        },
        |session| play(*session).outcome,
    );
}

#[test]
fn a_fault_at_any_access_of_a_quiesced_snapshot_is_survived() {
    let healthy = play(Session::default());
    let first = healthy.first_access.expect("a snapshot");
    let concerned = |fault: AccessFault| {
        matches!(
            fault,
            AccessFault::Moved
                | AccessFault::GarbagePayload
                | AccessFault::ShortSize
                | AccessFault::Host(
                    FaultKind::Checkpoint
                        | FaultKind::Fail
                        | FaultKind::Close
                        | FaultKind::Unsent
                        | FaultKind::Timeout
                )
        )
    };
    let cases: Vec<Case> = backdoor::cases_of(&healthy.steps, true, &[1, 3])
        .into_iter()
        .filter(|case| case.at >= first && concerned(case.fault))
        .collect();
    report::run(
        "faults at each access during a quiesced snapshot",
        &cases,
        crate::processors(),
        backdoor::name_of,
        |case| {
            let session = Session {
                access: Some(*case),
                ..Session::default()
            };
            play(session).outcome
        },
    );
}

/// What came of a session.
struct Played {
    outcome: Outcome,
    failures: usize,
    first_access: Option<usize>,
    steps: Vec<Step>,
}

fn play(session: Session) -> Played {
    let mut seen = (0, None);
    let (steps, outcome) = backdoor::play_session(session.access, true, async |host, settings| {
        let takes = if session.long {
            LIMIT + SNAPSHOT
        } else {
            SNAPSHOT
        };
        let mut backup = Backup::new(takes, session.host);
        let node = ControlPlane::new(session.node);
        let outcome = back_up(host, settings, &node, &mut backup).await;
        seen = (backup.failures, backup.first_access);
        outcome
    });
    let (failures, first_access) = seen;
    Played {
        outcome,
        failures,
        first_access,
        steps,
    }
}

/// The settings of an operator who wants this.
fn configured() -> Config {
    let variables = [
        ("VMTOOLSD_QUIESCE", "freeze"),
        ("VMTOOLSD_QUIESCE_MAX_FREEZE", "2s"),
    ];
    let sources = Sources {
        variables: variables
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .into(),
        ..Sources::default()
    };
    config::load(&sources).strict().unwrap()
}

/// A machine whose agent is started again whenever it ends.
async fn back_up(
    host: &SharedHost,
    settings: LinkSettings<Port>,
    node: &ControlPlane,
    backup: &mut Backup,
) -> Outcome {
    let boot = Paused::booted();
    loop {
        let front_end = Vmware::with_dialer(settings, services(), HostVsock, Alarm::on_tokio());
        let mut agent = Core::new(front_end, node.clone(), boot.clone());
        agent.configure(&configured());
        loop {
            tokio::select! {
                biased;
                left = agent.step() => match left {
                    Left::Frozen => break,
                    left => assert_eq!(left, Left::Nothing),
                },
                () = sleep_until(backup.next_look) => {
                    let wanted = backup.look(&mut host.borrow_mut(), node);
                    match wanted {
                        Wanted::Nothing => {}
                        Wanted::Stop => break,
                        Wanted::Over(outcome) => return outcome,
                    }
                }
            }
        }
        agent.close().await;
        node.end();
        sleep(AGAIN).await;
        node.start_again();
        backup.next_look = tokio::time::Instant::now();
    }
}
