//! KubeVirt's own code (tests/kubevirt) learns of the guest through this libvirt, as it does in a virt-launcher.

use std::path::PathBuf;

use qemu::{DEMANDED, Libvirt};
use serde_json::{Value, json};

fn program() -> PathBuf {
    let program = std::env::var_os("KUBEVIRT").map(PathBuf::from);
    program.expect("KUBEVIRT does not name the program; run `make qemu`")
}

/// Freezes the guest as KubeVirt does for a snapshot.
pub(super) fn freezes(libvirt: &Libvirt) {
    libvirt.shows_to(&program(), &["freeze"]);
}

/// And thaws it.
pub(super) fn thaws(libvirt: &Libvirt) {
    libvirt.shows_to(&program(), &["unfreeze"]);
}

/// What KubeVirt has learned, in the words of its own types.
fn learned(libvirt: &Libvirt) -> Value {
    let text = libvirt.shows_to(&program(), &[]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The one of this list whose `key` is `name`.
fn find<'a>(list: &'a Value, key: &str, name: &str) -> &'a Value {
    let mut entries = list.as_array().into_iter().flatten();
    let found = entries.find(|entry| entry[key] == name);
    found.unwrap_or_else(|| panic!("no {name} in {list}"))
}

/// What it has to learn from either agent.
pub(super) fn learns_of_the_guest(libvirt: &Libvirt) -> Value {
    let learned = learned(libvirt);
    let commands = &learned["Agent"]["supported_commands"];
    for name in DEMANDED {
        assert_eq!(find(commands, "name", name)["enabled"], true, "{name}");
    }
    let system = &learned["System"];
    assert_eq!(system["Hostname"], "talos-cp-1");
    assert_eq!(system["OSInfo"]["Machine"], "x86_64");
    assert_eq!(system["Timezone"], json!({"Zone": "UTC", "Offset": 0}));
    let eth0 = find(&learned["Interfaces"], "InterfaceName", "eth0");
    assert_eq!(eth0["Mac"], "00:50:56:ab:cd:ef");
    assert_eq!(eth0["Ip"], "10.5.0.2");
    assert_eq!(eth0["IPs"][0], "10.5.0.2");
    let var = find(&learned["Filesystems"], "Mountpoint", "/var");
    assert_eq!(var["Name"], "vda");
    assert!(
        var["TotalBytes"].as_u64() > var["UsedBytes"].as_u64(),
        "{var}"
    );
    assert_eq!(var["Disk"][0]["BusType"], "virtio");
    assert_eq!(learned["Freeze"]["Status"], "thawed");
    assert_eq!(learned["Users"], Value::Null);
    learned
}

/// And from ours.
pub(super) fn learns_of_talos(libvirt: &Libvirt) {
    let learned = learns_of_the_guest(libvirt);
    let (text, _) = libvirt.asks("qemu-agent-command", &[r#"{"execute":"guest-info"}"#]);
    let said: Value = serde_json::from_str(&text).unwrap();
    assert!(said["return"]["version"].is_string(), "{text}");
    assert_eq!(learned["Agent"]["version"], said["return"]["version"]);
    let system = &learned["System"]["OSInfo"];
    assert_eq!(system["Id"], "talos");
    assert_eq!(system["Name"], "Talos");
    assert_eq!(system["VersionId"], "v1.13.0");
    assert_eq!(system["PrettyName"], "Talos (v1.13.0)");
    let var = find(&learned["Filesystems"], "Mountpoint", "/var");
    assert_eq!(var["Disk"][0]["Serial"], "serial-of-vda");
}
