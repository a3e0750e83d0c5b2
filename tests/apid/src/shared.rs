//! What all connections share, and the one door that every call goes through.

use std::future::{Future, pending, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tonic::{Code, Request, Response, Status};

use crate::Method;
use crate::door::Door;
use crate::etcd::EtcdBackend;
use crate::events::EventLog;
use crate::faults::Faults;
use crate::journal::{Call, Journal, ascii};
use crate::logs::Logs;
use crate::method::{ADMIN, IMPERSONATOR};
use crate::node::Node;
use crate::power::PowerBehaviour;
use crate::script::{self, Script, Step, Trouble};
use crate::sequence::{Drain, Running};
use crate::signal::Signal;
use crate::store::Store;

/// The whole embedded API, without its runtime.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) journal: Journal,
    pub(crate) faults: Faults,
    pub(crate) script: Script,
    pub(crate) store: Store,
    pub(crate) events: EventLog,
    pub(crate) logs: Logs,
    pub(crate) door: Door,
    pub(crate) changed: Signal,
    node: Mutex<Node>,
    power: Mutex<PowerBehaviour>,
    actors: Mutex<u64>,
    sequences: Mutex<Vec<String>>,
    /// The sequence that runs, of those that are carried out in phases.
    pub(crate) running: Mutex<Option<Running>>,
    /// Whether a drain without an end has ended.
    pub(crate) drain: Drain,
    etcd: Mutex<Option<Arc<dyn EtcdBackend>>>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Number of the connection, counted from 1.
    pub(crate) connection: u64,
    /// The O entries of the client certificate; `None` on the socket.
    pub(crate) certificate: Option<Vec<String>>,
    /// Whether this server passes calls on to other nodes.
    pub(crate) forwarding: bool,
}

impl Peer {
    /// A caller on machined's socket.
    pub(crate) fn on_socket(connection: u64) -> Self {
        Self {
            connection,
            certificate: None,
            forwarding: false,
        }
    }
}

/// A call that may be answered.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// The caller's roles.
    pub(crate) roles: Vec<String>,
    /// The nodes that apid fans out to; `None` for a direct answer.
    pub(crate) nodes: Option<Vec<String>>,
}

impl Shared {
    /// Records a call, lets it suffer the scripted faults, checks its roles, and answers it.
    pub(crate) async fn answer<T, R>(
        self: &Arc<Self>,
        method: Method,
        request: Request<T>,
        summary: String,
        act: impl FnOnce(T, &Admitted) -> Result<R, Status>,
    ) -> Result<Response<R>, Status> {
        let act = |request, admitted: Admitted| ready(act(request, &admitted));
        self.answer_later(method, request, summary, act).await
    }

    /// As [`Self::answer`], with an answer that takes its time.
    pub(crate) async fn answer_later<T, R, A>(
        self: &Arc<Self>,
        method: Method,
        request: Request<T>,
        summary: String,
        act: impl FnOnce(T, Admitted) -> A,
    ) -> Result<Response<R>, Status>
    where
        A: Future<Output = Result<R, Status>>,
    {
        let peer = request.extensions().get::<Peer>().cloned();
        let peer = peer.unwrap_or(Peer::on_socket(0));
        let metadata = ascii(request.metadata());
        let roles = roles(&peer, &metadata);
        let place = self.journal.record(Call {
            method: Some(method),
            path: method.path().to_owned(),
            request: summary.clone(),
            roles: roles.clone(),
            metadata: metadata.clone(),
            connection: peer.connection,
            when: Instant::now(),
            answer: None,
        });
        self.changed.changed();

        let trouble = self.script.trouble(|| Step::Call(method, summary));
        let refused = self.before(method, trouble).await;
        let admitted = match refused {
            Some(status) => Err(status),
            None => self.admit(method, &peer, roles, &metadata).await,
        };
        let answer = match admitted {
            Ok(admitted) => act(request.into_inner(), admitted).await,
            Err(status) => Err(status),
        };
        let answer = self.afterwards(trouble, answer).await;
        let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        self.journal.answered(place, code);
        self.changed.changed();
        answer.map(Response::new)
    }

    /// The scripted trouble that comes before a call is carried out; the status it is refused with.
    async fn before(self: &Arc<Self>, method: Method, trouble: Option<Trouble>) -> Option<Status> {
        match trouble? {
            Trouble::Status(code) => return Some(script::status(code)),
            Trouble::Silent => pending().await,
            Trouble::SilentThenReset(time) => {
                script::reset_after(self, time);
                pending().await
            }
            Trouble::Reset => {
                self.door.drop_connections();
                pending().await
            }
            Trouble::Slow(time) => tokio::time::sleep(time).await,
            Trouble::Hang(time) => script::hang(self, time),
            Trouble::FrozenThenDone(time) => {
                script::freeze(self, method, time);
                pending().await
            }
            Trouble::Away(time) => {
                script::go_away(self, time);
                pending().await
            }
            // What follows the call, or concerns streams alone.
            Trouble::DoneBut(_)
            | Trouble::DoneThenReset
            | Trouble::LateAnswer(_)
            | Trouble::Errored
            | Trouble::End => {}
        }
        None
    }

    /// The scripted trouble between a call that has been carried out and its answer.
    async fn afterwards<R>(
        &self,
        trouble: Option<Trouble>,
        answer: Result<R, Status>,
    ) -> Result<R, Status> {
        match trouble {
            Some(Trouble::DoneBut(code)) => Err(script::status(code)),
            Some(Trouble::DoneThenReset) => {
                self.door.drop_connections();
                pending().await
            }
            Some(Trouble::LateAnswer(time)) => {
                tokio::time::sleep(time).await;
                answer
            }
            _ => answer,
        }
    }

    async fn admit(
        &self,
        method: Method,
        peer: &Peer,
        roles: Vec<String>,
        metadata: &[(String, String)],
    ) -> Result<Admitted, Status> {
        self.faults.pass().await;
        let delay = self.faults.delay_of(method);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if let Some(status) = self.faults.failure(method) {
            return Err(status);
        }
        let on_socket = peer.certificate.is_none();
        if on_socket && !self.faults.peer_known().await {
            return Err(not_authorized());
        }
        if !self.faults.allows(method, &roles) {
            return Err(not_authorized());
        }
        let nodes = if on_socket {
            None
        } else {
            route(method, peer, metadata)?
        };
        Ok(Admitted { roles, nodes })
    }

    /// Records a call of something that is not served, and refuses it as Talos does.
    pub(crate) fn refuse(
        &self,
        path: &str,
        peer: &Peer,
        metadata: Vec<(String, String)>,
    ) -> Status {
        let roles = roles(peer, &metadata);
        let status = if roles.iter().any(|role| role == ADMIN) {
            Status::unimplemented(format!("{path} is not part of the embedded API"))
        } else {
            not_authorized()
        };
        self.journal.record(Call {
            method: None,
            path: path.to_owned(),
            request: String::new(),
            roles,
            metadata,
            connection: peer.connection,
            when: Instant::now(),
            answer: Some(status.code()),
        });
        self.changed.changed();
        status
    }

    pub(crate) fn node(&self) -> MutexGuard<'_, Node> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn power(&self) -> MutexGuard<'_, PowerBehaviour> {
        self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_etcd(&self, etcd: Arc<dyn EtcdBackend>) {
        *self.etcd.lock().unwrap_or_else(PoisonError::into_inner) = Some(etcd);
    }

    /// The etcd that this node shares with others, if it does.
    pub(crate) fn etcd(&self) -> Option<Arc<dyn EtcdBackend>> {
        let etcd = self.etcd.lock().unwrap_or_else(PoisonError::into_inner);
        etcd.clone()
    }

    /// A new actor id, in the form of a UUID.
    pub(crate) fn new_actor(&self) -> String {
        let mut actors = self.actors.lock().unwrap_or_else(PoisonError::into_inner);
        *actors += 1;
        format!("00000000-0000-4000-8000-{:012x}", *actors)
    }

    /// A sequence has begun.
    pub(crate) fn begun(&self, sequence: &str) {
        self.lock_sequences().push(sequence.to_owned());
    }

    /// The sequences that have begun.
    pub(crate) fn sequences(&self) -> Vec<String> {
        self.lock_sequences().clone()
    }

    fn lock_sequences(&self) -> MutexGuard<'_, Vec<String>> {
        self.sequences
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Freezes everybody who is served, or lets them go on.
    pub(crate) fn hang(&self, hanging: bool) {
        self.faults.hang(hanging);
        self.store.hold(hanging);
        self.events.hold(hanging);
        self.logs.hold(hanging);
    }
}

/// The roles that count for a caller.
fn roles(peer: &Peer, metadata: &[(String, String)]) -> Vec<String> {
    let claimed = || {
        let claims = metadata.iter().filter(|(key, _)| key == "talos-role");
        claims.map(|(_, role)| role.clone()).collect()
    };
    match &peer.certificate {
        None => claimed(),
        Some(certified) if certified.iter().any(|role| role == IMPERSONATOR) => claimed(),
        Some(certified) => certified.clone(),
    }
}

/// Where apid sends a call to: nowhere else, to one node, or to several.
fn route(
    method: Method,
    peer: &Peer,
    metadata: &[(String, String)],
) -> Result<Option<Vec<String>>, Status> {
    let values = |key: &str| -> Vec<String> {
        let pairs = metadata.iter().filter(|(name, _)| name == key);
        pairs.map(|(_, value)| value.clone()).collect()
    };
    let (node, nodes) = (values("node"), values("nodes"));
    if node.len() > 1 {
        let text = "node metadata must be single-valued";
        return Err(Status::invalid_argument(text));
    }
    if !nodes.is_empty() && method.is_state() {
        return Err(Status::invalid_argument(format!(
            "one-2-many proxying is not supported for method {}",
            method.path()
        )));
    }
    let routed = !node.is_empty() || !nodes.is_empty();
    if routed && !peer.forwarding {
        return Err(Status::permission_denied("no request forwarding"));
    }
    Ok((!nodes.is_empty()).then_some(nodes))
}

fn not_authorized() -> Status {
    Status::permission_denied("not authorized")
}
