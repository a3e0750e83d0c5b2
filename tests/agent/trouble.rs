//! What is wrong is said where operators look: in the log, and in a guest variable.

use std::time::Duration;

use apid::{Code, Method, Stage, Status, TlsOptions};
use nix::sys::signal::Signal;
use vmx::VmxBuilder;

use crate::support::{Run, SOON, Talos, pass};

const REFUSED: &str = "Talos refuses a part of its API";
/// Longer than a problem waits to be shown.
const LATER: Duration = Duration::from_secs(40);

/// The variable, once it holds these words.
fn problem(run: &Run, words: &str, within: Duration) -> String {
    run.until(&format!("a problem with {words:?}"), within, |host, _| {
        let value = host.variable("vmtools.talos.problem")?;
        value.contains(words).then_some(value)
    })
}

/// A node whose agent is configured by a file of this text.
fn configured(talos: &Talos, text: &str) -> VmxBuilder {
    let file = talos.folder.write("config.yaml", text);
    talos.agent().args(["--config"]).args([file])
}

#[test]
fn a_talos_that_serves_no_watch_is_said_once_a_type_with_what_is_missing() {
    let talos = Talos::new();
    talos.fail_next(
        Method::Watch,
        &Status::new(Code::Unimplemented, "unknown service"),
        1000,
    );
    let run = Run::start(talos.agent());
    run.green();
    let line = run.logs(&["WARN", REFUSED, "LinkStatuses.net.talos.dev"], SOON);
    assert!(
        line.contains("NICs and their addresses") && line.contains("talosctl get"),
        "{line}"
    );
    assert!(!line.contains("os:operator"), "a role is no remedy: {line}");
    run.logs(
        &[REFUSED, "HostnameStatuses.net.talos.dev", "host name"],
        SOON,
    );
    let shown = problem(&run, "does not serve", LATER);
    assert!(
        shown.starts_with("api: ") && shown.contains("remedy: "),
        "{shown}"
    );
    assert_eq!(run.log_lines(&[REFUSED, "LinkStatuses"]).len(), 1);
}

#[test]
fn a_resource_that_this_release_does_not_have_yet_is_no_trouble() {
    let talos = Talos::new();
    talos.update_node(|node| node.version.tag = "v1.7.6".into());
    talos.drop_type("VolumeStatuses.block.talos.dev");
    let run = talos.run();
    let line = run.logs(&["does not serve it yet", "VolumeStatuses"], SOON);
    assert!(
        line.contains(" INFO ") && line.contains("since=1.8"),
        "{line}"
    );
    problem(&run, "none", SOON);
    assert_eq!(run.log_lines(&["WARN", REFUSED]), [""; 0]);
}

#[test]
fn a_role_that_the_socket_refuses_is_said_after_a_minute_and_in_the_variable() {
    let talos = Talos::new();
    talos.allow(Method::Version, &["os:admin"]);
    let run = Run::start(talos.agent());
    run.green();
    let line = run.logs(
        &["WARN", "cannot use the Talos API"],
        Duration::from_secs(90),
    );
    assert!(
        line.contains("denies Version") && line.contains("extension service"),
        "{line}"
    );
    let shown = problem(&run, "denies Version", LATER);
    assert!(shown.starts_with("talos: "), "{shown}");
    talos.allow(Method::Version, &["os:admin", "os:operator"]);
    problem(&run, "none", SOON);
}

#[test]
fn an_administrator_is_never_sent_to_os_operator() {
    let talos = Talos::tls(TlsOptions {
        roles: vec!["os:admin".to_owned()],
        ..TlsOptions::default()
    });
    talos.allow(Method::Watch, &["os:operator"]);
    let run = Run::start(talos.agent());
    run.green();
    let line = run.logs(&["WARN", REFUSED, "LinkStatuses"], SOON);
    assert!(line.contains("large enough"), "{line}");
    let shown = problem(&run, "Talos denies", LATER);
    assert!(shown.starts_with("role: os:admin"), "{shown}");
    let log = run.log().join("\n");
    assert!(!log.contains("os:operator"), "{log}");
}

#[test]
fn a_talos_that_is_away_is_a_problem_after_a_while_and_none_once_it_answers() {
    let talos = Talos::new();
    let run = talos.run();
    problem(&run, "none", SOON);
    talos.stop();
    pass(&run, Duration::from_secs(5));
    problem(&run, "none", Duration::ZERO);
    let shown = problem(&run, "machine.sock", LATER);
    assert!(shown.contains("remedy: mount machined's socket"), "{shown}");
    talos.restart().unwrap();
    problem(&run, "none", SOON);
    talos.set_stage(Stage::MachineStageRunning, true);
    let written = run.sent("info-set guestinfo.vmtools.talos.problem ");
    assert_eq!(written.len(), 3, "{written:?}");
}

#[test]
fn a_fault_in_the_settings_is_a_problem_at_once_until_a_reload_mends_it() {
    let talos = Talos::new();
    let run = Run::start(configured(&talos, "guestinfo: {disk_interval: soon}\n"));
    let shown = problem(&run, "settings: ", Duration::from_secs(10));
    assert!(shown.contains("disk_interval"), "{shown}");
    talos.folder.write("config.yaml", "{}\n");
    run.signal(Signal::SIGHUP);
    problem(&run, "none", SOON);
    talos.folder.write("config.yaml", "nonsense: 1\n");
    run.signal(Signal::SIGHUP);
    let shown = problem(&run, "nonsense", SOON);
    assert!(shown.contains("SIGHUP again"), "{shown}");
}

#[test]
fn on_sighup_the_lines_of_check_are_in_the_log() {
    let talos = Talos::new();
    let run = Run::start(configured(&talos, "{}\n"));
    run.informed();
    problem(&run, "none", SOON);
    run.signal(Signal::SIGHUP);
    for check in [
        "hypervisor",
        "transport",
        "talos",
        "role",
        "variables",
        "guest-operations",
        "quiesce",
        "sandbox",
    ] {
        run.logs(&["INFO", "check: ok", &format!("check={check} ")], SOON);
    }
    run.logs(
        &["check=role", "os:operator: may read, reboot and shut down"],
        SOON,
    );
    assert_eq!(run.log_lines(&["check: ok"]).len(), 8);
}

#[test]
fn after_a_minute_of_trouble_the_lines_of_check_are_in_the_log_once() {
    let talos = Talos::tls(TlsOptions {
        roles: vec!["os:reader".to_owned()],
        ..TlsOptions::default()
    });
    let run = Run::start(talos.agent());
    run.informed();
    let shown = problem(&run, "neither reboot nor shut down", LATER);
    assert!(
        shown.contains("talosctl config new --roles os:operator"),
        "{shown}"
    );
    let line = run.logs(
        &["WARN", "check: FAIL", "check=role"],
        Duration::from_secs(80),
    );
    assert!(line.contains("os:reader"), "{line}");
    run.logs(&["check: ok", "check=sandbox"], SOON);
    pass(&run, Duration::from_secs(5));
    assert_eq!(run.log_lines(&["check: FAIL"]).len(), 1);
}
