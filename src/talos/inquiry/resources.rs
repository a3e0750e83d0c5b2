//! Resources as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::ask::Ask;
use super::definitions::{self, Definition};
use super::table::Table;
use super::trouble;
use crate::inquiry::{Form, ResourceType, Trouble, TroubleKind};
use crate::talos::proto::cosi::resource::{GetRequest, ListRequest, Metadata, Resource};
use crate::talos::proto::google::protobuf::Timestamp;

/// The types that os:reader may read.
pub(super) async fn types(ask: &Ask) -> Result<Vec<ResourceType>, Trouble> {
    definitions::all(ask).await.map(definitions::open)
}

/// Sends the resources of a type, or one of them.
pub(super) async fn show(
    ask: &mut Ask,
    kind: &str,
    id: Option<&str>,
    form: Form,
) -> Result<(), Trouble> {
    let definition = definitions::find(ask, kind).await?;
    let mut text = Text::new(form);
    match id {
        Some(id) => {
            let resource = one(ask, &definition, id).await?;
            text.add(&definition, resource.unwrap_or_default());
        }
        None => {
            const CALL: &str = "List";
            let request = ask.client.request(ListRequest {
                namespace: definition.namespace.clone(),
                r#type: definition.name.clone(),
                options: None,
            });
            let stream = ask
                .state(CALL, |mut state| async move { state.list(request).await })
                .await?;
            let mut messages = ask.messages(CALL, stream);
            while let Some(message) = messages.message().await? {
                text.add(&definition, message.resource.unwrap_or_default());
                if let Some(document) = text.take() {
                    ask.outlet.text(&document).await?;
                }
            }
        }
    }
    ask.outlet.text(&text.end()).await
}

async fn one(ask: &Ask, definition: &Definition, id: &str) -> Result<Option<Resource>, Trouble> {
    let request = ask.client.request(GetRequest {
        namespace: definition.namespace.clone(),
        r#type: definition.name.clone(),
        id: id.to_owned(),
        options: None,
    });
    let answer = ask
        .state("Get", |mut state| async move { state.get(request).await })
        .await;
    match answer {
        Ok(answer) => Ok(answer.resource),
        Err(Trouble {
            kind: TroubleKind::NotFound,
            ..
        }) => Err(trouble::not_found(format!(
            "there is no {} {id}",
            definition.shown
        ))),
        Err(trouble) => Err(trouble),
    }
}

/// What has become of the resources so far.
#[derive(Debug)]
enum Text {
    /// Documents that are to be sent, and whether there was one before.
    Yaml(String, bool),
    Table(Table<4>),
}

impl Text {
    fn new(form: Form) -> Self {
        match form {
            Form::Yaml => Self::Yaml(String::new(), false),
            Form::Table => Self::Table(Table::new(["NAMESPACE", "TYPE", "ID", "VERSION"])),
        }
    }

    fn add(&mut self, definition: &Definition, resource: Resource) {
        let metadata = resource.metadata.unwrap_or_default();
        match self {
            Self::Yaml(text, is_further) => {
                if std::mem::replace(is_further, true) {
                    text.push_str("---\n");
                }
                let spec = resource.spec.unwrap_or_default().yaml_spec;
                document(text, &metadata, &spec);
            }
            Self::Table(table) => table.add([
                metadata.namespace,
                definition.shown.clone(),
                metadata.id,
                metadata.version,
            ]),
        }
    }

    /// What can be sent already.
    fn take(&mut self) -> Option<String> {
        match self {
            Self::Yaml(text, _) => Some(std::mem::take(text)),
            Self::Table(_) => None,
        }
    }

    fn end(self) -> String {
        match self {
            Self::Yaml(text, _) => text,
            Self::Table(table) => table.text(),
        }
    }
}

/// One document. Writing to a string does not fail.
fn document(text: &mut String, metadata: &Metadata, spec: &str) {
    text.push_str("metadata:\n");
    let fields = [
        ("namespace", scalar(&metadata.namespace)),
        ("type", scalar(&metadata.r#type)),
        ("id", scalar(&metadata.id)),
        ("version", number_or_scalar(&metadata.version)),
        ("owner", scalar(&metadata.owner)),
        ("phase", scalar(&metadata.phase)),
    ];
    for (name, value) in fields {
        let _ = writeln!(text, "    {name}: {value}");
    }
    for (name, time) in [
        ("created", &metadata.created),
        ("updated", &metadata.updated),
    ] {
        if let Some(time) = time {
            let _ = writeln!(text, "    {name}: {}", stamp(time));
        }
    }
    for (name, map) in [
        ("labels", &metadata.labels),
        ("annotations", &metadata.annotations),
    ] {
        pairs(text, name, map);
    }
    if !metadata.finalizers.is_empty() {
        text.push_str("    finalizers:\n");
        for finalizer in &metadata.finalizers {
            let _ = writeln!(text, "        - {}", scalar(finalizer));
        }
    }
    if spec.trim().is_empty() {
        text.push_str("spec: {}\n");
        return;
    }
    text.push_str("spec:\n");
    for line in spec.lines() {
        if !line.is_empty() {
            let _ = write!(text, "    {line}");
        }
        text.push('\n');
    }
}

fn pairs(text: &mut String, name: &str, map: &BTreeMap<String, String>) {
    if map.is_empty() {
        return;
    }
    let _ = writeln!(text, "    {name}:");
    for (key, value) in map {
        let _ = writeln!(text, "        {}: {}", scalar(key), scalar(value));
    }
}

/// A time of Talos, in UTC.
pub(super) fn stamp(time: &Timestamp) -> String {
    let seconds = u64::try_from(time.seconds).unwrap_or(0);
    let nanos = u32::try_from(time.nanos)
        .unwrap_or(0)
        .min(1_000_000_000 - 1);
    crate::log::rfc3339(std::time::Duration::new(seconds, nanos))
}

fn number_or_scalar(text: &str) -> String {
    match text.parse::<u64>() {
        Ok(number) => number.to_string(),
        Err(_) => scalar(text),
    }
}

/// A string as YAML, in quotes where it could be taken for something else.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 10] = [
        "true", "false", "null", "yes", "no", "on", "off", "y", "n", "~",
    ];
    let begins_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    let is_plain = begins_well
        && !text.ends_with(':')
        && text
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || "-_./:@".contains(one))
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is_plain {
        text.to_owned()
    } else {
        // JSON's strings are YAML's.
        serde_json::Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(id: &str) -> Metadata {
        Metadata {
            namespace: "network".to_owned(),
            r#type: "HostnameStatuses.net.talos.dev".to_owned(),
            id: id.to_owned(),
            version: "3".to_owned(),
            owner: "network.HostnameSpecController".to_owned(),
            phase: "running".to_owned(),
            created: Some(Timestamp {
                seconds: 1_770_091_506,
                nanos: 789_000_000,
            }),
            ..Metadata::default()
        }
    }

    #[test]
    fn a_resource_is_written_as_a_document() {
        let mut text = String::new();
        let metadata = Metadata {
            labels: [("a/b".to_owned(), "true".to_owned())].into(),
            finalizers: vec!["x.Controller".to_owned()],
            ..metadata("hostname")
        };
        document(
            &mut text,
            &metadata,
            "hostname: cp-1\nnotes: |\n    a\n\n    b\n",
        );
        assert_eq!(
            text,
            "\
metadata:
    namespace: network
    type: HostnameStatuses.net.talos.dev
    id: hostname
    version: 3
    owner: network.HostnameSpecController
    phase: running
    created: 2026-02-03T04:05:06.789Z
    labels:
        a/b: \"true\"
    finalizers:
        - x.Controller
spec:
    hostname: cp-1
    notes: |
        a

        b
"
        );
        let value: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        assert_eq!(value["spec"]["notes"], "a\n\nb\n");
        assert_eq!(value["metadata"]["labels"]["a/b"], "true");
    }

    #[test]
    fn a_spec_may_be_a_word_or_nothing() {
        for (spec, end) in [
            ("controlplane\n", "spec:\n    controlplane\n"),
            ("", "spec: {}\n"),
        ] {
            let mut text = String::new();
            document(&mut text, &metadata("a"), spec);
            assert!(text.ends_with(end), "{text}");
            serde_yaml::from_str::<serde_yaml::Value>(&text).unwrap();
        }
    }

    #[test]
    fn any_id_comes_back_as_the_string_that_it_is() {
        for id in [
            "eth0/10.5.0.2/24",
            "inet4/10.0.0.1//1024",
            "0",
            "1e5",
            "true",
            "No",
            "~",
            "",
            "a: b",
            "a #b",
            "a:",
            "- a",
            "\"quoted\"\n",
            "ü",
            "*a",
            "@a",
        ] {
            let mut text = String::new();
            document(&mut text, &metadata(id), "a");
            let value: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
            assert_eq!(value["metadata"]["id"], id, "{text}");
        }
    }
}
