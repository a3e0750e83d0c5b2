//! Who uses the host, and looks whether it is told what is true.

use std::sync::OnceLock;
use std::time::Duration;

use apid::Apid;
use serde_json::Value;
use tokio::time::Instant;
use vmx::{ExchangeId, Host, Origin};

use super::Session;
use talos_vmtoolsd::daemon::bridge::Bridge;

use super::bridged::change_address;
use crate::daemon;
use crate::report::Outcome;
use crate::session;

/// How long the host waits for a reply, and how long it hears nothing: it is polled for ten times a second.
const SERVED: Duration = Duration::from_millis(300);
/// How long the client follows what came of an accepted power operation that shows no sign of life.
const FOLLOWED: Duration = Duration::from_secs(80);
/// When a session without an end is given up.
const GIVE_UP: Duration = Duration::from_secs(2200);

/// Asks for what the session consists of, and looks whether all is right.
pub(super) struct Administrator {
    api: Apid,
    session: Session,
    start: Instant,
    next_look: Instant,
    /// What is still to happen, each at its time after [`Session::begin`].
    wishes: Vec<(Duration, Wish)>,
    asked: Vec<ExchangeId>,
    /// How long nothing must come of an accepted power operation.
    follow: Duration,
    /// Statuses of the power operation that have been seen.
    statuses: usize,
    successes: usize,
    /// Whether the operation has been asked for although it was accepted.
    asked_again: bool,
    /// When Talos was first told to have accepted.
    accepted: Option<Instant>,
    /// When all was right for the first time since it was not.
    right: Option<Duration>,
    /// What was not right at the last look, and how much had happened until then.
    last: (Vec<String>, [usize; 3]),
    wrong: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Wish {
    ChangeAddress,
    Ask(&'static str),
}

impl Administrator {
    pub(super) fn new(api: Apid, session: Session, follow: bool) -> Self {
        let ms = Duration::from_millis;
        Self {
            api,
            session,
            start: Instant::now(),
            next_look: Instant::now() + ms(100),
            wishes: vec![
                (ms(0), Wish::ChangeAddress),
                (ms(300), Wish::Ask("Set_Option broadcastIP 1")),
                (ms(500), Wish::Ask("reset")),
                (ms(600), Wish::Ask("Capabilities_Register")),
                (ms(1000), Wish::Ask(session.power)),
            ],
            asked: Vec::new(),
            follow: if follow { FOLLOWED } else { Duration::ZERO },
            statuses: 0,
            successes: 0,
            asked_again: false,
            accepted: None,
            right: None,
            last: (Vec::new(), [0; 3]),
            wrong: Vec::new(),
        }
    }

    fn ask(&mut self, host: &mut Host, wish: &'static str) {
        self.asked.push(host.ask(wish, Instant::now().into_std()));
    }

    /// Compares each status that the host is told with what has happened; asks again after a refusal.
    fn judge_statuses(&mut self, host: &mut Host) {
        let power = host.vcenter(Instant::now().into_std()).power;
        let begun = self.api.sequences();
        let (state, name) = match self.session.power {
            "OS_Halt" => (1, "shutdown"),
            _ => (2, "reboot"),
        };
        for status in &power[self.statuses..] {
            if status.state != state {
                self.wrong.push(format!("told {status:?}"));
            }
            let truth = if status.success { &[name][..] } else { &[] };
            if begun != truth {
                self.wrong.push(format!(
                    "told {}, but Talos began {begun:?}",
                    status.success
                ));
            }
            self.successes += usize::from(status.success);
            if status.success {
                self.accepted.get_or_insert_with(Instant::now);
            } else if self.accepted.is_some() {
                self.wrong.push("refused after it was accepted".into());
            } else {
                self.wishes
                    .push((Duration::ZERO, Wish::Ask(self.session.power)));
            }
        }
        self.statuses = power.len();
    }

    /// What is not yet as it should be.
    fn not_right(&self, host: &Host) -> Vec<String> {
        let now = Instant::now().into_std();
        let mut wrong = session::not_right(host, now);
        let seen = view(host);
        match UNDISTURBED.get() {
            Some(expected) if *expected != seen => {
                wrong.push(format!("the view differs: {}", difference(expected, &seen)));
            }
            _ => {}
        }
        if self.accepted.is_none() {
            wrong.push("the power operation has not been accepted".into());
        }
        let stage = host.variable(STAGE);
        if stage.as_deref() != Some(self.session.stage) {
            wrong.push(format!("stage {stage:?}"));
        }
        for id in &self.asked {
            let exchange = host.exchange_of(*id).unwrap();
            if session::is_error(exchange.reply.as_deref()) || exchange.reply.is_none() {
                wrong.push(format!(
                    "{:?} answered {:?}",
                    exchange.request.escape_ascii().to_string(),
                    exchange.reply_text()
                ));
            }
        }
        wrong
    }

    fn verdict(&mut self, host: &Host, mut wrong: Vec<String>) -> Outcome {
        let now = Instant::now().into_std();
        wrong.append(&mut self.wrong);
        wrong.extend(session::nonsense(host));
        wrong.extend(host.violations().iter().cloned());
        let late = host.exchanges().iter().filter(|exchange| {
            let since = exchange.offered.unwrap_or(exchange.queued);
            let until = exchange.replied.unwrap_or(now);
            until.saturating_duration_since(since) > SERVED
        });
        wrong.extend(late.map(|exchange| format!("answered late: {exchange:?}")));
        let pings = host.exchanges().iter();
        let pings = pings
            .filter(|exchange| exchange.origin == Origin::Ping)
            .count();
        let expected = self.start.elapsed().as_secs() as usize * 9 / 10;
        if pings < expected {
            wrong.push(format!("{pings} pings instead of {expected}"));
        }
        let silence = host.longest_silence(now);
        if silence > SERVED {
            wrong.push(format!("silent for {silence:?}"));
        }
        Outcome {
            wrong,
            silence,
            took: self.right.unwrap_or(self.start.elapsed()),
        }
    }
}

impl daemon::Administrator<Bridge> for Administrator {
    fn next_look(&self) -> Instant {
        self.next_look
    }

    fn look(&mut self, host: &mut Host, _: &Bridge) -> Option<Outcome> {
        let took = self.start.elapsed();
        let begun = took.checked_sub(self.session.begin);
        if let Some((due, wish)) = self.wishes.first().copied()
            && begun.is_some_and(|begun| due <= begun)
        {
            self.wishes.remove(0);
            match wish {
                Wish::ChangeAddress => change_address(&self.api),
                Wish::Ask(wish) => self.ask(host, wish),
            }
        }
        let happened = self.happened(host);
        let news = happened != self.last.1;
        if news {
            self.judge_statuses(host);
        }
        // Nothing is expected to happen for long: then a look costs more than it tells.
        let pause = if begun.is_none() || begun > Some(Duration::from_secs(10)) {
            1000
        } else {
            100
        };
        self.next_look += Duration::from_millis(pause);
        if begun.is_none() || !self.wishes.is_empty() {
            return None;
        }
        // A look is dear: it is taken when something has happened, and before an end.
        let give_up = took > GIVE_UP;
        if news || give_up {
            self.last = (self.not_right(host), happened);
        }
        if give_up {
            let wrong = std::mem::take(&mut self.last.0);
            return Some(self.verdict(host, wrong));
        }
        if !self.last.0.is_empty() {
            self.right = self.right.filter(|_| self.asked_again);
            return None;
        }
        self.right.get_or_insert(took);
        // An accepted operation is followed for a while; after that it is asked for once more, and must still be
        // the one that was accepted.
        if self.accepted?.elapsed() > self.follow && !self.asked_again {
            self.asked_again = true;
            self.ask(host, self.session.power);
        } else if self.successes > 1 {
            UNDISTURBED.get_or_init(|| view(host));
            let wrong = self.not_right(host);
            return Some(self.verdict(host, wrong));
        }
        None
    }
}

impl Administrator {
    /// Counts what the guest has told and answered.
    fn happened(&self, host: &Host) -> [usize; 3] {
        let answered = self.asked.iter().filter(|id| {
            let exchange = host.exchange_of(**id);
            exchange.is_some_and(|exchange| exchange.replied.is_some())
        });
        [host.rpci_log().len(), answered.count(), self.wishes.len()]
    }
}

/// The guest variable with the machine's stage.
const STAGE: &str = "vmtools.talos.stage";

/// What vCenter shows at the end of a session without a fault.
static UNDISTURBED: OnceLock<Value> = OnceLock::new();

/// What vCenter shows, without what changes by itself or with the session.
fn view(host: &Host) -> Value {
    let mut view = host.vcenter(Instant::now().into_std());
    for variable in [STAGE, "vmtools.talos.power"] {
        view.variables.remove(variable);
    }
    let mut value = serde_json::to_value(view).unwrap();
    let fields = value.as_object_mut().unwrap();
    for key in [
        "uptime_centis",
        "stats",
        "power",
        "log",
        "tools_running",
        "heartbeat",
    ] {
        fields.remove(key);
    }
    value
}

fn difference(expected: &Value, seen: &Value) -> String {
    let fields = expected.as_object().unwrap().iter();
    fields
        .filter(|(key, value)| seen.get(key) != Some(value))
        .map(|(key, value)| format!("{key}: {:?} instead of {value}", seen.get(key)))
        .collect()
}
