//! What ReadEnvironmentVariable shows: what is known of the node, and nothing of the process's own.

use crate::facts::{Facts, HostName};

/// Names and values, those that are known.
pub(super) fn environment(facts: &Facts) -> Vec<(&'static str, String)> {
    let node = &facts.node;
    let ready = node.readiness.as_ref();
    let known = [
        (
            "TALOS_VERSION",
            facts.talos.as_ref().map(|talos| talos.tag.clone()),
        ),
        (
            "TALOS_STAGE",
            facts.stage.map(|stage| stage.name().to_owned()),
        ),
        (
            "TALOS_MACHINE_TYPE",
            node.machine_type.map(|machine| machine.name().to_owned()),
        ),
        ("TALOS_READY", ready.map(|ready| ready.ready.to_string())),
        ("TALOS_NODE_NAME", node.node_name.clone()),
        ("HOSTNAME", facts.host_name.as_ref().map(HostName::fqdn)),
    ];
    known
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{MachineType, Readiness, Stage, TalosVersion};

    #[test]
    fn only_what_is_known_stands_in_the_environment() {
        assert_eq!(environment(&Facts::default()), []);
        let mut facts = Facts {
            stage: Some(Stage::Running),
            ..Facts::default()
        };
        assert_eq!(environment(&facts), [("TALOS_STAGE", "running".to_owned())]);
        facts.talos = Some(TalosVersion {
            tag: "v1.13.0".to_owned(),
            ..TalosVersion::default()
        });
        facts.host_name = Some(HostName {
            host: "cp1".to_owned(),
            domain: "example.org".to_owned(),
        });
        facts.node.machine_type = Some(MachineType::ControlPlane);
        facts.node.node_name = Some("cp1".to_owned());
        facts.node.readiness = Some(Readiness::default());
        let shown: Vec<String> = environment(&facts)
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            shown,
            [
                "TALOS_VERSION=v1.13.0",
                "TALOS_STAGE=running",
                "TALOS_MACHINE_TYPE=controlplane",
                "TALOS_READY=false",
                "TALOS_NODE_NAME=cp1",
                "HOSTNAME=cp1.example.org",
            ]
        );
    }
}
