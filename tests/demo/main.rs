//! `make demo`: the release binary between a simulated VMX and an embedded Talos API.
//!
//! Shows what an operator would see in vCenter while things happen to the node, with measured delays, over
//! both transports; a drain that is bounded; what an operator learns of a node without network; a quiesced snapshot of
//! real file systems; a migration of the leader of etcd; then a real QEMU guest, where there is a QEMU.
//! `make picture` runs the same and keeps what the hosts showed as a picture, in the file that `PICTURE` names.
//! Every step has a deadline; a step that does not happen ends the demo with an error.

mod guest_operations;
mod interruption;
mod migration;
mod picture;
mod qemu;
mod show;
mod snapshot;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use apid::{Apid, Method, Stage, scene};
use nix::sys::signal::Signal;
use show::Show;
use vmx::{Profile, Vcenter, VmOperations, Vmx, VsockPolicy};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Long enough for a loaded machine; nothing here takes a tenth of it.
const DEADLINE: Duration = Duration::from_secs(10);

/// contextSwapRate: a rate, so it is known from the second message of statistics on.
const CONTEXT_SWITCHES: u32 = 2;

const MAC: &str = "00:50:56:ab:cd:ef";

fn main() -> ExitCode {
    let show = Show::new();
    let binary = match std::env::var_os("TALOS_VMTOOLSD") {
        Some(path) => PathBuf::from(path),
        None => {
            show.failure("TALOS_VMTOOLSD does not name the binary; run `make demo`");
            return ExitCode::FAILURE;
        }
    };
    match demo(&show, &binary) {
        Ok(()) => {
            show.success("everything above happened");
            ExitCode::SUCCESS
        }
        Err(error) => {
            show.failure(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn demo(show: &Show, binary: &Path) -> Outcome {
    let size = std::fs::metadata(binary)?.len();
    show.title(&format!(
        "talos-vmtoolsd under a simulated VMX ({:.1} MiB static binary, {})",
        size as f64 / f64::from(1 << 20),
        binary.display()
    ));
    let folder = Folder::new()?;
    let vcenter = backdoor(show, binary, &folder)?;
    vsock(show, binary, &folder)?;
    interruption::bounded_drain(show, binary, &folder)?;
    guest_operations::operator(show, binary, &folder)?;
    snapshot::snapshot(show, binary, &folder)?;
    migration::migration(show, binary, &folder)?;
    let proxmox = qemu::guest(show, binary)?;
    let Some(path) = std::env::var_os("PICTURE") else {
        return Ok(());
    };
    let proxmox = proxmox.ok_or("the picture needs a QEMU guest")?;
    let variables = vcenter.talos_variables();
    let variables: Vec<_> = variables
        .map(|(key, value)| (key, value.to_owned()))
        .collect();
    let prefix = "guestinfo.vmtools.talos.";
    let svg = picture::svg(&vcenter.rows(), prefix, &variables, &proxmox);
    Ok(std::fs::write(path, svg)?)
}

/// The whole story, over the backdoor, as in an extension container where AF_VSOCK is refused.
/// Returns what vCenter shows of the node while all is well.
fn backdoor(show: &Show, binary: &Path, folder: &Folder) -> Outcome<Vcenter> {
    show.chapter(
        "A Talos node on ESXi, backdoor transport (AF_VSOCK is refused, as in Talos' containers)",
    );
    let vsock = VsockPolicy::refused(nix::libc::EPERM);
    let node = Node::start(show, binary, folder, vsock, "", Apid::set_esxi_storage)?;
    node.comes_up()?;

    show.step("Talos: eth0 gets a further address, 10.5.0.77/24");
    let started = Instant::now();
    node.talos.set_address("eth0", "10.5.0.77/24");
    node.sees("the new address", started, |v| {
        v.addresses().iter().any(|ip| ip == "10.5.0.77")
    })?;

    show.step("Talos: the host name becomes talos-cp-9");
    let started = Instant::now();
    node.talos.set_hostname("talos-cp-9", "example.com");
    node.sees("the new host name", started, |v| {
        v.host_name.as_deref() == Some("talos-cp-9")
    })?;

    show.step("Talos: a service is not healthy, then it is");
    for (unmet, ready) in [(&["services"][..], "false"), (&[], "true")] {
        let started = Instant::now();
        node.talos.set_conditions(Stage::MachineStageRunning, unmet);
        node.sees(
            &format!("guestinfo.vmtools.talos.ready = {ready}"),
            started,
            |v| {
                v.variables
                    .get("vmtools.talos.ready")
                    .is_some_and(|value| value == ready)
            },
        )?;
    }

    show.step("Talos: the API goes away");
    node.talos.stop();
    let beats = node.vmx.stats().liveness;
    let exchange = node.vmx.request("ping", DEADLINE)?;
    let latency = exchange.latency().ok_or("the ping has no latency")?;
    show.seen(
        &format!(
            "vmx: ping answered {:?} after pick-up, without Talos",
            latency
        ),
        None,
    );
    node.vmx
        .wait_for("ten more heartbeats", DEADLINE, |host, _| {
            (host.stats.liveness >= beats + 10).then_some(())
        })?;
    let view = node.vmx.vcenter();
    if !view.is_green() || view.ip_address.as_deref() != Some("10.5.0.2") {
        return Err("the last known state did not stand while Talos was away".into());
    }
    show.seen(
        "vCenter: still green, last known name and addresses stand",
        None,
    );

    show.step("Talos: the API comes back with the old host name");
    node.talos.set_hostname("talos-cp-1", "example.com");
    let started = Instant::now();
    node.talos.restart()?;
    node.sees("the name set meanwhile", started, |v| {
        v.host_name.as_deref() == Some("talos-cp-1")
    })?;

    let started = node.vmx.host(|host, _| host.started());
    node.sees(
        "memory and processor statistics, for the second time",
        started,
        |v| {
            v.stats
                .iter()
                .any(|stat| stat.id == CONTEXT_SWITCHES && stat.number().is_some())
        },
    )?;
    let view = node.vmx.vcenter();
    show.panel("What vCenter shows", &view.to_string());
    shows(&view, &HEALTHY)?;

    node.power("Restart Guest", "OS_Reboot", Method::Reboot, 2)?;
    // The simulated node does not really go down, so it can be shut down next.
    node.power("Shut Down Guest", "OS_Halt", Method::Shutdown, 1)?;
    let started = Instant::now();
    node.sees("a node that is shutting down", started, |v| {
        shows(v, &SHUTTING_DOWN).is_ok()
    })?;
    node.unbroken()?;
    node.stop()?;
    Ok(view)
}

/// What is in the panel of a node that runs.
const HEALTHY: [&str; 20] = [
    "running",
    "talos-cp-1",
    "10.5.0.2",
    "10.5.0.77",
    "Cloud provider    node talos-cp-1, 10.5.0.2 ",
    "problem = none",
    MAC,
    "/var/mnt/data",
    "xfs scsi0:1",
    "no DHCPv4",
    "10.5.0.1, metric 1024",
    "DNS servers",
    "needs ",
    "run queue",
    "guestinfo.vmtools.talos.",
    "stage = running",
    "ready = true",
    "power = idle",
    "machineType = controlplane",
    "v1.13.0",
];

/// And of one that was restarted and then shut down.
const SHUTTING_DOWN: [&str; 5] = [
    "stage = shutting down",
    "ready = false",
    "power = draining",
    "OS_Reboot",
    "OS_Halt",
];

fn shows(view: &Vcenter, wanted: &[&str]) -> Outcome {
    let panel = view.to_string();
    match wanted.iter().find(|wanted| !panel.contains(**wanted)) {
        Some(missing) => Err(format!("{missing} is missing in the panel").into()),
        None => Ok(()),
    }
}

/// The same node where the container may use vsock: event driven, no polling.
fn vsock(show: &Show, binary: &Path, folder: &Folder) -> Outcome {
    show.chapter("The same node, vsock transport");
    let node = Node::start(
        show,
        binary,
        folder,
        VsockPolicy::served(),
        "",
        Apid::set_esxi_storage,
    )?;
    node.comes_up()?;
    show.step("Talos: eth0 gets a further address, 10.5.0.78/24");
    let started = Instant::now();
    node.talos.set_address("eth0", "10.5.0.78/24");
    node.sees("the new address", started, |v| {
        v.addresses().iter().any(|ip| ip == "10.5.0.78")
    })?;
    node.power("Shut Down Guest", "OS_Halt", Method::Shutdown, 1)?;
    node.stop()
}

/// A folder for sockets that goes away with the demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("talos-vmtoolsd-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One run of the daemon with its host and its Talos.
struct Node<'a> {
    show: &'a Show,
    vmx: Vmx,
    talos: Apid,
}

impl<'a> Node<'a> {
    /// With these settings more than the demo's own, and this storage.
    fn start(
        show: &'a Show,
        binary: &Path,
        folder: &Folder,
        vsock: VsockPolicy,
        settings: &str,
        storage: impl FnOnce(&Apid),
    ) -> Outcome<Self> {
        let socket = folder.0.join("machine.sock");
        let talos = Apid::machined(&socket)?;
        scene::single_nic(&talos);
        storage(&talos);
        // As it comes, but for the statistics, which go every 20 s unless configured.
        let config = folder.0.join("config.yaml");
        let settings = format!("guestinfo:\n  stats_interval: 1s\n{settings}");
        std::fs::write(&config, settings)?;
        show.step("start: talos-vmtoolsd vmtoolsd --use-machined (statistics every second)");
        let vmx = Vmx::builder(binary)
            .profile(Profile::Vmware)
            .config(|host| host.vsock = vsock)
            .host(|host| *host.vm_operations_mut() = VmOperations::enabled())
            .args(["vmtoolsd", "--use-machined", "--machined-socket"])
            .args([socket])
            .args(["--config"])
            .args([config])
            .spawn()?;
        Ok(Self { show, vmx, talos })
    }

    fn comes_up(&self) -> Outcome {
        let started = self.vmx.host(|host, _| host.started());
        self.sees("tools running, green", started, Vcenter::is_green)?;
        self.sees("host name talos-cp-1", started, |v| {
            v.host_name.as_deref() == Some("talos-cp-1")
        })?;
        self.sees("IP address 10.5.0.2", started, |v| {
            v.ip_address.as_deref() == Some("10.5.0.2")
        })?;
        self.sees("Talos as guest OS", started, |v| {
            v.guest_full_name
                .as_deref()
                .is_some_and(|name| name.contains("v1.13.0"))
        })
    }

    /// Waits until vCenter's view is so, and says how long it took from `started`.
    fn sees(&self, what: &str, started: Instant, is_so: impl Fn(&Vcenter) -> bool) -> Outcome {
        let at = self.vmx.wait_for(what, DEADLINE, |host, now| {
            is_so(&host.vcenter(now)).then_some(now)
        })?;
        self.show.seen(
            &format!("vCenter: {what}"),
            Some(at.saturating_duration_since(started)),
        );
        Ok(())
    }

    /// A power button: the reply, the call that reaches Talos, the status that goes back.
    fn power(&self, button: &str, command: &str, method: Method, state: u32) -> Outcome {
        self.show.step(&format!("vCenter: {button}"));
        let before = self.talos.calls_of(method).len();
        let started = Instant::now();
        let exchange = self.vmx.request(command, DEADLINE)?;
        if exchange.reply.as_deref() != Some(b"OK ") {
            return Err(format!("{command} was answered {:?}", exchange.reply).into());
        }
        let calls = self
            .talos
            .wait_calls(method, before + 1, DEADLINE)
            .ok_or_else(|| format!("{method:?} did not reach Talos"))?;
        let roles = calls
            .last()
            .map(|call| call.roles.join(", "))
            .unwrap_or_default();
        self.show.seen(
            &format!("Talos: {method:?} called with role {roles}"),
            Some(started.elapsed()),
        );
        self.sees("status 1 for the operation", started, |v| {
            v.power
                .iter()
                .any(|status| status.state == state && status.success)
        })
    }

    /// Whether host and agent kept to the protocol.
    fn unbroken(&self) -> Outcome {
        let violations = self.vmx.violations();
        if violations.is_empty() {
            Ok(())
        } else {
            Err(format!("the protocol was broken: {}", violations.join("; ")).into())
        }
    }

    fn stop(&self) -> Outcome {
        self.show.step("SIGTERM");
        let started = Instant::now();
        self.vmx.signal(Signal::SIGTERM);
        let status = self.vmx.wait_exit(DEADLINE)?;
        if !status.success() {
            return Err(format!("the daemon ended with {status}").into());
        }
        self.show
            .seen("stopped, exit 0, channels closed", Some(started.elapsed()));
        Ok(())
    }
}
