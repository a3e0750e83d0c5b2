//! What software runs, as the host's inventory lists it.

use std::time::Duration;

use apid::Method;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Run, SOON, Talos};

/// The first lists come 20 to 60 s after a session has begun.
const FIRST: Duration = Duration::from_secs(80);
/// The variables.
const APPLICATIONS: &str = "appInfo";
const IMAGES: &str = "vmtools.containerinfo";

#[test]
fn the_software_is_listed_until_it_is_switched_off_by_the_operator_or_the_host() {
    let talos = Talos::new();
    talos.put(
        "SBOMItems.talos.dev",
        "runtime",
        "containerd",
        b"\x0a\x0acontainerd\x12\x06v2.1.4".to_vec(),
    );
    let config = "inventory: {apps: true, containers: true}\n";
    let file = talos.folder.write("config.yaml", config);
    let run = Run::start(talos.agent().args(["--config"]).args([file]));
    run.informed();

    let list = listed(&run, APPLICATIONS);
    assert_eq!(
        (&list["version"], &list["updateCounter"]),
        (&json!("1"), &json!("1"))
    );
    assert!(
        list["publishTime"].as_str().unwrap().ends_with('Z'),
        "{list}"
    );
    let versions = list["applications"].as_array().unwrap();
    for expected in [
        json!({"a": "Talos", "v": "1.13.0"}),
        json!({"a": "containerd", "v": "2.1.4"}),
        json!({"a": "apid", "v": "1.13.0"}),
        json!({"a": "etcd", "v": "3.6.4"}),
    ] {
        let count = versions.iter().filter(|row| **row == expected).count();
        assert_eq!(count, 1, "{expected} in {list}");
    }

    let list = listed(&run, IMAGES);
    assert_eq!(
        (&list["version"], &list["updateCounter"]),
        (&json!("1"), &json!(1))
    );
    assert_eq!(
        list["containerinfo"],
        json!({
            "system": [{"i": "ghcr.io/siderolabs/apid"}, {"i": "gcr.io/etcd-development/etcd:v3.6.4"}],
            "k8s.io": [{"i": "registry.k8s.io/pause:3.10"}, {"i": "coredns:v1.12"}],
        })
    );

    talos
        .folder
        .write("config.yaml", "inventory: {apps: true}\n");
    run.signal(Signal::SIGHUP);
    blank(&run, IMAGES);
    assert!(variable(&run, APPLICATIONS).contains("kubelet"));
    assert_eq!(run.reply("Set_Option enableAppInfo 0"), "OK ");
    blank(&run, APPLICATIONS);
    run.stop();
}

#[test]
fn nobody_is_asked_for_software_while_it_is_off() {
    let talos = Talos::new();
    let run = talos.run();
    assert_eq!(run.reply("Set_Option enableAppInfo 0"), "OK ");
    assert_eq!(run.reply("Set_Option enableAppInfo 1"), "OK ");
    run.stop();
    for method in [Method::ServiceList, Method::Containers] {
        assert!(talos.calls_of(method).is_empty(), "{method:?}");
    }
    for key in [APPLICATIONS, IMAGES] {
        assert!(run.sent(&format!("info-set guestinfo.{key} ")).is_empty());
    }
}

/// The first list that the host has there.
fn listed(run: &Run, key: &str) -> Value {
    let text = run.until(key, FIRST, |host, _| host.variable(key));
    serde_json::from_str(&text).unwrap()
}

/// Waits until the host has nothing there; a host takes no value that is empty.
fn blank(run: &Run, key: &str) {
    run.until("a blank", SOON, |host, _| {
        (host.variable(key)?.trim().is_empty()).then_some(())
    });
}

fn variable(run: &Run, key: &str) -> String {
    run.host(|host, _| host.variable(key)).unwrap_or_default()
}
