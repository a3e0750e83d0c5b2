//! The process around [`Core`]: the operator's wishes, the configuration and the sandbox.
//!
//! ```text
//! SIGTERM ─► stop        SIGHUP ─► reload        talosconfig changed ─► reconnect        denied call ─► log
//!                     everything else is Core::step: host and node
//! ```

use super::Faults;
use super::bridge::Bridge;
use super::clock::SinceBoot;
use super::core::{Core, Left};
use super::signals::{Signals, Wish};
use crate::config::{self, Config};
use crate::diagnosis::{Check, Outcome};
use crate::front_end::FrontEnd;
use crate::log::{self, Chain};
use crate::sandbox::{Denied, DeniedCall, Sandbox};

/// Reads the configuration again.
pub type Reload<'a> = &'a dyn Fn() -> Result<Config, config::Error>;

/// What is known of the process's own beside what it may do: see [`Core::examine`].
#[derive(Debug)]
pub struct Known {
    /// What `check` says of the hypervisor.
    pub hypervisor: Outcome,
    /// What is wrong with the settings.
    pub faults: Faults,
}

impl Known {
    /// The checks. `refused` is why the last reload was.
    fn checks(&self, sandbox: &Sandbox, refused: Option<&str>) -> Vec<Check> {
        let Faults {
            lasting,
            of_the_file,
        } = &self.faults;
        let mut checks = vec![
            Check::new("hypervisor", self.hypervisor.clone()),
            Check::for_good("sandbox", sandbox.check()),
        ];
        let faults: Vec<&str> = refused
            .into_iter()
            .chain(lasting.iter().chain(of_the_file).map(String::as_str))
            .collect();
        if !faults.is_empty() {
            let remedy = match refused {
                Some(_) => {
                    "the previous configuration is in force; correct the new one and send SIGHUP again"
                }
                None => "the rest counts; correct it and restart",
            };
            let outcome = Outcome::fails(faults.join("; "), remedy);
            checks.push(Check::for_good("settings", outcome));
        }
        checks
    }
}

/// Everything that lives as long as the daemon.
pub struct EventLoop<F: FrontEnd> {
    config: Config,
    core: Core<F, Bridge, SinceBoot>,
    signals: Signals,
    sandbox: Sandbox,
    denied: Denied,
    log: log::Handle,
    known: Known,
}

impl<F: FrontEnd> std::fmt::Debug for EventLoop<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLoop")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<F: FrontEnd> EventLoop<F> {
    /// Puts the parts together; the front end opens its channels in [`EventLoop::run`].
    pub fn new(
        config: Config,
        front_end: F,
        bridge: Bridge,
        signals: Signals,
        (sandbox, denied): (Sandbox, Denied),
        log: log::Handle,
        known: Known,
    ) -> Self {
        let mut core = Core::new(front_end, bridge, SinceBoot);
        core.configure(&config);
        core.examine(known.checks(&sandbox, None));
        Self {
            config,
            core,
            signals,
            sandbox,
            denied,
            log,
            known,
        }
    }

    /// Serves the host until the process should stop, then closes the channels. Says whether it was asked to stop; if not,
    /// it is to be started again.
    pub async fn run(mut self, reload: Reload<'_>) -> bool {
        let was_asked = loop {
            tokio::select! {
                biased;
                wish = self.signals.next() => match wish {
                    Wish::Stop => break true,
                    Wish::Reload => self.reload(reload),
                },
                left = self.core.step() => match left {
                    Left::Nothing => {}
                    Left::Talosconfig => self.renew_talos(),
                    Left::Frozen => {
                        tracing::error!(
                            "the freezer has ended while file systems were frozen; the agent ends, and thaws them when it is started again"
                        );
                        break false;
                    }
                },
                call = self.denied.next() => log_denied(call),
            }
        };
        self.core.close().await;
        was_asked
    }

    /// The talosconfig has new contents; calls under way end on the old connection.
    fn renew_talos(&mut self) {
        if let Some(objection) = self.sandbox.objection(&self.config) {
            tracing::warn!(error = %Chain(&objection), "the talosconfig has changed beyond the sandbox");
        }
        if let Ok(talos) = &self.config.talos
            && self.core.node().reconnect(talos).is_ok()
        {
            tracing::info!("the talosconfig has changed; reconnecting to Talos");
        }
    }

    /// Takes over what may change while running. A configuration that is refused changes nothing.
    fn reload(&mut self, reload: Reload<'_>) {
        match self.reloaded(reload) {
            Ok(()) => {
                tracing::info!("configuration reloaded");
                self.known.faults.of_the_file.clear();
                self.core.examine(self.known.checks(&self.sandbox, None));
            }
            Err(error) => {
                tracing::error!(error, "reload failed; keeping the previous configuration");
                let checks = self.known.checks(&self.sandbox, Some(&error));
                self.core.examine(checks);
            }
        }
        self.core.write_checks();
    }

    fn reloaded(&mut self, reload: Reload<'_>) -> Result<(), String> {
        let config = reload().map_err(|error| Chain(&error).to_string())?;
        if let Some(objection) = self.sandbox.objection(&config) {
            return Err(Chain(&objection).to_string());
        }
        if config.talos != self.config.talos {
            let talos = config
                .talos
                .as_ref()
                .map_err(|error| Chain(error).to_string())?;
            // The last that can fail, and where it does all stays as it is.
            let node = self.core.node();
            node.reconnect(talos)
                .map_err(|error| Chain(&error).to_string())?;
        }
        let config::Plan { config, restart } = config::plan(&self.config, config);
        if !restart.is_empty() {
            let settings = restart.join(", ");
            tracing::warn!(settings, "settings have changed; restart to apply them");
        }
        self.config = config;
        self.log.set(self.config.log);
        self.core.configure(&self.config);
        Ok(())
    }
}

/// A call that the agent needs and may not make is missing in our list; everything else goes on.
fn log_denied(call: DeniedCall) {
    tracing::warn!(
        system_call = %call,
        number = call.number,
        "the sandbox has denied a system call; if something does not work, start with --sandbox=warn, and report this line"
    );
}
