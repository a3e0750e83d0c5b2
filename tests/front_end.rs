//! A second front end, as small as can be, on the daemon's own step: what the seam promises to each of them.
//!
//! Its host sends lines and gets lines back:
//!
//! ```text
//! ping            → pong                        at once, whatever else is going on
//! shutdown        → accepted | refused          once Talos has answered
//! freeze          → frozen <64 KiB of x>        once work that blocks has ended; `too late` after a second
//! thaw            → thawed                      and what came meanwhile, in order
//! ```

#![cfg(test)]

use std::collections::VecDeque;
use std::future::pending;
use std::ops::Deref;
use std::sync::mpsc;
use std::time::Duration;

use talos_vmtoolsd::config::{Config, EtcdConfig, PowerConfig, QuorumGuard};
use talos_vmtoolsd::daemon::core::{Clock, Core, Left, News, Node};
use talos_vmtoolsd::facts::{Facts, HostName, KernelPart, Load, Reading};
use talos_vmtoolsd::freeze::Command;
use talos_vmtoolsd::front_end::{Debt, FrontEnd, Measured, Order, Subject, Work};
use talos_vmtoolsd::inquiry::{InquiryId, Step};
use talos_vmtoolsd::interruption::Call;
use talos_vmtoolsd::power::{Heard, PowerOperation, PowerOutcome, Press};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, split};
use tokio::time::{Instant, timeout};

/// What this host lets a reply have.
const MOST: usize = 64 << 10;
/// How long the host waits for `freeze`.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);

type Read = Lines<BufReader<tokio::io::ReadHalf<DuplexStream>>>;

/// The front end.
struct Tiny {
    requests: Read,
    replies: tokio::io::WriteHalf<DuplexStream>,
    unwritten: VecDeque<String>,
    orders: VecDeque<Order<Freeze>>,
    /// When `freeze` is answered with an error.
    freezing: Option<Duration>,
    /// Ends the work.
    thaw: Option<mpsc::Sender<()>>,
    name: Option<String>,
}

/// Blocks until it is let go.
struct Freeze(mpsc::Receiver<()>);

impl Work for Freeze {
    type Result = usize;

    fn run(self) -> usize {
        self.0.recv().map_or(0, |()| MOST)
    }
}

enum Event {
    Request(String),
    Written,
}

impl Tiny {
    fn new(stream: DuplexStream) -> Self {
        let (read, replies) = split(stream);
        Self {
            requests: BufReader::new(read).lines(),
            replies,
            unwritten: VecDeque::new(),
            orders: VecDeque::new(),
            freezing: None,
            thaw: None,
            name: None,
        }
    }

    fn reply(&mut self, line: impl Into<String>) {
        self.unwritten.push_back(line.into());
    }
}

impl FrontEnd for Tiny {
    type Event = Event;
    type Work = Freeze;

    fn configure(&mut self, _: &Config, _: Duration) {}

    async fn next(&mut self) -> Event {
        if let Some(line) = self.unwritten.front() {
            self.replies
                .write_all(format!("{line}\n").as_bytes())
                .await
                .unwrap();
            return Event::Written;
        }
        match self.requests.next_line().await.unwrap() {
            Some(line) => Event::Request(line),
            None => pending().await,
        }
    }

    fn handle(&mut self, event: Event, now: Duration) {
        let request = match event {
            Event::Request(line) => line,
            Event::Written => return drop(self.unwritten.pop_front()),
        };
        match request.as_str() {
            "ping" => self.reply("pong"),
            "name" => self.reply(self.name.clone().unwrap_or_default()),
            "shutdown" => self.orders.push_back(Order::Power(Press::usual(
                PowerOperation::Shutdown,
                Duration::ZERO,
            ))),
            "freeze" => {
                let (thaw, held) = mpsc::channel();
                self.thaw = Some(thaw);
                self.freezing = Some(now + PATIENCE);
                self.orders.push_back(Order::Work(Freeze(held)));
            }
            "thaw" => {
                if let Some(thaw) = self.thaw.take() {
                    thaw.send(()).unwrap();
                }
            }
            "measure" => self.orders.extend([
                Order::Measure(Subject::Space),
                Order::Read(KernelPart::Load),
            ]),
            other => panic!("{other}"),
        }
    }

    fn handle_facts(&mut self, facts: &Facts, _: Duration) {
        self.name = facts.host_name.as_ref().map(|name| name.host.clone());
        self.reply("facts");
    }

    fn handle_power(&mut self, _: PowerOperation, outcome: PowerOutcome, _: Duration) {
        self.reply(match outcome {
            PowerOutcome::Accepted => "accepted",
            PowerOutcome::Rejected(_) | PowerOutcome::DidNotHappen(_) => "refused",
            PowerOutcome::NotFollowed => "not followed",
        });
    }

    fn handle_measured(&mut self, _: Subject, measured: Measured, _: Duration) {
        self.reply(format!("{measured:?}"));
    }

    fn handle_reading(&mut self, reading: &Reading, _: Duration) {
        self.reply(format!("{}", reading == &Reading::Load(Load::default())));
    }

    fn handle_work(&mut self, len: usize, _: Duration) {
        if self.freezing.take().is_some() {
            self.reply("x".repeat(len));
        } else {
            self.reply("thawed late");
        }
    }

    fn handle_timeout(&mut self, _: Duration) {
        self.freezing = None;
        self.reply("too late");
    }

    fn poll_order(&mut self) -> Option<Order<Freeze>> {
        self.orders.pop_front()
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.freezing
    }

    fn stop(&mut self, _: Duration) {}

    fn debt(&self) -> Debt {
        Debt::None
    }

    async fn close(mut self) {
        self.replies.write_all(b"bye\n").await.unwrap();
    }
}

/// A node that answers as it is told to, or never.
#[derive(Default)]
struct Scripted {
    news: VecDeque<News>,
    answers: bool,
    facts: Facts,
    calls: usize,
}

impl Node for Scripted {
    fn inquire(&mut self, _: InquiryId, _: Step) {}

    fn look_at_etcd(&mut self) {}

    fn hand_over(&mut self) {}

    fn look_for_life(&mut self) {}

    fn freezer(&mut self, _: &Command) {}

    async fn next(&mut self) -> News {
        match self.news.pop_front() {
            Some(news) => news,
            None => pending().await,
        }
    }

    fn facts(&mut self) -> impl Deref<Target = Facts> {
        &self.facts
    }

    fn power(&mut self, call: Call) {
        self.calls += 1;
        if self.answers {
            let outcome = PowerOutcome::Accepted;
            self.news
                .push_back(News::Heard(call.id, Heard::Outcome(outcome)));
        }
    }

    fn measure(&mut self, subject: Subject) {
        self.news.push_back(News::Measured(subject, Measured::Done));
    }

    fn read(&mut self, _: KernelPart) -> Reading {
        Reading::Load(Load::default())
    }
}

/// Real time: the work is on a thread of its own.
struct Real(Instant);

impl Clock for Real {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep_until(&self, deadline: Option<Duration>) {
        match deadline {
            Some(deadline) => tokio::time::sleep_until(self.0 + deadline).await,
            None => pending().await,
        }
    }
}

/// The host's end, beside a daemon that runs.
struct Host {
    replies: Read,
    requests: tokio::io::WriteHalf<DuplexStream>,
    core: Core<Tiny, Scripted, Real>,
}

impl Host {
    fn new(node: Scripted) -> Self {
        // So wide that a write never waits, which keeps `Tiny::next` cancel-safe.
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (read, requests) = split(ours);
        let mut core = Core::new(Tiny::new(theirs), node, Real(Instant::now()));
        // This node says nothing of etcd.
        core.set_power(&PowerConfig {
            etcd: EtcdConfig {
                guard: QuorumGuard::Off,
                ..EtcdConfig::default()
            },
            ..PowerConfig::default()
        });
        Self {
            replies: BufReader::new(read).lines(),
            requests,
            core,
        }
    }

    async fn ask(&mut self, request: &str) {
        self.requests
            .write_all(format!("{request}\n").as_bytes())
            .await
            .unwrap();
    }

    /// The next reply.
    async fn reply(&mut self) -> String {
        let Self { replies, core, .. } = self;
        let reply = async {
            loop {
                tokio::select! {
                    line = replies.next_line() => return line.unwrap().unwrap(),
                    left = core.step() => assert_eq!(left, Left::Nothing),
                }
            }
        };
        timeout(LONG, reply).await.expect("no reply")
    }

    async fn answer(&mut self, request: &str) -> String {
        self.ask(request).await;
        self.reply().await
    }
}

#[tokio::test]
async fn a_ping_waits_neither_for_talos_nor_for_work_that_blocks() {
    let mut host = Host::new(Scripted::default());
    host.ask("shutdown").await;
    host.ask("freeze").await;
    for _ in 0..100 {
        assert_eq!(host.answer("ping").await, "pong");
    }
    host.ask("thaw").await;
    assert_eq!(host.reply().await, "x".repeat(MOST));
    assert_eq!(host.core.node().calls, 1);
}

#[tokio::test]
async fn a_request_is_answered_later_or_with_an_error_after_a_while() {
    let mut host = Host::new(Scripted::default());
    host.ask("freeze").await;
    assert_eq!(host.reply().await, "too late");
    assert_eq!(host.answer("ping").await, "pong");
    host.ask("thaw").await;
    assert_eq!(host.reply().await, "thawed late");
}

#[tokio::test]
async fn orders_reach_the_node_and_their_outcomes_the_host_in_order() {
    let mut host = Host::new(Scripted {
        answers: true,
        ..Scripted::default()
    });
    assert_eq!(host.answer("shutdown").await, "accepted");
    host.ask("measure").await;
    assert_eq!(host.reply().await, "true");
    assert_eq!(host.reply().await, "Done");
}

#[tokio::test]
async fn facts_reach_the_host_and_a_new_talosconfig_the_process() {
    let mut host = Host::new(Scripted {
        news: VecDeque::from([News::Facts]),
        facts: Facts {
            host_name: Some(HostName {
                host: "cp-1".into(),
                domain: String::new(),
            }),
            ..Facts::default()
        },
        ..Scripted::default()
    });
    assert_eq!(host.reply().await, "facts");
    assert_eq!(host.answer("name").await, "cp-1");
    host.core.node().news.push_back(News::Talosconfig);
    assert_eq!(host.core.step().await, Left::Talosconfig);
}

#[tokio::test]
async fn closing_ends_with_a_word_to_the_host() {
    let host = Host::new(Scripted::default());
    let mut replies = host.replies;
    host.core.close().await;
    assert_eq!(replies.next_line().await.unwrap().unwrap(), "bye");
}
