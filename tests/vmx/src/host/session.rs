//! Sessions: what the guest was asked in this one, and what it has said in it.
//!
//! A session begins with a TCLO channel, with a reset in its midst, and with a resume. The reset that greets a new
//! channel belongs to its opening: a guest that has said something before it need not say so again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Host;

/// The first reset of a channel comes this soon, or it is one of its own.
const OPENING: Duration = Duration::from_secs(1);
/// What Talos may take for an operation, and ten seconds more: so long the status of a halt or a reboot may outlive
/// its session.
const OUTLIVES: Duration = Duration::from_secs(40);

/// The commands behind the states of `tools.os.statechange.status`, from 1 on.
const COMMANDS: [&[u8]; 5] = [
    b"OS_Halt",
    b"OS_Reboot",
    b"OS_PowerOn",
    b"OS_Resume",
    b"OS_Suspend",
];

/// What is remembered of the session.
#[derive(Debug, Default)]
pub(super) struct Session {
    began: Option<Instant>,
    /// The channel has opened, and was not reset yet.
    opened: Option<Instant>,
    /// When each state change was last asked for.
    asked: [Option<Instant>; 5],
    /// The last message that was taken, by command and key.
    taken: BTreeMap<Vec<u8>, Vec<u8>>,
    repetitions: Vec<Vec<u8>>,
}

impl Session {
    /// A TCLO channel has opened.
    pub(super) fn opened(&mut self, now: Instant) {
        self.began = Some(now);
        self.opened = Some(now);
        self.taken.clear();
    }

    /// The guest has taken a request.
    pub(super) fn asked(&mut self, request: &[u8], now: Instant) {
        let request = request.strip_suffix(b"\0").unwrap_or(request);
        let mut words = request.split(|byte| *byte == b' ');
        let name = words.next().unwrap_or_default();
        match name {
            b"reset" => {
                let greets = |at: Instant| now.saturating_duration_since(at) < OPENING;
                if !self.opened.take().is_some_and(greets) {
                    self.began = Some(now);
                    self.taken.clear();
                }
            }
            b"OS_Resume" => {
                self.began = Some(now);
                self.taken.clear();
            }
            b"Capabilities_Register" => self.taken.retain(|command, _| {
                !command.starts_with(b"tools.") && command != b"SetGuestInfo  7"
            }),
            b"Set_Option" if words.next() == Some(b"broadcastIP") => {
                self.taken.remove(&b"info-set guestinfo.ip"[..]);
            }
            _ => {}
        }
        if let Some(state) = COMMANDS.iter().position(|command| *command == name) {
            self.asked[state] = Some(now);
        }
    }

    /// Whether a status answers what this session asked for.
    fn wants(&self, state: u32, now: Instant) -> bool {
        let at = (state as usize)
            .checked_sub(1)
            .and_then(|state| self.asked[state]);
        at.is_some_and(|at| {
            let outlives = state <= 2 && now.saturating_duration_since(at) <= OUTLIVES;
            self.began.is_none_or(|began| at >= began) || outlives
        })
    }

    /// A message was answered.
    fn answered(&mut self, message: &[u8]) {
        const OF_THE_MOMENT: [&[u8]; 5] = [
            b"SetGuestInfo  8 ",
            b"tools.os.",
            b"log ",
            b"vmbackup.",
            b"vm-operation-notification.",
        ];
        if OF_THE_MOMENT.iter().any(|start| message.starts_with(start)) {
            return;
        }
        let words = if message.starts_with(b"SetGuestInfo ") {
            3
        } else {
            2
        };
        let parts: Vec<&[u8]> = message.split(|byte| *byte == b' ').take(words).collect();
        if let [b"info-set", key, ..] = parts[..] {
            self.taken.remove(&[b"info-get ", key].concat());
        }
        let before = self.taken.insert(parts.join(&b' '), message.to_vec());
        if before.as_deref() == Some(message) {
            self.repetitions.push(message.to_vec());
        }
    }
}

impl Host {
    /// Messages that the host had already taken in the same session, and had not asked for since.
    pub fn repetitions(&self) -> Vec<String> {
        let text = |message: &Vec<u8>| crate::codec::printable(message, 120);
        self.session_book.repetitions.iter().map(text).collect()
    }

    /// A status must answer what this session asked for: a host that reads "ready to suspend" behind a resume may
    /// suspend once more.
    pub(super) fn check_status(&mut self, state: u32, now: Instant) {
        if !self.session_book.wants(state, now) {
            self.violation(now, format!("a status of another session: state {state}"));
        }
    }

    /// A command has its reply, one that the guest need not ask for again.
    pub(super) fn note_answer(&mut self, message: &[u8], reply: &[u8]) {
        if reply.starts_with(b"1 ") || message.starts_with(b"info-get ") {
            self.session_book.answered(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"SetGuestInfo  1 cp1\0";

    #[test]
    fn a_message_is_needless_until_the_host_forgets_or_asks() {
        let start = Instant::now();
        let mut session = Session::default();
        session.opened(start);
        session.answered(MESSAGE);
        session.asked(b"reset", start);
        session.answered(MESSAGE);
        assert_eq!(session.repetitions.len(), 1, "the reset greets");
        session.asked(b"reset", start);
        session.answered(MESSAGE);
        session.answered(b"SetGuestInfo  1 cp2\0");
        session.answered(MESSAGE);
        assert_eq!(
            session.repetitions.len(),
            1,
            "the host forgot, and it changed"
        );
        session.answered(b"info-set guestinfo.ip 10.0.0.1\0");
        session.asked(b"Set_Option broadcastIP 1", start);
        session.answered(b"info-set guestinfo.ip 10.0.0.1\0");
        assert_eq!(session.repetitions.len(), 1, "the host asked");
        session.answered(b"info-get guestinfo.userdata");
        session.answered(b"info-get guestinfo.userdata");
        assert_eq!(session.repetitions.len(), 2);
    }

    #[test]
    fn a_status_belongs_to_its_session_and_that_of_a_halt_lasts_longer() {
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut session = Session::default();
        session.opened(start);
        assert!(!session.wants(5, start), "nobody asked");
        session.asked(b"OS_Suspend", later(1));
        session.asked(b"OS_Halt", later(1));
        assert!(session.wants(5, later(2)) && session.wants(1, later(2)));
        session.opened(later(3));
        session.asked(b"OS_Resume", later(4));
        assert!(!session.wants(5, later(4)) && session.wants(4, later(4)));
        assert!(session.wants(1, later(41)) && !session.wants(1, later(42)));
        assert!(!session.wants(0, start));
    }
}
