//! One file per subcommand, and the way from the command line to them.
//!
//! A subcommand has two parts: one in `host` or `talos` that asks, and a pure one that makes an [`Answer`]
//! of it. Only `vmtoolsd` keeps running; it is [`crate::daemon`].

mod etcd;
mod host;
mod node;
mod quiesce;
pub mod rpc;
mod sandbox;
mod shown;
mod talos;
pub mod talosquery;
mod token;
mod variables;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use clap::CommandFactory as _;
use tracing::Level;

use self::host::HostError;
use crate::config::cli::Command;
use crate::config::{self, Cli, Config, HaMonitor, Loaded, LogConfig, Sources};
use crate::daemon::{Faults, open_files};
use crate::diagnosis::{self, Check, Outcome};
use crate::freezer;
use crate::guest_operations;
use crate::log::{self, Chain};
use crate::proc;
use crate::vmware::services::{application_monitoring, notice_of_migrations};
use crate::vmware::wire::{app_monitor, vm_operation_notification};

/// The command line or the configuration is wrong.
const USAGE: u8 = 2;
/// Something else is.
const FAILED: u8 = 1;

/// What a command writes and exits with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub stdout: Vec<u8>,
    /// For standard error.
    pub stderr: Vec<u8>,
    /// For the exit code.
    pub code: u8,
}

impl Answer {
    /// Text for standard output, and success.
    pub fn success(stdout: impl Into<Vec<u8>>) -> Self {
        Self {
            stdout: stdout.into(),
            ..Self::default()
        }
    }

    /// One line for standard error.
    pub fn failure(code: u8, line: &str) -> Self {
        Self {
            stderr: format!("{line}\n").into_bytes(),
            code,
            ..Self::default()
        }
    }

    /// Writes it. Readers that have gone away are not waited for.
    fn deliver(&self) -> ExitCode {
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(&self.stdout);
        let _ = stdout.flush();
        let _ = std::io::stderr().lock().write_all(&self.stderr);
        ExitCode::from(self.code)
    }
}

/// Runs the program: `arguments` begin with its name, `variables` are its environment.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> ExitCode {
    let mut arguments = arguments.into_iter().peekable();
    let name = arguments.peek().map(OsString::as_os_str);
    if let Some(code) = freezer::main(name) {
        return code;
    }
    let (cli, faults) = match Cli::tolerant(arguments) {
        Ok(read) => read,
        // Help and version come this way, too.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    let Some(command) = &cli.command else {
        return help().deliver();
    };
    if let Some(answer) = offline(command) {
        return answer.deliver();
    }
    // Before the first file is opened.
    let room = open_files::make_room();
    let sources = Sources {
        flags: cli.flags,
        variables: variables.into_iter().collect(),
        // Without a working directory, relative paths stay as they are.
        folder: std::env::current_dir().unwrap_or_default(),
    };
    let loaded = config::load(&sources);
    if *command == Command::Vmtoolsd {
        let log = log::init(loaded.config.log);
        if let Err(error) = room {
            tracing::error!(error = %Chain(&error), "the agent cannot run");
            return ExitCode::from(FAILED);
        }
        report(&faults, &loaded);
        let faults = faults_of(faults, &loaded);
        return crate::daemon::run(loaded.config, faults, log, || {
            config::load(&sources).again()
        });
    }
    let failure = |code, error| Answer::failure(code, &format!("talos-vmtoolsd: {error}"));
    for name in &loaded.unknown {
        failure(0, format!("the variable {name} means nothing here")).deliver();
    }
    let config = match loaded.strict() {
        Ok(config) => config,
        Err(error) => return failure(USAGE, Chain(&error).to_string()).deliver(),
    };
    log::init(quiet(config.log));
    let runtime = room.map_err(|error| Chain(&error).to_string());
    match runtime.and_then(|()| runtime_of_one_thread().map_err(|error| error.to_string())) {
        Ok(runtime) => runtime.block_on(online(command, &config)).deliver(),
        Err(error) => failure(FAILED, error).deliver(),
    }
}

/// What the agent knows of them while it runs.
fn faults_of(command_line: Vec<String>, loaded: &Loaded) -> Faults {
    let mut faults = Faults {
        lasting: command_line,
        of_the_file: Vec::new(),
    };
    for error in &loaded.faults {
        let words = Chain(error).to_string();
        if error.is_of_the_file() {
            faults.of_the_file.push(words);
        } else {
            faults.lasting.push(words);
        }
    }
    faults
}

/// What the agent does without.
fn report(faults: &[String], loaded: &Loaded) {
    for error in faults {
        tracing::error!(
            error,
            "a part of the command line does not count, the rest does; correct it and restart"
        );
    }
    for error in &loaded.faults {
        tracing::error!(
            error = %Chain(error),
            "a part of the configuration does not count, the rest does; correct it and restart"
        );
    }
    for variable in &loaded.unknown {
        tracing::warn!(
            variable,
            "a variable means nothing to this version; look for its name in docs/configuration.md, or unset it"
        );
    }
}

fn runtime_of_one_thread() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

fn help() -> Answer {
    Answer::success(Cli::command().render_long_help().to_string())
}

/// The same as with `--version`, or the number alone.
fn version(short: bool) -> Answer {
    Answer::success(if short {
        concat!(env!("CARGO_PKG_VERSION"), "\n").to_owned()
    } else {
        Cli::command().render_version()
    })
}

/// Answers what concerns neither host nor Talos, and therefore works whatever the configuration is.
fn offline(command: &Command) -> Option<Answer> {
    match command {
        Command::Rpc { command: None } => Some(rpc::usage()),
        Command::Version { short } => Some(version(*short)),
        Command::Token(arguments) => Some(token::answer(arguments, proc::wall_clock())),
        _ => None,
    }
}

async fn online(command: &Command, config: &Config) -> Answer {
    match command {
        Command::Rpc {
            command: Some(command),
        } => match host::rpci(&config.host, command.as_bytes()).await {
            Ok(reply) => rpc::answer(&reply),
            Err(HostError::NotOnVmware) => rpc::not_on_vmware(),
            Err(HostError::Unreachable(problem)) => rpc::failed(&problem),
        },
        Command::Talosquery { json } => match talos::facts(&config.talos).await {
            Ok((facts, refusals)) => {
                let mut view = talosquery::View::new(facts, &config.network);
                view.shown = shown::look(&config.host).await;
                let refusals = refusals.iter();
                let lines: String = refusals
                    .map(|refusal| format!("talos-vmtoolsd: {refusal}\n"))
                    .collect();
                Answer {
                    stderr: lines.into_bytes(),
                    ..Answer::success(if *json {
                        pretty(&talosquery::json(&view))
                    } else {
                        talosquery::table(&view)
                    })
                }
            }
            Err(problem) => Answer::failure(1, &format!("talos-vmtoolsd: {problem}")),
        },
        Command::Check { json } => {
            let checks = checks(config).await;
            Answer {
                code: u8::from(!diagnosis::all_well(&checks)),
                ..Answer::success(if *json {
                    pretty(&diagnosis::json(&checks))
                } else {
                    diagnosis::lines(&checks)
                })
            }
        }
        Command::Vmtoolsd | Command::Rpc { .. } | Command::Token(_) | Command::Version { .. } => {
            Answer::default()
        }
    }
}

async fn checks(config: &Config) -> Vec<Check> {
    let host::Seen {
        hypervisor,
        transport,
        variables,
        sandbox,
    } = host::checks(config).await;
    let talos::Seen {
        checks: talos,
        facts,
        client,
    } = talos::look(&config.talos).await;
    let (identity, talos): (Vec<Check>, Vec<Check>) = talos
        .into_iter()
        .partition(|check| check.name == "identity");
    let mut checks = vec![
        Check::new("hypervisor", hypervisor),
        Check::new("transport", transport),
    ];
    checks.extend(talos);
    // The host is VMware's, and so are guest operations.
    if let Some(variables) = variables {
        checks.push(Check::new("variables", variables));
        checks.push(guest_operations::check(&config.guest_operations));
        if config.vmware.vmotion.notify {
            let question = vm_operation_notification::list();
            let vmotion = host::ask(&config.host, &question, notice_of_migrations);
            checks.push(Check::new("vmotion", vmotion.await));
        }
        if config.vmware.ha.monitor != HaMonitor::Off {
            let question = app_monitor::Command::IsEnabled.message();
            let ha = host::ask(&config.host, &question, application_monitoring);
            checks.push(Check::new("ha", ha.await));
        }
        if let Ok(Some(power)) = shown::power(&config.host).await {
            checks.push(Check::new("power", Outcome::Works(power)));
        }
    }
    if facts.cordoned == Some(true) {
        let words = "Kubernetes schedules nothing on this node";
        checks.push(Check::new("cordoned", Outcome::Works(words.to_owned())));
    }
    if let Some(etcd) = etcd::check(&facts, &config.power.etcd) {
        checks.push(Check::new("etcd", etcd));
    }
    let quiesce = quiesce::check(&config.quiesce, &facts, client.as_ref()).await;
    checks.push(Check::new("quiesce", quiesce));
    // Nothing to say of a machine whose identity is as it should be.
    checks.extend(identity);
    // The last, since it cannot be taken back.
    checks.push(Check::new("sandbox", sandbox::check(config, sandbox)));
    checks
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

/// The log of commands that answer at once: their output is the answer, so they log only when asked to be
/// detailed.
fn quiet(config: LogConfig) -> LogConfig {
    LogConfig {
        level: if config.level > Level::INFO {
            config.level
        } else {
            Level::ERROR
        },
        ..config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_subcommands_and_flags() {
        let answer = help();
        let text = String::from_utf8(answer.stdout).unwrap();
        assert_eq!(answer.code, 0);
        for word in [
            "vmtoolsd",
            "talosquery",
            "check",
            "rpc",
            "--use-machined",
            "VMTOOLSD_TALOS_NODE",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }

    #[test]
    fn rpc_without_a_command_is_usage() {
        assert_eq!(offline(&Command::Rpc { command: None }), Some(rpc::usage()));
        assert_eq!(offline(&Command::Vmtoolsd), None);
    }

    #[test]
    fn quick_commands_log_only_when_asked_for_details() {
        let at = |level| LogConfig {
            level,
            format: config::LogFormat::Text,
        };
        assert_eq!(quiet(at(Level::INFO)).level, Level::ERROR);
        assert_eq!(quiet(at(Level::WARN)).level, Level::ERROR);
        assert_eq!(quiet(at(Level::TRACE)).level, Level::TRACE);
    }
}
