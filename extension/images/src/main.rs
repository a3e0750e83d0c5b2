//! Packs built binaries as OCI images, without a daemon: `make images`.
//!
//! ```text
//! images <folder> <revision> <seconds since 1970> amd64=<binary> arm64=<binary>
//! ```
//! writes below the folder, from the repository's root:
//!
//! - `extension/`, `extension.tar`: the Talos system extension;
//! - `extension-imager/`: the same for the imager's `ociPath`;
//! - `talos-vmtoolsd-linux-amd64.spdx.json` and arm64's: the SBOMs that are in the extension;
//! - `runtime/`, `runtime.tar`: the binary alone, for pods and for those who package it.
//!
//! Equal input gives equal bytes. The version is the binary's own; it must be the one of `manifest.yaml`, which also
//! names the extension.

mod cargo;
mod digest;
mod layer;
mod layout;
mod sbom;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use auditable_serde::VersionInfo;

use crate::cargo::Crates;
use crate::layer::Files;
use crate::layout::{Image, Layout};
use crate::sbom::Subject;

/// The labels that make up the image's name: title and tag.
const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";

/// Where Talos looks, below the root of the extension. The service and its program keep their names, whatever the
/// extension is called.
const SERVICE: &str = "rootfs/usr/local/etc/containers/talos-vmtoolsd.yaml";
const PROGRAM: &str = "rootfs/usr/local/lib/containers/talos-vmtoolsd/talos-vmtoolsd";
/// The folder of the SBOM, a file of the extension's name: two extensions on a node do not share one.
const SBOMS: &str = "rootfs/usr/local/share/spdx";

/// One built binary and what it says of itself.
struct Built {
    architecture: String,
    binary: Vec<u8>,
    recorded: VersionInfo,
    version: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, revision, epoch, platforms @ ..] = arguments.as_slice() else {
        return Err(
            "usage: images <folder> <revision> <seconds since 1970> <arch>=<binary>…".into(),
        );
    };
    let (folder, epoch) = (PathBuf::from(folder), epoch.parse::<u64>()?);
    let created =
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(epoch)).to_string();
    let built = platforms
        .iter()
        .map(|platform| read(platform))
        .collect::<Result<Vec<_>, _>>()?;
    let version = built.first().ok_or("no binary named")?.version.clone();
    if built.iter().any(|other| other.version != version) {
        return Err("the binaries are of different versions".into());
    }

    let manifest = std::fs::read_to_string("manifest.yaml")?;
    if !manifest
        .lines()
        .any(|line| line.trim().replace('"', "") == format!("version: v{version}"))
    {
        return Err(format!("manifest.yaml does not say version: v{version}").into());
    }
    let name = manifest
        .lines()
        .find_map(|line| line.strip_prefix("  name: "))
        .ok_or("manifest.yaml does not name the extension")?;
    let service = std::fs::read_to_string("extension/talos-vmtoolsd.yaml")?;
    let crates = Crates::of_workspace()?;
    let about = crates
        .described("talos-vmtoolsd", &version)
        .ok_or("cargo knows no such package")?;
    let source = about
        .repository
        .clone()
        .ok_or("Cargo.toml names no repository")?;
    let description = about
        .description
        .clone()
        .ok_or("Cargo.toml has no description")?;
    let labels = |title: &str, description: String| {
        BTreeMap::from([
            (TITLE, title.to_owned()),
            (VERSION, format!("v{version}")),
            ("org.opencontainers.image.source", source.clone()),
            (
                "org.opencontainers.image.licenses",
                crates.license("talos-vmtoolsd", &version),
            ),
            ("org.opencontainers.image.revision", revision.clone()),
            ("org.opencontainers.image.description", description),
        ])
    };

    let mut extension = Image {
        labels: labels(name, format!("{description}: system extension")),
        entrypoint: Vec::new(),
        platforms: Vec::new(),
    };
    // As in the Go daemon's image; pods that give their own arguments repeat the command.
    let mut runtime = Image {
        labels: labels("talos-vmtoolsd", description.clone()),
        entrypoint: vec!["/talos-vmtoolsd", "vmtoolsd"],
        platforms: Vec::new(),
    };
    for Built {
        architecture,
        binary,
        recorded,
        ..
    } in built
    {
        let subject = Subject {
            binary: &binary,
            architecture: &architecture,
            source: &source,
            revision,
            created: &created,
            linked: &cargo::linked(&architecture)?,
        };
        let mut document = sbom::document(&subject, &recorded, &crates);
        let duplicates = sbom::duplicates(&document);
        if !duplicates.is_empty() {
            return Err(format!("the SBOM would name {} twice", duplicates.join(", ")).into());
        }
        document.sort_all_objects();
        let document = serde_json::to_vec_pretty(&document)?;
        std::fs::create_dir_all(&folder)?;
        std::fs::write(
            folder.join(format!("talos-vmtoolsd-linux-{architecture}.spdx.json")),
            &document,
        )?;
        let files = Files::default()
            .text("manifest.yaml", manifest.as_str())
            .text(SERVICE, service.as_str())
            .text(&format!("{SBOMS}/{name}.spdx.json"), document)
            .program(PROGRAM, binary.as_slice());
        extension.platforms.push((architecture.clone(), files));
        runtime.platforms.push((
            architecture,
            Files::default().program("talos-vmtoolsd", binary),
        ));
    }

    let extension_layout = write(&folder, "extension", &extension, epoch, &created)?;
    let imager = folder.join("extension-imager");
    clear(&imager)?;
    extension_layout.write_for_imager(&imager)?;
    write(&folder, "runtime", &runtime, epoch, &created)?;
    Ok(())
}

/// Reads `<arch>=<binary>`.
fn read(platform: &str) -> Result<Built, Box<dyn Error>> {
    let (architecture, path) = platform.split_once('=').ok_or("expected <arch>=<binary>")?;
    let binary = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    let recorded = auditable_info::audit_info_from_file(Path::new(path), Default::default())
        .map_err(|error| format!("{path} was not built by cargo auditable: {error}"))?;
    let root = recorded
        .packages
        .iter()
        .find(|package| package.root)
        .ok_or("no root package")?;
    let version = root.version.to_string();
    Ok(Built {
        architecture: architecture.to_owned(),
        binary,
        recorded,
        version,
    })
}

/// Writes one image, and says what it is.
fn write(
    folder: &Path,
    name: &str,
    image: &Image,
    epoch: u64,
    created: &str,
) -> Result<Layout, Box<dyn Error>> {
    let layout = image.build(epoch, created)?;
    let folder = folder.join(name);
    clear(&folder)?;
    layout.write(&folder, epoch)?;
    let sizes: Vec<_> = image
        .platforms
        .iter()
        .zip(layout.layer_sizes())
        .map(|((architecture, _), size)| format!("{architecture} {} KiB", size.div_ceil(1024)))
        .collect();
    println!("{name:<10} {}  {}", layout.digest(), sizes.join(", "));
    Ok(layout)
}

/// Removes what an earlier run left: a layout holds the blobs of one image and no others.
fn clear(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
