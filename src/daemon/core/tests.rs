//! The step and the end of it, with a front end that does as a test wants.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Instant as RealInstant;

use tokio::time::{Instant, advance, sleep_until};

use super::*;
use crate::config::Config;
use crate::facts::Load;

/// A front end that is busy.
#[derive(Default)]
struct Busy {
    /// Whether the host always has one more request.
    flood: bool,
    /// How long each of them takes.
    takes: Duration,
    requests: usize,
    orders: VecDeque<Order<Quick>>,
    due: Option<Duration>,
    /// What was handled, each with the requests that were served before.
    handled: Vec<(&'static str, usize)>,
    debt: Option<Debt>,
    /// Whether the good-bye never ends.
    stuck: bool,
}

/// Work that is done at once.
struct Quick;

impl Work for Quick {
    type Result = ();

    fn run(self) {}
}

impl Busy {
    fn flood() -> Self {
        Self {
            flood: true,
            ..Self::default()
        }
    }

    fn owing(debt: Debt) -> Self {
        Self {
            debt: Some(debt),
            ..Self::default()
        }
    }

    fn handled(&mut self, what: &'static str) {
        self.handled.push((what, self.requests));
    }
}

impl FrontEnd for Busy {
    type Event = ();
    type Work = Quick;

    fn configure(&mut self, _: &Config, _: Duration) {}

    async fn next(&mut self) {
        if !self.flood {
            pending().await
        }
        if !self.takes.is_zero() {
            advance(self.takes).await;
        }
    }

    fn handle(&mut self, (): (), _: Duration) {
        self.requests += 1;
    }

    fn handle_facts(&mut self, _: &Facts, _: Duration) {
        self.handled("facts");
    }

    fn handle_power(&mut self, _: PowerOperation, _: PowerOutcome, _: Duration) {
        self.handled("power");
        self.debt = None;
    }

    fn handle_measured(&mut self, _: Subject, _: Measured, _: Duration) {
        self.handled("measured");
    }

    fn handle_reading(&mut self, _: &Reading, _: Duration) {}

    fn handle_work(&mut self, (): (), _: Duration) {
        self.handled("work");
    }

    fn handle_timeout(&mut self, _: Duration) {
        self.due = None;
        self.handled("time");
    }

    fn poll_order(&mut self) -> Option<Order<Quick>> {
        self.orders.pop_front()
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.due
    }

    fn stop(&mut self, _: Duration) {}

    fn debt(&self) -> Debt {
        self.debt.unwrap_or(Debt::None)
    }

    async fn close(self) {
        if self.stuck {
            pending().await
        }
    }
}

/// News, each at its time.
#[derive(Default)]
struct Newsy {
    news: VecDeque<(Duration, News)>,
    facts: Facts,
}

impl Newsy {
    fn with(news: impl IntoIterator<Item = (u64, News)>) -> Self {
        let news = news.into_iter();
        Self {
            news: news
                .map(|(millis, news)| (Duration::from_millis(millis), news))
                .collect(),
            facts: Facts::default(),
        }
    }
}

impl Node for Newsy {
    fn inquire(&mut self, _: InquiryId, _: InquiryStep) {}

    fn look_at_etcd(&mut self) {}

    fn freezer(&mut self, _: &Command) {}

    async fn next(&mut self) -> News {
        let Some((due, _)) = self.news.front() else {
            return pending().await;
        };
        if !due.is_zero() {
            sleep_until(Instant::now() + *due).await;
        }
        let (_, news) = self.news.pop_front().unwrap();
        news
    }

    fn facts(&mut self) -> impl Deref<Target = Facts> {
        &self.facts
    }

    fn power(&mut self, _: PowerOperation, _: Duration) {}

    fn measure(&mut self, _: Subject) {}

    fn read(&mut self, _: KernelPart) -> Reading {
        Reading::Load(Load::default())
    }
}

struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep_until(&self, deadline: Option<Duration>) {
        match deadline {
            Some(deadline) => sleep_until(self.0 + deadline).await,
            None => pending().await,
        }
    }
}

fn core(front_end: Busy, node: Newsy) -> Core<Busy, Newsy, Paused> {
    Core::new(front_end, node, Paused(Instant::now()))
}

fn accepted() -> News {
    News::Power(PowerOperation::Shutdown, PowerOutcome::Accepted)
}

#[tokio::test(start_paused = true)]
async fn a_host_that_always_has_one_more_request_starves_neither_news_nor_the_timer() {
    let news = [
        (0, accepted()),
        (0, News::Facts),
        (0, News::Measured(Subject::Space, Measured::Done)),
    ];
    let mut front_end = Busy::flood();
    front_end.due = Some(Duration::from_millis(5));
    let mut core = core(front_end, Newsy::with(news));
    advance(Duration::from_millis(10)).await;
    for _ in 0..60_000 {
        core.step().await;
    }
    let handled = &core.front_end.handled;
    let expected = [("time", 16), ("power", 16), ("facts", 32), ("measured", 48)];
    assert_eq!(handled, &expected);
}

#[tokio::test]
async fn a_host_that_always_has_one_more_request_does_not_starve_work_off_the_loop() {
    let mut front_end = Busy::flood();
    front_end.orders.push_back(Order::Work(Quick));
    let mut core = core(front_end, Newsy::default());
    let start = RealInstant::now();
    while core.front_end.handled.is_empty() {
        core.step().await;
        assert!(start.elapsed() < Duration::from_secs(10), "starved");
    }
    assert_eq!(core.front_end.handled[0].0, "work");
}

/// Ends the daemon, and says how long that took.
async fn end(front_end: Busy, node: Newsy) -> Duration {
    let start = Instant::now();
    core(front_end, node).close().await;
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_within_a_second_whatever_hangs() {
    let flood = Busy {
        takes: Duration::from_millis(1),
        debt: Some(Debt::Message),
        ..Busy::flood()
    };
    // Time passes by news, as it does by itself where it is real.
    let ticks = (0..1_000).map(|_| (10, News::Facts));
    let stuck = Busy {
        stuck: true,
        ..Busy::default()
    };
    let hanging = [
        (Busy::owing(Debt::Outcome), Newsy::default()),
        (Busy::owing(Debt::Message), Newsy::default()),
        (Busy::owing(Debt::Message), Newsy::with(ticks)),
        (flood, Newsy::default()),
        (stuck, Newsy::default()),
    ];
    for (front_end, node) in hanging {
        let took = end(front_end, node).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_that_nobody_wants() {
    let node = Newsy::with([(0, accepted())]);
    assert_eq!(end(Busy::default(), node).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_talos_makes_of_an_operation_is_waited_for_as_long_as_it_takes_to_refuse() {
    let node = Newsy::with([(600, accepted())]);
    let took = end(Busy::owing(Debt::Outcome), node).await;
    assert_eq!(took, Duration::from_millis(600));
}
