//! Talos behind apid is this machine's, or nothing is reported from it and no power call goes there.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use apid::{Apid, Method, PowerBehaviour, TlsOptions, another_machine, scene, twin};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::Signal;
use vmx::VmxBuilder;

use crate::support::{FQDN, NAME, Run, SOON, Talos, agent, pass};

/// Long enough for a deadline of a power call (30 s) not to be what ended it.
const AT_ONCE: Duration = Duration::from_secs(10);

/// Heartbeat green, no facts, one ERROR with these words, and "Shut Down Guest" is status 0, soon.
fn serves_the_host_alone(builder: VmxBuilder, words: &[&str]) -> Run {
    let run = Run::start(builder);
    run.green();
    let words: Vec<_> = ["ERROR", "no Talos API is proven"]
        .iter()
        .chain(words)
        .copied()
        .collect();
    run.logs(&words, SOON);
    status_0(&run);
    // Several more attempts.
    pass(&run, Duration::from_secs(2));
    let lines = run.log_lines(&["no Talos API is proven"]);
    assert_eq!(lines.len(), 1, "{:#?}", run.log());
    let view = run.vcenter();
    assert!(view.is_green(), "{:#?}", run.log());
    assert_eq!((view.host_name, view.ip_address), (None, None));
    run
}

/// "Shut Down Guest" is answered at once, and fails.
fn status_0(run: &Run) {
    let known = run.vcenter().power.len();
    assert_eq!(run.reply("OS_Halt"), "OK ");
    let view = run.sees("status 0", AT_ONCE, |view| view.power.len() > known);
    assert!(!view.power[known].success, "{:#?}", run.log());
    run.logs(&["ERROR", "Talos did not accept the power operation"], SOON);
}

/// Nothing but counters and name were asked for.
fn untouched(api: &Apid) {
    for call in api.calls() {
        let asked = call.method;
        let allowed = [Some(Method::SystemStat), Some(Method::Get)];
        assert!(allowed.contains(&asked), "{asked:?}");
    }
}

#[test]
fn three_control_planes_and_no_node_is_refused_and_none_of_them_is_dialled() {
    let planes = [(); 3].map(|()| {
        let talos = Talos::tls(TlsOptions::default());
        talos.update_node(|node| node.stat = another_machine);
        talos
    });
    let endpoints = planes
        .iter()
        .map(|plane| plane.endpoint().unwrap().to_string());
    let endpoints: Vec<_> = endpoints.collect();
    let [first, ..] = &planes;
    for nodes in [&[][..], &endpoints] {
        let text = first.talosconfig_for(&endpoints, nodes);
        first.folder.write("talosconfig", &text);
        let remedy = ["no node is named", "VMTOOLSD_TALOS_NODE", "--talos-node"];
        let run = serves_the_host_alone(first.agent(), &remedy);
        run.stop();
        for plane in &planes {
            assert_eq!(plane.connections_accepted(), 0);
        }
    }
}

/// The only test that may have this port: others expect that nobody has it who is this machine.
#[test]
fn without_a_node_apid_on_this_machines_own_address_is_used_when_it_is_this_machine() {
    let path = std::env::temp_dir().join("talos-vmtoolsd-port-50000.lock");
    let lock = std::fs::File::create(path).unwrap();
    let _locked = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    let talos = Talos::tls(TlsOptions {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 50000)),
        ..TlsOptions::default()
    });
    let nobody = ["192.0.2.1".to_owned(), "192.0.2.2".to_owned()];
    let text = talos.talosconfig_for(&nobody, &[]);
    talos.folder.write("talosconfig", &text);
    let run = talos.run();
    run.asked("OS_Halt");
    run.sees("status 1", SOON, |view| {
        view.power.iter().any(|s| s.success)
    });
    assert_eq!(talos.calls_of(Method::Shutdown).len(), 1);
    run.stop();

    talos.update_node(|node| node.stat = another_machine);
    let calls = talos.call_count();
    let words = ["no node is named", "127.0.0.1:50000", "is another machine"];
    serves_the_host_alone(talos.agent(), &words).stop();
    let asked = talos.calls().split_off(calls);
    assert!(
        asked
            .iter()
            .all(|call| [Some(Method::SystemStat), Some(Method::Get)].contains(&call.method)),
        "{asked:#?}"
    );
}

#[test]
fn a_node_that_is_another_machine_is_named_with_its_counters_and_left_alone() {
    for stat in [another_machine, twin] {
        let talos = Talos::tls(TlsOptions::default());
        talos.update_node(|node| node.stat = stat);
        let endpoint = talos.endpoint().unwrap().to_string();
        let words = [
            endpoint.as_str(),
            FQDN,
            "is another machine",
            "boot time",
            "context switches",
            "status.hostIP",
        ];
        serves_the_host_alone(talos.agent(), &words).stop();
        untouched(&talos);
    }
}

#[test]
fn a_role_that_may_not_ask_for_counters_is_no_proof_and_the_role_is_named() {
    let talos = Talos::tls(TlsOptions {
        roles: vec!["os:etcd:backup".to_owned()],
        ..TlsOptions::default()
    });
    let words = ["does not prove that it is this machine", "os:operator"];
    serves_the_host_alone(talos.agent(), &words).stop();
    untouched(&talos);
}

#[test]
fn a_node_that_comes_back_as_another_machine_gets_no_power_call() {
    let talos = Talos::tls(TlsOptions::default());
    let run = talos.run();
    talos.update_node(|node| node.stat = another_machine);
    talos.set_hostname("the-other", "");
    talos.drop_connections();
    let calls = talos.call_count();
    run.logs(&["ERROR", "the-other", "is another machine"], SOON);
    status_0(&run);
    let asked = talos.calls().split_off(calls);
    for method in [Method::Shutdown, Method::Watch, Method::Version] {
        assert!(asked.iter().all(|call| call.method != Some(method)));
    }
    assert_eq!(run.vcenter().host_name.as_deref(), Some(NAME), "as it was");

    // It is this machine again.
    talos.update_node(|node| node.stat = |stat| stat);
    talos.set_hostname("again", "");
    run.sees("the name", SOON, |view| {
        view.host_name.as_deref() == Some("again")
    });
    run.asked("OS_Halt");
    run.sees("status 1", SOON, |view| {
        view.power.iter().any(|s| s.success)
    });
    assert_eq!(talos.calls_of(Method::Shutdown).len(), 1);
    run.stop();
}

#[test]
fn endpoints_and_nodes_that_do_not_parse_spoil_only_themselves() {
    let talos = Talos::tls(TlsOptions::default());
    let endpoint = talos.endpoint().unwrap().to_string();
    let bad = ["no endpoint:at all".to_owned()];
    let nodes = [bad[0].clone(), endpoint];
    talos
        .folder
        .write("talosconfig", &talos.talosconfig_for(&bad, &nodes));
    let run = talos.run();
    let lines = run.log_lines(&["WARN", "no endpoint:at all", "is left out"]);
    assert_eq!(lines.len(), 1, "{:#?}", run.log());
    run.stop();
}

/// A call that Talos may have got is followed by a change of the settings, and then by another request.
fn a_doubt_survives(talos: &Talos, before: &str, change: impl FnOnce(&Run, &Path)) {
    let deadline = "\npower: {deadline: 2s}\n";
    let file = talos
        .folder
        .write("config.yaml", &format!("{before}{deadline}"));
    let run = Run::start(agent().args(["--config"]).args([&file]));
    run.informed();
    talos.set_power(PowerBehaviour::DieBeforeReply);
    run.asked("OS_Halt");
    run.sees("status 0", SOON, |view| {
        view.power.iter().any(|status| !status.success)
    });
    talos.set_power(PowerBehaviour::Accept);
    change(&run, &file);
    talos.restart().unwrap();
    run.asked("OS_Halt");
    run.sees("status 1", SOON, |view| {
        view.power.iter().any(|status| status.success)
    });
    assert_eq!(talos.calls_of(Method::Shutdown).len(), 1);
    run.stop();
}

/// Other settings for the way to Talos, by SIGHUP.
fn reload(run: &Run, file: &Path, text: &str) {
    let old = std::fs::read_to_string(file).unwrap();
    let rest = old.split_once('\n').unwrap().1;
    std::fs::write(file, format!("{text}\n{rest}")).unwrap();
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
}

#[test]
fn a_doubt_about_a_call_survives_a_renewed_talosconfig() {
    let talos = Talos::tls(TlsOptions::default());
    let path = talos.talosconfig_path();
    let before = format!("talos: {{config: {}}}", path.display());
    a_doubt_survives(&talos, &before, |run, _| {
        let text = format!("# renewed\n{}", talos.talosconfig());
        let fresh = talos.folder.write("talosconfig.new", &text);
        std::fs::rename(fresh, &path).unwrap();
        run.logs(&["the talosconfig has changed"], SOON);
    });
}

#[test]
fn a_doubt_about_a_call_survives_a_reload() {
    let talos = Talos::tls(TlsOptions::default());
    let path = talos.talosconfig_path();
    let before = format!("talos: {{config: {}}}", path.display());
    let endpoint = talos.endpoint().unwrap();
    let after = format!(
        "talos: {{config: {}, node: \"{endpoint}\"}}",
        path.display()
    );
    a_doubt_survives(&talos, &before, |run, file| reload(run, file, &after));

    let talos = Talos::new();
    let with = |role: &str| {
        let socket = talos.socket_path();
        let socket = socket.display();
        format!("talos: {{use_machined: true, machined_socket: {socket}, machined_role: {role}}}")
    };
    a_doubt_survives(&talos, &with("os:operator"), |run, file| {
        reload(run, file, &with("os:admin"));
    });
}

#[test]
fn without_a_ca_in_the_context_the_words_say_so() {
    let talos = Talos::tls(TlsOptions::default());
    let text = talos.talosconfig();
    let lines = text.lines().filter(|line| !line.trim().starts_with("ca:"));
    let text: Vec<_> = lines.collect();
    talos.folder.write("talosconfig", &text.join("\n"));
    // The roots of some other authority.
    let [other, ..] = Talos::tls(TlsOptions::default()).client_pem();
    let roots = talos.folder.write("roots.pem", &other);
    let run = Run::start(talos.agent().env("SSL_CERT_FILE", roots));
    run.green();
    run.logs(&["WARN", "there is no `ca` in this context"], SOON);
    run.stop();
}

#[test]
fn machineds_socket_is_this_machines_and_needs_no_proof() {
    let talos = Talos::with(|api| {
        scene::single_nic(api);
        api.update_node(|node| node.stat = another_machine);
    });
    talos.run().stop();
    assert_eq!(talos.calls_of(Method::SystemStat).len(), 0);
}
