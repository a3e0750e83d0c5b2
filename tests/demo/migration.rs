//! A migration of the leader of etcd: leadership is handed over before the machine stands still.

use std::path::Path;
use std::time::{Duration, Instant};

use apid::{Apid, Method};
use vmx::{Stream, VsockPolicy};

use super::{DEADLINE, Folder, Node, Outcome, Show};

/// How long the migration takes.
const LENGTH: Duration = Duration::from_millis(700);

/// The chapter.
pub(super) fn migration(show: &Show, binary: &Path, folder: &Folder) -> Outcome {
    show.chapter(
        "vMotion moves the leader of etcd: vmware.vmotion.notify, power.etcd.forfeit [vmotion]",
    );
    let settings =
        "vmware: {vmotion: {notify: true, period: 1s}}\npower: {etcd: {forfeit: [vmotion]}}\n";
    let node = Node::start(
        show,
        binary,
        folder,
        VsockPolicy::served(),
        settings,
        leader_of_three,
    )?;
    let started = node.vmx.host(|host, _| host.started());
    node.shows("idle", started)?;

    show.step("vCenter: migrate the virtual machine; its host waits for 120 s at most");
    let begun = Instant::now();
    let id = node
        .vmx
        .host(|host, now| host.vm_operations_mut().start(now));
    let operation = node
        .vmx
        .wait_for("the acknowledgement", DEADLINE, |host, _| {
            let operation = host.vm_operations().operation(id)?;
            operation.acked.map(|_| operation.clone())
        })?;
    let calls = node.talos.calls_of(Method::EtcdForfeitLeadership);
    let call = calls.first().ok_or("leadership was not handed over")?;
    let role = call.roles.join(", ");
    show.seen(
        &format!("Talos: EtcdForfeitLeadership called with role {role}"),
        None,
    );
    show.seen("host: ack-event, the migration goes on", operation.acked);
    node.shows("migrating", begun)?;

    show.step("host: the machine runs on another host");
    // An end of the program is seen at the next step.
    let _over = node
        .vmx
        .wait_for("the migration", LENGTH, |_, _| None::<()>);
    let over = Instant::now();
    node.vmx
        .host(|host, _| host.vm_operations_mut().end(id, "success"));
    node.shows("last took ", over)?;
    for line in node.vmx.output(Stream::Stderr) {
        if line.contains("leadership of etcd") || line.contains("migration is over") {
            show.seen(&format!("log: {line}"), None);
        }
    }
    node.stop()?;
    if node
        .vmx
        .host(|host, _| host.vm_operations().app().is_some())
    {
        return Err("the registration outlives the agent".into());
    }
    Ok(())
}

fn leader_of_three(talos: &Apid) {
    talos.set_etcd(3, 0);
    talos.set_api_servers(&["10.5.0.2", "10.5.0.3", "10.5.0.4"]);
}

impl Node<'_> {
    /// Waits for a value of the guest variable that begins so.
    fn shows(&self, value: &str, since: Instant) -> Outcome {
        let what = format!("guestinfo.vmtools.talos.vmotion = {}", value.trim_end());
        self.sees(&what, since, |v| {
            let shown = v.variables.get("vmtools.talos.vmotion");
            shown.is_some_and(|shown| shown.starts_with(value))
        })
    }
}
