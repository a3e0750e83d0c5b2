//! What the kernel reports of this machine in /proc and /sys.
//!
//! It is the same in every container that Talos makes: neither file system is limited to a control group. Files
//! are read here; the parsers are pure.

mod device_names;
mod disk_counters;
pub mod hardware;
pub mod load;
mod parts;
mod processors;
mod qemu_disk;
mod uname;

pub use device_names::DeviceNames;
pub use load::own_counters;
pub use parts::wall_clock;
pub use uname::machine;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use nix::unistd::SysconfVar;

/// Larger than any file here; /proc/stat and /proc/zoneinfo grow with the number of processors.
const MAX_FILE: u64 = 1 << 20;

/// The two file systems.
#[derive(Clone, Debug)]
pub struct Kernel {
    proc: PathBuf,
    sys: PathBuf,
    page_bytes: u64,
    ticks_per_second: u64,
}

impl Kernel {
    /// This machine's.
    pub fn new() -> Self {
        Self::at("/proc", "/sys")
    }

    /// Elsewhere, for tests.
    pub fn at(proc: impl Into<PathBuf>, sys: impl Into<PathBuf>) -> Self {
        let number = |variable| {
            let number = nix::unistd::sysconf(variable).ok().flatten();
            number.and_then(|number| u64::try_from(number).ok())
        };
        Self {
            proc: proc.into(),
            sys: sys.into(),
            page_bytes: number(SysconfVar::PAGE_SIZE).unwrap_or(4096),
            ticks_per_second: number(SysconfVar::CLK_TCK).unwrap_or(100),
        }
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Self::new()
    }
}

/// The text of a file, or nothing when it cannot be read.
fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
        .ok()?;
    Some(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod folder {
    //! A folder with files for a test, removed when dropped.

    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Debug)]
    pub(super) struct Folder(pub(super) PathBuf);

    impl Folder {
        pub(super) fn new(files: &[(&str, &str)]) -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("talos-vmtoolsd-kernel-{}-{number}", std::process::id());
            let folder = Self(std::env::temp_dir().join(name));
            for (path, text) in files {
                let path = folder.0.join(path);
                std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
                std::fs::write(path, text).unwrap();
            }
            folder
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
