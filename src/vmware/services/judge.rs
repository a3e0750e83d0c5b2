//! Plays the daemon and the host for the property tests and the fuzzer, and checks all along what must always hold:
//! each request has one reply, and has it within four seconds, Talos is asked for one operation at a time, every request
//! for one is answered by its status, the host is sent nothing twice and nothing while it is away, no time-out stands
//! still, what is asked for guest operations keeps to the rules of [`crate::inquiry`], and quiesced snapshots to those of
//! [`super::backup_book`]: nothing is frozen at the end.
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::backup_book::BackupBook;
use super::freezer_model::FreezerModel;
use super::inventory::Inventory;
use super::vmotion_book::{self, VmotionBook};
use super::{Output, RpciId, RpciOutcome, Services, plays};
use crate::config::{Forfeit, HaConfig, InventoryConfig, VmwareConfig};
use crate::facts::{Etcd, Facts, Life, Load, Machine};
use crate::freeze::Report;
use crate::freeze::message::Cause;
use crate::front_end::{Debt, Measured, Order};
use crate::guest_operations::logins::PasswordCheck;
use crate::inquiry::{Answer, Inquiry, InquiryId, Step, WINDOW};
use crate::power::{Phase, PowerOperation, PowerOutcome, Press};
use crate::vmware::wire::app_monitor::{Command, PREFIX};
use crate::vmware::wire::text::TcloRequest;

/// What the wall clock shows all the time.
pub(super) const NOON: Duration = Duration::from_secs(1_790_000_000);

/// What may happen to the services.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// TCLO opens its channel.
    Connect,
    /// TCLO loses its channel.
    Lost,
    /// The host asks; first it waits for the reply to what it asked before.
    Request(Vec<u8>),
    /// The node changes.
    Facts(Box<Facts>),
    /// The oldest message comes to its end: taken (0 to 4), refused (5), answered with too much (6) or lost.
    Outcome(u8),
    /// Talos accepts the operation (0), rejects it (1), accepts it and does not carry it out (2), or accepts it and
    /// its outcome is unknown. Where it is asked for none, one that it has accepted does not happen.
    Power(u8),
    /// The measurement is done (0), fails (1) or takes too long.
    Measured(u8),
    /// Guest operations have other settings.
    GuestOperations(u8),
    /// One of the inquiries has an answer, see [`plays::answer`].
    Answer(u8, u8),
    /// The oldest password is checked.
    Checked,
    /// Quiescing has other settings.
    Quiesce(u8),
    /// The inventory has other settings, see [`plays::inventory`].
    Inventory(u8),
    /// The freezer does what it was ordered first (0 to 4), cannot (5), is terminated (6) or ends.
    Freezer(u8),
    /// Talos says how many members of three etcd has.
    Etcd(u8),
    /// What a vSphere host is asked for has other settings.
    Vmware(u8),
    /// Talos has handed over the leadership of etcd, or has not.
    HandedOver(u8),
    /// vSphere HA has other settings.
    Ha(u8),
    /// Talos answers (0), is silent (1), or what there is says nothing.
    Life(u8),
    /// A power operation comes further: none, a hold, an end, a refusal.
    Phase(u8),
    /// Time passes.
    Pass(Duration),
}

/// The longest that a host may wait for a reply.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// An inquiry that may still have answers.
#[derive(Debug)]
struct Asked {
    id: InquiryId,
    inquiry: Inquiry,
    /// Pieces that may be sent.
    room: usize,
}

/// See the module.
pub(super) struct Judge {
    services: Services,
    now: Duration,
    reply_owed: bool,
    /// When the last request came.
    asked_at: Duration,
    guest_operations: bool,
    asked: Vec<Asked>,
    /// Of guest operations, and of the inventory, which counts by itself.
    last_asked: [InquiryId; 2],
    checks: VecDeque<PasswordCheck>,
    /// Each with the session it was sent in.
    sent: VecDeque<(RpciId, Vec<u8>, usize)>,
    under_way: Option<PowerOperation>,
    /// What Talos has accepted and may still do.
    accepted: Vec<PowerOperation>,
    measuring: bool,
    /// Talos is asked for a sign of life.
    looking: bool,
    /// vSphere HA is asked for nothing.
    ha_is_off: bool,
    /// Last acknowledged message by command; cleared when the host forgets or asks.
    acknowledged: BTreeMap<String, Vec<u8>>,
    /// Messages of which an outcome no longer counts, because the host has forgotten since.
    stale_before: RpciId,
    /// Counts channels, resets and resumes.
    session: usize,
    /// When the channel was opened, until everything is sent.
    opened: Option<Duration>,
    statuses: Statuses,
    /// TCLO is open.
    connected: bool,
    /// The last message was lost.
    failed: bool,
    /// Neither direction reaches the host.
    away: bool,
    freezer: FreezerModel,
    backups: BackupBook,
    software: SoftwareBook,
    vmotion: VmotionBook,
    vmware: VmwareConfig,
    forfeit: Forfeit,
}

impl Judge {
    /// A process that has just started and has no host yet.
    pub(super) fn new() -> Self {
        Self {
            services: Services::new(
                Machine {
                    kernel_release: "6.18.1-talos".to_owned(),
                    kernel_version: String::new(),
                    machine: "x86_64".to_owned(),
                },
                || NOON,
            ),
            now: Duration::from_secs(5),
            reply_owed: false,
            asked_at: Duration::ZERO,
            guest_operations: false,
            asked: Vec::new(),
            last_asked: [InquiryId(0); 2],
            checks: VecDeque::new(),
            sent: VecDeque::new(),
            under_way: None,
            accepted: Vec::new(),
            measuring: false,
            looking: false,
            ha_is_off: true,
            acknowledged: BTreeMap::new(),
            stale_before: RpciId(0),
            session: 0,
            opened: None,
            statuses: Statuses::default(),
            connected: false,
            failed: false,
            away: true,
            freezer: FreezerModel::default(),
            backups: BackupBook::default(),
            software: SoftwareBook::default(),
            vmotion: VmotionBook::default(),
            vmware: VmwareConfig::default(),
            forfeit: Forfeit::default(),
        }
    }

    /// The operation that Talos has been asked for.
    pub(super) const fn under_way(&self) -> Option<PowerOperation> {
        self.under_way
    }

    /// One event, and everything that comes out.
    pub(super) fn play(&mut self, event: Event) {
        match event {
            Event::Connect => {
                self.host_forgets();
                self.new_session();
                self.opened = Some(self.now);
                self.reply_owed = false;
                self.backups.channel_lost();
                (self.connected, self.failed, self.away) = (true, false, false);
                self.software.is_unwanted = false;
                self.services.handle_connected(self.now);
                self.drop_unawaited();
            }
            Event::Lost => {
                self.reply_owed = false;
                self.away |= self.connected && self.failed;
                self.connected = false;
                self.backups.channel_lost();
                self.look_away();
                self.services.handle_lost(self.now);
            }
            Event::Request(request) => self.request(&request),
            Event::Facts(facts) => {
                let facts = plays::node(*facts);
                self.services.handle_facts(&facts, self.now);
            }
            Event::Outcome(kind) => self.outcome(kind),
            Event::Power(kind) => self.power(kind),
            Event::Measured(kind) => self.measured(kind),
            Event::GuestOperations(number) => {
                let config = plays::config(number);
                self.guest_operations = config.enabled;
                self.services.set_guest_operations(&config, self.now);
            }
            Event::Answer(which, number) => self.answer(which, number),
            Event::Checked => {
                if let Some(check) = self.checks.pop_front() {
                    self.services.handle_checked(&check.run(), self.now);
                }
            }
            Event::Quiesce(number) => {
                let config = plays::quiesce(number);
                self.services.set_quiesce(&config, self.now);
                if !self.freezer.is_gone() {
                    self.services.handle_freezer(&Report::Ready(None), self.now);
                }
            }
            Event::Inventory(number) => {
                self.software.config = plays::inventory(number);
                self.services.set_inventory(self.software.config, self.now);
            }
            Event::Freezer(kind) => self.freeze(kind),
            Event::Etcd(live) => {
                let etcd = Etcd {
                    voters: 3,
                    live: live.into(),
                };
                self.services
                    .handle_etcd((live < 4).then_some(etcd), self.now);
            }
            Event::Vmware(number) => {
                let (config, forfeit) = vmotion_book::settings(number);
                self.vmware.vmotion = config.vmotion;
                self.forfeit = forfeit;
                self.vmotion.configured(forfeit);
                self.services.set_vmware(self.vmware, forfeit, self.now);
            }
            Event::HandedOver(number) => {
                if self.vmotion.is_answered() {
                    let outcome = vmotion_book::handed_over(number);
                    self.services.handle_handed_over(&outcome, self.now);
                }
            }
            Event::Ha(number) => {
                self.vmware.ha = plays::ha(number);
                self.ha_is_off &= self.vmware.ha == HaConfig::default();
                self.services
                    .set_vmware(self.vmware, self.forfeit, self.now);
            }
            Event::Life(kind) => {
                if std::mem::take(&mut self.looking) {
                    let life = match kind {
                        0 => Life::Answers,
                        1 => Life::Silent,
                        _ => Life::Unclear("why".to_owned()),
                    };
                    self.services.handle_life(&life, self.now);
                }
            }
            Event::Phase(kind) => {
                let phase = match kind {
                    0 => Phase::Idle,
                    1 => Phase::Holding,
                    2 => Phase::Stopping,
                    _ => Phase::Refused("why".to_owned()),
                };
                self.services.handle_phase(&phase, self.now);
            }
            Event::Pass(time) => self.pass(time),
        }
        self.look();
        if self.away && !self.guest_operations && self.services.debt() == Debt::None {
            assert_eq!(self.services.poll_timeout(), None, "woken for nobody");
        }
    }

    fn freeze(&mut self, kind: u8) {
        let report = match kind {
            0..5 => self.freezer.work(None, self.now),
            5 => self.freezer.work(Some(5), self.now),
            6 => self.freezer.thaw(Cause::Terminated, self.now),
            _ => Some(self.freezer.end()),
        };
        if let Some(report) = report {
            self.report(&report);
        }
    }

    fn report(&mut self, report: &Report) {
        if let Report::Synced { .. } = report {
            self.backups.synced();
        }
        self.services.handle_freezer(report, self.now);
        self.drop_unawaited();
        self.look();
    }

    /// The host hears nothing any more once it is away.
    fn look_away(&mut self) {
        if self.away {
            self.backups.host_gone();
            self.vmotion.host_gone();
        }
    }

    fn host_forgets(&mut self) {
        self.acknowledged.clear();
        self.stale_before = RpciId(u64::MAX);
    }

    /// What the host asked before is over; what Talos was asked for goes on for a while.
    fn new_session(&mut self) {
        self.session += 1;
        self.statuses.new_session(self.now);
    }

    fn request(&mut self, request: &[u8]) {
        if !self.connected {
            self.play(Event::Connect);
        }
        self.finish_reply();
        self.reply_owed = true;
        self.asked_at = self.now;
        if let Some(TcloRequest { name, args }) = TcloRequest::parse(request) {
            match name {
                b"reset" => {
                    self.host_forgets();
                    self.new_session();
                    self.opened = None;
                }
                b"Capabilities_Register" => self.host_forgets(),
                b"Set_Option" if args.starts_with(b"broadcastIP") => self.host_forgets(),
                b"OS_Resume" => {
                    self.host_forgets();
                    self.new_session();
                }
                _ => {}
            }
            self.software.request(name, args);
            if let Some(state) = state_asked_for(name) {
                self.statuses.asked.push((state, self.now));
            }
        }
        self.backups.request(request, &self.freezer);
        self.services.handle_request(request, self.now);
        self.drop_unawaited();
    }

    /// As the daemon does: what waits goes only if someone awaits its outcome. The oldest message is on its way, unless
    /// it is a status, which the events above may have overtaken.
    fn drop_unawaited(&mut self) {
        let Self {
            services,
            sent,
            vmotion,
            ..
        } = self;
        let mut is_oldest = true;
        sent.retain(|(id, message, ..)| {
            let is_on_its_way =
                std::mem::take(&mut is_oldest) && !message.starts_with(b"tools.os.statechange");
            let stays = is_on_its_way || services.awaits(*id);
            if !stays {
                vmotion.taken_back(message);
            }
            stays
        });
    }

    /// The host takes every message until it has its reply; it asks nothing new before.
    pub(super) fn finish_reply(&mut self) {
        // Every message that is under way may be lost and sent again.
        for _ in 0..1000 + 4 * self.sent.len() {
            if !self.reply_owed {
                return;
            }
            self.play(if self.sent.is_empty() {
                Event::Pass(Duration::from_secs(3))
            } else {
                Event::Outcome(0)
            });
        }
        panic!("a reply does not come");
    }

    fn outcome(&mut self, kind: u8) {
        let Some((id, message, session)) = self.sent.pop_front() else {
            return;
        };
        let outcome = match kind {
            0..5 if message.starts_with(PREFIX.as_bytes()) => {
                let words: [&[u8]; 5] = [b"0", b"2", b"true", b"green", b"gray"];
                let word = words.get(usize::from(kind)).copied();
                RpciOutcome::Accepted(word.unwrap_or_default().to_vec())
            }
            0..5 => RpciOutcome::Accepted(Vec::new()),
            5 => RpciOutcome::Refused(b"no".to_vec()),
            6 => RpciOutcome::TooLong,
            _ => RpciOutcome::Failed,
        };
        let outcome = if vmotion_book::is_about(&message) {
            self.vmotion.outcome(&message, kind, self.now)
        } else {
            outcome
        };
        if let Some(state) = status_of(&message)
            && matches!(outcome, RpciOutcome::Accepted(_) | RpciOutcome::Refused(_))
        {
            self.statuses.taken(state, session == self.session);
        }
        self.note(id, message, &outcome);
        self.failed = outcome == RpciOutcome::Failed;
        self.away |= !self.connected && self.failed;
        self.look_away();
        self.services.handle_rpci(id, outcome, self.now);
    }

    fn power(&mut self, kind: u8) {
        let Some(operation) = self.under_way.take() else {
            // One that was accepted did not happen after all.
            if let Some(operation) = self.accepted.pop() {
                let outcome = PowerOutcome::DidNotHappen("why".to_owned());
                self.services.handle_power(operation, outcome, self.now);
            }
            return;
        };
        let why = || "why".to_owned();
        let outcome = match kind {
            0 => {
                self.accepted.push(operation);
                PowerOutcome::Accepted
            }
            1 => PowerOutcome::Rejected(why()),
            _ => {
                let accepted = PowerOutcome::Accepted;
                self.services.handle_power(operation, accepted, self.now);
                self.look();
                if kind == 2 {
                    PowerOutcome::DidNotHappen(why())
                } else {
                    PowerOutcome::NotFollowed
                }
            }
        };
        self.services.handle_power(operation, outcome, self.now);
    }

    fn measured(&mut self, kind: u8) {
        if !std::mem::take(&mut self.measuring) {
            return;
        }
        let measured = match kind {
            0 => Measured::Done,
            1 => Measured::Failed,
            _ => Measured::TimedOut,
        };
        self.services.handle_measured(measured, self.now);
    }

    fn answer(&mut self, which: u8, number: u8) {
        let Some(at) = usize::from(which).checked_rem(self.asked.len()) else {
            return;
        };
        let Some(asked) = self.asked.get_mut(at) else {
            return;
        };
        let (id, (answer, is_last)) = (asked.id, plays::answer(&asked.inquiry, number));
        if matches!(answer, Answer::Bytes(_) | Answer::Message(_)) {
            if asked.room == 0 {
                return;
            }
            asked.room -= 1;
        }
        if is_last {
            self.asked.remove(at);
        }
        self.services.handle_answer(id, answer, self.now);
    }

    /// Looks at what is asked of the node: one question an inquiry, and nothing about one that is over.
    fn look_at_inquiries(&mut self) {
        while let Some((id, step)) = self.services.poll_inquiry() {
            let open = self.asked.iter().position(|asked| asked.id == id);
            let [guest_operations, inventory] = &mut self.last_asked;
            let last_asked = match Inventory::is_its_own(id) {
                true => inventory,
                false => guest_operations,
            };
            match (step, open) {
                (Step::Ask(inquiry), _) => {
                    assert!(id > *last_asked, "asked twice");
                    *last_asked = id;
                    self.asked.push(Asked {
                        id,
                        inquiry,
                        room: WINDOW,
                    });
                    assert!(self.asked.len() <= 96 + 1, "too much is asked");
                }
                (Step::More, Some(at)) => {
                    if let Some(asked) = self.asked.get_mut(at) {
                        asked.room += 1;
                        assert!(asked.room <= WINDOW, "more room than there is");
                    }
                }
                (Step::Forget, Some(at)) => drop(self.asked.remove(at)),
                (step, None) => {
                    assert!(id <= *last_asked, "{step:?} before it was asked");
                }
                (Step::Feed(_), Some(_)) => {}
            }
        }
        while let Some(check) = self.services.poll_check() {
            self.checks.push_back(check);
            assert!(self.checks.len() <= 1, "one check at a time");
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let own = self.services.poll_timeout().filter(|at| *at <= end);
            let limit = self.freezer.limit().filter(|at| *at <= end);
            if let Some(at) = limit.filter(|limit| own.is_none_or(|own| *limit <= own)) {
                self.now = at.max(self.now);
                if let Some(report) = self.freezer.thaw(Cause::Limit, self.now) {
                    self.report(&report);
                }
                continue;
            }
            let Some(at) = own else { break };
            self.now = at.max(self.now);
            self.services.handle_timeout(self.now);
            self.drop_unawaited();
            self.look();
            let next = self.services.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "a time-out stands still"
            );
        }
        self.now = end;
        assert!(
            !self.reply_owed || end < self.asked_at + LONGEST_WAIT,
            "a reply does not come in time"
        );
    }

    /// The host has taken, or not taken, a message.
    fn note(&mut self, id: RpciId, message: Vec<u8>, outcome: &RpciOutcome) {
        let stale = id <= self.stale_before;
        // The command with its key, or with the type of guest information.
        let text = String::from_utf8_lossy(&message).into_owned();
        let words = if text.starts_with("SetGuestInfo") {
            3
        } else {
            2
        };
        let command: String = text.split(' ').take(words).collect::<Vec<_>>().join(" ");
        // Statistics are those of the moment, even when they are the same.
        let is_once = command.starts_with("tools.os")
            || command.starts_with("vmbackup.")
            || command.starts_with(PREFIX)
            || vmotion_book::is_about(&message);
        if is_once || command == "SetGuestInfo  8" || stale {
            return;
        }
        match outcome {
            RpciOutcome::Accepted(_) => {
                let before = self.acknowledged.insert(command, message.clone());
                assert_ne!(before, Some(message), "sent twice: {text}");
            }
            RpciOutcome::Refused(_) => {}
            RpciOutcome::TooLong | RpciOutcome::Failed => {
                self.acknowledged.remove(&command);
            }
        }
    }

    /// Looks at everything that comes out.
    fn look(&mut self) {
        self.look_at_inquiries();
        while let Some(output) = self.services.poll_output() {
            match output {
                Output::Reply(reply) => {
                    assert!(self.reply_owed, "a reply that nobody asked for");
                    assert!(reply.starts_with(b"OK ") || reply.starts_with(b"ERROR "));
                    self.reply_owed = false;
                    self.backups.reply(&reply, &self.freezer);
                    if reply == b"ERROR State change already in progress" {
                        self.statuses.asked.pop();
                    }
                }
                Output::Order(Order::Power(Press { is_again: true, .. })) => {}
                Output::Order(Order::Power(Press { operation, .. })) => {
                    assert_eq!(self.under_way, None, "two operations at a time");
                    assert!(
                        self.freezer.will_be_thawed(),
                        "a power operation before the thaw"
                    );
                    self.under_way = Some(operation);
                }
                Output::Order(Order::Measure(_)) => {
                    assert!(!self.measuring, "two measurements at a time");
                    self.measuring = true;
                }
                Output::Order(Order::Freezer(command)) => self.freezer.order(command),
                Output::Order(Order::LookAtEtcd | Order::FollowEtcd(_)) => {}
                Output::Order(Order::HandOver) => self.vmotion.ordered(),
                Output::Order(Order::LookForLife) => {
                    assert!(!self.looking, "two questions at a time");
                    self.looking = true;
                }
                Output::Order(Order::Read(_)) => {
                    self.services.handle_load(&Load::default(), self.now);
                }
                Output::Order(other) => panic!("{other:?} comes another way"),
                Output::Rpci { id, message, .. } => {
                    assert!(!self.away, "sent to nobody");
                    self.backups.sent(&message, &self.freezer);
                    self.vmotion.sent(&message, self.now);
                    if self.stale_before == RpciId(u64::MAX) {
                        self.stale_before = RpciId(id.0 - 1);
                    }
                    judge(&message);
                    let is_going = self.under_way.is_some() || !self.accepted.is_empty();
                    assert!(
                        !(is_going && message == Command::Enable.message()),
                        "vSphere HA is asked to count a machine that goes"
                    );
                    assert!(
                        !(self.ha_is_off && message.starts_with(PREFIX.as_bytes())),
                        "vSphere HA is off"
                    );
                    self.look_at_opening(&message);
                    self.software.sent(&message);
                    if let Some(state) = status_of(&message) {
                        self.statuses.sent(state);
                    }
                    self.sent.push_back((id, message, self.session));
                }
            }
        }
    }

    /// A channel that has just opened hears who we are and what it asks for, the rest after its reset.
    fn look_at_opening(&mut self, message: &[u8]) {
        const FIRST: [&[u8]; 9] = [
            PREFIX.as_bytes(),
            b"info-set guestinfo.vmtools.description",
            b"info-set guestinfo.vmtools.version",
            b"info-set guestinfo.vmtools.buildNumber",
            b"info-set guestinfo.ip ",
            b"SetGuestInfo  7 ",
            b"tools.",
            b"vmx.capability.unified_loop",
            b"vmbackup.eventSet ",
        ];
        let now = self.now;
        self.opened = self.opened.filter(|at| now < *at + Duration::from_secs(1));
        if self.opened.is_some() {
            let first = FIRST.iter().any(|first| message.starts_with(first))
                || vmotion_book::is_about(message);
            assert!(first, "sent twice: {}", String::from_utf8_lossy(message));
        }
    }

    /// Everything that is still open comes to its end, and the books are closed.
    pub(super) fn close(mut self) {
        if !self.connected {
            self.play(Event::Connect);
        }
        self.play(Event::Measured(0));
        if self.backups.is_open() {
            self.play(Event::Request(b"vmbackup.abort".to_vec()));
        }
        for _ in 0..10_000 + 4 * self.sent.len() {
            self.play(if self.under_way.is_some() {
                Event::Power(0)
            } else if !self.sent.is_empty() {
                Event::Outcome(0)
            } else if self.freezer.is_busy() {
                Event::Freezer(0)
            } else if self.reply_owed || self.statuses.are_missing() || self.backups.is_open() {
                Event::Pass(Duration::from_secs(3))
            } else {
                break;
            });
        }
        assert!(!self.reply_owed, "a request without a reply");
        assert!(!self.statuses.are_missing(), "a status for each request");
        assert!(!self.backups.is_open(), "a run without an end");
        assert!(!self.freezer.is_frozen(), "frozen at the end");
    }
}

/// The statuses of power operations: each request has one, unless a new session makes it untrue.
#[derive(Debug, Default)]
struct Statuses {
    /// What this session asked for, and what is still true of the sessions before; without what was answered.
    asked: Vec<(u8, Duration)>,
    /// Statuses of earlier sessions that may have been dropped: by their age nobody but the services knows it.
    maybe: Vec<u8>,
}

impl Statuses {
    fn new_session(&mut self, now: Duration) {
        let asked = std::mem::take(&mut self.asked);
        for (state, at) in asked {
            match state {
                1 | 2 if now <= at + Duration::from_secs(10) => self.asked.push((state, at)),
                1 | 2 => self.maybe.push(state),
                _ => {}
            }
        }
    }

    /// A status is on its way.
    fn sent(&self, state: u8) {
        let known = self.asked.iter().any(|(asked, _)| *asked == state);
        assert!(
            known || self.maybe.contains(&state),
            "status {state}: this session asked for nothing like it"
        );
    }

    /// The host has it.
    fn taken(&mut self, state: u8, in_its_session: bool) {
        if !in_its_session && state > 2 {
            return;
        }
        if let Some(at) = self.asked.iter().position(|(asked, _)| *asked == state) {
            self.asked.remove(at);
        } else if let Some(at) = self.maybe.iter().position(|asked| *asked == state) {
            self.maybe.remove(at);
        } else {
            panic!("status {state} once too often");
        }
    }

    fn are_missing(&self) -> bool {
        !self.asked.is_empty()
    }
}

/// The inventory of software: the host is sent what it wants and the operator allows, else nothing but blanks.
#[derive(Debug, Default)]
struct SoftwareBook {
    config: InventoryConfig,
    /// `Set_Option enableAppInfo 0`, in this session.
    is_unwanted: bool,
}

impl SoftwareBook {
    fn request(&mut self, name: &[u8], args: &[u8]) {
        match (name, args) {
            (b"reset", _) | (b"Set_Option", b"enableAppInfo 1") => self.is_unwanted = false,
            (b"Set_Option", b"enableAppInfo 0") => self.is_unwanted = true,
            _ => {}
        }
    }

    fn sent(&self, message: &[u8]) {
        for (start, is_on, counter) in [
            (
                &b"info-set guestinfo.appInfo "[..],
                self.config.apps,
                "\"updateCounter\":\"",
            ),
            (
                b"info-set guestinfo.vmtools.containerinfo ",
                self.config.containers,
                "\"updateCounter\":",
            ),
        ] {
            let Some(value) = message.strip_prefix(start) else {
                continue;
            };
            let value = value.strip_suffix(b"\0").expect("a NUL");
            if value != b" " {
                assert!(is_on && !self.is_unwanted, "a list that is not wanted");
                let text = std::str::from_utf8(value).expect("text");
                assert!(text.starts_with("{\"version\":\"1\",") && text.contains(counter));
                serde_json::from_str::<serde_json::Value>(text).expect("JSON");
            }
        }
    }
}

/// The number of the state change that a request asks for.
fn state_asked_for(name: &[u8]) -> Option<u8> {
    const NAMES: [&[u8]; 5] = [
        b"OS_Halt",
        b"OS_Reboot",
        b"OS_PowerOn",
        b"OS_Resume",
        b"OS_Suspend",
    ];
    (1..)
        .zip(NAMES)
        .find(|(_, known)| *known == name)
        .map(|(state, _)| state)
}

/// The number of the state change that a message reports.
fn status_of(message: &[u8]) -> Option<u8> {
    let text = message.strip_prefix(b"tools.os.statechange.status ")?;
    text.get(2)?.checked_sub(b'0')
}

/// What holds for every message.
fn judge(message: &[u8]) {
    assert!(!message.is_empty());
    #[cfg(test)]
    judge_nics(message);
    let text = String::from_utf8_lossy(message);
    if let Some(address) = text.strip_prefix("info-set guestinfo.ip ") {
        let address = address.strip_suffix('\0').expect("a NUL");
        let is_address = address.parse::<std::net::IpAddr>().is_ok();
        assert!(is_address || address == " ", "{text:?}");
    }
    assert!(
        !text.contains("unknown") && !text.contains("UNKNOWN"),
        "{text}"
    );
    assert_ne!(text, "SetGuestInfo  7 0\0");
    assert!(message.len() <= 62 * 1024, "{} bytes", message.len());
    if let Some((_, value)) = text
        .strip_prefix("info-set guestinfo.")
        .and_then(|set| set.split_once(' '))
    {
        assert_ne!(value, "\0", "no host takes an empty value");
    }
}

/// NIC lists as the simulator reads them, which the fuzzer is built without.
#[cfg(test)]
fn judge_nics(message: &[u8]) {
    use vmx::codec::nic_info::NicInfo;
    for start in [&b"SetGuestInfo  10 "[..], b"SetGuestInfo  9 "] {
        if let Some(payload) = message.strip_prefix(start) {
            NicInfo::decode(payload).expect("NICs");
        }
    }
}
