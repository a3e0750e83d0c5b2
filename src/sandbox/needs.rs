//! What a configuration needs of the system, and nothing more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Host;
use crate::config::talosconfig::{APID_PORT, Endpoint, Talosconfig};
use crate::config::{Config, TalosConfig, TransportChoice};

/// DNS over TCP, for answers that are too long for a datagram.
const DNS_PORT: u16 = 53;
/// /proc and /sys, where the counters and the places of disks are.
const KERNEL: [&str; 2] = ["/proc", "/sys"];
/// resolv.conf, hosts, and the system's certificate authorities.
const SYSTEM: &str = "/etc";

/// What is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Network {
    /// Nothing: Talos is reached through machined's socket.
    #[default]
    None,
    /// These TCP ports, and whatever it takes to look up names.
    Ports(BTreeSet<u16>),
    /// Any: the talosconfig, which names the ports, cannot be read yet.
    Any,
}

/// What is needed from the moment on where all the rest is given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Whether vsock may be used.
    pub(super) vsock: bool,
    /// The host's port, which is opened again and again.
    pub(super) port: Option<PathBuf>,
    /// What is connected to for Talos' sake.
    pub(super) network: Network,
    /// Whether users of the host may reach apid on this machine, whatever the way to Talos is.
    pub(super) relay: bool,
    /// Files that are read again while the daemon runs. Where one lies in a folder of its own, the folder: what
    /// is swapped in there later must be readable, too.
    pub(super) files: Vec<PathBuf>,
    /// machined's socket.
    pub(super) socket: Option<PathBuf>,
}

impl Needs {
    /// What this configuration needs; reads the talosconfig, for the port of its node. `ssl_cert_file` is
    /// SSL_CERT_FILE of the environment.
    pub(super) fn of(config: &Config, host: &Host, ssl_cert_file: Option<PathBuf>) -> Self {
        let (is_vmware, port) = match host {
            Host::Vmware(_) => (true, None),
            Host::Port(path) => (false, Some(path.clone())),
            Host::None => (false, None),
        };
        let mut needs = Self {
            vsock: is_vmware && config.host.transport != TransportChoice::Backdoor,
            port,
            relay: is_vmware && config.guest_operations.relays(),
            files: config.file.clone().into_iter().collect(),
            ..Self::default()
        };
        match &config.talos {
            Ok(TalosConfig::Machined { socket, .. }) => needs.socket = Some(socket.clone()),
            Ok(TalosConfig::Apid { talosconfig, node }) => {
                needs.network = network(talosconfig, node.as_deref());
                needs.files.push(talosconfig.clone());
                needs.files.extend(ssl_cert_file);
            }
            // The host alone is served; for a way to Talos it has to be started again.
            Err(_) => {}
        }
        needs
    }

    /// The TCP ports that may be connected to; `None` for all of them.
    pub(super) fn tcp(&self) -> Option<BTreeSet<u16>> {
        let mut ports = match &self.network {
            Network::None => BTreeSet::new(),
            Network::Ports(ports) => ports.clone(),
            Network::Any => return None,
        };
        ports.extend(self.relay.then_some(APID_PORT));
        Some(ports)
    }

    /// What may be read, as folders and files that are there now.
    pub(super) fn readable(&self) -> BTreeSet<PathBuf> {
        let mut readable: BTreeSet<PathBuf> = KERNEL.iter().map(PathBuf::from).collect();
        if self.network != Network::None {
            readable.insert(SYSTEM.into());
        }
        for file in &self.files {
            readable.extend(place(file));
            // Where a symlink leads.
            if let Ok(real) = file.canonicalize() {
                readable.extend(place(&real));
            }
        }
        readable
    }
}

/// The folder of a file; the nearest one above that is there, if it is still to be made. The root folder is too
/// much to ask for: there it is the file alone.
fn place(file: &Path) -> Option<PathBuf> {
    let folder = file.ancestors().skip(1).find(|folder| folder.is_dir())?;
    if folder != Path::new("/") {
        return Some(folder.to_owned());
    }
    file.exists().then(|| file.to_owned())
}

/// What is connected to: the node.
fn network(talosconfig: &Path, node: Option<&str>) -> Network {
    let endpoint: Option<Endpoint> = match (node, Talosconfig::load(talosconfig)) {
        // With one that is no endpoint Talos is done without.
        (Some(node), _) => node.parse().ok(),
        (None, Ok(config)) => Some(config.destination(None).endpoint()),
        (None, Err(_)) => return Network::Any,
    };
    let port = endpoint.map(|endpoint| endpoint.port);
    Network::Ports(port.into_iter().chain([DNS_PORT]).collect())
}
