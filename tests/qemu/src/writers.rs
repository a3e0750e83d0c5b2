//! Programs in the guest that write all the time, one on each file system: when they stand still, it is frozen.

use std::time::{Duration, Instant};

use crate::Shell;

/// The file systems of a guest that has two disks.
const FOLDERS: [&str; 2] = ["/var", "/var/mnt/data"];

/// A write and its fsync take some milliseconds of QEMU's emulated processor; on a loaded machine a few hundred.
pub const PAUSE: Duration = Duration::from_secs(1);

/// The writers of a guest, and a way into it.
#[derive(Debug)]
pub struct Writers {
    shell: Shell,
}

impl Writers {
    /// Starts them.
    ///
    /// # Panics
    ///
    /// When they do not write.
    pub fn start(shell: Shell) -> Self {
        for (number, folder) in FOLDERS.iter().enumerate() {
            shell.run(&format!("writer {folder} /run/notes.{number} &"));
        }
        let writers = Self { shell };
        assert!(writers.move_within(Duration::from_secs(20)));
        writers
    }

    /// The shell.
    pub const fn shell(&self) -> &Shell {
        &self.shell
    }

    /// When each write of each was through, since the guest's boot.
    fn notes(&self) -> [Vec<Duration>; 2] {
        [0, 1].map(|number| {
            let text = self
                .shell
                .run(&format!("cat /run/notes.{number} 2>/dev/null || true"));
            let seconds = text.lines().map_while(|line| line.parse().ok());
            seconds.map(Duration::from_secs_f64).collect()
        })
    }

    /// Whether each of them gets a write through within this time.
    pub fn move_within(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let before = self.notes().map(|notes| notes.len());
        loop {
            let now = self.notes().map(|notes| notes.len());
            if now.iter().zip(before).all(|(now, before)| *now > before) {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
        }
    }

    /// Whether none of them gets a write through for this time.
    pub fn stand_for(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let before = self.notes();
        while Instant::now() < until {
            if self.notes() != before {
                return false;
            }
        }
        true
    }

    /// The guest's clock, by which they note.
    pub fn now(&self) -> Duration {
        let text = self.shell.run("cut -d' ' -f1 /proc/uptime");
        Duration::from_secs_f64(text.trim().parse().expect("seconds"))
    }

    /// How long each stood still at most since then.
    pub fn longest_stand(&self, since: Duration) -> Duration {
        let stands = self.notes().map(|notes| {
            let pairs = notes.windows(2).filter(|pair| pair[1] >= since);
            pairs.map(|pair| pair[1] - pair[0]).max()
        });
        stands.into_iter().flatten().max().unwrap_or_default()
    }
}
