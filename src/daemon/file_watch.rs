//! Notices that a file has new contents, however they got there.
//!
//! kubelet swaps the file of a Secret by renaming a symlink beside it, an operator may edit or replace it. So
//! the folders are watched (inotify, which costs nothing while nothing happens) and the contents decide: of
//! the folder that the path names, and of the one where the file really lies.
//!
//! ```text
//! /var/run/secrets/talos.dev/config → ..data/config      ..data → ..2026_11_21_13_00   (renamed)
//! ```

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep_until};

/// A swap is several steps; they are looked at together.
const SETTLE: Duration = Duration::from_millis(200);
/// Polling interval without inotify, or while the folder is missing.
const UNWATCHED: Duration = Duration::from_secs(4);

/// A file whose contents matter.
#[derive(Debug)]
pub struct FileWatch {
    path: PathBuf,
    /// An inotify descriptor; it is read like a pipe, which tokio has a safe type for.
    events: Option<Receiver>,
    /// When to look at the contents next, because something may have happened.
    look_at: Option<Instant>,
    /// A hash of the contents, so that no private key stays in memory; 0 while the file cannot be read.
    seen: u64,
    hasher: RandomState,
}

impl FileWatch {
    /// Watches `path` from here on. To be called within a runtime.
    pub fn new(path: &Path) -> Self {
        let mut watch = Self {
            path: path.to_owned(),
            events: None,
            look_at: None,
            seen: 0,
            hasher: RandomState::new(),
        };
        watch.arm();
        watch.seen = watch.fingerprint();
        watch
    }

    /// Returns once the file has other contents than before; cancel-safe.
    pub async fn changed(&mut self) {
        loop {
            let look_at = match (self.look_at, &self.events) {
                (Some(look_at), _) => look_at,
                (None, None) => Instant::now() + UNWATCHED,
                (None, Some(events)) => {
                    let read = read(events).await;
                    Instant::now() + if read.is_ok() { SETTLE } else { UNWATCHED }
                }
            };
            self.look_at = Some(look_at);
            sleep_until(look_at).await;
            self.look_at = None;
            // The target of a symlink may be in another folder by now.
            self.arm();
            let now = self.fingerprint();
            if now != self.seen {
                self.seen = now;
                return;
            }
        }
    }

    /// Watches the folders as they are now, or falls back to polling.
    fn arm(&mut self) {
        let events = || -> io::Result<Receiver> {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
            let flags = AddWatchFlags::IN_CLOSE_WRITE
                | AddWatchFlags::IN_CREATE
                | AddWatchFlags::IN_DELETE
                | AddWatchFlags::IN_MOVED_TO
                | AddWatchFlags::IN_MOVED_FROM;
            inotify.add_watch(folder(&self.path), flags)?;
            if let Ok(real) = self.path.canonicalize() {
                inotify.add_watch(folder(&real), flags)?;
            }
            Receiver::from_owned_fd_unchecked(inotify.into())
        };
        self.events = events()
            .inspect_err(|error| {
                tracing::debug!(%error, path = %self.path.display(), "cannot watch the file; polling it");
            })
            .ok();
    }

    fn fingerprint(&self) -> u64 {
        std::fs::read(&self.path).map_or(0, |contents| self.hasher.hash_one(contents) | 1)
    }
}

/// Waits for events and drops them: only the contents matter.
async fn read(events: &Receiver) -> io::Result<()> {
    let mut taken = [0; 4096];
    loop {
        events.readable().await?;
        match events.try_read(&mut taken) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tokio::time::timeout;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(5);

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("file-watch-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_secret_that_kubelet_swaps() {
        let folder = Folder::new("kubelet");
        let version = |name: &str, text: &str| {
            fs::create_dir(folder.0.join(name)).unwrap();
            fs::write(folder.0.join(name).join("config"), text).unwrap();
        };
        let swap = |name: &str| {
            symlink(name, folder.0.join("..data_tmp")).unwrap();
            fs::rename(folder.0.join("..data_tmp"), folder.0.join("..data")).unwrap();
        };
        version("..1", "first");
        swap("..1");
        symlink("..data/config", folder.0.join("config")).unwrap();
        let mut watch = FileWatch::new(&folder.0.join("config"));
        for (name, text) in [("..2", "second"), ("..3", "third")] {
            version(name, text);
            swap(name);
            timeout(DEADLINE, watch.changed()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_file_behind_a_symlink_is_watched_where_it_lies_and_where_it_is_moved_to() {
        let folder = Folder::new("symlink");
        let place = |name: &str| {
            let place = folder.0.join(name);
            fs::create_dir(&place).unwrap();
            fs::write(place.join("talosconfig"), name).unwrap();
            place
        };
        let (links, one, other) = (place("links"), place("one"), place("other"));
        let link_to = |place: &Path| {
            symlink(place.join("talosconfig"), links.join("new")).unwrap();
            fs::rename(links.join("new"), links.join("config")).unwrap();
        };
        link_to(&one);
        let mut watch = FileWatch::new(&links.join("config"));
        // Nothing happens in the symlink's own folder.
        fs::write(one.join("talosconfig"), "edited").unwrap();
        timeout(DEADLINE, watch.changed()).await.unwrap();
        fs::write(one.join("new"), "replaced").unwrap();
        fs::rename(one.join("new"), one.join("talosconfig")).unwrap();
        timeout(DEADLINE, watch.changed()).await.unwrap();
        // And from here on nothing in the first folder.
        link_to(&other);
        timeout(DEADLINE, watch.changed()).await.unwrap();
        fs::write(other.join("talosconfig"), "edited there").unwrap();
        timeout(DEADLINE, watch.changed()).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_edited_replaced_removed_and_made() {
        let folder = Folder::new("plain");
        let path = folder.0.join("talosconfig");
        let mut watch = FileWatch::new(&path);
        fs::write(&path, "made").unwrap();
        timeout(DEADLINE, watch.changed()).await.unwrap();
        fs::write(&path, "edited").unwrap();
        timeout(DEADLINE, watch.changed()).await.unwrap();
        fs::write(folder.0.join("new"), "replaced").unwrap();
        fs::rename(folder.0.join("new"), &path).unwrap();
        timeout(DEADLINE, watch.changed()).await.unwrap();
        fs::remove_file(&path).unwrap();
        timeout(DEADLINE, watch.changed()).await.unwrap();
    }

    #[tokio::test]
    async fn waiting_for_something_else_meanwhile_misses_nothing() {
        let folder = Folder::new("cancelled");
        let path = folder.0.join("talosconfig");
        fs::write(&path, "first").unwrap();
        let mut watch = FileWatch::new(&path);
        fs::write(&path, "second").unwrap();
        // Each wait is long enough to take the event and too short to look at the file.
        let looked = async {
            while timeout(Duration::from_millis(20), watch.changed())
                .await
                .is_err()
            {}
        };
        timeout(DEADLINE, looked).await.unwrap();
    }

    #[tokio::test]
    async fn the_same_contents_again_are_no_change() {
        let folder = Folder::new("same");
        let path = folder.0.join("talosconfig");
        fs::write(&path, "text").unwrap();
        let mut watch = FileWatch::new(&path);
        fs::write(&path, "text").unwrap();
        fs::write(folder.0.join("beside"), "other").unwrap();
        assert!(
            timeout(Duration::from_millis(600), watch.changed())
                .await
                .is_err()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_comes_later_is_looked_for() {
        let folder = Folder::new("late");
        let path = folder.0.join("not/yet/talosconfig");
        let mut watch = FileWatch::new(&path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "text").unwrap();
        timeout(DEADLINE, watch.changed()).await.unwrap();
    }
}
