//! The bytes of a message: a kind, then fields of fixed places, numbers little-endian.
//!
//! ```text
//! command  1 freeze   run u32 │ how u8 │ limit: seconds u64, nanoseconds u32 │ 32 × (length u8, 31 bytes)
//!          2 thaw
//!          3 rescue   32 × (length u8, 31 bytes)
//!          4 probe    as rescue
//! report   1 ready    u8 whether an errno follows │ i32
//!          2 frozen   run u32 │ 32 × (u8, i32)       3 synced, 4 failed: as frozen
//!          5 thawed   run u32 │ cause u8 │ seconds u64, nanoseconds u32
//!          6 rescued  32 × (u8, i32)                 7 probed: as rescued
//!          8 gone
//! ```
//! A list ends with its first empty place, and what follows there is zero. So each message has one form in bytes.

use std::time::Duration;

use super::message::{
    Cause, Command, DeviceName, Devices, How, LONGEST_MESSAGE, LONGEST_NAME, MOST_DEVICES, Outcome,
    Outcomes, Report,
};

/// Room for any message.
pub type Buffer = [u8; LONGEST_MESSAGE];

impl Command {
    /// The bytes, in `buffer`.
    pub fn encode<'b>(&self, buffer: &'b mut Buffer) -> &'b [u8] {
        let mut writer = Writer::new(buffer);
        match self {
            Self::Freeze {
                run,
                how,
                limit,
                devices,
            } => {
                writer.put(&[1]);
                writer.put(&run.to_le_bytes());
                writer.put(&[match how {
                    How::Sync => 0,
                    How::Freeze => 1,
                }]);
                writer.duration(*limit);
                writer.devices(devices);
            }
            Self::Thaw => writer.put(&[2]),
            Self::Rescue(devices) => {
                writer.put(&[3]);
                writer.devices(devices);
            }
            Self::Probe(devices) => {
                writer.put(&[4]);
                writer.devices(devices);
            }
        }
        writer.finish()
    }

    /// The command; `None` for what is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let command = match reader.byte()? {
            1 => Self::Freeze {
                run: u32::from_le_bytes(reader.array()?),
                how: match reader.byte()? {
                    0 => How::Sync,
                    1 => How::Freeze,
                    _ => return None,
                },
                limit: reader.duration()?,
                devices: reader.devices()?,
            },
            2 => Self::Thaw,
            3 => Self::Rescue(reader.devices()?),
            4 => Self::Probe(reader.devices()?),
            _ => return None,
        };
        reader.0.is_empty().then_some(command)
    }
}

impl Report {
    /// The bytes, in `buffer`.
    pub fn encode<'b>(&self, buffer: &'b mut Buffer) -> &'b [u8] {
        let mut writer = Writer::new(buffer);
        match self {
            Self::Ready(errno) => {
                writer.put(&[1, u8::from(errno.is_some())]);
                writer.put(&errno.unwrap_or_default().to_le_bytes());
            }
            Self::Frozen { run, outcomes } => writer.outcomes_of(2, *run, outcomes),
            Self::Synced { run, outcomes } => writer.outcomes_of(3, *run, outcomes),
            Self::Failed { run, outcomes } => writer.outcomes_of(4, *run, outcomes),
            Self::Thawed { run, cause, lasted } => {
                writer.put(&[5]);
                writer.put(&run.to_le_bytes());
                writer.put(&[match cause {
                    Cause::Asked => 0,
                    Cause::Limit => 1,
                    Cause::Terminated => 2,
                }]);
                writer.duration(*lasted);
            }
            Self::Rescued(outcomes) => {
                writer.put(&[6]);
                writer.outcomes(outcomes);
            }
            Self::Probed(outcomes) => {
                writer.put(&[7]);
                writer.outcomes(outcomes);
            }
            Self::Gone => writer.put(&[8]),
        }
        writer.finish()
    }

    /// The report; `None` for what is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let report = match reader.byte()? {
            1 => Self::Ready(reader.errno()?),
            2 => {
                let (run, outcomes) = reader.outcomes_of()?;
                Self::Frozen { run, outcomes }
            }
            3 => {
                let (run, outcomes) = reader.outcomes_of()?;
                Self::Synced { run, outcomes }
            }
            4 => {
                let (run, outcomes) = reader.outcomes_of()?;
                Self::Failed { run, outcomes }
            }
            5 => Self::Thawed {
                run: u32::from_le_bytes(reader.array()?),
                cause: match reader.byte()? {
                    0 => Cause::Asked,
                    1 => Cause::Limit,
                    2 => Cause::Terminated,
                    _ => return None,
                },
                lasted: reader.duration()?,
            },
            6 => Self::Rescued(reader.outcomes()?),
            7 => Self::Probed(reader.outcomes()?),
            8 => Self::Gone,
            _ => return None,
        };
        reader.0.is_empty().then_some(report)
    }
}

/// Puts fields one after the other.
struct Writer<'b> {
    buffer: &'b mut Buffer,
    length: usize,
}

impl<'b> Writer<'b> {
    const fn new(buffer: &'b mut Buffer) -> Self {
        Self { buffer, length: 0 }
    }

    /// The buffer holds the longest message, so nothing is ever left out.
    fn put(&mut self, bytes: &[u8]) {
        let end = self.length.saturating_add(bytes.len());
        if let Some(place) = self.buffer.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
    }

    fn duration(&mut self, duration: Duration) {
        self.put(&duration.as_secs().to_le_bytes());
        self.put(&duration.subsec_nanos().to_le_bytes());
    }

    fn devices(&mut self, devices: &Devices) {
        let mut names = devices.iter();
        for _ in 0..MOST_DEVICES {
            let (length, bytes) = names.next().map_or((0, [0; LONGEST_NAME]), |name| {
                let mut bytes = [0; LONGEST_NAME];
                let text = name.as_str().as_bytes();
                for (to, from) in bytes.iter_mut().zip(text) {
                    *to = *from;
                }
                (u8::try_from(text.len()).unwrap_or_default(), bytes)
            });
            self.put(&[length]);
            self.put(&bytes);
        }
    }

    fn outcomes_of(&mut self, kind: u8, run: u32, outcomes: &Outcomes) {
        self.put(&[kind]);
        self.put(&run.to_le_bytes());
        self.outcomes(outcomes);
    }

    fn outcomes(&mut self, outcomes: &Outcomes) {
        let mut outcomes = outcomes.iter();
        for _ in 0..MOST_DEVICES {
            let (kind, errno) = match outcomes.next() {
                None => (0, 0),
                Some(Outcome::Done) => (1, 0),
                Some(Outcome::Left) => (2, 0),
                Some(Outcome::Skipped) => (3, 0),
                Some(Outcome::Failed(errno)) => (4, *errno),
            };
            self.put(&[kind]);
            self.put(&errno.to_le_bytes());
        }
    }

    fn finish(self) -> &'b [u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

/// Takes fields one after the other.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        let [byte] = self.array()?;
        Some(byte)
    }

    fn errno(&mut self) -> Option<Option<i32>> {
        let is_there = self.byte()?;
        let errno = i32::from_le_bytes(self.array()?);
        match (is_there, errno) {
            (0, 0) => Some(None),
            (1, errno) => Some(Some(errno)),
            _ => None,
        }
    }

    fn duration(&mut self) -> Option<Duration> {
        let seconds = u64::from_le_bytes(self.array()?);
        let nanoseconds = u32::from_le_bytes(self.array()?);
        (nanoseconds < 1_000_000_000).then(|| Duration::new(seconds, nanoseconds))
    }

    fn devices(&mut self) -> Option<Devices> {
        let mut names = [None; MOST_DEVICES];
        let mut is_over = false;
        for place in &mut names {
            let length = usize::from(self.byte()?);
            let bytes: [u8; LONGEST_NAME] = self.array()?;
            let (name, unused) = bytes.split_at_checked(length)?;
            if unused.iter().any(|byte| *byte != 0) || (is_over && length > 0) {
                return None;
            }
            is_over = length == 0;
            if !is_over {
                *place = Some(DeviceName::new(std::str::from_utf8(name).ok()?)?);
            }
        }
        Devices::new(names.into_iter().flatten())
    }

    fn outcomes_of(&mut self) -> Option<(u32, Outcomes)> {
        Some((u32::from_le_bytes(self.array()?), self.outcomes()?))
    }

    fn outcomes(&mut self) -> Option<Outcomes> {
        let mut outcomes = [None; MOST_DEVICES];
        let mut is_over = false;
        for place in &mut outcomes {
            let kind = self.byte()?;
            let errno = i32::from_le_bytes(self.array()?);
            *place = match (kind, errno) {
                (0, 0) => None,
                (1, 0) => Some(Outcome::Done),
                (2, 0) => Some(Outcome::Left),
                (3, 0) => Some(Outcome::Skipped),
                (4, errno) => Some(Outcome::Failed(errno)),
                _ => return None,
            };
            if is_over && place.is_some() {
                return None;
            }
            is_over = place.is_none();
        }
        Outcomes::new(outcomes.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests;
