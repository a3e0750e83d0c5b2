//! One client of the Talos API: a channel that connects when it is needed, and the calls we make on it.
//!
//! To machined we send a role in the metadata key `talos-role` and nothing else; for apid our certificate carries
//! the roles. We never send `node` metadata: the endpoint is the node, and apid has to prove that it is this machine
//! ([`super::proven`]), so no call can reach another one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tonic::codegen::http::Uri;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint as ChannelEndpoint};
use tonic::{Code, Request, Status, Streaming};
use tower_service::Service;

use super::connect::{ApidTarget, Dial, Machined, MachinedSocket};
use super::doubt::{About, Doubts};
use super::error::Error;
use super::facts;
use super::proto::common::Metadata;
use super::proto::cosi::resource::state_client::StateClient;
use super::proto::cosi::resource::{GetRequest, WatchOptions, WatchRequest, WatchResponse};
use super::proto::machine::machine_service_client::MachineServiceClient;
use super::proto::machine::{
    Event, EventsRequest, RebootRequest, ShutdownRequest, reboot_request::Mode,
};
use super::proven::Proven;
use super::served::Served;
use super::words;
use crate::config::talosconfig::{BadEndpoint, Endpoint, Talosconfig};
use crate::config::{RebootMode, TalosConfig};
use crate::diagnosis::Check;
use crate::facts::{Counters, MachineType, Space, Stage, TalosVersion, Traffic};
use crate::inquiry::MOST;
use crate::power::Obstacle;

/// Largest message Talos sends (GRPCMaxMessageSize).
const MAX_MESSAGE: usize = 32 << 20;

/// How long a call may take: more than the 5 s for which machined holds a caller that it does not know yet.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How long after our start machined may refuse us only because it has not noticed our pid yet.
pub(super) const WARM_UP: Duration = Duration::from_secs(60);

/// How many requests may wait for the channel.
const QUEUE: usize = 16;

/// Bytes of one stream that Talos may send before we take them.
const STREAM_WINDOW: u32 = 64 << 10;
/// The same of all streams together: large enough that streams that no one reads do not hold up the others.
const CONNECTION_WINDOW: u32 = (MOST as u32 + 64) * STREAM_WINDOW;

/// Reads the counters of the kernel that we run on; `None` when it cannot.
pub type OwnCounters = fn() -> Option<Counters>;

/// A client of one node's Talos API. It is cheap to clone; all clones share one connection.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
    doubts: Doubts,
}

#[derive(Debug)]
struct Inner {
    way: Way,
    created: Instant,
    /// Whether Talos has accepted any call of ours.
    authorized: AtomicBool,
    served: Served,
}

#[derive(Debug)]
enum Way {
    /// The socket is of this machine.
    Machined {
        channel: Channel,
        socket: PathBuf,
        role: String,
        /// Values of `talos-role`.
        roles: Vec<MetadataValue<Ascii>>,
    },
    Apid(Proven),
}

impl Client {
    /// A client as configured; nothing is connected or read yet. Must be called within a tokio runtime. `own` reads
    /// what apid has to prove.
    ///
    /// # Errors
    /// When the node is not an endpoint.
    pub fn new(config: &TalosConfig, own: OwnCounters) -> Result<Self, BadEndpoint> {
        Ok(match config {
            TalosConfig::Machined { socket, role } => Self::machined(socket.clone(), role),
            TalosConfig::Apid { talosconfig, node } => {
                let node = node.as_deref().map(str::parse).transpose()?;
                Self::apid(talosconfig.clone(), node, own)
            }
        })
    }

    /// As [`Client::new`], but with the doubts of this one about power calls: the machine is the same. At the same endpoint
    /// it is also known that Talos has answered: its silence is one, and no misconfiguration.
    ///
    /// # Errors
    /// When the node is not an endpoint.
    pub fn successor(&self, config: &TalosConfig, own: OwnCounters) -> Result<Self, BadEndpoint> {
        let successor = Self {
            doubts: self.doubts.clone(),
            ..Self::new(config, own)?
        };
        let has_answered = self.has_answered() && successor.inner.way.leads_where(&self.inner.way);
        let authorized = &successor.inner.authorized;
        authorized.store(has_answered, Ordering::Relaxed);
        Ok(successor)
    }

    /// A client on machined's unix socket that claims `role` (several are separated by commas).
    pub fn machined(socket: PathBuf, role: &str) -> Self {
        Self::machined_with_dialer(MachinedSocket(socket.clone()), socket, role)
    }

    /// As [`Client::machined`], but connected by `dialer`; `socket` is only what the log calls it.
    pub fn machined_with_dialer(dialer: impl Dial, socket: PathBuf, role: &str) -> Self {
        Self::on(Way::machined(dialer, socket, role))
    }

    /// A client of apid with the certificates of `talosconfig`, which is read at every new connection. Without a
    /// `node` the file's only one counts, else 127.0.0.1.
    pub fn apid(talosconfig: PathBuf, node: Option<Endpoint>, own: OwnCounters) -> Self {
        let way = Way::Apid(Proven::new(ApidTarget::new(talosconfig, node), own));
        Self::on(way)
    }

    fn on(way: Way) -> Self {
        let served = Served::new(matches!(way, Way::Apid(_)));
        Self {
            inner: Arc::new(Inner {
                served,
                way,
                created: Instant::now(),
                authorized: AtomicBool::new(false),
            }),
            doubts: Doubts::default(),
        }
    }

    /// Where Talos is, for the log: the socket's path or host:port.
    pub fn endpoint(&self) -> String {
        match &self.inner.way {
            Way::Machined { socket, .. } => socket.display().to_string(),
            Way::Apid(proven) => proven.target().endpoint(),
        }
    }

    /// Whose roles we have, for the log: the role claimed, or the certificate.
    pub fn role(&self) -> String {
        match &self.inner.way {
            Way::Machined { role, .. } => role.clone(),
            Way::Apid(proven) => proven.target().role(),
        }
    }

    /// Which Talos runs (MachineService.Version).
    pub async fn version(&self) -> Result<TalosVersion, Error> {
        let request = self.request(());
        let mut machine = self.machine().await?;
        let answer = self
            .unary("Version", CALL_TIMEOUT, machine.version(request))
            .await?;
        let version = one("Version", answer.messages, |message| &message.metadata)?;
        let (info, platform) = (
            version.version.unwrap_or_default(),
            version.platform.unwrap_or_default(),
        );
        Ok(TalosVersion {
            tag: info.tag,
            arch: info.arch,
            platform: platform.name,
        })
    }

    /// The file systems on devices with their space, in the kernel's order (MachineService.Mounts). Call it
    /// rarely: Talos looks at every mount of the node for it.
    pub async fn mounts(&self) -> Result<Vec<Space>, Error> {
        let request = self.request(());
        let mut machine = self.machine().await?;
        let answer = self
            .unary("Mounts", CALL_TIMEOUT, machine.mounts(request))
            .await?;
        one("Mounts", answer.messages, |message| &message.metadata)
            .map(|message| message.stats.into_iter().filter_map(facts::space).collect())
    }

    /// What has gone over each network link, by its name (MachineService.NetworkDeviceStats).
    pub async fn traffic(&self) -> Result<BTreeMap<String, Traffic>, Error> {
        const CALL: &str = "NetworkDeviceStats";
        let request = self.request(());
        let mut machine = self.machine().await?;
        let answer = self
            .unary(CALL, CALL_TIMEOUT, machine.network_device_stats(request))
            .await?;
        one(CALL, answer.messages, |message| &message.metadata)
            .map(|message| message.devices.into_iter().map(facts::traffic).collect())
    }

    /// Asks Talos to shut down (MachineService.Shutdown) and returns the actor id of the sequence. `force`
    /// skips cordon and drain. Never call it again after an answer: that restarts the sequence.
    pub(super) async fn shutdown(
        &self,
        ThisMachine(channel): ThisMachine,
        force: bool,
        deadline: Duration,
    ) -> Result<String, Error> {
        let request = self.request(ShutdownRequest { force });
        let mut machine = machine_on(channel);
        let answer = self
            .unary("Shutdown", deadline, machine.shutdown(request))
            .await?;
        accepted("Shutdown", answer.messages, |message| {
            (&message.metadata, &message.actor_id)
        })
    }

    /// Asks Talos to reboot (MachineService.Reboot) and returns the actor id of the sequence.
    pub(super) async fn reboot(
        &self,
        ThisMachine(channel): ThisMachine,
        mode: RebootMode,
        deadline: Duration,
    ) -> Result<String, Error> {
        let mode = match mode {
            RebootMode::Default => Mode::Default,
            RebootMode::Powercycle => Mode::Powercycle,
            RebootMode::Force => Mode::Force,
        };
        let request = self.request(RebootRequest { mode: mode.into() });
        let mut machine = machine_on(channel);
        let answer = self
            .unary("Reboot", deadline, machine.reboot(request))
            .await?;
        accepted("Reboot", answer.messages, |message| {
            (&message.metadata, &message.actor_id)
        })
    }

    /// What the machine is doing (MachineStatus).
    pub async fn stage(&self) -> Result<Stage, Error> {
        let spec = self
            .get(&facts::MACHINE_STATUS, facts::MACHINE_STATUS_ID)
            .await?;
        facts::stage(&spec).map_err(|_| Error::Malformed {
            call: facts::MACHINE_STATUS.kind,
            problem: "the spec does not decode",
        })
    }

    /// The machine's role in its cluster (MachineType); `None` while it has no machine config.
    pub(super) async fn machine_type(&self) -> Result<Option<MachineType>, Error> {
        let spec = self.get(&facts::MACHINE_TYPE, facts::MACHINE_TYPE_ID).await;
        match spec {
            Ok(spec) => facts::machine_type(&spec).map_err(|_| Error::Malformed {
                call: facts::MACHINE_TYPE.kind,
                problem: "the spec does not decode",
            }),
            Err(Error::Talos {
                code: Code::NotFound,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The protobuf spec of one resource.
    pub(super) async fn get(&self, kind: &facts::Kind, id: &str) -> Result<Vec<u8>, Error> {
        let request = self.request(GetRequest {
            namespace: kind.namespace.to_owned(),
            r#type: kind.kind.to_owned(),
            id: id.to_owned(),
            options: None,
        });
        let mut state = self.state().await?;
        let answer = self
            .unary(kind.kind, CALL_TIMEOUT, state.get(request))
            .await?;
        let spec = answer.resource.and_then(|resource| resource.spec);
        spec.map(|spec| spec.proto_spec).ok_or(Error::Malformed {
            call: kind.kind,
            problem: "no resource in it",
        })
    }

    /// Whether Talos would take a power operation from us now. `None` before it has answered.
    pub fn power_way(&self) -> Option<Result<(), Obstacle>> {
        self.inner.served.power_way()
    }

    /// What works and what does not: the checks of Talos, and how they change.
    pub fn checks(&self) -> watch::Receiver<Vec<Check>> {
        self.inner.served.checks()
    }

    /// An error with its remedy, in one line.
    pub fn in_words(&self, error: &Error) -> String {
        let remedy = words::remedy(error, &self.roles(), self.is_proxied());
        format!("{}; {remedy}", error.with_causes())
    }

    /// Where refusals are noted.
    pub(super) fn served(&self) -> &Served {
        &self.inner.served
    }

    /// The roles that we have: those claimed on machined's socket, or those of the certificate.
    pub(super) fn roles(&self) -> Vec<String> {
        match &self.inner.way {
            Way::Machined { role, .. } => role
                .split(',')
                .map(|role| role.trim().to_owned())
                .filter(|role| !role.is_empty())
                .collect(),
            // Where the file cannot be read, the connection fails for that.
            Way::Apid(proven) => Talosconfig::load(&proven.target().talosconfig)
                .map(|talosconfig| talosconfig.roles())
                .unwrap_or_default(),
        }
    }

    /// Notes that Talos refuses a call or a watch, unless that may pass by itself.
    pub(super) fn note_refusal(&self, call: &'static str, error: &Error) {
        if !(matches!(error, Error::Denied { .. }) && self.denial_may_pass()) {
            self.inner.served.refused(call, error);
        }
    }

    /// Whether a refusal may be temporary: machined may not have noticed our process yet, as long as it has allowed
    /// nothing or we have only just started. apid looks at the certificate alone, and that is final. machined's words
    /// are the same for a role that is too low.
    pub(super) fn denial_may_pass(&self) -> bool {
        let is_fresh = !self.inner.authorized.load(Ordering::Relaxed)
            || self.inner.created.elapsed() < WARM_UP;
        is_fresh && !self.is_proxied()
    }

    /// Whether Talos has ever answered this client, or one before it at the same endpoint.
    pub(super) fn has_answered(&self) -> bool {
        self.inner.authorized.load(Ordering::Relaxed)
    }

    /// Notes that we gave up on a power call that Talos may have got at this time.
    pub(super) fn leave_doubt(&self, about: About, sent: Instant) {
        self.doubts.leave(about, sent);
    }

    /// When we sent such a call earlier without knowing whether Talos got it; asking clears it.
    pub(super) fn take_doubt(&self, about: About) -> Option<Instant> {
        self.doubts.take(about)
    }

    /// What outlives a power call.
    pub(super) const fn doubts(&self) -> &Doubts {
        &self.doubts
    }

    /// Whether a proxy (apid) stands between us and machined.
    pub(super) fn is_proxied(&self) -> bool {
        matches!(self.inner.way, Way::Apid(_))
    }

    /// Watches every resource of a type: first those that exist, then BOOTSTRAPPED, then changes.
    pub(super) async fn watch(
        &self,
        kind: &facts::Kind,
    ) -> Result<Streaming<WatchResponse>, Error> {
        let request = self.request(WatchRequest {
            namespace: kind.namespace.to_owned(),
            r#type: kind.kind.to_owned(),
            id: None,
            options: Some(WatchOptions {
                bootstrap_contents: true,
                aggregated: true,
                ..WatchOptions::default()
            }),
            // With 0 the server would keep BOOTSTRAPPED and ERRORED to itself.
            api_version: 1,
        });
        let mut state = self.state().await?;
        self.answer(kind.kind, CALL_TIMEOUT, state.watch(request))
            .await
    }

    /// Follows the machine's events, starting `tail_seconds` ago (0: from now on).
    pub(super) async fn events(&self, tail_seconds: i32) -> Result<Streaming<Event>, Error> {
        let request = self.request(EventsRequest {
            tail_seconds,
            ..EventsRequest::default()
        });
        let mut machine = self.machine().await?;
        self.unary("Events", CALL_TIMEOUT, machine.events(request))
            .await
    }

    /// What a status of a call or stream of ours means.
    pub(super) fn error(&self, call: &'static str, status: &Status) -> Error {
        Error::from_status(call, &self.endpoint(), &self.role(), status)
    }

    /// A way to this machine's Talos. When there is none, nothing has been sent.
    pub(super) async fn way(&self) -> Result<ThisMachine, Error> {
        match &self.inner.way {
            Way::Machined { channel, .. } => Ok(ThisMachine(channel.clone())),
            Way::Apid(proven) => proven.channel().await.map(ThisMachine),
        }
    }

    /// MachineService of this machine.
    pub(super) async fn machine(&self) -> Result<MachineServiceClient<Channel>, Error> {
        self.way().await.map(|way| machine_on(way.0))
    }

    /// The resources of this machine.
    pub(super) async fn state(&self) -> Result<StateClient<Channel>, Error> {
        self.way().await.map(|way| state_on(way.0))
    }

    /// A request with the roles that we claim.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Way::Machined { roles, .. } = &self.inner.way {
            for role in roles {
                request.metadata_mut().append("talos-role", role.clone());
            }
        }
        request
    }

    /// A request with os:reader alone, where it is us who say the role.
    pub(super) fn reading_request<T>(&self, message: T) -> Request<T> {
        self.request_as("os:reader", message)
    }

    /// A request with os:admin alone, where it is us who say the role: for handing over the leadership of etcd, which
    /// no other role may do, and for nothing else.
    pub(super) fn admin_request<T>(&self, message: T) -> Request<T> {
        self.request_as("os:admin", message)
    }

    fn request_as<T>(&self, role: &'static str, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if !self.is_proxied() {
            let role = MetadataValue::from_static(role);
            request.metadata_mut().insert("talos-role", role);
        }
        request
    }

    /// Waits for an answer, or for the start of a stream, and notes whether Talos serves the call.
    pub(super) async fn unary<T>(
        &self,
        call: &'static str,
        deadline: Duration,
        answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Error> {
        let result = self.answer(call, deadline, answer).await;
        match &result {
            Ok(_) => self.served().served(call),
            Err(error) => self.note_refusal(call, error),
        }
        result
    }

    /// Waits for an answer, or for the start of a stream.
    pub(super) async fn answer<T>(
        &self,
        call: &'static str,
        deadline: Duration,
        answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Error> {
        let result = match timeout(deadline, answer).await {
            Ok(Ok(response)) => {
                self.inner.authorized.store(true, Ordering::Relaxed);
                Ok(response.into_inner())
            }
            Ok(Err(status)) => Err(self.error(call, &status)),
            Err(_) => Err(Error::Deadline { call }),
        };
        match &result {
            Ok(_) => tracing::debug!(call, "Talos answered"),
            Err(error) => {
                tracing::debug!(call, error = error.with_causes(), "call to Talos failed")
            }
        }
        result
    }
}

/// A way that leads to this machine and to no other.
#[derive(Debug)]
pub(super) struct ThisMachine(pub(super) Channel);

impl Way {
    /// Whether it leads to the same place, by the configuration.
    fn leads_where(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Machined { socket, .. }, Self::Machined { socket: before, .. }) => {
                socket == before
            }
            (Self::Apid(proven), Self::Apid(before)) => {
                proven.target().leads_where(before.target())
            }
            (Self::Machined { .. }, Self::Apid(_)) | (Self::Apid(_), Self::Machined { .. }) => {
                false
            }
        }
    }

    fn machined(dialer: impl Dial, socket: PathBuf, role: &str) -> Self {
        let roles = role
            .split(',')
            .map(str::trim)
            .filter(|role| !role.is_empty());
        Self::Machined {
            channel: channel_on("http://machined", Machined::new(dialer, &socket)),
            roles: roles.filter_map(|role| role.parse().ok()).collect(),
            socket,
            role: role.to_owned(),
        }
    }
}

/// A channel that connects when it is used. HTTP/2 keepalive stays off: Talos' server hangs up on frequent pings.
pub(super) fn channel_on<C, S>(uri: &'static str, connector: C) -> Channel
where
    C: Service<Uri, Response = TokioIo<S>, Error = Error> + Send + 'static,
    C::Future: Send,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    ChannelEndpoint::from_static(uri)
        .buffer_size(QUEUE)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect_with_connector_lazy(connector)
}

pub(super) fn machine_on(channel: Channel) -> MachineServiceClient<Channel> {
    MachineServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE)
}

pub(super) fn state_on(channel: Channel) -> StateClient<Channel> {
    StateClient::new(channel).max_decoding_message_size(MAX_MESSAGE)
}

/// The one message of an answer. An apid that proxied the call puts a failure into the metadata of an OK.
pub(super) fn one<T>(
    call: &'static str,
    messages: Vec<T>,
    metadata: impl Fn(&T) -> &Option<Metadata>,
) -> Result<T, Error> {
    let message = messages.into_iter().next().ok_or(Error::Malformed {
        call,
        problem: "no message in it",
    })?;
    refusal(call, metadata(&message).as_ref()).map_or(Ok(message), Err)
}

/// The actor id of an accepted power call. An answer without a message is an acceptance, too.
fn accepted<T>(
    call: &'static str,
    messages: Vec<T>,
    fields: impl Fn(&T) -> (&Option<Metadata>, &String),
) -> Result<String, Error> {
    for message in &messages {
        if let Some(error) = refusal(call, fields(message).0.as_ref()) {
            return Err(error);
        }
    }
    Ok(messages
        .first()
        .map(|message| fields(message).1.clone())
        .unwrap_or_default())
}

/// The error in a message's metadata.
pub(super) fn refusal(call: &'static str, metadata: Option<&Metadata>) -> Option<Error> {
    let metadata = metadata.filter(|metadata| !metadata.error.is_empty())?;
    Some(Error::Talos {
        call,
        code: metadata
            .status
            .as_ref()
            .map_or(Code::FailedPrecondition, |status| {
                Code::from_i32(status.code)
            }),
        message: metadata.error.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talos::proto::google::rpc;
    use crate::talos::proto::machine::{Shutdown, Version};

    fn failed(status: Option<rpc::Status>) -> Option<Metadata> {
        Some(Metadata {
            hostname: "10.0.0.9".into(),
            error: "rpc error: no route".into(),
            status,
        })
    }

    #[test]
    fn an_error_in_the_metadata_is_a_failure() {
        let message = Shutdown {
            metadata: failed(None),
            actor_id: String::new(),
        };
        let error = accepted("Shutdown", vec![message], |m| (&m.metadata, &m.actor_id));
        assert!(matches!(
            error,
            Err(Error::Talos {
                code: Code::FailedPrecondition,
                ..
            })
        ));

        let unavailable = Some(rpc::Status {
            code: Code::Unavailable as i32,
            ..rpc::Status::default()
        });
        let message = Version {
            metadata: failed(unavailable),
            ..Version::default()
        };
        let error = one("Version", vec![message], |m| &m.metadata).unwrap_err();
        assert!(error.is_retryable(), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_may_pass_until_talos_has_allowed_something_and_a_minute_is_over() {
        let client = Client::machined(PathBuf::from("/nowhere"), "os:operator");
        tokio::time::advance(WARM_UP * 2).await;
        assert!(client.denial_may_pass(), "machined may have come late");
        let client = Client::machined(PathBuf::from("/nowhere"), "os:operator");
        client.inner.authorized.store(true, Ordering::Relaxed);
        tokio::time::advance(WARM_UP - Duration::from_millis(1)).await;
        assert!(client.denial_may_pass());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!client.denial_may_pass());
    }

    #[tokio::test]
    async fn that_talos_has_answered_is_known_to_a_successor_at_the_same_endpoint() {
        let client = Client::machined(PathBuf::from("/nowhere"), "os:operator");
        let next = |socket: &str| {
            let config = TalosConfig::Machined {
                socket: socket.into(),
                role: "os:reader".into(),
            };
            let next = client.successor(&config, || None).unwrap();
            next.has_answered()
        };
        assert!(!next("/nowhere"), "it has not");
        client.inner.authorized.store(true, Ordering::Relaxed);
        assert!(next("/nowhere"));
        assert!(!next("/elsewhere"), "that may be a mistake");
    }

    #[test]
    fn an_answer_without_messages_panics_nowhere() {
        let none = one("Version", Vec::<Version>::new(), |m| &m.metadata);
        assert!(matches!(none, Err(Error::Malformed { .. })));
        let none = accepted("Shutdown", Vec::<Shutdown>::new(), |m| {
            (&m.metadata, &m.actor_id)
        });
        assert_eq!(none.unwrap(), "");
    }
}
