//! The same settings by flag, variable and file, as the Go daemon's users have them.

use std::time::{Duration, Instant};

use apid::{Method, TlsOptions};
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

/// The host is served: a green heartbeat, and power operations that are answered with status 0.
fn serves_without_talos(run: &Run) {
    run.green();
    assert_eq!(run.reply("OS_Halt"), "OK ");
    run.sees("status 0", SOON, |view| {
        view.power.iter().any(|status| !status.success)
    });
}

#[test]
fn a_node_without_a_way_to_talos_says_which_flags_are_missing_and_does_not_exit_with_0() {
    let run = Run::start(agent());
    serves_without_talos(&run);
    let words = [
        "ERROR",
        "served without Talos",
        "--use-machined",
        "--talos-config",
    ];
    let errors = run.log_lines(&words);
    assert_eq!(errors.len(), 1, "{:#?}", run.log());
    run.stop();
}

#[test]
fn a_node_that_is_no_endpoint_takes_talos_away_and_not_the_heartbeat() {
    let talos = Talos::tls(TlsOptions::default());
    let run = Run::start(talos.agent().args(["--talos-node", "no such:thing"]));
    serves_without_talos(&run);
    let errors = run.log_lines(&["ERROR", "served without Talos", "no such:thing"]);
    assert_eq!(errors.len(), 1, "{:#?}", run.log());
    run.stop();
}

#[test]
fn a_way_to_talos_that_is_configured_later_waits_for_a_restart() {
    let talos = Talos::new();
    let config = talos.folder.write("config.yaml", "");
    let run = Run::start(agent().args(["--config"]).args([&config]));
    run.green();
    let socket = talos.socket_path();
    let text = format!(
        "talos:\n  use_machined: true\n  machined_socket: {}\n",
        socket.display()
    );
    talos.folder.write("config.yaml", &text);
    run.signal(Signal::SIGHUP);
    run.logs(&["ERROR", "restart the agent"], SOON);
    assert_eq!(run.reply("ping"), "OK ");
    run.stop();
}

#[test]
fn what_a_rolled_back_version_does_not_know_is_named_and_the_rest_counts() {
    let talos = Talos::new();
    let config = talos.folder.write(
        "config.yaml",
        "log:\n  level: debug\n  colour: true\npower:\n  reboot_mode: sideways\n  deadline: 5s\nnewer: {a: 1}\n",
    );
    let run = Run::start(
        talos
            .agent()
            .args(["--newer-flag", "--transport=carrier-pigeon"])
            .args(["--config"])
            .args([&config])
            .env("VMTOOLSD_LOW_BANDWIDTH", "maybe")
            .env("VMTOOLSD_NEWER", "x"),
    );
    run.informed();
    assert_eq!(run.vcenter().host_name.as_deref(), Some(NAME));
    let named = [
        "'--newer-flag'",
        "carrier-pigeon",
        "VMTOOLSD_LOW_BANDWIDTH",
        "`colour`",
        "sideways",
        "`newer`",
    ];
    for word in named {
        assert_eq!(
            run.log_lines(&["ERROR", word]).len(),
            1,
            "{word}: {:#?}",
            run.log()
        );
    }
    assert_eq!(run.log_lines(&["ERROR"]).len(), named.len());
    assert_eq!(run.log_lines(&["WARN", "VMTOOLSD_NEWER"]).len(), 1);
    assert!(
        !run.log_lines(&["DEBUG"]).is_empty(),
        "the file's level counts"
    );
    run.asked("OS_Reboot");
    let calls = talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
    assert_eq!(calls[0].request, "mode=DEFAULT");
    // What was wrong at the start does not keep a file that is mended from being read.
    talos.folder.write("config.yaml", "log: {level: debug}\n");
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
    run.stop();
}

#[test]
fn a_file_that_is_missing_too_long_or_no_configuration_costs_only_itself() {
    let talos = Talos::new();
    let brackets = "[".repeat(200_000);
    let texts = [
        None,
        Some("\0\u{1}not YAML: ["),
        Some("- a\n- b\n"),
        Some(&brackets),
        Some(&"# long\n".repeat(400_000)),
    ]
    .map(|text: Option<&str>| text.map(str::to_owned));
    for text in texts {
        let config = talos.folder.path("config.yaml");
        let _missing = std::fs::remove_file(&config);
        if let Some(text) = &text {
            talos.folder.write("config.yaml", text);
        }
        let started = Instant::now();
        let run = Run::start(talos.agent().args(["--config"]).args([&config]));
        run.informed();
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
        let errors = run.log_lines(&["ERROR"]);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].contains("config.yaml"), "{errors:#?}");
        run.stop();
    }
}

#[test]
fn a_line_in_json_has_the_message_where_messages_are() {
    let talos = Talos::new();
    let run = Run::start(
        talos
            .agent()
            .args(["--log-format=json"])
            .variable("userdata", "I2Nsb3VkLWNvbmZpZw=="),
    );
    run.informed();
    let line = run.logs(&["guestinfo.userdata"], SOON);
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "warn");
    let message = line["message"].as_str().unwrap();
    assert!(message.contains("readable by every process"), "{line}");
    run.stop();
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
