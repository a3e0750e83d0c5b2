//! Every request gets its one reply, whatever it looks like.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::host::{Host, ms, node};
use crate::vmware::services::capabilities::PATIENCE;

fn connected() -> Host {
    let mut host = Host::new();
    host.connect();
    host.take();
    host
}

#[test]
fn requests_are_answered_with_open_vm_tools_words() {
    let mut host = connected();
    for (request, reply) in [
        (&b"ping"[..], "OK "),
        (b"ping\0", "OK "),
        (b"ping extra", "OK "),
        (b"", "ERROR Bad command"),
        (b"\0", "ERROR Bad command"),
        (b"   ", "ERROR Bad command"),
        (b"NoSuchThing", "ERROR Unknown Command"),
        (b"Ping", "ERROR Unknown Command"),
        (b"resetx", "ERROR Unknown Command"),
        (b"f \x01\x02", "ERROR Unknown Command"),
        (b"\xff\xfe", "ERROR Unknown Command"),
        (b"Set_Option synctime 0", "OK "),
        (b"Set_Option nonsense 1\0", "OK "),
        (b"Set_Option toolScripts.afterPowerOn 0", "OK "),
        (b"Set_Option broadcastIP 0", "OK "),
        (b"Set_Option broadcastIP 7", "OK "),
        (b"Set_Option", "ERROR Unknown or invalid option"),
        (b"Set_Option foo", "ERROR Unknown or invalid option"),
        (b"Set_Option foo ", "ERROR Unknown or invalid option"),
        (b"Set_Option foo\0 1", "ERROR Unknown or invalid option"),
        (b"Time_Synchronize 0", "OK "),
        (b"Time_Synchronize 1\0", "OK "),
        (
            b"Time_Synchronize x",
            "ERROR Unable to tokenize TimeSync RPC data",
        ),
        (
            b"Time_Synchronize",
            "ERROR Unable to tokenize TimeSync RPC data",
        ),
        (b"Vix_1_Relayed_Command", r"OK 10000 0 \x00"),
        (b"Vix_1_Relayed_Command \"x\"", r"OK 10000 0 \x00"),
        (b"Vix_1_Relayed_Command \"x\"\0", r"OK 10000 0 \x00"),
    ] {
        assert_eq!(host.ask(request), [format!("< {reply}")], "{request:?}");
    }
}

#[test]
fn a_request_of_64_kib_is_answered() {
    let mut host = connected();
    for byte in [b' ', b'x', 0, 0xff] {
        for name in [
            "ping",
            "Set_Option",
            "Vix_1_Relayed_Command",
            "Set_Option a",
            "nonsense",
        ] {
            let mut request = name.as_bytes().to_vec();
            request.push(b' ');
            request.resize(65536, byte);
            assert_eq!(host.ask(&request).len(), 1, "{name} {byte}");
        }
        assert_eq!(host.ask(&vec![byte; 65536]).len(), 1);
    }
}

#[test]
fn connecting_tells_who_we_are() {
    let mut host = Host::new();
    host.open();
    let version = env!("CARGO_PKG_VERSION");
    let heard = host.take();
    assert_eq!(
        heard[..3],
        [
            format!(r"> info-set guestinfo.vmtools.description talos-vmtoolsd {version}\x00"),
            format!(r"> info-set guestinfo.vmtools.versionString {version}\x00"),
            String::from(r"> info-set guestinfo.vmtools.versionNumber 2048\x00"),
        ]
    );
    assert_eq!(heard[3], r"> info-set guestinfo.vmtools.buildNumber 0\x00");
    assert_eq!(heard.len(), 4, "the rest follows the reset: {heard:?}");
}

#[test]
fn reset_is_answered_first_and_then_everything_is_told_again() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    let first = host.ask(b"reset");
    assert_eq!(
        first,
        [
            r"< OK ATR toolbox",
            r"> vmx.capability.unified_loop toolbox\x00",
            r"> SetGuestInfo  7 1100\x00",
            r"> SetGuestInfo  11 architecture=\'X86\' bitness=\'64\' distroName=\'Talos\' distroVersion=\'v1.13.0\' familyName=\'Linux\' kernelVersion=\'6.18.1-talos\' prettyName=\'Talos (v1.13.0)\'\x00",
            r"> SetGuestInfo  1 cp1\x00",
            r"> SetGuestInfo  10 00:50:56:01:02:03=10.0.0.5",
            r"> info-set guestinfo.vmtools.talos.version v1.13.0\x00",
            r"> info-set guestinfo.vmtools.talos.virtualIPs none\x00",
            r"> info-set guestinfo.vmtools.talos.quiesce off\x00",
            r"> info-set guestinfo.vmtools.talos.power idle\x00",
        ]
    );
    assert_eq!(host.ask(b"reset\0"), first, "and so at the next one");
}

/// Messages that the host has taken, and how often each.
fn counted(heard: &[String]) -> std::collections::BTreeMap<&str, usize> {
    let mut counts = std::collections::BTreeMap::new();
    for line in heard.iter().filter(|line| line.starts_with("> ")) {
        *counts.entry(&line[..]).or_insert(0) += 1;
    }
    counts
}

#[test]
fn at_a_start_each_message_goes_once_with_a_reset_or_without() {
    use super::host::machine_at;
    use crate::facts::Stage;
    let everything = |host: &mut Host, reset: bool| {
        host.take();
        host.open();
        if reset {
            host.request(b"reset");
            host.request(b"Capabilities_Register");
            host.request(b"Set_Option broadcastIP 1");
        } else {
            host.pass(ms(1010));
        }
        host.pass(ms(2000));
        let heard = host.take();
        let counts = counted(&heard);
        assert!(
            counts.values().all(|&count| count == 1),
            "{reset}: {counts:?}"
        );
        counts.len()
    };
    for reset in [true, false] {
        let mut host = Host::new();
        host.facts(&machine_at(Stage::Running, true));
        let first = everything(&mut host, reset);
        assert!(first >= 20, "{first}");
        // A lost channel is another start.
        host.lose();
        assert!(everything(&mut host, reset) >= first - 1);
    }
}

#[test]
fn without_a_reset_everything_goes_after_a_second_and_not_before() {
    let mut host = Host::new();
    host.facts(&node("cp1", &["10.0.0.5"]));
    host.open();
    host.take();
    host.facts(&node("cp2", &["10.0.0.5"]));
    host.pass(ms(999));
    assert!(host.take().is_empty());
    host.pass(ms(1));
    let heard = host.take();
    for start in [
        "> SetGuestInfo  1 cp2",
        "> SetGuestInfo  7 ",
        "> SetGuestInfo  10 ",
    ] {
        let count = heard.iter().filter(|line| line.starts_with(start)).count();
        assert_eq!(count, 1, "{start}: {heard:?}");
    }
    host.pass(ms(5000));
    assert!(host.take().is_empty());
}

#[test]
fn a_host_that_registers_us_without_a_reset_gets_the_uptime_once() {
    let mut host = Host::new();
    host.open();
    host.pass(ms(995));
    host.take();
    let mut heard = host.ask(b"Capabilities_Register");
    host.pass(ms(2000));
    heard.extend(host.take());
    let uptimes = heard
        .iter()
        .filter(|line| line.contains("SetGuestInfo  7 "));
    assert_eq!(uptimes.count(), 1, "{heard:?}");
}

#[test]
fn what_the_host_asks_for_before_its_reset_is_answered_at_once() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    host.lose();
    host.open();
    let heard = host.ask(b"Capabilities_Register");
    assert_eq!(heard.len(), 5, "{heard:?}");
    assert_eq!(heard[4], "< OK ");
    let heard = host.ask(b"Set_Option broadcastIP 1");
    assert_eq!(heard, [r"> info-set guestinfo.ip 10.0.0.5\x00", "< OK "]);
}

#[test]
fn on_a_new_channel_the_uptime_goes_with_the_registration_or_a_second_after_the_reset() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    let uptimes = |heard: Vec<String>| {
        heard
            .iter()
            .filter(|line| line.starts_with("> SetGuestInfo  7 "))
            .count()
    };
    host.lose();
    host.open();
    assert_eq!(uptimes(host.ask(b"reset")), 0);
    assert_eq!(uptimes(host.ask(b"Capabilities_Register")), 1);
    host.pass(ms(29_999));
    assert_eq!(uptimes(host.take()), 0);
    host.lose();
    host.connect();
    host.pass(ms(1000));
    assert_eq!(uptimes(host.take()), 1);
}

#[test]
fn registration_is_complete_before_its_reply() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    assert_eq!(
        host.ask(b"Capabilities_Register"),
        [
            r"> tools.capability.statechange ",
            r"> tools.capability.softpowerop_retry ",
            r"> SetGuestInfo  7 1100\x00",
            r"> tools.set.versiontype 2147483647 4\x00",
            r"< OK ",
        ]
    );
    host.pass(ms(2500));
    assert_eq!(
        host.ask(b"Capabilities_Register")[2],
        r"> SetGuestInfo  7 1350\x00",
        "uptime is taken anew"
    );
}

#[test]
fn registration_waits_for_every_outcome() {
    let mut host = connected();
    host.slow = true;
    host.request(b"Capabilities_Register");
    for _ in 0..3 {
        host.answer();
    }
    assert!(!host.take().contains(&"< OK ".to_owned()));
    host.answer();
    assert_eq!(host.take(), ["< OK "]);
}

#[test]
fn a_host_without_version_types_gets_the_version() {
    let mut host = connected();
    host.refuses = vec!["tools.set.versiontype"];
    let heard = host.ask(b"Capabilities_Register");
    assert_eq!(
        heard[3..],
        [
            r"> tools.set.versiontype 2147483647 4\x00",
            r"> tools.set.version 2147483647\x00",
            r"< OK "
        ]
    );
    host.pass(ms(100_000));
    assert!(
        host.take()
            .iter()
            .all(|line| line.contains("SetGuestInfo  7"))
    );
}

#[test]
fn a_registration_that_gets_lost_is_answered_and_repeated() {
    let mut host = connected();
    host.deaf = true;
    assert_eq!(host.ask(b"Capabilities_Register").last().unwrap(), "< OK ");
    host.deaf = false;
    host.pass(ms(500));
    let heard = host.take();
    for message in [
        "statechange ",
        "softpowerop_retry ",
        r"versiontype 2147483647 4\x00",
    ] {
        assert_eq!(
            heard.iter().filter(|line| line.ends_with(message)).count(),
            1
        );
    }
    assert!(!heard.contains(&"< OK ".to_owned()));
}

#[test]
fn a_reply_does_not_wait_for_ever() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    host.slow = true;
    for request in [&b"Capabilities_Register"[..], b"Set_Option broadcastIP 1"] {
        assert!(!host.ask(request).contains(&"< OK ".to_owned()));
        host.pass(PATIENCE);
        assert!(host.take().contains(&"< OK ".to_owned()));
    }
}

#[test]
fn an_answer_to_a_request_of_a_lost_channel_reaches_nobody() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    host.slow = true;
    host.request(b"Capabilities_Register");
    host.connect();
    assert_eq!(host.ask(b"ping"), ["< OK "]);
    host.request(b"Capabilities_Register");
    host.request(b"Set_Option broadcastIP 1");
    host.take();
    for _ in 0..100 {
        host.answer();
    }
    host.pass(ms(10_000));
    let replies = host
        .take()
        .iter()
        .filter(|line| line.starts_with('<'))
        .count();
    assert_eq!(replies, 1, "only the last one still waits");
}

#[test]
fn the_primary_address_is_on_the_host_before_broadcast_is_answered() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    let heard = [r"> info-set guestinfo.ip 10.0.0.5\x00", "< OK "];
    assert_eq!(host.ask(b"Set_Option broadcastIP 1"), heard);
    assert_eq!(host.ask(b"Set_Option broadcastIP 1\0"), heard);
    host.refuses = vec!["info-set guestinfo.ip"];
    assert_eq!(host.ask(b"Set_Option broadcastIP 1"), heard);
}

/// A VIX request with this opcode and these flags.
fn vix(opcode: u32, flags: u8) -> Vec<u8> {
    let mut request = b"Vix_1_Relayed_Command \"req1\"\0".to_vec();
    request.extend(0xd00d_0001_u32.to_le_bytes());
    request.extend(5_u16.to_le_bytes());
    for word in [51_u32, 51, 0, 0] {
        request.extend(word.to_le_bytes());
    }
    request.push(flags);
    request.extend(opcode.to_le_bytes());
    request.extend([0; 24]);
    request
}

/// Property id to type and data.
fn properties(reply: &str) -> Vec<(i32, i32, Vec<u8>)> {
    let list = reply
        .strip_prefix("< OK 0 0 ")
        .unwrap()
        .strip_suffix(r"\x00")
        .unwrap();
    let mut bytes = &STANDARD.decode(list).unwrap()[..];
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let word = |at: usize| i32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let end = 12 + usize::try_from(word(8)).unwrap();
        found.push((word(0), word(4), bytes[12..end].to_vec()));
        bytes = &bytes[end..];
    }
    found
}

#[test]
fn tools_state_lists_every_property_and_every_operation_as_off() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    let heard = host.ask(&vix(62, 5));
    let found = properties(&heard[0]);
    let text = |id: i32| {
        let (_, kind, data) = found.iter().find(|(found, _, _)| *found == id).unwrap();
        assert_eq!((*kind, data.last()), (2, Some(&0)));
        String::from_utf8(data[..data.len() - 1].to_vec()).unwrap()
    };
    assert_eq!(text(4503), "Linux 6.18.1-talos Talos (v1.13.0)");
    assert_eq!(text(4520), "other6xlinux-64");
    assert_eq!(text(4511), "talos-vmtoolsd");
    assert_eq!(text(4505), "cp1");
    assert_eq!(text(4504), "");
    for (id, value) in [(4501, 1), (4502, 1), (4519, 64)] {
        assert!(found.contains(&(id, 1, vec![value, 0, 0, 0])));
    }
    for flag in 4540..=4568 {
        assert!(found.contains(&(flag, 3, vec![0])), "{flag}");
    }
}

#[test]
fn tools_state_makes_nothing_up_before_talos_has_spoken() {
    let mut host = connected();
    let found = properties(&host.ask(&vix(62, 5))[0]);
    assert!(found.contains(&(4503, 2, b"Linux 6.18.1-talos\0".to_vec())));
    assert!(found.contains(&(4505, 2, b"\0".to_vec())));
}

#[test]
fn other_operations_get_their_vix_error() {
    let mut host = connected();
    for opcode in [84, 177, 185, 186, 188, 192, 197, 207] {
        assert_eq!(
            host.ask(&vix(opcode, 5)),
            [r"< OK 20005 0 \x00"],
            "{opcode}"
        );
    }
    for opcode in [0, 5, 208, 9999, u32::MAX] {
        assert_eq!(host.ask(&vix(opcode, 5)), [r"< OK 3025 0 \x00"], "{opcode}");
    }
    assert_eq!(host.ask(&vix(38, 5)), [r"< OK 0 0 \x00"]);
    assert_eq!(host.ask(&vix(84, 0x85)), [r"< OK 20005 0 #"]);
    assert!(host.ask(&vix(62, 0x85))[0].starts_with("< OK 0 0 #l"));
}

#[test]
fn what_is_announced_is_served_and_what_is_served_is_announced() {
    use crate::vmware::services::HANDLERS;
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    let mut promised: Vec<&str> = Vec::new();
    for line in host.ask(b"Capabilities_Register") {
        match line.strip_prefix("> tools.capability.") {
            Some("statechange ") => promised.extend([
                "OS_Halt",
                "OS_Reboot",
                "OS_PowerOn",
                "OS_Resume",
                "OS_Suspend",
            ]),
            // May be asked for again, see the power operations.
            Some("softpowerop_retry ") | None => {}
            Some(other) => panic!("{other}: which commands does the host send because of it?"),
        }
    }
    // Those that every host sends.
    promised.extend(["reset", "ping", "Capabilities_Register", "Set_Option"]);
    promised.extend(["Time_Synchronize", "Vix_1_Relayed_Command"]);
    // No capability says so: a host that wants a quiesced snapshot asks.
    promised.extend(["vmbackup.start", "vmbackup.startWithOpts"]);
    promised.extend(["vmbackup.snapshotDone", "vmbackup.abort"]);
    promised.push("vmbackup.snapshotCompleted");
    promised.sort_unstable();
    let mut served: Vec<&str> = HANDLERS
        .iter()
        .map(|(name, _)| std::str::from_utf8(name).unwrap())
        .collect();
    served.sort_unstable();
    assert_eq!(promised, served);
}

#[test]
fn guest_operations_are_said_to_be_on_when_one_is_carried_out() {
    let mut host = connected();
    let said = properties(&host.ask(&vix(62, 5))[0])
        .into_iter()
        .filter(|(id, kind, data)| (4540..=4568).contains(id) && *kind == 3 && data[0] != 0)
        .count();
    // The state of the tools, waiting for them and the picture of the screen are no guest operations.
    let carried_out = (0..300)
        .filter(|opcode| ![38, 58, 62].contains(opcode))
        .filter(|&opcode| host.ask(&vix(opcode, 5))[0].starts_with("< OK 0 "))
        .count();
    assert_eq!(said > 0, carried_out > 0);
}
