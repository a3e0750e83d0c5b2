//! One session: the daemon's parts joined as its event loop does, the host, Talos, and an administrator.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use talos_vmtoolsd::daemon::alarm::Alarm;
use talos_vmtoolsd::daemon::link::LinkSettings;
use talos_vmtoolsd::daemon::rpci_link::RpciLink;
use talos_vmtoolsd::daemon::tclo_link::{TcloEvent, TcloLink};
use talos_vmtoolsd::facts::{Facts, Load};
use talos_vmtoolsd::rpc::rpci::Reply;
use talos_vmtoolsd::services::{
    Machine, Measured, Output, PowerOperation, PowerOutcome, RpciId, RpciOutcome, Services,
};
use talos_vmtoolsd::transport::backdoor::RegisterAccess;
use talos_vmtoolsd::transport::vsock::Dial;
use tokio::time::{Instant, sleep, sleep_until};
use vmx::codec::guest_info::GuestInfo;
use vmx::codec::rpci::Command;
use vmx::{ExchangeId, Host, ToolsRunning};

use crate::node;

/// The host, shared by all that touch it within one thread.
pub(crate) type SharedHost = Rc<RefCell<Host>>;

/// When a session without an end is given up.
const GIVE_UP: Duration = Duration::from_secs(60);
/// How long the host waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the administrator looks.
const LOOK: Duration = Duration::from_millis(100);

/// What came of a session.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Broken promises.
    pub(crate) wrong: Vec<String>,
    /// The longest time the host heard nothing of the guest.
    pub(crate) silence: Duration,
    /// How long it took until all was right.
    pub(crate) took: Duration,
}

/// What Talos does in a session.
#[derive(Clone, Debug)]
pub(crate) struct TalosScript {
    /// News, each at its time after the start.
    pub(crate) news: Vec<(Duration, News)>,
    /// What becomes of a power operation, each some time after the call; the last for all further calls.
    pub(crate) power: Vec<(Duration, PowerOutcome)>,
    /// News to come after all other news.
    pub(crate) late_news: Vec<(Duration, News)>,
    /// What the administrator asks besides the standard session.
    pub(crate) wishes: Vec<(Duration, &'static str)>,
    /// The truth about each OS_Halt.
    pub(crate) statuses: Vec<bool>,
    /// How often Talos may and must be asked.
    pub(crate) calls: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum News {
    Facts(Box<Facts>),
    /// Of the last power call.
    Power(PowerOutcome),
}

impl Default for TalosScript {
    /// A healthy Talos: the node is known after 0.3 s, its address changes after 1 s.
    fn default() -> Self {
        let facts = |address| News::Facts(Box::new(node::with_address(address)));
        Self {
            news: vec![
                (Duration::from_millis(300), facts(node::FIRST_ADDRESS)),
                (Duration::from_secs(1), facts(node::ADDRESS)),
            ],
            power: vec![(Duration::from_millis(80), PowerOutcome::Accepted)],
            late_news: Vec::new(),
            wishes: Vec::new(),
            statuses: vec![true],
            calls: 1,
        }
    }
}

/// What the session must come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The host hears of the guest at least this often.
    pub(crate) silence: Duration,
    /// All is right this long after the start.
    pub(crate) took: Duration,
    /// Whether the host may give a request up that has no answer: several faults in a row can eat a CLOSE, and
    /// then the host waits for an answer on a channel that the guest has left.
    pub(crate) patience: bool,
}

/// Plays a session to its end.
pub(crate) fn play<A, V>(
    host: &SharedHost,
    settings: LinkSettings<A>,
    dialer: &V,
    talos: TalosScript,
    bounds: Bounds,
) -> impl Future<Output = Outcome>
where
    A: RegisterAccess + Copy + 'static,
    V: Dial + Clone + 'static,
{
    let tclo = TcloLink::with_dialer(settings, dialer.clone(), Alarm::on_tokio());
    let rpci = RpciLink::with_dialer(settings, dialer.clone());
    let start = Instant::now();
    let daemon = Daemon {
        services: Services::new(Machine {
            kernel_release: "6.18.1-talos".into(),
            machine: "x86_64".into(),
        }),
        tclo,
        rpci: RpciQueue {
            orders: VecDeque::new(),
            work: None,
            idle: Some(rpci),
            lost: false,
        },
        start,
        talos,
        calls: Vec::new(),
        outcomes: VecDeque::new(),
    };
    let host = Rc::clone(host);
    async move { daemon.live(&host, bounds).await }
}

struct Daemon<A: RegisterAccess, V> {
    services: Services,
    tclo: TcloLink<A, V>,
    rpci: RpciQueue<A, V>,
    start: Instant,
    talos: TalosScript,
    calls: Vec<PowerOperation>,
    outcomes: VecDeque<(Instant, PowerOperation, PowerOutcome)>,
}

/// An exchange under way, which has the link.
type Exchange<A, V> = Pin<Box<dyn Future<Output = (RpciLink<A, V>, RpciId, RpciOutcome)>>>;

/// As the daemon's RPCI task: one command after the other, beside everything else.
struct RpciQueue<A: RegisterAccess, V> {
    orders: VecDeque<Order>,
    idle: Option<RpciLink<A, V>>,
    /// What is queued fails without being tried.
    lost: bool,
    work: Option<Exchange<A, V>>,
}

enum Order {
    Send(RpciId, Vec<u8>),
    ForgetFailures,
}

impl<A: RegisterAccess + Copy + 'static, V: Dial + 'static> RpciQueue<A, V> {
    async fn outcome(&mut self) -> (RpciId, RpciOutcome) {
        loop {
            if let Some(work) = &mut self.work {
                let (link, id, outcome) = work.await;
                self.work = None;
                self.idle = Some(link);
                return (id, outcome);
            }
            let Some(mut link) = self.idle.take() else {
                return pending().await;
            };
            match self.orders.pop_front() {
                None => {
                    self.idle = Some(link);
                    return pending().await;
                }
                Some(Order::ForgetFailures) => {
                    link.forget_failures();
                    self.idle = Some(link);
                }
                Some(Order::Send(id, _)) if self.lost => {
                    self.idle = Some(link);
                    return (id, RpciOutcome::Failed);
                }
                Some(Order::Send(id, message)) => {
                    self.work = Some(Box::pin(async move {
                        let outcome = match link.exchange(&message).await {
                            Ok(Reply::Accepted(text)) => RpciOutcome::Accepted(text),
                            Ok(Reply::Refused(text)) => RpciOutcome::Refused(text),
                            Err(_) => RpciOutcome::Failed,
                        };
                        (link, id, outcome)
                    }));
                }
            }
        }
    }
}

impl<A: RegisterAccess + Copy + 'static, V: Dial + 'static> Daemon<A, V> {
    /// Time since boot, as the services see it.
    fn now(&self) -> Duration {
        Duration::from_secs(20) + self.start.elapsed()
    }

    async fn live(mut self, host: &SharedHost, bounds: Bounds) -> Outcome {
        let mut admin = Administrator::new(self.start, &self.talos);
        loop {
            self.carry_out();
            let epoch = self.start - Duration::from_secs(20);
            let deadline = self.services.poll_timeout().map(|due| epoch + due);
            let news = self.talos.news.first().map(|(due, _)| self.start + *due);
            let outcome = self.outcomes.front().map(|(due, ..)| *due);
            tokio::select! {
                biased;
                event = self.tclo.next() => match event {
                    TcloEvent::Connected { .. } => {
                        self.rpci.lost = false;
                        self.rpci.orders.push_back(Order::ForgetFailures);
                        self.services.handle_connected(self.now());
                    }
                    TcloEvent::Request(request) => {
                        let now = self.now();
                        self.services.handle_request(&request, now);
                    }
                    TcloEvent::Lost => {
                        self.rpci.lost = true;
                        self.services.handle_lost();
                    }
                },
                (id, outcome) = self.rpci.outcome() => {
                    let now = self.now();
                    self.services.handle_rpci(id, outcome, now);
                }
                () = at(outcome) => {
                    if let Some((_, operation, outcome)) = self.outcomes.pop_front() {
                        let now = self.now();
                        self.services.handle_power(operation, outcome, now);
                    }
                }
                () = at(news) => {
                    let (_, news) = self.talos.news.remove(0);
                    let now = self.now();
                    match (news, self.calls.last()) {
                        (News::Facts(facts), _) => self.services.handle_facts(&facts, now),
                        (News::Power(outcome), Some(&operation)) => {
                            self.services.handle_power(operation, outcome, now);
                        }
                        (News::Power(_), None) => {}
                    }
                }
                () = at(deadline) => {
                    let now = self.now();
                    self.services.handle_timeout(now);
                }
                () = sleep(admin.pause()) => {
                    let news_to_come = !self.talos.news.is_empty();
                    let mut host = host.borrow_mut();
                    if let Some(outcome) = admin.look(&mut host, &self.calls, news_to_come, bounds) {
                        return outcome;
                    }
                }
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.services.poll_output() {
            match output {
                Output::Rpci { id, message } => {
                    self.rpci.orders.push_back(Order::Send(id, message));
                }
                Output::Reply(reply) => self.tclo.reply(reply),
                Output::MeasureSpace => {
                    let now = self.now();
                    self.services.handle_measured(Measured::Done, now);
                }
                Output::ReadLoad => {
                    let now = self.now();
                    self.services.handle_load(&Load::default(), now);
                }
                Output::Power(operation) => {
                    let call = self.calls.len().min(self.talos.power.len() - 1);
                    let (delay, outcome) = self.talos.power[call].clone();
                    self.calls.push(operation);
                    self.outcomes
                        .push_back((Instant::now() + delay, operation, outcome));
                }
            }
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// Asks for what the session consists of, asks again for what got lost, and looks whether all is right.
struct Administrator {
    start: Instant,
    /// What is still to be asked, each at its time after the start.
    wishes: VecDeque<(Duration, &'static str)>,
    asked: Vec<(ExchangeId, &'static str)>,
    /// Requests of a greeting that were answered with an error.
    spoiled: usize,
    next_look: Instant,
    /// What Talos makes of the power operation.
    statuses: Vec<bool>,
    calls: usize,
    /// Failures that were answered by asking once more.
    failures: usize,
}

impl Administrator {
    fn new(start: Instant, talos: &TalosScript) -> Self {
        let ms = Duration::from_millis;
        let mut wishes: VecDeque<_> = [
            (ms(1300), "ping"),
            (ms(1400), "Set_Option broadcastIP 1"),
            (ms(1600), "OS_Halt"),
        ]
        .into();
        wishes.extend(&talos.wishes);
        Self {
            start,
            wishes,
            statuses: talos.statuses.clone(),
            calls: talos.calls,
            failures: 0,
            asked: Vec::new(),
            spoiled: 0,
            next_look: start + LOOK,
        }
    }

    fn pause(&self) -> Duration {
        self.next_look.saturating_duration_since(Instant::now())
    }

    /// One look; the outcome when all is over.
    fn look(
        &mut self,
        host: &mut Host,
        calls: &[PowerOperation],
        news_to_come: bool,
        bounds: Bounds,
    ) -> Option<Outcome> {
        self.next_look += LOOK;
        let took = self.start.elapsed();
        let now = Instant::now().into_std();
        if let Some((_, wish)) = self.wishes.pop_front_if(|(due, _)| *due <= took) {
            self.asked.push((host.ask(wish, now), wish));
        }
        self.greet_again(host, now);
        if bounds.patience && self.is_stuck(host, now) {
            host.close_channels(Some(vmx::Protocol::Tclo), now);
        }
        // The first asks are all that is to be asked while Talos does as it is told.
        if !self.wishes.is_empty() && took < GIVE_UP {
            self.ask_again(host, now);
            return None;
        }
        let power = host.vcenter(now).power;
        let failures = power.iter().filter(|status| !status.success).count();
        if failures > self.failures {
            self.failures = failures;
            self.asked.push((host.ask("OS_Halt", now), "OS_Halt"));
        }
        let waiting = self.ask_again(host, now);
        let mut wrong = not_right(host, now);
        if !self.is_truth(&power) {
            wrong.push(format!("power {power:?}"));
        }
        let settled = self.wishes.is_empty() && !waiting && !news_to_come;
        if (!settled || !wrong.is_empty()) && took < GIVE_UP {
            return None;
        }
        if !settled {
            wrong.push(format!("unanswered: {:?}", self.asked));
        }
        if calls != vec![PowerOperation::Shutdown; self.calls] {
            wrong.push(format!("Talos was asked {calls:?}"));
        }
        wrong.extend(nonsense(host));
        let silence = host.longest_silence(now);
        if silence > bounds.silence {
            wrong.push(format!("silent for {silence:?}"));
        }
        if took > bounds.took {
            wrong.push(format!("took {took:?}"));
        }
        Some(Outcome {
            wrong,
            silence,
            took,
        })
    }

    /// A request of the greeting that reached the guest spoiled was answered with an error: a host in that
    /// state starts afresh.
    fn greet_again(&mut self, host: &mut Host, now: std::time::Instant) {
        let spoiled = greeting(host)
            .filter(|exchange| is_error(exchange.reply.as_deref()))
            .count();
        if spoiled > self.spoiled {
            self.spoiled = spoiled;
            host.close_channels(Some(vmx::Protocol::Tclo), now);
        }
    }

    /// Whether the host has been told what Talos did. A status whose acknowledgement got lost is told twice.
    fn is_truth(&self, power: &[vmx::PowerStatus]) -> bool {
        let mut told: Vec<bool> = power.iter().map(|status| status.success).collect();
        if power.iter().any(|status| status.state != 1) {
            return false;
        }
        if told == self.statuses {
            return true;
        }
        told.dedup();
        self.statuses == [true] && told == self.statuses
    }

    /// Whether a request has had no answer for too long.
    fn is_stuck(&self, host: &Host, now: std::time::Instant) -> bool {
        self.asked.iter().any(|(id, _)| {
            let exchange = host.exchange_of(*id).unwrap();
            let age = exchange.offered.map(|at| now.saturating_duration_since(at));
            exchange.reply.is_none() && !exchange.lost && age.is_some_and(|age| age > PATIENCE)
        })
    }

    /// Asks again for what got lost or was answered with an error; whether anything has no answer yet.
    fn ask_again(&mut self, host: &mut Host, now: std::time::Instant) -> bool {
        let mut waiting = false;
        for (id, wish) in &mut self.asked {
            let exchange = host.exchange_of(*id).unwrap();
            let again = exchange.lost || is_error(exchange.reply.as_deref());
            waiting |= again || exchange.reply.is_none();
            if again {
                *id = host.ask(*wish, now);
            }
        }
        waiting
    }
}

fn greeting(host: &Host) -> impl Iterator<Item = &vmx::Exchange> {
    let exchanges = host.exchanges().iter();
    exchanges.filter(|exchange| exchange.origin == vmx::Origin::Greeting)
}

fn is_error(reply: Option<&[u8]>) -> bool {
    reply.is_some_and(|reply| !reply.starts_with(b"OK "))
}

/// What is not yet as it should be.
fn not_right(host: &Host, now: std::time::Instant) -> Vec<String> {
    let seen = host.vcenter(now);
    let mut wrong = Vec::new();
    let mut expect = |right: bool, what: &dyn Fn() -> String| {
        if !right {
            wrong.push(what());
        }
    };
    expect(seen.is_green(), &|| {
        format!("heartbeat {:?}", seen.heartbeat)
    });
    expect(seen.tools_running == ToolsRunning::Running, &|| {
        format!("tools {:?}", seen.tools_running)
    });
    // An older channel, whose CLOSE got lost, may still have its greeting.
    let last = greeting(host).last();
    expect(last.is_some_and(|last| last.reply.is_some()), &|| {
        "the greeting goes on".into()
    });
    expect(seen.host_name.as_deref() == Some(node::HOST_NAME), &|| {
        format!("host name {:?}", seen.host_name)
    });
    expect(seen.addresses() == [node::ADDRESS], &|| {
        format!("addresses {:?}", seen.addresses())
    });
    expect(seen.macs() == ["00:50:56:01:02:03"], &|| {
        format!("MACs {:?}", seen.macs())
    });
    expect(
        seen.guest_full_name.as_deref() == Some("Linux 6.18.1-talos Talos (v1.13.0)"),
        &|| format!("OS {:?}", seen.guest_full_name),
    );
    expect(seen.guest_id.as_deref() == Some("other6xlinux-64"), &|| {
        format!("OS id {:?}", seen.guest_id)
    });
    expect(
        seen.uptime_centis.is_some_and(|uptime| uptime >= 2000),
        &|| format!("uptime {:?}", seen.uptime_centis),
    );
    expect(seen.tools_version == 0x7fff_ffff, &|| {
        format!("version {}", seen.tools_version)
    });
    for capability in ["statechange", "softpowerop_retry", "vmx.unified_loop"] {
        expect(seen.capabilities.contains_key(capability), &|| {
            format!("no capability {capability}")
        });
    }
    let variables = [
        ("ip", node::ADDRESS),
        (
            "vmtools.description",
            concat!("talos-vmtoolsd ", env!("CARGO_PKG_VERSION")),
        ),
        ("vmtools.versionString", env!("CARGO_PKG_VERSION")),
    ];
    for (key, value) in variables {
        let found = host.variable(key);
        expect(found.as_deref() == Some(value), &|| {
            format!("guestinfo.{key} {found:?}")
        });
    }
    wrong
}

/// What must never have been told, not even for a moment.
fn nonsense(host: &Host) -> Vec<String> {
    let commands = host.rpci_log().iter();
    commands
        .filter(|entry| match &entry.command {
            Ok(Command::GuestInfo(GuestInfo::Nics(_, list))) => {
                list.nics.iter().all(|nic| nic.ips.is_empty())
            }
            Ok(Command::GuestInfo(GuestInfo::HostName(name))) => name != node::HOST_NAME,
            Ok(Command::InfoSet { key, value }) if key == "ip" => {
                let told: [&[u8]; 2] = [node::FIRST_ADDRESS.as_bytes(), node::ADDRESS.as_bytes()];
                !told.contains(&&value[..])
            }
            _ => false,
        })
        .map(|entry| format!("told {:?}", entry.message.escape_ascii().to_string()))
        .collect()
}
