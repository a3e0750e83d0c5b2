//! The parts of a run: the binary, a folder, Talos, the daemon under its host.

use std::cell::Cell;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use apid::{Apid, TlsOptions, scene};
use nix::sys::signal::Signal;
use vmx::{Exchange, Host, RpciEntry, Stream, Vcenter, Vmx, VmxBuilder};

/// For what is not timed: far more than it takes, so that a loaded machine fails nothing.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The address of [`scene::single_nic`].
pub(crate) const ADDRESS: &str = "10.5.0.2";
/// Its name.
pub(crate) const NAME: &str = "talos-cp-1";
/// Its name with the domain.
pub(crate) const FQDN: &str = "talos-cp-1.example.com";

/// The password of each user of [`Talos::for_users`].
pub(crate) const PASSWORD: &str = "s3cret";
/// [`PASSWORD`], hashed.
const PASSWORD_HASH: &str = "$6$rounds=1000$abcdefgh$ts4PqiFqgcN.cen3rF2HotwlQFHljTDeZHA69IhA7TtTfn/oFv0Y/zIU4T41fwzuaPKS2Ob9Piytfd1X44pUw/";

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    let path = std::env::var_os("TALOS_VMTOOLSD").map(PathBuf::from);
    path.filter(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "TALOS_VMTOOLSD does not name the binary under test; run `make test`, which builds it"
        )
    })
}

/// Makes a copy of the binary, by another process: while this one has a file open for writing, a program that another
/// test starts has it, too, and the file cannot be run.
pub(crate) fn copy_binary(to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg(binary())
        .arg(to)
        .status();
    assert!(copied.unwrap().success(), "{}", to.display());
}

/// `talos-vmtoolsd vmtoolsd`, with an empty environment and no way to Talos yet.
pub(crate) fn agent() -> VmxBuilder {
    Vmx::builder(binary()).args(["vmtoolsd"])
}

/// The agent, as an extension service starts it, with machined's socket at `socket`.
pub(crate) fn agent_with(socket: impl AsRef<Path>) -> VmxBuilder {
    agent()
        .args(["--use-machined", "--machined-socket"])
        .args([socket.as_ref()])
}

/// A folder that goes away with the test.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("talos-vmtoolsd-agent-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A node: its API, and the folder with its socket or talosconfig.
#[derive(Debug)]
pub(crate) struct Talos {
    pub(crate) folder: Folder,
    api: Apid,
}

impl Deref for Talos {
    type Target = Apid;

    fn deref(&self) -> &Apid {
        &self.api
    }
}

impl Talos {
    /// A node with one NIC, served on machined's socket.
    pub(crate) fn new() -> Self {
        Self::with(scene::single_nic)
    }

    /// A node of this kind, served on machined's socket.
    pub(crate) fn with(scene: impl FnOnce(&Apid)) -> Self {
        let folder = Folder::new();
        let api = Apid::machined(folder.path("machine.sock")).unwrap();
        scene(&api);
        Self { folder, api }
    }

    /// A node with one NIC behind apid.
    pub(crate) fn tls(options: TlsOptions) -> Self {
        let folder = Folder::new();
        let api = Apid::tls(options).unwrap();
        scene::single_nic(&api);
        let talos = Self { folder, api };
        talos.write_talosconfig();
        talos
    }

    /// Writes the talosconfig (anew).
    pub(crate) fn write_talosconfig(&self) {
        // In one step: the daemon must not read half of it.
        let fresh = self.folder.write("talosconfig.new", &self.talosconfig());
        std::fs::rename(fresh, self.talosconfig_path()).unwrap();
    }

    pub(crate) fn talosconfig_path(&self) -> PathBuf {
        self.folder.path("talosconfig")
    }

    pub(crate) fn socket_path(&self) -> PathBuf {
        self.folder.path("machine.sock")
    }

    /// The agent of this node.
    pub(crate) fn agent(&self) -> VmxBuilder {
        if self.socket().is_some() {
            agent_with(self.socket_path())
        } else {
            agent()
                .args(["--talos-config"])
                .args([self.talosconfig_path()])
        }
    }

    /// The agent of this node with guest operations for these users, each with what the user may do: nothing is the
    /// default.
    pub(crate) fn for_users(&self, users: &[(&str, &str)]) -> VmxBuilder {
        let file = self.folder.write("users.yaml", &guest_operations(users));
        self.agent().args(["--config"]).args([file])
    }

    /// The agent of this node, started, the host informed.
    pub(crate) fn run(&self) -> Run {
        let run = Run::start(self.agent());
        run.informed();
        run
    }
}

/// A run of the daemon under its host. Its end checks that the protocol was kept, and shows what happened
/// when the test fails.
#[derive(Debug)]
pub(crate) struct Run {
    vmx: Vmx,
    tolerated: Cell<Option<&'static str>>,
}

impl Deref for Run {
    type Target = Vmx;

    fn deref(&self) -> &Vmx {
        &self.vmx
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let events = self.vmx.events();
            for event in &events[events.len().saturating_sub(100)..] {
                eprintln!("{event}");
            }
            return;
        }
        // The list of system calls holds all that is needed, whatever a test does.
        let mut denied = self.log_lines(&["denied a system call"]);
        if let Some(words) = self.tolerated.get() {
            denied.retain(|line| !line.contains(words));
        }
        assert!(denied.is_empty(), "{denied:#?}");
        for line in self.log() {
            says_what_it_is(&line);
        }
        let mut violations = self.vmx.violations();
        if let Some(words) = self.tolerated.get() {
            violations.retain(|violation| !violation.contains(words));
        }
        assert!(
            violations.is_empty(),
            "the protocol was broken: {violations:#?}"
        );
    }
}

/// A line of the log has a message if it wants to be noticed, in either form.
fn says_what_it_is(line: &str) {
    let says = match serde_json::from_str::<serde_json::Value>(line) {
        Ok(object) => {
            let message = object["message"].as_str();
            let is_for_notice = matches!(object["level"].as_str(), Some("warn" | "error"));
            !is_for_notice || message.is_some_and(|message| !message.is_empty())
        }
        // Time, level, message: without one, the blank before the fields follows that behind the level.
        Err(_) => [" WARN  ", " ERROR "]
            .iter()
            .filter_map(|level| line.split_once(level))
            .all(|(time, rest)| time.contains(' ') || !rest.starts_with(' ')),
    };
    assert!(says, "no message: {line}");
}

impl Run {
    pub(crate) fn start(builder: VmxBuilder) -> Self {
        Self {
            vmx: builder.spawn().unwrap(),
            tolerated: Cell::new(None),
        }
    }

    /// Breaches with these words are what the host's own faults lead to.
    pub(crate) fn tolerate(&self, words: &'static str) {
        self.tolerated.set(Some(words));
    }

    /// Waits until it is so.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        within: Duration,
        is_so: impl FnMut(&Host, Instant) -> Option<T>,
    ) -> T {
        self.wait_for(what, within, is_so)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until vCenter shows it, and gives the view.
    pub(crate) fn sees(
        &self,
        what: &str,
        within: Duration,
        is_so: impl FnMut(&Vcenter) -> bool,
    ) -> Vcenter {
        self.wait_vcenter(what, within, is_so)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits for a green heartbeat with the greeting done.
    pub(crate) fn green(&self) {
        self.until(
            "a green heartbeat and the end of the greeting",
            SOON,
            |host, now| (host.vcenter(now).is_green() && host.greeting_done()).then_some(()),
        );
    }

    /// Waits until the host is greeted and has the node's name and an address.
    pub(crate) fn informed(&self) {
        self.green();
        self.sees("name and address", SOON, |view| {
            view.host_name.is_some() && view.ip_address.is_some()
        });
    }

    /// Asks over TCLO.
    pub(crate) fn asked(&self, request: impl Into<Vec<u8>>) -> Exchange {
        self.request(request, SOON)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The reply to a TCLO request, as text.
    pub(crate) fn reply(&self, request: impl Into<Vec<u8>>) -> String {
        self.asked(request).reply_text().unwrap()
    }

    /// RPCI messages with this start, so far.
    pub(crate) fn sent(&self, prefix: &str) -> Vec<RpciEntry> {
        let mut log = self.rpci_log();
        log.retain(|entry| entry.is(prefix));
        log
    }

    /// Waits for `count` RPCI messages with this start.
    pub(crate) fn until_sent(
        &self,
        prefix: &str,
        count: usize,
        within: Duration,
    ) -> Vec<RpciEntry> {
        self.until(&format!("{count} × {prefix}"), within, |host, _| {
            let found: Vec<_> = host
                .rpci_log()
                .iter()
                .filter(|entry| entry.is(prefix))
                .cloned()
                .collect();
            (found.len() >= count).then_some(found)
        })
    }

    /// The daemon's log so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.output(Stream::Stderr)
    }

    /// Waits for a line of the log with all these words.
    pub(crate) fn logs(&self, words: &[&str], within: Duration) -> String {
        self.until(&format!("a log line with {words:?}"), within, |host, _| {
            host.output(Stream::Stderr)
                .into_iter()
                .find(|line| words.iter().all(|word| line.contains(word)))
        })
    }

    /// Lines of the log with all these words, so far.
    pub(crate) fn log_lines(&self, words: &[&str]) -> Vec<String> {
        let mut lines = self.log();
        lines.retain(|line| words.iter().all(|word| line.contains(word)));
        lines
    }

    /// Stops the daemon as the service manager does; it takes less than a second and ends well.
    pub(crate) fn stop(&self) {
        let started = Instant::now();
        self.signal(Signal::SIGTERM);
        let status = self
            .wait_exit(SOON)
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(status.success(), "ended with {status}");
        assert!(
            started.elapsed() < Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
    }
}

/// The group `guest_operations` of a configuration file, as [`Talos::for_users`] has it.
pub(crate) fn guest_operations(users: &[(&str, &str)]) -> String {
    let user = |(name, allow): &(&str, &str)| {
        let allow = match *allow {
            "" => String::new(),
            allow => format!(", allow: [{allow}]"),
        };
        format!("    - {{name: {name}, password_hash: {PASSWORD_HASH}{allow}}}\n")
    };
    let users: String = users.iter().map(user).collect();
    format!("guest_operations:\n  enabled: true\n  users:\n{users}")
}

/// Lets so much time pass: how long something must *not* happen, or a measurement takes. The host's and the
/// daemon's work goes on.
pub(crate) fn pass(run: &Run, time: Duration) {
    // An end of the program is no end of the wait; whoever cares looks at it.
    let _over = run.wait_for("the time", time, |_, _| None::<()>);
}
