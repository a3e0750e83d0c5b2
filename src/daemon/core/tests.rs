//! The step and the end of it, with a front end that does as a test wants.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::pending;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Instant as RealInstant;

use tokio::time::{Instant, advance, sleep_until};

use super::*;
use crate::config::{Config, EtcdConfig, PowerConfig, QuorumGuard};
use crate::facts::{Etcd, EtcdLook, Facts, KernelPart, Load, Reading};
use crate::freeze::Command;
use crate::freeze::message::{Cause, Devices, How, Outcomes};
use crate::front_end::{Measured, Subject};
use crate::interruption::{Call, CallId};
use crate::power::{Heard, Phase, PowerOperation, PowerOutcome, Press};

mod interruptions;

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
    /// Whether it has something thawed when it stops.
    frozen: bool,
    phases: Vec<String>,
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

    fn make_way(&mut self, _: Duration) {
        self.handled("make way");
    }

    fn handle_phase(&mut self, phase: &Phase, _: Duration) {
        self.phases.push(phase.to_string());
    }

    fn handle_measured(&mut self, _: Subject, _: Measured, _: Duration) {
        self.handled("measured");
    }

    fn handle_reading(&mut self, _: &Reading, _: Duration) {}

    fn handle_freezer(&mut self, report: &Report, _: Duration) {
        self.handled(match report {
            Report::Frozen { .. } => "frozen",
            Report::Thawed { .. } => "thawed",
            Report::Gone => "gone",
            _ => "another report",
        });
    }

    fn handle_etcd(&mut self, etcd: Option<Etcd>, _: Duration) {
        self.handled(if etcd.is_some() { "etcd" } else { "no etcd" });
    }

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

    fn stop(&mut self, _: Duration) {
        if self.frozen {
            self.orders.push_back(Order::Freezer(Command::Thaw));
        }
    }

    fn debt(&self) -> Debt {
        self.debt.unwrap_or(Debt::None)
    }

    async fn close(self) {
        if self.stuck {
            pending().await
        }
    }
}

/// What a node was asked, and when.
type Asked = Rc<RefCell<Vec<(Instant, &'static str)>>>;

/// News, each at its time.
#[derive(Default)]
struct Newsy {
    news: VecDeque<(Duration, News)>,
    /// When the first of them comes, once it is waited for.
    due: Option<Instant>,
    facts: Facts,
    asked: Asked,
}

impl Newsy {
    fn with(news: impl IntoIterator<Item = (u64, News)>) -> Self {
        let news = news.into_iter();
        Self {
            news: news
                .map(|(millis, news)| (Duration::from_millis(millis), news))
                .collect(),
            ..Self::default()
        }
    }

    fn asked(&self, what: &'static str) {
        self.asked.borrow_mut().push((Instant::now(), what));
    }
}

impl Node for Newsy {
    fn inquire(&mut self, _: InquiryId, _: InquiryStep) {}

    fn look_at_etcd(&mut self) {
        self.asked("etcd");
    }

    fn hand_over(&mut self) {
        self.asked("hand over");
    }

    fn look_for_life(&mut self) {
        self.asked("life");
    }

    fn freezer(&mut self, command: &Command) {
        self.asked(match command {
            Command::Freeze { .. } => "freeze",
            Command::Thaw => "thaw",
            Command::Rescue(_) | Command::Probe(_) => "another command",
        });
    }

    async fn next(&mut self) -> News {
        let Some((due, _)) = self.news.front() else {
            return pending().await;
        };
        if !due.is_zero() {
            let due = *self.due.get_or_insert(Instant::now() + *due);
            sleep_until(due).await;
        }
        self.due = None;
        let (_, news) = self.news.pop_front().unwrap();
        news
    }

    fn facts(&mut self) -> impl Deref<Target = Facts> {
        &self.facts
    }

    fn power(&mut self, call: Call) {
        self.asked(if call.takes_over {
            "forced power"
        } else {
            "power"
        });
    }

    fn forget(&mut self, _: CallId) {
        self.asked("forget");
    }

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
    let mut core = Core::new(front_end, node, Paused(Instant::now()));
    // No test here is about etcd; `interruptions` beside this has those.
    core.set_power(&PowerConfig {
        deadline: Duration::from_secs(30),
        etcd: EtcdConfig {
            guard: QuorumGuard::Off,
            ..EtcdConfig::default()
        },
        ..PowerConfig::default()
    });
    core
}

/// Of the first call.
fn accepted() -> News {
    News::Heard(CallId::new(1), Heard::Outcome(PowerOutcome::Accepted))
}

fn press(operation: PowerOperation) -> Order<Quick> {
    Order::Power(Press::usual(operation, Duration::ZERO))
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
    front_end.orders.push_back(press(PowerOperation::Shutdown));
    let mut core = core(front_end, Newsy::with(news));
    advance(Duration::from_millis(10)).await;
    for _ in 0..60_000 {
        core.step().await;
    }
    let handled = &core.front_end.handled;
    let expected = [
        ("make way", 0),
        ("time", 16),
        ("power", 16),
        ("facts", 32),
        ("measured", 48),
    ];
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
    let mut front_end = Busy::owing(Debt::Outcome);
    front_end.orders.push_back(press(PowerOperation::Shutdown));
    let took = end(front_end, node).await;
    assert_eq!(took, Duration::from_millis(600));
}

fn freeze() -> Order<Quick> {
    Order::Freezer(Command::Freeze {
        run: 1,
        how: How::Freeze,
        limit: Duration::from_secs(8),
        devices: Devices::new([]).unwrap(),
    })
}

fn frozen() -> News {
    let (run, outcomes) = (1, Outcomes::new([]).unwrap());
    News::Freezer(Report::Frozen { run, outcomes })
}

fn thawed() -> News {
    let (run, cause, lasted) = (1, Cause::Asked, Duration::from_secs(1));
    News::Freezer(Report::Thawed { run, cause, lasted })
}

/// What was asked, each with the milliseconds since then.
fn asked(asked: &Asked, since: Instant) -> Vec<(u128, &'static str)> {
    let asked = asked.borrow();
    let asked = asked.iter();
    asked
        .map(|(at, what)| ((*at - since).as_millis(), *what))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn what_the_freezer_reports_and_what_talos_says_of_etcd_reach_the_front_end() {
    let look = EtcdLook {
        members: Some(Etcd { voters: 3, live: 3 }),
        ..EtcdLook::default()
    };
    let news = [
        (0, News::Etcd(EtcdLook::default())),
        (0, News::Etcd(look)),
        (0, frozen()),
        (0, thawed()),
        (0, News::Freezer(Report::Gone)),
    ];
    let mut front_end = Busy::default();
    front_end.orders.extend([Order::LookAtEtcd, freeze()]);
    let node = Newsy::with(news);
    let orders = Rc::clone(&node.asked);
    let start = Instant::now();
    let mut core = core(front_end, node);
    for _ in 0..5 {
        core.step().await;
    }
    let handled = core.front_end.handled.iter().map(|(what, _)| *what);
    let handled: Vec<_> = handled.collect();
    assert_eq!(handled, ["no etcd", "etcd", "frozen", "thawed", "gone"]);
    assert_eq!(asked(&orders, start), [(0, "etcd"), (0, "freeze")]);
}

#[tokio::test(start_paused = true)]
async fn a_power_operation_waits_for_the_thaw_and_the_host_is_served_meanwhile() {
    // The thaw comes, or nothing does: then Talos is asked after two seconds.
    for (news, at) in [
        (vec![(0, frozen()), (300, thawed())], 300..=330),
        (vec![(0, frozen())], 2_000..=2_030),
        (vec![(0, frozen()), (100, News::Facts)], 2_000..=2_030),
        (vec![(200, News::Freezer(Report::Gone))], 200..=230),
    ] {
        let mut front_end = Busy {
            takes: Duration::from_millis(1),
            ..Busy::flood()
        };
        let power = press(PowerOperation::Shutdown);
        front_end.orders.extend([freeze(), power]);
        let node = Newsy::with(news);
        let orders = Rc::clone(&node.asked);
        let start = Instant::now();
        let mut core = core(front_end, node);
        while start.elapsed() < Duration::from_secs(3) {
            core.step().await;
        }
        let asked = asked(&orders, start);
        let [(0, "freeze"), (when, "power")] = asked[..] else {
            panic!("{asked:?}")
        };
        assert!(at.contains(&when), "{when} ms, not {at:?}");
        assert!(core.front_end.requests > 2_000, "the host is served");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_goes_at_once_when_nothing_is_frozen_any_more() {
    let mut front_end = Busy::default();
    front_end.orders.push_back(freeze());
    let node = Newsy::with([(10, frozen()), (10, thawed())]);
    let orders = Rc::clone(&node.asked);
    let start = Instant::now();
    let mut core = core(front_end, node);
    core.step().await;
    core.step().await;
    let power = press(PowerOperation::Reboot);
    core.front_end.orders.push_back(power);
    core.carry_out();
    assert_eq!(asked(&orders, start), [(0, "freeze"), (20, "power")]);
}

#[tokio::test(start_paused = true)]
async fn the_end_has_thawed_what_was_frozen() {
    let mut front_end = Busy {
        frozen: true,
        stuck: true,
        ..Busy::default()
    };
    front_end.orders.push_back(freeze());
    let node = Newsy::with([(0, frozen())]);
    let orders = Rc::clone(&node.asked);
    let start = Instant::now();
    let mut core = core(front_end, node);
    core.step().await;
    core.close().await;
    assert_eq!(asked(&orders, start), [(0, "freeze"), (0, "thaw")]);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_waits_for_the_thaw_when_the_end_comes_is_still_asked_for() {
    let thaws = vec![(50, thawed()), (50, accepted())];
    for (news, expected) in [
        (thaws, vec![(0, "freeze"), (0, "thaw"), (50, "power")]),
        (vec![], vec![(0, "freeze"), (0, "thaw")]),
    ] {
        let mut front_end = Busy {
            frozen: true,
            ..Busy::owing(Debt::Outcome)
        };
        let power = press(PowerOperation::Shutdown);
        front_end.orders.extend([freeze(), power]);
        let node = Newsy::with(news);
        let orders = Rc::clone(&node.asked);
        let start = Instant::now();
        core(front_end, node).close().await;
        let mut asked = asked(&orders, start);
        asked.sort_unstable();
        assert_eq!(asked, expected);
        assert!(start.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_freezer_that_ends_while_something_may_be_frozen_ends_the_daemon() {
    use crate::freeze::message::{Devices, How};
    for how in [How::Sync, How::Freeze] {
        let mut front_end = Busy::default();
        front_end.orders.push_back(Order::Freezer(Command::Freeze {
            run: 1,
            how,
            limit: Duration::from_secs(8),
            devices: Devices::new([]).unwrap(),
        }));
        let news = [(0, News::Freezer(Report::Gone))];
        let left = core(front_end, Newsy::with(news)).step().await;
        let expected = match how {
            How::Sync => Left::Nothing,
            How::Freeze => Left::Frozen,
        };
        assert_eq!(left, expected, "{how:?}");
    }
}
