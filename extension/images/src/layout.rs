//! An OCI image layout: `oci-layout`, `index.json` and the blobs, each named by its digest.
//!
//! ```text
//! index.json ── image index ┬─ manifest linux/amd64 ─ config, layer
//!                           └─ manifest linux/arm64 ─ config, layer
//! ```
//! index.json names one thing, the image index, so that a reader need not be told which image it is to take.
//! Talos' imager (`ociPath`) looks for the platforms in index.json itself; for it the same image is written a
//! second time with the image index as index.json. Specification: opencontainers/image-spec v1.1.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::digest::Digest;
use crate::layer::{Files, Layer};
use crate::{TITLE, VERSION};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// One image for all platforms.
#[derive(Debug)]
pub(crate) struct Image {
    /// `org.opencontainers.image.*`: labels of each configuration, annotations of manifests and index.
    pub(crate) labels: BTreeMap<&'static str, String>,
    /// What is run; empty for an image that is only files.
    pub(crate) entrypoint: Vec<&'static str>,
    /// Content by processor, in the platforms' spelling: `amd64`, `arm64`.
    pub(crate) platforms: Vec<(String, Files)>,
}

/// A blob's place in the documents that refer to it.
#[derive(Debug)]
struct Blob {
    media_type: &'static str,
    bytes: Vec<u8>,
}

/// An image turned to bytes.
#[derive(Debug)]
pub(crate) struct Layout {
    blobs: Vec<Blob>,
    index: Blob,
    /// What podman calls it once loaded.
    name: String,
}

impl Image {
    /// Turns the image to blobs; every date in it is `epoch` (seconds since 1970), `created` the same as text.
    pub(crate) fn build(&self, epoch: u64, created: &str) -> io::Result<Layout> {
        let mut blobs = Vec::new();
        let mut manifests = Vec::new();
        for (architecture, files) in &self.platforms {
            let layer = files.pack(epoch)?;
            let config = Blob::json(CONFIG, &self.config(architecture, &layer, created));
            let layer = Blob {
                media_type: LAYER,
                bytes: layer.compressed,
            };
            let manifest = Blob::json(
                MANIFEST,
                &json!({
                    "schemaVersion": 2,
                    "mediaType": MANIFEST,
                    "config": config.descriptor(),
                    "layers": [layer.descriptor()],
                    "annotations": self.labels,
                }),
            );
            let mut descriptor = manifest.descriptor();
            descriptor["platform"] = json!({ "architecture": architecture, "os": "linux" });
            manifests.push(descriptor);
            blobs.extend([config, layer, manifest]);
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": manifests,
            "annotations": self.labels,
        });
        let name = [TITLE, VERSION]
            .map(|label| self.labels.get(label).map_or("", String::as_str))
            .join(":");
        Ok(Layout {
            blobs,
            index: Blob::json(INDEX, &index),
            name,
        })
    }

    fn config(&self, architecture: &str, layer: &Layer, created: &str) -> Value {
        let mut settings = json!({ "Labels": self.labels });
        if !self.entrypoint.is_empty() {
            settings["Entrypoint"] = json!(self.entrypoint);
        }
        json!({
            "created": created,
            "architecture": architecture,
            "os": "linux",
            "config": settings,
            "rootfs": { "type": "layers", "diff_ids": [layer.diff_id.to_string()] },
            "history": [{ "created": created, "created_by": "talos-vmtoolsd" }],
        })
    }
}

impl Layout {
    /// The address of the image for all platforms.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(&self.index.bytes)
    }

    /// Compressed bytes per platform, in the image's order.
    pub(crate) fn layer_sizes(&self) -> impl Iterator<Item = usize> {
        self.blobs
            .iter()
            .filter(|blob| blob.media_type == LAYER)
            .map(|blob| blob.bytes.len())
    }

    /// Writes the layout into the folder, which must not exist, and the same as an archive beside it (`.tar`).
    pub(crate) fn write(&self, folder: &Path, epoch: u64) -> io::Result<()> {
        let files = self.files(self.nested_index());
        files.write(folder)?;
        // The archive is not compressed: its layers are.
        fs::write(folder.with_extension("tar"), files.tar(epoch)?)
    }

    /// Writes the layout as the imager reads it.
    pub(crate) fn write_for_imager(&self, folder: &Path) -> io::Result<()> {
        self.files(self.index.bytes.clone()).write(folder)
    }

    fn nested_index(&self) -> Vec<u8> {
        let mut descriptor = self.index.descriptor();
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": self.name });
        canonical(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor] }))
    }

    fn files(&self, index_json: Vec<u8>) -> Files {
        let files = Files::default()
            .text(
                "oci-layout",
                canonical(&json!({ "imageLayoutVersion": "1.0.0" })),
            )
            .text("index.json", index_json);
        self.blobs
            .iter()
            .chain([&self.index])
            .fold(files, |files, blob| {
                files.text(
                    &format!("blobs/sha256/{}", blob.digest().hex()),
                    blob.bytes.clone(),
                )
            })
    }
}

impl Blob {
    fn json(media_type: &'static str, value: &Value) -> Self {
        Self {
            media_type,
            bytes: canonical(value),
        }
    }

    fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": self.digest().to_string(),
            "size": self.bytes.len(),
        })
    }
}

/// Always the same bytes for the same value, whichever features serde_json was built with.
fn canonical(value: &Value) -> Vec<u8> {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    sorted.to_string().into_bytes()
}
