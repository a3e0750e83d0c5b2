//! Faults at each step of a planned interruption: an answer of the node that is missing, late, refused, doubled or out of
//! order, the host's faults, presses at odd moments, the agent's end. Whatever happens: each request of the host has one
//! answer and it is true, Talos is called once without force for each intent and after that only by force and for a
//! reason, nothing takes longer than the budget, and what is shown of it is possible, and true in the end.

mod judge;
mod node;
mod operator;
mod record;

use std::time::Duration;

use talos_vmtoolsd::config::{
    DrainDeadline, EtcdConfig, Forfeit, PowerConfig, QuorumGuard, RebootMode, ShutdownConfig,
};
use talos_vmtoolsd::daemon::core::{Core, Left};
use talos_vmtoolsd::vmware::Vmware;
use talos_vmtoolsd::vmware::link::LinkSettings;
use talos_vmtoolsd::vmware::link::alarm::Alarm;
use talos_vmtoolsd::vmware::transport::vsock::HostVsock;
use tokio::time::{Instant, sleep_until};

use crate::backdoor::{self, Case as Access, Fault as AccessFault, Port, Step};
use crate::daemon::{Paused, services};
use crate::report::{self, Outcome};
use crate::session::SharedHost;
use node::{ControlPlane, Fault, MESSAGES, Message, Of};
use operator::{Operator, Wanted};

/// The settings of the table, for a control plane that is held.
const DRAIN_DEADLINE: Duration = Duration::from_secs(60);
const BUDGET: Duration = Duration::from_secs(100);
const ESCALATE_AFTER: Duration = Duration::from_secs(30);
const HOLD: Duration = Duration::from_secs(30);
/// How long a process may take for its end.
const CLOSE: Duration = Duration::from_secs(1);

/// What is asked for, and how the node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Plot {
    /// A Shutdown that is held for three seconds, and whose drain ends in time.
    #[default]
    InTime,
    /// The same with a drain that never ends.
    Endless,
    /// The member of etcd stays away, and the drain never ends.
    HeldEndless,
    /// A drain that is left to Talos, and takes longer than the budget.
    LeftToTalos,
    /// No drain.
    Forced,
    /// The guard refuses.
    Refused,
    /// A Reboot by force, leadership handed over before.
    Reboot,
}

const PLOTS: [Plot; 7] = [
    Plot::InTime,
    Plot::Endless,
    Plot::HeldEndless,
    Plot::LeftToTalos,
    Plot::Forced,
    Plot::Refused,
    Plot::Reboot,
];

impl Plot {
    /// The request of the host.
    const fn request(self) -> &'static str {
        match self {
            Self::Reboot => "OS_Reboot",
            _ => "OS_Halt",
        }
    }

    /// How long Talos drains the node.
    const fn drain(self) -> Option<Duration> {
        match self {
            Self::InTime => Some(Duration::from_secs(10)),
            Self::LeftToTalos => Some(Duration::from_secs(120)),
            _ => None,
        }
    }

    /// When etcd is whole, counted from the first look at it.
    const fn etcd_is_whole_after(self) -> Option<Duration> {
        match self {
            Self::HeldEndless | Self::Refused => None,
            _ => Some(Duration::from_secs(3)),
        }
    }

    /// Whether there is such a message.
    const fn has(self, message: Message) -> bool {
        match message {
            Message::Look | Message::Accepted => true,
            Message::LookAgain => !matches!(self, Self::Refused),
            Message::HandedOver => matches!(self, Self::Reboot),
            Message::Draining => !matches!(self, Self::Forced | Self::Reboot),
            Message::Drained => matches!(self, Self::InTime | Self::LeftToTalos),
            Message::Canceled | Message::AcceptedAgain => {
                matches!(self, Self::Endless | Self::HeldEndless | Self::LeftToTalos)
            }
        }
    }

    fn config(self) -> PowerConfig {
        PowerConfig {
            deadline: Duration::from_secs(30),
            reboot_mode: RebootMode::Force,
            shutdown: ShutdownConfig {
                drain_deadline: match self {
                    Self::LeftToTalos => DrainDeadline::Talos,
                    Self::Forced => DrainDeadline::After(Duration::ZERO),
                    _ => DrainDeadline::After(DRAIN_DEADLINE),
                },
                budget: BUDGET,
                escalate_after: ESCALATE_AFTER,
            },
            etcd: EtcdConfig {
                guard: match self {
                    Self::Refused => QuorumGuard::Refuse,
                    _ => QuorumGuard::Hold,
                },
                hold: HOLD,
                forfeit: Forfeit {
                    force_reboot: true,
                    ..Forfeit::default()
                },
            },
            ..PowerConfig::default()
        }
    }
}

/// What else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disturbance {
    /// A request of the host.
    Ask(&'static str),
    /// The agent gets SIGTERM.
    Stop,
    /// Requests find no channel.
    CloseTclo,
    /// A status may be lost.
    CloseRpci,
    /// Suspend and resume: all channels are gone.
    Moved,
    /// There is no host for so long.
    Lost(Duration),
}

/// How long a status may wait for its host.
const STATUS_LASTS: Duration = Duration::from_secs(10);

const DISTURBANCES: [Disturbance; 8] = [
    Disturbance::Ask("OS_Halt"),
    Disturbance::Ask("OS_Reboot"),
    Disturbance::Stop,
    Disturbance::CloseTclo,
    Disturbance::CloseRpci,
    Disturbance::Moved,
    Disturbance::Lost(Duration::from_secs(3)),
    Disturbance::Lost(Duration::from_secs(20)),
];

/// When something else happens: in each phase of each plot, and at its borders; milliseconds after the press.
const MOMENTS: [u64; 14] = [
    0, 20, 100, 180, 1_000, 1_100, 3_020, 3_300, 3_400, 14_000, 31_000, 63_390, 63_500, 101_000,
];

/// One in so many of the faults at an access is tried.
const SAMPLE: usize = 13;

/// One session.
#[derive(Clone, Copy, Debug, Default)]
struct Session {
    plot: Plot,
    node: Option<Of>,
    /// So long after the press.
    host: Option<(Duration, Disturbance)>,
    access: Option<Access>,
}

impl Session {
    /// What is wrong, for people.
    fn kind(&self) -> String {
        let node = self.node.map(|of| format!("{:?}", of.message));
        let host = self.host.map(|(_, disturbance)| match disturbance {
            Disturbance::Ask(request) => request.to_owned(),
            disturbance => format!("{disturbance:?}"),
        });
        let (node, host) = (node.as_deref(), host.as_deref());
        format!(
            "{}, {}",
            node.unwrap_or("well"),
            host.unwrap_or("undisturbed")
        )
    }
}

#[test]
fn an_interruption_is_bounded_and_truthful_whatever_node_host_and_administrator_do() {
    for plot in PLOTS {
        let session = Session {
            plot,
            ..Session::default()
        };
        let healthy = play(session).outcome;
        assert_eq!(healthy.wrong, Vec::<String>::new(), "{plot:?}");
    }
    let mut sessions = Vec::new();
    for plot in PLOTS {
        for node in faults(plot) {
            sessions.push(Session {
                plot,
                node: Some(node),
                ..Session::default()
            });
            // What may meet.
            let meets = [
                (31_000, Disturbance::Ask(plot.request())),
                (3_300, Disturbance::Stop),
                (63_500, Disturbance::Stop),
            ];
            for (after, disturbance) in meets {
                sessions.push(Session {
                    plot,
                    node: Some(node),
                    host: Some((Duration::from_millis(after), disturbance)),
                    access: None,
                });
            }
        }
        for disturbance in DISTURBANCES {
            sessions.extend(MOMENTS.map(|after| Session {
                plot,
                host: Some((Duration::from_millis(after), disturbance)),
                ..Session::default()
            }));
        }
    }
    report::run(
        "planned interruptions: node, host and administrator",
        &sessions,
        crate::processors(),
        Session::kind,
        |session| play(*session).outcome,
    );
}

#[test]
fn a_fault_at_any_access_of_an_interruption_is_survived() {
    let mut sessions = Vec::new();
    for plot in [Plot::InTime, Plot::Endless, Plot::Refused, Plot::Reboot] {
        let healthy = Session {
            plot,
            ..Session::default()
        };
        let played = play(healthy);
        let first = played.first_access.expect("a press");
        let concerns =
            |case: &Access| case.at >= first && matches!(case.fault, AccessFault::Host(_));
        let cases = backdoor::cases_of(&played.steps, true, &[1, 3]).into_iter();
        // Each kind of fault at every so many accesses, at other ones each.
        let cases = cases.filter(concerns).step_by(SAMPLE);
        sessions.extend(cases.map(|case| Session {
            access: Some(case),
            ..healthy
        }));
    }
    report::run(
        "faults at accesses during a planned interruption",
        &sessions,
        crate::processors(),
        |session| {
            session
                .access
                .as_ref()
                .map(backdoor::name_of)
                .unwrap_or_default()
        },
        |session| play(*session).outcome,
    );
}

/// Every fault of the node.
fn faults(plot: Plot) -> Vec<Of> {
    let kinds = [
        Fault::Missing,
        Fault::Late(Duration::from_secs(5)),
        Fault::Late(Duration::from_secs(40)),
        Fault::Refused,
        Fault::Unfollowed,
        Fault::Twice,
        Fault::OutOfOrder,
    ];
    let mut faults = Vec::new();
    for message in MESSAGES {
        if !plot.has(message) {
            continue;
        }
        for fault in kinds {
            let can_lose = matches!(
                message,
                Message::Draining | Message::Drained | Message::Canceled
            );
            if fault == Fault::Unfollowed && !can_lose {
                continue;
            }
            let often = matches!(message, Message::LookAgain | Message::AcceptedAgain);
            faults.extend(
                [false, true]
                    .into_iter()
                    .take(1 + usize::from(often))
                    .map(|always| Of {
                        message,
                        fault,
                        always,
                    }),
            );
        }
    }
    faults
}

/// What came of a session.
struct Played {
    outcome: Outcome,
    /// Its accesses to the backdoor, and how many come before the press.
    steps: Vec<Step>,
    first_access: Option<usize>,
}

fn play(session: Session) -> Played {
    let mut first_access = None;
    let (steps, outcome) = backdoor::play_session(session.access, true, async |host, settings| {
        let mut operator = Operator::new(session);
        let outcome = interrupt(host, settings, session.plot, &mut operator).await;
        first_access = operator.first_access;
        outcome
    });
    Played {
        outcome,
        steps,
        first_access,
    }
}

async fn interrupt(
    host: &SharedHost,
    settings: LinkSettings<Port>,
    plot: Plot,
    operator: &mut Operator,
) -> Outcome {
    let node = ControlPlane::new(plot, operator.fault_of_node());
    let front_end = Vmware::with_dialer(settings, services(), HostVsock, Alarm::on_tokio());
    let mut agent = Core::new(front_end, node.clone(), Paused::booted());
    agent.set_power(&plot.config());
    loop {
        tokio::select! {
            biased;
            left = agent.step() => assert_eq!(left, Left::Nothing, "there is no talosconfig"),
            () = sleep_until(operator.next_look) => {
                let wanted = operator.look(&mut host.borrow_mut(), &node);
                match wanted {
                    Wanted::Nothing => {}
                    Wanted::Stop => break,
                    Wanted::Over => return operator.judge(&host.borrow(), &node, None),
                }
            }
        }
    }
    let stopped = Instant::now();
    agent.close().await;
    operator.judge(&host.borrow(), &node, Some(stopped))
}
