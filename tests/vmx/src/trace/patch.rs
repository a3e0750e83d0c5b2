//! Finds the instructions that do not fault by themselves (CPUID, VMCALL, VMMCALL) in a program's code,
//! so that the tracer can put a breakpoint in their place.
//!
//! A file's executable sections are swept from their start with a disassembler, and only hits on an
//! instruction boundary count. A section without the bytes of any of the three is not swept at all; the
//! result is remembered per file.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use iced_x86::{Code, Decoder, DecoderOptions};

/// What stood where the breakpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cpuid,
    Vmcall,
    Vmmcall,
}

/// One instruction to replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// Offset in the file.
    pub(crate) offset: u64,
    pub(crate) len: u8,
    pub(crate) kind: Kind,
}

type Identity = (u64, u64, i64, u64);

static KNOWN: Mutex<Option<HashMap<Identity, Arc<Vec<Site>>>>> = Mutex::new(None);

/// The sites of a file, in order of their offsets.
pub(crate) fn sites(path: &Path) -> io::Result<Arc<Vec<Site>>> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let identity = (
        meta.dev(),
        meta.ino(),
        meta.mtime_nsec() ^ meta.mtime(),
        meta.len(),
    );
    let mut known = KNOWN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(found) = known.get(&identity) {
        return Ok(found.clone());
    }
    let found = Arc::new(sweep(&std::fs::read(path)?));
    known.insert(identity, found.clone());
    Ok(found)
}

fn sweep(image: &[u8]) -> Vec<Site> {
    let mut found = Vec::new();
    for (start, end) in code_ranges(image) {
        let Some(code) = image.get(start..end) else {
            continue;
        };
        let Some(last) = last_candidate(code) else {
            continue;
        };
        let mut decoder = Decoder::with_ip(64, code, start as u64, DecoderOptions::NONE);
        while decoder.can_decode() && decoder.position() <= last {
            let instruction = decoder.decode();
            let kind = match instruction.code() {
                Code::Cpuid => Kind::Cpuid,
                Code::Vmcall => Kind::Vmcall,
                Code::Vmmcall => Kind::Vmmcall,
                Code::INVALID => {
                    // Data between functions: go on one byte further.
                    let next = (instruction.ip() as usize - start) + 1;
                    if decoder.set_position(next).is_err() {
                        break;
                    }
                    decoder.set_ip((start + next) as u64);
                    continue;
                }
                _ => continue,
            };
            found.push(Site {
                offset: instruction.ip(),
                len: instruction.len() as u8,
                kind,
            });
        }
    }
    found
}

fn last_candidate(code: &[u8]) -> Option<usize> {
    let two = code.windows(2).rposition(|bytes| bytes == [0x0f, 0xa2]);
    let three = code
        .windows(3)
        .rposition(|bytes| bytes == [0x0f, 0x01, 0xc1] || bytes == [0x0f, 0x01, 0xd9]);
    two.max(three)
}

/// File ranges of an ELF64's executable sections, or of its executable segments when it has no section
/// headers. Empty for anything else.
fn code_ranges(image: &[u8]) -> Vec<(usize, usize)> {
    fn number(image: &[u8], at: usize, len: usize) -> Option<usize> {
        let bytes = image.get(at..at.checked_add(len)?)?;
        let value = bytes
            .iter()
            .rev()
            .fold(0u64, |value, &byte| (value << 8) | u64::from(byte));
        usize::try_from(value).ok()
    }
    if !image.starts_with(b"\x7fELF\x02\x01") {
        return Vec::new();
    }
    const SHT_NOBITS: usize = 8;
    const SHF_EXECINSTR: usize = 4;
    const PT_LOAD: usize = 1;
    const PF_X: usize = 1;
    let table = |at: usize, size: usize, count: usize| {
        let (at, size, count) = (
            number(image, at, 8)?,
            number(image, size, 2)?,
            number(image, count, 2)?,
        );
        Some((0..count).map(move |index| at + index * size))
    };
    let mut ranges = Vec::new();
    for at in table(0x28, 0x3a, 0x3c).into_iter().flatten() {
        let range = || {
            let (kind, flags) = (number(image, at + 4, 4)?, number(image, at + 8, 8)?);
            let (offset, len) = (number(image, at + 0x18, 8)?, number(image, at + 0x20, 8)?);
            (kind != SHT_NOBITS && flags & SHF_EXECINSTR != 0)
                .then(|| (offset, offset.saturating_add(len)))
        };
        ranges.extend(range());
    }
    if ranges.is_empty() {
        for at in table(0x20, 0x36, 0x38).into_iter().flatten() {
            let range = || {
                let (kind, flags) = (number(image, at, 4)?, number(image, at + 4, 4)?);
                let (offset, len) = (number(image, at + 8, 8)?, number(image, at + 0x20, 8)?);
                (kind == PT_LOAD && flags & PF_X != 0).then(|| (offset, offset.saturating_add(len)))
            };
            ranges.extend(range());
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(code: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 64 + 56];
        image[..6].copy_from_slice(b"\x7fELF\x02\x01");
        image[0x20] = 64;
        image[0x36] = 56;
        image[0x38] = 1;
        let at = 64;
        image[at] = 1;
        image[at + 4] = 5;
        image[at + 8] = 120;
        image[at + 0x20] = code.len() as u8;
        image.extend(code);
        image
    }

    #[test]
    fn only_instruction_boundaries_count() {
        // mov eax, 0xa20f0f0f (holds the bytes of cpuid); cpuid; vmcall; nop; vmmcall
        let code = [
            0xb8, 0x0f, 0xa2, 0x0f, 0xa2, 0x0f, 0xa2, 0x0f, 0x01, 0xc1, 0x90, 0x0f, 0x01, 0xd9,
        ];
        let found = sweep(&elf(&code));
        let wanted = [
            (125, 2, Kind::Cpuid),
            (127, 3, Kind::Vmcall),
            (131, 3, Kind::Vmmcall),
        ];
        let wanted = wanted.map(|(offset, len, kind)| Site { offset, len, kind });
        assert_eq!(found, wanted);
    }

    #[test]
    fn other_files_have_no_code() {
        assert!(sweep(b"#!/bin/sh\n\x0f\xa2").is_empty());
        assert!(sweep(b"\x7fELF\x02\x01").is_empty());
        assert!(sweep(&elf(&[0x90; 8])).is_empty());
    }
}
