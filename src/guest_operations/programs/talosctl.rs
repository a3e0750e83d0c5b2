//! `talosctl`: its commands that read, in its own words, and what each asks of Talos.

use super::help::HELP;
use crate::guest_operations::Right;
use crate::inquiry::{Form, Inquiry, Show};

/// What a command wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// A text that is there.
    Say(&'static str),
    /// What Talos says, as it comes.
    Ask {
        /// The question.
        inquiry: Inquiry,
        /// It has no end of its own.
        is_endless: bool,
    },
    /// The checks of the agent.
    Check,
    /// The names in a folder.
    List {
        /// Absolute.
        path: String,
        /// With everything that is known of each.
        is_long: bool,
    },
    /// A file.
    Read {
        /// Absolute.
        path: String,
    },
}

impl Command {
    const fn show(show: Show) -> Self {
        Self::ask(Inquiry::Show(show))
    }

    const fn ask(inquiry: Inquiry) -> Self {
        Self::Ask {
            inquiry,
            is_endless: false,
        }
    }

    /// The right that it needs beside the one to start programs.
    pub(super) const fn right(&self) -> Option<(Right, &'static str)> {
        match self {
            Self::List { .. } | Self::Read { .. } => Some((Right::Files, "files")),
            Self::Ask {
                inquiry: Inquiry::Show(Show::Processes),
                ..
            } => Some((Right::Processes, "processes")),
            Self::Say(_) | Self::Check | Self::Ask { .. } => None,
        }
    }
}

/// Commands of talosctl that write, or that are about more than this node.
const WRITING: [&str; 29] = [
    "apply",
    "apply-config",
    "bootstrap",
    "cluster",
    "config",
    "cp",
    "copy",
    "debug",
    "edit",
    "gen",
    "image",
    "inject",
    "kubeconfig",
    "machineconfig",
    "meta",
    "patch",
    "pcap",
    "reboot",
    "reset",
    "restart",
    "rollback",
    "rotate-ca",
    "shutdown",
    "upgrade",
    "upgrade-k8s",
    "wipe",
    "conformance",
    "inspect",
    "dashboard",
];

/// What `talosctl ARGUMENTS` wants.
///
/// # Errors
/// Why it is refused.
pub(super) fn command(arguments: &[String]) -> Result<Command, String> {
    let mut words = Words::of(arguments)?;
    if words.flag(&["-h", "--help"]) {
        return Ok(Command::Say(HELP));
    }
    let Some(name) = words.next() else {
        return Ok(Command::Say(HELP));
    };
    let command = match name.as_str() {
        "help" => {
            words.rest.clear();
            Command::Say(HELP)
        }
        "version" => Command::show(Show::Version),
        "dmesg" => {
            let follow = words.flag(&["-f", "--follow"]);
            Command::Ask {
                inquiry: Inquiry::Dmesg { follow },
                is_endless: follow,
            }
        }
        "logs" => {
            let follow = words.flag(&["-f", "--follow"]);
            let tail = words.value(&["--tail"])?.map(|tail| lines(&tail));
            let tail = tail.transpose()?.flatten();
            let service = words.wanted("the id of a service, see talosctl services")?;
            Command::Ask {
                inquiry: Inquiry::Logs {
                    service,
                    tail,
                    follow,
                },
                is_endless: follow,
            }
        }
        "services" | "service" => match words.next() {
            None => Command::show(Show::Services),
            Some(service) => match words.next().as_deref() {
                None | Some("status") => Command::show(Show::Service(service)),
                Some(_) => return Err(only_reading("service ID start|stop|restart")),
            },
        },
        "processes" | "p" => Command::show(Show::Processes),
        "get" | "g" => {
            let form = match words.value(&["-o", "--output"])?.as_deref() {
                None | Some("table") => Form::Table,
                Some("yaml") => Form::Yaml,
                Some(_) => return Err("-o is yaml or table".to_owned()),
            };
            let kind = words.wanted("a type of resources, such as machinestatus")?;
            let id = words.next();
            Command::ask(Inquiry::Resources { kind, id, form })
        }
        "mounts" | "mount" => Command::show(Show::Mounts),
        "memory" | "free" | "m" => Command::show(Show::Memory),
        "netstat" | "ss" => Command::show(Show::Netstat),
        "events" => Command::show(Show::Events),
        "containers" | "c" => Command::show(Show::Containers),
        "stats" => Command::show(Show::Stats),
        "etcd" => match words.next().as_deref() {
            Some("status") => Command::show(Show::EtcdStatus),
            Some("members") => Command::show(Show::EtcdMembers),
            _ => return Err("of etcd there are only status and members".to_owned()),
        },
        "list" | "ls" => {
            let is_long = words.flag(&["-l", "--long"]);
            let path = words.next().unwrap_or_else(|| "/".to_owned());
            Command::List { path, is_long }
        }
        "read" | "cat" => Command::Read {
            path: words.wanted("the path of a file")?,
        },
        "support" => Command::Read {
            path: "/talos/support.tgz".to_owned(),
        },
        name if WRITING.contains(&name) => return Err(only_reading(name)),
        name => {
            let name: String = name.chars().take(64).collect();
            return Err(format!("unknown command {name:?}; see talosctl help"));
        }
    };
    words.end(&name)?;
    Ok(command)
}

/// What `talos-vmtoolsd ARGUMENTS` wants.
///
/// # Errors
/// Why it is refused.
pub(super) fn of_the_agent(arguments: &[String]) -> Result<Command, String> {
    match arguments {
        [check] if check == "check" => Ok(Command::Check),
        _ => Err("here there is only talos-vmtoolsd check".to_owned()),
    }
}

fn only_reading(command: &str) -> String {
    format!("{command} is not here: guest operations have only reading commands, see talosctl help")
}

/// How many lines; talosctl takes -1 for all.
fn lines(tail: &str) -> Result<Option<u32>, String> {
    let lines = match tail.parse::<i64>() {
        Ok(..0) => return Ok(None),
        Ok(tail) => u32::try_from(tail).ok(),
        Err(_) => None,
    };
    lines
        .map(Some)
        .ok_or_else(|| "--tail is a number of lines".to_owned())
}

/// Flags that choose among nodes or ways to them: there is one of each.
const ELSEWHERE: [&str; 6] = [
    "--nodes",
    "--endpoints",
    "--talosconfig",
    "--context",
    "--cluster",
    "--siderov1-keys-dir",
];

/// The arguments that are left.
struct Words {
    rest: Vec<String>,
}

impl Words {
    fn of(arguments: &[String]) -> Result<Self, String> {
        for argument in arguments {
            let name = argument.split('=').next().unwrap_or_default();
            let is_short = argument.starts_with("-n") || argument.starts_with("-e");
            if is_short || ELSEWHERE.contains(&name) {
                return Err(format!(
                    "{name} is not here: the one node is this one, and the agent connects to it"
                ));
            }
        }
        Ok(Self {
            rest: arguments.to_vec(),
        })
    }

    /// The next that is no flag.
    fn next(&mut self) -> Option<String> {
        let place = self.rest.iter().position(|word| !is_flag(word))?;
        Some(self.rest.remove(place))
    }

    fn wanted(&mut self, what: &str) -> Result<String, String> {
        self.next()
            .ok_or_else(|| format!("it wants {what}; see talosctl help"))
    }

    /// Whether a flag is there, which has no value.
    fn flag(&mut self, names: &[&str]) -> bool {
        let before = self.rest.len();
        self.rest.retain(|word| !names.contains(&word.as_str()));
        self.rest.len() < before
    }

    /// The value of a flag: `-o V`, `-oV`, `--output V`, `--output=V`.
    fn value(&mut self, names: &[&str]) -> Result<Option<String>, String> {
        for name in names {
            let Some(place) = self.rest.iter().position(|word| word.starts_with(name)) else {
                continue;
            };
            let word = self.rest.remove(place);
            let joined = word.get(name.len()..).unwrap_or_default();
            if joined.is_empty() {
                if place < self.rest.len() {
                    return Ok(Some(self.rest.remove(place)));
                }
                return Err(format!("{name} wants a value"));
            }
            let joined = joined.strip_prefix('=').unwrap_or(joined);
            return Ok(Some(joined.to_owned()));
        }
        Ok(None)
    }

    /// Nothing may be left.
    fn end(&self, command: &str) -> Result<(), String> {
        let Some(word) = self.rest.first() else {
            return Ok(());
        };
        let word: String = word.chars().take(64).collect();
        Err(format!(
            "{command} takes no {word:?} here; see talosctl help"
        ))
    }
}

fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Command, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        command(&words)
    }

    fn logs(tail: Option<u32>, follow: bool) -> Command {
        Command::Ask {
            inquiry: Inquiry::Logs {
                service: "apid".to_owned(),
                tail,
                follow,
            },
            is_endless: follow,
        }
    }

    fn get(kind: &str, id: Option<&str>, form: Form) -> Command {
        Command::ask(Inquiry::Resources {
            kind: kind.to_owned(),
            id: id.map(str::to_owned),
            form,
        })
    }

    #[test]
    fn commands_ask_what_talosctl_asks() {
        for (line, wanted) in [
            ("", Command::Say(HELP)),
            ("help", Command::Say(HELP)),
            ("help dmesg", Command::Say(HELP)),
            ("--help", Command::Say(HELP)),
            ("logs -h", Command::Say(HELP)),
            ("version", Command::show(Show::Version)),
            ("dmesg", Command::ask(Inquiry::Dmesg { follow: false })),
            ("logs apid", logs(None, false)),
            ("logs apid --tail 5", logs(Some(5), false)),
            ("logs --tail=5 apid -f", logs(Some(5), true)),
            ("logs --tail -1 apid", logs(None, false)),
            ("logs --follow apid", logs(None, true)),
            ("services", Command::show(Show::Services)),
            ("service", Command::show(Show::Services)),
            (
                "service apid",
                Command::show(Show::Service("apid".to_owned())),
            ),
            (
                "service apid status",
                Command::show(Show::Service("apid".to_owned())),
            ),
            ("processes", Command::show(Show::Processes)),
            ("get machinestatus", get("machinestatus", None, Form::Table)),
            (
                "get links eth0 -o yaml",
                get("links", Some("eth0"), Form::Yaml),
            ),
            (
                "get -o yaml links eth0",
                get("links", Some("eth0"), Form::Yaml),
            ),
            ("get links -oyaml", get("links", None, Form::Yaml)),
            ("get links --output=table", get("links", None, Form::Table)),
            ("get links --output yaml", get("links", None, Form::Yaml)),
            ("mounts", Command::show(Show::Mounts)),
            ("memory", Command::show(Show::Memory)),
            ("netstat", Command::show(Show::Netstat)),
            ("events", Command::show(Show::Events)),
            ("etcd status", Command::show(Show::EtcdStatus)),
            ("etcd members", Command::show(Show::EtcdMembers)),
            ("containers", Command::show(Show::Containers)),
            ("stats", Command::show(Show::Stats)),
            (
                "list",
                Command::List {
                    path: "/".to_owned(),
                    is_long: false,
                },
            ),
            (
                "ls -l /talos",
                Command::List {
                    path: "/talos".to_owned(),
                    is_long: true,
                },
            ),
            (
                "read /talos/README.txt",
                Command::Read {
                    path: "/talos/README.txt".to_owned(),
                },
            ),
            (
                "cat /talos/README.txt",
                Command::Read {
                    path: "/talos/README.txt".to_owned(),
                },
            ),
            (
                "support",
                Command::Read {
                    path: "/talos/support.tgz".to_owned(),
                },
            ),
        ] {
            assert_eq!(of(line), Ok(wanted), "{line}");
        }
        let follow = Command::Ask {
            inquiry: Inquiry::Dmesg { follow: true },
            is_endless: true,
        };
        assert_eq!(of("dmesg -f"), Ok(follow.clone()));
        assert_eq!(of("dmesg --follow"), Ok(follow));
    }

    #[test]
    fn what_cannot_be_had_says_why() {
        for (line, reason) in [
            ("reboot", "only reading commands"),
            ("apply-config -f x.yaml", "only reading commands"),
            ("service apid restart", "only reading commands"),
            ("etcd leave", "only status and members"),
            ("etcd", "only status and members"),
            (
                "frobnicate",
                "unknown command \"frobnicate\"; see talosctl help",
            ),
            ("logs", "the id of a service"),
            ("logs apid kubelet", "takes no \"kubelet\""),
            ("logs apid --tail", "--tail wants a value"),
            ("logs apid --tail x", "number of lines"),
            ("logs apid --tail 99999999999", "number of lines"),
            ("get", "a type of resources"),
            ("get links -o json", "yaml or table"),
            ("get a b c", "takes no \"c\""),
            ("version --short", "takes no \"--short\""),
            ("dmesg --tail", "takes no \"--tail\""),
            ("-n 10.0.0.1 version", "-n is not here"),
            ("version -n10.0.0.1", "not here"),
            ("version --nodes=10.0.0.1", "--nodes is not here"),
            ("version -e 10.0.0.1", "-e is not here"),
            ("read", "the path of a file"),
        ] {
            let error = of(line).unwrap_err();
            assert!(error.contains(reason), "{line}: {error}");
        }
    }

    #[test]
    fn of_the_agent_there_is_only_its_check() {
        assert_eq!(of_the_agent(&["check".to_owned()]), Ok(Command::Check));
        for arguments in [&[][..], &["vmtoolsd"], &["check", "--json"], &["rpc", "x"]] {
            let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
            assert!(of_the_agent(&arguments).is_err());
        }
    }

    #[test]
    fn every_command_of_the_help_is_understood() {
        for line in HELP.lines() {
            let Some(line) = line.strip_prefix("  talosctl ") else {
                continue;
            };
            let line = line.split("  ").next().unwrap();
            let words = line
                .split_whitespace()
                .filter(|word| !word.contains(['[', ']', '|']))
                .map(|word| word.to_lowercase());
            let words: Vec<String> = words.collect();
            assert!(command(&words).is_ok(), "{line}: {:?}", command(&words));
        }
        assert!(HELP.contains("  talosctl support"));
    }
}
