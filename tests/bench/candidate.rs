//! What is compared.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use apid::{Apid, TlsOptions, scene};
use vmx::{Profile, Sandbox, SerialPort, VmOperations, Vmx, VmxBuilder, VsockPolicy};

/// One column of the table.
#[derive(Clone, Debug)]
pub(crate) enum Candidate {
    /// Our daemon.
    Ours {
        /// The release binary.
        binary: PathBuf,
        /// Talks to apid over TLS instead of machined's socket.
        tls: bool,
        /// Talks to the host over vsock instead of the backdoor.
        vsock: bool,
        /// More of the configuration file.
        settings: String,
    },
    /// Debian's vmtoolsd, as it comes.
    OpenVmTools,
}

/// A candidate that runs.
pub(crate) struct Running {
    /// Its host.
    pub(crate) vmx: Vmx,
    /// Its Talos, when it has one.
    pub(crate) talos: Option<Apid>,
    /// Sockets and the talosconfig.
    _folder: Folder,
}

/// How often real hosts ping.
const PING: Duration = Duration::from_secs(15);

/// The user of the guest operations, and the password.
pub(crate) const USER: (&str, &str) = ("ops", "s3cret");
/// The password, hashed.
const PASSWORD_HASH: &str = "$6$rounds=1000$abcdefgh$ts4PqiFqgcN.cen3rF2HotwlQFHljTDeZHA69IhA7TtTfn/oFv0Y/zIU4T41fwzuaPKS2Ob9Piytfd1X44pUw/";

/// Where Debian's package puts it.
const VMTOOLSD: &str = "/usr/bin/vmtoolsd";

impl Candidate {
    /// Ours as it comes: on machined's socket, with TLS, over vsock.
    pub(crate) fn ours(binary: &Path) -> Vec<Self> {
        let ours = |tls, vsock| Self::Ours {
            binary: binary.to_owned(),
            tls,
            vsock,
            settings: String::new(),
        };
        vec![ours(false, false), ours(true, false), ours(false, true)]
    }

    /// All that can be measured here.
    pub(crate) fn all(binary: &Path) -> Vec<Self> {
        let mut all = Self::ours(binary);
        if Path::new(VMTOOLSD).exists() {
            all.push(Self::OpenVmTools);
        } else {
            eprintln!("bench: {VMTOOLSD} is not installed (package open-vm-tools): no comparison");
        }
        all
    }

    /// Ours with guest operations, over the backdoor and over vsock.
    pub(crate) fn with_guest_operations(binary: &Path) -> [Self; 2] {
        let (name, _) = USER;
        let user = format!("{{name: {name}, password_hash: {PASSWORD_HASH}}}");
        [false, true].map(|vsock| Self::Ours {
            binary: binary.to_owned(),
            tls: false,
            vsock,
            settings: format!("guest_operations: {{enabled: true, users: [{user}]}}\n"),
        })
    }

    /// Ours with quiesced snapshots.
    pub(crate) fn with_snapshots(binary: &Path) -> Self {
        Self::Ours {
            binary: binary.to_owned(),
            tls: false,
            vsock: false,
            settings: "quiesce: {mode: freeze}\n".to_owned(),
        }
    }

    /// Ours with notice of migrations, over the backdoor and over vsock.
    pub(crate) fn with_vmotion(binary: &Path) -> [Self; 2] {
        [false, true].map(|vsock| Self::Ours {
            binary: binary.to_owned(),
            tls: false,
            vsock,
            settings: "vmware: {vmotion: {notify: true}}\n".to_owned(),
        })
    }

    /// Ours with vSphere HA's application monitoring, which asks Talos and the host again and again.
    pub(crate) fn with_ha(binary: &Path) -> Self {
        Self::Ours {
            binary: binary.to_owned(),
            tls: false,
            vsock: false,
            settings: "vmware: {ha: {monitor: node, settle: 1s}}\n".to_owned(),
        }
    }

    /// Heading of the column.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Ours { tls: true, .. } => "ours, TLS",
            Self::Ours { vsock: true, .. } => "ours, vsock",
            Self::Ours { .. } => "ours",
            Self::OpenVmTools => "vmtoolsd",
        }
    }

    /// Starts it under a fresh host, with what the measurement wants besides.
    pub(crate) fn start(
        &self,
        wanted: impl FnOnce(VmxBuilder) -> VmxBuilder,
    ) -> Result<Running, Box<dyn Error>> {
        let folder = Folder::new()?;
        let (builder, talos) = match self {
            Self::Ours {
                binary,
                tls,
                vsock,
                settings,
            } => {
                let socket = folder.0.join("machine.sock");
                let talosconfig = folder.0.join("talosconfig");
                let talos = if *tls {
                    Apid::tls(TlsOptions::default())?
                } else {
                    Apid::machined(&socket)?
                };
                scene::single_nic(&talos);
                let builder = Vmx::builder(binary).args(["vmtoolsd"]);
                let builder = if *tls {
                    std::fs::write(&talosconfig, talos.talosconfig())?;
                    let node = talos
                        .endpoint()
                        .ok_or("the TLS server has no address")?
                        .to_string();
                    builder
                        .args(["--talos-config"])
                        .args([talosconfig])
                        .args(["--talos-node", &node])
                } else {
                    builder
                        .args(["--use-machined", "--machined-socket"])
                        .args([socket])
                };
                let builder = if settings.is_empty() {
                    builder
                } else {
                    let file = folder.0.join("config.yaml");
                    std::fs::write(&file, settings)?;
                    builder.args(["--config"]).args([file])
                };
                let mode = if *vsock {
                    VsockPolicy::served()
                } else {
                    VsockPolicy::refused(nix::libc::EPERM)
                };
                (builder.config(|host| host.vsock = mode), Some(talos))
            }
            Self::OpenVmTools => {
                let builder = Vmx::builder(VMTOOLSD)
                    .sandbox(Sandbox {
                        pid_namespace: true,
                        ..Sandbox::default()
                    })
                    .config(|host| host.vsock = VsockPolicy::refused(nix::libc::EPERM));
                (builder, None)
            }
        };
        let builder = builder
            .profile(Profile::Vmware)
            .ping_every(PING)
            .host(|host| *host.vm_operations_mut() = VmOperations::enabled());
        Ok(Running {
            vmx: wanted(builder).spawn()?,
            talos,
            _folder: folder,
        })
    }
}

/// Ours under QEMU, and its port.
pub(crate) fn qemu(
    binary: &Path,
    wanted: impl FnOnce(VmxBuilder) -> VmxBuilder,
) -> Result<(Running, SerialPort), Box<dyn Error>> {
    let folder = Folder::new()?;
    let socket = folder.0.join("machine.sock");
    let talos = Apid::machined(&socket)?;
    scene::single_nic(&talos);
    let port = SerialPort::new(folder.0.join("port"))?;
    let builder = Vmx::builder(binary)
        .args(["vmtoolsd", "--use-machined", "--machined-socket"])
        .args([socket])
        .args(["--qga-port"])
        .args([port.path()])
        .profile(Profile::Kvm)
        .serial_port(&port);
    let running = Running {
        vmx: wanted(builder).spawn()?,
        talos: Some(talos),
        _folder: folder,
    };
    Ok((running, port))
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> std::io::Result<Self> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!(
            "talos-vmtoolsd-bench-{}-{number}",
            std::process::id()
        ));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
