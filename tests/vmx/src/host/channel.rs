//! The message channel, from the host's side (guest_msg_def.h, message.c): register calls in, status and
//! messages out. Channels are strict: a step out of order, a wrong cookie, a count that does not fit are
//! violations, and get no SUCCESS.

use std::time::{Duration, Instant};

use super::Host;
use super::event::{By, EventKind, Link, Protocol};
use super::fault::{FaultKind, Step};
use super::port::{Registers, Verdict};
use super::tclo::ExchangeId;

const RPCI: u32 = 0x4943_5052;
const TCLO: u32 = 0x4F4C_4354;
const FLAG_COOKIE: u32 = 0x8000_0000;
const MAX_CHANNELS: usize = 128;
const MAX_MESSAGE: u32 = 65536;

pub(super) const SUCCESS: u32 = 0x01;
const DORECV: u32 = 0x02;
pub(super) const CLOSED: u32 = 0x04;
const UNSENT: u32 = 0x08;
const CPT: u32 = 0x10;
const TIMEOUT: u32 = 0x40;
const HB: u32 = 0x80;

const TYPE_SENDSIZE: u64 = 1;
const TYPE_SENDPAYLOAD: u64 = 2;

#[derive(Debug)]
pub(super) struct Channel {
    protocol: Protocol,
    /// None when it was opened without: then nobody looks at what the guest has there.
    cookie: Option<(u32, u32)>,
    pub(super) sending: Option<Sending>,
    pub(super) receiving: Option<Receiving>,
    /// RPCI: the reply not yet fetched in full.
    reply: Option<Vec<u8>>,
    /// When the reply is there to be fetched.
    ready: Instant,
    /// TCLO: the request offered and not yet fetched in full.
    offered: Option<ExchangeId>,
    /// Of a guest that was killed.
    pub(super) stale: bool,
    used: Instant,
}

#[derive(Debug)]
pub(super) struct Sending {
    pub(super) expected: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) hb: bool,
}

#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) message: Vec<u8>,
    pub(super) at: usize,
    pub(super) hb: bool,
}

impl Channel {
    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// Whether nothing has happened on it for so long.
    pub(super) fn is_idle(&self, limit: Duration, now: Instant) -> bool {
        let idle = now.saturating_duration_since(self.used);
        self.protocol == Protocol::Rpci && !self.stale && idle >= limit
    }
}

impl Host {
    pub(super) fn message(&mut self, r: &mut Registers, now: Instant) -> Verdict {
        let step = match (r.rcx as u32) >> 16 {
            0 => Step::Open,
            1 => Step::SendSize,
            2 => Step::SendPayload,
            3 => Step::RecvSize,
            4 => Step::RecvPayload,
            5 => Step::RecvStatus,
            6 => Step::Close,
            other => {
                self.violation(now, format!("message type {other}"));
                self.status(r, 0);
                return Verdict::Done;
            }
        };
        let id = ((r.rdx as u32) >> 16) as u16;
        self.close_overdue(now);
        let protocol = if step == Step::Open {
            protocol_of(r.rbx as u32 & !FLAG_COOKIE)
        } else {
            self.channels.get(&id).map(Channel::protocol)
        };
        if let Some(kind) = self.due(step, protocol) {
            return self.play(kind, step, id, r, now);
        }
        if step == Step::Open {
            self.open(r, now);
            return Verdict::Done;
        }
        if !self.known(id, (r.rsi as u32, r.rdi as u32), step, now) {
            let closed = self.closed_by_host.contains(&id);
            self.status(r, if closed { CLOSED } else { 0 });
            return Verdict::Done;
        }
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.used = now;
        }
        match step {
            Step::SendSize => self.send_size(id, r, now),
            Step::SendPayload => self.send_payload(id, r, now),
            Step::RecvSize => self.recv_size(id, r, now),
            Step::RecvPayload => self.recv_payload(id, r, now),
            Step::RecvStatus => self.recv_status(id, r, now),
            _ => {
                if let Some(channel) = self.channels.remove(&id) {
                    self.gone(Link::Backdoor(id), channel.protocol, By::Guest, now);
                }
                self.status(r, SUCCESS);
            }
        }
        Verdict::Done
    }

    /// Writes the status and, where the reply says nothing else, junk.
    fn status(&mut self, r: &mut Registers, status: u32) {
        let low = if self.config.scramble {
            self.junk() & 0xffff
        } else {
            r.rcx as u32 & 0xffff
        };
        r.rcx = u64::from(status << 16 | low);
        if self.config.scramble {
            r.rax = u64::from(self.junk());
            r.rbx = u64::from(self.junk());
            r.rdx = u64::from(self.junk());
            r.rsi = u64::from(self.junk());
            r.rdi = u64::from(self.junk());
        }
    }

    pub(super) fn known(&mut self, id: u16, cookie: (u32, u32), step: Step, now: Instant) -> bool {
        let Some(channel) = self.channels.get(&id) else {
            if !self.closed_by_host.contains(&id) {
                self.violation(now, format!("{step:?} on channel {id}, which is not open"));
            }
            return false;
        };
        if let Some(wanted) = channel.cookie.filter(|&wanted| wanted != cookie) {
            self.violation(
                now,
                format!("{step:?} on channel {id} with cookie {cookie:08x?}, not {wanted:08x?}"),
            );
            return false;
        }
        true
    }

    fn play(
        &mut self,
        kind: FaultKind,
        step: Step,
        id: u16,
        r: &mut Registers,
        now: Instant,
    ) -> Verdict {
        if matches!(
            kind,
            FaultKind::Ones | FaultKind::Garbage | FaultKind::Fault
        ) {
            return self.play_bare(kind, r, now);
        }
        let status = self.play_status(kind, step, id, now);
        self.status(r, status);
        Verdict::Done
    }

    pub(super) fn play_status(
        &mut self,
        kind: FaultKind,
        step: Step,
        id: u16,
        now: Instant,
    ) -> u32 {
        self.event(
            now,
            EventKind::Fault(format!("{kind:?} at {step:?} on ch{id}")),
        );
        if let Some(channel) = self.channels.get_mut(&id).filter(|_| step != Step::Open) {
            channel.sending = None;
            channel.receiving = None;
        }
        match kind {
            FaultKind::Checkpoint => CPT,
            FaultKind::Unsent => UNSENT,
            FaultKind::Timeout => TIMEOUT,
            FaultKind::Close => {
                self.lose_channel(id, now);
                CLOSED
            }
            _ => 0,
        }
    }

    fn open(&mut self, r: &mut Registers, now: Instant) {
        let asked = r.rbx as u32;
        let Some(protocol) = protocol_of(asked & !FLAG_COOKIE) else {
            self.violation(now, format!("OPEN of protocol {asked:#010x}"));
            self.status(r, 0);
            return;
        };
        let cookie_wanted = asked & FLAG_COOKIE != 0;
        if cookie_wanted && !self.config.cookies {
            self.status(r, 0);
            return;
        }
        if self.faults.refuse_open[protocol as usize].take() || self.channels.len() >= MAX_CHANNELS
        {
            self.event(now, EventKind::OpenRefused(protocol));
            self.status(r, 0);
            return;
        }
        let cookie = cookie_wanted.then(|| (self.junk(), self.junk()));
        let id = self.add_channel(protocol, cookie, now);
        self.opened(Link::Backdoor(id), protocol, now);
        self.status(r, SUCCESS);
        r.rdx = u64::from(id) << 16 | (r.rdx & 0xffff);
        if let Some((high, low)) = cookie {
            r.rsi = u64::from(high);
            r.rdi = u64::from(low);
        }
    }

    /// A channel under the next free number.
    pub(super) fn add_channel(
        &mut self,
        protocol: Protocol,
        cookie: Option<(u32, u32)>,
        now: Instant,
    ) -> u16 {
        let mut id = self.next_channel;
        while self.channels.contains_key(&id) {
            id = (id + 1) % MAX_CHANNELS as u16;
        }
        self.next_channel = (id + 1) % MAX_CHANNELS as u16;
        self.closed_by_host.retain(|&closed| closed != id);
        let channel = Channel {
            protocol,
            cookie,
            sending: None,
            receiving: None,
            reply: None,
            ready: now,
            offered: None,
            stale: false,
            used: now,
        };
        self.channels.insert(id, channel);
        id
    }

    fn send_size(&mut self, id: u16, r: &mut Registers, now: Instant) {
        let len = r.rbx as u32;
        let link = Link::Backdoor(id);
        let hb = self.config.high_bandwidth;
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let protocol = channel.protocol;
        let unfetched = channel.reply.is_some();
        if len > MAX_MESSAGE {
            self.violation(now, format!("{link}: SENDSIZE of {len} bytes"));
            self.status(r, 0);
            return;
        }
        if protocol == Protocol::Rpci && unfetched {
            self.violation(
                now,
                format!("{link}: SENDSIZE before the reply was fetched"),
            );
        }
        if protocol == Protocol::Tclo {
            self.alive(link, now);
            if len > 0 {
                self.reply_started(link, now);
            }
        }
        if len == 0 {
            self.dispatch(id, Vec::new(), now);
        } else if let Some(channel) = self.channels.get_mut(&id) {
            channel.reply = None;
            channel.sending = Some(Sending {
                expected: len as usize,
                bytes: Vec::new(),
                hb,
            });
        }
        self.status(r, SUCCESS | if hb { HB } else { 0 });
    }

    fn send_payload(&mut self, id: u16, r: &mut Registers, now: Instant) {
        let word = (r.rbx as u32).to_le_bytes();
        let sending = self
            .channels
            .get_mut(&id)
            .and_then(|channel| channel.sending.as_mut());
        let Some(sending) = sending else {
            self.violation(now, format!("ch{id}: SENDPAYLOAD without SENDSIZE"));
            self.status(r, 0);
            return;
        };
        let (used, padding) = word.split_at((sending.expected - sending.bytes.len()).min(4));
        sending.bytes.extend(used);
        let complete = sending.bytes.len() == sending.expected;
        if padding.iter().any(|&byte| byte != 0) {
            self.violation(
                now,
                format!("ch{id}: the last word is not padded with zeros"),
            );
        }
        if complete {
            self.sent(id, now);
        }
        self.status(r, SUCCESS);
    }

    pub(super) fn sent(&mut self, id: u16, now: Instant) {
        let sending = self
            .channels
            .get_mut(&id)
            .and_then(|channel| channel.sending.take());
        if let Some(sending) = sending {
            self.dispatch(id, sending.bytes, now);
        }
    }

    fn dispatch(&mut self, id: u16, message: Vec<u8>, now: Instant) {
        let link = Link::Backdoor(id);
        match self.channels.get(&id).map(Channel::protocol) {
            Some(Protocol::Rpci) => {
                let reply = self.rpci(link, false, &message, now);
                let ready = now + self.faults.slow;
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.reply = Some(reply);
                    channel.ready = ready;
                }
            }
            Some(Protocol::Tclo) => self.tclo_sent(link, message, now),
            None => {}
        }
    }

    fn recv_size(&mut self, id: u16, r: &mut Registers, now: Instant) {
        let link = Link::Backdoor(id);
        let hb = self.config.high_bandwidth;
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        let mid_send = channel.sending.is_some();
        let ready = channel.ready;
        let message = match channel.protocol {
            Protocol::Rpci => {
                let reply = channel.reply.clone();
                if reply.is_none() {
                    self.violation(now, format!("{link}: RECVSIZE with nothing asked"));
                }
                reply.filter(|_| ready <= now)
            }
            Protocol::Tclo => {
                let request = channel.offered.or_else(|| self.next_request(link, now));
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.offered = request;
                }
                request.map(|request| self.offer(request, now))
            }
        };
        if mid_send {
            self.violation(now, format!("{link}: RECVSIZE in the middle of a send"));
        }
        let Some(message) = message else {
            self.status(r, SUCCESS);
            return;
        };
        let len = message.len() as u64;
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.receiving = Some(Receiving { message, at: 0, hb });
        }
        self.status(r, SUCCESS | DORECV | if hb { HB } else { 0 });
        r.rbx = len;
        r.rdx = TYPE_SENDSIZE << 16 | (r.rdx & 0xffff);
    }

    /// The guest said whether it could use the previous step; false drops the message.
    fn guest_is_fine(&mut self, id: u16, said: u32, step: Step, now: Instant) -> bool {
        if said == SUCCESS {
            return true;
        }
        self.violation(
            now,
            format!("ch{id}: {step:?} with status {said:#x} from the guest"),
        );
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.receiving = None;
            channel.reply = None;
            channel.offered = None;
        }
        self.withdraw(Link::Backdoor(id), now);
        false
    }

    fn recv_payload(&mut self, id: u16, r: &mut Registers, now: Instant) {
        if !self.guest_is_fine(id, r.rbx as u32, Step::RecvPayload, now) {
            self.status(r, SUCCESS);
            return;
        }
        let receiving = self
            .channels
            .get_mut(&id)
            .and_then(|channel| channel.receiving.as_mut());
        let Some(receiving) = receiving.filter(|receiving| receiving.at < receiving.message.len())
        else {
            self.violation(now, format!("ch{id}: RECVPAYLOAD with nothing left"));
            self.status(r, 0);
            return;
        };
        let rest = &receiving.message[receiving.at..];
        let len = rest.len().min(4);
        // Bytes beyond the message have no meaning; a guest that uses them shall notice.
        let mut word = [0xEE; 4];
        word[..len].copy_from_slice(&rest[..len]);
        receiving.at += len;
        self.status(r, SUCCESS);
        r.rbx = u64::from(u32::from_le_bytes(word));
        r.rdx = TYPE_SENDPAYLOAD << 16 | (r.rdx & 0xffff);
    }

    fn recv_status(&mut self, id: u16, r: &mut Registers, now: Instant) {
        if !self.guest_is_fine(id, r.rbx as u32, Step::RecvStatus, now) {
            self.status(r, SUCCESS);
            return;
        }
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let complete = channel
            .receiving
            .take()
            .is_some_and(|r| r.at == r.message.len());
        channel.reply = None;
        let offered = channel.offered.take();
        if !complete {
            self.violation(
                now,
                format!("ch{id}: RECVSTATUS before the whole message was fetched"),
            );
        }
        if let Some(request) = offered {
            self.picked_up(request, now);
        }
        self.status(r, SUCCESS);
    }
}

fn protocol_of(number: u32) -> Option<Protocol> {
    match number {
        RPCI => Some(Protocol::Rpci),
        TCLO => Some(Protocol::Tclo),
        _ => None,
    }
}
