//! Faults at each access to the backdoor.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use talos_vmtoolsd::config::TransportChoice;
use talos_vmtoolsd::vmware::link::LinkSettings;
use talos_vmtoolsd::vmware::rpc::message_channel::Bandwidth;
use talos_vmtoolsd::vmware::transport::backdoor::{AccessFault, RegisterAccess};
use talos_vmtoolsd::vmware::transport::vsock::HostVsock;
use talos_vmtoolsd::vmware::wire::registers::Registers;
use tokio::time::Instant;
use vmx::{Direction, FaultKind, Form, GuestMemory, Host, HostConfig, Verdict};

use crate::report::{self, Outcome};
use crate::session::{self, Bounds, SharedHost, TalosScript};

/// What goes wrong at an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The host answers something else.
    Host(FaultKind),
    /// Suspend and resume just before: all channels are gone.
    Moved,
    /// OPEN with the cookie flag is refused.
    CookieRefused,
    /// From here on the host neither offers nor takes blocks.
    HighBandwidthWithdrawn,
    /// The message for the guest is announced too short by one byte.
    ShortSize,
    /// … too long by three.
    LongSize,
    /// … as 4 GiB.
    OversizeSize,
    /// The message for the guest arrives as other bytes.
    GarbagePayload,
}

const FAULTS: [Fault; 15] = [
    Fault::Host(FaultKind::Checkpoint),
    Fault::Host(FaultKind::Fail),
    Fault::Host(FaultKind::Close),
    Fault::Host(FaultKind::Unsent),
    Fault::Host(FaultKind::Timeout),
    Fault::Host(FaultKind::Ones),
    Fault::Host(FaultKind::Garbage),
    Fault::Host(FaultKind::Fault),
    Fault::Moved,
    Fault::CookieRefused,
    Fault::HighBandwidthWithdrawn,
    Fault::ShortSize,
    Fault::LongSize,
    Fault::OversizeSize,
    Fault::GarbagePayload,
];

/// One access, as far as faults differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Open,
    ReceiveSize,
    ReceivePayload,
    HighIn,
    Other,
}

impl Fault {
    /// Whether the fault makes a difference at this step.
    fn concerns(self, step: Step) -> bool {
        match self {
            Self::Host(_) | Self::Moved | Self::HighBandwidthWithdrawn => true,
            Self::CookieRefused => step == Step::Open,
            Self::ShortSize | Self::LongSize | Self::OversizeSize => step == Step::ReceiveSize,
            Self::GarbagePayload => matches!(step, Step::ReceivePayload | Step::HighIn),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) fault: Fault,
    /// The first access that goes wrong, from 0.
    pub(crate) at: usize,
    times: usize,
    high: bool,
}

thread_local! {
    /// The session of this thread; the daemon's handle to the backdoor is a copy without contents, as the
    /// real one is.
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

struct Machine {
    host: SharedHost,
    case: Option<Case>,
    steps: Vec<Step>,
}

/// The backdoor of this thread's machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port;

#[test]
fn a_fault_at_any_access_is_survived() {
    let mut cases = Vec::new();
    for high in [true, false] {
        let (steps, outcome) = play(None, high);
        assert_eq!(outcome.wrong, Vec::<String>::new(), "without a fault");
        // Without blocks there is only more of the same.
        let times: &[usize] = if high { &[1, 3] } else { &[1] };
        cases.extend(cases_of(&steps, high, times));
    }
    report::run(
        "faults at each access to the backdoor",
        &cases,
        crate::processors(),
        name_of,
        |case| play(Some(*case), case.high).1,
    );
}

/// Every fault at each of these steps that it concerns, so many times in a row.
pub(crate) fn cases_of(steps: &[Step], high: bool, times: &[usize]) -> Vec<Case> {
    let mut cases = Vec::new();
    for fault in FAULTS {
        for (at, step) in steps.iter().enumerate() {
            for times in times.iter().copied() {
                // What is withdrawn stays so.
                let once = fault == Fault::HighBandwidthWithdrawn;
                if fault.concerns(*step) && (times == 1 || !once) {
                    cases.push(Case {
                        fault,
                        at,
                        times,
                        high,
                    });
                }
            }
        }
    }
    cases
}

/// What goes wrong, for people.
pub(crate) fn name_of(case: &Case) -> String {
    let times = if case.times == 1 { "" } else { " ×3" };
    let fault = match case.fault {
        Fault::Host(kind) => format!("{kind:?}"),
        fault => format!("{fault:?}"),
    };
    format!("{fault}{times}")
}

/// Connects this thread's port to a host, without faults.
pub(crate) fn connect(host: &SharedHost) {
    MACHINE.set(Some(Machine {
        host: Rc::clone(host),
        case: None,
        steps: Vec::new(),
    }));
}

/// How many accesses this thread's machine has made.
pub(crate) fn accesses() -> usize {
    MACHINE.with_borrow(|machine| machine.as_ref().map_or(0, |machine| machine.steps.len()))
}

/// The accesses of a standard session and what came of it.
fn play(case: Option<Case>, high: bool) -> (Vec<Step>, Outcome) {
    play_session(case, high, async |host, settings| {
        let bounds = Bounds {
            silence: Duration::from_millis(1500),
            took: Duration::from_secs(10),
            patience: case.is_some_and(|case| case.times > 1),
        };
        session::play(host, settings, &HostVsock, TalosScript::default(), bounds).await
    })
}

/// The accesses of any session and what came of it.
pub(crate) fn play_session(
    case: Option<Case>,
    high: bool,
    session: impl AsyncFnOnce(&SharedHost, LinkSettings<Port>) -> Outcome,
) -> (Vec<Step>, Outcome) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let now = Instant::now().into_std();
        let config = HostConfig {
            high_bandwidth: high,
            ..HostConfig::default()
        };
        let host = Rc::new(RefCell::new(Host::new(config, now, Duration::ZERO)));
        MACHINE.set(Some(Machine {
            host: Rc::clone(&host),
            case,
            steps: Vec::new(),
        }));
        let settings = LinkSettings {
            transport: TransportChoice::Backdoor,
            access: Some(Port),
            bandwidth: Bandwidth::High,
        };
        let outcome = session(&host, settings).await;
        let machine = MACHINE.take().unwrap();
        (machine.steps, outcome)
    })
}

impl Machine {
    /// The fault of the access that is about to be made.
    fn due(&mut self, step: Step) -> Option<Fault> {
        let at = self.steps.len();
        self.steps.push(step);
        let case = self.case?;
        (case.at..case.at + case.times)
            .contains(&at)
            .then_some(case.fault)
    }

    fn prepare(&mut self, fault: Option<Fault>) {
        let now = Instant::now().into_std();
        let mut host = self.host.borrow_mut();
        match fault {
            Some(Fault::Host(kind)) => {
                let k = host.interactions() + 1;
                host.fault_at(k, kind);
            }
            Some(Fault::Moved) => host.resume_elsewhere(now),
            Some(Fault::HighBandwidthWithdrawn) => host.config.high_bandwidth = false,
            Some(Fault::CookieRefused) => host.config.cookies = false,
            Some(
                Fault::ShortSize | Fault::LongSize | Fault::OversizeSize | Fault::GarbagePayload,
            )
            | None => {}
        }
    }
}

/// The machine of this thread; none any more when the session is over and its channels are closed.
fn with_machine<T>(access: impl FnOnce(&mut Machine) -> T) -> Result<T, AccessFault> {
    MACHINE.with_borrow_mut(|machine| machine.as_mut().map(access).ok_or(AccessFault))
}

impl RegisterAccess for Port {
    fn low(&mut self, registers: &mut Registers) -> Result<(), AccessFault> {
        with_machine(|machine| {
            let step = match registers.cx >> 16 {
                0 => Step::Open,
                3 => Step::ReceiveSize,
                4 => Step::ReceivePayload,
                _ => Step::Other,
            };
            let fault = machine.due(step);
            machine.prepare(fault);
            let mut wide = widen(registers, 0x5658);
            let now = Instant::now().into_std();
            let mut host = machine.host.borrow_mut();
            let verdict = host.low_bandwidth(Form::Port, &mut wide, now);
            host.config.cookies = true;
            narrow(&wide, registers);
            let announced = registers.cx >> 16 & 3 == 3;
            match fault {
                Some(Fault::ShortSize) if announced => registers.bx -= 1,
                Some(Fault::LongSize) if announced => registers.bx += 3,
                Some(Fault::OversizeSize) if announced => registers.bx = u32::MAX,
                Some(Fault::GarbagePayload) => registers.bx = 0xA5A5_A5A5,
                _ => {}
            }
            answer(verdict)
        })?
    }

    fn high_out(&mut self, registers: &mut Registers, data: &[u8]) -> Result<(), AccessFault> {
        with_machine(|machine| {
            let fault = machine.due(Step::Other);
            machine.prepare(fault);
            let mut wide = widen(registers, 0x5659);
            wide.rcx = data.len() as u64;
            wide.rsi = 0;
            let mut memory = Memory(data.to_vec());
            let now = Instant::now().into_std();
            let mut host = machine.host.borrow_mut();
            let verdict =
                host.high_bandwidth(Form::Port, Direction::Out, &mut wide, &mut memory, now);
            narrow(&wide, registers);
            answer(verdict)
        })?
    }

    fn high_in(&mut self, registers: &mut Registers, data: &mut [u8]) -> Result<(), AccessFault> {
        with_machine(|machine| {
            let fault = machine.due(Step::HighIn);
            machine.prepare(fault);
            let mut wide = widen(registers, 0x5659);
            wide.rcx = data.len() as u64;
            wide.rdi = 0;
            let mut memory = Memory(data.to_vec());
            let now = Instant::now().into_std();
            let mut host = machine.host.borrow_mut();
            let verdict =
                host.high_bandwidth(Form::Port, Direction::In, &mut wide, &mut memory, now);
            narrow(&wide, registers);
            let len = data.len().min(memory.0.len());
            data[..len].copy_from_slice(&memory.0[..len]);
            if fault == Some(Fault::GarbagePayload) {
                data.fill(0xA5);
            }
            answer(verdict)
        })?
    }
}

const fn answer(verdict: Verdict) -> Result<(), AccessFault> {
    match verdict {
        Verdict::Done => Ok(()),
        Verdict::Fault => Err(AccessFault),
    }
}

fn widen(registers: &Registers, port: u32) -> vmx::Registers {
    vmx::Registers {
        rax: registers.ax.into(),
        rbx: registers.bx.into(),
        rcx: registers.cx.into(),
        rdx: (registers.dx & 0xffff_0000 | port).into(),
        rsi: registers.si.into(),
        rdi: registers.di.into(),
        rbp: registers.bp.into(),
        backwards: false,
    }
}

fn narrow(wide: &vmx::Registers, registers: &mut Registers) {
    *registers = Registers {
        ax: wide.rax as u32,
        bx: wide.rbx as u32,
        cx: wide.rcx as u32,
        dx: wide.rdx as u32,
        si: wide.rsi as u32,
        di: wide.rdi as u32,
        bp: wide.rbp as u32,
    };
}

/// A block of the guest's memory, at address 0.
struct Memory(Vec<u8>);

impl GuestMemory for Memory {
    fn read(&mut self, _address: u64, len: usize) -> io::Result<Vec<u8>> {
        Ok(self.0[..len].to_vec())
    }

    fn write(&mut self, _address: u64, bytes: &[u8]) -> io::Result<()> {
        self.0[..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}
