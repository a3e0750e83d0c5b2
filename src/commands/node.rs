//! The machine itself, for `talosquery`.

use serde_json::{Value, json};

use crate::facts::{MachineType, Node};

/// Names and values for the table; `None` is what Talos has not said.
pub(super) fn rows(node: &Node) -> [(&'static str, Option<String>); 7] {
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    [
        (
            "ready",
            node.readiness.as_ref().map(|readiness| {
                match (readiness.ready, readiness.unmet_conditions.join(", ")) {
                    (true, _) => "yes".to_owned(),
                    (false, unmet) if unmet.is_empty() => "no".to_owned(),
                    (false, unmet) => format!("no: {unmet}"),
                }
            }),
        ),
        (
            "machine type",
            node.machine_type
                .map(|machine_type| machine_type.name().to_owned()),
        ),
        ("node name", node.node_name.clone()),
        (
            "extensions",
            node.extension_names()
                .map(|names| none_or(names.collect::<Vec<_>>().join(", "))),
        ),
        (
            "schematic",
            node.schematic()
                .map(|schematic| none_or(schematic.to_owned())),
        ),
        ("secure boot", node.secure_boot.map(yes_or_no)),
        (
            "UUID",
            node.system_uuid
                .as_ref()
                .map(|uuid| match node.invalid_uuid() {
                    Some(_) => format!("{} (invalid)", none_or(uuid.clone())),
                    None => uuid.clone(),
                }),
        ),
    ]
}

fn none_or(text: String) -> String {
    if text.is_empty() {
        "none".to_owned()
    } else {
        text
    }
}

/// The same for programs; `null` is what Talos has not said.
pub(super) fn json(node: &Node) -> Value {
    json!({
        "ready": node.readiness.as_ref().map(|readiness| readiness.ready),
        "unmet_conditions": node.readiness.as_ref().map(|readiness| &readiness.unmet_conditions),
        "machine_type": node.machine_type.map(MachineType::name),
        "name": node.node_name,
        "extensions": node.extensions.as_ref().map(|extensions| {
            let version = |extension: &crate::facts::Extension| {
                json!({"name": extension.name, "version": extension.version})
            };
            extensions.iter().map(version).collect::<Vec<_>>()
        }),
        "schematic": node.schematic(),
        "secure_boot": node.secure_boot,
        "uuid": node.system_uuid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Extension, Readiness};

    fn node() -> Node {
        let extension = |name: &str, version: &str| Extension {
            name: name.into(),
            version: version.into(),
        };
        Node {
            readiness: Some(Readiness {
                ready: false,
                unmet_conditions: vec!["network".into(), "nodeReady".into()],
            }),
            machine_type: Some(MachineType::ControlPlane),
            node_name: Some("talos-cp-1".into()),
            extensions: Some(vec![
                extension("iscsi-tools", "v0.1.6"),
                extension("schematic", "376567988ad3"),
            ]),
            secure_boot: Some(false),
            system_uuid: Some(String::new()),
        }
    }

    #[test]
    fn rows_for_people() {
        let rows = rows(&node()).map(|(name, value)| format!("{name}: {}", value.unwrap()));
        assert_eq!(
            rows,
            [
                "ready: no: network, nodeReady",
                "machine type: controlplane",
                "node name: talos-cp-1",
                "extensions: iscsi-tools",
                "schematic: 376567988ad3",
                "secure boot: no",
                "UUID: none (invalid)",
            ]
        );
        let unknown = super::rows(&Node::default());
        assert!(unknown.iter().all(|(_, value)| value.is_none()));
    }

    #[test]
    fn values_for_programs() {
        let value = json(&node());
        assert_eq!(value["ready"], false);
        assert_eq!(value["unmet_conditions"][1], "nodeReady");
        assert_eq!(
            value["extensions"][0],
            json!({"name": "iscsi-tools", "version": "v0.1.6"})
        );
        assert_eq!(value["schematic"], "376567988ad3");
        let unknown = json(&Node::default());
        let object = unknown.as_object().unwrap();
        assert!(object.values().all(Value::is_null), "{unknown}");
    }
}
