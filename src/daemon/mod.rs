//! The daemon: finds the host, joins the layers, and runs until it is asked to stop.
//!
//! This is the only place with select!, spawn, timers and the real clock, and the only one where `rpc`
//! meets `transport` and `services` meet `talos`.

pub mod bridge;
pub mod clock;
pub mod core;
pub mod device_names;
pub mod event_loop;
pub mod file_watch;
pub mod signals;

use std::process::ExitCode;
use std::time::Duration;

use nix::sys::utsname::uname;

use crate::config::{self, Config};
use crate::log::{self, Chain};
use crate::sandbox::Sandbox;
use crate::vmware::link::LinkSettings;
use crate::vmware::rpc::message_channel::Bandwidth;
use crate::vmware::services::{Machine, Services};
use crate::vmware::transport::backdoor::detect::{Detection, detect};
use crate::vmware::transport::backdoor::{Backdoor, FaultGuard};
use crate::vmware::transport::vsock;
use bridge::Bridge;
use event_loop::EventLoop;
use signals::Signals;

/// Neither off VMware nor asked to stop: the service manager shall start us again.
const FAILED: u8 = 1;
/// The command line, the environment or the file must be corrected first.
const MISCONFIGURED: u8 = 2;

/// Only the look-up of an endpoint's name needs a thread, and rarely.
const NAME_LOOKUP_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// Runs until SIGTERM or SIGINT. Exit code 0 means just that, or that this is not VMware.
pub fn run(
    config: Config,
    log: log::Handle,
    reload: impl Fn() -> Result<Config, config::Error>,
) -> ExitCode {
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
            Ok((guard, signals)) => serve(config, log, &reload, guard, signals).await,
            Err(error) => {
                tracing::error!(error = %Chain(&error), "signals cannot be handled");
                ExitCode::from(FAILED)
            }
        }
    });
    // A name look-up may still sit in a thread of its own; nobody waits for it.
    runtime.shutdown_background();
    code
}

async fn serve(
    config: Config,
    log: log::Handle,
    reload: event_loop::Reload<'_>,
    guard: FaultGuard,
    mut signals: Signals,
) -> ExitCode {
    // The first bytes of others are read behind this.
    let sandbox = Sandbox::enter(&config, vsock::is_there)
        .and_then(|sandbox| Ok((sandbox.denied()?, sandbox)));
    let (denied, sandbox) = match sandbox {
        Ok(entered) => entered,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "signals cannot be handled");
            return ExitCode::from(FAILED);
        }
    };
    let Some(access) = find_host(&config, guard) else {
        if config.host.idle_off_vmware {
            while signals.next().await != signals::Wish::Stop {}
        }
        return ExitCode::SUCCESS;
    };
    sandbox.log();
    let bridge = config
        .talos
        .as_ref()
        .map_err(|error| Chain(error).to_string())
        .and_then(|talos| {
            Bridge::start(talos, config.power).map_err(|error| Chain(&error).to_string())
        });
    let bridge = match bridge {
        Ok(bridge) => bridge,
        Err(error) => {
            tracing::error!(error, "misconfigured");
            return ExitCode::from(MISCONFIGURED);
        }
    };
    let settings = LinkSettings {
        transport: config.host.transport,
        access: Some(access),
        bandwidth: if config.host.low_bandwidth {
            Bandwidth::Low
        } else {
            Bandwidth::High
        },
    };
    EventLoop::new(
        config,
        settings,
        Services::new(machine()),
        bridge,
        signals,
        (sandbox, denied),
        log,
    )
    .run(reload)
    .await;
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

/// The way to the VMX, or `None` where there is none, which is said in one line.
fn find_host(config: &Config, guard: FaultGuard) -> Option<Backdoor> {
    let version = env!("CARGO_PKG_VERSION");
    match detect(config.host.skip_vmware_detection, guard) {
        Detection::Vmware {
            access,
            interface,
            vmx_type,
        } => {
            tracing::info!(version, host = %vmx_type, backdoor = interface.name(), "talos-vmtoolsd started");
            Some(access)
        }
        Detection::Unresponsive { access, error, .. } => {
            tracing::warn!(version, error = %Chain(&error), "talos-vmtoolsd started, but the backdoor of this VMware host does not work yet");
            Some(access)
        }
        Detection::NotVmware { hypervisor } => {
            let then = if config.host.idle_off_vmware {
                "idle"
            } else {
                "done"
            };
            tracing::info!(hypervisor = %hypervisor, then, "not on VMware, nothing to do");
            None
        }
    }
}

/// What the kernel says of the machine.
fn machine() -> Machine {
    let (kernel_release, machine) = uname().map_or_else(
        |_| (String::new(), String::new()),
        |name| {
            (
                name.release().to_string_lossy().into_owned(),
                name.machine().to_string_lossy().into_owned(),
            )
        },
    );
    Machine {
        kernel_release,
        machine,
    }
}
