//! The daemon: finds the host, joins its front end with Talos, and runs until it is asked to stop.
//!
//! ```text
//! detect ─► sandbox ─► front end ─► bridge to Talos ─► event loop: signals, reload, Core::step ─► close
//! ```
//! Only here is something spawned, does a real clock run, and do both sides meet. To add a front end is to
//! detect its hypervisor (`detect`) and to run it (`serve`).

pub mod bridge;
pub mod clock;
pub mod core;
pub mod detect;
pub mod event_loop;
mod examination;
pub mod file_watch;
pub mod open_files;
pub mod signals;
mod thaw_first;

use std::process::ExitCode;
use std::time::Duration;

use crate::config::{self, Config, QuiesceConfig};
use crate::diagnosis::Outcome;
use crate::freezer::{Freezer, Link};
use crate::front_end::FrontEnd;
use crate::log::{self, Chain};
use crate::proc;
use crate::qemu::Qemu;
use crate::qemu::port::PortError;
use crate::sandbox::{Denied, Host, Sandbox};
use crate::talos;
use crate::vmware::Vmware;
use crate::vmware::link::LinkSettings;
use crate::vmware::transport::backdoor::FaultGuard;
use crate::vmware::transport::vsock;
use bridge::Bridge;
use detect::Below;
use event_loop::{EventLoop, Known};
use signals::Signals;

/// There is a host to serve, and we were not asked to stop: the service manager must start us again.
const FAILED: u8 = 1;

/// The look-up of an endpoint's name needs a thread, and so does the check of a password; both are rare.
const THREAD_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// What is wrong with the settings, each in a phrase.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Until a restart.
    pub lasting: Vec<String>,
    /// Until a reload, those of the configuration file.
    pub of_the_file: Vec<String>,
}

/// Runs until SIGTERM or SIGINT. Exit code 0 means just that, or that there is no host to serve.
pub fn run(
    config: Config,
    faults: Faults,
    log: log::Handle,
    reload: impl Fn() -> Result<Config, config::Error>,
) -> ExitCode {
    signals::unblock();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(THREAD_KEEP_ALIVE)
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "the runtime does not start");
            return ExitCode::from(FAILED);
        }
    };
    let code = runtime.block_on(async {
        match FaultGuard::install().and_then(|guard| Ok((guard, Signals::listen()?))) {
            Ok((guard, signals)) => serve(config, faults, log, &reload, guard, signals).await,
            Err(error) => {
                tracing::error!(error = %Chain(&error), "signals cannot be handled");
                ExitCode::from(FAILED)
            }
        }
    });
    // A name look-up or a password may still block a thread of its own; do not wait for it.
    runtime.shutdown_background();
    code
}

async fn serve(
    config: Config,
    faults: Faults,
    log: log::Handle,
    reload: event_loop::Reload<'_>,
    guard: FaultGuard,
    mut signals: Signals,
) -> ExitCode {
    let below = match detect::choose(&config, &mut signals).await {
        Ok(Some(below)) => below,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => return port_failed(&error),
    };
    let host = match &below {
        Below::Vmware => Host::Vmware(vsock::is_there),
        Below::Qemu(port, _) => Host::Port(port.path().to_owned()),
        Below::Neither => Host::None,
    };
    // The sandbox lets no process be started.
    let (freezer, link) = start_freezer(&config, &below).unzip();
    // Before the first foreign byte is read.
    let sandbox =
        Sandbox::enter(&config, host).and_then(|sandbox| Ok((sandbox.denied()?, sandbox)));
    let (denied, sandbox) = match sandbox {
        Ok(entered) => entered,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "signals cannot be handled");
            return ExitCode::from(FAILED);
        }
    };
    let process = Process {
        config,
        faults,
        log,
        reload,
        signals,
        sandbox: (sandbox, denied),
        freezer: link,
    };
    let code = match below {
        Below::Qemu(port, failure) => {
            let outcome = Outcome::Works("QEMU guest agent".to_owned());
            tracing::info!(
                version = env!("CARGO_PKG_VERSION"),
                port = %port.path().display(),
                "talos-vmtoolsd started as QEMU guest agent"
            );
            let front_end = Qemu::new(port, proc::machine(), proc::wall_clock);
            tokio::select! {
                code = process.run(front_end, outcome) => code,
                Ok(error) = failure => port_failed(&error),
            }
        }
        Below::Vmware => match detect::find_vmx(&process.config, guard) {
            Some((access, outcome)) => {
                let settings = LinkSettings::new(&process.config.host, Some(access));
                let front_end = Vmware::new(settings, proc::machine(), proc::wall_clock);
                process.run(front_end, outcome).await
            }
            None => process.idle().await,
        },
        Below::Neither => {
            detect::log_neither(&process.config);
            process.idle().await
        }
    };
    // However we end: as process 1 we would take it with us.
    if let Some(freezer) = freezer {
        freezer.finish();
    }
    code
}

/// The freezer, where there is a host and quiescing is on. Without one every freeze is refused.
fn start_freezer(config: &Config, below: &Below) -> Option<(Freezer, Link)> {
    if matches!(below, Below::Neither) {
        return None;
    }
    if config.quiesce.is_refused_in_pod() {
        tracing::error!(
            problem = QuiesceConfig::POD_PROBLEM,
            remedy = QuiesceConfig::POD_REMEDY,
            "quiesced snapshots are refused"
        );
    }
    if !config.quiesce.needs_freezer() {
        return None;
    }
    match Freezer::start() {
        Ok(started) => Some(started),
        Err(error) => {
            tracing::error!(
                error = %Chain(&error),
                "the freezer does not start: quiesced snapshots are refused"
            );
            None
        }
    }
}

fn port_failed(error: &PortError) -> ExitCode {
    tracing::error!(error = %Chain(error), "the port of the QEMU guest agent cannot be used");
    ExitCode::from(FAILED)
}

/// What runs a front end.
struct Process<'a> {
    config: Config,
    faults: Faults,
    log: log::Handle,
    reload: event_loop::Reload<'a>,
    signals: Signals,
    sandbox: (Sandbox, Denied),
    freezer: Option<Link>,
}

impl Process<'_> {
    /// There is no host to serve.
    async fn idle(mut self) -> ExitCode {
        if self.config.host.idle_off_vmware {
            while self.signals.next().await != signals::Wish::Stop {}
        }
        ExitCode::SUCCESS
    }

    /// Joins a front end with Talos, until the process is to stop.
    async fn run(self, front_end: impl FrontEnd, hypervisor: Outcome) -> ExitCode {
        let Self {
            config,
            faults,
            log,
            reload,
            signals,
            sandbox,
            freezer,
        } = self;
        sandbox.0.log();
        let bridge = match &config.talos {
            Ok(talos) => Bridge::start(talos).map_err(|error| {
                let error = Chain(&error).to_string();
                (error.clone(), talos::no_endpoint(error))
            }),
            Err(error) => Err((Chain(error).to_string(), talos::unconfigured(error))),
        };
        let mut bridge = bridge.unwrap_or_else(|(error, checks)| {
            tracing::error!(
                error,
                "the host is served without Talos: no facts, and power operations are refused; correct the configuration and restart"
            );
            Bridge::without_talos(error, checks)
        });
        bridge.set_freezer(freezer);
        let known = Known { hypervisor, faults };
        let was_asked = EventLoop::new(config, front_end, bridge, signals, sandbox, log, known)
            .run(reload)
            .await;
        tracing::info!("stopped");
        if was_asked {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(FAILED)
        }
    }
}
