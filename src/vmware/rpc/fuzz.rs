//! Entries for fuzzing, see [`crate::fuzz`].
#![allow(clippy::expect_used, clippy::panic)]

use std::ops::ControlFlow;
use std::time::Duration;

use super::message_channel::{
    Bandwidth, Call, ChannelAddress, ChannelError, Close, Open, Operation, Protocol, Receive, Send,
    receive::MAX_FROM_HOST,
};
use super::route::{OpenFailure, Policy, Transport};
use super::rpci::{self, Client};
use super::tclo::{self, Tclo};
use crate::fuzz::Choices;
use crate::vmware::wire::guest_rpc_packet::Packet;
use crate::vmware::wire::registers::{ALL_ONES, Registers, halves};

/// Any replies to the operations of a channel: no panic, and on a port that went dead each ends within three
/// calls.
pub fn fuzz_message_channel(bytes: &[u8]) {
    const CHANNEL: ChannelAddress = ChannelAddress {
        id: 2,
        cookie_high: 0x1122_3344,
        cookie_low: 0x5566_7788,
    };
    let mut choices = Choices::new(bytes);
    while !choices.is_empty() {
        let bandwidth = if choices.flag() {
            Bandwidth::High
        } else {
            Bandwidth::Low
        };
        match choices.below(4) {
            0 => drop(run(Open::new(Protocol::Tclo), &mut choices)),
            1 => {
                let message = choices.bytes();
                if let Ok(send) = Send::new(CHANNEL, message, bandwidth) {
                    let _ = run(send, &mut choices);
                }
            }
            2 => {
                if let Ok(Some(message)) = run(Receive::new(CHANNEL, bandwidth), &mut choices) {
                    assert!(message.len() <= MAX_FROM_HOST);
                }
            }
            _ => drop(run(Close::new(CHANNEL), &mut choices)),
        }
    }
}

/// Any order of outcomes: what is begun ends once, connections are opened and closed in turn, and a healthy
/// host is served afterwards.
pub fn fuzz_rpci_client(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut client = Client::new(policy(&mut choices));
    let mut line = Line::None;
    let mut now = Duration::ZERO;
    while !choices.is_empty() {
        now += pause(&mut choices);
        match choices.below(9) {
            0 | 1 => client.request(now),
            2 => {
                if let Line::Opening(transport) = line {
                    line = Line::Open(transport);
                }
                client.handle_opened(now);
            }
            3 => {
                if let Line::Opening(_) = line {
                    line = Line::None;
                }
                client.handle_open_failed(open_failure(&mut choices), now);
            }
            4 => {
                let _ = client.handle_reply(choices.bytes(), now);
            }
            5 => {
                let _ = client.handle_reply(b"1 ", now);
            }
            6 => client.handle_exchange_failed(now),
            7 => client.forget_failures(now),
            _ => client.close(),
        }
        rpci_outputs(&mut client, &mut line);
    }
    // A connection may turn out dead once more, then the host is there.
    client.request(now);
    for _ in 0..8 {
        let (wanted, done) = rpci_outputs(&mut client, &mut line);
        match (done, wanted, line) {
            (Some(done), ..) => {
                return assert!(matches!(done, rpci::Output::Replied(_)), "{done:?}");
            }
            (None, true, Line::Open(_)) => drop(client.handle_reply(b"1 ", now)),
            (None, _, Line::Opening(transport)) => {
                line = Line::Open(transport);
                client.handle_opened(now);
            }
            (None, ..) => panic!("a request is forgotten: {client:?}"),
        }
    }
    panic!("a healthy host does not get the request: {client:?}");
}

/// Any order of outcomes and bytes: connections are opened and closed in turn, one request waits for its reply
/// at a time, and a healthy host is connected to afterwards.
pub fn fuzz_tclo(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut judge = TcloJudge {
        tclo: Tclo::new(policy(&mut choices)),
        line: Line::None,
        polling: false,
        owed: false,
        connected: false,
        closed: false,
        now: Duration::ZERO,
    };
    while !choices.is_empty() {
        judge.now += pause(&mut choices);
        match choices.below(11) {
            0 => judge.opened(),
            1 => {
                if let Line::Opening(_) = judge.line {
                    judge.line = Line::None;
                }
                let failure = open_failure(&mut choices);
                judge.tclo.handle_open_failed(failure, judge.now);
            }
            2 => judge.polled(None),
            3 => judge.polled(Some(choices.bytes().to_vec())),
            4 => judge.tclo.handle_broken(judge.now),
            5 => judge.bytes(choices.bytes()),
            6 => judge.bytes(&Packet::data(choices.bytes()).encode()),
            7 => {
                let owed = std::mem::take(&mut judge.owed);
                // An error is for the log; the reply was taken all the same.
                let taken = judge.tclo.reply(choices.bytes().to_vec(), judge.now);
                assert_eq!(taken.unwrap_or(true), owed);
            }
            8 => {
                let _ = judge.tclo.handle_timeout(judge.now);
            }
            9 => {
                if let Some(due) = judge.tclo.poll_timeout() {
                    judge.now = judge.now.max(due);
                }
                let _ = judge.tclo.handle_timeout(judge.now);
            }
            _ => {
                if choices.byte() == 0xFF {
                    judge.tclo.close();
                    judge.closed = true;
                }
            }
        }
        judge.outputs();
    }
    judge.recover();
}

fn run<O: Operation>(
    mut operation: O,
    choices: &mut Choices<'_>,
) -> Result<O::Output, ChannelError> {
    let mut after_the_end = 0;
    loop {
        if choices.is_empty() {
            after_the_end += 1;
            assert!(after_the_end <= 3, "a dead port is asked again and again");
        }
        let reply = match operation.call() {
            Call::Low(registers) => reply(registers, choices, false),
            Call::HighOut { registers, .. } => reply(registers, choices, true),
            Call::HighIn { registers, data } => {
                if let Some(first) = data.first_mut() {
                    *first = 0x55;
                }
                reply(registers, choices, true)
            }
        };
        if let ControlFlow::Break(result) = operation.handle(&reply) {
            return result;
        }
    }
}

/// Registers as a host might leave them, or worse; all ones once the choices are used up.
fn reply(asked: Registers, choices: &mut Choices<'_>, high: bool) -> Registers {
    let all = |word| Registers {
        ax: word,
        bx: word,
        cx: word,
        dx: word,
        si: word,
        di: word,
        bp: word,
    };
    if choices.is_empty() {
        return all(ALL_ONES);
    }
    let kind = choices.below(16);
    if kind == 15 {
        return Registers {
            ax: choices.word(),
            bx: choices.word(),
            cx: choices.word(),
            dx: choices.word(),
            si: choices.word(),
            di: choices.word(),
            bp: choices.word(),
        };
    }
    let status = match kind {
        0..9 => 0x0001,
        9 => 0x0081,
        10..12 => 0x0083,
        12 => 0x0010,
        _ => u16::from(choices.byte()),
    };
    let step = u16::from(choices.below(4));
    Registers {
        ax: 1,
        bx: if high {
            halves(status, 0)
        } else {
            choices.byte().into()
        },
        cx: halves(status, 0),
        dx: halves(step, 0),
        ..asked
    }
}

/// What is open, as the caller of a machine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    None,
    Opening(Transport),
    Open(Transport),
}

fn policy(choices: &mut Choices<'_>) -> Policy {
    match choices.below(3) {
        0 => Policy::Only(Transport::Backdoor),
        1 => Policy::Only(Transport::Vsock),
        _ => Policy::VsockFirst,
    }
}

fn open_failure(choices: &mut Choices<'_>) -> OpenFailure {
    if choices.below(4) == 0 {
        OpenFailure::Absent
    } else {
        OpenFailure::Failed
    }
}

fn pause(choices: &mut Choices<'_>) -> Duration {
    match choices.below(8) {
        0 => Duration::from_millis(choices.byte().into()),
        1 => Duration::from_secs(choices.byte().into()),
        2 => Duration::from_secs(u64::from(choices.word())),
        _ => Duration::ZERO,
    }
}

/// Takes note of what the client wants: whether an exchange, and how it ended.
fn rpci_outputs(client: &mut Client, line: &mut Line) -> (bool, Option<rpci::Output>) {
    let mut wanted = false;
    let mut done = None;
    while let Some(output) = client.poll_output() {
        match output {
            rpci::Output::Close => {
                assert_ne!(*line, Line::None, "nothing is open");
                *line = Line::None;
            }
            rpci::Output::Open(transport) => {
                assert_eq!(*line, Line::None, "something is open");
                *line = Line::Opening(transport);
            }
            rpci::Output::Exchange { timeout } => {
                assert!(matches!(line, Line::Open(_)));
                assert!(!timeout.is_zero());
                wanted = true;
            }
            ended => {
                assert_eq!(done, None, "ended twice");
                done = Some(ended);
            }
        }
    }
    (wanted, done)
}

struct TcloJudge {
    tclo: Tclo,
    line: Line,
    polling: bool,
    owed: bool,
    connected: bool,
    closed: bool,
    now: Duration,
}

impl TcloJudge {
    fn opened(&mut self) {
        if let Line::Opening(transport) = self.line {
            self.line = Line::Open(transport);
        }
        self.tclo.handle_opened(self.now);
    }

    /// Only a poll that was asked for can end.
    fn polled(&mut self, message: Option<Vec<u8>>) {
        if std::mem::take(&mut self.polling) {
            self.tclo.handle_polled(message, self.now);
        }
    }

    /// Only bytes that are wanted are read.
    fn bytes(&mut self, bytes: &[u8]) {
        if self.tclo.wants_bytes() {
            let _ = self.tclo.handle_bytes(bytes, self.now);
        }
    }

    fn outputs(&mut self) {
        while let Some(output) = self.tclo.poll_output() {
            match output {
                tclo::Output::Close => {
                    assert_ne!(self.line, Line::None, "nothing is open");
                    self.line = Line::None;
                    self.polling = false;
                    self.owed = false;
                }
                tclo::Output::Open(transport) => {
                    assert!(!self.closed);
                    assert_eq!(self.line, Line::None, "something is open");
                    self.line = Line::Opening(transport);
                }
                tclo::Output::Poll(_) => {
                    assert_eq!(self.line, Line::Open(Transport::Backdoor));
                    assert!(!self.polling, "two polls at a time");
                    assert!(!self.owed, "a poll while a reply is owed");
                    self.polling = true;
                }
                tclo::Output::Write(_) => assert_eq!(self.line, Line::Open(Transport::Vsock)),
                tclo::Output::Connected(transport) => {
                    assert_eq!(self.line, Line::Open(transport));
                    assert!(!self.connected, "connected twice");
                    self.connected = true;
                }
                tclo::Output::Request(request) => {
                    assert!(self.connected, "a request out of nowhere");
                    assert!(!self.owed, "two requests at a time");
                    assert!(!request.is_empty());
                    self.owed = true;
                }
                tclo::Output::Lost(_) => {
                    assert!(self.connected, "lost what was not there");
                    self.connected = false;
                }
            }
        }
    }

    /// A healthy host from here on.
    fn recover(&mut self) {
        let end = self.now + Duration::from_secs(60);
        while !self.connected && !self.closed {
            assert!(self.now <= end, "not connected: {:?}", self.tclo);
            match self.line {
                Line::Opening(_) => self.opened(),
                Line::Open(Transport::Backdoor) if self.polling => self.polled(None),
                // A stream that stands in the middle of a packet is no healthy host's.
                Line::Open(Transport::Vsock) => self.tclo.handle_broken(self.now),
                Line::Open(Transport::Backdoor) | Line::None => {
                    let due = self.tclo.poll_timeout().expect("nothing is waited for");
                    self.now = self.now.max(due);
                    let _ = self.tclo.handle_timeout(self.now);
                }
            }
            self.outputs();
            if let Line::Open(Transport::Vsock) = self.line {
                self.bytes(&Packet::ping().encode());
                self.outputs();
            }
            if let Line::Opening(Transport::Vsock) = self.line {
                self.opened();
                self.outputs();
                self.bytes(&Packet::ping().encode());
                self.outputs();
            }
        }
    }
}
