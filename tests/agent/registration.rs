//! reset and Capabilities_Register: what the host is told, to the byte.

use std::time::Duration;

use vmx::{EventKind, RpciEntry, Times};

use crate::support::{Folder, Run, SOON, Talos, agent_with, pass};

/// RPCI messages between a TCLO request and its reply, the `nth` time it was made.
fn during(run: &Run, request: &str, nth: usize) -> Vec<RpciEntry> {
    let log = run.rpci_log();
    let mut asked = None;
    let mut seen = 0;
    let mut found = Vec::new();
    for event in run.events() {
        match event.kind {
            EventKind::Request { id, text } if text == request => {
                if seen == nth {
                    asked = Some(id);
                }
                seen += 1;
            }
            EventKind::Rpci { index, .. } if asked.is_some() => found.push(log[index].clone()),
            EventKind::Reply { id, .. } if asked == Some(id) => return found,
            _ => {}
        }
    }
    panic!("{request} was not asked and answered {} times", nth + 1);
}

fn without_talos() -> (Folder, Run) {
    let folder = Folder::new();
    let run = Run::start(agent_with(folder.path("machine.sock")));
    run.green();
    (folder, run)
}

#[test]
fn capabilities_register_is_answered_after_exactly_these_messages() {
    let (_folder, run) = without_talos();
    let mut messages: Vec<Vec<u8>> = during(&run, "Capabilities_Register", 0)
        .into_iter()
        .map(|entry| entry.message)
        .collect();
    // Before: what was told at the opening of the channels and at reset, and is still on its way.
    let first = messages
        .iter()
        .position(|message| message.starts_with(b"tools.capability."));
    messages.drain(..first.unwrap());
    assert_eq!(messages[0], b"tools.capability.statechange ");
    assert_eq!(messages[1], b"tools.capability.softpowerop_retry ");
    let uptime = std::str::from_utf8(&messages[2]).unwrap();
    assert!(
        uptime.starts_with("SetGuestInfo  7 ") && uptime.ends_with('\0'),
        "{uptime:?}"
    );
    assert_eq!(messages[3], b"tools.set.versiontype 2147483647 4\0");
    assert_eq!(messages.len(), 4, "{messages:?}");
    assert_eq!(run.reply("Capabilities_Register"), "OK ");
}

#[test]
fn vcenter_shows_tools_managed_by_the_guest() {
    let (_folder, run) = without_talos();
    let view = run.vcenter();
    assert_eq!(view.tools_version, 2_147_483_647);
    assert_eq!(view.tools_version_status, "guestToolsUnmanaged");
    assert_eq!(view.tools_install_type, "guestToolsTypeOpenVMTools");
    assert!(view.state_change_supported);
    assert_eq!(view.capabilities["vmx.unified_loop"], "toolbox");
    assert!(view.capabilities.contains_key("softpowerop_retry"));
}

#[test]
fn the_version_variables_name_the_agent_and_three_numbers() {
    let (_folder, run) = without_talos();
    let variables = run.vcenter().variables;
    let version = &variables["vmtools.versionString"];
    let numbers: Vec<u32> = version
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect();
    assert_eq!(numbers.len(), 3, "{version}");
    assert!(variables["vmtools.description"].contains("talos-vmtoolsd"));
    let packed = numbers.iter().fold(0, |packed, part| packed << 5 | part);
    assert_eq!(variables["vmtools.versionNumber"], packed.to_string());
    variables["vmtools.buildNumber"].parse::<u32>().unwrap();
}

#[test]
fn each_registration_reports_a_fresh_uptime() {
    let (_folder, run) = without_talos();
    for _ in 0..2 {
        // The uptime is told in hundredths of a second.
        pass(&run, Duration::from_millis(30));
        run.asked("Capabilities_Register");
    }
    let uptimes: Vec<u64> = (0..3)
        .map(|nth| {
            let sent = during(&run, "Capabilities_Register", nth);
            let uptime = sent
                .iter()
                .rfind(|entry| entry.is("SetGuestInfo  7 "))
                .unwrap();
            let text = String::from_utf8_lossy(&uptime.message[16..]).into_owned();
            text.trim_end_matches('\0').parse().unwrap()
        })
        .collect();
    assert!(
        uptimes[0] < uptimes[1] && uptimes[1] < uptimes[2],
        "{uptimes:?}"
    );
}

#[test]
fn a_host_without_versiontype_gets_version() {
    let folder = Folder::new();
    let run = Run::start(
        agent_with(folder.path("machine.sock")).host(|host| host.refuse("tools.set.versiontype")),
    );
    run.green();
    let sent = during(&run, "Capabilities_Register", 0);
    let fallback = sent
        .iter()
        .find(|entry| entry.is("tools.set.version "))
        .unwrap();
    assert_eq!(fallback.message, b"tools.set.version 2147483647\0");
    run.logs(&["WARN", "tools.set.versiontype", "Unknown command"], SOON);
    assert_eq!(run.vcenter().tools_version, 2_147_483_647);
    assert_eq!(
        run.sent("tools.set.versiontype").len(),
        1,
        "not insisted upon"
    );
}

#[test]
fn every_refusal_of_the_host_is_logged_once() {
    let talos = Talos::new();
    let refused = [
        "vmx.capability.unified_loop",
        "tools.capability.statechange",
        "tools.capability.softpowerop_retry",
        "tools.set.version",
        "SetGuestInfo",
        "info-set guestinfo.vmtools",
    ];
    let run = Run::start(talos.agent().host(move |host| {
        for prefix in refused {
            host.refuse(prefix);
        }
    }));
    run.green();
    for command in refused {
        run.logs(&["WARN", "refused", command], SOON);
    }
    run.asked("reset");
    pass(&run, Duration::from_secs(1));
    // 1, 7, 9, 10, 11, 5, 6 · the versions, the capabilities, the four variables.
    let lines = run.log_lines(&["refused"]);
    assert!(lines.len() <= 17, "{lines:#?}");
    assert!(
        run.vcenter().is_green(),
        "refusals are no reason to fall silent"
    );
}

#[test]
fn a_reply_with_text_to_a_key_and_value_message_is_a_refusal() {
    let talos = Talos::new();
    let run = Run::start(
        talos
            .agent()
            .host(|host| host.answer("SetGuestInfo  1 ", *b"1 not updated", Times::Count(1))),
    );
    run.green();
    run.logs(&["WARN", "refused", "not updated"], SOON);
}

#[test]
fn after_a_reset_everything_is_sent_again_at_once() {
    let talos = Talos::new();
    let run = talos.run();
    run.asked("Set_Option broadcastIP 1");
    let everything = [
        "vmx.capability.unified_loop toolbox\0",
        "SetGuestInfo  1 ",
        "SetGuestInfo  7 ",
        "SetGuestInfo  10 ",
        "SetGuestInfo  11 ",
        "info-set guestinfo.ip ",
    ];
    let before = everything.map(|prefix| run.sent(prefix).len());
    let reset = run.asked("reset");
    assert_eq!(reset.reply_text().unwrap(), "OK ATR toolbox");
    for (prefix, before) in everything.into_iter().zip(before) {
        let sent = run.until_sent(prefix, before + 1, Duration::from_secs(1));
        let delay = sent[before]
            .instant
            .saturating_duration_since(reset.picked_up.unwrap());
        assert!(delay < Duration::from_millis(500), "{prefix}: {delay:?}");
    }
}
