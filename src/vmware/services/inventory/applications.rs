//! What of a node is an application, and in which version.
//!
//! First what an administrator looks for: Talos, Kubernetes, containerd. Then Talos' services, and the system extensions
//! that are in the boot image. A service's version is the tag of its image; one that is a part of Talos has Talos' own;
//! where neither is known there is none, rather than a wrong one.

use std::collections::BTreeSet;

use crate::facts::Facts;
use crate::inquiry::Software;
use crate::vmware::wire::text::line;

/// Longest name or version, in bytes.
const LONGEST: usize = 128;

/// Services that are a part of Talos and released with it.
const OF_TALOS: [&str; 7] = [
    "apid",
    "auditd",
    "dashboard",
    "machined",
    "registryd",
    "syslogd",
    "trustd",
];
/// Services that are a containerd.
const CONTAINERDS: [&str; 2] = ["containerd", "cri"];
/// What system extensions' services are called.
const EXTENSION: &str = "ext-";

/// Names and versions, each pair once.
pub(super) fn of(software: &Software, facts: &Facts) -> Vec<(String, String)> {
    let talos = facts.talos.as_ref().map(|talos| talos.tag.as_str());
    let kubernetes = tag_of("kubelet", software);
    let containerd = software.containerd.as_deref();
    let first = [
        ("Talos", talos),
        ("Kubernetes", kubernetes),
        ("containerd", containerd),
    ];
    let first = first
        .into_iter()
        .filter_map(|(name, version)| Some((name, version?)));
    let extensions = facts.node.extension_names().into_iter().flatten();
    let extensions = extensions.map(|name| (name, extension(name, facts).unwrap_or_default()));
    let services = software.services.iter().map(|id| {
        let version = match id.as_str() {
            id if OF_TALOS.contains(&id) => talos,
            id if CONTAINERDS.contains(&id) => containerd,
            id => match id.strip_prefix(EXTENSION) {
                Some(name) => extension(name, facts),
                None => tag_of(id, software),
            },
        };
        (id.as_str(), version.unwrap_or_default())
    });
    let mut known = BTreeSet::new();
    first
        .chain(services)
        .chain(extensions)
        .map(|(name, version)| (line(name, LONGEST), line(number(version), LONGEST)))
        .filter(|row| !row.0.is_empty() && known.insert(row.clone()))
        .collect()
}

/// The version of a system extension.
fn extension<'a>(name: &str, facts: &'a Facts) -> Option<&'a str> {
    let mut extensions = facts.node.extensions.iter().flatten();
    let extension = extensions.find(|extension| extension.name == name)?;
    Some(&extension.version)
}

/// The tag of a service's image.
fn tag_of<'a>(service: &str, software: &'a Software) -> Option<&'a str> {
    let mut containers = software.containers.iter();
    let container =
        containers.find(|container| container.namespace == "system" && container.id == service)?;
    tag(&container.image)
}

/// The tag in the reference of an image; a port of its registry is none.
fn tag(image: &str) -> Option<&str> {
    let (image, _digest) = image.split_once('@').unwrap_or((image, ""));
    let name = image.rsplit('/').next()?;
    // Without a name there is only a digest: `sha256:…`.
    let (name, tag) = name.split_once(':')?;
    (name != "sha256" && !tag.is_empty()).then_some(tag)
}

/// A version without the `v` before its number: other inventories have none.
fn number(version: &str) -> &str {
    match version.strip_prefix('v') {
        Some(number) if number.starts_with(|c: char| c.is_ascii_digit()) => number,
        _ => version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Extension, TalosVersion};
    use crate::inquiry::Container;

    fn container(namespace: &str, id: &str, image: &str) -> Container {
        Container {
            namespace: namespace.into(),
            id: id.into(),
            image: image.into(),
        }
    }

    fn facts() -> Facts {
        let mut facts = Facts {
            talos: Some(TalosVersion {
                tag: "v1.14.1".into(),
                ..TalosVersion::default()
            }),
            ..Facts::default()
        };
        let extension = |name: &str, version: &str| Extension {
            name: name.into(),
            version: version.into(),
        };
        facts.node.extensions = Some(vec![
            extension("iscsi-tools", "v0.2.0"),
            extension("schematic", "376567988ad3"),
        ]);
        facts
    }

    #[test]
    fn a_control_plane_and_what_runs_on_it() {
        let services = [
            "apid",
            "containerd",
            "cri",
            "etcd",
            "ext-iscsi-tools",
            "ext-other",
            "kubelet",
            "udevd",
        ];
        let software = Software {
            services: services.map(str::to_owned).to_vec(),
            containers: vec![
                container("system", "etcd", "gcr.io/etcd-development/etcd:v3.6.4"),
                container(
                    "system",
                    "kubelet",
                    "reg.example:5000/kubelet:v1.36.0-fat@sha256:12ab",
                ),
                container("k8s.io", "kubelet", "no/kubelet:v9"),
            ],
            containerd: Some("v2.1.4".into()),
            is_partial: false,
        };
        let rows = of(&software, &facts());
        let rows: Vec<_> = rows.iter().map(|(a, v)| (a.as_str(), v.as_str())).collect();
        assert_eq!(
            rows,
            [
                ("Talos", "1.14.1"),
                ("Kubernetes", "1.36.0-fat"),
                ("containerd", "2.1.4"),
                ("apid", "1.14.1"),
                ("cri", "2.1.4"),
                ("etcd", "3.6.4"),
                ("ext-iscsi-tools", "0.2.0"),
                ("ext-other", ""),
                ("kubelet", "1.36.0-fat"),
                ("udevd", ""),
                ("iscsi-tools", "0.2.0"),
            ]
        );
    }

    #[test]
    fn what_is_not_known_has_no_version_or_no_row() {
        let software = Software {
            services: ["containerd", "kubelet", "machined", "\0"]
                .map(str::to_owned)
                .to_vec(),
            ..Software::default()
        };
        let rows = of(&software, &Facts::default());
        let rows: Vec<_> = rows.iter().map(|(a, v)| (a.as_str(), v.as_str())).collect();
        assert_eq!(
            rows,
            [("containerd", ""), ("kubelet", ""), ("machined", "")]
        );
    }

    #[test]
    fn a_tag_is_what_stands_behind_the_name() {
        for (image, expected) in [
            ("registry.k8s.io/pause:3.10", Some("3.10")),
            ("etcd:v3.6.4", Some("v3.6.4")),
            ("reg:5000/a/b:1@sha256:00ff", Some("1")),
            ("reg:5000/a/b", None),
            ("reg:5000/a/b@sha256:00ff", None),
            ("sha256:00ff", None),
            ("talos/apid", None),
            ("a:", None),
            ("", None),
        ] {
            assert_eq!(tag(image), expected, "{image}");
        }
        assert_eq!(
            (number("v1.2"), number("vanilla"), number("")),
            ("1.2", "vanilla", "")
        );
    }
}
