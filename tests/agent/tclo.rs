//! What the host asks over TCLO, and the exact answers.

use std::time::Duration;

use vmx::codec::vix::{self, Property, Reply};

use crate::support::{ADDRESS, Folder, Run, SOON, Talos, agent_with, pass};

#[test]
fn each_request_gets_open_vm_tools_reply() {
    let talos = Talos::new();
    let run = talos.run();
    for (request, reply) in [
        ("reset", "OK ATR toolbox"),
        ("ping", "OK "),
        ("Capabilities_Register", "OK "),
        ("Set_Option broadcastIP 1", "OK "),
        ("Set_Option broadcastIP 0", "OK "),
        ("Set_Option synctime 0", "OK "),
        ("Set_Option time.synchronize.tools.startup 1", "OK "),
        ("Set_Option toolScripts.afterPowerOn 1", "OK "),
        ("Set_Option nobody.knows.this value with spaces", "OK "),
        ("Set_Option broadcastIP", "ERROR Unknown or invalid option"),
        ("Set_Option foo", "ERROR Unknown or invalid option"),
        ("Set_Option", "ERROR Unknown or invalid option"),
        ("Set_Option ", "ERROR Unknown or invalid option"),
        ("OS_PowerOn", "OK "),
        ("OS_Suspend", "OK "),
        ("OS_Resume", "OK "),
        ("Time_Synchronize 1 0", "OK "),
        ("Time_Synchronize 0 0", "OK "),
        ("no_such_command", "ERROR Unknown Command"),
        ("PING", "ERROR Unknown Command"),
        ("pingx", "ERROR Unknown Command"),
        ("Resolution_Set 1 2", "ERROR Unknown Command"),
    ] {
        assert_eq!(run.reply(request), reply, "{request:?}");
        if !request.contains(' ') {
            assert_eq!(
                run.reply(format!("{request}\0")),
                reply,
                "{request:?} and NUL"
            );
        }
    }
    run.stop();
}

#[test]
fn malformed_requests_are_answered_and_survived() {
    let folder = Folder::new();
    let run = Run::start(agent_with(folder.path("machine.sock")));
    run.green();
    for request in [
        &b"\0"[..],
        b" ",
        b"\0\0\0",
        b"   ping",
        b"\xff\xfe\xfd",
        b"Set_Option \0",
        b"Set_Option  \0\0",
        b"Set_Option a\0b c",
        b"Vix_1_Relayed_Command",
        b"Vix_1_Relayed_Command \"x",
        b"Vix_1_Relayed_Command \"x\"\0\x01\0\x0d\xd0",
        b"Time_Synchronize x",
        b"OS_Halt\xff",
    ] {
        let reply = run.reply(request);
        assert!(
            reply.starts_with("ERROR ") || reply.starts_with("OK "),
            "{request:?}: {reply}"
        );
    }
    assert_eq!(run.reply("ping"), "OK ");
    assert!(run.log().len() < 20, "{:#?}", run.log());
}

#[test]
fn requests_of_64_kib_are_survived() {
    let folder = Folder::new();
    let run = Run::start(agent_with(folder.path("machine.sock")));
    run.green();
    let mut option = b"Set_Option key ".to_vec();
    option.resize(65536, b'x');
    assert_eq!(run.reply(option), "OK ");
    assert_eq!(run.reply(vec![b'x'; 65536]), "ERROR Unknown Command");
    assert_eq!(run.reply(vec![0; 65536]), run.reply("\0"));
    let mut command = vix::get_tools_state("big");
    command.resize(65536, 0);
    assert!(run.reply(command).starts_with("OK "));
    assert_eq!(run.reply("ping"), "OK ");
}

#[test]
fn get_tools_state_has_every_property_and_all_operations_off() {
    let talos = Talos::new();
    let run = talos.run();
    let reply = run.tools_state(SOON).unwrap();
    assert_eq!((reply.error, reply.additional), (0, 0));
    let properties = reply.properties().unwrap();
    let text = |id| match &properties[&id] {
        Property::Text(text) => text.clone(),
        other => panic!("{id}: {other:?}"),
    };
    // guest-ops-vix.md §8.4.
    assert!(text(4503).contains("v1.13.0"), "{}", text(4503));
    assert!(text(4520).ends_with("xlinux-64"), "{}", text(4520));
    assert_eq!(text(4511), "talos-vmtoolsd");
    assert_eq!(text(4500), run.vcenter().variables["vmtools.versionString"]);
    assert_eq!(text(4505), "talos-cp-1");
    assert_eq!(properties[&4501], Property::Integer(1));
    assert_eq!(properties[&4502], Property::Integer(1));
    assert_eq!(properties[&4519], Property::Integer(64));
    for id in [4504, 203, 4525] {
        assert_eq!(text(id), "");
    }
    for id in 4540..=4568 {
        assert_eq!(properties[&id], Property::Boolean(false), "{id}");
    }
    assert_eq!(properties.len(), 11 + 29);
}

#[test]
fn other_guest_operations_get_their_vix_error() {
    let talos = Talos::new();
    let run = talos.run();
    // VIX_E_OPERATION_DISABLED for what could be switched on, VIX_E_UNRECOGNIZED_COMMAND_IN_GUEST else.
    for (opcode, error) in [(185, 20005), (188, 20005), (9999, 3025)] {
        let reply = run
            .asked(vix::request("op", opcode, b"", 0, b""))
            .reply
            .unwrap();
        let reply = Reply::decode(&reply).unwrap();
        assert_eq!(reply.error, error, "opcode {opcode}");
    }
}

#[test]
fn broadcast_ip_1_reports_the_primary_address_and_0_does_not() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().config(|host| {
        host.options
            .retain(|option| !option.starts_with("broadcastIP"));
    }));
    run.informed();
    run.asked("Set_Option broadcastIP 0");
    assert!(run.sent("info-set guestinfo.ip ").is_empty());
    run.asked("Set_Option broadcastIP 1");
    // The reply comes after the variable.
    let sent = run.sent("info-set guestinfo.ip ");
    assert_eq!(sent.len(), 1);
    assert_eq!(
        sent[0].message,
        format!("info-set guestinfo.ip {ADDRESS}\0").into_bytes()
    );
    run.asked("Set_Option broadcastIP 1");
    assert_eq!(
        run.sent("info-set guestinfo.ip ").len(),
        2,
        "each time it is asked for"
    );
}

#[test]
fn time_synchronize_leaves_the_clock_alone() {
    let talos = Talos::new();
    let run = talos.run();
    assert_eq!(run.reply("Time_Synchronize 1 0"), "OK ");
    assert_eq!(run.stats().machine_calls, 0);
}

#[test]
fn an_idle_backdoor_is_polled_a_few_times_a_second_and_often_enough() {
    let talos = Talos::new();
    let run = talos.run();
    pass(&run, Duration::from_millis(2500));
    run.host(|host, _| host.forget_silence());
    let before = run.stats();
    pass(&run, Duration::from_secs(2));
    let after = run.stats();
    let polls = after.liveness - before.liveness;
    assert!((5..=22).contains(&polls), "{polls} polls in 2 s");
    // SENDSIZE and RECVSIZE.
    assert_eq!(after.backdoor_exits() - before.backdoor_exits(), 2 * polls);
    let silence = run.host(|host, now| host.longest_silence(now));
    assert!(silence < Duration::from_secs(1), "{silence:?}");
}

#[test]
fn a_flood_of_requests_is_answered_one_by_one() {
    let talos = Talos::new();
    let run = talos.run();
    let asked: Vec<_> = (0..300).map(|_| run.ask("ping")).collect();
    for id in asked {
        assert_eq!(
            run.wait_reply(id, SOON).unwrap().reply_text().unwrap(),
            "OK "
        );
    }
    talos.set_hostname("after-the-flood", "");
    run.sees("the new name", SOON, |view| {
        view.host_name.as_deref() == Some("after-the-flood")
    });
}
