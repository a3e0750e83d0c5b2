//! Bytes of a tar archive, plain or in gzip, made piece by piece.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use crate::guest_operations::files::{Attributes, Kind};

/// Bytes that are packed in one go, so that packing keeps nothing else waiting for long.
pub(in crate::guest_operations::files) const IN_ONE_GO: usize = 1 << 20;
/// Bytes of a block of tar.
const BLOCK: usize = 512;
/// Bytes of a name that a header has room for.
const MOST_IN_HEADER: usize = 100;
/// The name of an entry whose contents are the name of the next one, as GNU tar has it.
const LONG_NAME: &str = "././@LongLink";
/// What follows the last byte of an archive that is transferred: its announced size is none, so its reader
/// stops at what looks like one more gzip. As the toolbox of govmomi ends its archives.
pub(super) const TRAILER: [u8; 3] = [0x1f, 0x8b, 0x08];

/// See the module.
#[derive(Debug)]
pub(in crate::guest_operations::files) struct Packer {
    to: To,
}

/// Where the bytes go.
#[derive(Debug)]
enum To {
    /// As they are.
    Plain(Vec<u8>),
    /// Compressed.
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Packer {
    /// An archive without entries.
    pub(in crate::guest_operations::files) fn new(gzip: bool) -> Self {
        let to = if gzip {
            To::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast())))
        } else {
            To::Plain(Vec::new())
        };
        Self { to }
    }

    /// Begins an entry; its bytes, as many as its attributes say, and [`Self::pad`] follow.
    pub(in crate::guest_operations::files) fn begin(
        &mut self,
        name: &str,
        attributes: &Attributes,
    ) {
        let mut header = Header::new_gnu();
        let mut name = name.to_owned();
        let mut size = 0;
        match &attributes.kind {
            Kind::File => {
                header.set_entry_type(EntryType::Regular);
                size = attributes.size;
            }
            Kind::Folder => {
                header.set_entry_type(EntryType::Directory);
                name.push('/');
            }
            Kind::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                self.long(EntryType::GNULongLink, target);
                put(&mut header.as_old_mut().linkname, target);
            }
        }
        self.long(EntryType::GNULongName, &name);
        put(&mut header.as_old_mut().name, &name);
        header.set_size(size);
        header.set_mode(attributes.mode & 0o7777);
        header.set_mtime(u64::try_from(attributes.times.1).unwrap_or_default());
        header.set_uid(attributes.owner.0.into());
        header.set_gid(attributes.owner.1.into());
        header.set_cksum();
        self.data(header.as_bytes());
    }

    /// An entry before one whose name, or target, is too long for its header.
    fn long(&mut self, kind: EntryType, name: &str) {
        if name.len() < MOST_IN_HEADER {
            return;
        }
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        put(&mut header.as_old_mut().name, LONG_NAME);
        let len = name.len() + 1;
        header.set_size(u64::try_from(len).unwrap_or_default());
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        self.data(header.as_bytes());
        self.data(name.as_bytes());
        self.data(&[0]);
        self.pad(u64::try_from(len).unwrap_or_default());
    }

    /// Bytes of the entry that was begun.
    pub(in crate::guest_operations::files) fn data(&mut self, bytes: &[u8]) {
        match &mut self.to {
            To::Plain(out) => out.extend_from_slice(bytes),
            // Writing to a Vec cannot fail.
            To::Gzip(encoder) => {
                let _ = encoder.write_all(bytes);
            }
        }
    }

    /// Ends an entry of so many bytes.
    pub(in crate::guest_operations::files) fn pad(&mut self, size: u64) {
        let last = usize::try_from(size % 512).unwrap_or_default();
        if let Some(zeros) = [0; BLOCK].get(last..).filter(|_| last > 0) {
            self.data(zeros);
        }
    }

    /// A whole file.
    pub(in crate::guest_operations::files) fn file(
        &mut self,
        name: &str,
        attributes: &Attributes,
        bytes: &[u8],
    ) {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let attributes = Attributes {
            size,
            ..attributes.clone()
        };
        self.begin(name, &attributes);
        self.data(bytes);
        self.pad(size);
    }

    /// Ends the archive.
    pub(in crate::guest_operations::files) fn finish(&mut self) {
        self.data(&[0; 2 * BLOCK]);
        if let To::Gzip(encoder) = &mut self.to {
            // Writing to a Vec cannot fail.
            let _ = encoder.try_finish();
        }
    }

    /// What has come out of it and was not taken.
    pub(in crate::guest_operations::files) fn out(&mut self) -> &mut Vec<u8> {
        match &mut self.to {
            To::Plain(out) => out,
            To::Gzip(encoder) => encoder.get_mut(),
        }
    }

    /// Bytes of that.
    pub(in crate::guest_operations::files) fn held(&self) -> usize {
        match &self.to {
            To::Plain(out) => out.len(),
            To::Gzip(encoder) => encoder.get_ref().len(),
        }
    }
}

/// Writes as much of a name as there is room for.
fn put(field: &mut [u8], name: &str) {
    for (to, from) in field.iter_mut().zip(name.bytes()) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::guest_operations::files::tree::{file_attributes, folder_attributes};

    fn link(target: &str) -> Attributes {
        Attributes {
            kind: Kind::Link(target.to_owned()),
            ..folder_attributes(7)
        }
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(255));
        let target = format!("/{}", "t".repeat(120));
        let exact = "n".repeat(100);
        for gzip in [false, true] {
            let mut packer = Packer::new(gzip);
            packer.begin("services", &folder_attributes(7));
            packer.file(
                "services/apid.log",
                &file_attributes(0o100_444, 0, 7),
                b"lines\n",
            );
            packer.file(&long, &file_attributes(0o100_600, 0, 7), &[7; 512]);
            packer.file(&exact, &file_attributes(0o100_600, 0, 7), b"");
            packer.begin("short", &link("../x"));
            packer.begin("long", &link(&target));
            packer.finish();
            let packed = std::mem::take(packer.out());
            let mut plain = Vec::new();
            if gzip {
                flate2::read::GzDecoder::new(packed.as_slice())
                    .read_to_end(&mut plain)
                    .unwrap();
            } else {
                plain = packed;
            }
            assert_eq!(plain.len() % BLOCK, 0);
            let mut archive = tar::Archive::new(plain.as_slice());
            let entries = archive.entries().unwrap().map(|entry| {
                let mut entry = entry.unwrap();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                let target = entry
                    .link_name()
                    .unwrap()
                    .map(|to| to.display().to_string());
                let header = entry.header();
                assert_eq!(header.mtime().unwrap(), 7);
                let mode = header.mode().unwrap();
                let name = entry.path().unwrap().display().to_string();
                (name, mode, bytes, target)
            });
            let expected = [
                ("services/".to_owned(), 0o555, vec![], None),
                (
                    "services/apid.log".to_owned(),
                    0o444,
                    b"lines\n".to_vec(),
                    None,
                ),
                (long.clone(), 0o600, vec![7; 512], None),
                (exact.clone(), 0o600, vec![], None),
                ("short".to_owned(), 0o555, vec![], Some("../x".to_owned())),
                ("long".to_owned(), 0o555, vec![], Some(target.clone())),
            ];
            assert_eq!(entries.collect::<Vec<_>>(), expected);
        }
    }
}
