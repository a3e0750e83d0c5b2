//! Keeps one value of [`Facts`] up to date with a node.
//!
//! ```text
//!  away ──Version answers──▶ connected: a watch for each source, multiplexed on one connection
//!    ▲                            │
//!    └────── the connection breaks, or Talos goes away ──────┘
//! ```
//! While Talos is away we only try Version, with a back-off, and the facts stay as they were. While connected,
//! each watch looks after itself: it is reopened when Talos ends it or does not answer, and tried rarely where
//! this Talos does not know its type. Nothing is called while nothing changes.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::{Code, Streaming};

use super::client::{CALL_TIMEOUT, Client, WARM_UP};
use super::cosi::{Collection, Effect, Fault};
use super::error::Error;
use super::facts::{ALL, Watched};
use super::proto::cosi::resource::WatchResponse;
use super::words;
use super::words::Connection;
use crate::backoff::Backoff;
use crate::diagnosis::Check;
use crate::facts::{Facts, TalosVersion, replace};

/// First and longest delay between attempts to reach Talos. The longest keeps "addresses within 6 s of
/// Talos' arrival" with room for the calls themselves.
const AWAY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3));

/// First and longest delay before one watch is opened again.
const REOPEN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Delay before we retry a watch that our roles do not allow, or whose type this Talos does not know.
const REFUSED: Duration = Duration::from_secs(300);

/// A connection or a watch that held this long was a good one: the back-off starts over.
const STABLE: Duration = Duration::from_secs(5);

/// How many different reasons are logged while Talos is away.
const MAX_REASONS: usize = 8;

/// Writes what Talos reports into `facts`, and never ends. Equal facts wake nobody.
pub async fn observe(client: Client, facts: watch::Sender<Facts>) {
    let mut standing = Standing::default();
    let mut backoff = Backoff::jittered(AWAY.0, AWAY.1);
    loop {
        let outcome = match client.version().await {
            Ok(version) => {
                standing.connected(&client, &version);
                connected(&client, version.clone());
                facts.send_if_modified(|facts| replace(&mut facts.talos, version));
                let since = Instant::now();
                let outcome = at_once(|source| follow(&client, source, &facts)).await;
                if since.elapsed() >= STABLE {
                    backoff.reset();
                }
                outcome
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome
            && !standing.failed(&client, &error)
        {
            failed(&client, error);
        }
        sleep(backoff.next_delay()).await;
    }
}

/// Looks once at all that we need of Talos: its checks, and what it reports.
pub async fn check(client: &Client, deadline: Duration) -> (Vec<Check>, Facts) {
    let facts = watch::Sender::new(Facts::default());
    let looks = async {
        match client.version().await {
            Ok(version) => {
                connected(client, version.clone());
                facts.send_modify(|facts| facts.talos = Some(version));
            }
            Err(error) => return failed(client, error),
        }
        // Each for itself: one that fails must not hide the next.
        let look = async |source| {
            let _noted = bootstrap(client, source, &facts).await;
            Ok(())
        };
        let _all = at_once(look).await;
        match client.mounts().await {
            Ok(spaces) => facts.send_modify(|facts| facts.storage.spaces = Some(spaces)),
            Err(error @ Error::Denied { .. }) => client.served().refused("Mounts", &error),
            Err(_) => {}
        }
    };
    let _in_time = timeout(deadline, looks).await;
    let checks = client.checks().borrow().clone();
    (checks, facts.borrow().clone())
}

fn connected(client: &Client, version: TalosVersion) {
    client.served().connection(Connection::Up {
        endpoint: client.endpoint(),
        version,
        roles: client.roles(),
    });
}

fn failed(client: &Client, error: Error) {
    client.served().connection(Connection::Down {
        roles: client.roles(),
        error,
    });
}

/// What Talos reports at this moment.
///
/// # Errors
/// The first thing that fails; a resource type that this Talos does not know is not a failure.
pub async fn query(client: &Client, deadline: Duration) -> Result<Facts, Error> {
    let everything = async {
        let version = client.version().await?;
        connected(client, version.clone());
        let facts = watch::Sender::new(Facts {
            talos: Some(version),
            ..Facts::default()
        });
        at_once(|source| bootstrap(client, source, &facts)).await?;
        Ok(facts.borrow().clone())
    };
    timeout(deadline, everything)
        .await
        .unwrap_or(Err(Error::Deadline { call: "the query" }))
}

/// Does the same with every resource type at once, in the order of [`ALL`]; the first failure ends it.
async fn at_once<F>(work: impl Fn(&'static dyn Watched) -> F) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>>,
{
    let mut pending: Vec<_> = ALL.iter().map(|source| Box::pin(work(*source))).collect();
    poll_fn(|context| {
        let mut failure = None;
        pending.retain_mut(|work| {
            if failure.is_some() {
                return true;
            }
            let Poll::Ready(result) = work.as_mut().poll(context) else {
                return true;
            };
            failure = result.err();
            false
        });
        match failure {
            Some(error) => Poll::Ready(Err(error)),
            None if pending.is_empty() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    })
    .await
}

/// Follows the resources of one type until the connection breaks, and returns the error with which it did.
async fn follow(
    client: &Client,
    source: &'static dyn Watched,
    facts: &watch::Sender<Facts>,
) -> Result<(), Error> {
    let resource = source.kind().kind;
    let mut backoff = Backoff::jittered(REOPEN.0, REOPEN.1);
    let mut warned = false;
    loop {
        let since = Instant::now();
        let error = match client.watch(source.kind()).await {
            Ok(stream) => match read(client, stream, source, facts, Until::Broken).await {
                Ok(()) => aborted(resource, "the watch has ended"),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if error.is_connection() {
            return Err(error);
        }
        if since.elapsed() >= STABLE {
            backoff.reset();
            warned = false;
        }
        let mut delay = backoff.next_delay();
        match &error {
            Error::Denied { .. } if client.denial_may_pass() => {}
            // An older release has none until the next boot, but the answer may also be temporary.
            Error::Unsupported { .. } | Error::Denied { .. } => {
                client.note_refusal(resource, &error);
                delay = REFUSED;
            }
            // Once is normal (a graceful stop, or we were slow); a series is worth a line.
            _ if !warned && delay > REOPEN.0 => {
                warned = true;
                tracing::warn!(
                    resource,
                    error = error.with_causes(),
                    "a watch keeps ending; reopening it"
                );
            }
            _ => tracing::debug!(resource, error = error.with_causes(), "a watch ended"),
        }
        sleep(delay).await;
    }
}

/// Reads the resources of one type once.
async fn bootstrap(
    client: &Client,
    source: &'static dyn Watched,
    facts: &watch::Sender<Facts>,
) -> Result<(), Error> {
    let result = match client.watch(source.kind()).await {
        Ok(stream) => read(client, stream, source, facts, Until::Bootstrapped).await,
        Err(error) => Err(error),
    };
    if let Err(error @ (Error::Unsupported { .. } | Error::Denied { .. })) = &result {
        client.served().refused(source.kind().kind, error);
    }
    match result {
        Err(Error::Unsupported { .. }) => Ok(()),
        other => other,
    }
}

/// When to stop reading a watch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// When every present resource has been read.
    Bootstrapped,
    /// When it breaks.
    Broken,
}

/// Reads a watch and publishes what it reports. Returns `Ok` only with [`Until::Bootstrapped`].
async fn read(
    client: &Client,
    mut stream: Streaming<WatchResponse>,
    source: &'static dyn Watched,
    facts: &watch::Sender<Facts>,
    until: Until,
) -> Result<(), Error> {
    let resource = source.kind().kind;
    let opened = Instant::now();
    let mut collection = Collection::new(source);
    let mut warned = false;
    loop {
        // The first response is empty: the watch is established.
        let message = if collection.is_bootstrapped() {
            stream.message().await
        } else {
            match timeout_at(opened + CALL_TIMEOUT, stream.message()).await {
                Ok(message) => message,
                Err(_) => return Err(aborted(resource, "the watch is silent from the start")),
            }
        };
        let response = match message {
            Ok(Some(response)) => response,
            // An orderly end.
            Ok(None) => return Err(aborted(resource, "the watch has ended")),
            Err(status) => return Err(client.error(resource, &status)),
        };
        let mut changed = false;
        for event in response.event {
            match collection.handle_event(event) {
                Ok(Effect::Changed) => changed = true,
                Ok(Effect::None) => {}
                Err(Fault::Errored(message)) => {
                    return Err(Error::Talos {
                        call: resource,
                        code: Code::Aborted,
                        message,
                    });
                }
                Err(Fault::Malformed { id, source }) => {
                    if !warned {
                        warned = true;
                        tracing::warn!(resource, id, error = %source, "skipped a malformed resource");
                    }
                }
            }
        }
        if changed {
            facts.send_if_modified(|facts| collection.publish(facts));
        }
        if collection.is_bootstrapped() {
            client.served().served(resource);
            if until == Until::Bootstrapped {
                return Ok(());
            }
        }
    }
}

/// A watch ended without a word from Talos.
fn aborted(call: &'static str, words: &str) -> Error {
    Error::Talos {
        call,
        code: Code::Aborted,
        message: words.to_owned(),
    }
}

/// What we have logged about our connection to Talos: each change once.
#[derive(Debug, Default)]
enum Standing {
    /// Nothing has happened yet.
    #[default]
    New,
    /// Talos answers.
    Connected,
    /// Talos does not answer.
    Away {
        since: Instant,
        attempts: u32,
        /// The reasons that have been logged.
        reasons: Vec<String>,
        /// Whether it has ever answered.
        again: bool,
        /// Since when it refuses even to say its version, without another failure in between.
        denied: Option<Instant>,
    },
}

impl Standing {
    fn connected(&mut self, client: &Client, version: &TalosVersion) {
        let endpoint = client.endpoint();
        match self {
            Self::Away {
                since,
                attempts,
                again: true,
                ..
            } => tracing::info!(
                endpoint,
                version = version.tag,
                attempts,
                elapsed_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
                "Talos answers again"
            ),
            _ => tracing::info!(
                endpoint,
                role = client.role(),
                version = version.tag,
                "connected to Talos"
            ),
        }
        *self = Self::Connected;
    }

    /// Whether the failure may pass by itself.
    fn failed(&mut self, client: &Client, error: &Error) -> bool {
        let reason = error.with_causes();
        if let Self::New | Self::Connected = self {
            let again = matches!(self, Self::Connected);
            if again {
                tracing::info!(
                    error = reason,
                    "lost connection to Talos; keeping the last known state"
                );
            }
            *self = Self::Away {
                since: Instant::now(),
                attempts: 0,
                reasons: if again && !error.is_about_identity() {
                    vec![error.gist()]
                } else {
                    Vec::new()
                },
                again,
                denied: None,
            };
        }
        let Self::Away {
            attempts,
            reasons,
            denied,
            ..
        } = self
        else {
            return false;
        };
        *attempts += 1;
        *denied = denied
            .or_else(|| Some(Instant::now()))
            .filter(|_| matches!(error, Error::Denied { .. }));
        // machined does not know a process at once; it knows it after a minute.
        let passing = denied.is_some_and(|since| since.elapsed() < WARM_UP);
        let passing = passing && client.denial_may_pass();
        let gist = error.gist();
        if passing || reasons.len() >= MAX_REASONS || reasons.contains(&gist) {
            return passing;
        }
        let remedy = words::remedy(error, &client.roles(), client.is_proxied());
        match error {
            Error::OtherMachine { .. } | Error::NotProven { .. } | Error::NoNode { .. } => {
                tracing::error!(
                    error = reason,
                    remedy,
                    "no Talos API is proven to be this machine's; the host is served without it, power requests get status 0"
                );
            }
            Error::Unreachable { .. } | Error::Deadline { .. } => {
                tracing::info!(
                    error = reason,
                    "Talos does not answer; still serving the host"
                );
            }
            Error::Tls { .. }
            | Error::Talosconfig(_)
            | Error::Denied { .. }
            | Error::Unsupported { .. }
            | Error::Talos { .. }
            | Error::Malformed { .. } => {
                tracing::warn!(
                    error = reason,
                    remedy,
                    "cannot use the Talos API; still serving the host"
                );
            }
        }
        reasons.push(gist);
        false
    }
}
