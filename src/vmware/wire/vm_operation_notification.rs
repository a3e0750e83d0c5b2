//! vSphere 8 vMotion notifications: what an application asks the host, and what the host answers.
//!
//! ```text
//! vm-operation-notification.check-for-event {"uniqueToken": "525b5364-…"}
//! {"version":"1.0.0", "result": true, "eventType": "start", "opType": "host-migration", "operationId": 6279072692702276663, …}
//! ```
//!
//! A request is a name, one space and an object, without NUL. A reply is an object whose members come in any order; those
//! without a meaning here are left alone, and one of a type that makes no sense counts as missing. `result` alone is
//! needed. Source: vSphere 8, "VMware vSphere vMotion Notifications".

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};
use thiserror::Error;

use super::text::quoted;

/// The name that we register under.
pub const APP_NAME: &str = "talos-vmtoolsd";

/// Longest token that is taken from anyone, in bytes. Hosts give a UUID.
const LONGEST_TOKEN: usize = 256;

/// What proves towards the host that a registration is ours. Everyone who knows it may acknowledge in our place, so its
/// debugging form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token as the host gives one, or as a guest variable kept it; `None` for what cannot be one: blank, too long, or
    /// with characters that no guest variable carries.
    pub fn new(text: &str) -> Option<Self> {
        let is_one = (1..=LONGEST_TOKEN).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_one.then(|| Self(text.to_owned()))
    }

    /// The token itself, to be kept.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({} bytes)", self.0.len())
    }
}

/// What the host calls an operation: 64 bits, mostly above 2^53, so that no float holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(i128);

impl OperationId {
    fn of(value: &Value) -> Option<Self> {
        let unsigned = value.as_u64().map(i128::from);
        unsigned
            .or_else(|| value.as_i64().map(i128::from))
            .map(Self)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Asks for notice of whatever makes an application miss its service level: migrations.
pub fn register() -> Vec<u8> {
    let text = format!(
        r#"vm-operation-notification.register {{"appName": "{APP_NAME}", "notificationTypes": ["sla-miss"]}}"#
    );
    text.into_bytes()
}

/// Asks who is registered.
pub fn list() -> Vec<u8> {
    b"vm-operation-notification.list".to_vec()
}

/// Asks for the next event.
pub fn check_for_event(token: &Token) -> Vec<u8> {
    let token = quoted(token.secret());
    format!(r#"vm-operation-notification.check-for-event {{"uniqueToken": {token}}}"#).into_bytes()
}

/// The host need not wait any longer.
pub fn ack_event(operation: OperationId, token: &Token) -> Vec<u8> {
    let token = quoted(token.secret());
    let text = format!(
        r#"vm-operation-notification.ack-event {{"operationId": {operation}, "uniqueToken": {token}}}"#
    );
    text.into_bytes()
}

/// Asks for no more notice.
pub fn unregister(token: &Token) -> Vec<u8> {
    let token = quoted(token.secret());
    format!(r#"vm-operation-notification.unregister {{"uniqueToken": {token}}}"#).into_bytes()
}

/// Why a reply is not what was asked for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReplyError {
    /// The host has understood and does not do it.
    #[error("the host answers: {0}")]
    Denied(String),
    /// It is no reply to this request: no object of JSON, or it lacks what was asked for.
    #[error("the reply lacks {0}")]
    Malformed(&'static str),
}

/// A registration, as the host confirms it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The host gives it in this reply only.
    pub token: Token,
    /// How long the host waits for an acknowledgement.
    pub timeout: Option<Duration>,
}

impl Registered {
    /// The reply to [`register`], without its status.
    ///
    /// # Errors
    /// See [`ReplyError`].
    pub fn parse(reply: &[u8]) -> Result<Self, ReplyError> {
        let reply = object(reply)?;
        let token = text(&reply, "uniqueToken").and_then(Token::new);
        Ok(Self {
            token: token.ok_or(ReplyError::Malformed("a token"))?,
            timeout: seconds(&reply, "notificationTimeoutInSec"),
        })
    }
}

/// The reply to [`ack_event`] or [`unregister`], without its status.
///
/// # Errors
/// See [`ReplyError`].
pub fn parse_done(reply: &[u8]) -> Result<(), ReplyError> {
    object(reply).map(drop)
}

/// The names in the reply to [`list`], without its status.
///
/// # Errors
/// See [`ReplyError`].
pub fn parse_list(reply: &[u8]) -> Result<Vec<String>, ReplyError> {
    let reply = object(reply)?;
    let Some(Value::Array(apps)) = reply.get("info") else {
        return Err(ReplyError::Malformed("a list"));
    };
    let names = apps.iter().filter_map(|app| app.get("appName")?.as_str());
    Ok(names.map(str::to_owned).collect())
}

/// Something that happens to the virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What the acknowledgement names; without it there can be none.
    pub operation: Option<OperationId>,
    /// What happens.
    pub kind: EventKind,
}

/// What happens to the virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The host waits for an acknowledgement, and begins.
    Start {
        /// How long it waits: the smallest of the time-outs it names.
        timeout: Option<Duration>,
    },
    /// It is over.
    End {
        /// `opStatus`: `success`, or another word.
        status: String,
    },
    /// The host changes how long it waits.
    TimeoutChange {
        /// The new time-out, if the host named one.
        timeout: Option<Duration>,
    },
    /// What this version does not know; the host's word for it.
    Other(String),
}

impl Event {
    /// The reply to [`check_for_event`], without its status; `None` while nothing happens.
    ///
    /// # Errors
    /// See [`ReplyError`].
    pub fn parse(reply: &[u8]) -> Result<Option<Self>, ReplyError> {
        let reply = object(reply)?;
        let operation = reply.get("operationId").and_then(OperationId::of);
        if !reply.contains_key("eventType") && operation.is_none() {
            return Ok(None);
        }
        let kind = match text(&reply, "eventType").unwrap_or_default() {
            "start" => EventKind::Start {
                timeout: ["notificationTimeoutInSec", "destNotificationTimeoutInSec"]
                    .into_iter()
                    .filter_map(|name| seconds(&reply, name))
                    .min(),
            },
            "end" => EventKind::End {
                status: text(&reply, "opStatus").unwrap_or_default().to_owned(),
            },
            "timeout-change" => EventKind::TimeoutChange {
                timeout: seconds(&reply, "newNotificationTimeoutInSec"),
            },
            other => EventKind::Other(other.to_owned()),
        };
        Ok(Some(Self { operation, kind }))
    }
}

/// The members of a reply that says yes.
fn object(reply: &[u8]) -> Result<Map<String, Value>, ReplyError> {
    let end = reply.iter().rposition(|byte| *byte != 0);
    let reply = end.and_then(|end| reply.get(..=end)).unwrap_or_default();
    let Ok(Value::Object(reply)) = serde_json::from_slice(reply) else {
        return Err(ReplyError::Malformed("the form of an object"));
    };
    match reply.get("result") {
        Some(Value::Bool(true)) => Ok(reply),
        Some(Value::Bool(false)) => {
            let why = text(&reply, "errorMessage").unwrap_or("no reason given");
            Err(ReplyError::Denied(why.to_owned()))
        }
        _ => Err(ReplyError::Malformed("a result")),
    }
}

fn text<'a>(reply: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    reply.get(name)?.as_str()
}

fn seconds(reply: &Map<String, Value>, name: &str) -> Option<Duration> {
    reply.get(name)?.as_u64().map(Duration::from_secs)
}

#[cfg(test)]
#[path = "vm_operation_notification_tests.rs"]
mod tests;
