//! Faults, played at chosen points.

use std::time::{Duration, Instant};

use super::event::{By, EventKind, Link, Protocol};
use super::{Host, Registers};

/// What goes wrong at one backdoor call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// CPT without SUCCESS: the guest shall restart the whole operation.
    Checkpoint,
    /// No status bit at all.
    Fail,
    /// The channel is gone: CLOSED.
    Close,
    /// The host withdraws its message: UNSENT.
    Unsent,
    /// TIMEOUT.
    Timeout,
    /// Every register all ones, as a port nobody serves.
    Ones,
    /// Junk in every register.
    Garbage,
    /// The instruction faults (SIGSEGV).
    Fault,
}

/// One kind of backdoor call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    Version,
    Open,
    SendSize,
    SendPayload,
    RecvSize,
    RecvPayload,
    RecvStatus,
    Close,
    HighBandwidthOut,
    HighBandwidthIn,
    Other,
}

/// How often something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// So many times, then no more.
    Count(u32),
    /// Until told otherwise.
    Forever,
}

impl Times {
    /// Takes one; false when none is left.
    pub(super) fn take(&mut self) -> bool {
        match self {
            Self::Forever => true,
            Self::Count(0) => false,
            Self::Count(left) => {
                *left -= 1;
                true
            }
        }
    }
}

#[derive(Debug)]
struct Trigger {
    step: Option<Step>,
    protocol: Option<Protocol>,
    countdown: u64,
    kind: FaultKind,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) prefix: Vec<u8>,
    pub(super) reply: Vec<u8>,
    pub(super) times: Times,
}

#[derive(Debug)]
pub(super) struct Faults {
    at: Vec<(u64, FaultKind)>,
    triggers: Vec<Trigger>,
    pub(super) refuse_open: [Times; 2],
    pub(super) dead_port: bool,
    pub(super) restricted: bool,
    pub(super) silent: bool,
    /// How long a second agent leaves the guest the name.
    pub(super) rival: Option<Duration>,
    /// Whether vsock is not read, by protocol.
    pub(super) unread: [bool; 2],
    /// How long an RPCI channel may be idle.
    pub(super) idle: Option<Duration>,
    /// How long each RPCI reply takes.
    pub(super) slow: Duration,
    pub(super) answers: Vec<Answer>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            at: Vec::new(),
            triggers: Vec::new(),
            refuse_open: [Times::Count(0); 2],
            dead_port: false,
            restricted: false,
            silent: false,
            rival: None,
            unread: [false; 2],
            idle: None,
            slow: Duration::ZERO,
            answers: Vec::new(),
        }
    }
}

impl Host {
    /// Plays `kind` at the `k`-th backdoor call of the run, counted from 1.
    pub fn fault_at(&mut self, k: u64, kind: FaultKind) {
        self.faults.at.push((k, kind));
    }

    /// Plays `kind` at the `nth` call of this step from now on, counted from 1.
    pub fn fault_on(&mut self, step: Step, protocol: Option<Protocol>, nth: u64, kind: FaultKind) {
        let trigger = Trigger {
            step: Some(step),
            protocol,
            countdown: nth.max(1),
            kind,
        };
        self.faults.triggers.push(trigger);
    }

    /// Refuses OPEN of a protocol so many times. `Times::Count(0)` serves it again. A guest that tries again
    /// without the cookie flag, as open-vm-tools does, uses up two for each channel.
    pub fn refuse_open(&mut self, protocol: Protocol, times: Times) {
        self.faults.refuse_open[protocol as usize] = times;
    }

    /// Whether the port answers all ones from now on, whatever it is asked. The channels are lost.
    pub fn dead_port(&mut self, dead: bool, now: Instant) {
        if dead {
            self.close_channels(None, now);
        }
        self.faults.dead_port = dead;
        self.event(now, EventKind::Fault(format!("dead port: {dead}")));
    }

    /// monitor_control.restrict_backdoor: every access faults from now on.
    pub fn restrict_backdoor(&mut self, restricted: bool, now: Instant) {
        if restricted {
            self.close_channels(None, now);
        }
        self.faults.restricted = restricted;
        self.event(
            now,
            EventKind::Fault(format!("restrict_backdoor: {restricted}")),
        );
    }

    /// Whether the host keeps its TCLO requests (and pings) to itself.
    pub fn silent(&mut self, silent: bool) {
        self.faults.silent = silent;
    }

    /// Another agent of the same guest registers as "toolbox" so long after the guest has, each time: the host has
    /// room for one, and closes the guest's channel.
    pub fn rival(&mut self, after: Option<Duration>) {
        self.faults.rival = after;
    }

    /// Whether the host leaves unread what comes over the vsock connections of a protocol.
    pub fn leave_unread(&mut self, protocol: Protocol, unread: bool) {
        self.faults.unread[protocol as usize] = unread;
    }

    /// Closes RPCI channels that are idle for so long.
    pub fn close_idle(&mut self, after: Option<Duration>) {
        self.faults.idle = after;
    }

    /// How long every RPCI reply takes from here on.
    pub fn slow_rpci(&mut self, delay: Duration) {
        self.faults.slow = delay;
    }

    /// Leaves so many channels of a guest that was killed: nobody answers on them, and they count.
    pub fn stale_channels(&mut self, protocol: Protocol, count: usize, now: Instant) {
        for _ in 0..count {
            let id = self.add_channel(protocol, None, now);
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.stale = true;
            }
        }
    }

    /// Closes the channels of a guest that was killed.
    pub fn drop_stale_channels(&mut self) {
        self.channels.retain(|_, channel| !channel.is_stale());
    }

    /// Closes the channels whose time is over.
    pub(crate) fn close_overdue(&mut self, now: Instant) {
        let taken: Vec<Link> = self.doomed_sessions(now);
        for link in taken {
            self.event(
                now,
                EventKind::Fault(format!("{link} goes to a second agent")),
            );
            match link {
                Link::Backdoor(id) => self.lose_channel(id, now),
                Link::Vsock(id) => self.vsock_closing.push(id),
            }
        }
        let Some(limit) = self.faults.idle else {
            return;
        };
        let idle: Vec<u16> = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.is_idle(limit, now))
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            self.lose_channel(id, now);
        }
        self.close_idle_vsock(limit, now);
    }

    /// Closes the channels of a protocol under the guest (`None`: all), on either transport.
    pub fn close_channels(&mut self, protocol: Option<Protocol>, now: Instant) {
        let doomed: Vec<u16> = self
            .channels
            .iter()
            .filter(|(_, channel)| protocol.is_none_or(|wanted| wanted == channel.protocol()))
            .map(|(id, _)| *id)
            .collect();
        for id in doomed {
            self.lose_channel(id, now);
        }
        self.close_vsock(protocol);
    }

    /// Suspend and resume, vMotion, revert: all channels vanish, whoever opens TCLO next is greeted anew.
    pub fn resume_elsewhere(&mut self, now: Instant) {
        self.event(
            now,
            EventKind::Fault("the machine was moved: all channels are gone".into()),
        );
        self.close_channels(None, now);
        self.forget_app_monitor();
    }

    /// Answers RPCI commands that begin with `prefix` by `reply` (whole, such as `0 Unknown command`).
    /// Later rules go before earlier ones.
    pub fn answer(&mut self, prefix: impl Into<Vec<u8>>, reply: impl Into<Vec<u8>>, times: Times) {
        let answer = Answer {
            prefix: prefix.into(),
            reply: reply.into(),
            times,
        };
        self.faults.answers.insert(0, answer);
    }

    /// Refuses RPCI commands that begin with `prefix`: `0 Unknown command`.
    pub fn refuse(&mut self, prefix: impl Into<Vec<u8>>) {
        self.answer(prefix, *b"0 Unknown command", Times::Forever);
    }

    /// Takes back every [`Host::answer`] and [`Host::refuse`].
    pub fn accept_all(&mut self) {
        self.faults.answers.clear();
    }

    pub(super) fn lose_channel(&mut self, id: u16, now: Instant) {
        let Some(channel) = self.channels.remove(&id) else {
            return;
        };
        self.closed_by_host.push(id);
        self.gone(Link::Backdoor(id), channel.protocol(), By::Host, now);
    }

    /// The fault of this call, if one is due.
    pub(super) fn due(&mut self, step: Step, protocol: Option<Protocol>) -> Option<FaultKind> {
        let k = self.interactions;
        if let Some(at) = self.faults.at.iter().position(|(when, _)| *when == k) {
            return Some(self.faults.at.swap_remove(at).1);
        }
        let mut due = None;
        for (at, trigger) in self.faults.triggers.iter_mut().enumerate() {
            let matches = trigger.step.is_none_or(|wanted| wanted == step)
                && (trigger.protocol.is_none() || trigger.protocol == protocol);
            if matches {
                trigger.countdown -= 1;
                if trigger.countdown == 0 {
                    due.get_or_insert(at);
                }
            }
        }
        let kind = due.map(|at| self.faults.triggers[at].kind);
        self.faults.triggers.retain(|trigger| trigger.countdown > 0);
        kind
    }

    pub(super) fn fill(&mut self, registers: &mut Registers, garbage: bool) {
        let mut next = || {
            if garbage {
                u64::from(self.junk())
            } else {
                0xffff_ffff
            }
        };
        registers.rax = next();
        registers.rbx = next();
        registers.rcx = next();
        registers.rdx = next();
        registers.rsi = next();
        registers.rdi = next();
    }
}
