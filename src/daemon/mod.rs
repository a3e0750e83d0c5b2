//! The daemon: finds the host, joins its front end with Talos, and runs until it is asked to stop.
//!
//! ```text
//! sandbox ─► detect ─► front end ─► bridge to Talos ─► event loop: signals, reload, Core::step ─► close
//! ```
//! Only here is something spawned, does a real clock run, and do both sides meet. To add a front end is to
//! detect its hypervisor (`detect`) and to run it (`serve`).

pub mod bridge;
pub mod clock;
pub mod core;
mod detect;
pub mod event_loop;
mod examination;
pub mod file_watch;
pub mod open_files;
pub mod signals;

use std::process::ExitCode;
use std::time::Duration;

use crate::config::{self, Config};
use crate::log::{self, Chain};
use crate::proc;
use crate::sandbox::Sandbox;
use crate::talos;
use crate::vmware::Vmware;
use crate::vmware::link::LinkSettings;
use crate::vmware::transport::backdoor::FaultGuard;
use crate::vmware::transport::vsock;
use bridge::Bridge;
use event_loop::{EventLoop, Known};
use signals::Signals;

/// Neither off VMware nor asked to stop: the service manager must start us again.
const FAILED: u8 = 1;

/// Only the look-up of an endpoint's name needs a thread, and rarely.
const NAME_LOOKUP_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// What is wrong with the settings, each in a phrase.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Until a restart.
    pub lasting: Vec<String>,
    /// Until a reload, those of the configuration file.
    pub of_the_file: Vec<String>,
}

/// Runs until SIGTERM or SIGINT. Exit code 0 means just that, or that this is not VMware.
pub fn run(
    config: Config,
    faults: Faults,
    log: log::Handle,
    reload: impl Fn() -> Result<Config, config::Error>,
) -> ExitCode {
    signals::unblock();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(NAME_LOOKUP_KEEP_ALIVE)
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
    // A name look-up may still block a thread of its own; do not wait for it.
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
    // Before the first foreign byte is read.
    let sandbox = Sandbox::enter(&config, vsock::is_there)
        .and_then(|sandbox| Ok((sandbox.denied()?, sandbox)));
    let (denied, sandbox) = match sandbox {
        Ok(entered) => entered,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "signals cannot be handled");
            return ExitCode::from(FAILED);
        }
    };
    let Some((access, hypervisor)) = detect::find_vmx(&config, guard) else {
        if config.host.idle_off_vmware {
            while signals.next().await != signals::Wish::Stop {}
        }
        return ExitCode::SUCCESS;
    };
    sandbox.log();
    let bridge = match &config.talos {
        Ok(talos) => Bridge::start(talos, config.power).map_err(|error| {
            let error = Chain(&error).to_string();
            (error.clone(), talos::no_endpoint(error))
        }),
        Err(error) => Err((Chain(error).to_string(), talos::unconfigured(error))),
    };
    let bridge = bridge.unwrap_or_else(|(error, checks)| {
        tracing::error!(
            error,
            "the host is served without Talos: no facts, and power operations are refused; correct the configuration and restart"
        );
        Bridge::without_talos(error, checks, config.power)
    });
    let settings = LinkSettings::new(&config.host, Some(access));
    EventLoop::new(
        config,
        Vmware::new(settings, proc::machine()),
        bridge,
        signals,
        (sandbox, denied),
        log,
        Known { hypervisor, faults },
    )
    .run(reload)
    .await;
    tracing::info!("stopped");
    ExitCode::SUCCESS
}
