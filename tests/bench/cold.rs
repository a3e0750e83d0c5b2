//! A machine that has just booted: what a program maps comes from the disk by page faults. Right after a build its file
//! lies in memory as it was written instead, in larger pieces, and a fault maps a whole one: up to 1.1 MiB more counted as
//! resident, by luck.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::path::PathBuf;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::candidate::Candidate;
use crate::measure::{PATIENCE, settle};

/// Makes the kernel forget the candidate's files, as long as nothing else maps them.
pub(crate) fn forget(candidate: &Candidate) -> Result<(), Box<dyn Error>> {
    let running = candidate.start(std::convert::identity)?;
    running.vmx.wait_green(PATIENCE)?;
    settle(&running)?;
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", running.vmx.pid()))?;
    drop(running);
    let files = maps
        .lines()
        .filter_map(|line| Some(&line[line.find('/')?..]));
    for file in files.collect::<BTreeSet<_>>() {
        // Only what is on the disk is forgotten.
        let file = File::open(PathBuf::from(file)).map_err(|error| format!("{file}: {error}"))?;
        file.sync_all()?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    }
    Ok(())
}
