//! Which program a StartProgram means: by name, by path, or as the one command of a shell.

use super::command_line::{Fault, Redirection, parse};
use crate::guest_operations::Failure;

/// Folders where programs are looked for.
const FOLDERS: [&str; 3] = ["/bin/", "/usr/bin/", "/usr/local/bin/"];
/// Shells in shells: Ansible wraps a command twice.
const MOST_SHELLS: usize = 4;
/// The exit code of a shell that does not understand its script.
const NOT_UNDERSTOOD: i32 = 2;
/// The exit code of a shell that does not find a program.
const NOT_FOUND: i32 = 127;

/// The programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// Reading commands of talosctl.
    Talosctl,
    /// The checks of the agent.
    Vmtoolsd,
    /// One call of the Talos API.
    RoundTrip,
    /// The bytes of a connection to the Talos API.
    Stream,
}

/// What to run, and where its output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The program with its arguments, or the reason why a shell cannot run it.
    pub(super) command: Result<(Program, Vec<String>), Refusal>,
    /// What goes where.
    pub(super) redirections: Vec<Redirection>,
}

/// Why a command cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Who says so.
    pub(super) by: &'static str,
    /// The exit code.
    pub(super) code: i32,
    /// Why.
    pub(super) reason: String,
}

/// A program or a shell around one.
#[derive(Clone, Copy)]
enum Named {
    Shell(&'static str),
    Program(Program),
}

impl Program {
    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Talosctl => "talosctl",
            Self::Vmtoolsd => "talos-vmtoolsd",
            Self::RoundTrip => "http.RoundTrip",
            Self::Stream => "apid.Stream",
        }
    }
}

impl Named {
    fn of(path: &str) -> Option<Self> {
        let name = FOLDERS
            .iter()
            .find_map(|folder| path.strip_prefix(folder))
            .unwrap_or(path);
        Some(match name {
            "talosctl" => Self::Program(Program::Talosctl),
            "talos-vmtoolsd" => Self::Program(Program::Vmtoolsd),
            "http.RoundTrip" => Self::Program(Program::RoundTrip),
            "apid.Stream" => Self::Program(Program::Stream),
            "sh" => Self::Shell("sh"),
            "bash" => Self::Shell("bash"),
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Shell(name) => name,
            Self::Program(program) => program.name(),
        }
    }
}

impl Asked {
    /// Finds it out.
    ///
    /// # Errors
    /// [`Failure::NotFound`] when `path` is no program.
    pub(super) fn of(path: &str, arguments: &str) -> Result<Self, Failure> {
        if path.is_empty() {
            return Err(Failure::Invalid);
        }
        let mut named = Named::of(path).ok_or(Failure::NotFound)?;
        let mut line = parse(arguments);
        let mut redirections = Vec::new();
        let mut shells = 0;
        let command = loop {
            redirections.append(&mut line.redirections);
            if let Some(fault) = line.fault {
                break Err(not_understood(named, fault));
            }
            match named {
                Named::Program(program) => break Ok((program, line.words)),
                Named::Shell(shell) => {
                    shells += 1;
                    let refuse = |code, reason: String| {
                        Err(Refusal {
                            by: shell,
                            code,
                            reason,
                        })
                    };
                    let [flag, script] = &line.words[..] else {
                        break refuse(NOT_UNDERSTOOD, ONE_COMMAND.to_owned());
                    };
                    if flag != "-c" || shells > MOST_SHELLS {
                        break refuse(NOT_UNDERSTOOD, ONE_COMMAND.to_owned());
                    }
                    let mut inner = parse(script);
                    let Some(name) = inner.words.first() else {
                        redirections.append(&mut inner.redirections);
                        break refuse(NOT_UNDERSTOOD, ONE_COMMAND.to_owned());
                    };
                    match Named::of(name) {
                        Some(found) => named = found,
                        // What is wrong with the line comes first: its first word may be none.
                        None if inner.fault.is_some() => {}
                        None => {
                            redirections.append(&mut inner.redirections);
                            break refuse(NOT_FOUND, no_program(name));
                        }
                    }
                    inner.words.remove(0);
                    line = inner;
                }
            }
        };
        Ok(Self {
            command,
            redirections,
        })
    }

    /// Whether the program reaches the Talos API.
    pub(super) const fn relays(&self) -> bool {
        matches!(self.command, Ok((Program::RoundTrip | Program::Stream, _)))
    }
}

/// What a shell here is for.
const ONE_COMMAND: &str =
    "there is no shell on Talos; only -c with exactly one command is understood";

fn not_understood(by: Named, fault: Fault) -> Refusal {
    Refusal {
        by: by.name(),
        code: NOT_UNDERSTOOD,
        reason: format!("{fault}: there is no shell on Talos, only one command with its arguments"),
    }
}

fn no_program(name: &str) -> String {
    format!(
        "{name:.64}: no such program; there are talosctl and talos-vmtoolsd check, see talosctl help"
    )
}

#[cfg(test)]
mod tests {
    use super::super::Stdio;
    use super::super::command_line::Outputs;
    use super::*;

    fn open(of: Stdio, path: &str) -> Redirection {
        Redirection::Open {
            of: Outputs::One(of),
            path: path.to_owned(),
        }
    }

    fn command(asked: &Asked) -> (Program, Vec<&str>) {
        let (program, words) = asked.command.as_ref().unwrap();
        (*program, words.iter().map(String::as_str).collect())
    }

    #[test]
    fn a_program_is_found_by_name_and_in_three_folders() {
        for path in [
            "talosctl",
            "/bin/talosctl",
            "/usr/bin/talosctl",
            "/usr/local/bin/talosctl",
        ] {
            let asked = Asked::of(path, "dmesg -f").unwrap();
            assert_eq!(command(&asked), (Program::Talosctl, vec!["dmesg", "-f"]));
        }
        for path in [
            "/sbin/talosctl",
            "bin/talosctl",
            "/bin//talosctl",
            "ls",
            "/bin/",
            "./sh",
        ] {
            assert_eq!(Asked::of(path, ""), Err(Failure::NotFound), "{path}");
        }
        assert_eq!(Asked::of("", ""), Err(Failure::Invalid));
    }

    #[test]
    fn each_client_has_a_form_of_its_own() {
        let (out, err) = ("/tmp/govmomi-vmware1", "/tmp/govmomi-vmware2");
        let both = vec![open(Stdio::Stdout, out), open(Stdio::Stderr, err)];
        for (client, path, arguments) in [
            (
                "govc, a bare name",
                "/bin/bash",
                format!("-c 'talosctl logs apid 1> {out} 2> {err}'"),
            ),
            (
                "govc, a path",
                "/usr/bin/talosctl",
                format!("logs apid 1> {out} 2> {err}"),
            ),
            (
                "Ansible",
                "/bin/sh",
                format!("-c 'talosctl logs apid' 1> {out} 2> {err}"),
            ),
            (
                "Ansible with a shell of its own",
                "/bin/sh",
                format!("-c '/bin/sh -c '\"'\"'talosctl logs apid'\"'\"'' 1> {out} 2> {err}"),
            ),
        ] {
            let asked = Asked::of(path, &arguments).unwrap();
            assert_eq!(
                command(&asked),
                (Program::Talosctl, vec!["logs", "apid"]),
                "{client}"
            );
            assert_eq!(asked.redirections, both, "{client}");
        }
        let asked = Asked::of(
            "/bin/bash",
            &format!("> {out} 2>&1 -c \"talosctl version\r\n\""),
        )
        .unwrap();
        assert_eq!(command(&asked), (Program::Talosctl, vec!["version"]));
        let join = Redirection::Join {
            of: Stdio::Stderr,
            to: Stdio::Stdout,
        };
        assert_eq!(asked.redirections, [open(Stdio::Stdout, out), join]);
    }

    #[test]
    fn a_shell_runs_one_program_of_ours_and_says_why_not() {
        for (arguments, code, reason) in [
            ("", 2, "-c"),
            ("script.sh", 2, "-c"),
            ("-c", 2, "-c"),
            ("-c 'talosctl version' again", 2, "-c"),
            ("-x 'talosctl version'", 2, "-c"),
            ("-c ''", 2, "-c"),
            ("-c '> /tmp/a'", 2, "-c"),
            ("-c 'talosctl version; talosctl dmesg'", 2, "one command"),
            ("-c 'A=1; ls | wc'", 2, "one command"),
            ("-c 'ls | wc'", 2, "pipes"),
            ("-c 'ls -l /'", 127, "ls: no such program"),
            ("-c 'A=1 talosctl'", 127, "A=1"),
            (
                "-c 'sh -c \"sh -c sh\\ -c\\ ls\"'",
                127,
                "ls: no such program",
            ),
            (
                "-c 'sh -c \"sh -c sh\\ -c\\ sh\\\\\\ -c\\\\\\ ls\"'",
                2,
                "-c",
            ),
        ] {
            let refusal = Asked::of("/bin/sh", arguments)
                .unwrap()
                .command
                .unwrap_err();
            assert_eq!(refusal.code, code, "{arguments}");
            assert!(
                refusal.reason.contains(reason),
                "{arguments}: {}",
                refusal.reason
            );
        }
    }

    #[test]
    fn the_reason_goes_where_the_client_looks() {
        for arguments in [
            "-c 'ls / 1> /tmp/a 2> /tmp/b'",
            "-c 'ls | wc 1> /tmp/a 2> /tmp/b'",
            "-c 'ls /' 1> /tmp/a 2> /tmp/b",
            "-c '1> /tmp/a 2> /tmp/b'",
        ] {
            let asked = Asked::of("bash", arguments).unwrap();
            assert!(asked.command.is_err());
            let both = [open(Stdio::Stdout, "/tmp/a"), open(Stdio::Stderr, "/tmp/b")];
            assert_eq!(asked.redirections, both, "{arguments}");
        }
    }
}
