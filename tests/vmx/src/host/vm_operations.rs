//! vMotion notifications as a vSphere 8 host gives them: one application registers, asks for events, and acknowledges
//! them. Replies have the spaces of a real host.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::Host;

/// What the guest's commands begin with.
const PREFIX: &str = "vm-operation-notification.";

/// The side of the host. It lives as long as the virtual machine: a test that starts another agent in the same one clones
/// it.
#[derive(Clone, Debug)]
pub struct VmOperations {
    /// Whether the host knows the commands: older ones do not.
    pub is_known: bool,
    /// The virtual machine's option vmOpNotificationToAppEnabled.
    pub is_enabled: bool,
    /// Whether a refusal has status 0; its text is the same.
    pub refuses_with_status: bool,
    /// How long this host waits for an acknowledgement, in seconds.
    pub timeout: u64,
    /// How long the other host waits.
    pub timeout_there: u64,
    app: Option<App>,
    registrations: u64,
    events: VecDeque<String>,
    operations: Vec<Operation>,
}

/// Who is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// appName.
    pub name: String,
    /// notificationTypes, as JSON.
    pub types: String,
    /// uniqueToken.
    pub token: String,
}

/// Something that the host waits for, and whether it was acknowledged.
#[derive(Clone, Debug)]
pub struct Operation {
    /// operationId.
    pub id: u64,
    /// When it was queued.
    pub since: Instant,
    /// How long the host waits.
    pub timeout: Duration,
    /// When the guest took the event.
    pub seen: Option<Instant>,
    /// How long after [`Self::since`] the guest first acknowledged it.
    pub acked: Option<Duration>,
    /// Acknowledgements so far.
    pub acks: usize,
}

impl Operation {
    /// Whether the host got its acknowledgement while it was waiting.
    pub fn is_in_time(&self) -> bool {
        self.acked.is_some_and(|after| after <= self.timeout)
    }
}

impl Default for VmOperations {
    fn default() -> Self {
        Self {
            is_known: true,
            is_enabled: false,
            refuses_with_status: false,
            timeout: 120,
            timeout_there: 120,
            app: None,
            registrations: 0,
            events: VecDeque::new(),
            operations: Vec::new(),
        }
    }
}

impl VmOperations {
    /// A host whose option is set.
    pub fn enabled() -> Self {
        Self {
            is_enabled: true,
            ..Self::default()
        }
    }

    /// Who is registered.
    pub const fn app(&self) -> Option<&App> {
        self.app.as_ref()
    }

    /// Registers another application of the guest.
    pub fn occupy(&mut self, name: &str) {
        self.app = Some(App {
            name: name.to_owned(),
            types: r#"["sla-miss"]"#.to_owned(),
            token: "00000000-0000-0000-0000-000000000000".to_owned(),
        });
    }

    /// The registration is gone, as after a restart of the host's process.
    pub fn forget(&mut self) {
        self.app = None;
    }

    /// Everything that the host has waited for, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// A migration that was started.
    pub fn operation(&self, id: u64) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.id == id)
    }

    /// Queues whatever a test wants as the reply to a check for events, without its status.
    pub fn queue(&mut self, reply: impl Into<String>) {
        self.events.push_back(reply.into());
    }

    fn wait(&mut self, now: Instant) -> u64 {
        let id = 6_279_072_692_702_276_663 + self.operations.len() as u64;
        self.operations.push(Operation {
            id,
            since: now,
            timeout: Duration::from_secs(self.timeout.min(self.timeout_there)),
            seen: None,
            acked: None,
            acks: 0,
        });
        id
    }

    /// A migration is to begin; its id.
    pub fn start(&mut self, now: Instant) -> u64 {
        let (here, there) = (self.timeout, self.timeout_there);
        let id = self.wait(now);
        self.queue(format!(
            r#"{{"version":"1.0.0", "result": true, "eventType": "start",  "opType": "host-migration", "eventGenTimeInSec": 1666730185, "notificationTimeoutInSec": {here}, "destNotificationTimeoutInSec": {there}, "notificationTypes": ["sla-miss"],  "operationId": {id} }}"#
        ));
        id
    }

    /// A migration is over.
    pub fn end(&mut self, id: u64, status: &str) {
        self.queue(format!(
            r#"{{"version":"1.0.0",  "result": true, "eventType": "end",  "opType": "host-migration", "opStatus": "{status}", "eventGenTimeInSec": 1666730200, "notificationTypes": ["sla-miss"],  "operationId": {id} }}"#
        ));
    }

    /// The administrator has changed how long the host waits; the event's id.
    pub fn change_timeout(&mut self, timeout: u64, now: Instant) -> u64 {
        let before = std::mem::replace(&mut self.timeout, timeout);
        let id = self.wait(now);
        self.queue(format!(
            r#"{{"version":"1.0.0", "result": true, "eventType": "timeout-change",  "eventGenTimeInSec": 1666736715, "notificationTimeoutInSec": {before}, "newNotificationTimeoutInSec": {timeout}, "notificationTypes": ["sla-miss"],  "operationId": {id} }}"#
        ));
        id
    }

    /// The whole reply to a command; `None` where it is none of these.
    pub(super) fn execute(&mut self, name: &str, rest: &[u8], now: Instant) -> Option<Vec<u8>> {
        let command = name.strip_prefix(PREFIX).filter(|_| self.is_known)?;
        let reply = self.perform(command, rest, now);
        let (status, text) = match reply {
            Ok(text) => ('1', text),
            Err(why) => {
                let status = if self.refuses_with_status { '0' } else { '1' };
                let why = format!("{name}: {why}, please see schema for detail and examples");
                let why = Value::from(why);
                let text =
                    format!(r#"{{"version":"1.0.0", "result": false, "errorMessage": {why} }}"#);
                (status, text)
            }
        };
        Some(format!("{status} {text}").into_bytes())
    }

    fn perform(&mut self, command: &str, rest: &[u8], now: Instant) -> Result<String, String> {
        const DONE: &str = r#"{"version":"1.0.0", "result": true }"#;
        if !self.is_enabled {
            return Err("Invalid input: VM operation notification not enabled on this VM".into());
        }
        match command {
            "list" => Ok(self.list()),
            "register" => self.register(&arguments(rest)?),
            "check-for-event" => {
                self.authorize(&arguments(rest)?)?;
                let Some(event) = self.events.pop_front() else {
                    return Ok(DONE.to_owned());
                };
                for operation in &mut self.operations {
                    if event.contains(&operation.id.to_string()) {
                        operation.seen.get_or_insert(now);
                    }
                }
                Ok(event)
            }
            "ack-event" => {
                let arguments = arguments(rest)?;
                self.authorize(&arguments)?;
                self.acknowledge(&arguments, now)
            }
            "unregister" => {
                self.authorize(&arguments(rest)?)?;
                self.app = None;
                self.events.clear();
                Ok(DONE.to_owned())
            }
            _ => Err("Invalid input: no such command".into()),
        }
    }

    fn list(&self) -> String {
        let mut info = String::new();
        if let Some(App { name, types, .. }) = &self.app {
            let name = Value::from(name.as_str());
            // Writing to a text cannot fail.
            let _ = write!(
                info,
                r#"     {{"appName": {name}, "notificationTypes": {types}}}"#
            );
        }
        format!(r#"{{"version":"1.0.0", "result": true, "info": [{info}] }}"#)
    }

    fn register(&mut self, arguments: &Map<String, Value>) -> Result<String, String> {
        let name = arguments.get("appName").and_then(Value::as_str);
        let types = arguments.get("notificationTypes");
        let (Some(name), Some(types @ Value::Array(_))) = (name, types) else {
            return Err("Invalid input: appName and notificationTypes are needed".into());
        };
        if self.app.is_some() {
            return Err(
                "Failed to register additional apps. Max allowed limit of 1 concurrent apps already registered."
                    .into(),
            );
        }
        self.registrations += 1;
        let token = format!("525b5364-6f0e-40d7-1f3c-{:012x}", self.registrations);
        self.events.clear();
        self.app = Some(App {
            name: name.to_owned(),
            types: types.to_string(),
            token: token.clone(),
        });
        let timeout = self.timeout;
        Ok(format!(
            r#"{{"version":"1.0.0", "result": true, "guaranteed": true, "uniqueToken": "{token}", "notificationTimeoutInSec": {timeout} }}"#
        ))
    }

    fn authorize(&self, arguments: &Map<String, Value>) -> Result<(), String> {
        let token = arguments.get("uniqueToken").and_then(Value::as_str);
        match (&self.app, token) {
            (Some(app), Some(token)) if app.token == token => Ok(()),
            _ => Err("Invalid input: Could not find application with the token.".into()),
        }
    }

    fn acknowledge(
        &mut self,
        arguments: &Map<String, Value>,
        now: Instant,
    ) -> Result<String, String> {
        let id = arguments.get("operationId").and_then(Value::as_u64);
        let operation = self
            .operations
            .iter_mut()
            .find(|operation| Some(operation.id) == id && operation.seen.is_some());
        let Some(operation) = operation else {
            return Err("Invalid input: Could not find the operation.".into());
        };
        operation.acks += 1;
        let after = now.saturating_duration_since(operation.since);
        operation.acked.get_or_insert(after);
        let id = operation.id;
        Ok(format!(
            r#"{{"version":"1.0.0", "result": true, "operationId": {id},  "ackStatus": "ack_received" }}"#
        ))
    }
}

/// One space and an object.
fn arguments(rest: &[u8]) -> Result<Map<String, Value>, String> {
    let json = rest.strip_prefix(b" ").unwrap_or_default();
    serde_json::from_slice(json).map_err(|error| format!("Invalid input: {error}"))
}

impl Host {
    /// The host's side of vMotion notifications.
    pub const fn vm_operations(&self) -> &VmOperations {
        &self.vm_operations
    }

    /// The same, to be changed.
    pub const fn vm_operations_mut(&mut self) -> &mut VmOperations {
        &mut self.vm_operations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(host: &mut VmOperations, command: &str, body: &str) -> String {
        let rest = format!(" {body}");
        let name = format!("{PREFIX}{command}");
        let reply = host.execute(&name, rest.as_bytes(), Instant::now());
        String::from_utf8(reply.unwrap()).unwrap()
    }

    const DEMO: &str = r#"{"appName": "demo", "notificationTypes": ["sla-miss"]}"#;

    #[test]
    fn one_application_registers_hears_of_a_migration_and_acknowledges_it() {
        let mut host = VmOperations::enabled();
        let reply = ask(&mut host, "register", DEMO);
        assert!(reply.starts_with(r#"1 {"version":"1.0.0", "result": true, "guaranteed": true"#));
        let second = ask(&mut host, "register", DEMO);
        assert!(second.contains("limit of 1"), "{second}");
        let list = r#"1 {"version":"1.0.0", "result": true, "info": [     {"appName": "demo", "notificationTypes": ["sla-miss"]}] }"#;
        assert_eq!(ask(&mut host, "list", ""), list);
        let token = host.app().unwrap().token.clone();
        let body = format!(r#"{{"uniqueToken": "{token}"}}"#);
        let nothing = ask(&mut host, "check-for-event", &body);
        assert_eq!(nothing, r#"1 {"version":"1.0.0", "result": true }"#);
        let id = host.start(Instant::now());
        let ack = format!(r#"{{"operationId": {id}, "uniqueToken": "{token}"}}"#);
        let early = ask(&mut host, "ack-event", &ack);
        assert!(early.contains("Could not find the operation"), "{early}");
        let start = ask(&mut host, "check-for-event", &body);
        assert!(
            start.contains(&format!(r#""operationId": {id} "#)),
            "{start}"
        );
        let taken = ask(&mut host, "ack-event", &ack);
        assert!(taken.contains("ack_received"), "{taken}");
        assert!(host.operation(id).unwrap().is_in_time());
        ask(&mut host, "unregister", &body);
        assert_eq!(host.app(), None);
        let gone = ask(&mut host, "check-for-event", &body);
        assert!(gone.contains("Could not find application with the token."));
    }

    #[test]
    fn what_is_off_not_known_or_malformed_is_refused() {
        let mut host = VmOperations::default();
        let reply = ask(&mut host, "register", DEMO);
        assert!(reply.starts_with("1 ") && reply.contains("not enabled on this VM"));
        host.refuses_with_status = true;
        assert!(ask(&mut host, "register", DEMO).starts_with("0 {"));
        host.is_enabled = true;
        for body in ["", "{}", "[]", r#"{"appName": 7}"#] {
            let reply = ask(&mut host, "register", body);
            assert!(reply.contains(r#""result": false"#), "{reply}");
        }
        host.is_known = false;
        let now = Instant::now();
        assert_eq!(host.execute(&format!("{PREFIX}list"), b"", now), None);
    }
}
