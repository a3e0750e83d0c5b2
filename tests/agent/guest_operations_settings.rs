//! The settings of guest operations from outside: what is wrong with them, and what a reload makes of them.

use nix::sys::signal::Signal;
use vmx::{Stream, Vmx};

use crate::support::{Run, SOON, Talos, binary};

const KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

/// Groups with a fault, and what must be said of it.
fn faulty() -> [(String, &'static [&'static str]); 7] {
    let with = |users: &str| format!("guest_operations: {{enabled: true, users: [{users}]}}\n");
    [
        (with(""), &["guest_operations.users is empty"]),
        (
            with("{name: ops}"),
            &["guest_operations.users", "\"ops\"", "password_hash"],
        ),
        (
            with("{name: ops, password_hash: s3cret}"),
            &["guest_operations.users", "\"ops\"", "password_hash"],
        ),
        (
            with(&format!("{{name: ops, public_key: {KEY}, allow: [sudo]}}")),
            &["guest_operations.users", "\"ops\"", "allow", "\"sudo\""],
        ),
        (
            with(&format!("{{name: ops, public_key: {KEY}, colour: red}}")),
            &["guest_operations.users", "\"ops\"", "`colour`"],
        ),
        (
            with(&format!(
                "{{name: ops, public_key: {KEY}}}]\n  ,node_files: [var"
            )),
            &["guest_operations.node_files", "\"var\""],
        ),
        (
            with(&format!("{{name: ops, public_key: {KEY}}}], colour: [")),
            &["`colour`"],
        ),
    ]
}

/// What the daemon's line has behind `error=`, without quotes that stand in quotes.
fn words(line: &str) -> String {
    line.replace('\\', "")
}

#[test]
fn a_fault_is_named_by_check_and_in_one_line_of_the_daemon_that_serves_the_host() {
    let talos = Talos::new();
    for (text, parts) in faulty() {
        let file = talos.folder.write("config.yaml", &text);
        let check = Vmx::builder(binary()).args(["check", "--use-machined", "--config"]);
        let check = Run::start(check.args([&file]));
        assert_eq!(check.wait_exit(SOON).unwrap().code(), Some(2), "{text}");
        let said = check.output(Stream::Stderr);
        assert_eq!(said.len(), 1, "{text}: {said:?}");
        for part in parts {
            assert!(said[0].contains(part), "{part}: {said:?}");
        }
        let run = Run::start(talos.agent().args(["--config"]).args([&file]));
        run.informed();
        assert_eq!(run.reply("ping"), "OK ");
        let errors = run.log_lines(&["ERROR"]);
        assert_eq!(errors.len(), 1, "{text}: {errors:#?}");
        let same = said[0].strip_prefix("talos-vmtoolsd: ").unwrap();
        assert!(words(&errors[0]).contains(same), "{same}: {errors:?}");
        assert!(!errors[0].contains("s3cret"), "{errors:?}");
        run.stop();
    }
}

#[test]
fn switched_on_by_a_flag_without_users_is_the_same_fault() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().args(["--guest-operations"]));
    run.informed();
    let errors = run.log_lines(&["ERROR"]);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].contains("guest_operations.users"), "{errors:?}");
    run.stop();
}

#[test]
fn a_reload_applies_the_whole_group_or_nothing_of_it() {
    let talos = Talos::new();
    let group = |users: &str| format!("guest_operations: {{enabled: true, users: [{users}]}}\n");
    let user =
        |name: &str, allow: &str| format!("{{name: {name}, public_key: {KEY}, allow: [{allow}]}}");
    let file = talos.folder.write("config.yaml", "");
    let run = Run::start(talos.agent().args(["--config"]).args([&file]));
    run.informed();
    let reloaded = |text: &str, line: &str, says: &str| {
        let before = run.log_lines(&["check=guest-operations", says]).len();
        let lines = run.log_lines(&[line]).len();
        talos.folder.write("config.yaml", text);
        run.signal(Signal::SIGHUP);
        run.until(line, SOON, |host, _| {
            let log = host.output(Stream::Stderr);
            let count = |parts: &[&str]| {
                let is_it = |line: &&String| parts.iter().all(|part| line.contains(part));
                log.iter().filter(is_it).count()
            };
            let checked = count(&["check=guest-operations", says]);
            (count(&[line]) > lines && checked > before).then_some(())
        });
    };
    let (good, bad) = (
        "configuration reloaded",
        "keeping the previous configuration",
    );
    let one = group(&user("ops", "files"));
    reloaded("", good, "off");
    reloaded(&one, good, "on for 1 user, relay: no");
    for (text, _) in faulty() {
        reloaded(&text, bad, "on for 1 user, relay: no");
    }
    // The sandbox has no objection to a right that only a restart makes whole.
    let two = group(&format!("{}, {}", user("ops", ""), user("dev", "relay")));
    reloaded(&two, good, "on for 2 users, relay: yes");
    reloaded("guest_operations: {}\n", good, "off");
    run.stop();
}
