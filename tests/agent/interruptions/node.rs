//! A control plane with settings, and what its host and its Talos see of an operation.

use std::time::{Duration, Instant};

use apid::{Call, Method, PowerBehaviour, Sequences};
use vmx::{PowerStatus, VmxBuilder};

use crate::support::{Run, SOON, Talos, pass};

pub(super) const HALT_DONE: PowerStatus = PowerStatus {
    state: 1,
    success: true,
};
pub(super) const HALT_FAILED: PowerStatus = PowerStatus {
    state: 1,
    success: false,
};
pub(super) const REBOOT_DONE: PowerStatus = PowerStatus {
    state: 2,
    success: true,
};
pub(super) const REBOOT_FAILED: PowerStatus = PowerStatus {
    state: 2,
    success: false,
};

/// How much later than configured something may be: the machine may be loaded.
const LATE: Duration = Duration::from_secs(4);

/// A node that drains for ever.
pub(super) fn draining() -> Talos {
    let talos = Talos::new();
    drains(&talos, None);
    talos
}

/// Lets a node drain for so long, or for ever.
pub(super) fn drains(talos: &Talos, drain: Option<Duration>) {
    talos.set_power(PowerBehaviour::Sequences(Sequences {
        drain,
        ..Sequences::default()
    }));
}

/// A name, and what is different on a node.
pub(super) type Case = (&'static str, fn(&Talos));

/// A node of three control planes, of which so many serve.
pub(super) fn of_three(live: usize) -> Talos {
    let talos = Talos::new();
    talos.set_etcd(3, 0);
    serving(&talos, live);
    talos
}

/// This node's member of etcd does not vote yet.
pub(super) fn learns(talos: &Talos) {
    talos.update_etcd(|status, _| {
        status.is_learner = true;
        status.leader = 2;
    });
}

/// So many control planes serve, this node among them.
pub(super) fn serving(talos: &Talos, live: usize) {
    let all = ["10.5.0.2", "10.5.0.3", "10.5.0.4", "10.5.0.5", "10.5.0.6"];
    talos.set_api_servers(&all[..live]);
}

/// The agent of this node with these settings of the group `power`, in YAML.
pub(super) fn agent(talos: &Talos, power: &str) -> VmxBuilder {
    let file = format!("power: {power}\n");
    let file = talos.folder.write("config.yaml", &file);
    talos.agent().args(["--config"]).args([file])
}

/// It runs, and knows its node.
pub(super) fn run(talos: &Talos, power: &str) -> Run {
    informed(agent(talos, power))
}

/// An agent that knows its node: a control plane whose machine runs.
pub(super) fn informed(agent: VmxBuilder) -> Run {
    let run = Run::start(agent);
    run.informed();
    run.until("its type", SOON, |host, _| {
        host.variable("vmtools.talos.machineType").map(drop)
    });
    run
}

/// Presses a button: `OK ` comes at once.
pub(super) fn press(run: &Run, command: &str) -> Instant {
    let pressed = Instant::now();
    assert_eq!(run.reply(command), "OK ", "{command}");
    pressed
}

/// Waits for so many statuses in all.
pub(super) fn statuses(run: &Run, count: usize) -> Vec<PowerStatus> {
    run.sees(&format!("{count} statuses"), SOON, |view| {
        view.power.len() >= count
    })
    .power
}

/// Waits until `guestinfo.vmtools.talos.power` begins so.
pub(super) fn shows(run: &Run, phase: &str) -> String {
    run.until(&format!("talos.power = {phase}"), SOON, |host, _| {
        let shown = host.variable("vmtools.talos.power")?;
        shown.starts_with(phase).then_some(shown)
    })
}

/// Waits for so many calls of a method in all.
pub(super) fn calls(talos: &Talos, method: Method, count: usize) -> Vec<Call> {
    let calls = talos.wait_calls(method, count, SOON);
    calls.unwrap_or_else(|| panic!("no {count} calls of {method:?}: {:#?}", talos.calls()))
}

/// What each of these calls asks for.
pub(super) fn requests(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.request.as_str()).collect()
}

/// What both calls of a Shutdown ask for whose drain was ended.
pub(super) const BOTH: [&str; 2] = ["force=false", "force=true"];

/// Waits for both.
pub(super) fn both(talos: &Talos) -> Vec<Call> {
    let calls = calls(talos, Method::Shutdown, 2);
    assert_eq!(requests(&calls), BOTH);
    calls
}

/// For a while no more statuses come, and no calls but these.
pub(super) fn that_was_all(run: &Run, talos: &Talos, method: Method, wanted: &[&str]) {
    let before = run.vcenter().power.len();
    pass(run, Duration::from_millis(1200));
    assert_eq!(run.vcenter().power.len(), before);
    assert_eq!(requests(&talos.calls_of(method)), wanted);
}

/// This happened when it was due, and not before.
pub(super) fn due(after: Duration, when: Instant, since: Instant) {
    let took = when.saturating_duration_since(since);
    assert!(
        (after..after + LATE).contains(&took),
        "{took:?}, not {after:?}"
    );
}
