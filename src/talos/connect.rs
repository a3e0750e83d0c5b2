//! The ways to Talos: machined's unix socket, as the connector of a tonic channel, or apid over mutual TLS.
//!
//! For every new connection the talosconfig is read again: a certificate that is renewed while we
//! run (a ServiceAccount's lives six hours) is used from the next connection on. Proxy variables of the
//! environment are ignored.
//!
//! Under TLS 1.3 the client's handshake ends before the server has seen its certificate; a rejection would only
//! show on the first read, somewhere inside HTTP/2. A gRPC server speaks first (its SETTINGS frame), so we wait a
//! moment for the first bytes and find the rejection there.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tonic::codegen::http::Uri;
use tower_service::Service;

use super::error::Error;
use super::tls::{self, TlsTrouble};
use crate::config::talosconfig::{Endpoint, Talosconfig};

/// How long one endpoint may take to connect, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long we wait for a server to speak first before we assume that it accepts us.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(1);

/// Read buffer over the TLS stream, so that we can look at the first bytes.
const FIRST_BYTES: usize = 512;

/// TCP keepalive: probe after a minute of silence, give up after another.
const KEEPALIVE_IDLE_SECONDS: u32 = 60;
const KEEPALIVE_INTERVAL_SECONDS: u32 = 20;
const KEEPALIVE_PROBES: u32 = 3;

type Connecting<S> = Pin<Box<dyn Future<Output = Result<TokioIo<S>, Error>> + Send>>;

/// A way to machined. The real one is [`MachinedSocket`]; tests have others.
pub trait Dial: Send + Sync + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Makes a connection.
    ///
    /// # Errors
    /// The system's error when nobody listens.
    fn dial(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// machined's unix socket.
#[derive(Clone, Debug)]
pub struct MachinedSocket(pub PathBuf);

impl Dial for MachinedSocket {
    type Stream = UnixStream;

    async fn dial(&self) -> io::Result<UnixStream> {
        UnixStream::connect(&self.0).await
    }
}

/// Connects to machined.
#[derive(Debug)]
pub(super) struct Machined<D> {
    dialer: Arc<D>,
    /// Path of the socket, for errors.
    socket: Arc<Path>,
}

impl<D> Machined<D> {
    pub(super) fn new(dialer: D, socket: &Path) -> Self {
        Self {
            dialer: Arc::new(dialer),
            socket: socket.into(),
        }
    }
}

impl<D: Dial> Service<Uri> for Machined<D> {
    type Response = TokioIo<D::Stream>;
    type Error = Error;
    type Future = Connecting<D::Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialer = Arc::clone(&self.dialer);
        let socket = Arc::clone(&self.socket);
        Box::pin(async move {
            in_time(dialer.dial())
                .await
                .map(TokioIo::new)
                .map_err(|source| {
                    unreachable(socket.display().to_string(), explained(&socket, source))
                })
        })
    }
}

/// For a directory the kernel reports a refused connection. A container runtime makes one where the source of a
/// mount is missing, and the container keeps it when the source appears.
fn explained(socket: &Path, error: io::Error) -> io::Error {
    if !socket.is_dir() {
        return error;
    }
    io::Error::new(
        error.kind(),
        "there is a directory, because machined's socket was missing when the container started; \
         restart the service once Talos has the socket",
    )
}

/// Where apid is, and with which certificates.
#[derive(Debug)]
pub(super) struct ApidTarget {
    /// The file with node and certificates.
    pub(super) talosconfig: PathBuf,
    /// The node to talk to, which is also the endpoint.
    pub(super) node: Option<Endpoint>,
    /// SSL_CERT_FILE of the environment.
    ssl_cert_file: Option<PathBuf>,
    /// The endpoint that was tried last, for the log.
    current: Mutex<Option<String>>,
    /// Whether bad entries of the file have been logged.
    warned: AtomicBool,
    /// Whether a connection has led to this machine.
    was_here: AtomicBool,
}

impl ApidTarget {
    pub(super) fn new(talosconfig: PathBuf, node: Option<Endpoint>) -> Self {
        Self {
            talosconfig,
            node,
            ssl_cert_file: std::env::var_os("SSL_CERT_FILE").map(PathBuf::from),
            current: Mutex::new(None),
            warned: AtomicBool::new(false),
            was_here: AtomicBool::new(false),
        }
    }

    /// The endpoint that is in use or was tried last, else what is known of it.
    pub(super) fn endpoint(&self) -> String {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let current = current.clone();
        current
            .or_else(|| self.node.as_ref().map(ToString::to_string))
            .unwrap_or_else(|| format!("the node of {}", self.talosconfig.display()))
    }

    /// Whether it leads to the same place as the other: that of the same node, or of the same file's.
    pub(super) fn leads_where(&self, other: &Self) -> bool {
        self.node == other.node && (self.node.is_some() || self.talosconfig == other.talosconfig)
    }

    /// Where the roles come from, for the log.
    pub(super) fn role(&self) -> String {
        format!("the certificate in {}", self.talosconfig.display())
    }

    /// Whether a connection has been proven to lead to this machine.
    pub(super) fn was_here(&self) -> bool {
        self.was_here.load(Ordering::Relaxed)
    }

    /// A connection has been proven to lead to this machine.
    pub(super) fn has_been_here(&self) {
        self.was_here.store(true, Ordering::Relaxed);
    }

    /// Reads the file.
    pub(super) fn load(&self) -> Result<Talosconfig, Error> {
        let config = Talosconfig::load(&self.talosconfig)?;
        for bad in &config.bad_nodes {
            if !self.warned.load(Ordering::Relaxed) {
                tracing::warn!(
                    talosconfig = %self.talosconfig.display(),
                    context = config.context,
                    error = %bad,
                    "an entry of `nodes` is left out; correct it, or name the node with --talos-node"
                );
            }
        }
        self.warned.store(true, Ordering::Relaxed);
        Ok(config)
    }

    /// A connection to whoever answers there.
    pub(super) async fn connect(
        &self,
        config: &Talosconfig,
        endpoint: &Endpoint,
    ) -> Result<BufReader<TlsStream<TcpStream>>, Error> {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(endpoint.to_string());
        let tls = tls::client_config(config, self.ssl_cert_file.as_deref())
            .map_err(|trouble| self.tls_error(endpoint, trouble))?;
        self.connect_to(endpoint, Arc::new(tls))
            .await
            .map_err(|error| match error {
                Error::Tls {
                    endpoint,
                    trouble: TlsTrouble::ServerUnknownAuthority,
                    talosconfig,
                } if config.authorities.is_empty() => Error::Tls {
                    endpoint,
                    trouble: TlsTrouble::ServerNotOfTheSystem,
                    talosconfig,
                },
                other => other,
            })
    }

    async fn connect_to(
        &self,
        endpoint: &Endpoint,
        tls: Arc<ClientConfig>,
    ) -> Result<BufReader<TlsStream<TcpStream>>, Error> {
        let name = ServerName::try_from(endpoint.host.clone())
            .map_err(|_| self.tls_error(endpoint, TlsTrouble::BadName(endpoint.host.clone())))?;
        let attempt = async {
            let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
                .await
                .map_err(Trouble::Tcp)?;
            keep_alive(&tcp).map_err(Trouble::Tcp)?;
            let stream = TlsConnector::from(tls)
                .connect(name, tcp)
                .await
                .map_err(Trouble::Tls)?;
            let mut stream = BufReader::with_capacity(FIRST_BYTES, stream);
            match timeout(FIRST_BYTES_TIMEOUT, stream.fill_buf()).await {
                Ok(Ok([])) => Err(Trouble::Tls(io::ErrorKind::UnexpectedEof.into())),
                Ok(Err(error)) => Err(Trouble::Tls(error)),
                Ok(Ok(_)) | Err(_) => Ok(stream),
            }
        };
        let result = timeout(CONNECT_TIMEOUT, attempt)
            .await
            .unwrap_or_else(|_| Err(Trouble::Tcp(io::ErrorKind::TimedOut.into())));
        result.map_err(|trouble| match trouble {
            Trouble::Tcp(error) => unreachable(endpoint.to_string(), error),
            Trouble::Tls(error) => match (TlsTrouble::from_io(&error), error.kind()) {
                (Some(trouble), _) => self.tls_error(endpoint, trouble),
                (
                    None,
                    io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::BrokenPipe,
                ) => self.tls_error(endpoint, TlsTrouble::HungUp),
                (None, _) => unreachable(endpoint.to_string(), error),
            },
        })
    }

    fn tls_error(&self, endpoint: &Endpoint, trouble: TlsTrouble) -> Error {
        Error::Tls {
            endpoint: endpoint.to_string(),
            trouble,
            talosconfig: self.talosconfig.display().to_string(),
        }
    }
}

/// The step at which connecting failed.
enum Trouble {
    Tcp(io::Error),
    Tls(io::Error),
}

/// A silent peer must be noticed. HTTP/2 pings would not do: Talos' server hangs up on frequent ones.
fn keep_alive(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    setsockopt(tcp, sockopt::KeepAlive, &true)?;
    setsockopt(tcp, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE_SECONDS)?;
    setsockopt(tcp, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL_SECONDS)?;
    setsockopt(tcp, sockopt::TcpKeepCount, &KEEPALIVE_PROBES)?;
    Ok(())
}

async fn in_time<T>(attempt: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(CONNECT_TIMEOUT, attempt)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

pub(super) fn unreachable(endpoint: String, source: io::Error) -> Error {
    Error::Unreachable {
        endpoint,
        sent: false,
        source: Arc::new(source),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use apid::Apid;
    use tokio::io::DuplexStream;

    use super::*;

    /// The way to an embedded Talos API in this process, for all tests beside the code.
    impl Dial for Apid {
        type Stream = DuplexStream;

        async fn dial(&self) -> io::Result<DuplexStream> {
            self.connect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_longer_than_5_s() {
        let started = tokio::time::Instant::now();
        let error = in_time(pending::<io::Result<()>>()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(started.elapsed(), Duration::from_secs(5));
    }
}
