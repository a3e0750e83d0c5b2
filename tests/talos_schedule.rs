//! How long is waited between and after calls to a Talos that answers, on virtual time: the embedded API in this
//! process and on the same paused clock.

#![cfg(test)]

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apid::{Apid, Code, Method, PowerBehaviour, Status, Step, Trouble, scene};
use talos_vmtoolsd::config::{BusyPolicy, RebootMode};
use talos_vmtoolsd::facts::Facts;
use talos_vmtoolsd::power::{Heard, PowerOperation, PowerOutcome};
use talos_vmtoolsd::talos::{Client, Dial, LastWord, Manner, carry_out, observe, query};
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Any of the watched types.
const KIND: &str = "LinkStatuses.net.talos.dev";
const HOW: Manner = Manner {
    deadline: Duration::from_secs(30),
    force_shutdown: false,
    takes_over: false,
    reboot_mode: RebootMode::Default,
    busy: BusyPolicy::Refuse,
};
/// tokio's timers count milliseconds, and a call takes some turns of the runtime.
const TICKS: Duration = Duration::from_millis(3);

struct Pipe(Apid);

impl Dial for Pipe {
    type Stream = DuplexStream;

    async fn dial(&self) -> io::Result<DuplexStream> {
        self.0.connect()
    }
}

fn node() -> (Apid, Client) {
    let api = Apid::in_process();
    scene::single_nic(&api);
    let socket = PathBuf::from("machine.sock");
    let client = Client::machined_with_dialer(Pipe(api.clone()), socket, "os:operator");
    (api, client)
}

/// When the watch on [`KIND`] was asked for.
#[derive(Clone, Default)]
struct Watches(Arc<Mutex<Vec<Instant>>>);

impl Watches {
    /// Notes them, and has as many of them as are told fail with this status.
    fn of(api: &Apid, failing: usize, code: Code) -> Self {
        let watches = Self::default();
        let noted = watches.clone();
        api.on_step(move |step| match step {
            Step::Call(Method::Watch, text) if text.contains(KIND) => {
                let mut times = noted.0.lock().unwrap_or_else(PoisonError::into_inner);
                times.push(Instant::now());
                (times.len() <= failing).then_some(Trouble::Status(code))
            }
            _ => None,
        });
        watches
    }

    fn times(&self) -> Vec<Instant> {
        let times = self.0.lock();
        times.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn gaps(&self) -> Vec<Duration> {
        let times = self.times();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

fn observed(client: &Client) -> tokio::task::JoinHandle<()> {
    let facts = watch::Sender::new(Facts::default());
    tokio::spawn(observe(client.clone(), facts))
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_fails_is_asked_for_after_50_ms_up_to_5_s_and_anew_once_it_held() {
    let (api, client) = node();
    let watches = Watches::of(&api, 20, Code::Internal);
    let _observer = observed(&client);
    sleep(Duration::from_secs(600)).await;
    let gaps = watches.gaps();
    assert_eq!(gaps.len(), 20, "{gaps:?}");
    let mut full = Duration::from_millis(50);
    for gap in gaps {
        assert!(
            gap >= full / 2 && gap <= full + TICKS,
            "{gap:?} of {full:?}"
        );
        full = (full * 2).min(Duration::from_secs(5));
    }

    // The last one has held for minutes.
    let ended = Instant::now();
    api.end_watches(&Status::aborted("the watch has ended"));
    sleep(Duration::from_secs(60)).await;
    let again = *watches.times().last().unwrap() - ended;
    assert_eq!(watches.times().len(), 22);
    assert!(again <= Duration::from_millis(50) + TICKS, "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_denied_is_asked_for_often_in_the_first_minute_and_then_every_five() {
    let (api, client) = node();
    let watches = Watches::of(&api, usize::MAX, Code::PermissionDenied);
    let _observer = observed(&client);
    let began = Instant::now();
    sleep(Duration::from_secs(3600)).await;
    let times = watches.times();
    let early = times
        .iter()
        .filter(|at| **at - began < Duration::from_secs(60))
        .count();
    assert!((15..=40).contains(&early), "{early}");
    let late: Vec<Duration> = watches.gaps().into_iter().skip(early + 1).collect();
    assert!((10..=12).contains(&late.len()), "{late:?}");
    for gap in late {
        let off = gap.abs_diff(Duration::from_secs(300));
        assert!(off <= TICKS, "{gap:?}");
    }
}

/// One after the other, the watches of a query would take as many times as long.
#[tokio::test(start_paused = true)]
async fn everything_is_asked_for_at_once_and_first_what_an_administrator_looks_for() {
    let (api, client) = node();
    let delay = Duration::from_secs(1);
    api.delay(Method::Watch, delay);
    let began = Instant::now();
    query(&client, delay * 5).await.unwrap();
    let took = began.elapsed();
    assert!(took >= delay && took <= delay + TICKS, "{took:?}");
    let asked = api.calls_of(Method::Watch);
    assert!(asked.len() > 10, "{}", asked.len());
    for (call, kind) in asked.iter().zip([
        "network/HostnameStatuses.net.talos.dev",
        "network/LinkStatuses.net.talos.dev",
        "network/AddressStatuses.net.talos.dev",
    ]) {
        assert!(call.request.starts_with(kind), "{}", call.request);
    }
}

/// What was reported, and how long after the beginning; then when there was nothing more to report.
async fn carried_out(behaviour: PowerBehaviour) -> (Vec<(PowerOutcome, Duration)>, Duration) {
    let (api, client) = node();
    api.set_power(behaviour);
    let began = Instant::now();
    let mut reports = Vec::new();
    let known = LastWord::default();
    carry_out(&client, PowerOperation::Reboot, HOW, known, |heard| {
        if let Heard::Outcome(outcome) = heard {
            reports.push((outcome, began.elapsed()));
        }
    })
    .await;
    (reports, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_sequence_that_does_not_begin_is_waited_for_75_s() {
    let (reports, took) = carried_out(PowerBehaviour::AcceptSilently).await;
    let [
        (PowerOutcome::Accepted, at),
        (PowerOutcome::DidNotHappen(_), end),
    ] = &reports[..]
    else {
        panic!("{reports:?}");
    };
    let waited = *end - *at;
    let off = waited.abs_diff(Duration::from_secs(75));
    assert!(off <= TICKS && took == *end, "{waited:?}, {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sequence_that_has_begun_is_followed_for_ten_minutes() {
    let (reports, took) = carried_out(PowerBehaviour::Accept).await;
    let [
        (PowerOutcome::Accepted, at),
        (PowerOutcome::NotFollowed, end),
    ] = &reports[..]
    else {
        panic!("{reports:?}");
    };
    assert_eq!(took, *end);
    let off = (took - *at).abs_diff(Duration::from_secs(600));
    assert!(off <= TICKS, "{took:?}");
}
