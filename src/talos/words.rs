//! What is said of Talos by `check`, by the daemon's own checks and by its log: one place for the words.

use super::error::Error;
use super::purpose::Release;
use crate::config::SettingError;
use crate::diagnosis::{Check, Outcome};
use crate::facts::TalosVersion;
use crate::power::Obstacle;

/// How many refusals are named in one line.
const NAMED: usize = 3;

/// The roles that may do all that we do.
const LARGE_ENOUGH: [&str; 2] = ["os:operator", "os:admin"];

/// Why Talos refuses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Its release does not have it yet.
    TooOld,
    /// It should have it, and has not.
    Absent,
    /// Our role is not allowed to.
    Denied,
}

/// What Talos refuses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) call: &'static str,
    pub(super) why: Why,
    pub(super) missing: &'static str,
}

/// The connection to Talos, as far as it is certain.
#[derive(Debug)]
pub(super) enum Connection {
    /// Nothing is certain yet.
    Open,
    /// Talos answers.
    Up {
        endpoint: String,
        version: TalosVersion,
        roles: Vec<String>,
    },
    /// It does not.
    Down { error: Error, roles: Vec<String> },
}

fn is_large_enough(roles: &[String]) -> bool {
    roles.iter().any(|role| LARGE_ENOUGH.contains(&&**role))
}

/// Whether these roles may shut down and reboot.
pub(super) fn power_way(roles: &[String], is_denied: bool) -> Result<(), Obstacle> {
    if is_denied || !is_large_enough(roles) {
        let words = format!("{}: may neither reboot nor shut down", names(roles));
        return Err(Obstacle::Refused(words));
    }
    Ok(())
}

/// The roles in one phrase.
fn names(roles: &[String]) -> String {
    if roles.is_empty() {
        "no role".to_owned()
    } else {
        roles.join(", ")
    }
}

/// The checks of Talos.
pub(super) fn checks(
    connection: &Connection,
    refusals: &[Refusal],
    is_proxied: bool,
) -> Vec<Check> {
    let not_yet = || Outcome::NotChecked("Talos has not answered yet".to_owned());
    match connection {
        Connection::Open => vec![
            Check::new("talos", not_yet()),
            Check::new("role", not_yet()),
        ],
        Connection::Down { error, roles } => vec![
            Check::new("talos", unusable(error, roles, is_proxied)),
            Check::new("role", not_asked(error)),
        ],
        Connection::Up {
            endpoint,
            version,
            roles,
        } => {
            let mut checks = vec![
                Check::new("talos", answers(endpoint, version)),
                Check::new("role", role(roles, refusals, is_proxied)),
            ];
            let api = api(version, refusals, is_proxied);
            checks.extend(api.map(|outcome| Check::new("api", outcome)));
            checks
        }
    }
}

/// The checks of a Talos that the settings lead nowhere to.
pub fn unconfigured(error: &SettingError) -> Vec<Check> {
    let (problem, remedy) = match error {
        SettingError::NoTalosAccess => (
            "no way to Talos is configured".to_owned(),
            "give --use-machined in an extension service, --talos-config FILE elsewhere",
        ),
        SettingError::Role { role } => (
            format!("{role:?} is not a Talos role"),
            "give --machined-role os:operator",
        ),
    };
    unusable_settings(Outcome::fails(problem, remedy))
}

/// The checks of a Talos whose node is no endpoint.
pub fn no_endpoint(problem: String) -> Vec<Check> {
    unusable_settings(Outcome::fails(
        problem,
        "give --talos-node a host or host:port",
    ))
}

fn unusable_settings(outcome: Outcome) -> Vec<Check> {
    let unasked = Outcome::NotChecked("there is no connection to Talos".to_owned());
    vec![
        Check::for_good("talos", outcome),
        Check::new("role", unasked),
    ]
}

fn answers(endpoint: &str, version: &TalosVersion) -> Outcome {
    Outcome::Works(format!(
        "Talos {} ({}, {}) answers at {endpoint}",
        version.tag, version.arch, version.platform
    ))
}

fn unusable(error: &Error, roles: &[String], is_proxied: bool) -> Outcome {
    Outcome::fails(error.with_causes(), remedy(error, roles, is_proxied))
}

/// Why nothing can be said of the role when not even Version was answered.
fn not_asked(error: &Error) -> Outcome {
    Outcome::NotChecked(
        match error {
            Error::Denied { .. } => "Talos already refuses to say its version, see the line before",
            Error::Unreachable { .. }
            | Error::Deadline { .. }
            | Error::Tls { .. }
            | Error::Talosconfig(_)
            | Error::NoNode { .. } => "there is no connection to Talos",
            Error::OtherMachine { .. } | Error::NotProven { .. } => {
                "this machine's Talos is not reached, see the line before"
            }
            Error::Unsupported { .. } | Error::Talos { .. } | Error::Malformed { .. } => {
                "Talos does not say its version, see the line before"
            }
        }
        .to_owned(),
    )
}

/// What the roles may do, and what Talos denies them.
fn role(roles: &[String], refusals: &[Refusal], is_proxied: bool) -> Outcome {
    let names = names(roles);
    let denied = named(refusals, Why::Denied);
    if !denied.is_empty() {
        return Outcome::fails(
            format!("{names}: Talos denies {denied}"),
            role_remedy(roles, is_proxied),
        );
    }
    if is_large_enough(roles) {
        Outcome::Works(format!("{names}: may read, reboot and shut down"))
    } else {
        Outcome::fails(
            format!("{names}: may read, but neither reboot nor shut down"),
            role_remedy(roles, is_proxied),
        )
    }
}

/// What Talos should serve and does not, if there is something.
fn api(version: &TalosVersion, refusals: &[Refusal], is_proxied: bool) -> Option<Outcome> {
    let absent = named(refusals, Why::Absent);
    (!absent.is_empty()).then(|| {
        let release = Release::of(&version.tag);
        Outcome::fails(
            format!("Talos {} does not serve {absent}", version.tag),
            refusal_remedy(Why::Absent, release, &[], is_proxied),
        )
    })
}

/// The calls that are refused for this reason, each with what is missing without it.
fn named(refusals: &[Refusal], why: Why) -> String {
    let refused: Vec<String> = refusals
        .iter()
        .filter(|refusal| refusal.why == why)
        .map(|Refusal { call, missing, .. }| format!("{call} ({missing} missing)"))
        .collect();
    let rest = refused.len().saturating_sub(NAMED);
    let mut text = refused
        .into_iter()
        .take(NAMED)
        .collect::<Vec<_>>()
        .join(", ");
    if rest > 0 {
        text.push_str(&format!(" and {rest} more"));
    }
    text
}

/// What an operator can do about a refusal.
pub(super) fn refusal_remedy(
    why: Why,
    release: Option<Release>,
    roles: &[String],
    is_proxied: bool,
) -> &'static str {
    match why {
        Why::Denied => role_remedy(roles, is_proxied),
        Why::TooOld => "upgrade Talos, if you miss it",
        Why::Absent if release.is_some_and(|release| release < Release::OLDEST) => {
            "upgrade Talos; 1.4 or newer is needed"
        }
        Why::Absent => {
            "a Talos of this release has it: ask it with talosctl get or talosctl events; if it answers there, \
             report this line"
        }
    }
}

/// What an operator can do about a role that Talos refuses.
fn role_remedy(roles: &[String], is_proxied: bool) -> &'static str {
    match (is_large_enough(roles), is_proxied) {
        (false, false) => "claim os:operator: --machined-role os:operator",
        (false, true) => "os:operator is needed: talosctl config new --roles os:operator",
        (true, false) => {
            "the role is large enough, but machined does not grant it to this process: run it as Talos' extension \
             service with its own mount namespace, see extension/talos-vmtoolsd.yaml"
        }
        (true, true) => {
            "the role is large enough, so Talos has another reason: see talosctl logs apid and talosctl logs machined"
        }
    }
}

/// What an operator can do about an error.
pub(super) fn remedy(error: &Error, roles: &[String], is_proxied: bool) -> &'static str {
    match error {
        Error::OtherMachine { .. } | Error::NoNode { .. } => {
            "name this node: VMTOOLSD_TALOS_NODE from status.hostIP, or --talos-node; \
             an extension needs none, it has machined's socket"
        }
        Error::NotProven { .. } if is_large_enough(roles) => {
            "apid must answer SystemStat, and this machine's /proc/stat must be readable: see talosctl logs apid"
        }
        Error::NotProven { .. } => {
            "give us the role os:operator (talosctl config new --roles os:operator) and this machine's /proc"
        }
        Error::Unreachable { .. } | Error::Deadline { .. } if is_proxied => {
            "check --talos-node, port 50000 and the firewall between"
        }
        Error::Unreachable { .. } | Error::Deadline { .. } => {
            "mount machined's socket into the container, see extension/talos-vmtoolsd.yaml"
        }
        Error::Tls { .. } | Error::Talosconfig(_) => {
            "make a new talosconfig with talosctl config new --roles os:operator"
        }
        Error::Denied { .. } => role_remedy(roles, is_proxied),
        Error::Unsupported { .. } | Error::Talos { .. } | Error::Malformed { .. } => {
            "look at the node with talosctl; Talos 1.4 or newer is needed"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn up(names: &[&str]) -> Connection {
        Connection::Up {
            endpoint: "/machine.sock".into(),
            version: TalosVersion {
                tag: "v1.13.0".into(),
                arch: "amd64".into(),
                platform: "vmware".into(),
            },
            roles: roles(names),
        }
    }

    fn refusal(call: &'static str, why: Why) -> Refusal {
        Refusal {
            call,
            why,
            missing: "addresses",
        }
    }

    fn denied() -> Error {
        Error::Denied {
            call: "Version",
            role: "os:none".into(),
            message: "not authorized".into(),
        }
    }

    /// Problem and remedy of a check that fails.
    fn failure(checks: &[Check], name: &str) -> Option<(String, String)> {
        let check = checks.iter().find(|check| check.name == name)?;
        match &check.outcome {
            Outcome::Fails { problem, remedy } => Some((problem.clone(), remedy.clone())),
            Outcome::Works(_) | Outcome::NotChecked(_) => None,
        }
    }

    #[test]
    fn full_access_works_and_is_two_lines() {
        let works = |words: &str| Outcome::Works(words.to_owned());
        assert_eq!(
            checks(&up(&["os:operator"]), &[refusal("x", Why::TooOld)], false),
            [
                Check::new(
                    "talos",
                    works("Talos v1.13.0 (amd64, vmware) answers at /machine.sock")
                ),
                Check::new("role", works("os:operator: may read, reboot and shut down")),
            ]
        );
    }

    #[test]
    fn a_role_that_is_too_small_is_named_and_the_larger_one_by_the_way_to_talos() {
        for (is_proxied, way) in [(false, "--machined-role"), (true, "talosctl config new")] {
            let (problem, remedy) =
                failure(&checks(&up(&["os:reader"]), &[], is_proxied), "role").unwrap();
            assert!(
                problem.starts_with("os:reader: may read, but neither"),
                "{problem}"
            );
            assert!(
                remedy.contains("os:operator") && remedy.contains(way),
                "{remedy}"
            );
        }
    }

    #[test]
    fn a_role_that_is_large_enough_is_never_sent_to_os_operator() {
        for role in LARGE_ENOUGH {
            for is_proxied in [false, true] {
                let refusals = [refusal("LinkStatuses.net.talos.dev", Why::Denied)];
                let checks = checks(&up(&[role]), &refusals, is_proxied);
                let (problem, words) = failure(&checks, "role").unwrap();
                assert!(
                    problem.contains("LinkStatuses.net.talos.dev (addresses"),
                    "{problem}"
                );
                assert!(!words.contains("os:operator"), "{words}");
                let not_proven = Error::NotProven {
                    endpoint: "here".into(),
                    why: "it is silent".into(),
                };
                for error in [denied(), not_proven] {
                    let words = remedy(&error, &roles(&[role]), is_proxied);
                    assert!(!words.contains("os:operator"), "{words}");
                }
            }
        }
    }

    #[test]
    fn what_is_absent_is_no_matter_of_the_role_and_a_long_list_is_cut() {
        let calls = ["a", "b", "c", "d", "e"];
        let refusals = calls.map(|call| refusal(call, Why::Absent));
        let checks = checks(&up(&["os:operator"]), &refusals, false);
        assert_eq!(failure(&checks, "role"), None);
        let (problem, remedy) = failure(&checks, "api").unwrap();
        assert!(problem.contains("a (addresses missing), b") && problem.ends_with("and 2 more"));
        assert!(!remedy.contains("role"), "{remedy}");
    }

    #[test]
    fn a_role_that_was_not_asked_for_says_why() {
        let why = |error| match not_asked(&error) {
            Outcome::NotChecked(why) => why,
            Outcome::Works(_) | Outcome::Fails { .. } => String::new(),
        };
        assert!(why(denied()).contains("refuses"));
        let silent = Error::Deadline { call: "Version" };
        assert!(why(silent).contains("no connection"));
    }
}
