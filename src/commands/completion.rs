//! `completion`: a script that completes this program's arguments in a shell.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::config::Cli;

/// The script for `shell`.
pub fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "talos-vmtoolsd", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_shell_completes_subcommands_flags_and_values() {
        for &shell in Shell::value_variants() {
            let script = String::from_utf8(script(shell)).unwrap();
            for word in ["talosquery", "skip-vmware-detection"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
        let bash = String::from_utf8(script(Shell::Bash)).unwrap();
        assert!(bash.contains("auto vsock backdoor"), "{bash}");
    }
}
