//! talosconfig: node, authorities, certificate and key of a Talos client.
//!
//! The file is Talos' own, so unknown keys are none of our business. The PEM blocks are base64 once more;
//! Talos labels an Ed25519 key `ED25519 PRIVATE KEY` although its content is plain PKCS#8.
//!
//! `endpoints` are for talosctl, which talks to any node through any control plane. We talk to the machine that we
//! run on and to no other, so they are none of our business either.
//!
//! ```yaml
//! context: mycluster
//! contexts:
//!   mycluster:
//!     nodes: [10.0.0.1]
//!     ca: LS0tLS1CRUdJTi…
//!     crt: LS0tLS1CRUdJTi…
//!     key: LS0tLS1CRUdJTi…
//! ```
//! Source: siderolabs/talos `pkg/machinery/client/config`, `connection.go`.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::yaml::{self, YamlError};

/// Port of apid unless an endpoint says otherwise.
pub const APID_PORT: u16 = 50000;

/// Standard base64 with or without its padding.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The selected context of a talosconfig, decoded.
pub struct Talosconfig {
    /// Name of the context.
    pub context: String,
    /// The nodes that the context names, in the file's order.
    pub nodes: Vec<Endpoint>,
    /// What stands under `nodes` and cannot be one.
    pub bad_nodes: Vec<BadEndpoint>,
    /// Authorities that may have issued the server's certificate; empty stands for the system's roots.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The client's certificate, leaf first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The client's private key.
    pub key: PrivateKeyDer<'static>,
}

impl Talosconfig {
    /// Reads and decodes the file's selected context.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let unreadable = |source| Error::Unreadable {
            path: path.to_owned(),
            source: Arc::new(source),
        };
        let text = yaml::text(path).map_err(unreadable)?;
        Self::parse(path, &text)
    }

    /// Decodes the selected context of `text`; `path` only serves to name the file in errors.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let file: Option<File> = yaml::from_str(text).map_err(|source| Error::Yaml {
            path: path.to_owned(),
            source,
        })?;
        let (name, context) = file.unwrap_or_default().select(path)?;
        let place = Place {
            path,
            context: &name,
        };
        let (nodes, bad_nodes) = context.nodes();
        let authorities = match present(&context.ca) {
            Some(text) => place.certificates("ca", text)?,
            None => Vec::new(),
        };
        let (Some(crt), Some(key)) = (present(&context.crt), present(&context.key)) else {
            let omni = context.auth.is_some_and(|auth| auth.siderov1.is_some());
            return Err(match (omni, present(&context.crt)) {
                (true, _) => Error::SideroV1 {
                    path: path.to_owned(),
                    context: name,
                },
                (false, None) => place.missing("crt"),
                (false, Some(_)) => place.missing("key"),
            });
        };
        Ok(Self {
            nodes,
            bad_nodes,
            authorities,
            certificates: place.certificates("crt", crt)?,
            key: place.key(key)?,
            context: name,
        })
    }

    /// Where this machine's apid should be: the node that was given, else the only one that the context names,
    /// else this machine itself.
    pub fn destination(&self, given: Option<&Endpoint>) -> Destination {
        match (given, self.nodes.as_slice()) {
            (Some(node), _) | (None, [node]) => Destination::Named(node.clone()),
            (None, _) => Destination::Here,
        }
    }

    /// The Talos roles that the certificate carries (`os:…` entries of its organization), in its order.
    pub fn roles(&self) -> Vec<String> {
        self.certificates
            .first()
            .map(|leaf| organizations(leaf))
            .unwrap_or_default()
            .into_iter()
            .filter(|name| name.starts_with("os:"))
            .collect()
    }
}

impl fmt::Debug for Talosconfig {
    /// Without certificates and, above all, without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talosconfig")
            .field("context", &self.context)
            .field("nodes", &self.nodes)
            .finish_non_exhaustive()
    }
}

/// Where to look for this machine's apid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A node that the operator has named.
    Named(Endpoint),
    /// Nobody has named one. In the host's network namespace apid listens on 127.0.0.1, and its certificate has
    /// that address.
    Here,
}

impl Destination {
    /// What to connect to.
    pub fn endpoint(&self) -> Endpoint {
        match self {
            Self::Named(endpoint) => endpoint.clone(),
            Self::Here => Endpoint {
                host: "127.0.0.1".to_owned(),
                port: APID_PORT,
            },
        }
    }
}

/// Where apid listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// DNS name or address; an IPv6 address without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    /// `host:port`, IPv6 addresses in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The text is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an endpoint; write host, host:port, [IPv6]:port or https://host")]
pub struct BadEndpoint(String);

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    /// `host`, `host:port`, an IPv6 address with or without brackets, or a URL, whose path is ignored.
    /// The port defaults to 50000, with `https://` to 443.
    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let bad = || BadEndpoint(text.chars().take(64).collect());
        let (scheme, rest) = text.trim().split_once("://").map_or_else(
            || ("", text.trim()),
            |(scheme, rest)| (scheme, rest.split(['/', '?', '#']).next().unwrap_or("")),
        );
        let default_port = if scheme == "https" { 443 } else { APID_PORT };
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let (host, port) = rest.split_once(']').ok_or_else(bad)?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(bad());
            }
            match port {
                "" => (host, None),
                port => (host, Some(port.strip_prefix(':').ok_or_else(bad)?)),
            }
        } else if rest.parse::<std::net::Ipv6Addr>().is_ok() {
            (rest, None)
        } else {
            rest.split_once(':')
                .map_or((rest, None), |(host, port)| (host, Some(port)))
        };
        let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(valid) {
            return Err(bad());
        }
        let port = match port {
            None => default_port,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(bad()),
                Ok(port) => port,
            },
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// The talosconfig cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the talosconfig {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<io::Error>,
    },
    /// The file is not YAML, or not of a talosconfig's shape.
    #[error("{} is not a talosconfig", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: YamlError,
    },
    /// No context is selected.
    #[error("the talosconfig {} selects no context; set `context:` to one of its contexts", path.display())]
    NoContext {
        /// The file.
        path: PathBuf,
    },
    /// The selected context does not exist.
    #[error("the talosconfig {} has no context {context:?}; it has: {known}", path.display())]
    UnknownContext {
        /// The file.
        path: PathBuf,
        /// The name that was selected.
        context: String,
        /// The names it has.
        known: String,
    },
    /// A key is missing.
    #[error("the talosconfig {} lacks {context}.{key}; make one with `talosctl config new --roles os:operator`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Name of the context.
        context: String,
        /// Name of the key.
        key: &'static str,
    },
    /// The context has no certificate but wants signed requests, which only talosctl and Omni know.
    #[error("the talosconfig {} uses SideroV1 (Omni) authentication in {context}; a client certificate is needed: make one with `talosctl config new --roles os:operator`", path.display())]
    SideroV1 {
        /// The file.
        path: PathBuf,
        /// Name of the context.
        context: String,
    },
    /// A value is not the base64 of PEM blocks.
    #[error("{context}.{key} in the talosconfig {} is not {expected}; download the file again", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// Name of the context.
        context: String,
        /// Name of the key.
        key: &'static str,
        /// What it should have been.
        expected: &'static str,
    },
}

/// The file as far as it concerns us.
#[derive(Default, Deserialize)]
struct File {
    #[serde(default)]
    context: Option<String>,
    #[serde(default)]
    contexts: Option<BTreeMap<String, Option<Context>>>,
}

#[derive(Default, Deserialize)]
struct Context {
    #[serde(default)]
    nodes: Option<Nodes>,
    #[serde(default)]
    ca: Option<String>,
    #[serde(default)]
    crt: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    auth: Option<Auth>,
}

/// A list, if it is one: something odd here does not spoil certificate and key.
#[derive(Deserialize)]
#[serde(untagged)]
enum Nodes {
    List(Vec<Entry>),
    Odd(IgnoredAny),
}

/// A text, if it is one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Text(String),
    Odd(IgnoredAny),
}

impl Context {
    /// The nodes, and what is none.
    fn nodes(&self) -> (Vec<Endpoint>, Vec<BadEndpoint>) {
        let entries = match &self.nodes {
            None => &[],
            Some(Nodes::List(entries)) => entries.as_slice(),
            Some(Nodes::Odd(_)) => &[Entry::Odd(IgnoredAny)],
        };
        let (mut nodes, mut bad) = (Vec::new(), Vec::new());
        for entry in entries {
            let parsed = match entry {
                Entry::Text(text) => text.parse(),
                Entry::Odd(_) => Err(BadEndpoint("(not a text)".to_owned())),
            };
            match parsed {
                Ok(node) => nodes.push(node),
                Err(error) => bad.push(error),
            }
        }
        (nodes, bad)
    }
}

#[derive(Default, Deserialize)]
struct Auth {
    #[serde(default)]
    siderov1: Option<SideroV1>,
}

/// Only its presence counts.
#[derive(Deserialize)]
struct SideroV1 {}

impl File {
    /// The selected context with its name.
    fn select(self, path: &Path) -> Result<(String, Context), Error> {
        let mut contexts = self.contexts.unwrap_or_default();
        let Some(name) = self.context.filter(|name| !name.is_empty()) else {
            return Err(Error::NoContext {
                path: path.to_owned(),
            });
        };
        match contexts.remove(&name) {
            Some(context) => Ok((name, context.unwrap_or_default())),
            None => Err(Error::UnknownContext {
                path: path.to_owned(),
                context: name,
                known: contexts.into_keys().collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

/// Where in which file a value stands, for errors.
struct Place<'a> {
    path: &'a Path,
    context: &'a str,
}

impl Place<'_> {
    fn missing(&self, key: &'static str) -> Error {
        Error::Missing {
            path: self.path.to_owned(),
            context: self.context.to_owned(),
            key,
        }
    }

    fn not_pem(&self, key: &'static str, expected: &'static str) -> Error {
        Error::NotPem {
            path: self.path.to_owned(),
            context: self.context.to_owned(),
            key,
            expected,
        }
    }

    /// All certificates of a value.
    fn certificates(
        &self,
        key: &'static str,
        value: &str,
    ) -> Result<Vec<CertificateDer<'static>>, Error> {
        let bad = || self.not_pem(key, "the base64 of PEM certificates");
        let pem = decode_base64(value).ok_or_else(bad)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|_| bad())?;
        if certificates.is_empty() {
            return Err(bad());
        }
        Ok(certificates)
    }

    /// The private key of a value, whichever of its usual forms it has.
    fn key(&self, value: &str) -> Result<PrivateKeyDer<'static>, Error> {
        let bad = || self.not_pem("key", "the base64 of a PEM private key");
        let pem = decode_base64(value).ok_or_else(bad)?;
        let pem = String::from_utf8(pem).map_err(|_| bad())?;
        let relabelled = pem.replace(" ED25519 PRIVATE KEY-", " PRIVATE KEY-");
        PrivateKeyDer::from_pem_slice(relabelled.as_bytes()).map_err(|_| bad())
    }
}

/// A value that is there and not empty.
fn present(value: &Option<String>) -> Option<&str> {
    value
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// Base64 that may be broken into lines.
fn decode_base64(value: &str) -> Option<Vec<u8>> {
    let text: String = value.split_ascii_whitespace().collect();
    BASE64.decode(text).ok()
}

/// The organizationName values of a certificate, issuer's first.
///
/// Looks for the attribute's encoded OID instead of parsing the certificate: the result is only shown to
/// the operator, and a false find would need that very byte sequence in a key.
fn organizations(certificate: &[u8]) -> Vec<String> {
    /// OBJECT IDENTIFIER 2.5.4.10
    const ORGANIZATION_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x0a];
    certificate
        .windows(ORGANIZATION_NAME.len())
        .enumerate()
        .filter(|(_, window)| *window == ORGANIZATION_NAME)
        .filter_map(|(offset, _)| {
            let value = certificate.get(offset + ORGANIZATION_NAME.len()..)?;
            // UTF8String or PrintableString of a short-form length.
            let [0x0c | 0x13, len @ 0..=0x7f, text @ ..] = value else {
                return None;
            };
            let text = text.get(..usize::from(*len))?;
            String::from_utf8(text.to_vec()).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests;
