//! Freezing for a host on QEMU, where nothing is frozen: switched off, `sync`, or refused. With real file systems it is in
//! `tests/qemu`.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::qemu::{Guest, agent_at, error_of, port_of};
use crate::support::{SOON, Talos};

const FREEZE: &str = r#"{"execute": "guest-fsfreeze-freeze"}"#;
const FREEZE_LIST: &str =
    r#"{"execute": "guest-fsfreeze-freeze-list", "arguments": {"mountpoints": ["/var"]}}"#;

/// A node whose volume is on a device that this machine does not have.
fn talos() -> Talos {
    let talos = Talos::new();
    talos.set_volume("EPHEMERAL", "/dev/nowhere", "/dev/nowhere1", "/var");
    talos
}

fn guest(talos: &Talos, options: &[&str]) -> Guest {
    let port = port_of(talos);
    let guest = Guest::of(agent_at(talos, &port).args(options), &port);
    guest.opens();
    guest
}

/// A backup goes through, and nothing is frozen.
fn freezes_nothing(guest: &Guest) {
    for request in [FREEZE, FREEZE_LIST] {
        assert_eq!(guest.value("guest-fsfreeze-status"), "thawed");
        assert_eq!(guest.ask(request), json!({"return": 0}));
        assert_eq!(guest.value("guest-fsfreeze-status"), "thawed");
        // Nothing is disabled.
        assert!(guest.value("guest-get-host-name").is_object());
        assert_eq!(guest.value("guest-fsfreeze-thaw"), 0);
    }
}

#[test]
fn by_default_a_freeze_succeeds_and_freezes_nothing() {
    freezes_nothing(&guest(&talos(), &[]));
}

#[test]
fn with_the_mode_sync_a_freeze_succeeds_and_freezes_nothing() {
    let talos = talos();
    let guest = guest(&talos, &["--quiesce=sync"]);
    let since = Instant::now();
    // Until its freezer is there, and Talos has listed the volumes.
    while guest.ask(FREEZE).get("error").is_some() {
        assert!(since.elapsed() < SOON, "a freeze is refused");
        guest.pass(Duration::from_millis(20));
    }
    freezes_nothing(&guest);
}

#[test]
fn in_a_pod_a_freeze_is_refused_with_the_reason_and_the_rest_is_served() {
    let talos = talos();
    let port = port_of(&talos);
    let agent = agent_at(&talos, &port)
        .args(["--quiesce=freeze"])
        .env("KUBERNETES_SERVICE_HOST", "10.96.0.1");
    let guest = Guest::of(agent, &port);
    guest.opens();
    for request in [FREEZE, FREEZE_LIST] {
        let (class, text) = error_of(&guest.ask(request));
        assert_eq!(class, "GenericError", "{text}");
        assert!(text.contains("pod"), "{text}");
        assert_eq!(guest.value("guest-fsfreeze-status"), "thawed");
        assert_eq!(guest.value("guest-fsfreeze-thaw"), 0);
    }
}

#[test]
fn a_freeze_of_what_the_machine_does_not_have_is_refused_or_fails_and_nothing_stays_disabled() {
    let talos = talos();
    let guest = guest(&talos, &["--quiesce=freeze"]);
    let reply = guest.ask(FREEZE);
    if reply.get("return").is_some() {
        assert_eq!(reply, json!({"return": 0}));
    } else {
        assert_eq!(error_of(&reply).0, "GenericError", "{reply}");
    }
    assert_eq!(guest.value("guest-fsfreeze-status"), "thawed");
    assert!(guest.value("guest-get-host-name").is_object());
    assert_eq!(guest.value("guest-fsfreeze-thaw"), 0);
}
