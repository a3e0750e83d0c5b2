//! What a running program does, step by step: it waits for answers and writes them.

use std::time::Duration;

use super::output::Output;
use super::relay::Relay;
use super::stream::Stream;
use super::talosctl::Command;
use crate::diagnosis;
use crate::guest_operations::files::{Files, Kind, Listed, Location};
use crate::guest_operations::inquiries::Ticket;
use crate::guest_operations::{Caller, Failure, Rooms};
use crate::inquiry::{Answer, Inquiry, Trouble, TroubleKind};

/// How long a program waits for a sign of Talos.
const MOST_SILENCE: Duration = Duration::from_secs(60);
/// How long a program may run if it should end by itself.
const MOST_TIME: Duration = Duration::from_secs(10 * 60);
/// How long a program may run if it ends only when terminated: its caller may be gone.
const MOST_FOLLOWING: Duration = Duration::from_secs(60 * 60);

/// See the module.
#[derive(Debug)]
pub(super) enum Work {
    /// Bytes, as they come.
    Copy {
        /// Of the inquiry.
        ticket: Ticket,
        /// It has no end of its own.
        is_endless: bool,
    },
    /// The agent's checks.
    Check(Ticket),
    /// The names in a folder.
    List {
        /// The folder.
        location: Location,
        /// With everything that is known of each.
        is_long: bool,
    },
    /// A file.
    Read(Location),
    /// One call of the Talos API.
    Relay(Relay),
    /// A connection to it.
    Stream(Stream),
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing has come.
    Waits,
    /// Something has, and more may come.
    Goes,
    /// It has ended, with this code.
    Ended(i32),
}

/// What a program works with.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) caller: &'a Caller,
    pub(super) output: &'a mut Output,
    pub(super) files: &'a mut Files,
    pub(super) rooms: &'a mut Rooms,
    pub(super) now: Duration,
}

impl World<'_> {
    /// Writes to stdout.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.output
            .write(bytes, &mut self.rooms.temporaries, self.now)
    }

    /// Writes to stdout what ends it, even if that is full.
    pub(super) fn write_last(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.output
            .write_last(bytes, &mut self.rooms.temporaries, self.now)
    }

    /// Asks.
    pub(super) fn ask(&mut self, inquiry: Inquiry) -> Result<Ticket, String> {
        let ticket = self.rooms.inquiries.ask(inquiry);
        ticket.ok_or_else(|| "too much is asked at once; try again".to_owned())
    }
}

impl Work {
    /// Begins a command. `None` when it has ended already, well.
    ///
    /// # Errors
    /// Why it cannot begin.
    pub(super) fn begin(command: Command, world: &mut World<'_>) -> Result<Option<Self>, String> {
        if let Some((right, name)) = command.right() {
            world
                .caller
                .may(right)
                .map_err(|_| format!("this user has no right to it, which is called {name}"))?;
        }
        Ok(Some(match command {
            Command::Say(text) => {
                world.write(text.as_bytes())?;
                return Ok(None);
            }
            Command::Ask {
                inquiry,
                is_endless,
            } => Self::Copy {
                ticket: world.ask(inquiry)?,
                is_endless,
            },
            Command::Check => Self::Check(world.ask(Inquiry::Checks)?),
            Command::List { path, is_long } => Self::List {
                location: location(&path)?,
                is_long,
            },
            Command::Read { path } => Self::Read(location(&path)?),
        }))
    }

    /// Goes on.
    ///
    /// # Errors
    /// Why it ends with code 1.
    pub(super) fn step(&mut self, world: &mut World<'_>) -> Result<Progress, String> {
        match self {
            Self::Copy { ticket, .. } => copy(ticket, world),
            Self::Check(ticket) => check(ticket, world),
            Self::List { location, is_long } => {
                let (caller, now) = (world.caller, world.now);
                let listed = world.files.list(caller, location, world.rooms, now);
                ready(listed, |entries| {
                    world.write(names(&entries, *is_long).as_bytes())
                })
            }
            Self::Read(location) => {
                let (caller, now) = (world.caller, world.now);
                let bytes = world.files.whole(caller, location, world.rooms, now);
                ready(bytes, |bytes| world.write(&bytes))
            }
            Self::Relay(relay) => relay.step(world),
            Self::Stream(stream) => stream.step(world),
        }
    }

    /// How long nothing may come, and how long it may last.
    pub(super) const fn limits(&self) -> (Duration, Duration) {
        match self {
            Self::Copy {
                is_endless: true, ..
            } => (MOST_FOLLOWING, MOST_FOLLOWING),
            Self::Relay(_) => (super::relay::MOST_SILENCE, super::relay::MOST_TIME),
            Self::Stream(_) => (super::stream::MOST_SILENCE, Duration::MAX),
            Self::Copy { .. } | Self::Check(_) | Self::List { .. } | Self::Read(_) => {
                (MOST_SILENCE, MOST_TIME)
            }
        }
    }

    /// A limit is reached.
    ///
    /// # Errors
    /// Why it ends with code 1.
    pub(super) fn give_up(&mut self, world: &mut World<'_>) -> Result<Progress, String> {
        match self {
            Self::Copy {
                is_endless: true, ..
            } => Err("it has run for an hour without being terminated".to_owned()),
            Self::Relay(relay) => relay.give_up(world),
            Self::Stream(_) => Err(super::stream::SILENT.to_owned()),
            Self::Copy { .. } | Self::Check(_) | Self::List { .. } | Self::Read(_) => {
                Err("Talos does not answer; try again".to_owned())
            }
        }
    }

    /// Whether what it has written can be read and taken while it runs.
    pub(super) const fn streams(&self) -> bool {
        matches!(self, Self::Stream(_))
    }
}

fn location(path: &str) -> Result<Location, String> {
    Location::of_path(path)
        .map_err(|error| format!("{path:.256}: {error}; paths are absolute and have no . and .."))
}

fn copy(ticket: &Ticket, world: &mut World<'_>) -> Result<Progress, String> {
    let mut progress = Progress::Waits;
    while let Some(answer) = world.rooms.inquiries.take(ticket) {
        progress = Progress::Goes;
        match answer {
            Answer::Bytes(bytes) => world.write(&bytes)?,
            Answer::End(Ok(())) => return Ok(Progress::Ended(0)),
            Answer::End(Err(trouble)) => return Err(reason(&trouble)),
            _ => {}
        }
    }
    Ok(progress)
}

fn check(ticket: &Ticket, world: &mut World<'_>) -> Result<Progress, String> {
    let mut progress = Progress::Waits;
    while let Some(answer) = world.rooms.inquiries.take(ticket) {
        progress = Progress::Goes;
        match answer {
            Answer::Checks(checks) => {
                world.write(diagnosis::lines(&checks).as_bytes())?;
                return Ok(Progress::Ended(i32::from(!diagnosis::all_well(&checks))));
            }
            Answer::End(Ok(())) => return Err("there are no checks".to_owned()),
            Answer::End(Err(trouble)) => return Err(reason(&trouble)),
            _ => {}
        }
    }
    Ok(progress)
}

/// The outcome of an operation on files.
fn ready<T>(
    poll: std::task::Poll<Result<T, Failure>>,
    write: impl FnOnce(T) -> Result<(), String>,
) -> Result<Progress, String> {
    match poll {
        std::task::Poll::Pending => Ok(Progress::Waits),
        std::task::Poll::Ready(Ok(value)) => write(value).map(|()| Progress::Ended(0)),
        std::task::Poll::Ready(Err(failure)) => Err(match failure {
            Failure::NotNow => {
                "Talos does not answer, or refuses it: files of the node can be read \
                                with the role os:admin alone"
                    .to_owned()
            }
            failure => failure.to_string(),
        }),
    }
}

/// Why Talos does not give it, and what would help.
pub(super) fn reason(trouble: &Trouble) -> String {
    match trouble.kind {
        TroubleKind::Denied => format!("{trouble}; the agent needs the role os:reader for it"),
        _ => trouble.to_string(),
    }
}

/// The entries of a folder, a line each.
fn names(entries: &[Listed], is_long: bool) -> String {
    let mut text = String::new();
    for Listed { name, attributes } in entries.iter().filter(|entry| entry.name != "..") {
        if is_long {
            let ((_, changed), (user, group)) = (attributes.times, attributes.owner);
            text += &format!(
                "{:06o} {user:>5} {group:>5} {:>12} {changed:>10}  ",
                attributes.mode, attributes.size
            );
        }
        text += name;
        match &attributes.kind {
            Kind::Folder if name != "." => text.push('/'),
            Kind::Link(target) if is_long => text += &format!(" -> {target}"),
            Kind::Folder | Kind::File | Kind::Link(_) => {}
        }
        text.push('\n');
    }
    text
}
