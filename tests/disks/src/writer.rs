//! Creates a file and syncs it, again and again, and keeps a time line.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::watchdog::Pulse;

/// Between a write and the next.
const PACE: Duration = Duration::from_millis(3);

/// A write that takes longer stands. Others take a few milliseconds, on a busy machine some ten.
const STANDS: Duration = Duration::from_millis(200);

/// How long a write took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Its begin.
    pub from: Instant,
    /// Its end, or now if it has none yet.
    pub to: Instant,
}

impl Stand {
    /// How long that is.
    pub fn lasted(self) -> Duration {
        self.to.saturating_duration_since(self.from)
    }
}

#[derive(Debug, Default)]
struct TimeLine {
    /// Those that have ended.
    writes: Vec<Stand>,
    /// When the one began that has not.
    since: Option<Instant>,
    /// Why there is no further one.
    failure: Option<String>,
    stop: bool,
}

#[derive(Debug, Default)]
struct Shared {
    line: Mutex<TimeLine>,
    changed: Condvar,
}

impl Shared {
    fn line(&self) -> MutexGuard<'_, TimeLine> {
        self.line.lock().expect("no writer panics")
    }
}

/// A thread that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Pulse>>,
    /// Kept for the watchdog, which takes the end of it for the end of the test.
    last: Option<Pulse>,
}

impl Writer {
    /// Starts it, to be called in the namespace.
    pub(crate) fn start(folder: PathBuf, pulse: Pulse, beat: Duration) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || write(&folder, &theirs, pulse, beat))?;
        Ok(Self {
            shared,
            thread: Some(thread),
            last: None,
        })
    }

    /// Ends it; waits for a write that stands.
    pub(crate) fn stop(&mut self) {
        self.shared.line().stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            self.last = thread.join().ok();
        }
    }

    /// The longest write of those that ended after this time, or have not ended.
    pub(crate) fn longest_stand(&self, since: Instant) -> Option<Stand> {
        let line = self.shared.line();
        let open = line.since.map(|from| Stand {
            from,
            to: Instant::now(),
        });
        let ended = line.writes.iter().rev();
        let ended = ended.take_while(|write| write.to >= since).copied();
        ended.chain(open).max_by_key(|write| write.lasted())
    }

    /// How many writes have ended in between.
    pub(crate) fn ended(&self, from: Instant, to: Instant) -> usize {
        let line = self.shared.line();
        let ended = line.writes.iter().map(|write| write.to);
        ended.filter(|end| *end > from && *end < to).count()
    }

    /// Waits until a write stands, and gives its begin.
    pub(crate) fn wait_stands(&self, within: Duration) -> Option<Instant> {
        let until = Instant::now() + within;
        let mut line = self.shared.line();
        loop {
            let now = Instant::now();
            let stands = line.since.filter(|since| now >= *since + STANDS);
            if stands.is_some() || now >= until {
                return stands;
            }
            let next = line.since.map_or(until, |since| since + STANDS).min(until);
            let wait = next.saturating_duration_since(now).max(PACE);
            line = self.shared.changed.wait_timeout(line, wait).ok()?.0;
        }
    }

    /// Waits until a write has ended that began from now on.
    pub(crate) fn wait_moves(&self, within: Duration) -> bool {
        let from = Instant::now();
        let mut line = self.shared.line();
        loop {
            if line.writes.last().is_some_and(|write| write.from >= from) {
                return true;
            }
            let wait = (from + within).saturating_duration_since(Instant::now());
            if wait.is_zero() || line.failure.is_some() {
                return false;
            }
            let Ok((next, _)) = self.shared.changed.wait_timeout(line, wait) else {
                return false;
            };
            line = next;
        }
    }

    /// Why it writes no more.
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.line().failure.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn write(folder: &Path, shared: &Shared, mut pulse: Pulse, beat: Duration) -> Pulse {
    let mut beaten: Option<Instant> = None;
    for number in 0_u64.. {
        let from = Instant::now();
        {
            let mut line = shared.line();
            if line.stop {
                break;
            }
            line.since = Some(from);
        }
        let written = write_once(folder, number);
        let to = Instant::now();
        if beaten.is_none_or(|at| to >= at + beat) {
            pulse.beat();
            beaten = Some(to);
        }
        let mut line = shared.line();
        line.since = None;
        match written {
            Ok(()) => line.writes.push(Stand { from, to }),
            Err(error) => line.failure = Some(error.to_string()),
        }
        shared.changed.notify_all();
        if line.failure.is_some() {
            break;
        }
        drop(
            shared
                .changed
                .wait_timeout_while(line, PACE, |line| !line.stop),
        );
    }
    pulse
}

/// What databases do: a file, its bytes, and both on the disk.
fn write_once(folder: &Path, number: u64) -> io::Result<()> {
    let path = folder.join(format!("written-{}", number % 8));
    let mut file = File::create(&path)?;
    file.write_all(&[0x5a; 4096])?;
    file.sync_all()?;
    fs::remove_file(path)
}
