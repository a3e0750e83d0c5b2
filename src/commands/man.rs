//! `man`: the manual page as roff.
//!
//! It lies in docs/, made from the command line's definition by the test `generated`: a daemon has no use for a
//! generator in its memory.

/// The manual page.
pub const PAGE: &str = include_str!("../../docs/talos-vmtoolsd.1");
