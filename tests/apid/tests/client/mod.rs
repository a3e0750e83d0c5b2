//! A plain client of the embedded API, and a place for its socket.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use apid::Apid;
use apid::proto::cosi::resource::state_client::StateClient;
use apid::proto::cosi::resource::{Event, EventType, WatchOptions, WatchRequest, WatchResponse};
use apid::proto::machine::machine_service_client::MachineServiceClient;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};
use tower::service_fn;

/// Longer than anything takes here.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A directory that goes away with the test.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("apid-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A machined with one NIC, and a channel to it.
pub(crate) async fn machined() -> (Directory, Apid, Channel) {
    let directory = Directory::new();
    let apid = Apid::machined(directory.join("machine.sock")).unwrap();
    apid::scene::single_nic(&apid);
    let channel = connect(apid.socket().unwrap()).await.unwrap();
    (directory, apid, channel)
}

pub(crate) async fn connect(path: &Path) -> Result<Channel, tonic::transport::Error> {
    let path = path.to_owned();
    Endpoint::from_static("http://localhost")
        .connect_with_connector(service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
}

/// A Talos API in this process, with nothing on it, and a channel to it.
pub(crate) async fn in_process() -> (Apid, Channel) {
    let apid = Apid::in_process();
    let served = apid.clone();
    let connector = service_fn(move |_| std::future::ready(served.connect().map(TokioIo::new)));
    let endpoint = Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connector).await;
    (apid, channel.unwrap())
}

pub(crate) fn machine(channel: &Channel) -> MachineServiceClient<Channel> {
    MachineServiceClient::new(channel.clone())
}

pub(crate) fn state(channel: &Channel) -> StateClient<Channel> {
    StateClient::new(channel.clone())
}

/// A request that claims a role, unless it is empty.
pub(crate) fn claiming<T>(role: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if !role.is_empty() {
        let metadata = request.metadata_mut();
        metadata.insert("talos-role", role.parse().unwrap());
    }
    request
}

pub(crate) fn as_operator<T>(message: T) -> Request<T> {
    claiming("os:operator", message)
}

/// A whole-type watch in the namespace `network` with its contents first.
pub(crate) fn everything(kind: &str) -> WatchRequest {
    WatchRequest {
        namespace: "network".to_owned(),
        r#type: kind.to_owned(),
        id: None,
        options: Some(WatchOptions {
            bootstrap_contents: true,
            ..WatchOptions::default()
        }),
        api_version: 1,
    }
}

/// Opens a watch and takes its empty first message.
pub(crate) async fn watch(channel: &Channel, request: WatchRequest) -> Streaming<WatchResponse> {
    let stream = state(channel).watch(as_operator(request)).await.unwrap();
    let mut stream = stream.into_inner();
    let first = message(&mut stream).await;
    assert_eq!(first.event, [], "the first message is empty");
    stream
}

/// The next message of a stream, within reason.
pub(crate) async fn message<T>(stream: &mut Streaming<T>) -> T {
    let message = tokio::time::timeout(SOON, stream.message()).await;
    message
        .expect("a message in time")
        .unwrap()
        .expect("not the end")
}

/// The next event of a watch that is not aggregated.
pub(crate) async fn event(stream: &mut Streaming<WatchResponse>) -> Event {
    let [event] = <[Event; 1]>::try_from(message(stream).await.event).unwrap();
    event
}

/// What an event says: its type, the resource's id, its phase.
pub(crate) fn told(event: &Event) -> (EventType, String) {
    let metadata = event
        .resource
        .clone()
        .and_then(|resource| resource.metadata);
    (event.event_type(), metadata.unwrap_or_default().id)
}
