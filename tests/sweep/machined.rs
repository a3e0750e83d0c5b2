//! Faults at each call to Talos and at each message of its streams: the real client against a real server.
//!
//! The server is the embedded Talos API (package `apid`), over a pipe within the process and on the same paused
//! clock as the daemon. A step is a call that arrives there, or a message of a watch or of the event stream that
//! is about to go out.

mod administrator;
mod bridged;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apid::{Apid, Code, Method, Step, Trouble};
use talos_vmtoolsd::config::TransportChoice;
use talos_vmtoolsd::daemon::bridge::Bridge;
use talos_vmtoolsd::talos::Client;
use talos_vmtoolsd::vmware::link::LinkSettings;
use talos_vmtoolsd::vmware::rpc::message_channel::Bandwidth;
use talos_vmtoolsd::vmware::transport::vsock::HostVsock;
use tokio::time::Instant;
use vmx::{Host, HostConfig};

use crate::backdoor::{self, Port};
use crate::daemon;
use crate::report::{self, Outcome};
use administrator::Administrator;
use bridged::{Pipe, set_up};

/// How long a slow answer takes, or a hanging API.
const SLOW: Duration = Duration::from_secs(30);
/// How long a frozen API takes: longer than a power operation waits.
const FROZEN: Duration = Duration::from_secs(45);
/// How long Talos is gone when it is restarted.
const AWAY: Duration = Duration::from_secs(5);
/// When a connection over which nothing comes is found dead.
const DEAD: Duration = Duration::from_secs(60);

const TROUBLES: [Trouble; 16] = [
    Trouble::Status(Code::Unavailable),
    Trouble::Status(Code::PermissionDenied),
    Trouble::Status(Code::Unimplemented),
    Trouble::Status(Code::DeadlineExceeded),
    Trouble::DoneBut(Code::DeadlineExceeded),
    Trouble::Errored,
    Trouble::End,
    Trouble::Silent,
    Trouble::SilentThenReset(DEAD),
    Trouble::Reset,
    Trouble::DoneThenReset,
    Trouble::Slow(SLOW),
    Trouble::LateAnswer(SLOW),
    Trouble::Hang(SLOW),
    Trouble::FrozenThenDone(FROZEN),
    Trouble::Away(AWAY),
];

/// Whether a Talos that does not know us yet may say so.
fn is_refusal(trouble: Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Status(Code::PermissionDenied | Code::Unimplemented)
    )
}

/// Whether the trouble makes a difference at this step.
fn concerns(trouble: Trouble, step: &Step) -> bool {
    // An open watch over which nothing comes is what a node looks like on which nothing happens: no client can
    // tell them apart before the connection is found dead.
    let is_told = |text: &str| !text.is_empty() && !text.contains("BOOTSTRAPPED");
    match (step, trouble) {
        (Step::Message(Method::Watch, text), Trouble::Silent) => !is_told(text),
        (Step::Message(Method::Watch, text), Trouble::SilentThenReset(_)) => is_told(text),
        (Step::Message(method, _), Trouble::Errored) => *method == Method::Watch,
        (Step::Message(..), Trouble::End) => true,
        (Step::Call(..), Trouble::Errored | Trouble::End) => false,
        (_, Trouble::SilentThenReset(_)) => false,
        (Step::Message(..), Trouble::DoneBut(_) | Trouble::DoneThenReset) => false,
        (Step::Message(..), Trouble::LateAnswer(_) | Trouble::FrozenThenDone(_)) => false,
        (Step::Call(method, _), Trouble::DoneBut(_) | Trouble::FrozenThenDone(_)) => {
            matches!(method, Method::Reboot | Method::Shutdown)
        }
        _ => true,
    }
}

/// How often it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    Once,
    /// At this step and at the two that follow.
    ThreeInARow,
    /// At this call, and at the next two that ask the same.
    ThreeOfTheSame,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    trouble: Trouble,
    /// The first step that goes wrong, from 0.
    at: usize,
    times: Times,
    session: Session,
    /// Whether it concerns the power operation, so that it is to be followed to its end.
    follow: bool,
}

/// What the administrator wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    /// `OS_Halt` or `OS_Reboot`.
    power: &'static str,
    /// The machine's stage at the end.
    stage: &'static str,
    /// When things begin to happen, after the start of the daemon.
    begin: Duration,
}

const HALT: Session = Session {
    power: "OS_Halt",
    stage: "shutting down",
    begin: Duration::from_secs(1),
};
const REBOOT: Session = Session {
    power: "OS_Reboot",
    stage: "rebooting",
    ..HALT
};
/// After the minute in which a refusal may be due to a Talos that does not know us yet.
const LATE: Session = Session {
    begin: Duration::from_secs(65),
    ..HALT
};

#[test]
fn a_fault_at_any_call_to_talos_or_message_from_it_is_survived() {
    let mut cases = Vec::new();
    let mut undisturbed = Vec::new();
    for session in [HALT, REBOOT, LATE] {
        let (steps, outcome) = play(None, session);
        assert_eq!(outcome.wrong, Vec::<String>::new(), "without a fault");
        let listens = |step: &Step| matches!(step, Step::Call(Method::Events, _));
        let power = steps.iter().position(listens).unwrap();
        let measures = |step: &Step| matches!(step, Step::Call(Method::Mounts, _));
        let first = match session {
            HALT => 0,
            // Until then it is the same session.
            REBOOT => power,
            _ => steps.iter().position(measures).unwrap(),
        };
        for trouble in TROUBLES {
            for (at, step) in steps.iter().enumerate().skip(first) {
                for times in [Times::Once, Times::ThreeInARow, Times::ThreeOfTheSame] {
                    let fits = matches!(step, Step::Call(..)) || times != Times::ThreeOfTheSame;
                    let differs = session != LATE || is_refusal(trouble);
                    if concerns(trouble, step) && fits && differs {
                        cases.push(Case {
                            trouble,
                            at,
                            times,
                            session,
                            follow: at >= power,
                        });
                    }
                }
            }
        }
        undisturbed.push((session, steps));
    }
    report::run(
        "faults at each call to Talos and each message of its streams",
        &cases,
        crate::processors(),
        kind,
        |case| {
            let (steps, mut outcome) = play(Some(*case), case.session);
            let undisturbed = undisturbed
                .iter()
                .find(|(session, _)| *session == case.session);
            let step = &undisturbed.unwrap().1[case.at];
            // Up to its fault a session goes as it does without.
            if steps.get(case.at) != Some(step) {
                outcome
                    .wrong
                    .push(format!("{:?} instead of {step:?}", steps.get(case.at)));
            }
            let bound = case.bound(step);
            if outcome.took > bound {
                outcome
                    .wrong
                    .push(format!("took {:?}, bound {bound:?}", outcome.took));
            }
            outcome
        },
    );
}

fn kind(case: &Case) -> String {
    let trouble = match case.trouble {
        Trouble::Status(code) => format!("{code:?}"),
        Trouble::DoneBut(code) => format!("done, but {code:?}"),
        Trouble::Slow(_) => "slow by 30 s".into(),
        Trouble::LateAnswer(_) => "answered 30 s late".into(),
        Trouble::Hang(_) => "API hangs for 30 s".into(),
        Trouble::FrozenThenDone(_) => "frozen for 45 s, then done".into(),
        Trouble::Away(_) => "API gone for 5 s".into(),
        Trouble::SilentThenReset(_) => "silent for 60 s, then reset".into(),
        Trouble::Reset => "connection reset".into(),
        Trouble::DoneThenReset => "done, then connection reset".into(),
        Trouble::Errored => "ERRORED".into(),
        Trouble::End => "stream ends".into(),
        Trouble::Silent => "silent for ever".into(),
    };
    let times = match case.times {
        Times::Once => "",
        Times::ThreeInARow => " ×3",
        Times::ThreeOfTheSame => " ×3 the same",
    };
    format!("{trouble}{times}")
}

/// The steps of a session and what came of it.
fn play(case: Option<Case>, session: Session) -> (Vec<Step>, Outcome) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let config = HostConfig {
            ping_every: Some(Duration::from_secs(1)),
            ..HostConfig::default()
        };
        let now = Instant::now().into_std();
        let host = Rc::new(RefCell::new(Host::new(config, now, Duration::ZERO)));
        backdoor::connect(&host);
        let settings = LinkSettings {
            transport: TransportChoice::Backdoor,
            access: Some(Port),
            bandwidth: Bandwidth::High,
        };
        let api = Apid::in_process();
        set_up(&api);
        let steps = Arc::new(Mutex::new(Vec::new()));
        api.on_step(director(case, steps.clone()));
        let client = Client::machined_with_dialer(
            Pipe(api.clone()),
            PathBuf::from("/machine.sock"),
            "os:operator",
        );
        let talos = Bridge::with_client(client);
        let follow = case.is_none_or(|case| case.follow);
        let administrator = Administrator::new(api.clone(), session, follow);
        let outcome = daemon::play(&host, settings, &HostVsock, talos, administrator).await;
        let steps = std::mem::take(&mut *steps.lock().unwrap());
        (steps, outcome)
    })
}

impl Case {
    /// When all must be right.
    fn bound(&self, step: &Step) -> Duration {
        // What Talos refuses for good, it is asked for again after five minutes.
        let refusals = match self.times {
            Times::Once => 1,
            Times::ThreeInARow => 2,
            Times::ThreeOfTheSame => 3,
        };
        let measures = matches!(step, Step::Call(Method::Mounts, _));
        let seconds = match self.trouble {
            Trouble::Status(Code::Unimplemented) => 300 * refusals + 10,
            Trouble::Status(Code::PermissionDenied) if self.session == LATE => 300 * refusals + 10,
            Trouble::Slow(_) | Trouble::LateAnswer(_) | Trouble::Hang(_) | Trouble::Silent => {
                // A measurement that hangs is repeated after five minutes, then after ten and twenty.
                match self.times {
                    Times::ThreeOfTheSame if measures => 2150,
                    Times::Once | Times::ThreeInARow | Times::ThreeOfTheSame => 315,
                }
            }
            Trouble::FrozenThenDone(time) | Trouble::SilentThenReset(time) => time.as_secs() + 10,
            Trouble::Away(_) => 35,
            _ => 20,
        };
        self.session.begin + Duration::from_secs(seconds)
    }
}

/// Says what goes wrong, and keeps the steps.
fn director(
    case: Option<Case>,
    steps: Arc<Mutex<Vec<Step>>>,
) -> impl FnMut(&Step) -> Option<Trouble> + Send + 'static {
    let mut left = 3;
    move |step| {
        let mut steps = steps.lock().unwrap();
        let at = steps.len();
        steps.push(step.clone());
        let case = case?;
        let due = match case.times {
            Times::Once => at == case.at,
            Times::ThreeInARow => (case.at..case.at + 3).contains(&at),
            Times::ThreeOfTheSame => {
                let same = at >= case.at && steps[case.at] == *step && left > 0;
                left -= usize::from(same);
                same
            }
        };
        (due && concerns(case.trouble, step)).then_some(case.trouble)
    }
}
