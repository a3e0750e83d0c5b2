//! The host's side of vMotion notifications for the judge, and what must hold of ours whatever happens: one request at a
//! time, no token that was not given, no acknowledgement of what did not happen, and none that waits for Talos for too
//! long.
#![allow(clippy::expect_used, clippy::panic)]

use std::time::Duration;

use serde_json::Value;

use super::RpciOutcome;
use crate::config::{Forfeit, VmotionConfig, VmwareConfig};
use crate::power::HandOver;

/// What the requests begin with.
const PREFIX: &str = "vm-operation-notification.";
/// What the commands about the token's variable hold.
const VARIABLE: &str = "guestinfo.talos-vmtoolsd.vmotion.token";
/// The longest that an acknowledgement may wait for Talos.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The settings with this number: off, on, or on with leadership handed over.
pub(super) fn settings(number: u8) -> (VmwareConfig, Forfeit) {
    let vmotion = VmotionConfig {
        notify: number > 0,
        period: Duration::from_secs(2),
    };
    let forfeit = Forfeit {
        vmotion: number > 1,
        ..Forfeit::default()
    };
    let config = VmwareConfig {
        vmotion,
        ..VmwareConfig::default()
    };
    (config, forfeit)
}

/// What becomes of handing over.
pub(super) fn handed_over(number: u8) -> HandOver {
    match number {
        0 => HandOver::Moved("cp2".to_owned()),
        1 => HandOver::NotLeader,
        2 => HandOver::Kept("why".to_owned()),
        _ => HandOver::Failed("why".to_owned()),
    }
}

/// Whether a message is about this.
pub(super) fn is_about(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message);
    text.starts_with(PREFIX) || text.contains(VARIABLE)
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct VmotionBook {
    /// Registrations so far; the token is the number of the last.
    registrations: u64,
    kept: String,
    events: u64,
    /// Events that were handed out and have not been acknowledged, with the time.
    owed: Vec<(u64, Duration)>,
    /// All that were handed out.
    known: Vec<u64>,
    in_flight: usize,
    is_handing_over: bool,
    hands_over: bool,
}

impl VmotionBook {
    /// The settings change.
    pub(super) const fn configured(&mut self, forfeit: Forfeit) {
        self.hands_over = forfeit.vmotion;
    }

    /// Leadership is to be handed over.
    pub(super) fn ordered(&mut self) {
        assert!(self.hands_over, "handed over against the settings");
        assert!(!self.is_handing_over, "handed over twice at a time");
        self.is_handing_over = true;
    }

    /// Whether an answer of Talos is due; it is from here on.
    pub(super) fn is_answered(&mut self) -> bool {
        std::mem::take(&mut self.is_handing_over)
    }

    /// A message is sent.
    pub(super) fn sent(&mut self, message: &[u8], now: Duration) {
        if !is_about(message) {
            return;
        }
        self.in_flight += 1;
        assert_eq!(self.in_flight, 1, "two requests at a time");
        let text = String::from_utf8_lossy(message);
        let Some(request) = text.strip_prefix(PREFIX) else {
            return;
        };
        let (command, body) = request.split_once(' ').expect("a space");
        let body: Value = serde_json::from_str(body).expect("an object");
        if command != "register" {
            let token = body.get("uniqueToken").and_then(Value::as_str);
            let number = token.and_then(|token| token.parse::<u64>().ok());
            let number = number.expect("a token of ours");
            assert!(number <= self.registrations, "a token that was not given");
        }
        match command {
            "ack-event" => {
                let id = body.get("operationId").and_then(Value::as_u64);
                let id = id.expect("an integer");
                assert!(
                    self.known.contains(&id),
                    "what did not happen is acknowledged"
                );
                self.owed.retain(|(owed, _)| *owed != id);
            }
            "check-for-event" => {
                let late = |(_, at): &&(u64, Duration)| now > *at + LONGEST_WAIT;
                let late = self.owed.iter().find(late);
                assert_eq!(late, None, "asked for more while the host waits");
            }
            "register" | "unregister" => {}
            other => panic!("{other}"),
        }
    }

    /// Messages that were not sent are taken back.
    pub(super) fn taken_back(&mut self, message: &[u8]) {
        if is_about(message) {
            self.in_flight -= 1;
        }
    }

    /// The host's outcome for a message: `kind` as in the judge's.
    pub(super) fn outcome(&mut self, message: &[u8], kind: u8, now: Duration) -> RpciOutcome {
        self.in_flight -= 1;
        let text = String::from_utf8_lossy(message);
        let reply = match text.strip_prefix(PREFIX) {
            _ if kind == 6 => return RpciOutcome::TooLong,
            _ if kind > 6 => return RpciOutcome::Failed,
            None if text.starts_with("info-get") => self.kept.clone(),
            None => {
                let value = text.rsplit(' ').next().unwrap_or_default();
                value.trim_matches('\0').clone_into(&mut self.kept);
                String::new()
            }
            Some(request) => self.reply(request.split(' ').next().unwrap_or_default(), kind, now),
        };
        if kind == 5 {
            return RpciOutcome::Refused(reply.into());
        }
        RpciOutcome::Accepted(reply.into())
    }

    fn reply(&mut self, command: &str, kind: u8, now: Duration) -> String {
        let denied = r#"{"result": false, "errorMessage": "Could not find application"}"#;
        match (command, kind) {
            (_, 4) => denied.to_owned(),
            (_, 5) => "Unknown command".to_owned(),
            ("register", _) => {
                self.registrations += 1;
                self.owed.clear();
                let token = self.registrations;
                format!(
                    r#"{{"result": true, "uniqueToken": "{token}", "notificationTimeoutInSec": 120}}"#
                )
            }
            ("check-for-event", 1..4) => {
                let event = match kind {
                    1 => "start",
                    2 => "timeout-change",
                    _ => "end",
                };
                self.events += u64::from(event != "end");
                let id = self.events;
                if event == "end" {
                    // The host no longer waits.
                    self.owed.retain(|(owed, _)| *owed != id);
                } else {
                    self.known.push(id);
                    self.owed.push((id, now));
                }
                format!(
                    r#"{{"result": true, "eventType": "{event}", "opStatus": "success", "operationId": {id}}}"#
                )
            }
            ("unregister", _) => {
                self.owed.clear();
                r#"{"result": true}"#.to_owned()
            }
            _ => r#"{"result": true}"#.to_owned(),
        }
    }

    /// The host is gone: nothing reaches it in time.
    pub(super) fn host_gone(&mut self) {
        self.owed.clear();
    }
}
