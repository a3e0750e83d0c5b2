//! What the process has in memory: the pages that it will use, and no others.
//!
//! A start runs through much of the program, and the kernel maps 16 pages at a time, as far as a mapping goes. They are the
//! agent's as well, but count as ours; and what is locked cannot be given to others.

// See the JUSTIFICATION at the block.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr::without_provenance_mut;

use rustix::mm::{Advice, MlockAllFlags, madvise, mlockall};

/// Has what is in use stay, and what comes into use. It needs CAP_IPC_LOCK, or room below the limit; without, a page may
/// have to be read again.
pub(super) fn lock() {
    let _ = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT);
}

/// Bytes of a piece: four pages, of which one is used.
const PIECE: usize = 16 << 10;

/// Lets go of the program's file: what is used from here on comes back, in small pieces, and what only the start has used
/// does not. Older kernels than 5.18 do not; then more stays in memory.
pub(super) fn let_go_of_the_start() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(unwritten) {
        // Neighbours that differ are mappings of their own; what they differ in is of no use here.
        for offset in (0..length).step_by(2 * PIECE) {
            let length = PIECE.min(length - offset);
            // JUSTIFICATION: no crate has a safe call for it.
            // SAFETY: it changes what a fork would copy, and this process never forks.
            let _ = unsafe {
                madvise(
                    start.wrapping_byte_add(offset),
                    length,
                    Advice::LinuxDontFork,
                )
            };
        }
        // JUSTIFICATION: no crate has a safe call for it.
        // SAFETY: code and constants are mapped from the program's file and never written, so that the kernel reads the
        // same again where it is used.
        let _ = unsafe { madvise(start, length, Advice::LinuxDontneedLocked) };
    }
}

/// Start and length of a mapping, if it is a file's code, or the constants before it:
/// `55d0-55f0 r-xp 00001000 fe:00 4711 /usr/bin/true`. Constants that hold addresses were written at the start; they come
/// later in the file.
fn unwritten(line: &str) -> Option<(*mut c_void, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let (rights, offset) = (words.next()?, words.next()?);
    let (_device, inode) = (words.next()?, words.next()?);
    let number = |text| usize::from_str_radix(text, 16).ok();
    let is_first = number(offset)? == 0;
    if inode == "0" || !(rights == "r-xp" || rights == "r--p" && is_first) {
        return None;
    }
    let start = number(start)?;
    let length = number(end)?.checked_sub(start)?;
    Some((without_provenance_mut(start), length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_never_written_is_let_go_of() {
        let lines = [
            "7f00-7f10 r--p 00000000 fe:00 4711                       /tmp/a program",
            "7f10-7f30 r-xp 00001000 fe:00 4711                       /tmp/a program",
            "7f30-7f40 r--p 00001000 fe:00 4711                       /tmp/a program",
            "7f40-7f50 rwxp 00001000 fe:00 4711                       /tmp/a program",
            "7f50-7f60 rw-p 00000000 fe:00 4711                       /tmp/a program",
            "7ff0-7ff1 r--p 00000000 00:00 0                          [vvar]",
            "7ffd-7fff r-xp 00000000 00:00 0                          [vdso]",
            "nonsense",
            "",
        ];
        let found: Vec<_> = lines
            .iter()
            .filter_map(|line| unwritten(line))
            .map(|(start, length)| (start.addr(), length))
            .collect();
        assert_eq!(found, [(0x7f00, 0x10), (0x7f10, 0x20)]);
    }
}
