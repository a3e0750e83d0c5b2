//! The events of the node so far.

use std::time::Duration;

use tokio::time::timeout;

use super::ask::Ask;
use super::table::Table;
use crate::inquiry::Trouble;
use crate::talos::proto::google::protobuf::Any;
use crate::talos::proto::machine::{
    AddressEvent, ConfigLoadErrorEvent, ConfigValidationErrorEvent, Event, EventsRequest,
    MachineStatusEvent, PhaseEvent, RestartEvent, SequenceEvent, ServiceStateEvent, TaskEvent,
};

/// The stream goes on with what happens; when it is quiet for so long, the past is over.
const QUIET: Duration = Duration::from_millis(300);

/// Events that are shown, at most.
const MOST: usize = 10_000;

/// Sends the events of the past.
pub(super) async fn show(ask: &mut Ask) -> Result<(), Trouble> {
    const CALL: &str = "Events";
    let request = ask.client.request(EventsRequest {
        tail_events: -1,
        ..EventsRequest::default()
    });
    let stream = ask
        .machine(
            CALL,
            |mut machine| async move { machine.events(request).await },
        )
        .await?;
    let mut messages = ask.messages(CALL, stream);
    let mut table = Table::new(["ID", "EVENT", "ACTOR", "SOURCE", "MESSAGE"]);
    // Talos begins with an empty one.
    let mut next = messages.message().await?;
    let mut count = 0;
    while let Some(event) = next {
        messages.check(event.metadata.as_ref())?;
        if let Some(row) = row(event) {
            table.add(row);
            count += 1;
        }
        if count == MOST {
            break;
        }
        next = match timeout(QUIET, messages.message()).await {
            Ok(next) => next?,
            Err(_) => None,
        };
    }
    ask.outlet.text(&table.text()).await
}

/// What is shown of an event; nothing of one that this agent does not know.
fn row(event: Event) -> Option<[String; 5]> {
    let data = event.data?;
    let name = data.type_url.rsplit('/').next()?.to_owned();
    let [source, message] = words(&name, &data)?;
    Some([event.id, name, event.actor_id, source, message])
}

fn words(name: &str, data: &Any) -> Option<[String; 2]> {
    let bytes = data.value.as_slice();
    Some(match name {
        "machine.SequenceEvent" => {
            let event: SequenceEvent = prost::Message::decode(bytes).ok()?;
            let message = match &event.error {
                Some(error) if !error.message.is_empty() => {
                    format!("error: {}", error.message)
                }
                _ => event.action().as_str_name().to_owned(),
            };
            [event.sequence, message]
        }
        "machine.PhaseEvent" => {
            let event: PhaseEvent = prost::Message::decode(bytes).ok()?;
            let action = event.action().as_str_name().to_owned();
            [event.phase, action]
        }
        "machine.TaskEvent" => {
            let event: TaskEvent = prost::Message::decode(bytes).ok()?;
            let action = event.action().as_str_name().to_owned();
            [event.task, action]
        }
        "machine.ServiceStateEvent" => {
            let event: ServiceStateEvent = prost::Message::decode(bytes).ok()?;
            let message = format!("{}: {}", event.action().as_str_name(), event.message);
            [event.service, message]
        }
        "machine.RestartEvent" => {
            let event: RestartEvent = prost::Message::decode(bytes).ok()?;
            ["restart".to_owned(), event.cmd.to_string()]
        }
        "machine.ConfigLoadErrorEvent" => {
            let event: ConfigLoadErrorEvent = prost::Message::decode(bytes).ok()?;
            ["error".to_owned(), event.error]
        }
        "machine.ConfigValidationErrorEvent" => {
            let event: ConfigValidationErrorEvent = prost::Message::decode(bytes).ok()?;
            ["error".to_owned(), event.error]
        }
        "machine.AddressEvent" => {
            let event: AddressEvent = prost::Message::decode(bytes).ok()?;
            let addresses = event.addresses.join(",");
            [event.hostname, format!("addresses: {addresses}")]
        }
        "machine.MachineStatusEvent" => {
            let event: MachineStatusEvent = prost::Message::decode(bytes).ok()?;
            let stage = event.stage().as_str_name().to_owned();
            let status = event.status.unwrap_or_default();
            let unmet = status.unmet_conditions.into_iter().map(|unmet| unmet.name);
            let unmet: Vec<String> = unmet.collect();
            let unmet = unmet.join(", ");
            [
                stage,
                format!("ready: {}, unmet conditions: [{unmet}]", status.ready),
            ]
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talos::proto::machine::service_state_event::Action;

    fn event(name: &str, message: &impl prost::Message) -> Event {
        Event {
            id: "c1".to_owned(),
            actor_id: "actor".to_owned(),
            data: Some(Any {
                type_url: format!("talos/runtime/{name}"),
                value: message.encode_to_vec(),
            }),
            ..Event::default()
        }
    }

    #[test]
    fn events_are_shown_by_what_they_are_about() {
        let service = ServiceStateEvent {
            service: "apid".to_owned(),
            action: Action::Running.into(),
            message: "Health check successful".to_owned(),
        };
        let shown = row(event("machine.ServiceStateEvent", &service)).unwrap();
        assert_eq!(
            shown.join(" | "),
            "c1 | machine.ServiceStateEvent | actor | apid | RUNNING: Health check successful"
        );
        let sequence = SequenceEvent {
            sequence: "boot".to_owned(),
            ..SequenceEvent::default()
        };
        let shown = row(event("machine.SequenceEvent", &sequence)).unwrap();
        assert_eq!(shown[3..], ["boot", "NOOP"]);
    }

    #[test]
    fn the_greeting_and_what_is_not_known_are_left_out() {
        assert_eq!(row(Event::default()), None);
        assert_eq!(row(event("machine.FutureEvent", &())), None);
        let garbage = Event {
            data: Some(Any {
                type_url: "talos/runtime/machine.PhaseEvent".to_owned(),
                value: vec![0xff; 4],
            }),
            ..Event::default()
        };
        assert_eq!(row(garbage), None);
    }
}
