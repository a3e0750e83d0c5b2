//! The connection to apid: made when it is needed, proven before it is used, shared by all who wait for it.
//!
//! ```text
//! no connection ─► TLS ─► SystemStat: this machine? ─ yes ─► calls, until it ends ─┐
//!       ▲                          └─ no, or no answer ─► Error                   │
//!       └─────────────────────────────────────────────────────────────────────────┘
//! ```
//! Beside SystemStat, an impostor is asked for its host name; nothing else is sent to a machine that is not proven to
//! be this one. See [`super::proof`].

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::Channel;

use super::client::{CALL_TIMEOUT, OwnCounters, channel_on, machine_on, one, state_on};
use super::connect::ApidTarget;
use super::error::Error;
use super::facts;
use super::proof::{self, Difference};
use super::proto::cosi::resource::GetRequest;
use super::single::{Alive, Single};
use crate::config::talosconfig::Destination;
use crate::facts::Counters;

/// How long an impostor may take to say its name.
const NAME_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a difference is looked at: the clock may have been stepped while we looked.
const LOOKS: usize = 2;

/// See the module.
#[derive(Debug)]
pub(super) struct Proven {
    target: Arc<ApidTarget>,
    own: OwnCounters,
    attempt: Mutex<Option<Attempt>>,
}

/// A connection, made or in the making. It is made by a task, since whoever waits for it may stop to be polled.
#[derive(Debug)]
struct Attempt {
    outcome: Outcome,
    task: JoinHandle<()>,
}

type Outcome = watch::Receiver<Option<Result<Connection, Error>>>;

#[derive(Clone, Debug)]
struct Connection {
    channel: Channel,
    alive: Alive,
}

impl Attempt {
    /// Whether it has come, or may come, to a connection that is there.
    fn is_good(&self) -> bool {
        match &*self.outcome.borrow() {
            None => !self.task.is_finished(),
            Some(Ok(connection)) => connection.alive.is_so(),
            Some(Err(_)) => false,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proven {
    pub(super) fn new(target: ApidTarget, own: OwnCounters) -> Self {
        Self {
            target: Arc::new(target),
            own,
            attempt: Mutex::new(None),
        }
    }

    pub(super) fn target(&self) -> &ApidTarget {
        &self.target
    }

    /// A channel to this machine. Nothing was sent when there is none.
    pub(super) async fn channel(&self) -> Result<Channel, Error> {
        let mut outcome = self.outcome();
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(connection))) => Ok(connection.channel.clone()),
            Ok(Some(Err(error))) => Err(error.clone()),
            // The client is gone, and we with it.
            Ok(None) | Err(_) => Err(Error::Deadline { call: "SystemStat" }),
        }
    }

    fn outcome(&self) -> Outcome {
        let mut attempt = self.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(attempt) = attempt.as_ref().filter(|attempt| attempt.is_good()) {
            return attempt.outcome.clone();
        }
        let (sender, outcome) = watch::channel(None);
        let (target, own) = (Arc::clone(&self.target), self.own);
        let task = tokio::spawn(async move {
            let result = connect(&target, own).await;
            if let Err(error) = &result {
                tracing::debug!(error = error.with_causes(), "no proven connection to Talos");
            }
            sender.send_replace(Some(result));
        });
        *attempt = Some(Attempt {
            outcome: outcome.clone(),
            task,
        });
        outcome
    }
}

/// Connects and has the peer prove that it is this machine.
async fn connect(target: &ApidTarget, own: OwnCounters) -> Result<Connection, Error> {
    let config = target.load()?;
    let destination = config.destination(target.node.as_ref());
    let result = async {
        let endpoint = destination.endpoint();
        let stream = target.connect(&config, &endpoint).await?;
        let (connector, alive) = Single::new(stream, endpoint.to_string());
        let channel = channel_on("https://apid", connector);
        Peer {
            channel: &channel,
            endpoint: &endpoint.to_string(),
            role: &target.role(),
        }
        .prove(own)
        .await?;
        Ok(Connection { channel, alive })
    };
    match result.await {
        Ok(connection) => {
            target.has_been_here();
            Ok(connection)
        }
        // Where it has once been this machine, it needs no name.
        Err(error) if destination == Destination::Here && !target.was_here() => {
            Err(Error::NoNode {
                source: Arc::new(error),
            })
        }
        Err(error) => Err(error),
    }
}

/// Who answers, proven or not.
struct Peer<'a> {
    channel: &'a Channel,
    endpoint: &'a str,
    role: &'a str,
}

impl Peer<'_> {
    async fn prove(&self, own: OwnCounters) -> Result<(), Error> {
        let mut result = Ok(());
        for _ in 0..LOOKS {
            result = self.compare(own).await?;
            if result.is_ok() {
                break;
            }
        }
        match result {
            Ok(()) => Ok(()),
            Err(difference) => Err(Error::OtherMachine {
                endpoint: self.endpoint.to_owned(),
                host_name: self.host_name().await,
                difference,
            }),
        }
    }

    async fn compare(&self, own: OwnCounters) -> Result<Result<(), Difference>, Error> {
        let before = own();
        let peer = self.counters().await.map_err(|error| match error {
            Error::Denied { .. } | Error::Unsupported { .. } | Error::Malformed { .. } => {
                self.no_proof(error.with_causes())
            }
            other => other,
        })?;
        let (Some(before), Some(after)) = (before, own()) else {
            return Err(self.no_proof("this machine's /proc/stat cannot be read".to_owned()));
        };
        Ok(proof::compare(before, peer, after))
    }

    async fn counters(&self) -> Result<Counters, Error> {
        const CALL: &str = "SystemStat";
        let mut machine = machine_on(self.channel.clone());
        let answer = match timeout(CALL_TIMEOUT, machine.system_stat(())).await {
            Ok(answer) => answer.map_err(|status| self.error(CALL, &status))?,
            Err(_) => return Err(Error::Deadline { call: CALL }),
        };
        let messages = answer.into_inner().messages;
        let stat = one(CALL, messages, |message| &message.metadata)?;
        Ok(Counters {
            boot_time: stat.boot_time,
            context_switches: stat.context_switches,
            processes: stat.process_created,
        })
    }

    /// The name that the peer says it has.
    async fn host_name(&self) -> Option<String> {
        let kind = &facts::HOST_NAME.kind;
        let request = GetRequest {
            namespace: kind.namespace.to_owned(),
            r#type: kind.kind.to_owned(),
            id: "hostname".to_owned(),
            options: None,
        };
        let mut state = state_on(self.channel.clone());
        let answer = timeout(NAME_TIMEOUT, state.get(request)).await.ok()?.ok()?;
        let spec = answer.into_inner().resource?.spec?.proto_spec;
        facts::host_name(&spec).ok().map(|name| name.fqdn())
    }

    fn no_proof(&self, why: String) -> Error {
        Error::NotProven {
            endpoint: self.endpoint.to_owned(),
            why,
        }
    }

    fn error(&self, call: &'static str, status: &Status) -> Error {
        Error::from_status(call, self.endpoint, self.role, status)
    }
}
