//! `completion`: a script that completes this program's arguments in a shell.
//!
//! The scripts lie in docs/completions/, made from the command line's definition by the test `generated`: a
//! daemon has no use for a generator in its memory.

use crate::config::cli::Shell;

/// The script for `shell`.
pub const fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/docs/completions/talos-vmtoolsd.bash"
        )),
        Shell::Elvish => include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/docs/completions/talos-vmtoolsd.elv"
        )),
        Shell::Fish => include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/docs/completions/talos-vmtoolsd.fish"
        )),
        Shell::Powershell => include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/docs/completions/_talos-vmtoolsd.ps1"
        )),
        Shell::Zsh => include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/docs/completions/_talos-vmtoolsd"
        )),
    }
}
