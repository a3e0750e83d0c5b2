//! A VMX in memory, for tests: strict about what the guest sends, rude in what it sends back.
//!
//! Every register that a reply does not define comes back as garbage. What the guest must not do (wrong
//! magic, wrong port, a payload nobody announced) is a panic in the test that did it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{AccessFault, RegisterAccess};
use crate::vmware::wire::message::{FLAG_COOKIE, Protocol, Status};
use crate::vmware::wire::registers::{
    COMMAND_GETVERSION, COMMAND_MESSAGE, HIGH_COMMAND_MESSAGE, MAGIC, Registers, Transfer,
    VERSION_MAGIC, halves, high_half,
};

/// What goes wrong at one access instead of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The instruction faults.
    Trap,
    /// The step does nothing and answers this status.
    Status(u16),
    /// The step happens, but its reply carries this status instead.
    StatusAfter(u16),
    /// The step does nothing and all registers come back as given.
    Registers(Registers),
    /// The step does nothing: AX is all ones, everything else as the guest left it.
    Unanswered,
    /// A vMotion: the step does nothing and answers CPT.
    Checkpoint,
    /// The step does nothing and all channels are gone, as after a resume.
    ChannelsGone,
}

/// One access as the guest made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Low or high bandwidth.
    pub(crate) transfer: Transfer,
    /// Registers on the way in, the low half of DX zero.
    pub(crate) registers: Registers,
}

/// The VMX; clones are the same one.
#[derive(Clone)]
pub(crate) struct FakeHost(Arc<Mutex<Vmx>>);

/// What answers an RPCI command.
type Answer = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

struct Vmx {
    cookies: bool,
    high: bool,
    garbage: u32,
    faults: VecDeque<(usize, Fault)>,
    seen: Vec<Seen>,
    channels: Vec<Channel>,
    next_id: u16,
    answer: Answer,
    /// TCLO requests that no channel has taken yet.
    requests: VecDeque<Vec<u8>>,
    received: Vec<(Protocol, Vec<u8>)>,
    failures: usize,
}

struct Channel {
    id: u16,
    cookie: (u32, u32),
    protocol: Protocol,
    /// A message from the guest: announced length, bytes so far.
    incoming: Option<(usize, Vec<u8>)>,
    /// A message to the guest, and how much of it is fetched.
    outgoing: Option<(Vec<u8>, usize)>,
}

impl std::fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeHost")
    }
}

impl FakeHost {
    /// A host with cookies and high bandwidth that answers `1 ` to every RPCI command.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Vmx {
            cookies: true,
            high: true,
            garbage: 0xDEAD_BEEF,
            faults: VecDeque::new(),
            seen: Vec::new(),
            channels: Vec::new(),
            next_id: 2,
            answer: Box::new(|_| b"1 ".to_vec()),
            requests: VecDeque::new(),
            received: Vec::new(),
            failures: 0,
        })))
    }

    fn vmx(&self) -> MutexGuard<'_, Vmx> {
        // A test that has failed still closes its channels, and should not fail twice.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same host, which never offers high bandwidth.
    pub(crate) fn without_high_bandwidth(self) -> Self {
        self.vmx().high = false;
        self
    }

    /// The same host, which refuses OPEN with the cookie flag.
    pub(crate) fn without_cookies(self) -> Self {
        self.vmx().cookies = false;
        self
    }

    /// Answers RPCI commands.
    pub(crate) fn answer_with(&self, answer: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) {
        self.vmx().answer = Box::new(answer);
    }

    /// Has a TCLO request for the guest.
    pub(crate) fn request(&self, request: &[u8]) {
        self.vmx().requests.push_back(request.to_vec());
    }

    /// Lets the access after `ahead` more go wrong: 0 is the next one.
    pub(crate) fn fault_after(&self, ahead: usize, fault: Fault) {
        let mut vmx = self.vmx();
        let at = vmx.seen.len() + ahead;
        vmx.faults.push_back((at, fault));
    }

    /// All accesses so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.vmx().seen.clone()
    }

    /// All complete messages from the guest so far.
    pub(crate) fn received(&self) -> Vec<(Protocol, Vec<u8>)> {
        self.vmx().received.clone()
    }

    /// How many channels are open.
    pub(crate) fn open_channels(&self) -> usize {
        self.vmx().channels.len()
    }

    /// How often the guest reported that receiving failed.
    pub(crate) fn reported_failures(&self) -> usize {
        self.vmx().failures
    }
}

impl RegisterAccess for FakeHost {
    fn low(&mut self, registers: &mut Registers) -> Result<(), AccessFault> {
        let mut vmx = self.vmx();
        if vmx.goes_wrong(Transfer::Low, registers)? {
            return Ok(());
        }
        vmx.low(registers);
        vmx.status_after(Transfer::Low, registers);
        Ok(())
    }

    fn high_out(&mut self, registers: &mut Registers, data: &[u8]) -> Result<(), AccessFault> {
        let mut vmx = self.vmx();
        if vmx.goes_wrong(Transfer::HighOut, registers)? {
            return Ok(());
        }
        let cookie = (registers.bp, registers.di);
        let status = vmx.high(registers, cookie, |vmx, at| {
            vmx.take(at, data);
            let channel = &vmx.channels[at];
            assert!(channel.incoming.is_none(), "the block is not the message");
        });
        registers.bx = halves(status.0, low_half(vmx.garbage()));
        vmx.scramble_high(registers);
        vmx.status_after(Transfer::HighOut, registers);
        Ok(())
    }

    fn high_in(&mut self, registers: &mut Registers, data: &mut [u8]) -> Result<(), AccessFault> {
        let mut vmx = self.vmx();
        if vmx.goes_wrong(Transfer::HighIn, registers)? {
            return Ok(());
        }
        let cookie = (registers.si, registers.bp);
        let status = vmx.high(registers, cookie, |vmx, at| {
            let outgoing = vmx.channels[at].outgoing.as_mut();
            let (message, fetched) = outgoing.expect("nothing was announced");
            data.copy_from_slice(message);
            *fetched = message.len();
        });
        registers.bx = halves(status.0, low_half(vmx.garbage()));
        vmx.scramble_high(registers);
        vmx.status_after(Transfer::HighIn, registers);
        Ok(())
    }
}

impl Vmx {
    fn garbage(&mut self) -> u32 {
        // Neither zero nor all ones, different every time.
        self.garbage = self.garbage.wrapping_mul(0x9E37_79B1) ^ 0x5555_1234;
        self.garbage
    }

    fn scramble_high(&mut self, registers: &mut Registers) {
        registers.ax = self.garbage();
        registers.cx = 0;
        registers.dx = self.garbage();
        registers.si = self.garbage();
        registers.di = self.garbage();
        registers.bp = self.garbage();
    }

    /// Notes the access and plays a fault that is due, if it replaces the step.
    fn goes_wrong(
        &mut self,
        transfer: Transfer,
        registers: &mut Registers,
    ) -> Result<bool, AccessFault> {
        let mut noted = *registers;
        noted.select(0);
        let now = self.seen.len();
        self.seen.push(Seen {
            transfer,
            registers: noted,
        });
        let Some(at) = self.faults.iter().position(|(step, _)| *step == now) else {
            return Ok(false);
        };
        let status = match self.faults[at].1 {
            // Played once the step is done.
            Fault::StatusAfter(_) => return Ok(false),
            Fault::Trap => {
                self.faults.remove(at);
                return Err(AccessFault);
            }
            Fault::Registers(reply) => {
                *registers = reply;
                self.faults.remove(at);
                return Ok(true);
            }
            Fault::Unanswered => {
                registers.ax = u32::MAX;
                self.faults.remove(at);
                return Ok(true);
            }
            Fault::Status(status) => Status(status),
            Fault::Checkpoint => {
                for channel in &mut self.channels {
                    channel.incoming = None;
                    if let Some((_, fetched)) = &mut channel.outgoing {
                        *fetched = 0;
                    }
                }
                Status::CPT
            }
            Fault::ChannelsGone => {
                self.channels.clear();
                Status::CLOSED
            }
        };
        self.faults.remove(at);
        Self::set_status(transfer, registers, status);
        Ok(true)
    }

    fn status_after(&mut self, transfer: Transfer, registers: &mut Registers) {
        let now = self.seen.len() - 1;
        if let Some(at) = self.faults.iter().position(|(step, _)| *step == now)
            && let Some((_, Fault::StatusAfter(status))) = self.faults.remove(at)
        {
            Self::set_status(transfer, registers, Status(status));
        }
    }

    fn set_status(transfer: Transfer, registers: &mut Registers, status: Status) {
        match transfer {
            Transfer::Low => registers.cx = halves(status.0, low_half(registers.cx)),
            Transfer::HighOut | Transfer::HighIn => {
                registers.bx = halves(status.0, low_half(registers.bx));
            }
        }
    }

    fn low(&mut self, registers: &mut Registers) {
        assert_eq!(registers.ax, MAGIC);
        let asked = *registers;
        *registers = Registers {
            ax: self.garbage(),
            bx: self.garbage(),
            cx: halves(0, low_half(self.garbage())),
            dx: self.garbage(),
            si: self.garbage(),
            di: self.garbage(),
            bp: self.garbage(),
        };
        match low_half(asked.cx) {
            COMMAND_GETVERSION => {
                registers.ax = VERSION_MAGIC;
                registers.bx = MAGIC;
                registers.cx = 2;
            }
            COMMAND_MESSAGE => {
                let status = self.message(&asked, registers);
                Self::set_status(Transfer::Low, registers, status);
            }
            command => panic!("command {command}"),
        }
    }

    fn find(&self, registers: &Registers, cookie: (u32, u32)) -> Option<usize> {
        self.channels
            .iter()
            .position(|channel| channel.id == high_half(registers.dx) && channel.cookie == cookie)
    }

    /// One step of a channel; what the reply defines goes to `reply`.
    fn message(&mut self, asked: &Registers, reply: &mut Registers) -> Status {
        let step = high_half(asked.cx);
        if step == 0 {
            return self.open(asked, reply);
        }
        let Some(at) = self.find(asked, (asked.si, asked.di)) else {
            return Status::CLOSED;
        };
        let offer = if self.high { Status::HB.0 } else { 0 };
        match step {
            1 => {
                self.channels[at].incoming = Some((asked.bx as usize, Vec::new()));
                self.take(at, &[]);
                Status(Status::SUCCESS.0 | offer)
            }
            2 => {
                let incoming = self.channels[at].incoming.as_ref();
                let (len, so_far) = incoming.expect("nothing was announced");
                let left = len - so_far.len();
                let word = asked.bx.to_le_bytes();
                let (piece, padding) = word.split_at(left.min(4));
                assert!(padding.iter().all(|byte| *byte == 0), "padded with zeros");
                self.take(at, piece);
                Status::SUCCESS
            }
            3 => {
                if self.channels[at].protocol == Protocol::Tclo
                    && self.channels[at].outgoing.is_none()
                {
                    let request = self.requests.pop_front();
                    self.channels[at].outgoing = request.map(|request| (request, 0));
                }
                let Some((message, fetched)) = &mut self.channels[at].outgoing else {
                    return Status(Status::SUCCESS.0 | offer);
                };
                *fetched = 0;
                reply.bx = message.len() as u32;
                reply.dx = halves(1, low_half(reply.dx));
                Status(Status::SUCCESS.0 | Status::DORECV.0 | offer)
            }
            4 if asked.bx == 1 => {
                let outgoing = self.channels[at].outgoing.as_mut();
                let (message, fetched) = outgoing.expect("nothing was announced");
                let mut word = reply.bx.to_le_bytes();
                let rest = &message[*fetched..];
                assert!(!rest.is_empty(), "the whole message was fetched before");
                let piece = rest.len().min(4);
                word[..piece].copy_from_slice(&rest[..piece]);
                *fetched += piece;
                reply.bx = u32::from_le_bytes(word);
                reply.dx = halves(2, low_half(reply.dx));
                Status::SUCCESS
            }
            5 if asked.bx == 1 => {
                let outgoing = self.channels[at].outgoing.take();
                let (message, fetched) = outgoing.expect("nothing was announced");
                assert_eq!(message.len(), fetched, "acknowledged before it was fetched");
                Status::SUCCESS
            }
            4 | 5 => {
                assert_eq!(asked.bx, 0, "neither success nor failure");
                self.failures += 1;
                Status::SUCCESS
            }
            6 => {
                self.channels.remove(at);
                Status::SUCCESS
            }
            other => panic!("step {other}"),
        }
    }

    fn open(&mut self, asked: &Registers, reply: &mut Registers) -> Status {
        let with_cookie = asked.bx & FLAG_COOKIE != 0;
        if with_cookie && !self.cookies {
            return Status(0);
        }
        let protocol = [Protocol::Rpci, Protocol::Tclo]
            .into_iter()
            .find(|protocol| protocol.number() == asked.bx & !FLAG_COOKIE)
            .expect("a protocol");
        let id = self.next_id;
        self.next_id += 1;
        let cookie = if with_cookie {
            (reply.si, reply.di) = (0x1122_3344, 0x5566_7788);
            (reply.si, reply.di)
        } else {
            (0, 0)
        };
        reply.dx = halves(id, low_half(reply.dx));
        self.channels.push(Channel {
            id,
            cookie,
            protocol,
            incoming: None,
            outgoing: None,
        });
        Status::SUCCESS
    }

    /// A piece of a message from the guest; acts on the message when it is complete.
    fn take(&mut self, at: usize, piece: &[u8]) {
        let channel = &mut self.channels[at];
        let (len, so_far) = channel.incoming.as_mut().expect("nothing was announced");
        so_far.extend_from_slice(piece);
        assert!(so_far.len() <= *len, "more than was announced");
        if so_far.len() < *len {
            return;
        }
        let Some((_, message)) = channel.incoming.take() else {
            return;
        };
        if channel.protocol == Protocol::Rpci {
            channel.outgoing = Some(((self.answer)(&message), 0));
        }
        self.received.push((channel.protocol, message));
    }

    fn high(
        &mut self,
        registers: &Registers,
        cookie: (u32, u32),
        step: impl FnOnce(&mut Self, usize),
    ) -> Status {
        assert_eq!(registers.ax, MAGIC);
        assert_eq!(
            registers.bx,
            halves(Status::SUCCESS.0, HIGH_COMMAND_MESSAGE)
        );
        assert!(self.high, "high bandwidth was not offered");
        let Some(at) = self.find(registers, cookie) else {
            return Status::CLOSED;
        };
        step(self, at);
        Status::SUCCESS
    }
}

/// Bits 15..0.
fn low_half(word: u32) -> u16 {
    (word & 0xFFFF) as u16
}
