//! A guest for the simulator's own tests: one small deed per word on its command line, and a line about how
//! it went.

use std::arch::asm;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, ExitCode};
use std::time::Duration;

const MAGIC: u32 = 0x564D_5868;

/// EAX, EBX, ECX, EDX, ESI, EDI in and out.
type Six = [u32; 6];

#[derive(Clone, Copy)]
enum Form {
    In,
    Out,
    Vmcall,
    Vmmcall,
}

/// One low-bandwidth call.
fn call(form: Form, mut r: Six) -> Six {
    r[3] = (r[3] & 0xffff_0000)
        | if matches!(form, Form::In | Form::Out) {
            0x5658
        } else {
            0
        };
    let mut wide: u64 = 0;
    macro_rules! run {
        ($instruction:literal) => {
            // SAFETY: the simulator (or a real host) changes no more than these six registers; RBX is
            // reserved by the compiler and saved by hand. Elsewhere the instruction faults and ends this
            // test program, which is then what was wanted.
            unsafe {
                asm!(
                    "xchg rbx, {b}", $instruction, "xchg rbx, {b}",
                    b = inout(reg) u64::from(r[1]) => wide,
                    inout("eax") r[0], inout("ecx") r[2], inout("edx") r[3],
                    inout("esi") r[4], inout("edi") r[5],
                )
            }
        };
    }
    match form {
        Form::In => run!("in eax, dx"),
        Form::Out => run!("out dx, eax"),
        Form::Vmcall => run!("vmcall"),
        Form::Vmmcall => run!("vmmcall"),
    }
    r[1] = wide as u32;
    r
}

fn version(form: Form) -> bool {
    let answer = call(form, [MAGIC, !MAGIC, 0xffff_000a, 0, 0, 0]);
    answer[0] == 6 && answer[1] == MAGIC
}

/// Sends `request` with low bandwidth and prints the reply.
fn rpc(form: Form, request: &str) -> Result<String, String> {
    let step = |kind: u32, b: u32, id: u32, cookie: (u32, u32)| {
        let answer = call(
            form,
            [MAGIC, b, kind << 16 | 30, id << 16, cookie.0, cookie.1],
        );
        let status = answer[2] >> 16;
        if status & 1 == 0 {
            return Err(format!("step {kind}: status {status:#x}"));
        }
        Ok(answer)
    };
    let open = step(0, 0xC943_5052, 0, (0, 0))?;
    let (id, cookie) = (open[3] >> 16, (open[4], open[5]));
    step(1, request.len() as u32, id, cookie)?;
    for chunk in request.as_bytes().chunks(4) {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        step(2, u32::from_le_bytes(word), id, cookie)?;
    }
    let size = step(3, 0, id, cookie)?;
    let mut reply = Vec::new();
    while reply.len() < size[1] as usize {
        reply.extend(step(4, 1, id, cookie)?[1].to_le_bytes());
    }
    reply.truncate(size[1] as usize);
    step(5, 1, id, cookie)?;
    step(6, 0, id, cookie)?;
    String::from_utf8(reply).map_err(|e| e.to_string())
}

fn threads() -> bool {
    let workers: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(|| (0..100).all(|_| version(Form::In))))
        .collect();
    workers
        .into_iter()
        .all(|worker| worker.join().is_ok_and(|fine| fine))
}

/// A child by fork alone: the breakpoints and the tracer go with it.
fn forked() -> bool {
    // SAFETY: this process has one thread, so the child may do anything.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let fine = version(Form::In) && !vendor().is_empty();
        std::process::exit(i32::from(!fine));
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    waited == child && status == 0
}

fn vendor() -> String {
    let leaf = std::arch::x86_64::__cpuid(0x4000_0000);
    let bytes = [leaf.ebx, leaf.ecx, leaf.edx]
        .map(u32::to_le_bytes)
        .concat();
    String::from_utf8_lossy(&bytes)
        .trim_end_matches('\0')
        .to_owned()
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Connects to 0:`port` as a vsock client would, says what happened, and reads one packet.
fn vsock(port: u32, nonblocking: bool) -> io::Result<String> {
    let kind = libc::SOCK_STREAM | if nonblocking { libc::SOCK_NONBLOCK } else { 0 };
    // SAFETY: takes three numbers.
    let fd = checked(unsafe { libc::socket(libc::AF_VSOCK, kind, 0) })?;
    // SAFETY: just made, owned by nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let address = |port: u32, cid: u32| {
        // SAFETY: all zeros is a valid sockaddr_vm.
        let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
        address.svm_family = libc::AF_VSOCK as u16;
        address.svm_port = port;
        address.svm_cid = cid;
        address
    };
    let len = size_of::<libc::sockaddr_vm>() as u32;
    let source = address(1023, libc::VMADDR_CID_ANY);
    // SAFETY: `source` is as long as `len` says.
    checked(unsafe { libc::bind(fd, (&raw const source).cast(), len) })?;
    let mut bound = address(0, 0);
    let mut room = len;
    // SAFETY: `bound` has `room` bytes.
    checked(unsafe { libc::getsockname(fd, (&raw mut bound).cast(), &raw mut room) })?;
    let target = address(port, libc::VMADDR_CID_HYPERVISOR);
    // SAFETY: `target` is as long as `len` says.
    let connected = checked(unsafe { libc::connect(fd, (&raw const target).cast(), len) });
    let mut told = format!("from {}:{}", bound.svm_cid, bound.svm_port);
    match connected {
        Ok(_) => told += " connected",
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {
            told += " in progress";
            let mut poll = libc::pollfd {
                fd,
                events: libc::POLLOUT,
                revents: 0,
            };
            // SAFETY: one pollfd.
            checked(unsafe { libc::poll(&raw mut poll, 1, 10_000) })?;
            let (mut errno, mut size) = (0i32, 4u32);
            // SAFETY: `errno` has `size` bytes.
            checked(unsafe {
                libc::getsockopt(
                    fd,
                    libc::SOL_SOCKET,
                    libc::SO_ERROR,
                    (&raw mut errno).cast(),
                    &raw mut size,
                )
            })?;
            match errno {
                0 => told += " connected",
                _ => return Err(io::Error::from_raw_os_error(errno)),
            }
        }
        Err(error) => return Err(error),
    }
    let unchanged = target.svm_port == port && target.svm_family == libc::AF_VSOCK as u16;
    assert!(unchanged, "the sockaddr was not put back");
    if port == 975 {
        let mut poll = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd.
        checked(unsafe { libc::poll(&raw mut poll, 1, 10_000) })?;
        let mut packet = [0u8; 256];
        // SAFETY: `packet` has 256 bytes.
        let len = unsafe { libc::recv(socket.as_raw_fd(), packet.as_mut_ptr().cast(), 256, 0) };
        told += &format!(" received {len}");
    }
    Ok(told)
}

fn deed(word: &str) -> String {
    let (name, rest) = word.split_once(':').unwrap_or((word, ""));
    let form = |name: &str| match name {
        "out" => Form::Out,
        "vmcall" => Form::Vmcall,
        "vmmcall" => Form::Vmmcall,
        _ => Form::In,
    };
    match name {
        "version" => version(form(rest)).to_string(),
        "versions" => {
            let start = std::time::Instant::now();
            let fine = (0..1000).all(|_| version(Form::In));
            format!("{fine} {} ns each", start.elapsed().as_nanos() / 1000)
        }
        "rpc" => {
            let (by, request) = rest.split_once(':').unwrap_or(("in", rest));
            rpc(form(by), request).unwrap_or_else(|error| error)
        }
        "threads" => threads().to_string(),
        "fork" => forked().to_string(),
        "exec" => {
            let program = std::env::current_exe().expect("this program has a path");
            match Command::new(program).arg(rest).output() {
                Ok(output) => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
                Err(error) => error.to_string(),
            }
        }
        "vendor" => vendor(),
        "sleeps" => {
            for _ in 0..rest.parse().unwrap_or(0) {
                std::thread::sleep(Duration::from_micros(100));
            }
            "slept".to_owned()
        }
        "vsock" => {
            let (kind, port) = rest.split_once(':').unwrap_or(("", rest));
            vsock(port.parse().unwrap_or(0), kind == "nonblocking")
                .unwrap_or_else(|error| format!("errno {}", error.raw_os_error().unwrap_or(0)))
        }
        "iopl" => {
            // SAFETY: takes a number.
            unsafe { libc::iopl(3) }.to_string()
        }
        "settime" => {
            let time = libc::timespec {
                tv_sec: 1,
                tv_nsec: 0,
            };
            // SAFETY: `time` outlives the call.
            unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) }.to_string()
        }
        "pid" => std::process::id().to_string(),
        "env" => std::env::vars_os().count().to_string(),
        "write" => format!("{:?}", std::fs::write(rest, "x").map_err(|e| e.kind())),
        "own-fault" => {
            // SAFETY: it is not; that is the point.
            unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };
            String::new()
        }
        "own-breakpoint" => {
            // SAFETY: raises SIGTRAP, which ends this program.
            unsafe { asm!("int3") };
            String::new()
        }
        "hang" => {
            println!("hanging");
            loop {
                std::thread::park();
            }
        }
        _ => format!("unknown deed {word}"),
    }
}

fn main() -> ExitCode {
    for word in std::env::args().skip(1) {
        println!("{}", deed(&word));
    }
    ExitCode::SUCCESS
}
