//! What types of resources there are: their names, their namespace, and whether they are secret.

use tonic::Code;

use super::ask::Ask;
use super::trouble;
use crate::inquiry::{ResourceType, Trouble, TroubleKind};
use crate::talos::facts::Kind;
use crate::talos::proto::cosi::resource::meta::ResourceDefinitionSpec;
use crate::talos::proto::cosi::resource::meta::resource_definition_spec::Sensitivity;
use crate::talos::proto::cosi::resource::{GetRequest, ListRequest, Resource};

/// The type of the definitions.
const DEFINITIONS: Kind = Kind {
    namespace: "meta",
    kind: "ResourceDefinitions.meta.cosi.dev",
};

/// A type of resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Definition {
    /// Its whole name.
    pub(super) name: String,
    /// What people call one of them.
    pub(super) shown: String,
    /// Where they are.
    pub(super) namespace: String,
    /// All other names for it.
    aliases: Vec<String>,
    /// Those of them that people see.
    shown_aliases: Vec<String>,
    /// Whether the contents are secret. We never serve those, whatever our role.
    is_sensitive: bool,
}

impl Definition {
    fn of(resource: Option<Resource>) -> Option<Self> {
        let spec = resource?.spec?.proto_spec;
        let spec: ResourceDefinitionSpec = prost::Message::decode(spec.as_slice()).ok()?;
        Some(Self {
            is_sensitive: spec.sensitivity != i32::from(Sensitivity::NonSensitive),
            name: spec.resource_type,
            shown: spec.display_type,
            namespace: spec.default_namespace,
            aliases: spec.all_aliases,
            shown_aliases: spec.aliases,
        })
    }

    /// Whether a word names it; not its whole name.
    fn is_called(&self, word: &str) -> bool {
        let is = |name: &str| name.eq_ignore_ascii_case(word);
        let first = self.name.split('.').next().unwrap_or_default();
        is(first) || is(&self.shown) || self.aliases.iter().any(|alias| is(alias))
    }

    fn is_named(&self, word: &str) -> bool {
        self.name.eq_ignore_ascii_case(word)
    }

    /// The same, unless it is secret.
    fn open(self) -> Result<Self, Trouble> {
        if self.is_sensitive {
            let text = format!("{} is sensitive; the agent never shows it", self.name);
            return Err(trouble::new(
                TroubleKind::Denied,
                Code::PermissionDenied,
                text,
            ));
        }
        Ok(self)
    }
}

/// Those that may be shown.
pub(super) fn open(definitions: Vec<Definition>) -> Vec<ResourceType> {
    let open = definitions
        .into_iter()
        .filter(|definition| !definition.is_sensitive);
    let mut open: Vec<ResourceType> = open
        .map(|definition| ResourceType {
            name: definition.name,
            namespace: definition.namespace,
            aliases: definition.shown_aliases,
        })
        .collect();
    open.sort_by(|one, other| one.name.cmp(&other.name));
    open
}

/// All of them.
pub(super) async fn all(ask: &Ask) -> Result<Vec<Definition>, Trouble> {
    let request = ask.client.request(ListRequest {
        namespace: DEFINITIONS.namespace.to_owned(),
        r#type: DEFINITIONS.kind.to_owned(),
        options: None,
    });
    let stream = ask
        .state(DEFINITIONS.kind, |mut state| async move {
            state.list(request).await
        })
        .await?;
    let mut messages = ask.messages(DEFINITIONS.kind, stream);
    let mut definitions = Vec::new();
    while let Some(message) = messages.message().await? {
        definitions.extend(Definition::of(message.resource));
    }
    Ok(definitions)
}

/// The type of this whole name, whatever its case.
async fn named(ask: &Ask, name: &str) -> Result<Option<Definition>, Trouble> {
    let request = ask.client.request(GetRequest {
        namespace: DEFINITIONS.namespace.to_owned(),
        r#type: DEFINITIONS.kind.to_owned(),
        id: name.to_lowercase(),
        options: None,
    });
    let answer = ask
        .state(DEFINITIONS.kind, |mut state| async move {
            state.get(request).await
        })
        .await;
    match answer {
        Ok(answer) => Ok(Definition::of(answer.resource)),
        Err(trouble) if trouble.kind == TroubleKind::NotFound => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

/// The type that is meant, if it may be shown.
pub(super) async fn find(ask: &Ask, kind: &str) -> Result<Definition, Trouble> {
    if kind.contains('.')
        && let Some(definition) = named(ask, kind).await?
    {
        return definition.open();
    }
    choose(all(ask).await?, kind)
}

/// The type of this whole name, if it may be shown.
pub(super) async fn find_named(ask: &Ask, name: &str) -> Result<Definition, Trouble> {
    match named(ask, name).await? {
        Some(definition) => definition.open(),
        None => Err(unknown(name)),
    }
}

fn choose(definitions: Vec<Definition>, kind: &str) -> Result<Definition, Trouble> {
    let (mut named, others): (Vec<_>, Vec<_>) = definitions
        .into_iter()
        .partition(|definition| definition.is_named(kind));
    if let Some(definition) = named.pop() {
        return definition.open();
    }
    let mut called: Vec<Definition> = others
        .into_iter()
        .filter(|definition| definition.is_called(kind))
        .collect();
    match (called.pop(), called.is_empty()) {
        (None, _) => Err(unknown(kind)),
        (Some(definition), true) => definition.open(),
        (Some(definition), false) => {
            called.push(definition);
            let mut names: Vec<&str> = called.iter().map(|one| one.name.as_str()).collect();
            names.sort_unstable();
            Err(trouble::new(
                TroubleKind::Failed,
                Code::InvalidArgument,
                format!("{kind} may be any of {}", names.join(", ")),
            ))
        }
    }
}

fn unknown(kind: &str) -> Trouble {
    trouble::not_found(format!("there is no resource type {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(name: &str, aliases: &[&str]) -> Definition {
        let first = name.split('.').next().unwrap();
        Definition {
            name: name.to_owned(),
            shown: first.strip_suffix("es").unwrap_or(first).to_owned(),
            namespace: "network".to_owned(),
            aliases: aliases.iter().map(|&alias| alias.to_owned()).collect(),
            shown_aliases: Vec::new(),
            is_sensitive: name.contains("Secret"),
        }
    }

    fn all() -> Vec<Definition> {
        vec![
            definition("AddressStatuses.net.talos.dev", &["addresses", "as"]),
            definition("AddressSpecs.net.talos.dev", &["as"]),
            definition("MountStatuses.block.talos.dev", &[]),
            definition("MountStatuses.runtime.talos.dev", &["mounts"]),
            definition("OSRootSecrets.secrets.talos.dev", &["osrs"]),
        ]
    }

    fn found(kind: &str) -> String {
        choose(all(), kind).unwrap().name
    }

    #[test]
    fn a_type_is_found_by_all_its_names_whatever_their_case() {
        for kind in [
            "AddressStatuses.net.talos.dev",
            "addressstatuses.NET.talos.dev",
            "AddressStatus",
            "ADDRESSES",
            "addressstatuses",
        ] {
            assert_eq!(found(kind), "AddressStatuses.net.talos.dev", "{kind}");
        }
        assert_eq!(found("mounts"), "MountStatuses.runtime.talos.dev");
    }

    #[test]
    fn what_may_be_several_types_is_refused_and_they_are_named() {
        for (kind, names) in [
            (
                "as",
                "AddressSpecs.net.talos.dev, AddressStatuses.net.talos.dev",
            ),
            (
                "mountstatuses",
                "MountStatuses.block.talos.dev, MountStatuses.runtime.talos.dev",
            ),
        ] {
            let trouble = choose(all(), kind).unwrap_err();
            assert_eq!(trouble.text, format!("{kind} may be any of {names}"));
        }
        let trouble = choose(all(), "nothing").unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::NotFound);
        assert_eq!(trouble.text, "there is no resource type nothing");
    }

    #[test]
    fn a_sensitive_type_is_refused_by_each_of_its_names_and_not_listed() {
        for kind in ["osrs", "OSRootSecrets", "osrootsecrets.secrets.talos.dev"] {
            let trouble = choose(all(), kind).unwrap_err();
            assert_eq!(trouble.kind, TroubleKind::Denied, "{kind}");
        }
        let names: Vec<_> = open(all()).into_iter().map(|open| open.name).collect();
        assert_eq!(names.len(), 4);
        assert!(names.is_sorted() && !names.iter().any(|name| name.contains("Secret")));
    }

    #[test]
    fn a_sensitivity_of_the_future_counts_as_sensitive() {
        let of = |sensitivity| {
            let spec = ResourceDefinitionSpec {
                resource_type: "A.b".to_owned(),
                sensitivity,
                ..ResourceDefinitionSpec::default()
            };
            let spec = crate::talos::proto::cosi::resource::Spec {
                proto_spec: prost::Message::encode_to_vec(&spec),
                ..Default::default()
            };
            let resource = Resource {
                spec: Some(spec),
                ..Resource::default()
            };
            Definition::of(Some(resource)).unwrap().is_sensitive
        };
        assert_eq!([0, 1, 7].map(of), [false, true, true]);
    }
}
