//! The daemon's own heart between the host and a node, with an administrator who looks.

use std::future::pending;
use std::time::Duration;

use talos_vmtoolsd::config::{
    DrainDeadline, EtcdConfig, GuestOperationsConfig, PowerConfig, QuorumGuard, ShutdownConfig,
};
use talos_vmtoolsd::daemon::core::{Clock, Core, Left, Node};
use talos_vmtoolsd::facts::Machine;
use talos_vmtoolsd::vmware::Vmware;
use talos_vmtoolsd::vmware::link::LinkSettings;
use talos_vmtoolsd::vmware::link::alarm::Alarm;
use talos_vmtoolsd::vmware::services::Services;
use talos_vmtoolsd::vmware::transport::backdoor::RegisterAccess;
use talos_vmtoolsd::vmware::transport::vsock::Dial;
use tokio::time::{Instant, sleep_until};
use vmx::Host;

use crate::report::Outcome;
use crate::session::SharedHost;

/// How long the machine has been up when the daemon starts.
pub(crate) const BOOT: Duration = Duration::from_secs(20);

/// What the wall clock shows all the time.
const NOON: Duration = Duration::from_secs(1_790_000_000);

/// Who uses the host, and judges.
pub(crate) trait Administrator<T> {
    /// When it looks next.
    fn next_look(&self) -> Instant;

    /// One look; the outcome when all is over.
    fn look(&mut self, host: &mut Host, node: &T) -> Option<Outcome>;
}

/// tokio's paused clock as the time since boot.
#[derive(Clone)]
pub(crate) struct Paused(Instant);

impl Paused {
    /// Of a machine that has been up for [`BOOT`].
    pub(crate) fn booted() -> Self {
        Self(Instant::now() - BOOT)
    }
}

impl Clock for Paused {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep_until(&self, deadline: Option<Duration>) {
        at(deadline.map(|due| self.0 + due)).await;
    }
}

/// Plays a session to its end, without guest operations.
pub(crate) async fn play<A, V, T>(
    host: &SharedHost,
    settings: LinkSettings<A>,
    dialer: &V,
    node: T,
    administrator: impl Administrator<T>,
) -> Outcome
where
    A: RegisterAccess + Copy + 'static,
    V: Dial + Clone + 'static,
    T: Node,
{
    let off = GuestOperationsConfig::default();
    play_with(host, settings, dialer, node, administrator, &off).await
}

/// Plays a session to its end.
pub(crate) async fn play_with<A, V, T>(
    host: &SharedHost,
    settings: LinkSettings<A>,
    dialer: &V,
    node: T,
    mut administrator: impl Administrator<T>,
    guest_operations: &GuestOperationsConfig,
) -> Outcome
where
    A: RegisterAccess + Copy + 'static,
    V: Dial + Clone + 'static,
    T: Node,
{
    let mut services = services();
    services.set_guest_operations(guest_operations, BOOT);
    let front_end = Vmware::with_dialer(settings, services, dialer.clone(), Alarm::on_tokio());
    let mut daemon = Core::new(front_end, node, Paused::booted());
    daemon.set_power(&power());
    loop {
        tokio::select! {
            biased;
            left = daemon.step() => assert_eq!(left, Left::Nothing, "there is no talosconfig"),
            () = sleep_until(administrator.next_look()) => {
                let look = administrator.look(&mut host.borrow_mut(), daemon.node());
                if let Some(outcome) = look {
                    return outcome;
                }
            }
        }
    }
}

/// How power operations are carried out unless a sweep is about that.
fn power() -> PowerConfig {
    PowerConfig {
        deadline: Duration::from_secs(30),
        shutdown: ShutdownConfig {
            drain_deadline: DrainDeadline::Talos,
            budget: Duration::from_secs(100),
            // An administrator who asks again for what got lost does not mean now.
            escalate_after: Duration::from_secs(3600),
        },
        etcd: EtcdConfig {
            guard: QuorumGuard::Off,
            ..EtcdConfig::default()
        },
        ..PowerConfig::default()
    }
}

/// Services that have been asked nothing yet.
pub(crate) fn services() -> Services {
    let machine = Machine {
        kernel_release: "6.18.1-talos".into(),
        kernel_version: String::new(),
        machine: "x86_64".into(),
    };
    Services::new(machine, || NOON)
}

/// Waits until then; for ever, when there is no time.
pub(crate) async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
