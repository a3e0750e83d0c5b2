//! When a Talos that is away is tried, on virtual time.
//!
//! Nothing here waits for a socket: there is none, or one that takes connections and is never read from. With a
//! Talos that answers, on virtual time as well, see tests/sweep.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::client::CALL_TIMEOUT;
use super::{Client, LastWord, Manner, carry_out, observe};
use crate::config::{BusyPolicy, RebootMode};
use crate::facts::Facts;
use crate::power::{Heard, PowerOperation, PowerOutcome};

const HOUR: Duration = Duration::from_secs(3600);
const DEADLINE: Duration = Duration::from_secs(30);
/// tokio's timers count milliseconds.
const TICK: Duration = Duration::from_millis(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A folder for one socket.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("talos-schedule-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("machine.sock")
    }

    fn client(&self) -> Client {
        Client::machined(self.socket(), "os:operator")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// When calls failed.
#[derive(Clone, Default)]
struct Failures(Arc<Mutex<Vec<Instant>>>);

impl Failures {
    fn times(&self) -> Vec<Instant> {
        let times = self.0.lock();
        times.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From each failure to the next.
    fn gaps(&self) -> Vec<Duration> {
        let times = self.times();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

struct IsFailure(bool);

impl Visit for IsFailure {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 |= format!("{value:?}") == "call to Talos failed";
        }
    }
}

impl<S: Subscriber> Layer<S> for Failures {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut is = IsFailure(false);
        event.record(&mut is);
        if is.0 {
            let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            times.push(Instant::now());
        }
    }
}

fn listen() -> (Failures, tracing::subscriber::DefaultGuard) {
    let failures = Failures::default();
    let subscriber = tracing_subscriber::registry().with(failures.clone());
    let guard = tracing::subscriber::set_default(subscriber);
    (failures, guard)
}

/// Each delay is between half of what it would be without jitter and all of it; that doubles up to the longest.
fn assert_delays(delays: impl IntoIterator<Item = Duration>, first: u64, longest: u64) {
    let full = std::iter::successors(Some(first), |delay| Some((delay * 2).min(longest))).map(ms);
    for (delay, full) in delays.into_iter().zip(full) {
        assert!(
            delay >= full / 2 && delay <= full + 2 * TICK,
            "{delay:?} of {full:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_absent_talos_is_tried_after_50_ms_and_ever_more_slowly_up_to_3_s() {
    let (failures, _guard) = listen();
    let folder = Folder::new("absent");
    let observer = tokio::spawn(observe(
        folder.client(),
        watch::Sender::new(Facts::default()),
    ));
    sleep(HOUR).await;
    observer.abort();
    let gaps = failures.gaps();
    assert!((1200..=2410).contains(&gaps.len()), "{}", gaps.len());
    assert_delays(gaps, 50, 3000);
}

#[tokio::test(start_paused = true)]
async fn a_talos_that_never_answers_is_given_10_s_each_time() {
    let (failures, _guard) = listen();
    let folder = Folder::new("mute");
    let _listener = UnixListener::bind(folder.socket()).unwrap();
    let observer = tokio::spawn(observe(
        folder.client(),
        watch::Sender::new(Facts::default()),
    ));
    sleep(HOUR).await;
    observer.abort();
    let gaps = failures.gaps();
    assert!((275..=360).contains(&gaps.len()), "{}", gaps.len());
    let delays = gaps
        .iter()
        .map(|gap| gap.checked_sub(CALL_TIMEOUT).unwrap());
    assert_delays(delays, 50, 3000);
}

#[tokio::test(start_paused = true)]
async fn a_power_call_is_tried_ten_times_a_second_at_first_and_given_up_at_its_deadline() {
    let (failures, _guard) = listen();
    let folder = Folder::new("power-absent");
    let began = Instant::now();
    assert!(rejection(&folder).await.contains("machine.sock"));
    assert_eq!(began.elapsed(), DEADLINE);
    let gaps = failures.gaps();
    // One attempt is one failure: of Events, which go first, or of the call.
    assert!(gaps.len() >= 30, "{gaps:?}");
    assert_delays(gaps, 100, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_power_call_that_nobody_answers_is_given_up_at_its_deadline() {
    let folder = Folder::new("power-mute");
    let _listener = UnixListener::bind(folder.socket()).unwrap();
    let began = Instant::now();
    let reason = rejection(&folder).await;
    assert_eq!(began.elapsed(), DEADLINE, "{reason}");
}

async fn rejection(folder: &Folder) -> String {
    let mut reports = Vec::new();
    let how = Manner {
        deadline: DEADLINE,
        force_shutdown: false,
        takes_over: false,
        reboot_mode: RebootMode::Default,
        busy: BusyPolicy::Refuse,
    };
    let client = folder.client();
    let known = LastWord::default();
    carry_out(&client, PowerOperation::Shutdown, how, known, |heard| {
        if let Heard::Outcome(outcome) = heard {
            reports.push(outcome);
        }
    })
    .await;
    match &reports[..] {
        [PowerOutcome::Rejected(reason)] => reason.clone(),
        other => panic!("{other:?}"),
    }
}
