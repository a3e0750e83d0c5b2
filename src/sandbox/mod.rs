//! The sandbox: what the process does not need, it gives up before it reads the first byte of the host's.
//!
//! ```text
//! Config ──► Needs ──► no_new_privs ──► capabilities ──► landlock ──► seccomp ──► Part (log, `check`)
//! ```
//! Each part is taken where the kernel and the container have it; what is missing is reported, and the rest holds.
//! What is in force can never be taken back: a reloaded configuration that needs more is refused
//! ([`Sandbox::objection`]). What each part leaves, and why, is in `docs/sandbox.md`.

mod calls;
mod capabilities;
mod denied;
mod landlock;
mod needs;
mod seccomp;
mod status;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{Config, SandboxMode};
use crate::diagnosis::Outcome;
use crate::traps::DeniedCallGuard;
use denied::note;
pub use denied::{Denied, DeniedCall};
use needs::{Needs, Network};
use seccomp::Otherwise;
use status::Status;

const CAPABILITIES: &str = "capabilities";
const NO_NEW_PRIVS: &str = "no_new_privs";
const SECCOMP: &str = "seccomp";
const LANDLOCK: &str = "landlock";

/// One part of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is called: `capabilities`, `no_new_privs`, `seccomp`, `landlock`.
    pub name: &'static str,
    /// What is left, or why the part is missing; in one phrase.
    pub outcome: Result<String, String>,
}

impl Part {
    /// Without it an attacker has gained something; landlock is missing in kernels that are otherwise fine.
    pub fn is_necessary(&self) -> bool {
        self.name != LANDLOCK
    }
}

/// A reloaded configuration needs what this process has given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// It was started without any way to Talos.
    #[error(
        "no way to Talos was known when the sandbox was set up; restart the agent to apply the one that is configured now"
    )]
    Talos,
    /// It was started with machined's socket.
    #[error(
        "no network was allowed when the sandbox was set up, and the talosconfig needs it; restart the agent to apply it"
    )]
    Network,
    /// The endpoint has another port than those at the start.
    #[error(
        "port {port} was not allowed when the sandbox was set up; restart the agent to apply it"
    )]
    Port {
        /// The port.
        port: u16,
    },
    /// The file lies elsewhere than those at the start.
    #[error(
        "{} was not readable when the sandbox was set up; restart the agent to apply it", .path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
    },
}

/// Whether vsock sockets can be made here, which only those who use them know.
pub type VsockProbe = fn() -> bool;

/// The host that is served.
#[derive(Clone, Debug)]
pub enum Host {
    /// VMware's, over vsock where that is allowed.
    Vmware(VsockProbe),
    /// At this port.
    Port(PathBuf),
    /// None.
    None,
}

impl Host {
    /// Whether vsock sockets can be made, and are needed.
    fn has_vsock(&self) -> bool {
        match self {
            Self::Vmware(vsock) => vsock(),
            Self::Port(_) | Self::None => false,
        }
    }
}

/// The sandbox of this process.
#[derive(Clone, Debug)]
pub struct Sandbox {
    mode: SandboxMode,
    host: Host,
    /// Whether there was a way to Talos.
    talos: bool,
    /// SSL_CERT_FILE of the environment.
    ssl_cert_file: Option<PathBuf>,
    network: Network,
    readable: BTreeSet<PathBuf>,
    parts: Vec<Part>,
}

impl Sandbox {
    /// Gives up what `config` does not need, or with [`SandboxMode::Warn`] only looks at it. To be called while
    /// there is one thread.
    ///
    /// # Errors
    /// The signal of denied calls cannot be handled; nothing was given up.
    pub fn enter(config: &Config, host: Host) -> io::Result<Self> {
        // Absolute while the working directory may still be asked for.
        let ssl_cert_file =
            std::env::var_os("SSL_CERT_FILE").and_then(|path| std::path::absolute(path).ok());
        let needs = Needs::of(config, &host, ssl_cert_file.clone());
        let mode = config.sandbox;
        let parts = match mode {
            SandboxMode::Off => Vec::new(),
            SandboxMode::Warn => watch(&needs, &host),
            SandboxMode::Enforce => enforce(&needs, &host, DeniedCallGuard::install(note)?),
        };
        Ok(Self {
            mode,
            host,
            talos: config.talos.is_ok(),
            ssl_cert_file,
            readable: needs.readable(),
            network: needs.network,
            parts,
        })
    }

    /// How it was asked for.
    pub const fn mode(&self) -> SandboxMode {
        self.mode
    }

    /// What became of each part; nothing for [`SandboxMode::Off`].
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The parts that hold (or would), in one phrase.
    pub fn holding(&self) -> String {
        self.phrase(|part| part.outcome.as_ref().ok())
    }

    /// The parts that are missing, in one phrase; empty if none is.
    pub fn missing(&self) -> String {
        self.phrase(|part| part.outcome.as_ref().err())
    }

    fn phrase<'a>(&'a self, text: impl Fn(&'a Part) -> Option<&'a String>) -> String {
        let parts = self.parts.iter();
        let texts = parts.filter_map(|part| Some(format!("{}: {}", part.name, text(part)?)));
        texts.collect::<Vec<_>>().join("; ")
    }

    /// What `check` says of it.
    pub fn check(&self) -> Outcome {
        let (holding, missing) = (self.holding(), self.missing());
        let all = match (holding.is_empty(), missing.is_empty()) {
            (_, true) => holding,
            (true, false) => format!("missing: {missing}"),
            (false, false) => format!("{holding}; missing: {missing}"),
        };
        match self.mode() {
            SandboxMode::Off => Outcome::Works("off, as configured".to_owned()),
            SandboxMode::Warn => Outcome::Works(format!("denies nothing, as configured; {all}")),
            SandboxMode::Enforce => {
                let mut parts = self.parts().iter();
                if parts.any(|part| part.is_necessary() && part.outcome.is_err()) {
                    return Outcome::fails(
                        format!("in force in part: {all}"),
                        "the kernel or the container's own sandbox refuses what is missing; \
                         see docs/sandbox.md for what is needed",
                    );
                }
                Outcome::Works(format!("in force: {all}"))
            }
        }
    }

    /// Says in one line what is in force and what is missing.
    pub fn log(&self) {
        let (holding, missing) = (self.holding(), self.missing());
        match self.mode {
            SandboxMode::Enforce if missing.is_empty() => {
                tracing::info!(holding, "the sandbox is in force");
            }
            SandboxMode::Enforce => {
                tracing::info!(holding, missing, "the sandbox is in force in part");
            }
            SandboxMode::Warn => tracing::warn!(
                enforce = holding,
                missing,
                "the sandbox denies nothing; the kernel's audit log names system calls that --sandbox=enforce would deny"
            ),
            SandboxMode::Off => tracing::info!("the sandbox is off"),
        }
    }

    /// Listens for denied calls. To be called within a runtime.
    ///
    /// # Errors
    /// Those of sigaction.
    pub fn denied(&self) -> io::Result<Denied> {
        match self.mode {
            SandboxMode::Enforce => Denied::listen(),
            SandboxMode::Warn | SandboxMode::Off => Ok(Denied::nothing()),
        }
    }

    /// What a reloaded `config` needs and this process has given up.
    pub fn objection(&self, config: &Config) -> Option<Objection> {
        if self.mode != SandboxMode::Enforce {
            return None;
        }
        if config.talos.is_ok() && !self.talos {
            return Some(Objection::Talos);
        }
        let needs = Needs::of(config, &self.host, self.ssl_cert_file.clone());
        let holds = |name| {
            let mut parts = self.parts.iter();
            parts.any(|part: &Part| part.name == name && part.outcome.is_ok())
        };
        match (&needs.network, &self.network) {
            (Network::Ports(_) | Network::Any, Network::None) if holds(SECCOMP) => {
                return Some(Objection::Network);
            }
            (Network::Ports(wanted), Network::Ports(allowed)) if holds(LANDLOCK) => {
                if let Some(&port) = wanted.difference(allowed).next() {
                    return Some(Objection::Port { port });
                }
            }
            _ => {}
        }
        let is_readable = |place: &Path| {
            let mut readable = self.readable.iter();
            readable.any(|allowed| place.starts_with(allowed))
        };
        let path = needs.readable().into_iter().find(|path| !is_readable(path));
        path.filter(|_| holds(LANDLOCK))
            .map(|path| Objection::File { path })
    }
}

/// Gives everything up. seccomp comes last: the others make calls that it denies.
fn enforce(needs: &Needs, host: &Host, guard: DeniedCallGuard) -> Vec<Part> {
    let no_new_privs = nix::sys::prctl::set_no_new_privs().map_err(|errno| errno.desc().to_owned());
    let capabilities = capabilities::needed(needs, host).and_then(|kept| {
        capabilities::drop_all_but(&kept)?;
        Ok(kept)
    });
    let landlock = landlock::restrict(needs);
    let seccomp = seccomp::install(needs, Otherwise::Denied(guard));
    // What the kernel says counts more than what the calls returned.
    let status = Status::read();
    let confirmed = |confirmed: Option<bool>| match confirmed {
        Some(false) => Err("the kernel does not confirm it".to_owned()),
        Some(true) | None => Ok(()),
    };
    vec![
        Part {
            name: CAPABILITIES,
            outcome: capabilities.and_then(|kept| {
                let allowed = kept.iter().fold(0, |all, kept| all | kept.bitmask());
                confirmed(status.map(|status| status.capabilities & !allowed == 0))?;
                Ok(capabilities::text(&kept))
            }),
        },
        Part {
            name: NO_NEW_PRIVS,
            outcome: no_new_privs
                .and_then(|()| confirmed(status.map(|status| status.no_new_privs)))
                .map(|()| "set".to_owned()),
        },
        Part {
            name: SECCOMP,
            outcome: seccomp
                .and_then(|()| confirmed(status.map(|status| status.seccomp)))
                .map(|()| seccomp::text(needs)),
        },
        Part {
            name: LANDLOCK,
            outcome: landlock,
        },
    ]
}

/// Denies nothing, but lets the kernel log what would be denied, and shows what would be left.
fn watch(needs: &Needs, host: &Host) -> Vec<Part> {
    vec![
        Part {
            name: CAPABILITIES,
            outcome: capabilities::needed(needs, host).map(|kept| capabilities::text(&kept)),
        },
        Part {
            name: SECCOMP,
            outcome: seccomp::install(needs, Otherwise::Logged).map(|()| seccomp::text(needs)),
        },
        Part {
            name: LANDLOCK,
            outcome: landlock::preview(needs),
        },
    ]
}

#[cfg(test)]
mod tests;
