//! The bill of materials of one binary, SPDX 2.3 JSON.
//!
//! What went into the binary is read from the binary, where `cargo auditable` wrote it, less what Cargo says is
//! not linked on that platform. Cargo.lock adds the checksums, the crates' own manifests the licences, and the compiler's marks in
//! the binary the two libraries that no manifest names: Rust's standard library and, in a static binary, glibc.
//! Nothing in the document depends on when or where it is written.

use std::collections::{BTreeMap, BTreeSet};

use auditable_serde::{DependencyKind, Package, Source, VersionInfo};
use serde_json::{Value, json};

use crate::cargo::Crates;
use crate::digest::Digest;

/// What the document is about, besides the binary's own list.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// The whole binary.
    pub(crate) binary: &'a [u8],
    /// `amd64`, `arm64`.
    pub(crate) architecture: &'a str,
    /// Where the sources are.
    pub(crate) source: &'a str,
    /// Their commit.
    pub(crate) revision: &'a str,
    /// `2026-01-01T00:00:00Z`.
    pub(crate) created: &'a str,
    /// Name and version of what Cargo links.
    pub(crate) linked: &'a BTreeSet<(String, String)>,
}

impl Subject<'_> {
    fn links(&self, package: &Package) -> bool {
        package.kind == DependencyKind::Runtime
            && self
                .linked
                .contains(&(package.name.clone(), package.version.to_string()))
    }
}

/// Writes the document for `subject`, whose binary says it is made of `recorded`.
pub(crate) fn document(subject: &Subject<'_>, recorded: &VersionInfo, crates: &Crates) -> Value {
    // Build scripts and macros run at build time; nothing of them is in the binary.
    let runtime = |at: &usize| {
        recorded
            .packages
            .get(*at)
            .filter(|package| subject.links(package))
    };
    let mut packages = Vec::new();
    let mut relationships = Vec::new();
    let mut root_id = String::new();
    for package in (0..recorded.packages.len()).filter_map(|at| runtime(&at)) {
        let id = spdx_id(&package.name, &package.version.to_string());
        for dependency in package.dependencies.iter().filter_map(runtime) {
            let other = spdx_id(&dependency.name, &dependency.version.to_string());
            relationships.push(relationship(&id, "DEPENDS_ON", &other));
        }
        packages.push(if package.root {
            root_id.clone_from(&id);
            relationships.push(relationship("SPDXRef-DOCUMENT", "DESCRIBES", &id));
            application(&id, package, subject, crates)
        } else {
            library(&id, package, crates)
        });
    }
    for (name, version, license, purl) in toolchain(subject.binary) {
        let id = spdx_id(name, &version);
        relationships.push(relationship(&root_id, "DEPENDS_ON", &id));
        packages.push(json!({
            "SPDXID": id,
            "name": name,
            "versionInfo": version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": license,
            "copyrightText": "NOASSERTION",
            "primaryPackagePurpose": "LIBRARY",
            "externalRefs": [purl_reference(&purl)],
        }));
    }
    let name = format!(
        "{}-linux-{}",
        root_id.trim_start_matches("SPDXRef-"),
        subject.architecture
    );
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        // Unique to the binary it describes, and the same whenever that is built again.
        "documentNamespace":
            format!("{}/spdx/{name}-{}", subject.source, Digest::of(subject.binary).hex()),
        "creationInfo": {
            "created": subject.created,
            "creators": ["Organization: talos-vmtoolsd authors", "Tool: cargo-auditable"],
        },
        "packages": packages,
        "relationships": relationships,
    })
}

fn application(id: &str, package: &Package, subject: &Subject<'_>, crates: &Crates) -> Value {
    let version = package.version.to_string();
    // A name that stands for one that is not set is no place to load from.
    let is_nowhere = subject.source.contains(".invalid");
    let download = if is_nowhere || subject.revision.ends_with("-dirty") {
        "NOASSERTION".to_owned()
    } else {
        format!("git+{}@{}", subject.source, subject.revision)
    };
    json!({
        "SPDXID": id,
        "name": package.name,
        "versionInfo": version,
        "packageFileName": package.name,
        "downloadLocation": download,
        "filesAnalyzed": false,
        "checksums": [
            { "algorithm": "SHA256", "checksumValue": Digest::of(subject.binary).hex() },
        ],
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": crates.license(&package.name, &version),
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "APPLICATION",
        "externalRefs": [purl_reference(&application_purl(&package.name, &version, subject.source))],
    })
}

/// The package URL of the daemon: GitHub's kind where the sources are there.
fn application_purl(name: &str, version: &str, source: &str) -> String {
    source.strip_prefix("https://github.com/").map_or_else(
        || format!("pkg:generic/{name}@v{version}?vcs_url=git%2B{source}"),
        |place| format!("pkg:github/{place}@v{version}"),
    )
}

fn library(id: &str, package: &Package, crates: &Crates) -> Value {
    let (name, version) = (&package.name, package.version.to_string());
    let from_registry = package.source == Source::CratesIo;
    let mut library = json!({
        "SPDXID": id,
        "name": name,
        "versionInfo": version,
        "downloadLocation": if from_registry {
            format!("https://static.crates.io/crates/{name}/{name}-{version}.crate")
        } else {
            "NOASSERTION".to_owned()
        },
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": crates.license(name, &version),
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "LIBRARY",
    });
    if from_registry {
        library["externalRefs"] = json!([purl_reference(&format!(
            "pkg:cargo/{name}@{}",
            version.replace('+', "%2B"),
        ))]);
        if let Some(checksum) = crates.checksum(name, &version) {
            library["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": checksum }]);
        }
    }
    library
}

/// Name, version, licence and package URL of what the compiler and the linker added, told by their marks:
/// `rustc version 1.95.0 (…)` in the comment section, `GNU C Library (Debian GLIBC 2.36-9) stable …` in libc.
fn toolchain(binary: &[u8]) -> Vec<(&'static str, String, &'static str, String)> {
    let mut found = Vec::new();
    if let Some(version) = word_after(binary, b"rustc version ") {
        let purl = format!("pkg:generic/rust-std@{version}");
        found.push(("rust-std", version, "MIT OR Apache-2.0", purl));
    }
    if let Some(version) = word_after(binary, b"GNU C Library (Debian GLIBC ") {
        let purl = format!(
            "pkg:deb/debian/glibc@{}?arch=source",
            version.replace('+', "%2B")
        );
        found.push(("glibc", version, "LGPL-2.1-or-later", purl));
    } else if let Some(version) = word_after(binary, b"stable release version ") {
        let purl = format!("pkg:generic/glibc@{version}");
        found.push(("glibc", version, "LGPL-2.1-or-later", purl));
    }
    found
}

/// What follows the mark, up to a blank, a closing bracket or the end of the text.
fn word_after(binary: &[u8], mark: &[u8]) -> Option<String> {
    let at = binary
        .windows(mark.len())
        .position(|window| window == mark)?;
    let rest = binary.get(at + mark.len()..)?;
    let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(*byte, b')' | 0);
    let word = rest.get(..rest.iter().position(ends)?)?;
    Some(
        String::from_utf8_lossy(word)
            .trim_end_matches('.')
            .to_owned(),
    )
}

/// SPDX allows letters, digits, dots and dashes.
fn spdx_id(name: &str, version: &str) -> String {
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    format!("SPDXRef-{name}-{version}")
        .chars()
        .map(allowed)
        .collect()
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

fn purl_reference(purl: &str) -> Value {
    json!({
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": purl,
    })
}

/// Packages by identifier: two crates never share one, or the document would be wrong without anyone noticing.
pub(crate) fn duplicates(document: &Value) -> Vec<String> {
    let mut seen = BTreeMap::new();
    for package in document["packages"].as_array().into_iter().flatten() {
        *seen.entry(package["SPDXID"].to_string()).or_insert(0) += 1;
    }
    seen.into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(id, _)| id)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINARY: &[u8] = b"\x7fELF..rustc version 1.95.0 (59807616e 2026-04-14)\0\
        GNU C Library (Debian GLIBC 2.36-9+deb12u14) stable release version 2.36.\n";

    fn made() -> Value {
        let recorded = json!({ "packages": [
            { "name": "build_time", "version": "0.1.0", "source": "crates.io", "kind": "build" },
            { "name": "lib_a", "version": "1.2.3+x", "source": "crates.io" },
            { "name": "test_only", "version": "3.0.0", "source": "crates.io" },
            { "name": "tool", "version": "2.0.0", "source": "local", "dependencies": [0, 1, 2], "root": true },
        ]});
        let recorded: VersionInfo = serde_json::from_str(&recorded.to_string()).unwrap();
        let crates = Crates::parse(
            r#"{"packages": [
                {"name": "lib_a", "version": "1.2.3+x", "license": "MIT/Apache-2.0"},
                {"name": "tool", "version": "2.0.0", "license": "Apache-2.0"}]}"#,
            "[[package]]\nname = \"lib_a\"\nversion = \"1.2.3+x\"\nchecksum = \"abcd\"\n",
        )
        .unwrap();
        let linked = [
            ("build_time", "0.1.0"),
            ("lib_a", "1.2.3+x"),
            ("tool", "2.0.0"),
        ]
        .map(|(name, version)| (name.to_owned(), version.to_owned()));
        let subject = Subject {
            binary: BINARY,
            linked: &BTreeSet::from(linked),
            architecture: "amd64",
            source: "https://github.com/example/tool",
            revision: "0123",
            created: "2026-01-01T00:00:00Z",
        };
        document(&subject, &recorded, &crates)
    }

    #[test]
    fn what_only_the_build_or_a_test_used_is_not_listed() {
        let document = made();
        let names: Vec<_> = document["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|package| package["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["lib_a", "tool", "rust-std", "glibc"]);
    }

    #[test]
    fn the_document_describes_the_tool_and_the_tool_depends_on_the_rest() {
        let document = made();
        let seen: Vec<_> = document["relationships"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| {
                ["spdxElementId", "relationshipType", "relatedSpdxElement"]
                    .map(|key| r[key].as_str().unwrap())
                    .join(" ")
            })
            .collect();
        assert_eq!(
            seen,
            [
                "SPDXRef-tool-2.0.0 DEPENDS_ON SPDXRef-lib-a-1.2.3-x",
                "SPDXRef-DOCUMENT DESCRIBES SPDXRef-tool-2.0.0",
                "SPDXRef-tool-2.0.0 DEPENDS_ON SPDXRef-rust-std-1.95.0",
                "SPDXRef-tool-2.0.0 DEPENDS_ON SPDXRef-glibc-2.36-9-deb12u14",
            ]
        );
    }

    #[test]
    fn a_crate_carries_its_licence_checksum_and_package_url() {
        let package = &made()["packages"][0];
        assert_eq!(package["licenseDeclared"], "MIT OR Apache-2.0");
        assert_eq!(package["checksums"][0]["checksumValue"], "abcd");
        assert_eq!(
            package["externalRefs"][0]["referenceLocator"],
            "pkg:cargo/lib_a@1.2.3%2Bx"
        );
    }

    #[test]
    fn the_tool_carries_the_digest_of_its_binary() {
        let package = &made()["packages"][1];
        assert_eq!(
            package["checksums"][0]["checksumValue"],
            Digest::of(BINARY).hex()
        );
        assert_eq!(
            package["downloadLocation"],
            "git+https://github.com/example/tool@0123"
        );
    }

    #[test]
    fn the_tool_is_named_by_the_place_of_its_sources() {
        let purl = |source| application_purl("tool", "2.0.0", source);
        assert_eq!(
            purl("https://github.com/example/tool"),
            "pkg:github/example/tool@v2.0.0"
        );
        assert_eq!(
            purl("https://forge.example/tool"),
            "pkg:generic/tool@v2.0.0?vcs_url=git%2Bhttps://forge.example/tool"
        );
    }

    #[test]
    fn two_packages_of_one_identifier_are_noticed() {
        let mut document = made();
        assert_eq!(duplicates(&document), [""; 0]);
        let again = document["packages"][0].clone();
        document["packages"].as_array_mut().unwrap().push(again);
        assert_eq!(duplicates(&document), ["\"SPDXRef-lib-a-1.2.3-x\""]);
    }
}
