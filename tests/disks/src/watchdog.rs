//! A process that thaws a file system when its writer shows no sign of life, and when the test has died.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// The process, which ends with this.
#[derive(Debug)]
pub(crate) struct Watchdog(Child);

/// Signs of life.
#[derive(Debug)]
pub(crate) struct Pulse(ChildStdin);

impl Watchdog {
    /// Starts it, to be called in the namespace. In a process group of its own: what stops the tests at the keyboard
    /// does not stop it.
    pub(crate) fn start(
        device: &str,
        kind: &str,
        folder: &Path,
        limit: Duration,
    ) -> io::Result<(Self, Pulse)> {
        let mut process = Command::new("bash")
            .args(["-c", include_str!("../watchdog"), "watchdog", device, kind])
            .arg(folder)
            .arg(limit.as_secs_f64().to_string())
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pulse = process.stdin.take().map(Pulse);
        let pulse = pulse.ok_or_else(|| io::Error::other("no pipe to the watchdog"))?;
        Ok((Self(process), pulse))
    }
}

impl Pulse {
    /// The file system is alive.
    pub(crate) fn beat(&mut self) {
        // Without its watchdog a test goes on; there is nothing that it could do.
        drop(self.0.write_all(b"\n"));
    }
}

impl Drop for Watchdog {
    /// The pulse has ended before; the last that the watchdog does is a thaw.
    fn drop(&mut self) {
        drop(self.0.wait());
    }
}
