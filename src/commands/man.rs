//! `man`: the manual page as roff.
//!
//! It lies in docs/, made from the command line's definition by the test `generated`: a daemon has no use for a
//! generator in its memory.

/// The manual page.
pub const PAGE: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/docs/talos-vmtoolsd.1"
));
