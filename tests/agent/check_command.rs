//! `check` and `talosquery`: what a person at a keyboard is told.

use std::time::{Duration, Instant};

use apid::{MachineType, TlsOptions, scene};
use serde_json::Value;
use vmx::{Profile, Stream, Times, Vmx, VmxBuilder, VsockPolicy};

use crate::qemu::port_of;
use crate::snapshots::Node;
use crate::support::{ADDRESS, FQDN, Run, SOON, Talos, binary};

fn command(talos: &Talos, command: &[&str]) -> VmxBuilder {
    let builder = Vmx::builder(binary()).args(command);
    if talos.socket().is_some() {
        builder
            .args(["--use-machined", "--machined-socket"])
            .args([talos.socket_path()])
    } else {
        builder
            .args(["--talos-config"])
            .args([talos.talosconfig_path()])
    }
}

/// Runs to the end; standard output and exit code.
fn run(builder: VmxBuilder) -> (Vec<String>, Option<i32>) {
    let run = Run::start(builder);
    let status = run.wait_exit(SOON).unwrap();
    assert_eq!(run.log(), [""; 0], "nothing on stderr");
    (run.output(Stream::Stdout), status.code())
}

fn json(builder: VmxBuilder) -> (Value, Option<i32>) {
    let (lines, code) = run(builder);
    (serde_json::from_str(&lines.join("\n")).unwrap(), code)
}

/// The result of one check in a report.
fn result<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap()
}

#[test]
fn where_all_is_well_check_is_a_line_each_and_exit_0() {
    let talos = Talos::new();
    let (lines, code) = run(command(&talos, &["check"]));
    assert_eq!(code, Some(0), "{lines:#?}");
    let names: Vec<_> = lines
        .iter()
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>())
        .collect();
    assert_eq!(
        names,
        [
            ["ok", "hypervisor"],
            ["ok", "transport"],
            ["ok", "talos"],
            ["ok", "role"],
            ["ok", "variables"],
            ["ok", "guest-operations"],
            ["ok", "etcd"],
            ["ok", "quiesce"],
            ["ok", "sandbox"]
        ]
    );
    assert!(lines[0].contains("ESXi"), "{lines:#?}");
    assert!(lines[1].contains("backdoor"), "{lines:#?}");
    assert!(lines[2].contains("v1.13.0"), "{lines:#?}");
    assert!(lines[3].contains("os:operator"), "{lines:#?}");
    assert!(
        lines[6].ends_with("the only member of etcd is there"),
        "{lines:#?}"
    );
    assert!(lines[7].ends_with("off, as configured"), "{lines:#?}");
    assert!(
        lines[8].contains("in force: capabilities: none;"),
        "{lines:#?}"
    );
}

#[test]
fn on_qemu_check_names_the_port_and_says_nothing_of_vmware() {
    let talos = Talos::new();
    let port = port_of(&talos);
    // Whether the agent holds the port, does not matter.
    for is_held in [false, true] {
        port.hold(is_held);
        let check = command(&talos, &["check"]).args(["--qga-port"]);
        let check = check.args([port.path()]);
        let (lines, code) = run(check.profile(Profile::Kvm).serial_port(&port));
        assert_eq!(code, Some(0), "{lines:#?}");
        let names: Vec<_> = lines
            .iter()
            .map(|line| line.split_whitespace().nth(1).unwrap_or_default())
            .collect();
        let expected = [
            "hypervisor",
            "transport",
            "talos",
            "role",
            "etcd",
            "quiesce",
            "sandbox",
        ];
        assert_eq!(names, expected, "{lines:#?}");
        assert!(lines[0].contains("QEMU guest agent"), "{lines:#?}");
        let path = port.path().display().to_string();
        assert!(lines[1].contains(&path), "{lines:#?}");
        let text = lines.join("\n");
        assert!(!text.contains("VMware"), "{text}");
    }
}

#[test]
fn where_nothing_may_be_frozen_check_says_why_and_what_to_do() {
    let talos = Talos::new();
    let quiesce = |builder: VmxBuilder| {
        let (report, code) = json(builder);
        (result(&report, "quiesce").clone(), code)
    };
    let freeze = || command(&talos, &["check", "--json", "--quiesce=freeze"]);
    let (check, code) = quiesce(freeze().env("KUBERNETES_SERVICE_HOST", "10.96.0.1"));
    assert_eq!((code, &check["result"]), (Some(1), &Value::from("failed")));
    assert!(check["detail"].as_str().unwrap().contains("pod"));
    assert!(check["remedy"].as_str().unwrap().contains("extension"));
    // A fault in the group is one of the configuration.
    let run = Run::start(command(&talos, &["check"]).env("VMTOOLSD_QUIESCE_MAX_FREEZE", "61s"));
    assert_eq!(run.wait_exit(SOON).unwrap().code(), Some(2));
    let line = run.log().concat();
    for words in ["VMTOOLSD_QUIESCE_MAX_FREEZE", "from 1s up to 60s"] {
        assert!(line.contains(words), "{line}");
    }
}

#[test]
fn check_and_talosquery_say_whether_etcd_can_do_without_this_node() {
    let talos = Talos::new();
    talos.set_etcd(3, 0);
    for (servers, result_of_check, words) in [
        (3, "ok", "quorum stays without this node: 3 of 3"),
        (2, "failed", "quorum hangs on this node: 2 of 3"),
    ] {
        let servers: Vec<String> = (2..2 + servers)
            .map(|last| format!("10.5.0.{last}"))
            .collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        talos.set_api_servers(&servers);
        let (report, code) = json(command(&talos, &["check", "--json"]));
        let etcd = result(&report, "etcd");
        assert_eq!(etcd["result"], result_of_check, "{etcd}");
        assert_eq!(code, Some(i32::from(result_of_check == "failed")));
        assert!(
            etcd["detail"].as_str().unwrap().starts_with(words),
            "{etcd}"
        );
    }
    let refuse = command(&talos, &["check", "--json", "--etcd-guard=refuse"]);
    let (report, _) = json(refuse);
    let detail = result(&report, "etcd")["detail"].as_str().unwrap();
    assert!(
        detail.ends_with("a restart or shutdown is refused"),
        "{detail}"
    );
    let (seen, code) = json(command(&talos, &["talosquery", "--json"]));
    assert_eq!(
        (code, &seen["etcd"]["voters"], &seen["etcd"]["live"]),
        (Some(0), &3.into(), &2.into())
    );
    talos.set_machine_type(MachineType::Worker);
    let (seen, _) = json(command(&talos, &["talosquery", "--json"]));
    assert_eq!(seen["etcd"]["part"], "none");
}

#[test]
fn check_and_talosquery_show_what_the_agent_has_on_the_host() {
    let talos = Talos::new();
    talos.set_cordoned(true);
    let on = |arguments: &[&str]| {
        command(&talos, arguments)
            .variable("vmtools.talos.power", "refused: busy")
            .variable("vmtools.talos.vmotion", "last took 3.2 s")
    };
    let (seen, _) = json(on(&["talosquery", "--json"]));
    assert_eq!(
        (&seen["power"], &seen["vmotion"], &seen["cordoned"]),
        (
            &"refused: busy".into(),
            &"last took 3.2 s".into(),
            &true.into()
        )
    );
    let (report, code) = json(on(&["check", "--json", "--ha-monitor=node"]));
    assert_eq!(code, Some(0), "{report}");
    for (name, words) in [
        ("power", "refused: busy"),
        ("cordoned", "schedules nothing"),
        ("ha", "does not monitor this machine now"),
    ] {
        let detail = result(&report, name)["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{report}");
    }
}

#[test]
fn check_names_the_file_systems_that_can_be_frozen_and_no_writer_notices() {
    let Some(node) = Node::new() else { return };
    node.talos.set_machine_type(MachineType::Worker);
    for (mode, words) in [
        ("freeze", "can be frozen: u-data at /var/mnt/data ("),
        (
            "sync",
            "can be synced, and are not frozen: u-data at /var/mnt/data (",
        ),
    ] {
        let since = Instant::now();
        let check = command(&node.talos, &["check", "--json"]);
        let (report, code) = json(check.args([format!("--quiesce={mode}")]));
        let quiesce = result(&report, "quiesce");
        assert_eq!(
            (code, &quiesce["result"]),
            (Some(0), &Value::from("ok")),
            "{quiesce}"
        );
        let detail = quiesce["detail"].as_str().unwrap();
        let names = node.disks().map(|disk| format!("({})", disk.name()));
        assert!(detail.starts_with(words), "{detail}");
        assert!(names.iter().all(|name| detail.contains(name)), "{detail}");
        node.moves(SOON);
        for disk in node.disks() {
            let stand = disk.longest_stand(since).lasted();
            assert!(
                stand < Duration::from_secs(1),
                "{}: {stand:?}",
                disk.device()
            );
        }
    }
    // One that is not there is named, and one that is left out is not looked at.
    node.talos
        .set_volume("u-gone", "/dev/sdz", "/dev/sdz1", "/var/mnt/gone");
    let check = || command(&node.talos, &["check", "--json"]);
    let (report, code) = json(check().args(["--quiesce=freeze"]));
    let quiesce = result(&report, "quiesce");
    assert_eq!(
        (code, &quiesce["result"]),
        (Some(1), &Value::from("failed"))
    );
    assert!(
        quiesce["detail"]
            .as_str()
            .unwrap()
            .contains("/var/mnt/gone"),
        "{quiesce}"
    );
    assert!(
        quiesce["remedy"]
            .as_str()
            .unwrap()
            .contains("quiesce.exclude")
    );
    let file = node.config(&["exclude: [u-gone]"]);
    let (report, code) = json(check().args(["--config"]).args([file]));
    assert_eq!(code, Some(0), "{}", result(&report, "quiesce"));
}

#[test]
fn on_qemu_without_a_port_check_says_how_to_plug_it_in() {
    let talos = Talos::new();
    let check = command(&talos, &["check", "--hypervisor=qemu"]).profile(Profile::Kvm);
    let (lines, code) = run(check);
    assert_eq!(code, Some(1), "{lines:#?}");
    let text = lines.join("\n");
    for words in ["org.qemu.guest_agent.0", "--agent 1", "<channel"] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn check_says_which_transport_serves() {
    let talos = Talos::new();
    let (report, code) = json(command(&talos, &["check", "--json"]).vsock(VsockPolicy::served()));
    assert_eq!((code, &report["ok"]), (Some(0), &Value::Bool(true)));
    assert!(
        result(&report, "transport")["detail"]
            .as_str()
            .unwrap()
            .contains("over vsock")
    );
}

#[test]
fn check_names_what_fails_with_a_remedy_and_exits_with_1() {
    let talos = Talos::new();
    talos.stop();
    let (report, code) = json(command(&talos, &["check", "--json"]));
    assert_eq!((code, &report["ok"]), (Some(1), &Value::Bool(false)));
    assert_eq!(result(&report, "hypervisor")["result"], "ok");
    assert_eq!(result(&report, "transport")["result"], "ok");
    let talos_check = result(&report, "talos");
    assert_eq!(talos_check["result"], "failed");
    assert!(
        talos_check["detail"]
            .as_str()
            .unwrap()
            .contains("machine.sock")
    );
    assert!(talos_check["remedy"].as_str().unwrap().contains("mount"));
    assert_eq!(result(&report, "role")["result"], "not_checked");
}

#[test]
fn check_off_vmware_and_with_a_broken_backdoor_says_so() {
    let talos = Talos::new();
    for (profile, words) in [
        (Profile::Kvm, "VMware"),
        (Profile::VmwareNoBackdoor, "processor says VMware"),
    ] {
        let (report, code) = json(command(&talos, &["check", "--json"]).profile(profile));
        assert_eq!(code, Some(1));
        let check = result(&report, "hypervisor");
        assert_eq!(check["result"], "failed");
        assert!(check["detail"].as_str().unwrap().contains(words), "{check}");
        assert!(
            check["remedy"]
                .as_str()
                .is_some_and(|remedy| !remedy.is_empty())
        );
        assert_eq!(
            result(&report, "talos")["result"],
            "ok",
            "Talos is looked at all the same"
        );
    }
}

#[test]
fn check_tells_a_role_that_is_too_small() {
    let talos = Talos::tls(TlsOptions {
        roles: vec!["os:reader".to_owned()],
        ..TlsOptions::default()
    });
    let (report, code) = json(command(&talos, &["check", "--json"]));
    assert_eq!(code, Some(1));
    let role = result(&report, "role");
    assert_eq!(role["result"], "failed");
    assert!(
        role["detail"].as_str().unwrap().contains("os:reader"),
        "{role}"
    );
    assert!(
        role["remedy"].as_str().unwrap().contains("os:operator"),
        "{role}"
    );
    assert_eq!(result(&report, "talos")["result"], "ok");
}

#[test]
fn check_and_talosquery_name_another_machine_and_the_remedy() {
    let talos = Talos::tls(TlsOptions::default());
    talos.update_node(|node| node.stat = apid::another_machine);
    let (report, code) = json(command(&talos, &["check", "--json"]));
    assert_eq!(code, Some(1));
    let found = result(&report, "talos");
    assert_eq!(found["result"], "failed");
    let detail = found["detail"].as_str().unwrap();
    assert!(detail.contains("is another machine: boot time"), "{found}");
    assert!(detail.contains(FQDN), "{found}");
    let remedy = found["remedy"].as_str().unwrap();
    assert!(remedy.contains("VMTOOLSD_TALOS_NODE"), "{found}");
    assert_eq!(result(&report, "role")["result"], "not_checked");

    let query = Run::start(command(&talos, &["talosquery"]));
    assert_eq!(query.wait_exit(SOON).unwrap().code(), Some(1));
    assert_eq!(query.output(Stream::Stdout), [""; 0]);
    let log = query.log().join("\n");
    assert!(
        log.contains("is another machine") && log.contains(remedy),
        "{log}"
    );
}

#[test]
fn check_names_the_node_that_is_missing() {
    let talos = Talos::tls(TlsOptions::default());
    let text = talos.talosconfig_for(&[talos.endpoint().unwrap().to_string()], &[]);
    talos.folder.write("talosconfig", &text);
    let (report, code) = json(command(&talos, &["check", "--json"]));
    assert_eq!(code, Some(1));
    let found = result(&report, "talos");
    let detail = found["detail"].as_str().unwrap();
    assert!(detail.contains("no node is named"), "{found}");
    assert!(found["remedy"].as_str().unwrap().contains("--talos-node"));
    assert_eq!(talos.connections_accepted(), 0);
}

#[test]
fn check_neither_reboots_nor_shuts_down() {
    let talos = Talos::new();
    run(command(&talos, &["check"]));
    let power = [apid::Method::Reboot, apid::Method::Shutdown];
    for method in power {
        let carried_out = talos
            .calls_of(method)
            .into_iter()
            .any(|call| call.answer == Some(apid::Code::Ok));
        assert!(!carried_out, "{method:?}");
    }
}

#[test]
fn talosquery_shows_what_the_daemon_sees_as_a_table() {
    let talos = Talos::with(|talos| {
        scene::control_plane(talos);
        talos.set_esxi_storage();
    });
    let (lines, code) = run(command(&talos, &["talosquery"]));
    assert_eq!(code, Some(0), "{lines:#?}");
    let text = lines.join("\n");
    for words in [
        FQDN,
        "v1.13.0",
        "10.5.0.11",
        "10.5.0.100",
        "00:50:56:ab:00:21",
        "running",
        "/var/mnt/data",
        "scsi0:1",
    ] {
        assert!(text.contains(words), "{words} is missing:\n{text}");
    }
    // What is not reported stands there with the reason.
    let pods = lines
        .iter()
        .find(|line| line.contains("10.244.0.1"))
        .unwrap();
    assert!(pods.contains(" no ") && pods.contains("cni"), "{text}");
}

#[test]
fn talosquery_shows_the_same_as_json() {
    let talos = Talos::tls(TlsOptions::default());
    let (view, code) = json(command(&talos, &["talosquery", "--json"]));
    assert_eq!(code, Some(0));
    assert_eq!(view["host_name"]["fqdn"], FQDN);
    assert_eq!(view["talos"]["tag"], "v1.13.0");
    assert_eq!(view["primary_address"], ADDRESS);
    assert_eq!(view["nics"][0]["mac"], "00:50:56:ab:cd:ef");
}

#[test]
fn talosquery_without_an_answer_is_one_line_and_exit_1() {
    let talos = Talos::new();
    talos.stop();
    let query = Run::start(command(&talos, &["talosquery"]));
    assert_eq!(query.wait_exit(SOON).unwrap().code(), Some(1));
    assert_eq!(query.output(Stream::Stdout), [""; 0]);
    let log = query.log();
    assert_eq!(log.len(), 1, "{log:#?}");
    assert!(log[0].contains("machine.sock"), "{log:#?}");
}

#[test]
fn check_writes_a_variable_reads_it_back_and_puts_it_back() {
    let talos = Talos::new();
    let builder = command(&talos, &["check"]).variable("vmtools.description", "before");
    let checked = Run::start(builder);
    assert_eq!(checked.wait_exit(SOON).unwrap().code(), Some(0));
    assert_eq!(
        checked
            .sent("info-set guestinfo.vmtools.description ")
            .len(),
        2
    );
    let after = checked.host(|host, _| host.variable("vmtools.description"));
    assert_eq!(after.as_deref(), Some("before"));
}

#[test]
fn check_names_what_keeps_variables_away_and_the_way_out() {
    for (refused, reply, option) in [
        (
            "info-set ",
            "0 Permission denied",
            "guest_rpc.rpci.auth.cmd.info-set",
        ),
        (
            "info-get ",
            "0 Permission denied",
            "guest_rpc.rpci.auth.cmd.info-get",
        ),
        (
            "info-set ",
            "0 Unknown command",
            "isolation.tools.setInfo.disable",
        ),
        // Said to be done, and not done.
        (
            "info-get ",
            "0 No value found",
            "isolation.tools.setInfo.disable",
        ),
    ] {
        let talos = Talos::new();
        let builder = command(&talos, &["check", "--json"]);
        let builder =
            builder.host(move |host| host.answer(refused, reply.as_bytes(), Times::Forever));
        let (report, code) = json(builder);
        assert_eq!(code, Some(1), "{report}");
        let variables = result(&report, "variables");
        assert_eq!(variables["result"], "failed", "{variables}");
        let remedy = variables["remedy"].as_str().unwrap();
        assert!(remedy.contains(option), "{variables}");
        assert_eq!(result(&report, "transport")["result"], "ok");
    }
}

#[test]
fn check_writes_no_variable_where_none_are_wanted() {
    let talos = Talos::new();
    let builder = command(&talos, &["check", "--guest-variables=false"]);
    let checked = Run::start(builder);
    assert_eq!(checked.wait_exit(SOON).unwrap().code(), Some(0));
    assert_eq!(checked.sent("info-set ").len(), 0);
}
