//! The command line. Every flag may stand before or after the subcommand; the last one given counts.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};
use tracing::Level;

use super::network::NetworkSettings;
use super::value::{self, LEVELS};
use super::{LogFormat, RebootMode, SandboxMode, Settings, TransportChoice};

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "talos-vmtoolsd",
    version,
    about = "The VMware guest agent for Talos Linux",
    long_about = "The VMware guest agent for Talos Linux: shows the node's name, addresses and operating system \
                  in vCenter and carries its power buttons to the Talos API.",
    after_help = "Each flag can also be given as a variable (--talos-node: VMTOOLSD_TALOS_NODE) or in the file of \
                  --config. A flag beats a variable, a variable beats the file.",
    args_override_self = true
)]
pub struct Cli {
    /// Settings, the same for all subcommands.
    #[command(flatten)]
    pub flags: Flags,
    /// What to do; without it the help is shown.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Run the guest agent
    Vmtoolsd,
    /// Show what the agent sees of Talos
    Talosquery {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Send one RPCI command to the host and print its answer, as vmware-rpctool does
    Rpc {
        /// The command, as one argument, such as 'info-get guestinfo.ip'
        command: Option<OsString>,
    },
    /// Check hypervisor, transport, Talos API, role and SMBIOS UUID, and name a remedy for what does not work
    Check {
        /// Print JSON instead of lines
        #[arg(long)]
        json: bool,
    },
}

/// The flags of all subcommands; `None` where one is not given.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Reach Talos through machined's socket, as an extension service does
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = value::boolean)]
    pub use_machined: Option<bool>,
    /// Reach Talos through apid with this talosconfig
    // Empty is allowed and means none, so that a flag can take back a variable.
    #[arg(long, global = true, value_name = "FILE",
          value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub talos_config: Option<PathBuf>,
    /// Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT [default: the talosconfig's endpoints]
    #[arg(long, global = true, value_name = "NODE")]
    pub talos_node: Option<String>,
    /// Most detailed log level [default: info]
    #[arg(long, global = true, value_name = "LEVEL", ignore_case = true,
          value_parser = PossibleValuesParser::new(LEVELS).try_map(|text| value::level(&text)))]
    pub log_level: Option<Level>,
    /// Form of the log [default: text]
    #[arg(long, global = true, value_name = "FORMAT",
          value_parser = PossibleValuesParser::new(LogFormat::NAMES).try_map(|text| text.parse::<LogFormat>()))]
    pub log_format: Option<LogFormat>,
    /// Go on although the processor does not say VMware
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = value::boolean)]
    pub skip_vmware_detection: Option<bool>,
    /// Where there is no VMware, stay up idle instead of ending
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = value::boolean)]
    pub idle_off_vmware: Option<bool>,
    /// Configuration file (YAML)
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Path of machined's socket [default: /system/run/machined/machine.sock]
    #[arg(long, global = true, value_name = "PATH")]
    pub machined_socket: Option<PathBuf>,
    /// Role claimed on machined's socket [default: os:operator]
    #[arg(long, global = true, value_name = "ROLE")]
    pub machined_role: Option<String>,
    /// Way to the host; auto tries vsock, then the backdoor [default: auto]
    #[arg(long, global = true, value_name = "TRANSPORT",
          value_parser = PossibleValuesParser::new(TransportChoice::NAMES).try_map(|text| text.parse::<TransportChoice>()))]
    pub transport: Option<TransportChoice>,
    /// Leave the backdoor's high-bandwidth form alone
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = value::boolean)]
    pub low_bandwidth: Option<bool>,
    /// How long a power call to Talos may take, retries included [default: 30s]
    #[arg(long, global = true, value_name = "DURATION", value_parser = value::duration)]
    pub power_deadline: Option<Duration>,
    /// Shut down without cordon and drain
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = value::boolean)]
    pub force_shutdown: Option<bool>,
    /// How Talos reboots [default: default]
    #[arg(long, global = true, value_name = "MODE",
          value_parser = PossibleValuesParser::new(RebootMode::NAMES).try_map(|text| text.parse::<RebootMode>()))]
    pub reboot_mode: Option<RebootMode>,
    /// Blank machine configs that lie open in guest variables, once the machine is ready
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = value::boolean)]
    pub scrub_guestinfo: Option<bool>,
    /// Give up all rights that the agent does not need; warn denies nothing and tells what would be [default: enforce]
    #[arg(long, global = true, value_name = "MODE",
          value_parser = PossibleValuesParser::new(SandboxMode::NAMES).try_map(|text| text.parse::<SandboxMode>()))]
    pub sandbox: Option<SandboxMode>,
}

impl From<&Flags> for Settings {
    fn from(flags: &Flags) -> Self {
        // Destructured, so that a new flag cannot be forgotten; the file's path is no setting of its own.
        let Flags {
            use_machined,
            talos_config,
            talos_node,
            log_level,
            log_format,
            skip_vmware_detection,
            idle_off_vmware,
            config: _,
            machined_socket,
            machined_role,
            transport,
            low_bandwidth,
            power_deadline,
            force_shutdown,
            reboot_mode,
            scrub_guestinfo,
            sandbox,
        } = flags.clone();
        Self {
            transport,
            low_bandwidth,
            skip_vmware_detection,
            idle_off_vmware,
            use_machined: use_machined.map(Ok),
            machined_socket,
            machined_role,
            talos_config,
            talos_node,
            power_deadline,
            force_shutdown,
            reboot_mode,
            scrub_guestinfo,
            // In the file alone.
            network: NetworkSettings::default(),
            sandbox,
            log_level,
            log_format,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env;
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;

    fn parse(arguments: &[&str]) -> Cli {
        try_parse(arguments).unwrap()
    }

    fn try_parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["talos-vmtoolsd"].iter().chain(arguments))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_before_and_after_the_subcommand() {
        for arguments in [
            ["--use-machined", "--talos-node", "n", "vmtoolsd"],
            ["vmtoolsd", "--use-machined", "--talos-node", "n"],
            ["--use-machined", "vmtoolsd", "--talos-node", "n"],
            ["--talos-node", "n", "vmtoolsd", "--use-machined=true"],
        ] {
            let cli = parse(&arguments);
            assert_eq!(cli.command, Some(Command::Vmtoolsd), "{arguments:?}");
            assert_eq!(cli.flags.use_machined, Some(true), "{arguments:?}");
            assert_eq!(cli.flags.talos_node.as_deref(), Some("n"), "{arguments:?}");
        }
    }

    #[test]
    fn a_bare_switch_does_not_swallow_the_subcommand() {
        let cli = parse(&["--low-bandwidth", "talosquery"]);
        assert_eq!(cli.flags.low_bandwidth, Some(true));
        assert_eq!(cli.command, Some(Command::Talosquery { json: false }));
    }

    #[test]
    fn switches_take_gos_booleans() {
        for (text, value) in [
            ("true", true),
            ("1", true),
            ("T", true),
            ("false", false),
            ("0", false),
        ] {
            let cli = parse(&["vmtoolsd", &format!("--skip-vmware-detection={text}")]);
            assert_eq!(cli.flags.skip_vmware_detection, Some(value), "{text}");
        }
        let error = try_parse(&["vmtoolsd", "--use-machined=maybe"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation);
        assert!(
            error.to_string().contains("\"maybe\" is not true or false"),
            "{error}"
        );
    }

    #[test]
    fn the_last_of_a_repeated_flag_counts() {
        let cli = parse(&["--log-level=info", "--log-level=debug", "vmtoolsd"]);
        assert_eq!(cli.flags.log_level, Some(Level::DEBUG));
        let cli = parse(&["--log-level=info", "vmtoolsd", "--log-level=error"]);
        assert_eq!(cli.flags.log_level, Some(Level::ERROR));
    }

    #[test]
    fn log_levels_in_any_case() {
        assert_eq!(
            parse(&["--log-level=WARNING"]).flags.log_level,
            Some(Level::WARN)
        );
        assert_eq!(
            parse(&["--log-level", "Trace"]).flags.log_level,
            Some(Level::TRACE)
        );
        let error = try_parse(&["--log-level=loud"]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("possible values: error, warn, warning"),
            "{error}"
        );
    }

    #[test]
    fn no_subcommand_is_not_an_error() {
        assert_eq!(parse(&[]).command, None);
        assert_eq!(parse(&["--use-machined"]).command, None);
    }

    #[test]
    fn the_version_is_one_line() {
        let error = try_parse(&["--version"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DisplayVersion);
        assert_eq!(
            error.to_string(),
            format!("talos-vmtoolsd {}\n", env!("CARGO_PKG_VERSION"))
        );
    }

    #[test]
    fn unknown_flags_are_errors() {
        for arguments in [&["--colour"][..], &["vmtoolsd", "extra"], &["vmtools"]] {
            assert!(try_parse(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn an_rpci_command_is_one_argument() {
        let cli = parse(&["rpc", "info-set guestinfo.a b  c"]);
        assert_eq!(
            cli.command,
            Some(Command::Rpc {
                command: Some("info-set guestinfo.a b  c".into())
            })
        );
        assert!(try_parse(&["rpc", "info-get", "guestinfo.a"]).is_err());
    }

    #[test]
    fn completion_and_man_are_files_beside_the_program() {
        for arguments in [&["completion", "bash"][..], &["man"]] {
            let error = try_parse(arguments).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSubcommand, "{arguments:?}");
        }
    }

    #[test]
    fn the_readme_lists_every_flag_with_its_variable() {
        let readme = include_str!("../../README.md");
        for argument in Cli::command().get_arguments() {
            let Some(flag) = argument.get_long() else {
                continue;
            };
            let row = readme
                .lines()
                .find(|line| {
                    line.starts_with(&format!("| `--{flag} "))
                        || line.starts_with(&format!("| `--{flag}["))
                })
                .unwrap_or_else(|| panic!("no row for --{flag}"));
            assert!(row.contains(&env::variable_of(flag)), "{row}");
        }
    }

    #[test]
    fn every_flag_has_a_variable() {
        let known: Vec<String> = Cli::command()
            .get_arguments()
            .filter_map(|argument| argument.get_long())
            .map(env::variable_of)
            .collect();
        // What env::read and env::config_file ask for, flag by flag.
        let asked = std::cell::RefCell::new(Vec::new());
        let spy = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            None
        };
        env::read(&spy).unwrap();
        env::config_file(&spy);
        let mut asked = asked.into_inner();
        let mut expected = known;
        asked.sort();
        expected.sort();
        assert_eq!(asked, expected);
    }
}
