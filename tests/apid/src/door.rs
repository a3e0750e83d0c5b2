//! Listening, and the connections that are open.
//!
//! Each connection is one task that owns its socket, so that ending the task is what a dying server looks
//! like from outside. Connections number from 1.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::metadata::MetadataMap;
use tonic::service::Routes;

use crate::Method;
use crate::journal::ascii;
use crate::machine_service::Machine;
use crate::proto::cosi::resource::state_server::StateServer;
use crate::proto::machine::machine_service_server::MachineServiceServer;
use crate::shared::{Peer, Shared};
use crate::state_service::Resources;
use crate::tls::organizations;

/// Bytes that a connection within the process holds.
const PIPE: usize = 64 << 10;

/// Where to listen.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// machined's socket.
    Socket(PathBuf),
    /// apid's port.
    Tls(SocketAddr, Tls),
    /// None: connections are pipes within the process.
    InProcess,
}

/// What a TLS server needs for each new connection.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) config: Arc<Mutex<Arc<ServerConfig>>>,
    pub(crate) forwarding: bool,
}

/// The listener and its connections.
#[derive(Debug, Default)]
pub(crate) struct Door(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    listening: Option<AbortHandle>,
    /// Whether connections within the process are taken.
    in_process: bool,
    /// How many listeners have not closed their socket yet.
    listeners: usize,
    socket: Option<PathBuf>,
    connections: BTreeMap<u64, Connection>,
    accepted: u64,
}

#[derive(Debug)]
struct Connection {
    task: AbortHandle,
    leave: watch::Sender<bool>,
}

impl Door {
    /// Begins to listen; returns the address with its real port.
    pub(crate) fn open(
        &self,
        shared: &Arc<Shared>,
        runtime: &Handle,
        address: &Address,
    ) -> io::Result<Address> {
        self.close();
        let _entered = runtime.enter();
        match address {
            Address::Socket(path) => {
                // A socket that nobody listens on stays behind a process that was killed.
                if let Err(error) = std::fs::remove_file(path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    return Err(error);
                }
                let listener = UnixListener::bind(path)?;
                listener.set_nonblocking(true)?;
                let listener = tokio::net::UnixListener::from_std(listener)?;
                self.listen(shared, runtime, accept_socket(shared.clone(), listener));
                self.lock().socket = Some(path.clone());
                Ok(address.clone())
            }
            Address::Tls(address, tls) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let address = listener.local_addr()?;
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let accept = accept_tls(shared.clone(), listener, tls.clone());
                self.listen(shared, runtime, accept);
                Ok(Address::Tls(address, tls.clone()))
            }
            Address::InProcess => {
                self.open_in_process();
                Ok(Address::InProcess)
            }
        }
    }

    /// Takes connections within the process from now on.
    pub(crate) fn open_in_process(&self) {
        self.lock().in_process = true;
    }

    /// A connection within the process, served by tasks of the runtime that this is called in.
    pub(crate) fn connect(&self, shared: &Arc<Shared>) -> io::Result<DuplexStream> {
        if !self.lock().in_process {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (client, server) = duplex(PIPE);
        admit(shared, move |shared, number, leave| async move {
            serve(shared, server, Peer::on_socket(number), leave).await;
        });
        Ok(client)
    }

    fn listen<F>(&self, shared: &Arc<Shared>, runtime: &Handle, accept: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut state = self.lock();
        state.listeners += 1;
        let closed = Closed(shared.clone());
        let task = runtime.spawn(async move {
            let _closed = closed;
            accept.await;
        });
        state.listening = Some(task.abort_handle());
    }

    /// Stops listening, removes the socket and cuts every connection.
    pub(crate) fn close(&self) {
        self.stop_listening();
        self.drop_connections();
    }

    /// Stops listening, removes the socket; connections end when their calls have been answered.
    pub(crate) fn close_gently(&self) {
        self.stop_listening();
        for connection in self.lock().connections.values() {
            connection.leave.send_replace(true);
        }
    }

    /// Cuts every connection, and goes on listening.
    pub(crate) fn drop_connections(&self) {
        for connection in self.lock().connections.values() {
            connection.task.abort();
        }
    }

    /// Whether nothing is left of the listener and the connections; [`Self::close`] does not wait for it.
    pub(crate) fn is_closed(&self) -> bool {
        let state = self.lock();
        state.listeners == 0 && state.connections.is_empty()
    }

    /// The lowest number of an open connection.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.lock().connections.keys().next().copied()
    }

    /// How many connections are open.
    pub(crate) fn connection_count(&self) -> usize {
        self.lock().connections.len()
    }

    /// How many connections there have been.
    pub(crate) fn accepted(&self) -> u64 {
        self.lock().accepted
    }

    fn stop_listening(&self) {
        let mut state = self.lock();
        state.in_process = false;
        if let Some(listening) = state.listening.take() {
            listening.abort();
        }
        if let Some(path) = state.socket.take() {
            // It may be gone together with its directory.
            drop(std::fs::remove_file(path));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept_socket(shared: Arc<Shared>, listener: tokio::net::UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        admit(&shared, move |shared, number, leave| async move {
            serve(shared, stream, Peer::on_socket(number), leave).await;
        });
    }
}

async fn accept_tls(shared: Arc<Shared>, listener: tokio::net::TcpListener, tls: Tls) {
    while let Ok((stream, _)) = listener.accept().await {
        // Small answers must not wait for acknowledgements; without it, tests are merely slower.
        drop(stream.set_nodelay(true));
        let config = tls.config.lock().unwrap_or_else(PoisonError::into_inner);
        let acceptor = TlsAcceptor::from(config.clone());
        drop(config);
        let forwarding = tls.forwarding;
        admit(&shared, move |shared, number, leave| async move {
            shared.faults.pass().await;
            // A failed handshake is the client's to notice.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let (_, session) = stream.get_ref();
            let certificates = session.peer_certificates().unwrap_or_default();
            let peer = Peer {
                connection: number,
                certificate: Some(certificates.first().map(organizations).unwrap_or_default()),
                forwarding,
            };
            serve(shared, stream, peer, leave).await;
        });
    }
}

/// Starts the task of one connection.
fn admit<F>(shared: &Arc<Shared>, task: impl FnOnce(Arc<Shared>, u64, watch::Receiver<bool>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut state = shared.door.lock();
    state.accepted += 1;
    let number = state.accepted;
    let (leave, left) = watch::channel(false);
    let gone = Gone(shared.clone(), number);
    let served = task(shared.clone(), number, left);
    let task = tokio::spawn(async move {
        let _gone = gone;
        served.await;
    });
    state.connections.insert(
        number,
        Connection {
            task: task.abort_handle(),
            leave,
        },
    );
    drop(state);
    shared.changed.changed();
}

/// Strikes a connection off the list, however it ends.
struct Gone(Arc<Shared>, u64);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.door.lock().connections.remove(&self.1);
        self.0.changed.changed();
    }
}

/// Counts a listener as closed, however it ends.
struct Closed(Arc<Shared>);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.door.lock().listeners -= 1;
        self.0.changed.changed();
    }
}

async fn serve<IO>(shared: Arc<Shared>, stream: IO, peer: Peer, mut leave: watch::Receiver<bool>)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    shared.faults.pass().await;
    // Talos takes and sends up to 32 MiB.
    let machine = MachineServiceServer::new(Machine(shared.clone()));
    let state = StateServer::new(Resources(shared.clone()));
    let routes = Routes::new(machine.max_decoding_message_size(32 << 20)).add_service(state);
    let door = Doorway {
        routes: routes.prepare(),
        shared,
        peer,
    };
    let server = auto::Builder::new(TokioExecutor::new()).http2_only();
    let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(door));
    let mut connection = pin!(connection);
    tokio::select! {
        // The client sees how it ended; nobody else wants to know.
        _ = connection.as_mut() => return,
        _ = leave.wait_for(|leave| *leave) => connection.as_mut().graceful_shutdown(),
    }
    drop(connection.await);
}

/// Tells every request who sent it, and refuses what is not served.
#[derive(Clone, Debug)]
struct Doorway {
    routes: Routes,
    shared: Arc<Shared>,
    peer: Peer,
}

impl<B> Service<http::Request<B>> for Doorway
where
    Routes: Service<http::Request<B>, Response = http::Response<Body>, Error = Infallible>,
    <Routes as Service<http::Request<B>>>::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.routes.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        if Method::of_path(request.uri().path()).is_none() {
            let metadata = MetadataMap::from_headers(request.headers().clone());
            let path = request.uri().path();
            let status = self.shared.refuse(path, &self.peer, ascii(&metadata));
            return Box::pin(async move { Ok(status.into_http()) });
        }
        request.extensions_mut().insert(self.peer.clone());
        Box::pin(self.routes.call(request))
    }
}
