//! A sample of the fault sweep (`tests/sweep`), from outside: the real binary, in real time.
//!
//! A session is start, guest info, a change of address, ping, a registration, and OS_Halt. It runs once without a
//! fault, which tells its steps, and then for each kind of fault at a few steps that lie evenly over it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use apid::{Code, Method, Step, Trouble};
use vmx::{FaultKind, Protocol, Vcenter, Vmx, VsockPolicy, WaitError};

use crate::report::{self, Outcome};
use crate::support::{ADDRESS, NAME, SOON, Talos};
use crate::talos_away::nothing_wrong_was_sent;

const NEW_ADDRESS: &str = "10.5.0.9";

/// Sessions at once: they mostly wait.
const AT_ONCE: usize = 6;
/// Steps for each kind of fault.
const STEPS: usize = 4;
/// The longest that the host may hear nothing; then the heartbeat is no longer green.
const SILENCE: Duration = Duration::from_secs(2);

const BACKDOOR: [FaultKind; 8] = [
    FaultKind::Checkpoint,
    FaultKind::Fail,
    FaultKind::Close,
    FaultKind::Unsent,
    FaultKind::Timeout,
    FaultKind::Ones,
    FaultKind::Garbage,
    FaultKind::Fault,
];

const TALOS: [Trouble; 12] = [
    Trouble::Status(Code::Unavailable),
    Trouble::Status(Code::PermissionDenied),
    Trouble::Status(Code::DeadlineExceeded),
    Trouble::DoneBut(Code::DeadlineExceeded),
    Trouble::Errored,
    Trouble::End,
    Trouble::Silent,
    Trouble::Reset,
    Trouble::DoneThenReset,
    Trouble::Slow(Duration::from_secs(2)),
    Trouble::LateAnswer(Duration::from_secs(2)),
    Trouble::Hang(Duration::from_secs(2)),
];

/// What happens to vsock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vsock {
    Reset,
    BadLength,
    DuplicateField,
    GarbageBody,
}

const VSOCK: [Vsock; 4] = [
    Vsock::Reset,
    Vsock::BadLength,
    Vsock::DuplicateField,
    Vsock::GarbageBody,
];

impl Vsock {
    fn bytes(self) -> Option<Vec<u8>> {
        const TYPE_FIELD: [u8; 16] = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];
        match self {
            Self::Reset => None,
            Self::BadLength => Some(vec![0xFF; 8]),
            Self::DuplicateField => Some([&[0, 0, 0, 32][..], &TYPE_FIELD, &TYPE_FIELD].concat()),
            Self::GarbageBody => Some([&[0, 0, 0, 16][..], &[0xA5; 16]].concat()),
        }
    }

    fn strike(self, vmx: &Vmx, protocol: Protocol) {
        vmx.host(|host, now| match self.bytes() {
            None => host.close_channels(Some(protocol), now),
            Some(bytes) => host.vsock_raw(protocol, bytes),
        });
    }
}

/// The places in a session where vsock is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Informed,
    AddressChanged,
    Asked,
    PowerAsked,
}

const PLACES: [Place; STEPS] = [
    Place::Informed,
    Place::AddressChanged,
    Place::Asked,
    Place::PowerAsked,
];

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// At this backdoor call, counted from 1.
    Backdoor(FaultKind, u64),
    Vsock(Vsock, Protocol, Place),
    /// At this step of the API in a session without a fault, counted from 0.
    Talos(Trouble, usize),
}

#[test]
fn a_sample_of_the_fault_sweep_in_real_time() {
    let (calls, steps) = undisturbed();
    let mut cases = Vec::new();
    for kind in BACKDOOR {
        let evenly = (0..STEPS as u64).map(|step| 1 + calls * (2 * step + 1) / (2 * STEPS as u64));
        cases.extend(evenly.map(|k| Fault::Backdoor(kind, k)));
    }
    for strike in VSOCK {
        for (number, place) in PLACES.into_iter().enumerate() {
            let protocol = [Protocol::Tclo, Protocol::Rpci][number % 2];
            cases.push(Fault::Vsock(strike, protocol, place));
        }
    }
    for (number, trouble) in TALOS.into_iter().enumerate() {
        let fitting: Vec<usize> = (0..steps.len())
            .filter(|at| concerns(trouble, &steps[*at]) && is_certain(&steps, *at))
            .collect();
        let stride = (fitting.len() / STEPS).max(1);
        let chosen = fitting.iter().skip(number % stride).step_by(stride);
        cases.extend(chosen.take(STEPS).map(|at| Fault::Talos(trouble, *at)));
    }
    report::run(
        "a sample with the real binary in real time",
        &cases,
        AT_ONCE,
        |case| match case {
            Fault::Backdoor(kind, _) => format!("backdoor: {kind:?}"),
            Fault::Vsock(strike, ..) => format!("vsock: {strike:?}"),
            Fault::Talos(Trouble::Status(code), _) => format!("Talos: {code:?}"),
            Fault::Talos(Trouble::DoneBut(code), _) => format!("Talos: done, but {code:?}"),
            Fault::Talos(Trouble::Slow(_), _) => "Talos: slow by 2 s".into(),
            Fault::Talos(Trouble::LateAnswer(_), _) => "Talos: answered 2 s late".into(),
            Fault::Talos(Trouble::Hang(_), _) => "Talos: hangs for 2 s".into(),
            Fault::Talos(trouble, _) => format!("Talos: {trouble:?}"),
        },
        |case| play(Some(*case), &steps).outcome,
    );
}

/// Whether every session has this step: how often the space is measured, for one, depends on what comes when.
fn is_certain(steps: &[Step], at: usize) -> bool {
    let opened = matches!(&steps[at], Step::Message(Method::Watch, text) if text.is_empty());
    opened || !steps[..at].contains(&steps[at])
}

/// Whether the trouble makes a difference at this step, and passes.
fn concerns(trouble: Trouble, step: &Step) -> bool {
    match (step, trouble) {
        // What says nothing from the start is noticed.
        (Step::Message(Method::Watch, text), Trouble::Silent) => text.is_empty(),
        (Step::Message(method, _), Trouble::Errored) => *method == Method::Watch,
        (Step::Message(..), Trouble::End) => true,
        (Step::Message(..), Trouble::DoneThenReset | Trouble::LateAnswer(_)) => false,
        (Step::Call(..), Trouble::Errored | Trouble::End) => false,
        (step, Trouble::DoneBut(_)) => matches!(step, Step::Call(Method::Shutdown, _)),
        _ => true,
    }
}

/// A session and what it consisted of.
struct Played {
    outcome: Outcome,
    calls: u64,
    steps: Vec<Step>,
}

fn undisturbed() -> (u64, Vec<Step>) {
    let played = play(None, &[]);
    let wrong = played.outcome.wrong;
    assert!(wrong.is_empty(), "without a fault: {wrong:#?}");
    (played.calls, played.steps)
}

fn play(fault: Option<Fault>, undisturbed: &[Step]) -> Played {
    let talos = Talos::new();
    let steps: Arc<Mutex<Vec<Step>>> = Arc::default();
    let kept = steps.clone();
    // In real time steps change places: it is the same step when it is as often there.
    let like = |steps: &[Step], step: &Step| steps.iter().filter(|other| *other == step).count();
    let due = match fault {
        Some(Fault::Talos(trouble, at)) => {
            let step = undisturbed[at].clone();
            Some((trouble, like(&undisturbed[..=at], &step), step))
        }
        _ => None,
    };
    let expected = due.clone();
    talos.on_step(move |step| {
        let mut kept = kept.lock().unwrap();
        kept.push(step.clone());
        let (trouble, count, due) = due.as_ref()?;
        (step == due && like(&kept, step) == *count).then_some(*trouble)
    });
    let mut agent = talos.agent().ping_every(Duration::from_millis(200));
    if let Some(Fault::Vsock(..)) = fault {
        agent = agent.vsock(VsockPolicy::served());
    }
    let vmx = agent
        .host(move |host| {
            if let Some(Fault::Backdoor(kind, at)) = fault {
                host.fault_at(at, kind);
            }
        })
        .spawn()
        .unwrap();
    let mut session = Session {
        talos: &talos,
        vmx: &vmx,
        fault,
        begun: Instant::now(),
    };
    let played = session.play();
    let took = session.begun.elapsed();
    let (silence, calls) = vmx.host(|host, now| (host.longest_silence(now), host.interactions()));
    let mut wrong: Vec<String> = played
        .err()
        .map(|error| error.to_string())
        .into_iter()
        .collect();
    if silence > SILENCE {
        wrong.push(format!("silent for {silence:?}"));
    }
    if matches!(fault, None | Some(Fault::Talos(..))) {
        wrong.extend(vmx.violations());
    }
    wrong.extend(session.end());
    nothing_wrong_was_sent(&vmx.rpci_log());
    let steps = steps.lock().unwrap().clone();
    if let Some((_, count, step)) = expected
        && like(&steps, &step) < count
    {
        wrong.push(format!("{step:?} did not come"));
    }
    if let Some(Fault::Backdoor(_, at)) = fault
        && calls < at
    {
        wrong.push(format!("only {calls} backdoor calls"));
    }
    Played {
        outcome: Outcome {
            wrong,
            silence,
            took,
        },
        calls,
        steps,
    }
}

struct Session<'a> {
    talos: &'a Talos,
    vmx: &'a Vmx,
    fault: Option<Fault>,
    begun: Instant,
}

impl Session<'_> {
    fn play(&mut self) -> Result<(), WaitError> {
        self.sees(|view| view.ip_address.as_deref() == Some(ADDRESS))?;
        self.at(Place::Informed);
        self.change_address();
        self.at(Place::AddressChanged);
        self.sees(|view| view.ip_address.as_deref() == Some(NEW_ADDRESS))?;
        for (number, request) in ["ping", "reset", "Capabilities_Register"]
            .iter()
            .enumerate()
        {
            self.asks(request, (number == 0).then_some(Place::Asked))?;
        }
        self.presses()?;
        self.sees(|view| {
            view.addresses().contains(&NEW_ADDRESS.to_owned())
                && !view.addresses().contains(&ADDRESS.to_owned())
                && view
                    .nics
                    .as_ref()
                    .is_some_and(|nics| !nics.routes.is_empty())
                && view
                    .guest_id
                    .as_deref()
                    .is_some_and(|id| id.ends_with("-64"))
                && view.uptime_centis.is_some_and(|uptime| uptime > 0)
                && view.capabilities.contains_key("statechange")
        })
    }

    /// Strikes vsock, if this is the place.
    fn at(&self, place: Place) {
        match self.fault {
            Some(Fault::Vsock(strike, protocol, here)) if here == place => {
                strike.strike(self.vmx, protocol);
            }
            _ => {}
        }
    }

    fn change_address(&self) {
        let new = format!("{NEW_ADDRESS}/24");
        self.talos.set_static_address("eth0", &new);
        for list in [
            "default",
            "current",
            "routed",
            "current-no-k8s",
            "routed-no-k8s",
        ] {
            self.talos.set_node_address(list, &[&new]);
        }
        self.talos.remove_address("eth0", &format!("{ADDRESS}/24"));
    }

    /// Waits until vCenter shows a green node with its name, and this.
    fn sees(&self, what: impl Fn(&Vcenter) -> bool) -> Result<(), WaitError> {
        self.vmx.wait_for("the right view", SOON, |host, now| {
            let view = host.vcenter(now);
            let named = view.host_name.as_deref() == Some(NAME);
            (view.is_green() && named && host.is_greeted() && what(&view)).then_some(())
        })
    }

    /// Asks until there is an answer: what is lost with its channel a host asks again.
    fn asks(&self, request: &str, struck: Option<Place>) -> Result<(), WaitError> {
        let deadline = Instant::now() + SOON;
        let mut struck = struck;
        loop {
            let id = self.vmx.ask(request);
            if let Some(place) = struck.take() {
                self.at(place);
            }
            match self.vmx.wait_reply(id, Duration::from_secs(3)) {
                Ok(exchange)
                    if exchange
                        .reply_text()
                        .is_some_and(|text| text.starts_with("OK ")) =>
                {
                    return Ok(());
                }
                Err(error) if Instant::now() > deadline => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Presses the button until Talos shuts down; every refusal is the truth.
    fn presses(&self) -> Result<(), WaitError> {
        for press in 1.. {
            self.asks("OS_Halt", (press == 1).then_some(Place::PowerAsked))?;
            let told = self.vmx.wait_for("the status", 2 * SOON, |host, now| {
                let power = host.vcenter(now).power;
                (power.len() >= press).then_some(power)
            })?;
            if told.iter().any(|status| status.success) {
                break;
            }
            assert_eq!(self.talos.sequences(), [""; 0], "refused, but it begins");
            assert!(press < 5, "refused again and again");
        }
        Ok(())
    }

    /// The operation was carried out once; the daemon is alive and stops when it is told to.
    fn end(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.talos.sequences() != ["shutdown"] {
            wrong.push(format!("Talos began {:?}", self.talos.sequences()));
        }
        if let Some(exit) = self.vmx.host(|host, _| host.exit_status()) {
            wrong.push(format!("the daemon has ended: {exit}"));
        }
        self.vmx.signal(nix::sys::signal::Signal::SIGTERM);
        match self.vmx.wait_exit(SOON) {
            Ok(status) if status.success() => {}
            Ok(status) => wrong.push(format!("stopped with {status}")),
            Err(error) => wrong.push(error.to_string()),
        }
        wrong
    }
}
