//! A file system on a loop device.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::LIMIT;
use crate::namespace::Namespace;
use crate::watchdog::Watchdog;
use crate::writer::{Stand, Writer};

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
}

impl Kind {
    /// As mount(8) and /sys/fs have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// How large it is made: mkfs.xfs wants 300 MiB, and most of them stay empty.
    const fn size(self) -> u64 {
        match self {
            Self::Ext4 => 64 << 20,
            Self::Xfs => 320 << 20,
        }
    }

    const fn mkfs(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Ext4 => ("mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=0"]),
            Self::Xfs => ("mkfs.xfs", &["-q", "-f"]),
        }
    }
}

/// A mount namespace for disks.
#[derive(Debug)]
pub struct Disks {
    namespace: Arc<Namespace>,
    limit: Duration,
}

impl Disks {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// There is no right to one.
    pub fn new() -> io::Result<Self> {
        Self::with_limit(LIMIT)
    }

    /// One whose watchdogs wait no longer than this.
    ///
    /// # Errors
    ///
    /// There is no right to one.
    pub fn with_limit(limit: Duration) -> io::Result<Self> {
        let namespace = Arc::new(Namespace::new()?);
        Ok(Self { namespace, limit })
    }

    /// Makes a file system, mounts it at this path (`var`, then `var/mnt/data` in it), and begins to write to it.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn make(&self, kind: Kind, at: &str) -> io::Result<Disk> {
        let namespace = Arc::clone(&self.namespace);
        let base = namespace
            .root()
            .join(format!("of-{}", at.replace('/', "-")));
        let mount_point = namespace.root().join("at").join(at);
        let (backing, rescue) = (base.join("backing"), base.join("rescue"));
        let folders = [mount_point.clone(), rescue.clone()];
        let backing_text = backing.display().to_string();
        namespace.run(move || {
            folders.iter().try_for_each(fs::create_dir_all)?;
            File::create(backing)?.set_len(kind.size())
        })?;
        let (mkfs, options) = kind.mkfs();
        let options: Vec<&str> = options.iter().copied().chain([&*backing_text]).collect();
        namespace.program(mkfs, &options)?;
        let device = namespace.program("losetup", &["--find", "--show", &backing_text])?;
        // From here on the device detaches itself when the last who has it open closes it. While this is open its
        // number is no other's.
        let held = OpenOptions::new().read(true).open(&device)?;
        namespace.program("losetup", &["--detach", &device])?;

        let (watched, limit) = (device.clone(), self.limit);
        let (watchdog, pulse) =
            namespace.run(move || Watchdog::start(&watched, kind.name(), &rescue, limit))?;
        let (source, target) = (device.clone(), mount_point.clone());
        let writer = namespace.run(move || {
            let flags = MsFlags::empty();
            mount(
                Some(&*source),
                &target,
                Some(kind.name()),
                flags,
                None::<&str>,
            )?;
            Writer::start(target, pulse, limit / 5)
        })?;
        Ok(Disk {
            kind,
            device,
            mount_point,
            writer,
            namespace,
            _watchdog: watchdog,
            _held: held,
        })
    }
}

/// A mounted file system with its writer. It is thawed, unmounted and gone with this.
#[derive(Debug)]
pub struct Disk {
    kind: Kind,
    device: String,
    mount_point: PathBuf,
    writer: Writer,
    namespace: Arc<Namespace>,
    _watchdog: Watchdog,
    _held: File,
}

impl Disk {
    /// Which kind.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// `/dev/loop3`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// `loop3`.
    pub fn name(&self) -> &str {
        self.device.trim_start_matches("/dev/")
    }

    /// The longest write of those that ended after this time, or have not ended.
    ///
    /// # Panics
    ///
    /// When there is none, or the writer has failed.
    pub fn longest_stand(&self, since: Instant) -> Stand {
        assert_eq!(self.writer.failure(), None, "{}", self.device);
        self.writer.longest_stand(since).expect("a write since")
    }

    /// How many writes have ended in between: none while it was frozen.
    pub fn ended(&self, from: Instant, to: Instant) -> usize {
        self.writer.ended(from, to)
    }

    /// Waits until a write stands, so that the file system is frozen, and gives the begin of that write.
    pub fn wait_stands(&self, within: Duration) -> Option<Instant> {
        self.writer.wait_stands(within)
    }

    /// Waits until a write that began after the call has ended, so that the file system is not frozen.
    pub fn wait_moves(&self, within: Duration) -> bool {
        self.writer.wait_moves(within)
    }

    /// Freezes it, as another program would.
    ///
    /// # Errors
    ///
    /// It is frozen.
    pub fn freeze(&self) -> io::Result<()> {
        self.fsfreeze("--freeze")
    }

    /// Thaws it, whoever has frozen it.
    ///
    /// # Errors
    ///
    /// It is not frozen.
    pub fn thaw(&self) -> io::Result<()> {
        self.fsfreeze("--unfreeze")
    }

    /// Ends the writer and unmounts the file system, as Talos would. The device stays.
    ///
    /// # Errors
    ///
    /// It is in use.
    pub fn unmount(&mut self) -> io::Result<()> {
        self.writer.stop();
        self.umount(MntFlags::empty())
    }

    /// Whether the kernel has the file system mounted, wherever.
    pub fn is_mounted(&self) -> bool {
        let place = format!("/sys/fs/{}/{}", self.kind.name(), self.name());
        fs::exists(place).unwrap_or_default()
    }

    fn umount(&self, flags: MntFlags) -> io::Result<()> {
        let mount_point = self.mount_point.clone();
        self.namespace
            .run(move || Ok(umount2(&mount_point, flags)?))
    }

    fn fsfreeze(&self, how: &str) -> io::Result<()> {
        let mount_point = self.mount_point.display().to_string();
        self.namespace
            .program("fsfreeze", &[how, &mount_point])
            .map(drop)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Frozen or not, mounted or not: the watchdog looks at both once more.
        drop(self.thaw());
        self.writer.stop();
        drop(self.umount(MntFlags::MNT_DETACH));
    }
}
