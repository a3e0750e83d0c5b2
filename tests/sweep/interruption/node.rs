//! A control plane whose Talos drains and whose etcd misses a member, each answer with a fault if a case wants it.

use std::cell::RefCell;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use talos_vmtoolsd::daemon::core::{News, Node};
use talos_vmtoolsd::facts::{Etcd, EtcdLook, Facts, KernelPart, Load, MachineType, Reading, Stage};
use talos_vmtoolsd::front_end::{Measured, Subject};
use talos_vmtoolsd::inquiry::{InquiryId, Step};
use talos_vmtoolsd::interruption::{Call, CallId};
use talos_vmtoolsd::power::{HandOver, Heard, PowerOperation, PowerOutcome};
use tokio::time::Instant;

use super::Plot;
use crate::daemon::at;
use crate::node;

/// How long Talos takes for an answer.
const TALOS: Duration = Duration::from_millis(80);
/// From the acceptance until the stage shows what goes on, and until the drain begins.
const STAGE: Duration = Duration::from_millis(70);
const DRAIN_BEGINS: Duration = Duration::from_millis(120);
/// How long after a second call is received the first is canceled: before the second is accepted.
const CANCELED: Duration = Duration::from_millis(50);
/// Between one message and its copy.
const COPY: Duration = Duration::from_millis(300);

/// An answer or a message of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The first look at etcd.
    Look,
    /// A look while the operation is held.
    LookAgain,
    HandedOver,
    /// Talos accepts the first call.
    Accepted,
    Draining,
    Drained,
    /// The second call has taken the place of the first.
    Canceled,
    /// Talos accepts the second call.
    AcceptedAgain,
}

pub(super) const MESSAGES: [Message; 8] = [
    Message::Look,
    Message::LookAgain,
    Message::HandedOver,
    Message::Accepted,
    Message::Draining,
    Message::Drained,
    Message::Canceled,
    Message::AcceptedAgain,
];

/// What is wrong with it. Of a call, no acceptance by its deadline is a refusal then: that much a node promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It never comes.
    Missing,
    Late(Duration),
    /// Talos refuses, fails, or does not know.
    Refused,
    /// The news of this call end instead.
    Unfollowed,
    Twice,
    /// It comes behind the next one.
    OutOfOrder,
}

/// A fault, of the first such message or of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) message: Message,
    pub(super) fault: Fault,
    pub(super) always: bool,
}

/// What is to come.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are a few at a time")]
enum Piece {
    News(News),
    Stage(Stage),
}

/// What is shared with who judges, and outlives the agent.
#[derive(Debug)]
pub(super) struct State {
    plot: Plot,
    fault: Option<Of>,
    facts: Facts,
    queue: Vec<(Instant, Piece)>,
    /// News that come behind the next.
    behind: Vec<News>,
    forgotten: Vec<CallId>,
    looks: usize,
    /// When etcd is whole.
    whole_at: Option<Instant>,
    /// The Shutdown that drains.
    drains: Option<CallId>,
    /// Each call of Talos.
    pub(super) calls: Vec<(Instant, Call)>,
    /// What the agent has heard of them.
    pub(super) heard: Vec<(Instant, CallId, Heard)>,
    /// When the agent has heard that the quorum hangs on this node.
    pub(super) at_stake: Vec<Instant>,
}

/// The node as the agent sees it.
#[derive(Clone, Debug)]
pub(super) struct ControlPlane(pub(super) Rc<RefCell<State>>);

impl ControlPlane {
    pub(super) fn new(plot: Plot, fault: Option<Of>) -> Self {
        let known = Instant::now() + Duration::from_millis(300);
        Self(Rc::new(RefCell::new(State {
            plot,
            fault,
            facts: Facts::default(),
            queue: vec![(known, Piece::Stage(Stage::Running))],
            behind: Vec::new(),
            forgotten: Vec::new(),
            looks: 0,
            whole_at: None,
            drains: None,
            calls: Vec::new(),
            heard: Vec::new(),
            at_stake: Vec::new(),
        })))
    }
}

impl State {
    /// Whether nothing more is to come by itself.
    pub(super) fn is_quiet(&self) -> bool {
        self.queue.is_empty()
    }

    /// The fault of this message.
    fn fault(&mut self, message: Message) -> Option<Fault> {
        let of = self.fault.filter(|of| of.message == message)?;
        if !of.always {
            self.fault = None;
        }
        Some(of.fault)
    }

    fn plan(&mut self, after: Duration, piece: Piece) {
        self.queue.push((Instant::now() + after, piece));
    }

    /// Plans news as a fault leaves them; `failed` is what comes of a refusal.
    fn send(&mut self, fault: Option<Fault>, after: Duration, news: News, failed: News) {
        match fault {
            Some(Fault::Missing) => {}
            Some(Fault::Late(by)) => self.plan(after + by, Piece::News(news)),
            Some(Fault::Refused | Fault::Unfollowed) => self.plan(after, Piece::News(failed)),
            Some(Fault::Twice) => {
                self.plan(after, Piece::News(news.clone()));
                self.plan(after + COPY, Piece::News(news));
            }
            Some(Fault::OutOfOrder) => self.behind.push(news),
            None => self.plan(after, Piece::News(news)),
        }
    }

    /// Plans what is heard of the drain of a call; a failure of it ends the whole operation.
    fn send_of_drain(&mut self, message: Message, after: Duration, call: CallId, heard: Heard) {
        let fault = self.fault(message);
        let failed = match fault {
            Some(Fault::Refused) if message != Message::Canceled => {
                self.plan(after, Piece::Stage(Stage::Running));
                PowerOutcome::DidNotHappen("failed".to_owned())
            }
            _ => PowerOutcome::NotFollowed,
        };
        let news = News::Heard(call, heard);
        let failed = News::Heard(call, Heard::Outcome(failed));
        self.send(fault, after, news, failed);
    }

    /// Nothing of what this call would have led to from then on comes.
    fn cancel(&mut self, call: CallId, from: Instant) {
        self.queue.retain(|(due, piece)| {
            *due < from || !matches!(piece, Piece::News(News::Heard(id, _)) if *id == call)
        });
    }

    /// What becomes of an accepted call, which is accepted after so long.
    fn carry_out(&mut self, call: Call, after: Duration) {
        if call.operation == PowerOperation::Reboot {
            return self.plan(after + STAGE, Piece::Stage(Stage::Rebooting));
        }
        self.plan(after + STAGE, Piece::Stage(Stage::ShuttingDown));
        if call.takes_over
            && let Some(first) = self.drains.take()
        {
            let before = after.saturating_sub(TALOS.saturating_sub(CANCELED));
            self.cancel(first, Instant::now() + before);
            let canceled = Heard::Outcome(PowerOutcome::DidNotHappen("canceled".to_owned()));
            self.send_of_drain(Message::Canceled, before, first, canceled);
        }
        if call.is_forced {
            return;
        }
        self.drains = Some(call.id);
        let begins = after + DRAIN_BEGINS;
        self.send_of_drain(Message::Draining, begins, call.id, Heard::Draining);
        if let Some(takes) = self.plot.drain() {
            self.send_of_drain(Message::Drained, begins + takes, call.id, Heard::Drained);
        }
    }

    /// What is due, as the agent hears it; `None` if it hears nothing.
    fn happens(&mut self, piece: Piece) -> Option<News> {
        let now = Instant::now();
        let behind = std::mem::take(&mut self.behind).into_iter();
        self.queue
            .extend(behind.map(|news| (now, Piece::News(news))));
        let news = match piece {
            Piece::Stage(stage) => {
                self.facts = node::with_address(node::ADDRESS);
                self.facts.stage = Some(stage);
                self.facts.node.machine_type = Some(MachineType::ControlPlane);
                return Some(News::Facts);
            }
            Piece::News(news) => news,
        };
        match &news {
            News::Heard(call, _) if self.forgotten.contains(call) => return None,
            News::Heard(call, heard) => {
                // After how it ended nothing is heard of a call.
                if self.end_of(*call).is_some() {
                    return None;
                }
                self.heard.push((now, *call, heard.clone()));
            }
            News::Etcd(look) if look.members.is_some_and(|etcd| !etcd.can_spare_one()) => {
                self.at_stake.push(now);
            }
            _ => {}
        }
        Some(news)
    }
}

impl Node for ControlPlane {
    async fn next(&mut self) -> News {
        loop {
            let due = {
                let state = self.0.borrow();
                state.queue.iter().map(|(due, _)| *due).min()
            };
            at(due).await;
            let mut state = self.0.borrow_mut();
            let Some(place) = state.queue.iter().position(|(time, _)| Some(*time) == due) else {
                continue;
            };
            let (_, piece) = state.queue.remove(place);
            if let Some(news) = state.happens(piece) {
                return news;
            }
        }
    }

    fn facts(&mut self) -> impl Deref<Target = Facts> {
        Box::new(self.0.borrow().facts.clone())
    }

    fn power(&mut self, call: Call) {
        let mut state = self.0.borrow_mut();
        state.calls.push((Instant::now(), call));
        let is_locked = matches!(
            (state.facts.stage, call.operation),
            (Some(Stage::ShuttingDown), PowerOperation::Reboot)
                | (Some(Stage::Rebooting), PowerOperation::Shutdown)
        );
        let message = match call.takes_over {
            true => Message::AcceptedAgain,
            false => Message::Accepted,
        };
        let fault = state.fault(message);
        // Beyond the deadline it gives up, and nothing comes of the call.
        let (after, is_accepted, fault) = match fault {
            Some(Fault::Missing) => (call.deadline, false, None),
            Some(Fault::Late(by)) if by >= call.deadline => (call.deadline, false, None),
            Some(Fault::Late(by)) => (TALOS + by, !is_locked, None),
            Some(Fault::Refused | Fault::Unfollowed) => (TALOS, false, None),
            other => (TALOS, !is_locked, other),
        };
        let outcome = match is_accepted {
            true => PowerOutcome::Accepted,
            false => PowerOutcome::Rejected("locked".to_owned()),
        };
        let news = News::Heard(call.id, Heard::Outcome(outcome));
        state.send(fault, after, news.clone(), news);
        if is_accepted {
            state.carry_out(call, after);
        }
    }

    fn forget(&mut self, call: CallId) {
        self.0.borrow_mut().forgotten.push(call);
    }

    fn measure(&mut self, subject: Subject) {
        let news = News::Measured(subject, Measured::Done);
        self.0.borrow_mut().plan(TALOS, Piece::News(news));
    }

    fn look_at_etcd(&mut self) {
        let mut state = self.0.borrow_mut();
        let now = Instant::now();
        state.looks += 1;
        let message = match state.looks {
            1 => Message::Look,
            _ => Message::LookAgain,
        };
        if state.whole_at.is_none() {
            state.whole_at = state.plot.etcd_is_whole_after().map(|after| now + after);
        }
        let live = match state.whole_at {
            Some(whole_at) if whole_at <= now => 3,
            _ => 2,
        };
        let look = EtcdLook {
            members: Some(Etcd { voters: 3, live }),
            ..EtcdLook::default()
        };
        let fault = state.fault(message);
        let unknown = News::Etcd(EtcdLook::default());
        state.send(fault, TALOS, News::Etcd(look), unknown);
    }

    fn hand_over(&mut self) {
        let mut state = self.0.borrow_mut();
        let fault = state.fault(Message::HandedOver);
        let moved = News::HandedOver(HandOver::Moved("cp2".to_owned()));
        let failed = News::HandedOver(HandOver::Failed("unavailable".to_owned()));
        state.send(fault, TALOS, moved, failed);
    }

    fn look_for_life(&mut self) {}

    fn freezer(&mut self, _: &talos_vmtoolsd::freeze::Command) {}

    fn inquire(&mut self, _: InquiryId, _: Step) {}

    fn read(&mut self, _: KernelPart) -> Reading {
        Reading::Load(Load::default())
    }
}
