//! The seccomp filter that stops the program at the few system calls the simulator plays a part in;
//! everything else runs at full speed.

use libc::sock_filter;

use super::launch::How;
use super::serial;

const ARCH_X86_64: u32 = 0xC000_003E;
const RET_ALLOW: u32 = 0x7fff_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const LD_W_ABS: u16 = 0x20;
const JEQ_K: u16 = 0x15;
const JGE_K: u16 = 0x35;
const JSET_K: u16 = 0x45;
const AND_K: u16 = 0x54;
const RET_K: u16 = 0x06;

/// `IOCTL_VM_SOCKETS_GET_LOCAL_CID` (linux/vm_sockets.h).
pub(crate) const GET_LOCAL_CID: u32 = 0x7b9;

enum When {
    Always,
    /// The low word of the argument equals.
    Equals(u8, u32),
    /// It does not.
    Differs(u8, u32),
    /// It is not below.
    AtLeast(u8, u32),
    /// It has one of these bits.
    Has(u8, u32),
    /// Masked, it equals one of two.
    MaskedIsOneOf(u8, u32, u32, u32),
    /// Two arguments equal.
    Both((u8, u32), (u8, u32)),
}

/// The filter's program; the refused calls fail with their errno.
pub(crate) fn program(how: &How, refused: &[(i64, i32)]) -> Vec<sock_filter> {
    let mut rules: Vec<(libc::c_long, When)> = Vec::new();
    // Of two rules for a call the first counts.
    if how.serial.is_some() {
        const PORT: u32 = serial::PORT as u32;
        rules.extend([
            (libc::SYS_open, When::Always),
            (libc::SYS_openat, When::Always),
            (libc::SYS_stat, When::Always),
            (libc::SYS_lstat, When::Always),
            (libc::SYS_newfstatat, When::Always),
            (libc::SYS_statx, When::Always),
            (libc::SYS_fstat, When::AtLeast(0, PORT)),
            (libc::SYS_read, When::AtLeast(0, PORT)),
            (libc::SYS_write, When::AtLeast(0, PORT)),
            (libc::SYS_readv, When::AtLeast(0, PORT)),
            (libc::SYS_writev, When::AtLeast(0, PORT)),
            (libc::SYS_pread64, When::AtLeast(0, PORT)),
            (libc::SYS_pwrite64, When::AtLeast(0, PORT)),
            (libc::SYS_close, When::AtLeast(0, PORT)),
            (libc::SYS_epoll_ctl, When::AtLeast(2, PORT)),
            (libc::SYS_epoll_wait, When::Always),
            (libc::SYS_epoll_pwait, When::Always),
            (libc::SYS_epoll_pwait2, When::Always),
            (libc::SYS_poll, When::Always),
            (libc::SYS_ppoll, When::Always),
        ]);
    }
    rules.extend([
        (libc::SYS_socket, When::Equals(0, libc::AF_VSOCK as u32)),
        (libc::SYS_bind, When::Always),
        (libc::SYS_connect, When::Always),
        (libc::SYS_getsockname, When::Always),
        (libc::SYS_getpeername, When::Always),
        (
            libc::SYS_getsockopt,
            When::Both((1, libc::SOL_SOCKET as u32), (2, libc::SO_ERROR as u32)),
        ),
        (libc::SYS_setsockopt, When::Equals(1, libc::AF_VSOCK as u32)),
        (libc::SYS_ioctl, When::Equals(1, GET_LOCAL_CID)),
        (libc::SYS_mmap, When::Has(2, libc::PROT_EXEC as u32)),
        (libc::SYS_mprotect, When::Has(2, libc::PROT_EXEC as u32)),
        (libc::SYS_iopl, When::Always),
        (libc::SYS_ioperm, When::Always),
        (libc::SYS_reboot, When::Always),
        (libc::SYS_clock_settime, When::Always),
        (libc::SYS_settimeofday, When::Always),
        (libc::SYS_adjtimex, When::Always),
        (libc::SYS_clock_adjtime, When::Always),
        (libc::SYS_kexec_load, When::Always),
        (libc::SYS_kexec_file_load, When::Always),
    ]);
    if how.move_clocks {
        rules.extend([
            (libc::SYS_clock_gettime, When::Always),
            (libc::SYS_gettimeofday, When::Always),
            (libc::SYS_time, When::Always),
        ]);
    }
    if how.count_wakeups {
        const FUTEX_COMMAND: u32 = 0x7f;
        rules.extend([
            (libc::SYS_epoll_wait, When::Differs(3, 0)),
            (libc::SYS_epoll_pwait, When::Differs(3, 0)),
            (libc::SYS_epoll_pwait2, When::Always),
            (libc::SYS_poll, When::Differs(2, 0)),
            (libc::SYS_ppoll, When::Always),
            (libc::SYS_select, When::Always),
            (libc::SYS_pselect6, When::Always),
            (libc::SYS_nanosleep, When::Always),
            (libc::SYS_clock_nanosleep, When::Always),
            (libc::SYS_pause, When::Always),
            (libc::SYS_rt_sigtimedwait, When::Always),
            (
                libc::SYS_futex,
                When::MaskedIsOneOf(
                    1,
                    FUTEX_COMMAND,
                    libc::FUTEX_WAIT as u32,
                    libc::FUTEX_WAIT_BITSET as u32,
                ),
            ),
        ]);
    }
    let mut code = vec![
        op(LD_W_ABS, 4),
        jump(JEQ_K, ARCH_X86_64, 1, 0),
        op(RET_K, RET_ALLOW),
        op(LD_W_ABS, 0),
    ];
    for &(number, errno) in refused {
        code.push(jump(JEQ_K, number as u32, 0, 1));
        code.push(op(RET_K, RET_ERRNO | errno as u32));
    }
    for (number, when) in rules {
        let body = body(&when);
        code.push(jump(JEQ_K, number as u32, 0, body.len() as u8));
        code.extend(body);
    }
    code.push(op(RET_K, RET_ALLOW));
    code
}

/// Whether this call waits for something.
pub(crate) fn blocks(number: libc::c_long) -> bool {
    matches!(
        number,
        libc::SYS_epoll_wait
            | libc::SYS_epoll_pwait
            | libc::SYS_epoll_pwait2
            | libc::SYS_poll
            | libc::SYS_ppoll
            | libc::SYS_select
            | libc::SYS_pselect6
            | libc::SYS_nanosleep
            | libc::SYS_clock_nanosleep
            | libc::SYS_pause
            | libc::SYS_rt_sigtimedwait
            | libc::SYS_futex
    )
}

/// Whether it waits, given its arguments: with a timeout of 0 it only looks.
pub(crate) fn may_block(number: libc::c_long, user: &libc::user_regs_struct) -> bool {
    match number {
        libc::SYS_epoll_wait | libc::SYS_epoll_pwait => user.r10 as i32 != 0,
        libc::SYS_poll => user.rdx as i32 != 0,
        _ => true,
    }
}

fn body(when: &When) -> Vec<sock_filter> {
    let verdicts = [op(RET_K, RET_ALLOW), op(RET_K, RET_TRACE)];
    let argument = |index: u8| op(LD_W_ABS, 16 + 8 * u32::from(index));
    let mut code = match *when {
        When::Always => return vec![op(RET_K, RET_TRACE)],
        When::Equals(index, value) => vec![argument(index), jump(JEQ_K, value, 1, 0)],
        When::Differs(index, value) => vec![argument(index), jump(JEQ_K, value, 0, 1)],
        When::AtLeast(index, value) => vec![argument(index), jump(JGE_K, value, 1, 0)],
        When::Has(index, bits) => vec![argument(index), jump(JSET_K, bits, 1, 0)],
        When::MaskedIsOneOf(index, mask, one, other) => vec![
            argument(index),
            op(AND_K, mask),
            jump(JEQ_K, one, 2, 0),
            jump(JEQ_K, other, 1, 0),
        ],
        When::Both((first, one), (second, other)) => vec![
            argument(first),
            jump(JEQ_K, one, 0, 2),
            argument(second),
            jump(JEQ_K, other, 1, 0),
        ],
    };
    code.extend(verdicts);
    code
}

fn op(code: u16, k: u32) -> sock_filter {
    jump(code, k, 0, 0)
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter machine of the five instructions used here.
    fn run(program: &[sock_filter], number: i64, args: [u32; 6]) -> u32 {
        let (mut at, mut a) = (0, 0u32);
        loop {
            let i = program[at];
            at += 1;
            let taken = match i.code {
                LD_W_ABS => {
                    a = match i.k {
                        0 => number as u32,
                        4 => ARCH_X86_64,
                        k => args[(k as usize - 16) / 8],
                    };
                    continue;
                }
                AND_K => {
                    a &= i.k;
                    continue;
                }
                RET_K => return i.k,
                JEQ_K => a == i.k,
                JGE_K => a >= i.k,
                JSET_K => a & i.k != 0,
                other => panic!("{other:#x}"),
            };
            at += usize::from(if taken { i.jt } else { i.jf });
        }
    }

    #[test]
    fn stops_where_it_shall_and_nowhere_else() {
        let how = How {
            count_wakeups: true,
            functions: Vec::new(),
            move_clocks: true,
            serial: None,
        };
        let program = program(&how, &[(libc::SYS_swapon, libc::EPERM)]);
        let traced = |number, args| run(&program, number, args) == RET_TRACE;
        assert!(traced(libc::SYS_socket, [40, 1, 0, 0, 0, 0]));
        assert!(!traced(libc::SYS_socket, [1, 1, 0, 0, 0, 0]));
        assert!(traced(libc::SYS_connect, [0; 6]));
        assert!(traced(libc::SYS_mmap, [0, 0, 5, 0, 0, 0]));
        assert!(!traced(libc::SYS_mmap, [0, 0, 3, 0, 0, 0]));
        assert!(traced(libc::SYS_getsockopt, [3, 1, 4, 0, 0, 0]));
        assert!(!traced(libc::SYS_getsockopt, [3, 1, 7, 0, 0, 0]));
        assert!(!traced(libc::SYS_getsockopt, [3, 6, 4, 0, 0, 0]));
        assert!(traced(libc::SYS_epoll_wait, [3, 0, 0, u32::MAX, 0, 0]));
        assert!(!traced(libc::SYS_epoll_wait, [3, 0, 0, 0, 0, 0]));
        assert!(traced(libc::SYS_futex, [0, 0x80, 0, 0, 0, 0]));
        assert!(traced(libc::SYS_futex, [0, 0x89, 0, 0, 0, 0]));
        assert!(!traced(libc::SYS_futex, [0, 0x81, 0, 0, 0, 0]));
        assert!(!traced(libc::SYS_read, [0; 6]));
        assert!(traced(libc::SYS_clock_gettime, [7, 0, 0, 0, 0, 0]));
        let plain = super::program(&How::default(), &[]);
        assert_eq!(run(&plain, libc::SYS_clock_gettime, [7; 6]), RET_ALLOW);
        let refused = RET_ERRNO | libc::EPERM as u32;
        assert_eq!(run(&program, libc::SYS_swapon, [0; 6]), refused);
    }

    #[test]
    fn with_a_port_it_stops_at_calls_on_its_descriptor_and_at_no_others() {
        let how = How {
            serial: Some(crate::SerialPort::unplugged("/nowhere").unwrap()),
            ..How::default()
        };
        let program = program(&how, &[]);
        for number in [libc::SYS_read, libc::SYS_write, libc::SYS_close] {
            assert_eq!(run(&program, number, [700, 0, 0, 0, 0, 0]), RET_TRACE);
            assert_eq!(run(&program, number, [699, 0, 0, 0, 0, 0]), RET_ALLOW);
        }
        assert_eq!(run(&program, libc::SYS_epoll_wait, [3; 6]), RET_TRACE);
        let plain = super::program(&How::default(), &[]);
        assert_eq!(run(&plain, libc::SYS_read, [700; 6]), RET_ALLOW);
    }
}
