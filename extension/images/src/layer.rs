//! One image layer: a compressed tar file whose bytes depend on nothing but what is put into it.
//!
//! Owner, times and order are ours and not the file system's: root owns everything, every entry carries the one
//! time of the release, and entries are sorted by path with their folders before them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::digest::Digest;

/// Regular files of a layer, by path without a leading slash.
#[derive(Debug, Default)]
pub(crate) struct Files(BTreeMap<String, (u32, Vec<u8>)>);

/// A layer as it is stored, and what the image configuration says of it.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The gzip stream.
    pub(crate) compressed: Vec<u8>,
    /// Digest of the tar file before compression: the configuration's `diff_ids`.
    pub(crate) diff_id: Digest,
}

impl Files {
    /// Adds a file anyone may read.
    pub(crate) fn text(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.into(), (0o644, content.into()));
        self
    }

    /// Adds a file anyone may read and run.
    pub(crate) fn program(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.0.insert(path.into(), (0o755, content.into()));
        self
    }

    /// Packs the files as a compressed layer, each dated `epoch` (seconds since 1970).
    pub(crate) fn pack(&self, epoch: u64) -> io::Result<Layer> {
        let tar = self.tar(epoch)?;
        // No name and no time in the gzip header either.
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
        gzip.write_all(&tar)?;
        Ok(Layer {
            compressed: gzip.finish()?,
            diff_id: Digest::of(&tar),
        })
    }

    /// The files as a tar file, each dated `epoch`.
    pub(crate) fn tar(&self, epoch: u64) -> io::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        for folder in self.folders() {
            let mut header = header(EntryType::Directory, 0o755, 0, epoch)?;
            archive.append_data(&mut header, format!("{folder}/"), io::empty())?;
        }
        for (path, (mode, content)) in &self.0 {
            let mut header = header(EntryType::Regular, *mode, content.len() as u64, epoch)?;
            archive.append_data(&mut header, path, content.as_slice())?;
        }
        archive.into_inner()
    }

    /// Writes the files below a folder, which is made, with the modes and owner that the caller has.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        for path in self.folders() {
            fs::create_dir_all(folder.join(path))?;
        }
        self.0
            .iter()
            .try_for_each(|(path, (_, content))| fs::write(folder.join(path), content))
    }

    /// Every folder above a file, parents first.
    fn folders(&self) -> BTreeSet<&str> {
        let slashes = |path: &str| {
            path.match_indices('/')
                .map(|(at, _)| at)
                .collect::<Vec<_>>()
        };
        self.0
            .keys()
            .flat_map(|path| slashes(path).into_iter().map(|at| &path[..at]))
            .collect()
    }
}

fn header(kind: EntryType, mode: u32, size: u64, epoch: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(epoch);
    header.set_uid(0);
    header.set_gid(0);
    header.set_username("root")?;
    header.set_groupname("root")?;
    Ok(header)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn files() -> Files {
        Files::default()
            .text("a/b/note.txt", "hello")
            .program("run", "#!")
    }

    #[test]
    fn root_owns_everything_and_folders_come_before_their_files() {
        let layer = files().pack(1_700_000_000).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(layer.compressed.as_slice()));
        let seen: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
                assert_eq!(header.mtime().unwrap(), 1_700_000_000);
                (
                    entry.path().unwrap().display().to_string(),
                    header.mode().unwrap(),
                )
            })
            .collect();
        let expected = [
            ("a/", 0o755),
            ("a/b/", 0o755),
            ("a/b/note.txt", 0o644),
            ("run", 0o755),
        ];
        assert_eq!(seen, expected.map(|(path, mode)| (path.to_owned(), mode)));
    }

    #[test]
    fn the_diff_id_is_that_of_the_tar_inside() {
        let layer = files().pack(0).unwrap();
        let mut tar = Vec::new();
        GzDecoder::new(layer.compressed.as_slice())
            .read_to_end(&mut tar)
            .unwrap();
        assert_eq!(layer.diff_id, Digest::of(&tar));
    }

    #[test]
    fn only_content_and_time_change_the_bytes() {
        let other_order = Files::default()
            .program("run", "#!")
            .text("a/b/note.txt", "hello");
        assert_eq!(
            files().pack(7).unwrap().compressed,
            other_order.pack(7).unwrap().compressed
        );
        assert_ne!(
            files().pack(7).unwrap().compressed,
            files().pack(8).unwrap().compressed
        );
    }
}
