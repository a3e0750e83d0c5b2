//! One daemon under soak: its host, its Talos, and what vCenter has to show of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use apid::{Apid, TlsOptions, scene};
use vmx::{EventKind, ExchangeId, Host, Profile, Vcenter, Vmx, VsockPolicy};

use crate::Outcome;
use crate::random::Random;
use crate::sample::uptime;

/// Longest time from whatever happened to everything right on the host: the longest back-offs one after the
/// other (5 s of a watch, 3 s of Talos, 2 s of TCLO and more for a vsock where nobody answers), and room for a
/// loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);

/// More faults than are set at once.
const MOST_LOST: u32 = 8;

/// A registration waits for its messages, 3 s at most, and this machine may have other work.
const REPLY_DEADLINE: Duration = Duration::from_secs(6);

/// The host's own pings; a channel does not live long here.
const PING_EVERY: Duration = Duration::from_millis(200);

/// Uptime is told every 30 s; in between the host may be away.
const OLDEST_UPTIME: f64 = 60.0;

/// The address of [`scene::single_nic`]. The link-local one beside it is not shown.
const ADDRESS: &str = "10.5.0.2";

/// What the daemon is soaked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Talos by machined's socket, the host by the backdoor: an extension service.
    Backdoor,
    /// Talos by apid's TLS, the host by vsock: a DaemonSet.
    Vsock,
}

impl Kind {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Backdoor, Self::Vsock];

    /// Heading of its column.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Backdoor => "machined, backdoor",
            Self::Vsock => "TLS, vsock",
        }
    }
}

/// What Talos tells at the moment, as far as it changes here.
#[derive(Debug)]
pub(crate) struct Node {
    /// How many names it has had.
    pub(crate) names: u64,
    /// Beside [`ADDRESS`].
    pub(crate) addresses: BTreeSet<String>,
    /// Whether the further volume is mounted.
    pub(crate) volume: bool,
    /// Whether every condition is met.
    pub(crate) ready: bool,
}

/// See the module.
pub(crate) struct Subject {
    pub(crate) vmx: Vmx,
    pub(crate) talos: Apid,
    pub(crate) node: Node,
    pub(crate) random: Random,
    pub(crate) folder: Folder,
}

impl Subject {
    /// Starts the daemon.
    pub(crate) fn start(kind: Kind, binary: &Path, seed: u64) -> Outcome<Self> {
        let folder = Folder::new(kind)?;
        let talos = match kind {
            Kind::Backdoor => Apid::machined(folder.path("machine.sock"))?,
            Kind::Vsock => Apid::tls(TlsOptions::default())?,
        };
        scene::single_nic(&talos);
        talos.set_esxi_storage();
        folder.configure("info")?;
        let builder = Vmx::builder(binary)
            .profile(Profile::Vmware)
            .ping_every(PING_EVERY)
            .config(|host| host.reply_deadline = REPLY_DEADLINE)
            .args(["vmtoolsd", "--power-deadline=2s", "--config"])
            .args([folder.path("config.yaml")]);
        let builder = match kind {
            Kind::Backdoor => builder
                .vsock(VsockPolicy::refused(nix::libc::EPERM))
                .args(["--use-machined", "--machined-socket"])
                .args([folder.path("machine.sock")]),
            Kind::Vsock => {
                folder.write("talosconfig", &talos.talosconfig())?;
                builder
                    .vsock(VsockPolicy::served())
                    .args(["--talos-config"])
                    .args([folder.path("talosconfig")])
            }
        };
        let node = Node {
            names: 0,
            addresses: BTreeSet::new(),
            volume: false,
            ready: true,
        };
        Ok(Self {
            vmx: builder.spawn()?,
            talos,
            node,
            random: Random::new(seed),
            folder,
        })
    }

    /// Gives the node a name that it never had.
    pub(crate) fn rename(&mut self) {
        self.node.names += 1;
        let name = format!("soak-{}", self.node.names);
        self.talos.set_hostname(&name, "example.com");
    }

    /// Lets the time pass; the daemon must live on.
    pub(crate) fn pass(&self, time: Duration) -> Outcome {
        let passed = self
            .vmx
            .wait_for("the time to pass", time, |_, _| None::<()>);
        let ended = self.vmx.host(|host, _| host.exit_status());
        // That the time is over is what was waited for.
        match (ended, passed) {
            (Some(_), Err(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Asks over TCLO; `None` when the request was lost with its channel.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) fn ask(&self, request: impl Into<Vec<u8>>) -> Outcome<Option<Vec<u8>>> {
        let id = self.vmx.ask(request);
        let answered = self.vmx.wait_for("the reply", PATIENCE, |host, _| {
            host.exchange_of(id)
                .filter(|exchange| exchange.reply.is_some() || exchange.lost)
                .cloned()
        });
        answered
            .map(|exchange| exchange.reply)
            .map_err(|error| format!("{error}\n{}", self.channels(id)).into())
    }

    /// A request without reply, and what happened to the channels last.
    fn channels(&self, id: ExchangeId) -> String {
        self.vmx.host(|host, _| {
            let mut text = format!("{:?}", host.exchange_of(id));
            let about = host.events().iter().rev().filter(|event| {
                matches!(
                    event.kind,
                    EventKind::Opened { .. }
                        | EventKind::Closed { .. }
                        | EventKind::OpenRefused(_)
                        | EventKind::Greeted(_)
                        | EventKind::RequestLost(_)
                        | EventKind::Fault(_)
                )
            });
            for event in about.take(40) {
                text.push_str(&format!("\n{event}"));
            }
            text
        })
    }

    /// Waits until the host knows everything as it is, from a name on that it cannot know yet, and gets an
    /// answer.
    pub(crate) fn checkpoint(&mut self) -> Outcome {
        self.vmx.host(|host, _| host.accept_all());
        self.rename();
        let mut lost = 0;
        loop {
            self.until_right()?;
            match self.ask("ping")? {
                Some(reply) if reply == b"OK " => break,
                Some(reply) => return Err(format!("reply to a ping: {reply:?}").into()),
                // A fault that was set before has struck only now, and took the channel with it.
                None if lost < MOST_LOST => lost += 1,
                None => return Err("pings are lost again and again".into()),
            }
        }
        let told = self.vmx.vcenter().uptime_centis.unwrap_or_default() as f64 / 100.0;
        let behind = uptime()? - told;
        if !(-0.1..OLDEST_UPTIME).contains(&behind) {
            return Err(format!("the uptime told is {behind} s behind").into());
        }
        Ok(())
    }

    fn until_right(&self) -> Outcome {
        let waited = self
            .vmx
            .wait_for("guest info as Talos tells it", PATIENCE, |host, now| {
                self.wrong(host, now).is_none().then_some(())
            });
        waited.map_err(|late| {
            let wrong = self.vmx.host(|host, now| self.wrong(host, now));
            format!("{} is wrong: {late}", wrong.unwrap_or("nothing")).into()
        })
    }

    /// What the host does not know, or knows wrongly.
    fn wrong(&self, host: &Host, now: Instant) -> Option<&'static str> {
        let view = host.vcenter(now);
        let name = format!("soak-{}", self.node.names);
        let variable = |key: &str| view.variables.get(&format!("vmtools.talos.{key}"));
        let stage = variable("stage").map(String::as_str) == Some("running");
        let ready = variable("ready").map(String::as_str)
            == Some(if self.node.ready { "true" } else { "false" });
        let rights = [
            ("the heartbeat", view.is_green()),
            ("the greeting", host.greeting_done()),
            ("the host name", view.host_name == Some(name)),
            ("the addresses", self.are_addresses_right(&view)),
            ("the stage", stage),
            ("the readiness", ready),
            (
                "the list of disks",
                view.disks.iter().any(|disk| disk.name == VOLUME) == self.node.volume,
            ),
        ];
        let wrong = rights.into_iter().find(|(_, right)| !right);
        wrong.map(|(name, _)| name)
    }

    fn are_addresses_right(&self, view: &Vcenter) -> bool {
        let told: BTreeSet<String> = view.addresses().into_iter().collect();
        let mut all = self.node.addresses.clone();
        all.insert(ADDRESS.to_owned());
        told == all && view.ip_address.as_deref() == Some(ADDRESS)
    }
}

/// Where the further volume is mounted.
pub(crate) const VOLUME: &str = "/var/mnt/soak";

/// Sockets, the talosconfig, the configuration.
pub(crate) struct Folder(PathBuf);

impl Folder {
    fn new(kind: Kind) -> Outcome<Self> {
        let name = format!("talos-vmtoolsd-soak-{}-{kind:?}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// A file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file in one step: half of it must not be read.
    pub(crate) fn write(&self, name: &str, text: &str) -> Outcome {
        let fresh = self.path(&format!("{name}.new"));
        std::fs::write(&fresh, text)?;
        Ok(std::fs::rename(fresh, self.path(name))?)
    }

    /// Writes the configuration file: everything at short intervals, and this log level.
    pub(crate) fn configure(&self, level: &str) -> Outcome {
        let text = format!(
            "log:\n  level: {level}\nguestinfo:\n  disk_interval: 5s\n  stats_interval: 1s\n"
        );
        self.write("config.yaml", &text)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
