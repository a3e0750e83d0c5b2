//! What a reload changes: the settings that count at once, and those that wait for a restart.

use super::Config;
use super::draft::Draft;
use super::setting::Applied;
use super::table::SETTINGS;

/// What becomes of a configuration that was read while the agent runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What counts now: the new settings, but the old ones where only a restart applies a change.
    pub config: Config,
    /// Keys of the settings that have changed and wait for a restart, such as `host.transport`.
    pub restart: Vec<&'static str>,
}

/// Takes over what can change while the agent runs.
pub fn plan(old: &Config, new: Config) -> Plan {
    let old = Draft::from(old.clone());
    let mut next = Draft::from(new);
    let restart = SETTINGS
        .iter()
        .filter(|setting| setting.applied == Applied::OnRestart)
        .filter_map(|setting| setting.keep(&mut next, &old).then_some(setting.key)?)
        .collect();
    Plan {
        config: next.config,
        restart,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::tests::changed;
    use crate::config::{SandboxMode, TransportChoice};
    use std::time::Duration;
    use tracing::Level;

    fn defaults() -> Config {
        Draft::new().finish(None)
    }

    #[test]
    fn nothing_new_changes_nothing() {
        let Plan { config, restart } = plan(&defaults(), defaults());
        assert_eq!((config, restart), (defaults(), vec![]));
    }

    #[test]
    fn each_setting_counts_when_its_row_says() {
        for setting in SETTINGS {
            let new = changed(setting).finish(None);
            let plan = plan(&defaults(), new.clone());
            let (config, restart) = match (setting.applied, setting.key) {
                (Applied::OnRestart, Some(key)) => (defaults(), vec![key]),
                _ => (new, vec![]),
            };
            assert_eq!(plan, Plan { config, restart }, "{:?}", setting.key);
        }
    }

    #[test]
    fn a_change_of_both_kinds_is_taken_apart() {
        let mut new = defaults();
        new.host.transport = TransportChoice::Vsock;
        new.host.idle_off_vmware = true;
        new.sandbox = SandboxMode::Off;
        new.log.level = Level::TRACE;
        new.power.deadline = Duration::from_secs(5);
        new.network.report_vips = true;
        let Plan { config, restart } = plan(&defaults(), new.clone());
        assert_eq!(
            restart,
            ["host.transport", "host.idle_off_vmware", "sandbox.mode"]
        );
        let now = Config {
            host: defaults().host,
            sandbox: defaults().sandbox,
            ..new
        };
        assert_eq!(config, now);
    }
}
