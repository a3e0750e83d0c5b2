//! The event loop: what happens is handed to the services, what they want done is done.
//!
//! What host and node say to each other is [`Core`]'s; here are the operator's wishes and the sandbox.

use super::bridge::Bridge;
use super::clock::{SinceBoot, now};
use super::core::Core;
use super::signals::{Signals, Wish};
use crate::config::{Config, GuestInfoConfig};
use crate::log::{self, Chain};
use crate::sandbox::{Denied, DeniedCall, Sandbox};
use crate::vmware::link::LinkSettings;
use crate::vmware::link::rpci::RpciLink;
use crate::vmware::link::rpci_queue::RpciQueue;
use crate::vmware::link::tclo::TcloLink;
use crate::vmware::services::Services;
use crate::vmware::transport::backdoor::RegisterAccess;

/// Reads the configuration again.
pub type Reload<'a> = &'a dyn Fn() -> Result<Config, crate::config::Error>;

/// Everything that lives as long as the daemon.
pub struct EventLoop<A: RegisterAccess> {
    config: Config,
    core: Core<A, Bridge, SinceBoot>,
    signals: Signals,
    sandbox: Sandbox,
    denied: Denied,
    log: log::Handle,
}

impl<A: RegisterAccess> std::fmt::Debug for EventLoop<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLoop")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<A: RegisterAccess + Copy + 'static> EventLoop<A> {
    /// Puts the parts together; the first connection is made by [`EventLoop::run`].
    pub fn new(
        config: Config,
        settings: LinkSettings<A>,
        mut services: Services,
        bridge: Bridge,
        signals: Signals,
        (sandbox, denied): (Sandbox, Denied),
        log: log::Handle,
    ) -> Self {
        configure(&mut services, config.guest_info);
        Self {
            config,
            core: Core {
                services,
                tclo: TcloLink::new(settings),
                rpci: RpciQueue::new(RpciLink::new(settings)),
                node: bridge,
                clock: SinceBoot,
            },
            signals,
            sandbox,
            denied,
            log,
        }
    }

    /// Serves the host until somebody wishes an end, then closes the channels.
    pub async fn run(mut self, reload: Reload<'_>) {
        self.core
            .services
            .set_network_policy(self.config.network.clone(), now());
        loop {
            tokio::select! {
                biased;
                wish = self.signals.next() => match wish {
                    Wish::Stop => break,
                    Wish::Reload => self.reload(reload),
                },
                news = self.core.step() => if news.is_some() {
                    self.renew_talos();
                },
                call = self.denied.next() => tell_denied(call),
            }
        }
        self.core.tclo.close();
        self.core.rpci.close().await;
    }

    /// The talosconfig has new contents; calls under way end on the old connection.
    fn renew_talos(&mut self) {
        if let Some(objection) = self.sandbox.objection(&self.config) {
            tracing::warn!(error = %Chain(&objection), "the talosconfig has changed beyond the sandbox");
        }
        if let Ok(talos) = &self.config.talos
            && self.core.node.reconnect(talos).is_ok()
        {
            tracing::info!("the talosconfig has changed; connecting to Talos anew");
        }
    }

    /// Takes over what can change while running; a bad configuration changes nothing.
    fn reload(&mut self, reload: Reload<'_>) {
        let config = match reload() {
            Ok(config) => config,
            Err(error) => {
                return tracing::error!(error = %Chain(&error), "the configuration is not read again; the old one stays");
            }
        };
        if let Some(objection) = self.sandbox.objection(&config) {
            return tracing::error!(error = %Chain(&objection), "the configuration is not read again; the old one stays");
        }
        self.log.set(config.log);
        if config.sandbox != self.config.sandbox {
            tracing::warn!("the setting of the sandbox has changed; it counts from the next start");
        }
        if config.host != self.config.host {
            tracing::warn!(
                "the settings for the host have changed; they count from the next start"
            );
        }
        if config.talos != self.config.talos {
            let reconnected = match &config.talos {
                Ok(talos) => self
                    .core
                    .node
                    .reconnect(talos)
                    .map_err(|error| Chain(&error).to_string()),
                Err(error) => Err(Chain(error).to_string()),
            };
            if let Err(error) = reconnected {
                return tracing::error!(
                    error,
                    "the configuration is not read again; the old one stays"
                );
            }
        }
        if config.network != self.config.network {
            self.core
                .services
                .set_network_policy(config.network.clone(), now());
        }
        self.config = Config {
            host: self.config.host.clone(),
            sandbox: self.config.sandbox,
            ..config
        };
        configure(&mut self.core.services, self.config.guest_info);
        self.core.node.set_power(self.config.power);
        tracing::info!("configuration read again");
    }
}

/// A call that the agent needs and may not make is a fault of its list; all else goes on.
fn tell_denied(call: DeniedCall) {
    tracing::warn!(
        system_call = %call,
        number = call.number,
        "the sandbox has denied a system call; if something does not work, start with --sandbox=warn, and report this line"
    );
}

/// Hands the services what they may be told at any time.
fn configure(services: &mut Services, config: GuestInfoConfig) {
    let GuestInfoConfig {
        scrub,
        disk_interval,
        stats_interval,
    } = config;
    services.set_scrub(scrub, now());
    services.set_intervals(disk_interval, stats_interval);
}
