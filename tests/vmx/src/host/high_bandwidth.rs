//! High bandwidth: a whole message in one instruction (message.c).

use std::time::Instant;

use super::Host;
use super::channel::{CLOSED, Channel, SUCCESS};
use super::event::EventKind;
use super::fault::{FaultKind, Step};
use super::port::{
    Direction, FLAG_HB, FLAG_WRITE, GuestMemory, MAGIC, PORT_HB, Registers, Verdict,
};
use crate::profile::Form;

impl Host {
    /// One high-bandwidth call: `rep outsb`, `rep insb`, or a hypercall.
    pub fn high_bandwidth(
        &mut self,
        form: Form,
        direction: Direction,
        r: &mut Registers,
        memory: &mut dyn GuestMemory,
        now: Instant,
    ) -> Verdict {
        if !self.config.profile.has_backdoor() || !self.config.profile.answers(form) {
            self.stats.faulted += 1;
            return Verdict::Fault;
        }
        self.count(form);
        match direction {
            Direction::Out => self.stats.high_bandwidth_out += 1,
            Direction::In => self.stats.high_bandwidth_in += 1,
        }
        let (ax, bx, dx) = (r.rax as u32, r.rbx as u32, r.rdx as u32);
        let port_fits = match (form, direction) {
            (Form::Port, _) => dx & 0xffff == PORT_HB,
            (_, Direction::Out) => dx & 0xffff == FLAG_HB | FLAG_WRITE,
            (_, Direction::In) => dx & 0xffff == FLAG_HB,
        };
        if ax != MAGIC || !port_fits || self.faults.restricted {
            if !self.faults.restricted {
                self.violation(
                    now,
                    format!("{form:?} {direction:?}: eax {ax:#010x}, edx {dx:#010x}"),
                );
            }
            self.stats.faulted += 1;
            return Verdict::Fault;
        }
        if self.faults.dead_port {
            self.fill_hb(r, false);
            return Verdict::Done;
        }
        let id = (dx >> 16) as u16;
        let (step, cookie) = match direction {
            Direction::Out => (Step::HighBandwidthOut, (r.rbp as u32, r.rdi as u32)),
            Direction::In => (Step::HighBandwidthIn, (r.rsi as u32, r.rbp as u32)),
        };
        let protocol = self.channels.get(&id).map(Channel::protocol);
        let status = match self.due(step, protocol) {
            Some(FaultKind::Fault) => {
                self.stats.faulted += 1;
                return Verdict::Fault;
            }
            Some(kind @ (FaultKind::Ones | FaultKind::Garbage)) => {
                self.event(now, EventKind::Fault(format!("{kind:?} at {step:?}")));
                self.fill_hb(r, kind == FaultKind::Garbage);
                return Verdict::Done;
            }
            Some(kind) => self.play_status(kind, step, id, now),
            None if !self.known(id, cookie, step, now) => {
                if self.closed_by_host.contains(&id) {
                    CLOSED
                } else {
                    0
                }
            }
            None => {
                if bx & 0xffff != 0 || bx >> 16 != SUCCESS {
                    self.violation(now, format!("ch{id}: {step:?} with ebx {bx:#010x}"));
                }
                if r.backwards {
                    self.violation(now, format!("ch{id}: {step:?} with the direction flag set"));
                }
                match direction {
                    Direction::Out => self.transfer_out(id, r, memory, now),
                    Direction::In => self.transfer_in(id, r, memory, now),
                }
            }
        };
        if form == Form::Port {
            let count = r.rcx;
            match direction {
                Direction::Out => r.rsi = r.rsi.wrapping_add(count),
                Direction::In => r.rdi = r.rdi.wrapping_add(count),
            }
            r.rcx = 0;
        }
        r.rbx = u64::from(status << 16 | (bx & 0xffff));
        Verdict::Done
    }

    fn fill_hb(&mut self, r: &mut Registers, garbage: bool) {
        let mut filled = *r;
        self.fill(&mut filled, garbage);
        r.rax = filled.rax;
        r.rbx = filled.rbx;
        r.rcx = 0;
    }

    fn transfer_out(
        &mut self,
        id: u16,
        r: &Registers,
        memory: &mut dyn GuestMemory,
        now: Instant,
    ) -> u32 {
        let sending = self
            .channels
            .get_mut(&id)
            .and_then(|channel| channel.sending.as_mut());
        let Some(sending) = sending else {
            self.violation(now, format!("ch{id}: high-bandwidth send without SENDSIZE"));
            return 0;
        };
        let (expected, offered) = (sending.expected, sending.hb);
        if !offered || r.rcx != expected as u64 || !sending.bytes.is_empty() {
            self.violation(
                now,
                format!("ch{id}: high-bandwidth send of {} bytes; {expected} were announced, offered: {offered}", r.rcx),
            );
            return 0;
        }
        match memory.read(r.rsi, expected) {
            Ok(bytes) => {
                if let Some(sending) = self.channels.get_mut(&id).and_then(|c| c.sending.as_mut()) {
                    sending.bytes = bytes;
                }
                self.sent(id, now);
                SUCCESS
            }
            Err(error) => {
                self.violation(
                    now,
                    format!("ch{id}: high-bandwidth send from {:#x}: {error}", r.rsi),
                );
                0
            }
        }
    }

    fn transfer_in(
        &mut self,
        id: u16,
        r: &Registers,
        memory: &mut dyn GuestMemory,
        now: Instant,
    ) -> u32 {
        let receiving = self
            .channels
            .get_mut(&id)
            .and_then(|channel| channel.receiving.as_mut());
        let Some(receiving) = receiving else {
            self.violation(
                now,
                format!("ch{id}: high-bandwidth receive with nothing offered"),
            );
            return 0;
        };
        let len = receiving.message.len();
        if !receiving.hb || r.rcx != len as u64 || receiving.at != 0 {
            let text = format!(
                "ch{id}: high-bandwidth receive of {} bytes, message has {len}",
                r.rcx
            );
            self.violation(now, text);
            return 0;
        }
        receiving.at = len;
        match memory.write(r.rdi, &receiving.message) {
            Ok(()) => SUCCESS,
            Err(error) => {
                self.violation(
                    now,
                    format!("ch{id}: high-bandwidth receive to {:#x}: {error}", r.rdi),
                );
                0
            }
        }
    }
}
