//! Sees which functions of the program are called: each has a breakpoint at its start until its first call.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

const BREAKPOINT: [u8; 1] = [0xcc];

/// The breakpoints of one address space: where a function lies now, its address in the file and its first byte.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstCalls(HashMap<u64, (u64, [u8; 1])>);

impl FirstCalls {
    /// Puts a breakpoint at each function of a program whose address 0 lies at `base`. Where one stands already, the
    /// function is not seen.
    pub(super) fn place(memory: &File, functions: &[u64], base: u64) -> Self {
        let place = |&function: &u64| {
            let at = base + function;
            let mut first = [0; 1];
            memory.read_exact_at(&mut first, at).ok()?;
            if first == BREAKPOINT {
                return None;
            }
            memory.write_all_at(&BREAKPOINT, at).ok()?;
            Some((at, (function, first)))
        };
        Self(functions.iter().filter_map(place).collect())
    }

    /// A breakpoint at this address was hit: takes it away and says whose it was. `None` for any other.
    pub(super) fn called(&mut self, memory: &File, at: u64) -> Option<u64> {
        let (function, first) = self.0.remove(&at)?;
        memory.write_all_at(&first, at).ok()?;
        Some(function)
    }
}
