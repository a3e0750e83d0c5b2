//! Words and numbers of a freeze for people.

use std::fmt;
use std::time::Duration;

use super::terms::Why;
use super::volumes::Volume;
use crate::log::rfc3339;

/// What the last freeze came to.
#[derive(Debug)]
pub(super) struct Last {
    /// When it ended, since 1970.
    pub(super) at: Duration,
    /// How long file systems were frozen, if they were.
    pub(super) lasted: Option<Duration>,
    /// In a word.
    pub(super) result: &'static str,
}

/// `last 2026-11-27T19:00:00Z 3012 ms done`
impl fmt::Display for Last {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = Duration::from_secs(self.at.as_secs());
        let time = rfc3339(seconds).replace(".000Z", "Z");
        write!(f, "last {time} ")?;
        if let Some(lasted) = self.lasted {
            write!(f, "{} ms ", millis(lasted))?;
        }
        f.write_str(self.result)
    }
}

/// Why a freeze has ended, in a word or two.
pub(super) const fn word(why: Why) -> &'static str {
    match why {
        Why::Done => "done",
        Why::Aborted => "aborted",
        Why::HostGone => "host gone",
        Why::Power => "power operation",
        Why::Stopping => "agent stopping",
        Why::Limit => "limit",
        Why::FreezerGone => "freezer gone",
    }
}

/// Milliseconds, for the log.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Volumes with their places, for `check`: `u-data at /var/mnt/data (sdb1), EPHEMERAL at /var (sda6)`.
pub(super) fn places(volumes: &[Volume]) -> String {
    let place = |volume: &Volume| {
        let Volume {
            id,
            mount_point,
            device,
        } = volume;
        format!("{id} at {mount_point} ({})", device.as_str())
    };
    let places: Vec<String> = volumes.iter().map(place).collect();
    places.join(", ")
}

/// Mount points, for the log.
pub(super) fn names(volumes: &[Volume]) -> String {
    let names: Vec<&str> = volumes
        .iter()
        .map(|volume| volume.mount_point.as_str())
        .collect();
    names.join(" ")
}
