//! The agent beside Debian's qemu-ga, in one QEMU guest and one run: each has a port of its own.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use ::qemu::{Agent, Client, Guest, Parts, SOON, Shell};
use serde_json::Value;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The port of qemu-ga.
const THEIR_PORT: &str = "org.qemu.guest_agent.theirs";
/// How long an idle agent is watched.
const IDLE: Duration = Duration::from_secs(30);
/// Pings in the latency measurement.
const PINGS: usize = 200;

/// What KubeVirt asks in five minutes, after the start: the command, how often.
const KUBEVIRT: [(&str, u32); 9] = [
    ("guest-fsfreeze-status", 60),
    ("guest-get-users", 30),
    ("guest-network-get-interfaces", 3),
    ("guest-get-osinfo", 3),
    ("guest-get-host-name", 3),
    ("guest-get-timezone", 3),
    ("guest-get-load", 3),
    ("guest-info", 1),
    ("guest-get-fsinfo", 1),
];
/// So many times five minutes are asked for at once.
const ROUNDS: u32 = 12;

/// One column of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// VmRSS when idle, KiB.
    pub(crate) rss_kib: u64,
    /// Of it: anonymous memory, KiB.
    pub(crate) rss_anon_kib: u64,
    /// Times per second that it runs without a client at the port.
    pub(crate) wakeups_alone: f64,
    /// The same with a client that asks nothing.
    pub(crate) wakeups_with_client: f64,
    /// Processor time for an hour of KubeVirt's questions, milliseconds.
    pub(crate) kubevirt_cpu_ms: f64,
    /// Median time of a ping from the host and back.
    pub(crate) ping: Duration,
    /// Talos API calls during the idle time.
    pub(crate) api_calls: Option<usize>,
}

/// Measures both, ours first.
pub(crate) fn measure(binary: &Path, relay: &Path) -> Outcome<Vec<(&'static str, Measured)>> {
    let guest = Guest::start(Parts::new(binary, relay)?, Agent::Vmtoolsd)?;
    guest.opens_since(0);
    let theirs = guest.parts.path("theirs.sock");
    let since = guest.monitor.count();
    guest.add_port(2, "theirs", THEIR_PORT, &theirs);
    let shell = guest.parts.shell()?;
    shell.run(&format!(
        "qemu-ga --statedir /run --path $(port {THEIR_PORT}) </dev/null >/dev/null 2>&1 & echo $! >/run/theirs.pid"
    ));
    let opened = guest.monitor.event(since, "VSERPORT_CHANGE", SOON, |data| {
        data["id"] == "theirs" && data["open"] == true
    });
    opened.ok_or("qemu-ga does not open its port")?;
    let ours = guest.parts.path("agent.sock");
    let talos = Some(&guest.parts.talos);
    Ok(vec![
        (
            "ours",
            measured(&shell, &pid(&shell, "agent"), &ours, talos)?,
        ),
        (
            "qemu-ga",
            measured(&shell, &pid(&shell, "theirs"), &theirs, None)?,
        ),
    ])
}

fn pid(shell: &Shell, name: &str) -> String {
    shell.run(&format!("cat /run/{name}.pid")).trim().to_owned()
}

fn measured(
    shell: &Shell,
    pid: &str,
    socket: &Path,
    talos: Option<&apid::Apid>,
) -> Outcome<Measured> {
    let status = |field: &str| {
        number(&shell.run(&format!(
            "awk '/^{field}:/ {{ print $2 }}' /proc/{pid}/status"
        )))
    };
    let mut client = Client::connect(socket)?;
    client.returns("guest-ping");
    drop(client);
    let calls = talos.map(apid::Apid::call_count);
    let wakeups_alone = wakeups(shell, pid)?;
    let mut client = Client::connect(socket)?;
    client.returns("guest-ping");
    let wakeups_with_client = wakeups(shell, pid)?;
    let api_calls = talos
        .zip(calls)
        .map(|(talos, before)| talos.call_count() - before);
    let (rss_kib, rss_anon_kib) = (status("VmRSS")?, status("RssAnon")?);

    let mut pings = Vec::new();
    for _ in 0..PINGS {
        let asked = Instant::now();
        client.returns("guest-ping");
        pings.push(asked.elapsed());
    }
    pings.sort_unstable();

    let before = processor(shell, pid)?;
    for _ in 0..ROUNDS {
        for (command, times) in KUBEVIRT {
            for _ in 0..times {
                client.ask(command, Value::Null);
            }
        }
    }
    let kubevirt_cpu_ms = processor(shell, pid)? - before;
    Ok(Measured {
        rss_kib,
        rss_anon_kib,
        wakeups_alone,
        wakeups_with_client,
        kubevirt_cpu_ms,
        ping: pings.get(pings.len() / 2).copied().unwrap_or_default(),
        api_calls,
    })
}

/// How often its threads go to sleep, per second: each time they had been woken.
fn wakeups(shell: &Shell, pid: &str) -> Outcome<f64> {
    let count = || {
        number(&shell.run(&format!(
        "awk '/^voluntary_ctxt_switches/ {{ sum += $2 }} END {{ print sum }}' /proc/{pid}/task/*/status"
    )))
    };
    let before = count()?;
    shell.run(&format!("sleep {}", IDLE.as_secs()));
    Ok((count()? - before) as f64 / IDLE.as_secs_f64())
}

/// Processor time so far, in milliseconds.
fn processor(shell: &Shell, pid: &str) -> Outcome<f64> {
    let text = shell.run(&format!(
        "awk '{{ sum += $1 }} END {{ printf \"%.0f\", sum / 1000 }}' /proc/{pid}/task/*/schedstat"
    ));
    Ok(number(&text)? as f64 / 1e3)
}

fn number(text: &str) -> Outcome<u64> {
    text.trim()
        .parse()
        .map_err(|_| format!("no number: {text:?}").into())
}
