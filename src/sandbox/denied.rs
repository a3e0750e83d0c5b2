//! The system calls that the filter has denied: noted in the signal handler, reported by the event loop.
//!
//! ```text
//! call ──► SIGSYS ──► handler (traps): note(), EPERM ──► tokio's handler wakes the event loop
//!                                                                      ──► Denied::next() names the call, once
//! ```
//! A signal handler may do no more than note the number. The handler itself is in [`crate::traps`].

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nix::libc;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::calls;

/// Numbers below this have a bit of their own; there are some 470 calls.
const NUMBERS: usize = 512;

/// A bit for each number that was denied.
static NOTED: [AtomicU64; NUMBERS / 64] = [const { AtomicU64::new(0) }; NUMBERS / 64];
/// The first number beyond, such as one of x32; 0 is none.
static BEYOND: AtomicU32 = AtomicU32::new(0);

/// Notes a denied call. Async-signal-safe: atomics and nothing else.
pub(super) fn note(number: u32) {
    let index = number as usize;
    match NOTED.get(index / 64) {
        Some(word) => {
            word.fetch_or(1 << (index % 64), Ordering::Relaxed);
        }
        None => {
            let _ = BEYOND.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

/// A call that was denied, at least once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeniedCall {
    /// Its number on this processor.
    pub number: u32,
}

impl fmt::Display for DeniedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match calls::name(self.number) {
            Some(name) => f.write_str(name),
            None => write!(f, "number {}", self.number),
        }
    }
}

/// Reports each denied call once.
#[derive(Debug)]
pub struct Denied {
    /// `None` where nothing is denied.
    happened: Option<Signal>,
    reported: [u64; NUMBERS / 64],
    beyond_told: bool,
}

impl Denied {
    /// Listens from here on. Call it within a runtime, after the handler has been installed: tokio's handler
    /// calls that one before its own.
    ///
    /// # Errors
    /// Those of sigaction.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            happened: Some(signal(SignalKind::from_raw(libc::SIGSYS))?),
            ..Self::nothing()
        })
    }

    /// Where nothing is denied.
    pub fn nothing() -> Self {
        Self {
            happened: None,
            reported: [0; NUMBERS / 64],
            beyond_told: false,
        }
    }

    /// The next call that has not been reported yet; cancel-safe.
    pub async fn next(&mut self) -> DeniedCall {
        loop {
            if let Some(number) = self.unreported() {
                return DeniedCall { number };
            }
            match &mut self.happened {
                Some(happened) => {
                    happened.recv().await;
                }
                None => std::future::pending().await,
            }
        }
    }

    fn unreported(&mut self) -> Option<u32> {
        for ((word, reported), first) in NOTED.iter().zip(&mut self.reported).zip((0..).step_by(64))
        {
            let fresh = word.load(Ordering::Relaxed) & !*reported;
            if fresh != 0 {
                let bit = fresh.trailing_zeros();
                *reported |= 1 << bit;
                return Some(first + bit);
            }
        }
        let beyond = BEYOND.load(Ordering::Relaxed);
        if beyond != 0 && !self.beyond_told {
            self.beyond_told = true;
            return Some(beyond);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_told_once_by_its_name() {
        let mut denied = Denied::nothing();
        let number = syscalls::Sysno::swapon.id().unsigned_abs();
        note(number);
        note(number);
        note(0x4000_0000 | 59);
        note(0x4000_0000 | 60);
        let mut reported = Vec::new();
        while let Some(number) = denied.unreported() {
            reported.push(DeniedCall { number }.to_string());
        }
        assert_eq!(reported, ["swapon", "number 1073741883"]);
        note(number);
        assert_eq!(denied.unreported(), None);
    }
}
