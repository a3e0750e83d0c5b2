//! RPCI: what the guest asks of the host, and what the host learns by it.

use std::time::{Duration, Instant};

use super::Host;
use super::event::{EventKind, Link};
use crate::codec::rpci::Command;
use crate::codec::{Malformed, printable};

/// One command and its reply.
#[derive(Clone, Debug)]
pub struct RpciEntry {
    /// Since the program's first instruction.
    pub at: Duration,
    /// The same as a point in time.
    pub instant: Instant,
    /// Where it came.
    pub link: Link,
    /// Whether it came from a privileged vsock port.
    pub privileged: bool,
    /// Exact bytes.
    pub message: Vec<u8>,
    /// Exact bytes: `1 …` or `0 …`.
    pub reply: Vec<u8>,
    /// What the message says, or why it cannot be read.
    pub command: Result<Command, Malformed>,
}

impl RpciEntry {
    /// Whether the reply began with `1 `.
    pub fn accepted(&self) -> bool {
        self.reply.starts_with(b"1 ")
    }

    /// Whether the message begins with `prefix`.
    pub fn is(&self, prefix: &str) -> bool {
        self.message.starts_with(prefix.as_bytes())
    }
}

impl Host {
    pub(crate) fn rpci(
        &mut self,
        link: Link,
        privileged: bool,
        message: &[u8],
        now: Instant,
    ) -> Vec<u8> {
        let command = Command::decode(message);
        if let Err(malformed) = &command {
            let text = printable(message, 60);
            self.violation(now, format!("{link}: {malformed} ({text})"));
        }
        let scripted = self
            .faults
            .answers
            .iter_mut()
            .filter(|answer| message.starts_with(&answer.prefix))
            .find_map(|answer| answer.times.take().then(|| answer.reply.clone()));
        let reply = match (&command, scripted) {
            (_, Some(reply)) if !reply.starts_with(b"1 ") => reply,
            _ if message.len() > self.config.longest_message => b"0 Message too long".to_vec(),
            (Err(_), _) => b"0 Malformed command".to_vec(),
            (Ok(command), scripted) => {
                let reply = self.execute(command, privileged, now);
                scripted.unwrap_or(reply)
            }
        };
        if let Ok(Command::StateChangeStatus { state, .. }) = &command {
            self.check_status(*state, now);
        }
        if let Ok(command) = &command {
            self.check_backup_event(command, now);
        }
        self.note_answer(message, &reply);
        let index = self.rpci_log.len();
        self.rpci_log.push(RpciEntry {
            at: now.saturating_duration_since(self.started),
            instant: now,
            link,
            privileged,
            message: message.to_vec(),
            reply: reply.clone(),
            command,
        });
        self.event(
            now,
            EventKind::Rpci {
                index,
                message: printable(message, 120),
                reply: printable(&reply, 60),
            },
        );
        reply
    }

    fn execute(&mut self, command: &Command, privileged: bool, now: Instant) -> Vec<u8> {
        match command {
            // VMware's own cloud-init source says so, and writes a space.
            Command::InfoSet { value, .. } if value.is_empty() => {
                return b"0 Invalid argument".to_vec();
            }
            Command::InfoGet(key) => {
                return match self.guest.variables.get(key) {
                    Some(value) => [b"1 ", value.as_slice()].concat(),
                    None => b"0 No value found".to_vec(),
                };
            }
            Command::AppMonitor(command) => return self.app_monitor(command, now),
            Command::Other(name, _) if name.starts_with("namespace-priv") && !privileged => {
                return b"0 Permission denied".to_vec();
            }
            Command::Other(name, rest) => {
                if let Some(reply) = self.vm_operations.execute(name, rest, now) {
                    return reply;
                }
                return match (name.as_str(), rest.as_slice()) {
                    ("machine.id.get", _) => b"0 No machine id".to_vec(),
                    ("info-get", _) => b"0 No value found".to_vec(),
                    ("update.tools.health" | "Run_Program_Done", _) => b"1 ".to_vec(),
                    _ => b"0 Unknown command".to_vec(),
                };
            }
            Command::GuestInfo(crate::codec::guest_info::GuestInfo::Nics(_, list)) => {
                let mut macs: Vec<_> = list.nics.iter().map(|nic| &nic.mac).collect();
                macs.sort();
                if let Some(pair) = macs.windows(2).find(|pair| pair[0] == pair[1]) {
                    self.violation(now, format!("NIC list: {} is listed twice", pair[0]));
                }
            }
            _ => {}
        }
        self.guest.learn(command);
        b"1 ".to_vec()
    }

    /// Sets a guest variable as the host's administrator would; `key` without `guestinfo.`.
    pub fn set_variable(&mut self, key: &str, value: impl Into<Vec<u8>>) {
        self.guest.variables.insert(key.to_owned(), value.into());
    }

    /// A guest variable as text; `key` without `guestinfo.`.
    pub fn variable(&self, key: &str) -> Option<String> {
        let value = self.guest.variables.get(key)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}
