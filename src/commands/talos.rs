//! Talos access for one-shot subcommands: who answers, with which roles, and everything it says.

use std::time::Duration;

use super::etcd;
use crate::config::{SettingError, TalosConfig};
use crate::diagnosis::{Check, Outcome, identity};
use crate::facts::Facts;
use crate::log::Chain;
use crate::proc::{DeviceNames, own_counters};
use crate::talos::{self, Client};

/// How long a user at a keyboard waits; more than the 5 s for which machined may hold a caller
/// that it does not know yet.
const DEADLINE: Duration = Duration::from_secs(15);

/// Asks Talos for everything that is reported, and for what it refuses, a line each; the error is one line. Without
/// an answer to a question that is asked beside the resources, the file systems or the members of etcd are not known.
pub(super) async fn facts(
    config: &Result<TalosConfig, SettingError>,
) -> Result<(Facts, Vec<String>), String> {
    let config = config.as_ref().map_err(|error| Chain(error).to_string())?;
    let client = Client::new(config, own_counters).map_err(|error| Chain(&error).to_string())?;
    let facts = talos::query(&client, DEADLINE).await;
    let mut facts = facts.map_err(|error| client.in_words(&error))?;
    facts.storage.spaces = client.mounts().await.ok();
    etcd::look(&client, &mut facts).await;
    DeviceNames::default().complete(&mut facts.storage);
    Ok((facts, refusals(&client.checks().borrow())))
}

/// What Talos should serve and does not.
fn refusals(checks: &[Check]) -> Vec<String> {
    let line = |check: &Check| match &check.outcome {
        Outcome::Fails { problem, remedy } if check.name == "api" => {
            Some(format!("{problem}; {remedy}"))
        }
        Outcome::Fails { .. } | Outcome::Works(_) | Outcome::NotChecked(_) => None,
    };
    checks.iter().filter_map(line).collect()
}

/// What was seen of Talos.
#[derive(Default)]
pub(super) struct Seen {
    /// The Talos API, the role, and the machine's identity if there is something wrong with it.
    pub(super) checks: Vec<Check>,
    /// What it reports.
    pub(super) facts: Facts,
    /// The way to it.
    pub(super) client: Option<Client>,
}

/// Looks at Talos.
pub(super) async fn look(config: &Result<TalosConfig, SettingError>) -> Seen {
    let without = |checks| Seen {
        checks,
        ..Seen::default()
    };
    let config = match config {
        Ok(config) => config,
        Err(error) => return without(talos::unconfigured(error)),
    };
    let client = match Client::new(config, own_counters) {
        Ok(client) => client,
        Err(error) => return without(talos::no_endpoint(Chain(&error).to_string())),
    };
    let (mut checks, mut facts) = talos::check(&client, DEADLINE).await;
    checks.extend(facts.node.system_uuid.as_deref().and_then(identity));
    etcd::look(&client, &mut facts).await;
    DeviceNames::default().complete(&mut facts.storage);
    Seen {
        checks,
        facts,
        client: Some(client),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn trouble_with_settings_is_told_without_a_connection() {
        let checks = look(&Err(SettingError::NoTalosAccess)).await.checks;
        let outcomes: Vec<_> = checks.iter().map(|check| &check.outcome).collect();
        assert!(matches!(
            outcomes[..],
            [Outcome::Fails { remedy, .. }, Outcome::NotChecked(_)] if remedy.contains("--use-machined")
        ));
        let error = facts(&Err(SettingError::NoTalosAccess)).await.unwrap_err();
        assert_eq!(error.lines().count(), 1);
    }
}
