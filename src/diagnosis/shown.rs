//! The checks as they are shown: lines for people, JSON for programs.
//!
//! ```text
//! ok    hypervisor        VMware
//! ok    transport         backdoor
//! FAIL  talos             cannot connect to /system/run/machined/machine.sock: no such file or directory
//!                         remedy: mount machined's socket into the container
//! -     role              not checked: there is no connection to Talos
//! ok    variables         the host takes and gives guest variables
//! ok    guest-operations  off
//! ok    quiesce           off, as configured
//! ok    sandbox           in force: capabilities: none; no_new_privs: set; …
//! ```
//! One more, `identity`, is there only when the machine's SMBIOS UUID is none. `sandbox` comes last: the command
//! puts itself into the sandbox of the daemon, and asks the kernel what has come of it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Check, Outcome, all_well};

/// The checks as lines, for people.
pub fn lines(checks: &[Check]) -> String {
    let width = checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for Check { name, outcome, .. } in checks {
        // Writing to a String cannot fail.
        let _ = match outcome {
            Outcome::Works(how) => writeln!(text, "ok    {name:width$}  {how}"),
            Outcome::NotChecked(why) => writeln!(text, "-     {name:width$}  not checked: {why}"),
            Outcome::Fails { problem, remedy } => {
                let indent = width + 8;
                writeln!(
                    text,
                    "FAIL  {name:width$}  {problem}\n{:indent$}remedy: {remedy}",
                    ""
                )
            }
        };
    }
    text
}

/// The checks as JSON, for programs.
pub fn json(checks: &[Check]) -> Value {
    let list: Vec<Value> = checks
        .iter()
        .map(|Check { name, outcome, .. }| match outcome {
            Outcome::Works(how) => json!({"check": name, "result": "ok", "detail": how}),
            Outcome::NotChecked(why) => {
                json!({"check": name, "result": "not_checked", "detail": why})
            }
            Outcome::Fails { problem, remedy } => {
                json!({"check": name, "result": "failed", "detail": problem, "remedy": remedy})
            }
        })
        .collect();
    json!({"ok": all_well(checks), "checks": list})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> Vec<Check> {
        vec![
            Check::new("hypervisor", Outcome::Works("VMware".into())),
            Check::new("talos", Outcome::fails("no socket", "mount it")),
            Check::new("role", Outcome::NotChecked("no connection".into())),
        ]
    }

    #[test]
    fn lines_say_what_and_remedy() {
        assert_eq!(
            lines(&mixed()),
            "\
ok    hypervisor  VMware
FAIL  talos       no socket
                  remedy: mount it
-     role        not checked: no connection
"
        );
    }

    #[test]
    fn json_says_the_same() {
        assert_eq!(
            json(&mixed()),
            json!({
                "ok": false,
                "checks": [
                    {"check": "hypervisor", "result": "ok", "detail": "VMware"},
                    {"check": "talos", "result": "failed", "detail": "no socket", "remedy": "mount it"},
                    {"check": "role", "result": "not_checked", "detail": "no connection"},
                ],
            })
        );
    }

    #[test]
    fn what_was_not_checked_is_not_well() {
        let mut checks = mixed();
        assert!(!all_well(&checks));
        checks.remove(1);
        assert!(!all_well(&checks));
        checks.remove(1);
        assert!(all_well(&checks));
    }
}
