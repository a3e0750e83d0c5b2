//! What Cargo knows of the crates and the binary does not say: licences, checksums, and which ones are linked.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde::Deserialize;

/// Why Cargo's knowledge could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot run cargo")]
    Run(#[from] std::io::Error),
    #[error("cargo failed: {0}")]
    Failed(String),
    #[error("no Rust target is known for the processor {0}")]
    Architecture(String),
    #[error("cannot read what cargo metadata printed")]
    Metadata(#[from] serde_json::Error),
    #[error("cannot read Cargo.lock")]
    Lock(#[from] toml::de::Error),
}

/// All crates of the workspace and below, by name and version.
#[derive(Debug)]
pub(crate) struct Crates {
    described: BTreeMap<(String, String), Described>,
    checksums: BTreeMap<(String, String), String>,
}

/// A crate's own manifest.
#[derive(Debug, Deserialize)]
pub(crate) struct Described {
    name: String,
    version: String,
    license: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) repository: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Described>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

impl Crates {
    /// Asks Cargo about the workspace in the current folder.
    pub(crate) fn of_workspace() -> Result<Self, Error> {
        let metadata = cargo(&["metadata", "--locked", "--format-version", "1"])?;
        let lock = std::fs::read_to_string("Cargo.lock")?;
        Self::parse(&metadata, &lock)
    }

    /// Reads the output of `cargo metadata` and a Cargo.lock.
    pub(crate) fn parse(metadata: &str, lock: &str) -> Result<Self, Error> {
        let metadata: Metadata = serde_json::from_str(metadata)?;
        let lock: Lock = toml::from_str(lock)?;
        Ok(Self {
            described: metadata
                .packages
                .into_iter()
                .map(|package| ((package.name.clone(), package.version.clone()), package))
                .collect(),
            checksums: lock
                .package
                .into_iter()
                .filter_map(|locked| Some(((locked.name, locked.version), locked.checksum?)))
                .collect(),
        })
    }

    /// The crate's manifest.
    pub(crate) fn described(&self, name: &str, version: &str) -> Option<&Described> {
        self.described.get(&(name.into(), version.into()))
    }

    /// The crate's licence as an SPDX expression, `NOASSERTION` if its manifest names none.
    pub(crate) fn license(&self, name: &str, version: &str) -> String {
        // Old manifests separate alternatives by a slash, which SPDX does not know.
        self.described(name, version)
            .and_then(|described| described.license.as_deref())
            .map_or("NOASSERTION".into(), |license| {
                license
                    .split('/')
                    .map(str::trim)
                    .collect::<Vec<_>>()
                    .join(" OR ")
            })
    }

    /// SHA-256 of the crate's archive in the registry, in hexadecimal.
    pub(crate) fn checksum(&self, name: &str, version: &str) -> Option<&str> {
        self.checksums
            .get(&(name.into(), version.into()))
            .map(String::as_str)
    }
}

/// Name and version of all that is linked into the daemon for a processor (`amd64`, `arm64`).
///
/// The list in the binary is a little longer: for it cargo-auditable asks Cargo about the workspace, and there the
/// features that the tests want of a crate, and what macros are made of, are counted in.
pub(crate) fn linked(architecture: &str) -> Result<BTreeSet<(String, String)>, Error> {
    let target = match architecture {
        "amd64" => "x86_64-unknown-linux-gnu",
        "arm64" => "aarch64-unknown-linux-gnu",
        other => return Err(Error::Architecture(other.into())),
    };
    let tree = cargo(&[
        "tree",
        "--locked",
        "--package=talos-vmtoolsd",
        "--edges=normal,no-proc-macro",
        "--target",
        target,
        "--prefix=none",
        "--format={p}",
    ])?;
    Ok(tree.lines().filter_map(name_and_version).collect())
}

/// Reads `tokio v1.2.3`, behind which a place or a mark may follow.
fn name_and_version(line: &str) -> Option<(String, String)> {
    let mut words = line.split(' ');
    Some((
        words.next()?.to_owned(),
        words.next()?.strip_prefix('v')?.to_owned(),
    ))
}

fn cargo(arguments: &[&str]) -> Result<String, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).output()?;
    if !output.status.success() {
        return Err(Error::Failed(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
