//! The machine: runs a program under ptrace and executes for it what a virtual machine would trap.
//!
//! * `in`, `out`, `rep ins`, `rep outs` raise SIGSEGV in user mode; the signal is swallowed, the host is
//!   asked, and the program goes on behind the instruction.
//! * CPUID, VMCALL and VMMCALL do not fault: `patch` finds them, a breakpoint takes their place.
//! * A seccomp filter stops the program at the few system calls that matter.
//!
//! One thread per program; it waits in `waitpid` and does nothing between stops.

mod clock;
mod filter;
mod first_calls;
mod launch;
mod patch;
mod serial;
mod sys;
mod syscalls;
pub(crate) mod vsock;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use libc::{pid_t, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub use launch::Sandbox;
pub(crate) use launch::{How, Launch, launch};

use self::first_calls::FirstCalls;
use self::patch::{Kind, Site};
use self::sys::{Resume, Wait};
use crate::host::{Direction, EventKind, GuestMemory, Registers, Verdict};
use crate::profile::{Form, Profile};
use crate::vsock_server::Accepted;
use crate::{ExitStatus, SerialPort, Shared};

const EFLAGS_DF: u64 = 1 << 10;
/// How PTRACE_O_TRACESYSGOOD marks the end of a followed system call.
const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;

/// One address space.
#[derive(Debug)]
struct Space {
    memory: File,
    /// Breakpoints by address.
    patches: HashMap<u64, Site>,
    /// Trapping instructions already seen, by address.
    seen: HashMap<u64, PortInstruction>,
    /// Functions that were not called yet.
    first_calls: FirstCalls,
}

/// An instruction that touches the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortInstruction {
    /// `in` or `out`, with its length.
    Single(u64),
    /// `rep ins` or `rep outs`, with its length.
    Repeated(Direction, u64),
}

#[derive(Debug)]
struct Thread {
    process: pid_t,
    /// Its first SIGSTOP is still to be swallowed.
    fresh: bool,
    /// Stopped before its parent's event told whose child it is.
    held: bool,
    /// What to do when the system call it is in is done.
    pending: Option<syscalls::Pending>,
}

impl GuestMemory for Space {
    fn read(&mut self, address: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.memory.read_exact_at(&mut bytes, address)?;
        Ok(bytes)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.memory.write_all_at(bytes, address)
    }
}

impl Space {
    fn of(process: pid_t) -> io::Result<Self> {
        let memory = File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/{process}/mem"))?;
        Ok(Self {
            memory,
            patches: HashMap::new(),
            seen: HashMap::new(),
            first_calls: FirstCalls::default(),
        })
    }

    fn forked(&self, process: pid_t) -> io::Result<Self> {
        let fresh = Self::of(process)?;
        Ok(Self {
            patches: self.patches.clone(),
            seen: self.seen.clone(),
            first_calls: self.first_calls.clone(),
            ..fresh
        })
    }

    /// Puts breakpoints into a mapping: file offset, address, length.
    fn patch(&mut self, sites: &[Site], offset: u64, address: u64, len: u64) {
        const BREAKPOINT: [u8; 1] = [0xcc];
        for site in sites {
            let Some(into) = site.offset.checked_sub(offset).filter(|&into| into < len) else {
                continue;
            };
            let at = address + into;
            if self.memory.write_all_at(&BREAKPOINT, at).is_ok() {
                self.patches.insert(at, *site);
            }
        }
    }

    fn port_instruction(&mut self, rip: u64) -> Option<PortInstruction> {
        if let Some(known) = self.seen.get(&rip) {
            return Some(*known);
        }
        let mut bytes = [0; 2];
        self.memory.read_exact_at(&mut bytes, rip).ok()?;
        let found = match bytes {
            // in eax, dx; out dx, eax
            [0xed | 0xef, _] => PortInstruction::Single(1),
            [0xf3, 0x6e] => PortInstruction::Repeated(Direction::Out, 2),
            [0xf3, 0x6c] => PortInstruction::Repeated(Direction::In, 2),
            _ => return None,
        };
        self.seen.insert(rip, found);
        Some(found)
    }
}

/// The tracer of one program and all it starts.
#[derive(Debug)]
pub(crate) struct Tracer {
    shared: Arc<Shared>,
    root: pid_t,
    threads: HashMap<pid_t, Thread>,
    spaces: HashMap<pid_t, Space>,
    sockets: HashMap<(pid_t, i32), vsock::Socket>,
    vsock: Option<vsock::Handover>,
    /// The port that the program may open.
    serial: Option<SerialPort>,
    /// Whose descriptor it is.
    serial_process: Option<pid_t>,
    watch: Option<serial::Watch>,
    /// Epolls of the program in which the port's bell still has a place.
    forgotten: Vec<i32>,
    profile: Profile,
    count_wakeups: bool,
    /// Addresses, in the file, of the functions to see.
    functions: Vec<u64>,
    /// Clocks are read by system call, and moved.
    move_clocks: bool,
    stops: u64,
}

impl Tracer {
    /// Takes over the program that `launch` has started from this thread.
    pub(crate) fn new(
        root: pid_t,
        shared: Arc<Shared>,
        sender: mpsc::Sender<Accepted>,
        how: &How,
    ) -> io::Result<Self> {
        let profile = shared.lock().config.profile;
        let mut tracer = Self {
            shared,
            root,
            threads: HashMap::new(),
            spaces: HashMap::new(),
            sockets: HashMap::new(),
            vsock: None,
            serial: how.serial.clone(),
            serial_process: None,
            watch: None,
            forgotten: Vec::new(),
            profile,
            count_wakeups: how.count_wakeups,
            functions: how.functions.clone(),
            move_clocks: how.move_clocks,
            stops: 0,
        };
        match sys::wait_any()? {
            Some((pid, Wait::Stopped { .. })) if pid == root => {}
            other => {
                return Err(io::Error::other(format!(
                    "the program did not start: {other:?}"
                )));
            }
        }
        ptrace::setoptions(
            Pid::from_raw(root),
            Options::PTRACE_O_EXITKILL
                | Options::PTRACE_O_TRACECLONE
                | Options::PTRACE_O_TRACEFORK
                | Options::PTRACE_O_TRACEVFORK
                | Options::PTRACE_O_TRACEEXEC
                | Options::PTRACE_O_TRACESECCOMP
                | Options::PTRACE_O_TRACESYSGOOD,
        )?;
        tracer.vsock = Some(vsock::Handover::new(root, sender)?);
        let thread = Thread {
            process: root,
            fresh: false,
            held: false,
            pending: None,
        };
        tracer.threads.insert(root, thread);
        tracer.exec(root);
        Ok(tracer)
    }

    /// Lets the program run to its end, and all it started to theirs.
    pub(crate) fn run(mut self) {
        {
            let mut host = self.shared.lock();
            let now = Instant::now();
            host.started = now;
            host.event(now, EventKind::Started);
        }
        sys::resume(self.root, Resume::Run, 0);
        self.shared.changed();
        while let Ok(Some((pid, wait))) = sys::wait_any() {
            let now = Instant::now();
            match wait {
                Wait::Exited(code) => self.ended(pid, ExitStatus::Code(code), now),
                Wait::Killed(signal) => self.ended(pid, ExitStatus::Signal(signal), now),
                Wait::Stopped { signal, event } => self.stopped(pid, signal, event, now),
            }
        }
    }

    fn ended(&mut self, pid: pid_t, status: ExitStatus, _now: Instant) {
        let thread = self.threads.remove(&pid);
        if thread.is_some_and(|thread| thread.process == pid) {
            self.spaces.remove(&pid);
            self.sockets.retain(|(process, _), _| *process != pid);
            self.serial_ended(pid);
        }
        self.shared.processes().retain(|&process| process != pid);
        if pid == self.root {
            self.shared.end(status);
        }
    }

    fn stopped(&mut self, pid: pid_t, signal: i32, event: i32, now: Instant) {
        self.stops += 1;
        if self.shared.is_killing() {
            // Born after the others were killed.
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let Some(thread) = self.threads.get_mut(&pid) else {
            // A new thread or process, seen before its parent's event.
            let thread = Thread {
                process: pid,
                fresh: false,
                held: true,
                pending: None,
            };
            self.threads.insert(pid, thread);
            return;
        };
        if thread.fresh && signal == libc::SIGSTOP && event == 0 {
            thread.fresh = false;
            sys::resume(pid, Resume::Run, 0);
            return;
        }
        if signal == libc::SIGSTOP && event == 0 && sys::signal_info(pid).is_err() {
            // The stop that follows a delivered SIGSTOP; it has no signal of its own. It lasts: the kernel does not
            // report a SIGCONT to a tracer like this one.
            return;
        }
        let mut deliver = 0;
        let mut how = Resume::Run;
        match (signal, event) {
            (_, libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK) => {
                self.born(pid);
            }
            (_, libc::PTRACE_EVENT_EXEC) => {
                if let Ok(former) = sys::event_message(pid) {
                    // A thread that execs takes over the process id.
                    if former as pid_t != pid {
                        self.threads.remove(&(former as pid_t));
                    }
                }
                self.threads
                    .retain(|&tid, thread| thread.process != pid || tid == pid);
                self.exec(pid);
            }
            (_, libc::PTRACE_EVENT_SECCOMP) => how = self.syscall_entered(pid, now),
            (SYSCALL_STOP, _) => self.syscall_left(pid),
            (libc::SIGSEGV, 0) => deliver = self.faulted(pid, now),
            (libc::SIGTRAP, 0) => deliver = self.trapped(pid, now),
            (_, 0) => deliver = signal,
            _ => {}
        }
        sys::resume(pid, how, deliver);
        self.shared.stops.store(self.stops, Ordering::Relaxed);
        self.shared.changed_if_new();
    }

    fn born(&mut self, parent: pid_t) {
        let Ok(child) = sys::event_message(parent) else {
            return;
        };
        let child = child as pid_t;
        let parent_process = self
            .threads
            .get(&parent)
            .map_or(parent, |thread| thread.process);
        let process = thread_group(child).unwrap_or(parent_process);
        if process == child {
            let forked = self
                .spaces
                .get(&parent_process)
                .and_then(|space| space.forked(child).ok());
            if let Some(space) = forked {
                self.spaces.insert(child, space);
            }
            let inherited: Vec<_> = self
                .sockets
                .iter()
                .filter(|((of, _), _)| *of == parent_process)
                .map(|((_, fd), socket)| ((child, *fd), socket.clone()))
                .collect();
            self.sockets.extend(inherited);
            self.shared.processes().push(child);
        }
        match self.threads.get_mut(&child) {
            Some(thread) if thread.held => {
                thread.held = false;
                thread.process = process;
                sys::resume(child, Resume::Run, 0);
            }
            _ => {
                let thread = Thread {
                    process,
                    fresh: true,
                    held: false,
                    pending: None,
                };
                self.threads.insert(child, thread);
            }
        }
    }

    /// A fresh program in this process: everything executable that is mapped now gets its breakpoints.
    fn exec(&mut self, process: pid_t) {
        let Ok(mut space) = Space::of(process) else {
            return;
        };
        for mapping in executable_mappings(process) {
            if let Ok(sites) = patch::sites(&mapping.file) {
                space.patch(&sites, mapping.offset, mapping.address, mapping.len);
            }
        }
        if let Some(base) = base(process).filter(|_| !self.functions.is_empty()) {
            space.first_calls = FirstCalls::place(&space.memory, &self.functions, base);
        }
        if self.move_clocks {
            clock::hide_vdso(process, &mut space);
        }
        self.spaces.insert(process, space);
    }

    fn space(&mut self, pid: pid_t) -> Option<&mut Space> {
        let process = self.threads.get(&pid)?.process;
        self.spaces.get_mut(&process)
    }

    /// SIGSEGV: a port instruction, or the program's own fault. The signal to deliver.
    fn faulted(&mut self, pid: pid_t, now: Instant) -> i32 {
        const SI_KERNEL: i32 = 0x80;
        if sys::signal_info(pid).map(|info| info.si_code) != Ok(SI_KERNEL) {
            return libc::SIGSEGV;
        }
        let Ok(mut user) = sys::registers(pid) else {
            return 0;
        };
        let shared = self.shared.clone();
        let Some(space) = self.space(pid) else {
            return libc::SIGSEGV;
        };
        let Some(instruction) = space.port_instruction(user.rip) else {
            return libc::SIGSEGV;
        };
        let mut registers = of_user(&user);
        let (verdict, len) = {
            let mut host = shared.lock();
            host.accessed(|| status(pid));
            match instruction {
                PortInstruction::Single(len) => {
                    (host.low_bandwidth(Form::Port, &mut registers, now), len)
                }
                PortInstruction::Repeated(direction, len) => {
                    let verdict =
                        host.high_bandwidth(Form::Port, direction, &mut registers, space, now);
                    (verdict, len)
                }
            }
        };
        if verdict == Verdict::Fault {
            return libc::SIGSEGV;
        }
        into_user(&registers, &mut user);
        user.rip += len;
        // A thread that died meanwhile needs no registers.
        let _gone = sys::set_registers(pid, user);
        0
    }

    /// SIGTRAP: one of our breakpoints, or the program's own. The signal to deliver.
    fn trapped(&mut self, pid: pid_t, now: Instant) -> i32 {
        let Ok(mut user) = sys::registers(pid) else {
            return 0;
        };
        let (shared, profile) = (self.shared.clone(), self.profile);
        let Some(space) = self.space(pid) else {
            return libc::SIGTRAP;
        };
        let address = user.rip.wrapping_sub(1);
        if let Some(function) = space.first_calls.called(&space.memory, address) {
            shared.lock().called.push(function);
            user.rip = address;
            let _gone = sys::set_registers(pid, user);
            return 0;
        }
        let Some(site) = space.patches.get(&address).copied() else {
            return libc::SIGTRAP;
        };
        let form = match site.kind {
            Kind::Cpuid => {
                let answer = profile.cpuid(user.rax as u32, user.rcx as u32);
                user.rax = u64::from(answer.eax);
                user.rbx = u64::from(answer.ebx);
                user.rcx = u64::from(answer.ecx);
                user.rdx = u64::from(answer.edx);
                shared.lock().stats.cpuid += 1;
                user.rip = address + u64::from(site.len);
                let _gone = sys::set_registers(pid, user);
                return 0;
            }
            Kind::Vmcall => Form::Vmcall,
            Kind::Vmmcall => Form::Vmmcall,
        };
        let mut registers = of_user(&user);
        shared.lock().accessed(|| status(pid));
        let verdict = if profile == Profile::Kvm {
            // KVM answers hypercalls of user mode by an error in RAX.
            registers.rax = u64::MAX;
            Verdict::Done
        } else if registers.rdx as u32 & 1 == 0 {
            shared.lock().low_bandwidth(form, &mut registers, now)
        } else {
            let direction = if registers.rdx as u32 & 2 == 0 {
                Direction::In
            } else {
                Direction::Out
            };
            shared
                .lock()
                .high_bandwidth(form, direction, &mut registers, space, now)
        };
        let signal = if verdict == Verdict::Done {
            into_user(&registers, &mut user);
            user.rip = address + u64::from(site.len);
            0
        } else {
            user.rip = address;
            libc::SIGILL
        };
        let _gone = sys::set_registers(pid, user);
        signal
    }
}

fn of_user(user: &user_regs_struct) -> Registers {
    Registers {
        rax: user.rax,
        rbx: user.rbx,
        rcx: user.rcx,
        rdx: user.rdx,
        rsi: user.rsi,
        rdi: user.rdi,
        rbp: user.rbp,
        backwards: user.eflags & EFLAGS_DF != 0,
    }
}

fn into_user(registers: &Registers, user: &mut user_regs_struct) {
    user.rax = registers.rax;
    user.rbx = registers.rbx;
    user.rcx = registers.rcx;
    user.rdx = registers.rdx;
    user.rsi = registers.rsi;
    user.rdi = registers.rdi;
    user.rbp = registers.rbp;
}

/// What the kernel says of a thread.
fn status(tid: pid_t) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{tid}/status")).ok()
}

fn thread_group(tid: pid_t) -> Option<pid_t> {
    let status = status(tid)?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    line.trim().parse().ok()
}

struct Mapping {
    address: u64,
    len: u64,
    offset: u64,
    file: PathBuf,
}

/// Where the program's file begins in memory.
fn base(process: pid_t) -> Option<u64> {
    let program = std::fs::read_link(format!("/proc/{process}/exe")).ok()?;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let of_program = maps
        .lines()
        .find(|line| line.ends_with(&*program.to_string_lossy()))?;
    u64::from_str_radix(of_program.split('-').next()?, 16).ok()
}

/// The executable file mappings of a process.
fn executable_mappings(process: pid_t) -> Vec<Mapping> {
    let Ok(maps) = std::fs::read_to_string(format!("/proc/{process}/maps")) else {
        return Vec::new();
    };
    let mapping = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (range, rights, offset) = (fields.next()?, fields.next()?, fields.next()?);
        let path = fields.nth(2)?;
        if rights.as_bytes().get(2) != Some(&b'x') || !path.starts_with('/') {
            return None;
        }
        let (from, to) = range.split_once('-')?;
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let (from, to) = (number(from)?, number(to)?);
        // By way of the mapping itself when that is allowed: names mean little in another namespace.
        let by_range = PathBuf::from(format!("/proc/{process}/map_files/{range}"));
        let file = match File::open(&by_range) {
            Ok(_) => by_range,
            Err(_) => PathBuf::from(format!("/proc/{process}/root{path}")),
        };
        Some(Mapping {
            address: from,
            len: to - from,
            offset: number(offset)?,
            file,
        })
    };
    maps.lines().filter_map(mapping).collect()
}
