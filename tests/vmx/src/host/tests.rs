//! The host as a state machine: register calls and packets in, on a clock of our own.

use std::time::{Duration, Instant};

use super::*;
use crate::codec::datamap::{DATA, PING, Packet};

/// A guest that makes register calls by hand.
struct Guest {
    host: Host,
    now: Instant,
    memory: Memory,
}

#[derive(Default)]
struct Memory(Vec<u8>);

impl GuestMemory for Memory {
    fn read(&mut self, address: u64, len: usize) -> std::io::Result<Vec<u8>> {
        let at = address as usize;
        Ok(self.0[at..at + len].to_vec())
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> std::io::Result<()> {
        let at = address as usize;
        self.0.resize(self.0.len().max(at + bytes.len()), 0);
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

struct Open {
    id: u64,
    cookie: (u64, u64),
}

impl Guest {
    fn new(change: impl FnOnce(&mut HostConfig)) -> Self {
        let mut config = HostConfig::default();
        change(&mut config);
        let now = Instant::now();
        let host = Host::new(config, now, Duration::from_secs(1));
        Self {
            host,
            now,
            memory: Memory::default(),
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn low(&mut self, rbx: u64, rcx: u64, id: u64, cookie: (u64, u64)) -> Registers {
        let mut r = Registers {
            rax: 0x564D_5868,
            rbx,
            rcx: rcx << 16 | 30,
            rdx: id << 16 | 0x5658,
            rsi: cookie.0,
            rdi: cookie.1,
            ..Registers::default()
        };
        assert_eq!(
            self.host.low_bandwidth(Form::Port, &mut r, self.now),
            Verdict::Done
        );
        r
    }

    fn open(&mut self, protocol: u64) -> Open {
        // What is in EDX high, ESI and EDI does not matter here (§2.5).
        let r = self.low(protocol, 0, 0x7777, (1, 2));
        assert_eq!(r.rcx >> 16, 1);
        Open {
            id: r.rdx >> 16,
            cookie: (r.rsi, r.rdi),
        }
    }

    fn send(&mut self, to: &Open, message: &[u8]) -> u64 {
        let status = self.low(message.len() as u64, 1, to.id, to.cookie).rcx >> 16;
        if status & 0x80 == 0 || message.is_empty() {
            for chunk in message.chunks(4) {
                let mut word = [0; 4];
                word[..chunk.len()].copy_from_slice(chunk);
                self.low(u32::from_le_bytes(word).into(), 2, to.id, to.cookie);
            }
            return status;
        }
        self.memory.0 = message.to_vec();
        let mut r = Registers {
            rax: 0x564D_5868,
            rbx: 0x0001_0000,
            rcx: message.len() as u64,
            rdx: to.id << 16 | 0x5659,
            rsi: 0,
            rdi: to.cookie.1,
            rbp: to.cookie.0,
            backwards: false,
        };
        let (host, memory) = (&mut self.host, &mut self.memory);
        host.high_bandwidth(Form::Port, Direction::Out, &mut r, memory, self.now);
        assert_eq!((r.rcx, r.rsi), (0, message.len() as u64));
        r.rbx >> 16
    }

    fn receive(&mut self, from: &Open) -> Option<Vec<u8>> {
        let r = self.low(0, 3, from.id, from.cookie);
        if r.rcx >> 16 & 2 == 0 {
            return None;
        }
        assert_eq!(r.rdx >> 16, 1, "SENDSIZE");
        let len = r.rbx as usize;
        if r.rcx >> 16 & 0x80 == 0 {
            let mut message = Vec::new();
            while message.len() < len {
                let word = self.low(1, 4, from.id, from.cookie);
                assert_eq!(word.rdx >> 16, 2, "SENDPAYLOAD");
                message.extend((word.rbx as u32).to_le_bytes());
            }
            message.truncate(len);
            self.low(1, 5, from.id, from.cookie);
            return Some(message);
        }
        let mut r = Registers {
            rax: 0x564D_5868,
            rbx: 0x0001_0000,
            rcx: len as u64,
            rdx: from.id << 16 | 0x5659,
            rsi: from.cookie.0,
            rdi: 0,
            rbp: from.cookie.1,
            backwards: false,
        };
        let (host, memory) = (&mut self.host, &mut self.memory);
        host.high_bandwidth(Form::Port, Direction::In, &mut r, memory, self.now);
        assert_eq!(r.rbx >> 16, 1);
        self.low(1, 5, from.id, from.cookie);
        Some(self.memory.0[..len].to_vec())
    }

    fn violations(&self) -> &[String] {
        self.host.violations()
    }
}

const RPCI: u64 = 0xC943_5052;
const TCLO: u64 = 0xCF4C_4354;

#[test]
fn an_exchange_as_in_the_reference_by_both_bandwidths() {
    // message-channel §2.5
    for high_bandwidth in [true, false] {
        let mut guest = Guest::new(|config| config.high_bandwidth = high_bandwidth);
        guest.host.set_variable("ip", *b"10.5.0.2");
        let channel = guest.open(RPCI);
        guest.send(&channel, b"info-get guestinfo.ip");
        assert_eq!(guest.receive(&channel).unwrap(), b"1 10.5.0.2");
        assert_eq!(guest.low(0, 6, channel.id, channel.cookie).rcx >> 16, 1);
        assert_eq!(guest.violations(), [""; 0]);
        let (open, size, status) = (1, 2, 1);
        let words = if high_bandwidth { 0 } else { 6 + 3 };
        assert_eq!(
            guest.host.stats.low_bandwidth,
            open + size + status + 1 + words
        );
    }
}

#[test]
fn steps_out_of_order_and_wrong_cookies_are_breaches() {
    let mut guest = Guest::new(|_| {});
    let channel = guest.open(RPCI);
    let wrong = (channel.cookie.0 ^ 1, channel.cookie.1);
    assert_eq!(guest.low(4, 1, channel.id, wrong).rcx >> 16, 0);
    assert_eq!(
        guest.low(1, 2, channel.id, channel.cookie).rcx >> 16,
        0,
        "no SENDSIZE before"
    );
    assert_eq!(guest.low(4, 1, 99, (0, 0)).rcx >> 16, 0, "no such channel");
    guest.low(3, 1, channel.id, channel.cookie);
    guest.low(0xff00_0000, 2, channel.id, channel.cookie);
    assert_eq!(
        guest.low(70_000, 1, channel.id, channel.cookie).rcx >> 16,
        0
    );
    // The fourth is the padding, the fifth the command that makes no sense, the sixth the size.
    assert_eq!(guest.violations().len(), 6, "{:#?}", guest.violations());
}

#[test]
fn a_new_tclo_channel_is_greeted_in_order() {
    let mut guest = Guest::new(|config| {
        config.options = vec!["broadcastIP 1".into()];
        config.ping_every = Some(Duration::from_secs(1));
    });
    let channel = guest.open(TCLO);
    guest.send(&channel, b"");
    assert_eq!(guest.receive(&channel).unwrap(), b"reset");
    assert!(!guest.host.is_greeted());
    guest.send(&channel, b"OK ATR toolbox");
    assert!(guest.host.is_greeted());
    for request in ["Capabilities_Register", "Set_Option broadcastIP 1"] {
        assert_eq!(guest.receive(&channel).unwrap(), request.as_bytes());
        guest.send(&channel, b"OK ");
    }
    assert!(guest.host.greeting_done());
    assert_eq!(guest.receive(&channel), None);
    guest.pass(1000);
    guest.send(&channel, b"");
    assert_eq!(guest.receive(&channel).unwrap(), b"ping");
    guest.pass(3);
    guest.send(&channel, b"OK ");
    let ping = guest.host.exchanges().last().unwrap();
    assert_eq!(ping.latency(), Some(Duration::from_millis(3)));
    let asked = guest.host.ask(*b"OS_Halt", guest.now);
    assert_eq!(guest.receive(&channel).unwrap(), b"OS_Halt");
    let now = guest.now;
    assert_eq!(
        guest.host.vcenter(now).tools_running,
        ToolsRunning::ExecutingScripts
    );
    guest.send(&channel, b"OK ");
    assert!(guest.host.exchange_of(asked).unwrap().replied.is_some());
    assert_eq!(guest.violations(), [""; 0]);
}

#[test]
fn replies_of_the_wrong_form_or_time_are_breaches() {
    let mut guest = Guest::new(|config| {
        config.greeting = false;
        config.reply_deadline = Duration::from_millis(500);
    });
    let channel = guest.open(TCLO);
    let mut breaches = 0;
    for (reply, delay) in [
        (&b"OK"[..], 0),
        (b"Unknown Command", 0),
        (b"OK \0", 0),
        (b"", 0),
        (b"OK ", 600),
    ] {
        guest.host.ask(*b"ping", guest.now);
        assert_eq!(guest.receive(&channel).unwrap(), b"ping");
        guest.pass(delay);
        guest.send(&channel, reply);
        breaches += 1;
        assert_eq!(
            guest.violations().len(),
            breaches,
            "{reply:?}: {:#?}",
            guest.violations()
        );
    }
    guest.send(&channel, b"OK ");
    assert_eq!(guest.violations().len(), breaches + 1, "nobody had asked");
}

#[test]
fn a_checkpoint_offers_the_same_request_again() {
    let mut guest = Guest::new(|config| config.high_bandwidth = false);
    let channel = guest.open(TCLO);
    guest.host.fault_on(
        Step::RecvPayload,
        Some(Protocol::Tclo),
        2,
        FaultKind::Checkpoint,
    );
    guest.low(0, 3, channel.id, channel.cookie);
    guest.low(1, 4, channel.id, channel.cookie);
    assert_eq!(guest.low(1, 4, channel.id, channel.cookie).rcx >> 16, 0x10);
    assert_eq!(guest.receive(&channel).unwrap(), b"reset");
    assert_eq!(guest.violations(), [""; 0]);
}

#[test]
fn the_heartbeat_fades_with_silence_and_comes_back() {
    let mut guest = Guest::new(|config| config.options.clear());
    let colour = |guest: &Guest| guest.host.vcenter(guest.now).heartbeat;
    assert_eq!(colour(&guest), Heartbeat::Gray);
    let channel = guest.open(TCLO);
    assert_eq!(guest.receive(&channel).unwrap(), b"reset");
    assert_eq!(colour(&guest), Heartbeat::Gray);
    guest.send(&channel, b"OK ATR toolbox");
    assert_eq!(colour(&guest), Heartbeat::Green);
    guest.pass(1900);
    assert_eq!(colour(&guest), Heartbeat::Green);
    guest.pass(200);
    assert_eq!(colour(&guest), Heartbeat::Yellow);
    guest.pass(8000);
    assert_eq!(colour(&guest), Heartbeat::Red);
    guest.send(&channel, b"");
    assert_eq!(colour(&guest), Heartbeat::Green);
    let now = guest.now;
    assert_eq!(
        guest.host.longest_silence(now),
        Duration::from_millis(10_100)
    );
    guest.host.close_channels(None, now);
    assert_eq!(colour(&guest), Heartbeat::Gray);
    assert_eq!(
        guest.low(0, 1, channel.id, channel.cookie).rcx >> 16,
        4,
        "CLOSED"
    );
    assert_eq!(guest.violations(), [""; 0], "the guest could not know");
}

#[test]
fn what_the_host_refuses_is_not_learnt() {
    let mut guest = Guest::new(|_| {});
    guest.host.refuse("tools.set.versiontype ");
    let channel = guest.open(RPCI);
    let mut ask = |message: &[u8]| {
        guest.send(&channel, message);
        guest.receive(&channel).unwrap()
    };
    assert_eq!(
        ask(b"tools.set.versiontype 2147483647 4\0"),
        b"0 Unknown command"
    );
    assert_eq!(ask(b"tools.set.version 2147483647\0"), b"1 ");
    assert_eq!(ask(b"no.such.thing\0"), b"0 Unknown command");
    assert_eq!(ask(b"tools.capability.statechange "), b"1 ");
    let view = guest.host.vcenter(guest.now);
    assert_eq!(view.tools_install_type, "guestToolsTypeUnknown");
    assert_eq!(view.tools_version_status, "guestToolsUnmanaged");
    assert!(view.state_change_supported);
    assert_eq!(
        guest
            .host
            .rpci_log()
            .iter()
            .filter(|entry| entry.accepted())
            .count(),
        2
    );
}

#[test]
fn vsock_connections_are_greeted_and_kept_alive_by_pings() {
    let mut guest = Guest::new(|config| {
        config.vsock = VsockPolicy::served();
        config.options.clear();
    });
    let id = guest.host.vsock_connected(TCLO_PORT, 2000, guest.now);
    let (request, packet) = guest.host.vsock_request(id, guest.now).unwrap();
    assert_eq!(packet, Packet::data(*b"reset"));
    guest.host.picked_up(request, guest.now);
    let reply = guest
        .host
        .vsock_packet(id, Packet::data(*b"OK ATR toolbox"), guest.now);
    assert!(reply.reply.is_none() && !reply.close);
    assert!(guest.host.is_greeted());
    guest.pass(1500);
    let ping = Packet {
        kind: PING,
        payload: None,
        fast_close: false,
    };
    guest.host.vsock_packet(id, ping, guest.now);
    guest.pass(1500);
    assert_eq!(guest.host.vcenter(guest.now).heartbeat, Heartbeat::Green);
    assert_eq!(guest.violations(), [""; 0]);
    let empty = Packet {
        kind: DATA,
        payload: None,
        fast_close: false,
    };
    assert!(guest.host.vsock_packet(id, empty, guest.now).close);
    assert_eq!(guest.violations().len(), 1);
}

#[test]
fn only_low_vsock_ports_are_privileged() {
    let mut guest = Guest::new(|config| config.vsock = VsockPolicy::served());
    let mut ask = |source: u32, message: &[u8]| {
        let id = guest.host.vsock_connected(RPCI_PORT, source, guest.now);
        let packet = Packet {
            fast_close: true,
            ..Packet::data(message)
        };
        let reaction = guest.host.vsock_packet(id, packet, guest.now);
        assert!(reaction.close, "fast close");
        reaction.reply.unwrap().payload.unwrap()
    };
    assert_eq!(
        ask(2000, b"namespace-priv-get-values x\0"),
        b"0 Permission denied"
    );
    assert_eq!(
        ask(1023, b"namespace-priv-get-values x\0"),
        b"0 Unknown command"
    );
    assert_eq!(
        guest.host.vsock_bind(1023, guest.now),
        Err(libc::EADDRINUSE)
    );
}
