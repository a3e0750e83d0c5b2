/// Counters of the kernel that, taken together, no other machine has at this moment (stat).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// When the machine booted, in seconds since 1970 by its own clock (btime); moves when the clock is stepped.
    pub boot_time: u64,
    /// Context switches since boot (ctxt).
    pub context_switches: u64,
    /// Processes and threads started since boot (processes).
    pub processes: u64,
}
