//! What the process has in memory: the pages that it will use, and no others.
//!
//! A start runs through much of the program, and the kernel maps 16 pages at a time. They are the agent's as well, but
//! count as ours; and what is locked cannot be given to others.

// See the JUSTIFICATION at the block.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::without_provenance_mut;

use rustix::mm::{Advice, MlockAllFlags, madvise, mlockall};

/// Lets go of the program's code, and has what is used from here on stay. Both may fail: then more is in memory, or may
/// have to be read again.
pub(super) fn keep_what_is_used_from_here_on() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(code) {
        // JUSTIFICATION: no crate has a safe call for it.
        // SAFETY: code is mapped from the program's file and never written, so that the kernel reads the same again
        // where it is used.
        let _ = unsafe { madvise(start, length, Advice::LinuxDontNeed) };
    }
    // It needs CAP_IPC_LOCK, or room below the limit.
    let _ = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT);
}

/// Start and length of a mapping, if it is code of a file: `55d0-55f0 r-xp 00001000 fe:00 4711 /usr/bin/true`.
fn code(line: &str) -> Option<(*mut c_void, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (rights, _offset, _device, inode) =
        (words.next()?, words.next()?, words.next()?, words.next()?);
    if rights != "r-xp" || inode == "0" {
        return None;
    }
    let number = |text| usize::from_str_radix(text, 16).ok();
    let start = number(start)?;
    let length = number(end)?.checked_sub(start)?;
    Some((without_provenance_mut(start), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_that_is_mapped_from_a_file_is_let_go_of() {
        let lines = [
            "7f10-7f30 r-xp 00001000 fe:00 4711                       /tmp/a program",
            "7f30-7f40 r--p 00001000 fe:00 4711                       /tmp/a program",
            "7f40-7f50 rwxp 00001000 fe:00 4711                       /tmp/a program",
            "7ffd-7fff r-xp 00000000 00:00 0                          [vdso]",
            "nonsense",
            "",
        ];
        let found: Vec<_> = lines
            .iter()
            .filter_map(|line| code(line))
            .map(|(start, length)| (start.addr(), length))
            .collect();
        assert_eq!(found, [(0x7f10, 0x20)]);
    }
}
