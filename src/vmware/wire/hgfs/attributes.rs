//! Attributes of a file (HgfsAttrV2). A bit of the mask says for each whether it is known.

/// HGFS_ATTR_VALID_TYPE.
const TYPE: u64 = 1;
/// HGFS_ATTR_VALID_SIZE.
const SIZE: u64 = 2;
/// HGFS_ATTR_VALID_ACCESS_TIME.
const ACCESSED: u64 = 8;
/// HGFS_ATTR_VALID_WRITE_TIME and HGFS_ATTR_VALID_CHANGE_TIME.
const CHANGED: u64 = 0x10 | 0x20;
/// HGFS_ATTR_VALID_SPECIAL_PERMS to HGFS_ATTR_VALID_OTHER_PERMS.
const PERMISSIONS: u64 = 0x40 | 0x80 | 0x100 | 0x200;
/// HGFS_ATTR_VALID_USERID and HGFS_ATTR_VALID_GROUPID.
const OWNER: u64 = 0x1000 | 0x2000;
/// 1970 in units of 100 ns since 1601.
const UNIX_EPOCH: i128 = 116_444_736_000_000_000;
/// Such units in a second.
const UNITS: i128 = 10_000_000;

/// What a host is shown of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// What it is.
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970: accessed, changed.
    pub times: Option<(i64, i64)>,
    /// The bits of `st_mode`; those of its kind do not count.
    pub mode: Option<u32>,
    /// User and group.
    pub owner: Option<(u32, u32)>,
}

/// HgfsFileType.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// HGFS_FILE_TYPE_REGULAR.
    Regular,
    /// HGFS_FILE_TYPE_DIRECTORY.
    Directory,
    /// HGFS_FILE_TYPE_SYMLINK, with its target.
    Symlink(String),
}

impl FileStatus {
    /// Writes HgfsAttrV2.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mask = TYPE
            | SIZE
            | self.times.map_or(0, |_| ACCESSED | CHANGED)
            | self.mode.map_or(0, |_| PERMISSIONS)
            | self.owner.map_or(0, |_| OWNER);
        let kind = match self.kind {
            FileKind::Regular => 0_u32,
            FileKind::Directory => 1,
            FileKind::Symlink(_) => 2,
        };
        let (accessed, changed) = self.times.map_or((0, 0), |(accessed, changed)| {
            (since_1601(accessed), since_1601(changed))
        });
        let mode = self.mode.unwrap_or_default();
        let permissions = [9, 6, 3, 0].map(|shift| (mode >> shift & 7) as u8);
        let (user, group) = self.owner.unwrap_or_default();
        out.extend(mask.to_le_bytes());
        out.extend(kind.to_le_bytes());
        for long in [self.size, 0, accessed, changed, changed] {
            out.extend(long.to_le_bytes());
        }
        out.extend(permissions);
        // Flags, and the space on the disk.
        out.extend([0; 16]);
        out.extend(user.to_le_bytes());
        out.extend(group.to_le_bytes());
        // The host's number of the file, its volume, effective permissions, reserved.
        out.extend([0; 24]);
    }

    /// What a symbolic link points to; nothing for others.
    pub(super) fn target(&self) -> &[u8] {
        match &self.kind {
            FileKind::Symlink(target) => target.as_bytes(),
            FileKind::Regular | FileKind::Directory => b"",
        }
    }
}

/// Seconds since 1970 in units of 100 ns since 1601. What lies before is 1601.
fn since_1601(seconds: i64) -> u64 {
    let units = i128::from(seconds) * UNITS + UNIX_EPOCH;
    u64::try_from(units.max(0)).unwrap_or(u64::MAX)
}
