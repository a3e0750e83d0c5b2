//! What the container leaves the daemon, seen from outside, and what the daemon makes of it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vmx::Profile;

use super::bundle::{Bundle, SOCKET, Spec, specs};
use crate::support::{Folder, Run, Talos};

/// What Talos grants no service (bits of linux/capability.h).
const CAP_SYS_MODULE: u64 = 1 << 16;
const CAP_SYS_BOOT: u64 = 1 << 22;
/// What machined's socket, which belongs to apid's user, takes.
const CAP_DAC_OVERRIDE: u64 = 1 << 1;
/// PR_SET_SECCOMP's filter mode, as /proc tells it.
const SECCOMP_FILTER: u64 = 2;

/// A process's `status` in /proc.
#[derive(Debug)]
struct Status(String);

impl Status {
    fn of(bundle: &Bundle) -> Self {
        Self(std::fs::read_to_string(bundle.proc("status")).unwrap())
    }

    fn field(&self, name: &str) -> &str {
        self.0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .unwrap_or_else(|| panic!("no {name} in {}", self.0))
            .trim()
    }

    fn number(&self, name: &str) -> u64 {
        self.field(name).parse().unwrap()
    }

    fn capabilities(&self, name: &str) -> u64 {
        u64::from_str_radix(self.field(name), 16).unwrap()
    }

    /// The line for the record.
    fn print(&self, what: &str) {
        let fields = [
            "CapPrm",
            "CapEff",
            "CapBnd",
            "CapInh",
            "CapAmb",
            "NoNewPrivs",
            "Seccomp",
            "Seccomp_filters",
            "NSpid",
        ];
        let fields = fields.map(|name| format!("{name} {}", self.field(name)));
        println!("{what}: {}", fields.join(", "));
    }
}

/// The capabilities that machined would grant if it ran here.
fn granted() -> u64 {
    let ours = Status(std::fs::read_to_string("/proc/self/status").unwrap());
    ours.capabilities("CapBnd") & !(CAP_SYS_BOOT | CAP_SYS_MODULE)
}

/// A container under the processor that is there; it ends with the test, however that ends.
struct Alone<'a> {
    bundle: &'a Bundle,
    child: Child,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // Without crun the container would stay behind.
            let _gone = kill(Pid::from_raw(self.bundle.pid()), Signal::SIGKILL);
            drop(self.child.wait());
        }
    }
}

/// Starts such a container of this spec with nothing to do, looks at it when it has logged a line, and stops it.
fn idle(spec: &Spec, look: impl FnOnce(&Bundle)) {
    let folder = Folder::new();
    // What the daemon gives up by itself is not looked at here.
    let bundle = Bundle::new(spec, &folder.path("machine.sock"))
        .env(&["VMTOOLSD_IDLE_OFF_VMWARE=true", "VMTOOLSD_SANDBOX=off"]);
    let child = bundle.alone().stderr(Stdio::piped()).spawn().unwrap();
    let bundle = &bundle;
    let mut alone = Alone { bundle, child };
    let mut log = BufReader::new(alone.child.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert!(line.contains("VMware"), "{line}");
    look(bundle);
    kill(Pid::from_raw(bundle.pid()), Signal::SIGTERM).unwrap();
    assert!(alone.child.wait().unwrap().success());
}

/// A masked file is /dev/null, a masked folder an empty one. What this kernel does not have is as good.
fn is_masked(bundle: &Bundle, path: &str) -> bool {
    let there = bundle.proc(&format!("root{path}"));
    let Ok(metadata) = std::fs::metadata(&there) else {
        return true;
    };
    if metadata.is_dir() {
        return std::fs::read_dir(&there).unwrap().next().is_none();
    }
    metadata.rdev() == std::fs::metadata("/dev/null").unwrap().rdev()
}

#[test]
#[ignore = "make container"]
fn the_container_is_the_one_that_talos_makes() {
    for spec in specs() {
        idle(&spec, |bundle| {
            let status = Status::of(bundle);
            status.print(&format!("Talos {}, before it serves", spec.talos));
            assert!(
                status.field("NSpid").ends_with("\t1"),
                "pid 1 of its own namespace"
            );
            assert_eq!(status.number("NoNewPrivs"), 1);
            assert_eq!(status.number("Seccomp"), SECCOMP_FILTER);
            assert_eq!(status.number("Seccomp_filters"), 1);
            for set in ["CapBnd", "CapPrm", "CapEff"] {
                assert_eq!(status.capabilities(set), granted(), "{set}");
            }

            let namespace = |name: &str| {
                let theirs = std::fs::read_link(bundle.proc(&format!("ns/{name}"))).unwrap();
                theirs == std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap()
            };
            let shared = ["net", "ipc", "user", "pid", "mnt", "uts"].map(namespace);
            let ipc = spec.talos.as_str() >= "v1.14";
            assert_eq!(
                shared,
                [true, ipc, true, false, false, false],
                "{}",
                spec.talos
            );

            // crun adds HOME, as runc does.
            let environment = std::fs::read(bundle.proc("environ")).unwrap();
            let environment = String::from_utf8(environment).unwrap();
            let mut names: Vec<_> = environment
                .split_terminator('\0')
                .filter_map(|pair| pair.split('=').next())
                .collect();
            names.retain(|name| *name != "HOME");
            assert_eq!(names, ["VMTOOLSD_IDLE_OFF_VMWARE", "VMTOOLSD_SANDBOX"]);

            let mounts = std::fs::read_to_string(bundle.proc("mountinfo")).unwrap();
            let root = mounts
                .lines()
                .find(|line| line.split(' ').nth(4) == Some("/"))
                .unwrap();
            assert!(
                root.split(' ')
                    .nth(5)
                    .unwrap()
                    .split(',')
                    .any(|option| option == "ro"),
                "{root}"
            );
            assert!(
                mounts
                    .lines()
                    .any(|line| line.split(' ').nth(4) == Some(SOCKET)),
                "{mounts}"
            );

            let devices: BTreeSet<_> = std::fs::read_dir(bundle.proc("root/dev"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            let known = [
                "console", "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm",
                "stderr", "stdin", "stdout", "tty", "urandom", "zero",
            ];
            let strange: Vec<_> = devices
                .iter()
                .filter(|name| !known.contains(&name.as_str()))
                .collect();
            assert!(strange.is_empty(), "{strange:?}");
            assert!(
                devices.contains("null") && devices.contains("urandom"),
                "{devices:?}"
            );
            for path in bundle.masked_paths() {
                assert!(is_masked(bundle, &path), "{path}");
            }
            assert!(!bundle.proc("root/tmp").exists());
        });
    }
}

#[test]
#[ignore = "make container"]
fn a_serving_daemon_holds_no_more_than_the_container_left_it() {
    for spec in specs() {
        let talos = Talos::new();
        let bundle = Bundle::new(&spec, &talos.socket_path());
        let run = Run::start(bundle.under_vmx());
        run.informed();
        let status = Status::of(&bundle);
        status.print(&format!("Talos {}, serving", spec.talos));
        for set in ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"] {
            let held = status.capabilities(set);
            assert_eq!(held & !granted(), 0, "{set} {held:x}");
        }
        assert_eq!(status.number("NoNewPrivs"), 1);
        assert_eq!(status.number("Seccomp"), SECCOMP_FILTER);
        // The simulator's filter and the container's, and whatever the daemon adds.
        let filters = status.number("Seccomp_filters");
        assert!(filters >= 2, "{filters}");
        // What the daemon says of a sandbox of its own is so.
        for line in run.log_lines(&["the sandbox is in force"]) {
            println!("Talos {}: {line}", spec.talos);
            let sets = ["CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb"];
            let sets = sets.map(|set| status.capabilities(set));
            assert_eq!(sets, [CAP_DAC_OVERRIDE, CAP_DAC_OVERRIDE, 0, 0, 0]);
            assert!(filters >= 3, "{filters}");
        }
        assert_eq!(
            run.stats().io_privilege_calls,
            0,
            "it needs none of CAP_SYS_RAWIO"
        );
        bundle.stop(&run);
    }
}

#[test]
#[ignore = "make container"]
fn off_vmware_it_ends_with_0_and_one_line() {
    for spec in specs() {
        let folder = Folder::new();
        let bundle = Bundle::new(&spec, &folder.path("machine.sock"));
        let run = Run::start(bundle.under_vmx().profile(Profile::Kvm));
        assert!(run.wait_exit(crate::support::SOON).unwrap().success());
        assert_eq!(run.log().len(), 1, "{:#?}", run.log());

        // And on the processor that is there, unless that is VMware's.
        if cpu_is_vmwares() {
            println!("*** SKIPPED: this machine is on VMware ***");
            continue;
        }
        let bundle = Bundle::new(&spec, &folder.path("machine.sock"));
        let output = bundle.alone().output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("VMware"), "{log}");
        assert!(output.stdout.is_empty());
    }
}

/// Whether the daemon would find a host of its own here.
fn cpu_is_vmwares() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0x4000_0000);
    leaf.ebx == u32::from_le_bytes(*b"VMwa")
}
