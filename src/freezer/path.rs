//! Paths below /sys, put together without an allocation.

use std::ffi::CStr;

/// Longer than any path that is put together: a name has 31 bytes at most.
const ROOM: usize = 64;

/// A path that ends with a NUL.
#[derive(Debug)]
pub(super) struct Path([u8; ROOM]);

impl Path {
    /// `None` when it is too long.
    pub(super) fn new(parts: &[&str]) -> Option<Self> {
        let mut bytes = [0; ROOM];
        let mut length = 0_usize;
        for part in parts {
            let end = length.checked_add(part.len())?;
            bytes.get_mut(length..end)?.copy_from_slice(part.as_bytes());
            length = end;
        }
        (length < ROOM).then_some(Self(bytes))
    }

    /// As the kernel takes it.
    pub(super) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_a_path_unless_it_is_too_long() {
        let path = Path::new(&["/sys/fs/", "xfs", "/", "sda6"]).unwrap();
        assert_eq!(path.as_c_str(), c"/sys/fs/xfs/sda6");
        let longest = "n".repeat(crate::freeze::message::LONGEST_NAME);
        assert!(Path::new(&["/sys/class/block/", &longest, "/dev"]).is_some());
        assert!(Path::new(&["/", &"n".repeat(ROOM - 2)]).is_some());
        assert!(Path::new(&["/", &"n".repeat(ROOM - 1)]).is_none());
        assert!(Path::new(&["/", &"n".repeat(ROOM)]).is_none());
    }
}
