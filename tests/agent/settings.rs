//! The same settings by flag, variable and file, as the Go daemon's users have them.

use apid::Method;
use nix::sys::signal::Signal;
use vmx::{Profile, Vmx};

use crate::support::{NAME, Run, SOON, Talos, agent, agent_with, binary};

#[test]
fn the_variables_of_the_go_daemon_do_the_same_as_flags() {
    let talos = Talos::new();
    let run = Run::start(
        agent()
            .env("VMTOOLSD_USE_MACHINED", "true")
            .env("VMTOOLSD_MACHINED_SOCKET", talos.socket_path())
            .env("VMTOOLSD_LOG_LEVEL", "debug")
            .env("VMTOOLSD_SKIP_VMWARE_DETECTION", "1"),
    );
    run.informed();
    assert_eq!(run.vcenter().host_name.as_deref(), Some(NAME));
    assert!(!run.log_lines(&["DEBUG"]).is_empty());
    run.stop();
}

#[test]
fn flags_before_and_after_the_subcommand_are_the_same() {
    let talos = Talos::new();
    let run = Run::start(
        Vmx::builder(binary())
            .args([
                "--use-machined",
                "--log-level",
                "error",
                "--machined-socket",
            ])
            .args([talos.socket_path()])
            .args(["vmtoolsd"]),
    );
    run.informed();
    run.stop();
    assert!(run.log().is_empty(), "{:#?}", run.log());
}

#[test]
fn a_flag_beats_a_variable_and_a_variable_beats_the_file() {
    let talos = Talos::new();
    let config = talos.folder.write(
        "config.yaml",
        "talos:\n  use_machined: true\n  machined_socket: /in/the/file.sock\nlog:\n  level: error\n  format: json\n",
    );
    let run = Run::start(
        agent_with(talos.socket_path())
            .env("VMTOOLSD_CONFIG", &config)
            .env("VMTOOLSD_MACHINED_SOCKET", "/in/the/environment.sock")
            .env("VMTOOLSD_LOG_LEVEL", "info"),
    );
    run.informed();
    run.stop();
    let log = run.log();
    assert!(!log.is_empty(), "the variable's level counts");
    for line in log {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line.is_object(), "the file's format counts");
    }
}

#[test]
fn the_go_daemons_service_file_works_unchanged() {
    // `args: [vmtoolsd, --use-machined]`, the socket at Talos' path.
    let run = Run::start(
        agent()
            .args(["--use-machined", "--log-level=info"])
            .profile(Profile::Vmware),
    );
    run.green();
    let away = run.logs(&["/system/run/machined/machine.sock"], SOON);
    assert!(away.contains("INFO"), "{away}");
}

#[test]
fn a_node_without_a_way_to_talos_says_which_flags_are_missing_and_does_not_exit_with_0() {
    let run = Run::start(agent());
    let status = run.wait_exit(SOON).unwrap();
    assert!(!status.success(), "{status}");
    let log = run.log().join("\n");
    assert!(
        log.contains("--use-machined") && log.contains("--talos-config"),
        "{log}"
    );
}

#[test]
fn json_logs_are_one_object_a_line_with_level_and_message() {
    let talos = Talos::new();
    let run = Run::start(
        talos
            .agent()
            .args(["--log-format", "json", "--log-level", "trace"]),
    );
    run.informed();
    run.stop();
    for line in run.log() {
        let value: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            value["level"].is_string() && value["message"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn a_second_daemon_beside_the_first_does_not_disturb_it() {
    let talos = Talos::new();
    let first = talos.run();
    let second = talos.run();
    assert_eq!(first.reply("ping"), "OK ");
    second.signal(Signal::SIGTERM);
    second.wait_exit(SOON).unwrap();
    talos.set_hostname("one-left", "");
    first.sees("the name", SOON, |view| {
        view.host_name.as_deref() == Some("one-left")
    });
    assert!(talos.calls_of(Method::Watch).len() >= 10);
}
