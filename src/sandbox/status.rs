//! What the kernel reports of this thread's rights: /proc/thread-self/status.
//!
//! ```text
//! CapInh:  0000000000000000        NoNewPrivs:  1
//! CapPrm:  0000000000000400        Seccomp:  2        (0 none, 1 strict, 2 filter)
//! CapEff:  0000000000000400
//! ```

/// The fields that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// Capabilities in effect, permitted, inheritable or ambient; a bit for each number.
    pub(super) capabilities: u64,
    /// Whether no executed program can gain rights.
    pub(super) no_new_privs: bool,
    /// Whether system calls are filtered.
    pub(super) seccomp: bool,
}

impl Status {
    /// This thread's; `None` where /proc is missing.
    pub(super) fn read() -> Option<Self> {
        Self::parse(&std::fs::read_to_string("/proc/thread-self/status").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
        };
        let set = |name| u64::from_str_radix(field(name)?, 16).ok();
        Some(Self {
            capabilities: set("CapInh")? | set("CapPrm")? | set("CapEff")? | set("CapAmb")?,
            no_new_privs: field("NoNewPrivs")? == "1",
            seccomp: field("Seccomp")? == "2",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found() {
        let text = "Name:\tx\nCapInh:\t0000000000000001\nCapPrm:\t0000000000000400\nCapEff:\t0000000000000400\n\
                    CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
                    Seccomp_filters:\t3\n";
        let status = Status {
            capabilities: 0x401,
            no_new_privs: true,
            seccomp: true,
        };
        assert_eq!(Status::parse(text), Some(status));
        assert_eq!(Status::parse("Name:\tx\n"), None);
        assert!(Status::read().is_some());
    }
}
