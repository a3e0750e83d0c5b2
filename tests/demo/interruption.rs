//! A shutdown whose drain would never end: what an administrator sees who presses the button.

use std::path::Path;
use std::time::Instant;

use apid::{Apid, Method, PowerBehaviour, Sequences};
use vmx::VsockPolicy;

use super::{DEADLINE, Folder, Node, Outcome, Show};

/// The chapter.
pub(super) fn bounded_drain(show: &Show, binary: &Path, folder: &Folder) -> Outcome {
    show.chapter("A shutdown within the host's patience: a PodDisruptionBudget that cannot be met");
    let node = Node::start(
        show,
        binary,
        folder,
        VsockPolicy::served(),
        "power: {shutdown: {drain_deadline: 2s}}\n",
        Apid::set_esxi_storage,
    )?;
    let drains_for_ever = Sequences::default();
    node.talos
        .set_power(PowerBehaviour::Sequences(drains_for_ever));
    let started = node.vmx.host(|host, _| host.started());
    node.shows_power("idle", started)?;
    node.power("Shut Down Guest", "OS_Halt", Method::Shutdown, 1)?;
    let pressed = Instant::now();
    node.shows_power("draining", pressed)?;
    show.step("Talos: the drain goes on and on; the agent allows it 2 s (60 s by default)");
    let calls = node.talos.wait_calls(Method::Shutdown, 2, DEADLINE);
    let calls = calls.ok_or("the drain was not ended")?;
    let [first, second] = &calls[..] else {
        return Err(format!("{} calls of Shutdown", calls.len()).into());
    };
    for (call, wanted) in [(first, "force=false"), (second, "force=true")] {
        if call.request != wanted {
            return Err(format!("{} in place of {wanted}", call.request).into());
        }
    }
    show.seen(
        "Talos: Shutdown called again, force=true: it goes on without the drain",
        Some(second.when.saturating_duration_since(first.when)),
    );
    node.shows_power("stopping", second.when)?;
    let statuses = node.vmx.vcenter().power.len();
    if statuses != 1 {
        return Err(format!("{statuses} statuses for one press").into());
    }
    show.seen("vCenter: one operation, one status", None);
    node.stop()
}

impl Node<'_> {
    fn shows_power(&self, phase: &str, since: Instant) -> Outcome {
        let variable = "vmtools.talos.power";
        self.sees(&format!("guestinfo.{variable} = {phase}"), since, |view| {
            view.variables
                .get(variable)
                .is_some_and(|shown| shown == phase)
        })
    }
}
