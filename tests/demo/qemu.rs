//! The third part: a real QEMU guest, and what Proxmox VE, KubeVirt and libvirt show of it.

use std::path::Path;
use std::time::{Duration, Instant};

use ::qemu::{Agent, BOOT, Client, Guest, Parts, SOON};
use apid::Method;
use serde_json::Value;

use crate::Outcome;
use crate::picture::Row;
use crate::show::Show;

/// Boots a node and presses Shutdown. Returns what the host showed, or nothing without a QEMU.
pub(crate) fn guest(show: &Show, binary: &Path) -> Outcome<Option<Vec<Row<'static>>>> {
    show.chapter(
        "The same node on QEMU: a real guest, the agent in the container that Talos makes",
    );
    let relay = std::env::var_os("GUEST_RELAY");
    let Some(relay) = relay.filter(|_| ::qemu::installed()) else {
        show.step("SKIPPED: QEMU or a kernel for the guest is not here");
        return Ok(None);
    };
    show.step("QEMU boots Debian's kernel (no KVM: slowly); the agent finds the port by itself");
    let started = Instant::now();
    let guest = Guest::start(Parts::new(binary, Path::new(&relay))?, Agent::Vmtoolsd)?;
    if !guest.prints("QEMU guest agent", BOOT) {
        return Err(guest.parts.console().into());
    }
    guest.opens_since(0);
    show.seen(
        "QEMU: agent connected, its port is open",
        Some(started.elapsed()),
    );

    let mut client = guest.client();
    let started = Instant::now();
    asked(&mut client, "guest-ping")?;
    show.seen("host: guest-ping answered", Some(started.elapsed()));

    show.step("Talos: eth0 gets a further address, 10.5.0.77/24");
    let started = Instant::now();
    guest.parts.talos.set_address("eth0", "10.5.0.77/24");
    while !asked(&mut client, "guest-network-get-interfaces")?
        .to_string()
        .contains("10.5.0.77")
    {
        if started.elapsed() > SOON {
            return Err("the address did not come".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    show.seen("host: the new address", Some(started.elapsed()));
    let panel = panel(&mut client)?;
    let lines = panel.iter();
    let lines: Vec<_> = lines
        .map(|(label, value)| format!("{label:14} {value}"))
        .collect();
    show.panel(
        "What the guest agent shows in Proxmox VE",
        &lines.join("\n"),
    );

    show.step("Proxmox VE, KubeVirt, libvirt: Shutdown");
    let started = Instant::now();
    asked(&mut client, "guest-shutdown")?;
    show.seen(
        "host: answered, so no ACPI button after 60 s",
        Some(started.elapsed()),
    );
    let calls = guest.parts.talos.wait_calls(Method::Shutdown, 1, SOON);
    let calls = calls.ok_or("Shutdown did not reach Talos")?;
    let role = calls
        .first()
        .map(|call| call.roles.join(","))
        .unwrap_or_default();
    show.seen(&format!("Talos: Shutdown called with role {role}"), None);
    Ok(Some(panel))
}

/// The summary of a virtual machine, in Proxmox' words where it has some.
fn panel(client: &mut Client) -> Outcome<Vec<Row<'static>>> {
    let mut rows = vec![("Guest agent", "running".to_owned())];
    let host = asked(client, "guest-get-host-name")?;
    rows.push(("Host name", text(&host, "host-name").to_owned()));
    let system = asked(client, "guest-get-osinfo")?;
    let system = format!(
        "{}, kernel {}",
        text(&system, "pretty-name"),
        text(&system, "kernel-release")
    );
    rows.push(("Guest OS", system));
    let interfaces = asked(client, "guest-network-get-interfaces")?;
    for interface in list(Some(&interfaces)) {
        let addresses: Vec<&str> = list(interface.get("ip-addresses"))
            .iter()
            .map(|address| text(address, "ip-address"))
            .collect();
        let words = format!("{:6} {}", text(interface, "name"), addresses.join(", "));
        rows.push(("IPs", words));
    }
    let systems = asked(client, "guest-get-fsinfo")?;
    for system in list(Some(&systems)) {
        let mib = |size| system.get(size).and_then(Value::as_u64).unwrap_or_default() >> 20;
        let (used, total) = (mib("used-bytes"), mib("total-bytes"));
        let words = format!(
            "{}, {used} of {total} MiB used, on {}",
            text(system, "mountpoint"),
            text(system, "name")
        );
        rows.push(("File system", words));
    }
    Ok(rows)
}

fn asked(client: &mut Client, command: &str) -> Outcome<Value> {
    let reply = client.ask(command, Value::Null);
    let returned = reply.get("return").cloned();
    returned.ok_or_else(|| format!("{command}: {reply}").into())
}

fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object.get(member).and_then(Value::as_str).unwrap_or("-")
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
