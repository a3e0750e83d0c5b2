//! Who presses the buttons at the host, and looks until all is over.

use std::time::Duration;

use tokio::time::Instant;
use vmx::{Exchange, ExchangeId, Host, Protocol};

use super::node::{ControlPlane, Of};
use super::{BUDGET, CLOSE, Disturbance, HOLD, Plot, STATUS_LASTS, Session, judge, record};
use crate::report::Outcome;
use crate::session::{greet_again, is_error};

/// How often it looks.
const LOOK: Duration = Duration::from_millis(20);
/// How often it looks while it waits for the end.
const SELDOM: Duration = Duration::from_millis(500);
/// How long nothing may happen before all is over.
const QUIET: Duration = Duration::from_secs(4);
/// The same where channels got lost: a session that was short has to prove itself.
const QUIET_AFTER_LOSS: Duration = Duration::from_secs(12);
/// How long the host may hear nothing.
const SILENCE: Duration = Duration::from_millis(1500);
/// How long after it is back a lost host may hear nothing.
const RETURN: Duration = Duration::from_secs(2);
/// When a session is over that still drains: longer than hold, budget, retries and the last call take.
const OVER: Duration = Duration::from_secs(HOLD.as_secs() + BUDGET.as_secs() + 50);

/// See the module.
pub(super) struct Operator {
    session: Session,
    start: Instant,
    pub(super) next_look: Instant,
    pressed: Option<(Instant, ExchangeId)>,
    /// Accesses that had been made by then, for who chooses where faults are.
    pub(super) first_access: Option<usize>,
    disturbance: Option<(Duration, Disturbance)>,
    /// When the host is there again.
    back: Option<Instant>,
    spoiled: usize,
    /// Since when nothing more is to come.
    quiet: Option<Instant>,
}

/// What the session around has to do.
#[derive(Debug)]
pub(super) enum Wanted {
    Nothing,
    /// The agent is stopped.
    Stop,
    Over,
}

impl Operator {
    pub(super) fn new(session: Session) -> Self {
        let start = Instant::now();
        Self {
            session,
            start,
            next_look: start + LOOK,
            pressed: None,
            first_access: None,
            disturbance: session.host,
            back: None,
            spoiled: 0,
            quiet: None,
        }
    }

    /// What is wrong with the node.
    pub(super) const fn fault_of_node(&self) -> Option<Of> {
        self.session.node
    }

    /// One look.
    pub(super) fn look(&mut self, host: &mut Host, node: &ControlPlane) -> Wanted {
        let now = Instant::now();
        self.next_look = now + LOOK;
        greet_again(host, &mut self.spoiled, now.into_std());
        if self.back.take_if(|back| now >= *back).is_some() {
            host.dead_port(false, now.into_std());
        }
        let Some((pressed, id)) = self.pressed else {
            let view = host.vcenter(now.into_std());
            if view.is_green() && host.greeting_done() && view.host_name.is_some() {
                self.first_access = Some(crate::backdoor::accesses());
                self.pressed = Some((now, host.ask(self.session.plot.request(), now.into_std())));
            }
            return Wanted::Nothing;
        };
        self.ask_again(host, id, now);
        let due = self.disturbance.map(|(after, _)| pressed + after);
        if due.is_some_and(|due| now >= due) {
            let (_, disturbance) = self.disturbance.take().unwrap();
            return self.disturb(host, disturbance, now);
        }
        // Nothing is missed in between.
        let soon = [due, self.back, Some(now + SELDOM)];
        if now > pressed + Duration::from_secs(5) {
            self.next_look = soon.into_iter().flatten().min().unwrap().max(now + LOOK);
        }
        let is_quiet = due.is_none()
            && self.back.is_none()
            && node.0.borrow().is_quiet()
            && host.vcenter(now.into_std()).is_green()
            && record::is_at_end(host, &node.0.borrow(), self.session.plot);
        if !is_quiet {
            self.quiet = None;
        }
        let quiet = *self.quiet.get_or_insert(now);
        let long = match self.is_whole() {
            true => QUIET,
            false => QUIET_AFTER_LOSS,
        };
        if now > pressed + OVER || (is_quiet && now > quiet + long) {
            return Wanted::Over;
        }
        Wanted::Nothing
    }

    fn disturb(&mut self, host: &mut Host, disturbance: Disturbance, now: Instant) -> Wanted {
        let std_now = now.into_std();
        match disturbance {
            Disturbance::Ask(request) => {
                host.ask(request, std_now);
            }
            Disturbance::Stop => return Wanted::Stop,
            Disturbance::CloseTclo => host.close_channels(Some(Protocol::Tclo), std_now),
            Disturbance::CloseRpci => host.close_channels(Some(Protocol::Rpci), std_now),
            Disturbance::Moved => host.resume_elsewhere(std_now),
            Disturbance::Lost(after) => {
                self.back = Some(now + after);
                host.dead_port(true, std_now);
            }
        }
        Wanted::Nothing
    }

    /// Asks again for what got lost on a channel, or was spoiled on its way.
    fn ask_again(&mut self, host: &mut Host, id: ExchangeId, now: Instant) {
        let exchange = host.exchange_of(id).unwrap();
        if exchange.lost || is_error(exchange.reply.as_deref()) {
            let id = host.ask(self.session.plot.request(), now.into_std());
            self.pressed = self.pressed.map(|(pressed, _)| (pressed, id));
        }
    }

    /// Whether the way to the host is there all the time.
    fn is_whole(&self) -> bool {
        let is_whole = match self.session.host {
            None | Some((_, Disturbance::Ask(_) | Disturbance::Stop)) => true,
            Some((
                _,
                Disturbance::CloseTclo
                | Disturbance::CloseRpci
                | Disturbance::Moved
                | Disturbance::Lost(_),
            )) => false,
        };
        is_whole && self.session.access.is_none()
    }

    /// What is wrong.
    pub(super) fn judge(
        &mut self,
        host: &Host,
        node: &ControlPlane,
        stopped: Option<Instant>,
    ) -> Outcome {
        let now = Instant::now();
        let silence = host.longest_silence(now.into_std());
        let lost = match self.session.host {
            Some((_, Disturbance::Lost(long))) => Some(long),
            _ => None,
        };
        let mut wrong = judge::judge(&judge::Seen {
            plot: self.session.plot,
            host,
            node: &node.0.borrow(),
            is_whole: self.is_whole(),
            may_lose: lost.is_some_and(|long| long > STATUS_LASTS),
            stopped,
        });
        match stopped {
            Some(stopped) if now > stopped + CLOSE => {
                wrong.push(format!("an end of {:?}", now - stopped));
            }
            Some(_) => {}
            None => {
                if silence > lost.map_or(SILENCE, |long| long + RETURN) {
                    wrong.push(format!("silent for {silence:?}"));
                }
                if !host.vcenter(now.into_std()).is_green() {
                    wrong.push("no heartbeat".to_owned());
                }
            }
        }
        Outcome {
            wrong,
            silence,
            took: self.start.elapsed(),
        }
    }
}

/// When the guest had this request of the host, if it is one for this operation.
pub(super) fn press_of(exchange: &Exchange, request: &str) -> Option<Instant> {
    let is_press = exchange.request.starts_with(request.as_bytes());
    is_press
        .then_some(exchange.picked_up)
        .flatten()
        .map(Instant::from_std)
}

/// Whether this plot asks for a Shutdown.
pub(super) const fn is_shutdown(plot: Plot) -> bool {
    !matches!(plot, Plot::Reboot)
}
