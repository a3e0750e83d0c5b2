//! What only Talos knows, as guest variables `guestinfo.vmtools.talos.*`: see docs/guest-variables.md.
//!
//! ```text
//! info-set guestinfo.vmtools.talos.stage running NUL
//! info-set guestinfo.vmtools.talos.ready true NUL
//! ```
//!
//! `guestinfo.talos.*` goes from the host to the machine: Talos takes its config from `guestinfo.talos.config`, and
//! later releases may look for more there. `guestinfo.vmtools.*` goes from the tools to the host [mainLoop.c]: nothing
//! in there can be taken for a setting of Talos.

use crate::facts::{Etcd, Facts, MachineType, Stage};
use crate::vmware::wire::text::{info_set, line};

use super::topic::Topic;
use super::{Context, Service};

/// Longest value in bytes. Hosts take more, but all variables of a machine share 1 MiB
/// (tools.setInfo.sizeLimit).
const MAX_VALUE: usize = 1024;

/// What stands for a list without names: a host takes no empty value.
const NONE: &str = "none";

/// How a variable gets its value; `None` while Talos has not reported it.
type Value = fn(&Facts) -> Option<String>;

/// Every variable: its key below `guestinfo.`, and its value.
const VARIABLES: &[(&str, Value)] = &[
    ("vmtools.talos.version", |facts| {
        facts.talos.as_ref().and_then(|talos| word(&talos.tag))
    }),
    ("vmtools.talos.stage", |facts| {
        facts.stage.map(|stage| stage.name().to_owned())
    }),
    ("vmtools.talos.ready", |facts| {
        is_ready(facts).map(|ready| ready.to_string())
    }),
    ("vmtools.talos.unmetConditions", |facts| {
        let readiness = facts.node.readiness.as_ref()?;
        Some(list(readiness.unmet_conditions.iter().map(String::as_str)))
    }),
    ("vmtools.talos.machineType", |facts| {
        let machine_type = facts.node.machine_type.map(MachineType::name)?;
        Some(machine_type.to_owned())
    }),
    ("vmtools.talos.nodeName", |facts| {
        facts.node.node_name.as_deref().and_then(word)
    }),
    ("vmtools.talos.cordoned", |facts| {
        facts.cordoned.map(|cordoned| cordoned.to_string())
    }),
    ("vmtools.talos.etcd", |facts| {
        Some(facts.etcd_part?.name().to_owned())
    }),
    ("vmtools.talos.etcdMembers", etcd_members),
    ("vmtools.talos.virtualIPs", |facts| {
        let ips = facts.virtual_ips.as_ref()?.iter();
        let ips: Vec<String> = ips.map(ToString::to_string).collect();
        Some(list(ips.iter().map(String::as_str)))
    }),
    ("vmtools.talos.schematic", |facts| {
        let schematic = facts.node.schematic()?;
        Some(word(schematic).unwrap_or_else(|| NONE.to_owned()))
    }),
    ("vmtools.talos.extensions", |facts| {
        facts.node.extension_names().map(list)
    }),
    ("vmtools.talos.secureBoot", |facts| {
        facts.node.secure_boot.map(|on| on.to_string())
    }),
];

/// The key of what is wrong with the agent, which is no fact of the node.
const PROBLEM: &str = "vmtools.talos.problem";

/// The key of what is known of quiesced snapshots, which is no fact of the node either.
const QUIESCE: &str = "vmtools.talos.quiesce";

/// The key of how far a power operation has come.
pub const POWER: &str = "vmtools.talos.power";

/// Their topics, those of the agent last.
pub(super) fn topics() -> impl Iterator<Item = Topic> {
    let numbered = (0..=VARIABLES.len()).map(Topic::Variable);
    numbered.chain([Topic::Quiesce, Topic::Power, Topic::Vmotion])
}

/// Whether the machine runs and is ready. Talos also calls a machine ready that waits for its config, which is not
/// what readers of `ready` expect.
pub(super) fn is_ready(facts: &Facts) -> Option<bool> {
    let readiness = facts.node.readiness.as_ref()?;
    Some(facts.stage == Some(Stage::Running) && readiness.ready)
}

/// How many members of etcd are there, of how many that vote.
fn etcd_members(facts: &Facts) -> Option<String> {
    if facts.node.machine_type == Some(MachineType::Worker) {
        return Some(NONE.to_owned());
    }
    let Etcd { voters, live } = facts.etcd?;
    Some(format!("{live}/{voters}"))
}

/// A value of one line; `None` when nothing of it is printable.
fn word(text: &str) -> Option<String> {
    Some(line(text, MAX_VALUE)).filter(|word| !word.is_empty())
}

/// Names separated by commas, as many whole names as [`MAX_VALUE`] has room for; [`NONE`] without any.
fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for name in names {
        let name = line(name, MAX_VALUE).replace(',', "");
        let comma = usize::from(!text.is_empty());
        if name.is_empty() {
            continue;
        }
        if text.len() + comma + name.len() > MAX_VALUE {
            break;
        }
        if comma == 1 {
            text.push(',');
        }
        text.push_str(&name);
    }
    if text.is_empty() {
        text.push_str(NONE);
    }
    text
}

/// See the module.
#[derive(Debug)]
pub(super) struct Variables;

impl Variables {
    /// Something else is known of quiesced snapshots.
    pub(super) fn quiesce_changed(&mut self, cx: &mut Context<'_>) {
        if cx.variables {
            let message = word(cx.quiesce).map(|value| info_set(QUIESCE, &value));
            cx.publications.want(Topic::Quiesce, message);
        }
    }
}

impl Service for Variables {
    fn phase_changed(&mut self, cx: &mut Context<'_>) {
        if cx.variables {
            let message = word(&cx.phase.to_string()).map(|value| info_set(POWER, &value));
            cx.publications.want(Topic::Power, message);
        }
    }

    fn forgotten(&mut self, cx: &mut Context<'_>) {
        cx.publications.forget(topics());
        self.facts_changed(cx);
    }

    fn variables_wanted(&mut self, cx: &mut Context<'_>) {
        self.facts_changed(cx);
    }

    fn facts_changed(&mut self, cx: &mut Context<'_>) {
        if !cx.variables {
            return;
        }
        for (variable, (key, value)) in VARIABLES.iter().enumerate() {
            let message = value(cx.facts).map(|value| info_set(key, &value));
            cx.publications.want(Topic::Variable(variable), message);
        }
        self.problem_changed(cx);
        self.quiesce_changed(cx);
        self.phase_changed(cx);
    }

    fn problem_changed(&mut self, cx: &mut Context<'_>) {
        if cx.variables {
            let message = cx
                .problem
                .and_then(word)
                .map(|value| info_set(PROBLEM, &value));
            let topic = Topic::Variable(VARIABLES.len());
            cx.publications.want(topic, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::facts::Readiness;
    use crate::vmware::wire::text::is_unprintable;

    #[test]
    fn no_key_can_be_taken_for_a_setting_of_talos() {
        // What Talos reads [platform/vmware, constants.go], and its kernel argument talos.platform.
        let settings = [
            "talos.config",
            "talos.platform",
            "userdata",
            "metadata",
            "ovfenv",
        ];
        for (key, _) in VARIABLES {
            assert!(key.starts_with("vmtools.talos.") && !settings.contains(key));
        }
    }

    #[test]
    fn the_document_names_every_key_has_an_example_of_each_and_no_others() {
        let document = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/docs/guest-variables.md"
        ));
        let others = [
            "vmtools.description",
            "vmtools.versionString",
            "vmtools.versionNumber",
            "vmtools.buildNumber",
            "vmtools.containerinfo",
            "appInfo",
            "ip",
        ];
        let keys: Vec<_> = VARIABLES
            .iter()
            .map(|(key, _)| *key)
            .chain([PROBLEM, QUIESCE, POWER, super::super::vmotion::VARIABLE])
            .chain(others)
            .collect();
        for key in &keys {
            assert!(document.contains(&format!("`guestinfo.{key}`")), "{key}");
            assert!(document.contains(&format!("\nkey {key} ")), "{key}");
        }
        for named in document.split("vmtools.").skip(1) {
            let named = named
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
                .next()
                .unwrap_or_default();
            // A sentence may end with the name of the group.
            let group = matches!(named, "" | "talos" | "talos.");
            assert!(
                group || keys.contains(&&*format!("vmtools.{named}")),
                "{named}"
            );
        }
    }

    #[test]
    fn only_a_running_machine_is_ready() {
        let facts = |stage, ready| {
            let mut facts = Facts {
                stage: Some(stage),
                ..Facts::default()
            };
            facts.node.readiness = Some(Readiness {
                ready,
                ..Readiness::default()
            });
            facts
        };
        assert_eq!(is_ready(&facts(Stage::Running, true)), Some(true));
        assert_eq!(is_ready(&facts(Stage::Running, false)), Some(false));
        assert_eq!(is_ready(&facts(Stage::Maintenance, true)), Some(false));
        assert_eq!(is_ready(&facts(Stage::Rebooting, true)), Some(false));
        assert_eq!(is_ready(&Facts::default()), None);
    }

    #[test]
    fn names_are_cut_between_names() {
        assert_eq!(list([]), "none");
        assert_eq!(list(["", "\n"]), "none");
        assert_eq!(list(["network", "nodeReady"]), "network,nodeReady");
        assert_eq!(list(["a,b", "", "\n", "c\0d\x1b"]), "ab,cd");
        let long = "x".repeat(600);
        assert_eq!(
            list([long.as_str(), "ok", long.as_str(), "z"]),
            format!("{long},ok")
        );
    }

    proptest! {
        #[test]
        fn any_value_is_one_short_line(text in "(?s).{0,1500}", names in prop::collection::vec("(?s).{0,300}", 0..20)) {
            for value in [word(&text).unwrap_or_else(|| NONE.to_owned()), list(names.iter().map(String::as_str))] {
                prop_assert!((1..=MAX_VALUE).contains(&value.len()));
                prop_assert!(!value.contains(is_unprintable));
            }
        }
    }
}
