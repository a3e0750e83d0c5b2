//! What Talos reports of the machine itself: its health, its role, its boot image.

use super::Stage;

/// Facts beside name, network and version. `None` means not known yet, as in [`super::Facts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Whether the machine is ready at its stage, from the same MachineStatus as [`super::Facts::stage`].
    pub readiness: Option<Readiness>,
    /// The machine's role in its cluster, from MachineType.
    pub machine_type: Option<MachineType>,
    /// Name of the Kubernetes node, from Nodename.
    pub node_name: Option<String>,
    /// System extensions in the boot image, from ExtensionStatus, by name; known once the watch has been
    /// bootstrapped. The image factory's schematic is one of them.
    pub extensions: Option<Vec<Extension>>,
    /// Whether the machine has booted with Secure Boot, from SecurityState.
    pub secure_boot: Option<bool>,
    /// The machine's UUID as Talos uses it: SMBIOS', or the one of the META key UUIDOverride; from
    /// SystemInformation. Empty when the firmware has none.
    pub system_uuid: Option<String>,
}

impl Node {
    /// Whether it is a control plane; not where its type is not known.
    pub fn is_control_plane(&self) -> bool {
        self.machine_type.is_some_and(MachineType::is_control_plane)
    }

    /// Id of the image factory's schematic; empty when the boot image has none.
    pub fn schematic(&self) -> Option<&str> {
        let extensions = self.extensions.as_ref()?;
        let schematic = extensions
            .iter()
            .find(|extension| extension.name == SCHEMATIC);
        Some(schematic.map_or("", |extension| &extension.version))
    }

    /// Names of the system extensions, without the layers that only look like some.
    pub fn extension_names(&self) -> Option<impl Iterator<Item = &str>> {
        let extensions = self.extensions.as_ref()?;
        let names = extensions.iter().map(|extension| extension.name.as_str());
        Some(names.filter(|name| !VIRTUAL.contains(name)))
    }

    /// The UUID, if it is one that no machine should have.
    pub fn invalid_uuid(&self) -> Option<&str> {
        self.system_uuid
            .as_deref()
            .filter(|uuid| !is_valid_uuid(uuid))
    }
}

/// Name of the extension in which the image factory notes the schematic
/// (ImageFactorySchematicExtensionName).
const SCHEMATIC: &str = "schematic";

/// Layers of the boot image that Talos lists as extensions and nobody has installed: the image factory's schematic
/// [image-factory, constants.go], the index of all extensions' kernel modules [internal/pkg/extensions,
/// kernel_modules.go], and a machine config in the image [pkg/imager, embed.go]. Talos 1.14 has no others.
const VIRTUAL: [&str; 3] = [SCHEMATIC, "modules.dep", "embedded-config"];

/// Whether a UUID distinguishes machines. Empty, all zeros and all ones do not; Talos' nodeID disk
/// encryption refuses every UUID of which one character makes up more than half [keys/nodeid.go], and so
/// do we.
pub fn is_valid_uuid(uuid: &str) -> bool {
    let count = |wanted: char| uuid.chars().filter(|&found| found == wanted).count();
    !uuid.is_empty() && uuid.chars().all(|one| count(one) <= uuid.len() / 2)
}

/// Whether the machine is ready at its stage (MachineStatus `status`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Whether all conditions are met. Always true at stages without conditions, such as maintenance.
    pub ready: bool,
    /// Names of the conditions that are not met, in Talos' order: `time`, `network`, `services` …
    pub unmet_conditions: Vec<String>,
}

/// The machine's role in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineType {
    /// 1: the first control plane node of an old cluster.
    Init,
    /// 2
    ControlPlane,
    /// 3
    Worker,
}

impl MachineType {
    /// Whether a member of etcd runs on it.
    pub const fn is_control_plane(self) -> bool {
        matches!(self, Self::Init | Self::ControlPlane)
    }

    /// Talos' name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::ControlPlane => "controlplane",
            Self::Worker => "worker",
        }
    }
}

impl Stage {
    /// Talos' name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Booting => "booting",
            Self::Installing => "installing",
            Self::Maintenance => "maintenance",
            Self::Running => "running",
            Self::Rebooting => "rebooting",
            Self::ShuttingDown => "shutting down",
            Self::Resetting => "resetting",
            Self::Upgrading => "upgrading",
        }
    }
}

/// A system extension in the boot image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extension {
    /// Name in its manifest, such as `talos-vmtoolsd-guest-agent`.
    pub name: String,
    /// Version in its manifest.
    pub version: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_that_many_machines_could_have_is_invalid() {
        for (uuid, valid) in [
            ("", false),
            ("00000000-0000-0000-0000-000000000000", false),
            ("ffffffff-ffff-ffff-ffff-ffffffffffff", false),
            ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", false),
            ("11111111-1111-1111-1111-111111111111", false),
            ("00000000-0000-0000-0000-0cc47a123456", false),
            ("0", false),
            ("564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d", true),
            ("42000000-0000-1111-2222-333344445555", true),
        ] {
            assert_eq!(is_valid_uuid(uuid), valid, "{uuid:?}");
        }
        let node = Node::default();
        assert_eq!(node.invalid_uuid(), None, "not known is not wrong");
    }

    #[test]
    fn virtual_layers_are_no_extensions() {
        let names = ["embedded-config", "iscsi-tools", "modules.dep", "schematic"];
        let node = Node {
            extensions: Some(
                names
                    .map(|name| Extension {
                        name: name.into(),
                        version: "v1".into(),
                    })
                    .to_vec(),
            ),
            ..Node::default()
        };
        let names: Vec<_> = node.extension_names().unwrap().collect();
        assert_eq!(names, ["iscsi-tools"]);
    }

    #[test]
    fn the_schematic_is_no_extension_of_its_own() {
        let extension = |name: &str, version: &str| Extension {
            name: name.into(),
            version: version.into(),
        };
        let names = |node: &Node| {
            let names = node.extension_names()?;
            Some(names.map(str::to_owned).collect::<Vec<_>>())
        };
        let mut node = Node::default();
        assert_eq!((node.schematic(), names(&node)), (None, None));
        node.extensions = Some(vec![extension("iscsi-tools", "v0.1.6")]);
        assert_eq!(node.schematic(), Some(""));
        node.extensions = Some(vec![
            extension("iscsi-tools", "v0.1.6"),
            extension("schematic", "376567988ad3"),
        ]);
        assert_eq!(node.schematic(), Some("376567988ad3"));
        assert_eq!(names(&node), Some(vec!["iscsi-tools".to_owned()]));
    }
}
