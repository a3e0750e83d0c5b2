//! The event loop: what happens is handed to the services, what they want done is done.
//!
//! ```text
//!   host ── TCLO ──►┐                                  ┌──► reply ── TCLO ──► host
//!   host ◄─ RPCI ──►├──► Services (no I/O, no clock) ──┼──► command ─ RPCI ─► host
//!   Talos ─ facts ─►┘                                  └──► power operation ─► Talos
//! ```
//!
//! Nothing in here waits for Talos: it has its own tasks, and so has RPCI. TCLO comes first in the loop, so
//! the host is served first.

use super::bridge::{Bridge, News};
use super::clock::{now, sleep_until};
use super::link::LinkSettings;
use super::rpci_link::RpciLink;
use super::rpci_task::RpciTask;
use super::signals::{Signals, Wish};
use super::tclo_link::{TcloEvent, TcloLink};
use crate::config::{Config, GuestInfoConfig};
use crate::log::{self, Chain};
use crate::proc::Kernel;
use crate::sandbox::{Denied, DeniedCall, Sandbox};
use crate::services::{Output, Services};
use crate::transport::backdoor::RegisterAccess;

/// Reads the configuration again.
pub type Reload<'a> = &'a dyn Fn() -> Result<Config, crate::config::Error>;

/// Everything that lives as long as the daemon.
pub struct EventLoop<A: RegisterAccess> {
    config: Config,
    services: Services,
    tclo: TcloLink<A>,
    rpci: RpciTask,
    bridge: Bridge,
    signals: Signals,
    sandbox: Sandbox,
    denied: Denied,
    log: log::Handle,
    kernel: Kernel,
}

impl<A: RegisterAccess> std::fmt::Debug for EventLoop<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLoop")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<A: RegisterAccess + Copy + Send + Sync + 'static> EventLoop<A> {
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
            services,
            tclo: TcloLink::new(settings),
            rpci: RpciTask::spawn(RpciLink::new(settings)),
            bridge,
            signals,
            sandbox,
            denied,
            log,
            kernel: Kernel::new(),
        }
    }

    /// Serves the host until somebody wishes an end, then closes the channels.
    pub async fn run(mut self, reload: Reload<'_>) {
        self.services
            .set_network_policy(self.config.network.clone(), now());
        loop {
            self.carry_out_outputs();
            let deadline = self.services.poll_timeout();
            tokio::select! {
                biased;
                wish = self.signals.next() => match wish {
                    Wish::Stop => break,
                    Wish::Reload => self.reload(reload),
                },
                event = self.tclo.next() => self.handle_tclo(event),
                (id, outcome) = self.rpci.outcome() => self.services.handle_rpci(id, outcome, now()),
                news = self.bridge.next() => match news {
                    News::Facts => self.services.handle_facts(&self.bridge.facts(), now()),
                    News::Power(operation, outcome) => {
                        self.services.handle_power(operation, outcome, now());
                    }
                    News::Measured(measured) => self.services.handle_measured(measured, now()),
                    News::Talosconfig => self.renew_talos(),
                },
                call = self.denied.next() => tell_denied(call),
                () = sleep_until(deadline) => self.services.handle_timeout(now()),
            }
        }
        self.tclo.close();
        self.rpci.close().await;
    }

    fn handle_tclo(&mut self, event: TcloEvent) {
        match event {
            TcloEvent::Connected { .. } => {
                self.rpci.forget_failures();
                self.services.handle_connected(now());
            }
            TcloEvent::Request(request) => self.services.handle_request(&request, now()),
            TcloEvent::Lost => {
                self.rpci.host_lost();
                self.services.handle_lost();
            }
        }
    }

    /// The talosconfig has new contents; calls under way end on the old connection.
    fn renew_talos(&mut self) {
        if let Some(objection) = self.sandbox.objection(&self.config) {
            tracing::warn!(error = %Chain(&objection), "the talosconfig has changed beyond the sandbox");
        }
        if let Ok(talos) = &self.config.talos
            && self.bridge.reconnect(talos).is_ok()
        {
            tracing::info!("the talosconfig has changed; connecting to Talos anew");
        }
    }

    fn carry_out_outputs(&mut self) {
        while let Some(output) = self.services.poll_output() {
            match output {
                Output::Rpci { id, message } => self.rpci.send(id, message),
                Output::Reply(reply) => self.tclo.reply(reply),
                Output::Power(operation) => self.bridge.power(operation, self.config.power),
                Output::MeasureSpace => self.bridge.measure_space(),
                Output::ReadLoad => self.services.handle_load(&self.kernel.load(), now()),
            }
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
                    .bridge
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
            self.services
                .set_network_policy(config.network.clone(), now());
        }
        self.config = Config {
            host: self.config.host.clone(),
            sandbox: self.config.sandbox,
            ..config
        };
        configure(&mut self.services, self.config.guest_info);
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
