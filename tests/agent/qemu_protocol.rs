//! What the host asks and is answered: framing, replies, and input that nobody should send.

use std::time::Duration;

use serde_json::{Value, json};
use vmx::Client;

use crate::qemu::{FAST, Guest, error_of, line, parsed, reply, sync};
use crate::support::{ADDRESS, NAME, SOON, Talos};

/// Sends it in one block, or byte by byte.
fn feed(client: &Client, bytes: &[u8], bytewise: bool) {
    if bytewise {
        for byte in bytes {
            client.send([*byte]);
        }
    } else {
        client.send(bytes);
    }
}

#[test]
fn a_request_may_come_in_any_shape_that_qemu_ga_takes() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let far = r#"{"execute": "guest-pi"#.as_bytes();
    let delimited =
        br#"{"execute":"guest-sync-delimited","arguments":{"id":-9223372036854775808}}"#;
    let torn = [far, &[0xff], delimited, b"\n"].concat();
    let vectors: [(&[u8], &[Value]); 7] = [
        (br#"{"execute":"guest-ping"}"#, &[json!({})]),
        (
            br#"{"execute":"guest-ping"}{"execute":"guest-sync","arguments":{"id":4}}"#,
            &[json!({}), json!(4)],
        ),
        (b"\n\n{\"execute\":\n\"guest-ping\"}\r\n", &[json!({})]),
        (&torn, &[json!(i64::MIN)]),
        (b"\xff\xff{\"execute\":\"guest-ping\"}\n", &[json!({})]),
        (
            b" \t{\"arguments\":{},\"execute\":\"guest-ping\"} \n\n",
            &[json!({})],
        ),
        (
            "{\"execute\":\"guest-ping\",\"id\":\"\u{e9}\\\"}{\"}".as_bytes(),
            &[json!({})],
        ),
    ];
    for bytewise in [false, true] {
        for (bytes, wanted) in vectors {
            let client = guest.port.connect();
            feed(&client, bytes, bytewise);
            for value in wanted {
                let reply = reply(&client);
                assert_eq!(reply["return"], *value, "{reply}");
            }
            client.send(sync(7));
            assert_eq!(reply(&client), json!({ "return": 7 }));
        }
    }
}

#[test]
fn proxmox_two_requests_in_one_write_get_two_lines_behind_0xff() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let pair = "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":70}}\n\
                {\"execute\":\"guest-ping\"}\n";
    for _ in 0..10 {
        let client = guest.port.connect_sending(pair);
        let first = line(&client);
        assert_eq!(first, b"\xff{\"return\": 70}".as_slice());
        assert_eq!(line(&client), b"{\"return\": {}}");
        assert!(client.take().is_empty());
    }
}

#[test]
fn an_id_of_any_type_comes_back_beside_the_reply_and_beside_an_error() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let ids = [
        json!("abc"),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(true),
        json!(null),
        json!([1, { "a": [] }]),
        json!({ "x": { "y": null } }),
    ];
    for id in ids {
        let asked = guest.ask(&json!({ "execute": "guest-ping", "id": id }).to_string());
        assert_eq!(asked, json!({ "return": {}, "id": id }));
        let refused = guest.ask(&json!({ "execute": "guest-nope", "id": id }).to_string());
        assert_eq!(refused["id"], id);
        let text = "The command guest-nope has not been found";
        let wanted = ("CommandNotFound".to_owned(), text.to_owned());
        assert_eq!(error_of(&refused), wanted);
    }
}

#[test]
fn requests_of_the_wrong_form_get_qemu_ga_s_words() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let cases = [
        ("[1,2]", "QMP input must be a JSON object"),
        (r#"{"foo":1}"#, "QMP input member 'foo' is unexpected"),
        ("{}", "QMP input lacks member 'execute'"),
        (
            r#"{"execute":"guest-ping","arguments":[]}"#,
            "QMP input member 'arguments' must be an object",
        ),
        (r#"{"execute":"guest-sync"}"#, "Parameter 'id' is missing"),
        (
            r#"{"execute":"guest-sync","arguments":{"id":1,"z":2}}"#,
            "Parameter 'z' is unexpected",
        ),
        (
            r#"{"execute":"guest-sync","arguments":{"id":"1"}}"#,
            "Invalid parameter type for 'id', expected: integer",
        ),
        (
            r#"{"execute":"guest-sync","arguments":{"id":18446744073709551615}}"#,
            "Invalid parameter type for 'id', expected: integer",
        ),
        (
            r#"{"execute":"guest-sync","arguments":{"id":1.5}}"#,
            "Invalid parameter type for 'id', expected: integer",
        ),
    ];
    for (request, text) in cases {
        let (class, said) = guest.error(request);
        assert_eq!((class.as_str(), said.as_str()), ("GenericError", text));
    }
    let (class, said) = guest.error("hello");
    assert_eq!(class, "GenericError");
    assert!(said.starts_with("JSON parse error"), "{said}");
}

#[test]
fn bad_input_gets_errors_only_and_the_next_request_is_answered() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let before = guest.log().len();
    let deep = |open: &str, count: usize| open.repeat(count).into_bytes();
    let long = |len: usize| format!("{{\"execute\":\"{}\"}}", "a".repeat(len)).into_bytes();
    let inputs: Vec<(&str, Vec<u8>)> = vec![
        ("garbage", (0..=254).cycle().take(20_000).collect()),
        ("zeros", vec![0; 5000]),
        ("an object of 1 MiB", long(1 << 20)),
        ("an object of 5 MiB", long(5 << 20)),
        ("10 000 brackets", deep("[", 10_000)),
        ("10 000 objects in one another", deep("{\"a\":", 10_000)),
        ("a string without end", deep("{\"", 1)),
        ("torn UTF-8", b"{\"execute\":\"guest-\xc3\"}".to_vec()),
        ("a lone surrogate", b"{\"execute\":\"\\ud800\"}".to_vec()),
        (
            "a number past 64 bits",
            br#"{"execute":"guest-sync","arguments":{"id":123456789012345678901234567890}}"#
                .to_vec(),
        ),
        (
            "a number past all bounds",
            br#"{"execute":"guest-sync","arguments":{"id":1e999}}"#.to_vec(),
        ),
        ("a name that is no string", br#"{"execute":17}"#.to_vec()),
        (
            "a member twice",
            br#"{"execute":"guest-nope","execute":"guest-nope"}"#.to_vec(),
        ),
    ];
    for (what, bytes) in inputs {
        let client = guest.port.connect_sending(&bytes);
        // What ends an object that was never closed: a line's end, and what a host sends to begin again.
        client.send([&b"\n\xff"[..], sync(12).as_bytes()].concat());
        let mut errors = 0;
        loop {
            let reply = reply(&client);
            if reply["return"] == 12 {
                break;
            }
            let (_class, text) = error_of(&reply);
            assert!(
                text.len() < 1000,
                "{what}: an error of {} bytes",
                text.len()
            );
            errors += 1;
        }
        assert!(errors <= 1000, "{what}: {errors} errors");
        client.leave();
        guest.serves();
    }
    let said = guest.log().split_off(before);
    assert!(said.len() <= 3, "{said:#?}");
}

/// What would write, execute or set.
const REFUSED: [&str; 18] = [
    "guest-exec",
    "guest-exec-status",
    "guest-file-open",
    "guest-file-close",
    "guest-file-read",
    "guest-file-write",
    "guest-file-seek",
    "guest-file-flush",
    "guest-set-user-password",
    "guest-ssh-add-authorized-keys",
    "guest-ssh-get-authorized-keys",
    "guest-ssh-remove-authorized-keys",
    "guest-set-time",
    "guest-set-vcpus",
    "guest-set-memory-blocks",
    "guest-suspend-ram",
    "guest-suspend-disk",
    "guest-suspend-hybrid",
];

#[test]
fn guest_info_lists_what_is_served_and_what_is_refused_and_both_keep_to_it() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let info = guest.value("guest-info");
    assert!(
        info["version"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    let listed = info["supported_commands"].as_array().unwrap();
    let find = |name: &str| {
        let found = listed.iter().find(|command| command["name"] == name);
        found.unwrap_or_else(|| panic!("{name} is not listed"))
    };
    for name in ::qemu::DEMANDED {
        assert_eq!(find(name)["enabled"], true, "{name}");
    }
    for command in listed {
        let name = command["name"].as_str().unwrap();
        let silent = name == "guest-shutdown" || name.starts_with("guest-suspend-");
        assert_eq!(command["success-response"], !silent, "{name}");
    }
    for name in REFUSED {
        assert_eq!(find(name)["enabled"], false, "{name}");
        let (class, text) = guest.error(&json!({ "execute": name }).to_string());
        assert_eq!(class, "CommandNotFound", "{name}: {text}");
    }
    let quiet = ["guest-shutdown", "guest-sync", "guest-sync-delimited"];
    for command in listed.iter().filter(|command| command["enabled"] == true) {
        let name = command["name"].as_str().unwrap();
        if quiet.contains(&name) {
            continue;
        }
        let reply = guest.ask(&json!({ "execute": name }).to_string());
        assert_ne!(
            reply["error"]["class"], "CommandNotFound",
            "{name}: {reply}"
        );
    }
}

#[test]
fn a_node_is_shown_as_talos_describes_it() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    assert_eq!(guest.value("guest-ping"), json!({}));
    assert_eq!(
        guest.value("guest-get-host-name"),
        json!({ "host-name": NAME })
    );
    assert_eq!(guest.value("guest-get-users"), json!([]));
    assert_eq!(
        guest.value("guest-get-timezone"),
        json!({ "zone": "UTC", "offset": 0 })
    );
    assert!(guest.value("guest-get-time").as_i64().unwrap() > 1_700_000_000_000_000_000);
    let system = guest.value("guest-get-osinfo");
    assert_eq!(system["id"], "talos");
    assert_eq!(system["name"], "Talos");
    assert!(system["kernel-release"].is_string(), "{system}");
    assert_eq!(guest.value("guest-fsfreeze-status"), "thawed");
    for command in ["freeze", "freeze-list", "thaw"] {
        assert_eq!(guest.value(&format!("guest-fsfreeze-{command}")), 0);
    }
    assert_eq!(guest.value("guest-fsfreeze-status"), "thawed");
}

#[test]
fn interfaces_are_the_node_s_own_with_its_address_first() {
    let talos = Talos::with(apid::scene::control_plane);
    let guest = Guest::start(&talos);
    let interfaces = guest.value("guest-network-get-interfaces");
    let interfaces = interfaces.as_array().unwrap();
    let names: Vec<_> = interfaces.iter().map(|each| &each["name"]).collect();
    assert!(names.contains(&&json!("lo")), "{names:?}");
    for pods in ["cni0", "veth0a1b2c3d", "kube-ipvs0"] {
        assert!(!names.contains(&&json!(pods)), "{names:?}");
    }
    let eth0 = interfaces
        .iter()
        .find(|each| each["name"] == "eth0")
        .unwrap();
    assert_eq!(eth0["hardware-address"], "00:50:56:ab:00:21");
    let first = &eth0["ip-addresses"][0];
    let wanted = json!({ "ip-address": "10.5.0.11", "ip-address-type": "ipv4", "prefix": 24 });
    assert_eq!(*first, wanted);
}

#[test]
fn a_change_on_the_node_is_in_the_next_reply() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let shows = |command: &str, words: &str| {
        let end = std::time::Instant::now() + SOON;
        while !guest.value(command).to_string().contains(words) {
            assert!(std::time::Instant::now() < end, "{words} does not come");
            guest.pass(Duration::from_millis(20));
        }
    };
    shows("guest-network-get-interfaces", ADDRESS);
    talos.set_hostname("renamed", "");
    shows("guest-get-host-name", "renamed");
    talos.set_address("eth0", "10.5.0.77/24");
    shows("guest-network-get-interfaces", "10.5.0.77");
}

#[test]
fn a_thousand_requests_in_one_write_are_answered_in_order() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let client = guest.port.connect();
    let all: String = (0..1000).map(sync).collect();
    client.send(&all);
    for id in 0..1000 {
        assert_eq!(reply(&client), json!({ "return": id }));
    }
}

#[test]
fn a_ping_is_answered_at_once() {
    let talos = Talos::new();
    let guest = Guest::start(&talos);
    let client = guest.port.connect();
    client.send("{\"execute\":\"guest-ping\"}");
    let answer = client.line(FAST).unwrap();
    assert_eq!(parsed(&answer), json!({ "return": {} }));
}
