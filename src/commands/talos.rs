//! Talos access for one-shot subcommands: who answers, with which roles, and everything it says.

use std::time::Duration;

use super::check::Outcome;
use crate::config::{SettingError, TalosConfig};
use crate::facts::{Facts, is_valid_uuid};
use crate::log::Chain;
use crate::proc::{DeviceNames, own_counters};
use crate::talos::{Access, Client, Error};
use crate::vmware::services::identity::REMEDY;

/// How long a user at a keyboard waits; more than the 5 s for which machined may hold a caller
/// that it does not know yet.
const DEADLINE: Duration = Duration::from_secs(15);

/// Asks Talos for everything that is reported; the error is one line. Without an answer to the one question that
/// is asked beside the resources, the file systems are not known.
pub(super) async fn facts(config: &Result<TalosConfig, SettingError>) -> Result<Facts, String> {
    let config = config.as_ref().map_err(|error| Chain(error).to_string())?;
    let client = Client::new(config, own_counters).map_err(|error| Chain(&error).to_string())?;
    let facts = crate::talos::query(&client, DEADLINE).await;
    let mut facts = facts.map_err(|error| match error.remedy() {
        Some(remedy) => format!("{}; {remedy}", Chain(&error)),
        None => Chain(&error).to_string(),
    })?;
    facts.storage.spaces = client.mounts().await.ok();
    DeviceNames::default().complete(&mut facts.storage);
    Ok(facts)
}

/// Looks at the Talos API, at the role, and at the machine's identity if there is something wrong with it.
pub(super) async fn checks(
    config: &Result<TalosConfig, SettingError>,
) -> (Outcome, Outcome, Option<Outcome>) {
    let unasked = || Outcome::NotChecked("there is no connection to Talos".to_owned());
    let config = match config {
        Ok(config) => config,
        Err(error) => return (unconfigured(error), unasked(), None),
    };
    let client = match Client::new(config, own_counters) {
        Ok(client) => client,
        Err(error) => {
            let problem = Chain(&error).to_string();
            let remedy = "give --talos-node a host or host:port".to_owned();
            return (Outcome::Fails { problem, remedy }, unasked(), None);
        }
    };
    match client.check_access().await {
        Ok(access) => (
            api(&client.endpoint(), &access),
            role(&access),
            // Whether resources may be read is the role's matter.
            client
                .system_uuid()
                .await
                .ok()
                .flatten()
                .and_then(|uuid| identity(&uuid)),
        ),
        Err(error) => (unusable(config, &error), not_asked(&error), None),
    }
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

fn unconfigured(error: &SettingError) -> Outcome {
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
    Outcome::Fails {
        problem,
        remedy: remedy.to_owned(),
    }
}

fn api(endpoint: &str, access: &Access) -> Outcome {
    let version = &access.version;
    Outcome::Works(format!(
        "Talos {} ({}, {}) answers at {endpoint}",
        version.tag, version.arch, version.platform
    ))
}

fn role(access: &Access) -> Outcome {
    let roles = if access.roles.is_empty() {
        "no role".to_owned()
    } else {
        access.roles.join(", ")
    };
    let remedy = "os:operator is needed: --machined-role os:operator, or talosctl config new --roles os:operator";
    match (&access.read, access.power) {
        (Ok(()), true) => Outcome::Works(format!("{roles}: may read, reboot and shut down")),
        (Ok(()), false) => Outcome::Fails {
            problem: format!("{roles}: may read, but neither reboot nor shut down"),
            remedy: remedy.to_owned(),
        },
        (Err(error), _) => Outcome::Fails {
            problem: format!("{roles}: may not read: {}", Chain(error)),
            remedy: remedy.to_owned(),
        },
    }
}

/// What is wrong with a UUID, if something is.
fn identity(uuid: &str) -> Option<Outcome> {
    if is_valid_uuid(uuid) {
        return None;
    }
    let problem = match uuid {
        "" => "the machine has no SMBIOS UUID".to_owned(),
        uuid => format!("the SMBIOS UUID {uuid} tells this machine from no other"),
    };
    Some(Outcome::Fails {
        problem: format!("{problem}; disk encryption by nodeID needs a valid one"),
        remedy: REMEDY.to_owned(),
    })
}

fn unusable(config: &TalosConfig, error: &Error) -> Outcome {
    let remedy = error.remedy().unwrap_or_else(|| remedy(config, error));
    Outcome::Fails {
        problem: Chain(error).to_string(),
        remedy: remedy.to_owned(),
    }
}

fn remedy(config: &TalosConfig, error: &Error) -> &'static str {
    match (error, config) {
        (Error::Unreachable { .. } | Error::Deadline { .. }, TalosConfig::Machined { .. }) => {
            "mount machined's socket into the container, see extension/talos-vmtoolsd.yaml"
        }
        (Error::Unreachable { .. } | Error::Deadline { .. }, TalosConfig::Apid { .. }) => {
            "check --talos-node, port 50000 and the firewall between"
        }
        (Error::Tls { .. } | Error::Talosconfig(_), _) => {
            "make a new talosconfig with talosctl config new --roles os:operator"
        }
        (Error::Denied { .. }, TalosConfig::Machined { .. }) => {
            "claim os:operator (--machined-role), from the extension service's own mount namespace"
        }
        (Error::Denied { .. }, TalosConfig::Apid { .. }) => {
            "make a new talosconfig with talosctl config new --roles os:operator"
        }
        (
            Error::Unsupported { .. }
            | Error::Talos { .. }
            | Error::Malformed { .. }
            | Error::OtherMachine { .. }
            | Error::NotProven { .. }
            | Error::NoNode { .. },
            _,
        ) => "look at the node with talosctl; Talos 1.4 or newer is needed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::TalosVersion;

    fn access(read: Result<(), Error>, power: bool) -> Access {
        Access {
            version: TalosVersion {
                tag: "v1.13.0".into(),
                arch: "amd64".into(),
                platform: "vmware".into(),
            },
            roles: vec!["os:reader".into()],
            read,
            power,
        }
    }

    fn denied() -> Error {
        Error::Denied {
            call: "Version",
            role: "os:none".into(),
            message: "not authorized".into(),
        }
    }

    #[test]
    fn full_access_works() {
        let access = access(Ok(()), true);
        assert_eq!(
            api("/machine.sock", &access),
            Outcome::Works("Talos v1.13.0 (amd64, vmware) answers at /machine.sock".into())
        );
        assert_eq!(
            role(&access),
            Outcome::Works("os:reader: may read, reboot and shut down".into())
        );
    }

    #[test]
    fn a_missing_role_is_named() {
        for access in [access(Ok(()), false), access(Err(denied()), true)] {
            assert!(matches!(
                role(&access),
                Outcome::Fails { problem, remedy }
                    if problem.starts_with("os:reader: may") && remedy.contains("os:operator")
            ));
        }
    }

    #[tokio::test]
    async fn trouble_with_settings_is_told_without_a_connection() {
        let (api, role, identity) = checks(&Err(SettingError::NoTalosAccess)).await;
        assert_eq!(identity, None);
        assert!(matches!(api, Outcome::Fails { remedy, .. } if remedy.contains("--use-machined")));
        assert!(matches!(role, Outcome::NotChecked(_)));
        let error = facts(&Err(SettingError::NoTalosAccess)).await.unwrap_err();
        assert_eq!(error.lines().count(), 1);
    }

    #[test]
    fn an_identity_that_many_machines_could_have_fails_with_its_remedy() {
        assert_eq!(identity("564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d"), None);
        for bad in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ] {
            assert!(matches!(
                identity(bad),
                Some(Outcome::Fails { problem, remedy })
                    if problem.contains(bad)
                        && problem.contains("nodeID")
                        && remedy.contains("uuid.bios")
                        && remedy.contains("UUIDOverride")
            ));
        }
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

    #[test]
    fn remedies_differ_by_the_way_to_talos() {
        let machined = TalosConfig::Machined {
            socket: "/s".into(),
            role: "os:operator".into(),
        };
        let apid = TalosConfig::Apid {
            talosconfig: "/c".into(),
            node: None,
        };
        let remedy = |config| match unusable(config, &denied()) {
            Outcome::Fails { remedy, .. } => remedy,
            Outcome::Works(_) | Outcome::NotChecked(_) => String::new(),
        };
        assert!(remedy(&machined).contains("mount namespace"));
        assert!(remedy(&apid).contains("talosctl config new"));
    }
}
