//! ResourceDefinitions: what Talos says of its types.
//!
//! [cosi-project/runtime: pkg/resource/meta/spec/rd.go]

use prost::Message;

use crate::proto::cosi::resource::meta::ResourceDefinitionSpec;
use crate::proto::cosi::resource::meta::resource_definition_spec::Sensitivity;
use crate::proto::cosi::resource::{Metadata, Resource, Spec};

/// Their type; namespace `meta`, id is the type in lower case.
pub(crate) const RESOURCE_DEFINITION: &str = "ResourceDefinitions.meta.cosi.dev";

/// Names that Talos gives a type beside those that follow from its own.
const OWN_ALIASES: [(&str, &[&str]); 10] = [
    ("AddressStatuses.net.talos.dev", &["address", "addresses"]),
    ("ExtensionStatuses.runtime.talos.dev", &["extensions"]),
    ("HostnameStatuses.net.talos.dev", &["hostname"]),
    ("LinkStatuses.net.talos.dev", &["link", "links"]),
    ("MetaKeys.runtime.talos.dev", &["meta"]),
    ("MountStatuses.runtime.talos.dev", &["mounts"]),
    ("ResolverStatuses.net.talos.dev", &["resolvers"]),
    ("RouteStatuses.net.talos.dev", &["route", "routes"]),
    ("SBOMItems.talos.dev", &["sbom", "sboms"]),
    ("Services.v1alpha1.talos.dev", &["svc"]),
];

/// The definition of one type.
pub(crate) fn definition(kind: &str, namespace: &str, sensitive: bool) -> Resource {
    let (name, suffix) = kind.split_once('.').unwrap_or((kind, ""));
    let shown = singular(name);
    let own = OWN_ALIASES.iter().find(|(of, _)| *of == kind);
    let own = own.map_or(&[][..], |(_, aliases)| *aliases);
    let mut aliases: Vec<String> = own.iter().map(|&alias| alias.to_owned()).collect();
    aliases.push(shown.to_lowercase());
    let mut all_aliases = vec![name.to_lowercase()];
    let suffixes: Vec<&str> = suffix.split('.').collect();
    for end in 1..suffixes.len() {
        let suffix = suffixes[..end].join(".");
        all_aliases.push(format!("{}.{suffix}", name.to_lowercase()));
    }
    let capitals: String = name.chars().filter(|one| one.is_uppercase()).collect();
    if capitals.len() > 1 {
        aliases.push(capitals.to_lowercase());
        if !capitals.ends_with('S') {
            aliases.push(format!("{}s", capitals.to_lowercase()));
        }
    }
    all_aliases.extend(aliases.iter().cloned());
    let sensitivity = if sensitive {
        Sensitivity::Sensitive
    } else {
        Sensitivity::NonSensitive
    };
    let spec = ResourceDefinitionSpec {
        resource_type: kind.to_owned(),
        display_type: shown.clone(),
        default_namespace: namespace.to_owned(),
        aliases,
        all_aliases,
        sensitivity: sensitivity.into(),
    };
    Resource {
        metadata: Some(Metadata {
            namespace: "meta".to_owned(),
            r#type: RESOURCE_DEFINITION.to_owned(),
            id: kind.to_lowercase(),
            version: "1".to_owned(),
            phase: "running".to_owned(),
            ..Metadata::default()
        }),
        spec: Some(Spec {
            proto_spec: spec.encode_to_vec(),
            yaml_spec: format!(
                "type: {kind}\ndisplayType: {shown}\ndefaultNamespace: {namespace}\n"
            ),
        }),
    }
}

/// One of them.
fn singular(name: &str) -> String {
    for (plural, singular) in [
        ("Statuses", "Status"),
        ("Addresses", "Address"),
        ("ies", "y"),
    ] {
        if let Some(stem) = name.strip_suffix(plural) {
            return format!("{stem}{singular}");
        }
    }
    name.strip_suffix('s').unwrap_or(name).to_owned()
}
