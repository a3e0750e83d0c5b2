//! The signal handlers that edit the interrupted registers: those of SIGSEGV and SIGILL, for an instruction that
//! may be refused, and that of SIGSYS, which gives a system call that the sandbox denies its result.
//!
//! ```text
//! refused instruction ─► SIGSEGV, SIGILL ─► StepOver: ours? ─ yes ─► continues after it
//!                                                            └ no ──► the previous handler
//! denied system call ──► SIGSYS ──────────► note its number, EPERM
//! ```
//! The code that may trap registers what to do: the backdoor its [`StepOver`], the sandbox its note.

// See the JUSTIFICATION at each block.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// The si_code of a SIGSYS that a seccomp filter has raised [signal.h].
const SYS_SECCOMP: c_int = 1;

/// On the alternate stack if there is one, so that a stack overflow is still reported as such. Without
/// SA_NODEFER: a fault in the handler ends the process instead of entering the handler again.
fn action(handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)) -> SigAction {
    SigAction::new(
        SigHandler::SigAction(handler),
        SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK,
        SigSet::empty(),
    )
}

/// Steps over the instruction that has faulted, if it is one of the registrant's own; returns whether it was.
///
/// # Safety
/// For the caller: the registers are those of this process at a fault that is being handled. For the function:
/// it runs in a signal handler, so it may read and write these registers and nothing that is not
/// async-signal-safe.
pub type StepOver = unsafe fn(&mut libc::ucontext_t) -> bool;

/// Called at each fault; the first to register stays.
static STEP_OVER: OnceLock<StepOver> = OnceLock::new();
/// The previous actions of SIGSEGV and SIGILL.
static PREVIOUS: [OnceLock<SigAction>; 2] = [const { OnceLock::new() }; 2];

/// Installs the handlers of SIGSEGV and SIGILL, once for the process. Faults that `step_over` does not know do
/// what they did before. A thread must not block these signals.
///
/// # Errors
/// The kernel refuses (it has no reason to).
pub fn catch_faults(step_over: StepOver) -> io::Result<()> {
    static INSTALLED: OnceLock<Result<(), Errno>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        let _ = STEP_OVER.set(step_over);
        for (signal, previous) in [Signal::SIGSEGV, Signal::SIGILL].into_iter().zip(&PREVIOUS) {
            // JUSTIFICATION: only a signal handler can survive a refused instruction.
            // SAFETY: `on_fault` keeps to what a handler may do: it reads an initialised cell, reads and writes
            // the interrupted registers and calls sigaction, which is async-signal-safe.
            let before = unsafe { sigaction(signal, &action(on_fault)) }?;
            let _ = previous.set(before);
        }
        Ok(())
    });
    (*installed).map_err(Into::into)
}

/// Steps over a refused instruction that is known; returns any other fault to the previous handler.
extern "C" fn on_fault(signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    // JUSTIFICATION: the kernel hands the interrupted registers over as a bare pointer.
    // SAFETY: with SA_SIGINFO it points to a ucontext_t that is ours until the handler returns.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    if let Some(step_over) = STEP_OVER.get() {
        // JUSTIFICATION: which instruction it was is read where the registers point.
        // SAFETY: they are those of the fault that is being handled.
        if unsafe { step_over(context) } {
            return;
        }
    }
    let (signal, previous) = if signal == libc::SIGILL {
        (Signal::SIGILL, &PREVIOUS[1])
    } else {
        (Signal::SIGSEGV, &PREVIOUS[0])
    };
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // JUSTIFICATION: the previous handler must see the fault, which comes again on return.
    // SAFETY: this is the action the process had, or the default.
    let _ = unsafe { sigaction(signal, previous.get().unwrap_or(&default)) };
}

/// Proof that a system call that a seccomp filter traps gets EPERM and does not end the process.
#[derive(Clone, Copy, Debug)]
pub struct DeniedCallGuard(());

/// Called with the number of each call that is denied.
static ON_DENIED_CALL: OnceLock<fn(u32)> = OnceLock::new();

impl DeniedCallGuard {
    /// Installs the handler of SIGSYS, once for the process. It calls `note`, which must be async-signal-safe, with
    /// the number of each trapped call. A thread must not block the signal.
    ///
    /// # Errors
    /// The kernel refuses (it has no reason to).
    pub fn install(note: fn(u32)) -> io::Result<Self> {
        if ON_DENIED_CALL.set(note).is_err() {
            return Ok(Self(()));
        }
        // JUSTIFICATION: only a signal handler can give a trapped call its result and go on.
        // SAFETY: `on_denied_call` keeps to what a handler may do: it reads an initialised cell, reads and
        // writes the interrupted registers, and calls what the caller has promised to be async-signal-safe.
        unsafe { sigaction(Signal::SIGSYS, &action(on_denied_call)) }?;
        Ok(Self(()))
    }
}

/// Lets the trapped call fail with EPERM. A SIGSYS sent by a process changes nothing.
extern "C" fn on_denied_call(_: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // JUSTIFICATION: the kernel hands the signal's origin over as a bare pointer.
    // SAFETY: with SA_SIGINFO it points to a siginfo_t that is ours until the handler returns.
    let info = unsafe { &*info };
    if info.si_code != SYS_SECCOMP {
        return;
    }
    // JUSTIFICATION: the kernel hands the interrupted registers over as a bare pointer.
    // SAFETY: with SA_SIGINFO it points to a ucontext_t that is ours until the handler returns.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    if let (Some(number), Some(note)) = (fail_call(context), ON_DENIED_CALL.get()) {
        note(number);
    }
}

/// Lets a trapped system call fail with EPERM; returns its number.
#[cfg(target_arch = "x86_64")]
fn fail_call(context: &mut libc::ucontext_t) -> Option<u32> {
    // The kernel has put the number back into RAX, where the result belongs.
    let rax = context.uc_mcontext.gregs.get_mut(libc::REG_RAX as usize)?;
    let number = std::mem::replace(rax, -i64::from(libc::EPERM));
    Some(number as u32)
}

/// Lets a trapped system call fail with EPERM; returns its number.
#[cfg(target_arch = "aarch64")]
fn fail_call(context: &mut libc::ucontext_t) -> Option<u32> {
    // The number is still in X8; the result belongs into X0.
    let machine = &mut context.uc_mcontext;
    machine.regs[0] = i64::from(-libc::EPERM).cast_unsigned();
    Some(machine.regs[8] as u32)
}
