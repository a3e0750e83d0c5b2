use std::collections::BTreeSet;

use super::*;
use crate::sandbox::calls::{AMD64, ARM64};
use syscalls::aarch64::Sysno as Arm64;
use syscalls::x86_64::Sysno as Amd64;

const ALLOW: u32 = 0x7fff_0000;
const TRAP: u32 = 0x0003_0000;
const ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS as u32;
const KILL_PROCESS: u32 = 0x8000_0000;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const AUDIT_ARCH_AARCH64: u32 = 0xc000_00b7;
const AUDIT_ARCH_I386: u32 = 0x4000_0003;
const PROCESS: u32 = 4711;

/// Both programs of one kind of processor, for a configuration.
struct Filter {
    programs: [BpfProgram; 2],
    arch: u32,
}

impl Filter {
    fn amd64(needs: &Needs) -> Self {
        Self::new(&AMD64, TargetArch::x86_64, AUDIT_ARCH_X86_64, needs)
    }

    fn arm64(needs: &Needs) -> Self {
        Self::new(&ARM64, TargetArch::aarch64, AUDIT_ARCH_AARCH64, needs)
    }

    fn new(table: &Table, target: TargetArch, arch: u32, needs: &Needs) -> Self {
        let programs = [
            elsewhere(table, target).unwrap(),
            allowed(table, target, needs, PROCESS, SeccompAction::Trap).unwrap(),
        ];
        Self { programs, arch }
    }

    /// The kernel's verdict: the strictest one, which is the least as a signed number.
    fn verdict(&self, number: i32, arguments: &[u64]) -> u32 {
        let verdicts = self
            .programs
            .iter()
            .map(|program| run(program, self.arch, number, arguments));
        verdicts
            .min_by_key(|verdict| verdict.cast_signed())
            .unwrap()
    }
}

/// The machine that runs a program, with the instructions that occur.
fn run(program: &BpfProgram, arch: u32, number: i32, arguments: &[u64]) -> u32 {
    let argument = |word: usize| {
        let value = arguments.get(word / 2).copied().unwrap_or_default();
        if word.is_multiple_of(2) {
            value as u32
        } else {
            (value >> 32) as u32
        }
    };
    let (mut at, mut a) = (0, 0u32);
    loop {
        let i = &program[at];
        at += 1;
        let jump = |taken: bool| usize::from(if taken { i.jt } else { i.jf });
        match i.code {
            0x20 => {
                a = match i.k {
                    0 => number.cast_unsigned(),
                    4 => arch,
                    at => argument((at as usize - 16) / 4),
                }
            }
            0x05 => at += i.k as usize,
            0x15 => at += jump(a == i.k),
            0x25 => at += jump(a > i.k),
            0x35 => at += jump(a >= i.k),
            0x54 => a &= i.k,
            0x06 => return i.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

fn machined() -> Needs {
    Needs {
        vsock: true,
        ..Needs::default()
    }
}

fn apid() -> Needs {
    Needs {
        network: Network::Ports([50000].into()),
        ..Needs::default()
    }
}

#[test]
fn what_is_on_the_list_goes_through_and_all_else_is_trapped() {
    // Those whose arguments matter are looked at one by one below.
    let free = |table: &Table| -> BTreeSet<i32> {
        let calls = table.allowed.iter();
        calls
            .filter(|call| call.arguments == Arguments::Any && call.number != table.clone3)
            .map(|call| call.number)
            .collect()
    };
    let judged =
        |table: &Table| -> BTreeSet<i32> { table.allowed.iter().map(|call| call.number).collect() };
    for (filter, table) in [
        (Filter::amd64(&machined()), AMD64),
        (Filter::arm64(&machined()), ARM64),
    ] {
        for number in 0..1024 {
            let verdict = filter.verdict(number, &[]);
            if free(&table).contains(&number) {
                assert_eq!(verdict, ALLOW, "{number}");
            } else if !judged(&table).contains(&number) {
                assert_eq!(verdict, TRAP, "{number}");
            }
        }
    }
}

#[test]
fn the_calls_that_an_attacker_wants_are_trapped_on_both_processors() {
    macro_rules! numbers {
        ($($name:ident),*) => {
            [$((stringify!($name), Amd64::$name as i32, Arm64::$name as i32)),*]
        };
    }
    let (amd64, arm64) = (Filter::amd64(&apid()), Filter::arm64(&apid()));
    for (name, on_amd64, on_arm64) in numbers!(
        execve,
        execveat,
        ptrace,
        process_vm_readv,
        process_vm_writev,
        mount,
        umount2,
        move_mount,
        open_tree,
        fsopen,
        pivot_root,
        chroot,
        unshare,
        setns,
        bpf,
        perf_event_open,
        init_module,
        finit_module,
        delete_module,
        kexec_load,
        kexec_file_load,
        reboot,
        kill,
        tkill,
        pidfd_send_signal,
        pidfd_getfd,
        setuid,
        setgid,
        setresuid,
        capset,
        seccomp,
        landlock_restrict_self,
        keyctl,
        add_key,
        io_uring_setup,
        userfaultfd,
        memfd_create,
        listen,
        accept,
        accept4,
        socketpair,
        unlinkat,
        renameat2,
        mkdirat,
        mknodat,
        symlinkat,
        linkat,
        fchmodat,
        fchownat,
        truncate,
        ftruncate,
        openat2,
        open_by_handle_at,
        name_to_handle_at,
        clock_settime,
        settimeofday,
        adjtimex,
        sethostname,
        syslog,
        swapon,
        quotactl,
        personality,
        pkey_mprotect,
        shmat,
        process_madvise,
        setsid,
        nanosleep
    ) {
        assert_eq!(amd64.verdict(on_amd64, &[]), TRAP, "{name}");
        assert_eq!(arm64.verdict(on_arm64, &[]), TRAP, "{name}");
    }
    for only in [
        Amd64::fork,
        Amd64::vfork,
        Amd64::iopl,
        Amd64::ioperm,
        Amd64::open,
        Amd64::creat,
        Amd64::modify_ldt,
        Amd64::arch_prctl,
        Amd64::uselib,
    ] {
        assert_eq!(amd64.verdict(only as i32, &[]), TRAP, "{only}");
    }
}

#[test]
fn other_processors_calls_end_the_process_and_x32_ones_are_trapped() {
    let filter = Filter::amd64(&machined());
    for program in &filter.programs {
        let verdict = run(program, AUDIT_ARCH_I386, Amd64::read as i32, &[]);
        assert_eq!(verdict, KILL_PROCESS);
    }
    let x32 = 0x4000_0000 | Amd64::read as i32;
    assert_eq!(filter.verdict(x32, &[]), TRAP);
}

#[test]
fn sockets_are_those_that_the_configuration_asks_for() {
    let families = |needs: &Needs| -> Vec<(i32, i32)> {
        let filter = Filter::amd64(needs);
        let types = [
            SOCK_STREAM,
            SOCK_DGRAM,
            libc::SOCK_RAW,
            libc::SOCK_SEQPACKET,
        ];
        let all = (0..50).flat_map(|family| types.map(|kind| (family, kind)));
        all.filter(|&(family, kind)| {
            let kind = kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            let verdict = filter.verdict(Amd64::socket as i32, &[unsigned(family), unsigned(kind)]);
            assert!(matches!(verdict, ALLOW | TRAP | ENOSYS));
            assert_eq!(verdict == ENOSYS, family == AF_NETLINK);
            verdict == ALLOW && family != AF_UNIX
        })
        .collect()
    };
    assert_eq!(families(&Needs::default()), []);
    assert_eq!(families(&machined()), [(AF_VSOCK, SOCK_STREAM)]);
    assert_eq!(
        families(&apid()),
        [
            (AF_INET, SOCK_STREAM),
            (AF_INET, SOCK_DGRAM),
            (AF_INET6, SOCK_STREAM),
            (AF_INET6, SOCK_DGRAM)
        ]
    );
    let relay = |needs: Needs| Needs {
        relay: true,
        ..needs
    };
    assert_eq!(
        families(&relay(machined())),
        [(AF_INET, SOCK_STREAM), (AF_VSOCK, SOCK_STREAM)]
    );
    assert_eq!(families(&relay(apid())), families(&apid()));
    let bind = Amd64::bind as i32;
    assert_eq!(Filter::amd64(&machined()).verdict(bind, &[]), ALLOW);
    assert_eq!(Filter::amd64(&apid()).verdict(bind, &[]), TRAP);
}

#[test]
fn arguments_are_looked_at_on_both_processors() {
    let amd64 = Filter::amd64(&apid());
    let arm64 = Filter::arm64(&apid());
    macro_rules! verdict {
        ($name:ident, $($argument:expr),*) => {{
            let arguments = [$($argument as u64),*];
            let verdict = amd64.verdict(Amd64::$name as i32, &arguments);
            assert_eq!(arm64.verdict(Arm64::$name as i32, &arguments), verdict);
            verdict
        }};
    }
    assert_eq!(verdict!(clone3, 0, 0), ENOSYS);

    // What glibc gives for a thread, and for a fork.
    assert_eq!(verdict!(clone, 0x003d_0f00), ALLOW);
    assert_eq!(verdict!(clone, 0x0120_0011), TRAP);
    assert_eq!(verdict!(clone, 0x003d_0f00 | CLONE_NEWUSER), TRAP);
    assert_eq!(
        verdict!(clone, CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD),
        TRAP
    );

    let data = libc::PROT_READ | libc::PROT_WRITE;
    assert_eq!(verdict!(mmap, 0, 4096, data), ALLOW);
    assert_eq!(verdict!(mmap, 0, 4096, data | PROT_EXEC), TRAP);
    assert_eq!(verdict!(mprotect, 0, 4096, libc::PROT_NONE), ALLOW);
    assert_eq!(
        verdict!(mprotect, 0, 4096, libc::PROT_READ | PROT_EXEC),
        TRAP
    );

    let at = libc::AT_FDCWD;
    assert_eq!(
        verdict!(openat, at, 0, libc::O_RDONLY | libc::O_CLOEXEC),
        ALLOW
    );
    assert_eq!(
        verdict!(openat, at, 0, libc::O_RDONLY | libc::O_DIRECTORY),
        ALLOW
    );
    for change in [
        libc::O_WRONLY,
        libc::O_RDWR,
        libc::O_CREAT,
        libc::O_TRUNC,
        libc::O_TMPFILE | libc::O_RDWR,
    ] {
        assert_eq!(verdict!(openat, at, 0, change), TRAP);
    }

    assert_eq!(verdict!(tgkill, PROCESS, PROCESS + 1, libc::SIGABRT), ALLOW);
    assert_eq!(verdict!(tgkill, 1, 1, libc::SIGKILL), TRAP);
    assert_eq!(verdict!(prctl, libc::PR_SET_NAME), ALLOW);
    assert_eq!(verdict!(prctl, libc::PR_SET_DUMPABLE), TRAP);
    assert_eq!(verdict!(ioctl, 3, libc::FIONBIO), ALLOW);
    assert_eq!(verdict!(ioctl, 3, libc::TIOCSTI), TRAP);
    assert_eq!(verdict!(fcntl, 3, libc::F_GETFL), ALLOW);
    assert_eq!(verdict!(fcntl, 3, libc::F_SETOWN), TRAP);
    assert_eq!(verdict!(setsockopt, 3, libc::SOL_SOCKET), ALLOW);
    assert_eq!(verdict!(setsockopt, 3, libc::IPPROTO_TCP), ALLOW);
    assert_eq!(verdict!(setsockopt, 3, libc::SOL_NETLINK), TRAP);
}

/// What seccomp_data holds above the 32 bits of an int is not looked at, as the kernel does not.
#[test]
fn the_upper_half_of_an_int_does_not_matter() {
    let filter = Filter::amd64(&machined());
    let upper = 0xffff_ffff_0000_0000;
    let socket = Amd64::socket as i32;
    let family = upper | unsigned(AF_INET);
    assert_eq!(filter.verdict(socket, &[family, 1]), TRAP);
    let family = upper | unsigned(AF_UNIX);
    assert_eq!(filter.verdict(socket, &[family, 1]), ALLOW);
}

#[test]
fn the_text_counts_the_calls() {
    let all = HERE.allowed.len();
    assert_eq!(text(&machined()), format!("{all} system calls"));
    assert_eq!(text(&apid()), format!("{} system calls", all - 1));
}
