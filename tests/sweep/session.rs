//! The standard session: a Talos that is told what to do, and an administrator who asks for all that there is.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use talos_vmtoolsd::daemon::core::{News, Node};
use talos_vmtoolsd::facts::{Facts, KernelPart, Load, Reading};
use talos_vmtoolsd::front_end::{Measured, Subject};
use talos_vmtoolsd::inquiry::{InquiryId, Step};
use talos_vmtoolsd::interruption::{Call, CallId};
use talos_vmtoolsd::power::{Heard, PowerOperation, PowerOutcome};
use talos_vmtoolsd::vmware::link::LinkSettings;
use talos_vmtoolsd::vmware::transport::backdoor::RegisterAccess;
use talos_vmtoolsd::vmware::transport::vsock::Dial;
use tokio::time::Instant;
use vmx::codec::guest_info::GuestInfo;
use vmx::codec::rpci::Command;
use vmx::{ExchangeId, Host, ToolsRunning};

use crate::daemon::{self, at};
use crate::node;
use crate::report::Outcome;

/// The host, shared by all that touch it within one thread.
pub(crate) type SharedHost = Rc<RefCell<Host>>;

/// When a session without an end is given up.
const GIVE_UP: Duration = Duration::from_secs(60);
/// How long the host waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the administrator looks.
const LOOK: Duration = Duration::from_millis(100);

/// What Talos does in a session.
#[derive(Clone, Debug)]
pub(crate) struct TalosScript {
    /// News, each at its time after the start.
    pub(crate) news: Vec<(Duration, Scripted)>,
    /// What becomes of a power operation, each some time after the call; the last for all further calls.
    pub(crate) power: Vec<(Duration, PowerOutcome)>,
    /// News to come after all other news.
    pub(crate) late_news: Vec<(Duration, Scripted)>,
    /// What the administrator asks besides the standard session.
    pub(crate) wishes: Vec<(Duration, &'static str)>,
    /// The truth about each OS_Halt.
    pub(crate) statuses: Vec<bool>,
    /// How often Talos may and must be asked.
    pub(crate) calls: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Scripted {
    Facts(Box<Facts>),
    /// Of the last power call.
    Power(PowerOutcome),
}

impl Default for TalosScript {
    /// A healthy Talos: the node is known after 0.3 s, its address changes after 1 s.
    fn default() -> Self {
        let facts = |address| Scripted::Facts(Box::new(node::with_address(address)));
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
pub(crate) async fn play<A, V>(
    host: &SharedHost,
    settings: LinkSettings<A>,
    dialer: &V,
    talos: TalosScript,
    bounds: Bounds,
) -> Outcome
where
    A: RegisterAccess + Copy + 'static,
    V: Dial + Clone + 'static,
{
    let start = Instant::now();
    let administrator = Administrator::new(start, &talos, bounds);
    let talos = ScriptedTalos::new(start, talos);
    daemon::play(host, settings, dialer, talos, administrator).await
}

/// A Talos that does as it is told.
pub(crate) struct ScriptedTalos {
    start: Instant,
    facts: Facts,
    script: TalosScript,
    calls: Vec<Call>,
    outcomes: VecDeque<(Instant, CallId, PowerOutcome)>,
    /// Measurements without an outcome.
    measured: usize,
}

impl ScriptedTalos {
    /// Whether it was asked for so many shutdowns, and for nothing else.
    fn are_shutdowns(&self, calls: usize) -> bool {
        let is_shutdown = |call: &Call| call.operation == PowerOperation::Shutdown;
        self.calls.len() == calls && self.calls.iter().all(is_shutdown)
    }

    /// One that has said nothing yet.
    pub(crate) fn new(start: Instant, script: TalosScript) -> Self {
        Self {
            start,
            facts: Facts::default(),
            script,
            calls: Vec::new(),
            outcomes: VecDeque::new(),
            measured: 0,
        }
    }
}

impl Node for ScriptedTalos {
    fn inquire(&mut self, _: InquiryId, _: Step) {}

    fn look_at_etcd(&mut self) {}

    fn hand_over(&mut self) {}

    fn look_for_life(&mut self) {}

    fn freezer(&mut self, _: &talos_vmtoolsd::freeze::Command) {}

    async fn next(&mut self) -> News {
        loop {
            if self.measured > 0 {
                self.measured -= 1;
                return News::Measured(Subject::Space, Measured::Done);
            }
            let outcome = self.outcomes.front().map(|(due, ..)| *due);
            let news = self.script.news.first().map(|(due, _)| self.start + *due);
            tokio::select! {
                biased;
                () = at(outcome) => {
                    if let Some((_, call, outcome)) = self.outcomes.pop_front() {
                        return News::Heard(call, Heard::Outcome(outcome));
                    }
                }
                () = at(news) => {
                    let (_, news) = self.script.news.remove(0);
                    match (news, self.calls.last()) {
                        (Scripted::Facts(facts), _) => {
                            self.facts = *facts;
                            return News::Facts;
                        }
                        (Scripted::Power(outcome), Some(call)) => {
                            return News::Heard(call.id, Heard::Outcome(outcome));
                        }
                        (Scripted::Power(_), None) => {}
                    }
                }
            }
        }
    }

    fn power(&mut self, call: Call) {
        let at = self.calls.len().min(self.script.power.len() - 1);
        let (delay, outcome) = self.script.power[at].clone();
        self.calls.push(call);
        self.outcomes
            .push_back((Instant::now() + delay, call.id, outcome));
    }

    fn measure(&mut self, _: Subject) {
        self.measured += 1;
    }

    fn facts(&mut self) -> impl std::ops::Deref<Target = Facts> {
        &self.facts
    }

    fn read(&mut self, _: KernelPart) -> Reading {
        Reading::Load(Load::default())
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
    bounds: Bounds,
}

impl Administrator {
    fn new(start: Instant, talos: &TalosScript, bounds: Bounds) -> Self {
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
            bounds,
        }
    }
}

impl daemon::Administrator<ScriptedTalos> for Administrator {
    fn next_look(&self) -> Instant {
        self.next_look
    }

    fn look(&mut self, host: &mut Host, talos: &ScriptedTalos) -> Option<Outcome> {
        let bounds = self.bounds;
        let news_to_come = !talos.script.news.is_empty();
        self.next_look += LOOK;
        let took = self.start.elapsed();
        let now = Instant::now().into_std();
        if let Some((_, wish)) = self.wishes.pop_front_if(|(due, _)| *due <= took) {
            self.asked.push((host.ask(wish, now), wish));
        }
        greet_again(host, &mut self.spoiled, now);
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
        if !talos.are_shutdowns(self.calls) {
            wrong.push(format!("Talos was asked {:?}", talos.calls));
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
}

impl Administrator {
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

/// A request of the greeting that reached the guest spoiled was answered with an error: a host in that
/// state starts afresh.
pub(crate) fn greet_again(host: &mut Host, spoiled: &mut usize, now: std::time::Instant) {
    let errors = greeting(host)
        .filter(|exchange| is_error(exchange.reply.as_deref()))
        .count();
    if errors > *spoiled {
        *spoiled = errors;
        host.close_channels(Some(vmx::Protocol::Tclo), now);
    }
}

fn greeting(host: &Host) -> impl Iterator<Item = &vmx::Exchange> {
    let exchanges = host.exchanges().iter();
    exchanges.filter(|exchange| exchange.origin == vmx::Origin::Greeting)
}

pub(crate) fn is_error(reply: Option<&[u8]>) -> bool {
    reply.is_some_and(|reply| !reply.starts_with(b"OK "))
}

/// What is not yet as it should be.
pub(crate) fn not_right(host: &Host, now: std::time::Instant) -> Vec<String> {
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
pub(crate) fn nonsense(host: &Host) -> Vec<String> {
    let commands = host.rpci_log().iter();
    let addresses = [node::FIRST_ADDRESS, node::ADDRESS];
    commands
        .filter(|entry| match &entry.command {
            Ok(Command::GuestInfo(GuestInfo::Nics(_, list))) => {
                let mut ips = list.nics.iter().flat_map(|nic| &nic.ips).peekable();
                ips.peek().is_none() || ips.any(|ip| !addresses.contains(&&*ip.address.to_string()))
            }
            Ok(Command::GuestInfo(GuestInfo::HostName(name))) => name != node::HOST_NAME,
            Ok(Command::GuestInfo(GuestInfo::Uptime(centis))) => *centis == 0,
            Ok(Command::InfoSet { key, value }) if key == "ip" => {
                !addresses.iter().any(|told| told.as_bytes() == value)
            }
            // What Talos refuses is in Talos' words.
            Ok(Command::InfoSet { key, .. }) if key == "vmtools.talos.power" => false,
            _ => entry
                .message
                .to_ascii_lowercase()
                .windows(7)
                .any(|word| word == b"unknown"),
        })
        .map(|entry| format!("told {:?}", entry.message.escape_ascii().to_string()))
        .collect()
}
