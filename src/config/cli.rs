//! The command line: the subcommands, and a flag for every setting that has one.
//!
//! Every flag may stand before or after the subcommand; the last one given counts.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{
    NonEmptyStringValueParser, OsStringValueParser, PossibleValuesParser, TypedValueParser as _,
};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, Args, FromArgMatches, Parser, Subcommand};

use super::Error;
use super::draft::Draft;
use super::setting::{Setting, Unset};
use super::table::SETTINGS;
use super::value::{self, Form};

/// Number, commit and build: `2.0.0 (commit 0123456789ab 2026-01-01, x86_64-unknown-linux-gnu release)`.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD"), ")");

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "talos-vmtoolsd",
    version = VERSION,
    about = "The guest agent of Talos Linux for VMware and QEMU",
    long_about = "The guest agent of Talos Linux for VMware and QEMU: shows the node's name, addresses and operating \
                  system in vCenter, Proxmox, KubeVirt and libvirt, and carries their power buttons to the Talos API.",
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
    #[command(visible_alias = "guest-agent")]
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
    /// Print a token that lets a user of guest operations in for a short time; for the operator's own machine
    Token(TokenArguments),
    /// Print the version
    Version {
        /// Print the number alone
        #[arg(long)]
        short: bool,
    },
}

/// What a token is made of.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct TokenArguments {
    /// Private key that signs it, as `openssl genpkey -algorithm ed25519` writes it
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Print the public key instead, for guest_operations.users
    #[arg(long, conflicts_with_all = ["user", "node", "ttl"])]
    pub public_key: bool,
    /// User that it lets in
    #[arg(long, value_name = "NAME", required_unless_present = "public_key", value_parser = NonEmptyStringValueParser::new())]
    pub user: Option<String>,
    /// SMBIOS UUID of the machine that it is for, as talosquery and vCenter show it
    #[arg(long, value_name = "UUID", required_unless_present = "public_key", value_parser = uuid)]
    pub node: Option<String>,
    /// How long it counts, at most 24h
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = value::life)]
    pub ttl: Duration,
}

/// A UUID in its usual form, that of a machine.
fn uuid(text: &str) -> Result<String, String> {
    let lengths = text.split('-').map(str::len);
    let is_hex = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    if !lengths.eq([8, 4, 4, 4, 12]) || !text.bytes().all(is_hex) {
        return Err("a UUID is 8, 4, 4, 4 and 12 hexadecimal digits".to_owned());
    }
    Ok(text.to_ascii_lowercase())
}

impl Cli {
    /// Reads a command line, whose first argument is the program's name. For the agent one that is wrong in parts
    /// counts without them, which are returned, each in a phrase: a fleet that is rolled back has flags that only
    /// its newer version knows.
    ///
    /// # Errors
    /// Whatever ends the program: help, version, and a command line that is wrong for any other command.
    pub fn tolerant(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<(Self, Vec<String>), clap::Error> {
        let mut arguments = in_place_of_qemu_ga(arguments.into_iter().collect());
        let mut faults = Vec::new();
        let mut doubted = Vec::new();
        let mut first = None;
        loop {
            match (Self::try_parse_from(&arguments), first) {
                (Ok(cli), None) => return Ok((cli, faults)),
                (Ok(mut cli), Some(first)) => {
                    let tolerates = cli.command == Some(Command::Vmtoolsd);
                    cli.flags.doubted = doubted;
                    return tolerates.then_some((cli, faults)).ok_or(first);
                }
                (Err(error), before) => {
                    faults.push(phrase(&error));
                    doubted.extend(group(&error));
                    let is_less = remove(&error, &mut arguments);
                    let error = before.unwrap_or(error);
                    if !is_less {
                        return Err(error);
                    }
                    first = Some(error);
                }
            }
        }
    }
}

/// The name under which the package qemu-guest-agent of Talos' extensions starts its agent.
const QEMU_GA: &str = "qemu-ga";

/// That package's service file gives no arguments, and has machined's socket mounted: to be called like that asks for
/// the agent. With arguments the program is the one that it always is.
fn in_place_of_qemu_ga(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if let [program] = arguments.as_slice()
        && Path::new(program).file_name() == Some(OsStr::new(QEMU_GA))
    {
        arguments.extend(["vmtoolsd", "--use-machined"].map(OsString::from));
    }
    arguments
}

/// What is wrong, in one line.
fn phrase(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraph = text.lines().map(str::trim);
    let paragraph: Vec<_> = paragraph.take_while(|line| !line.is_empty()).collect();
    let phrase = paragraph.join(" ");
    phrase.strip_prefix("error: ").unwrap_or(&phrase).to_owned()
}

/// What an error says of the arguments.
fn context(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    }
}

/// The argument that an error is about. A flag stands there with the form of its value: `--transport <TRANSPORT>`,
/// `--use-machined[=<BOOL>]`.
fn culprit(error: &clap::Error) -> Option<&str> {
    let name = context(error, ContextKind::InvalidArg)
        .or_else(|| context(error, ContextKind::InvalidSubcommand));
    name?.split([' ', '[', '=']).next()
}

/// The group of the flag that an error is about.
fn group(error: &clap::Error) -> Option<&'static str> {
    let flag = culprit(error)?.strip_prefix("--");
    let setting = SETTINGS
        .iter()
        .find(|setting| flag.is_some() && setting.flag == flag);
    let (group, _) = setting?.place()?;
    Some(group)
}

/// Takes what an error is about from the arguments; returns whether there was such a thing.
fn remove(error: &clap::Error, arguments: &mut Vec<OsString>) -> bool {
    let Some(name) = culprit(error) else {
        return false;
    };
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let is = |index: usize, text: &str| {
        let argument = arguments.get(index);
        argument.is_some_and(|argument| argument.to_string_lossy() == text)
    };
    let joined = format!("{name}={value}");
    let has_value = |&index: &usize| is(index, name) && is(index + 1, value) || is(index, &joined);
    let begins = |&index: &usize| {
        let argument = arguments
            .get(index)
            .map(|argument| argument.to_string_lossy());
        let rest = argument.as_deref().and_then(|text| text.strip_prefix(name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    let all = 1..arguments.len();
    let Some(index) = all
        .clone()
        .find(has_value)
        .or_else(|| all.clone().find(begins))
    else {
        return false;
    };
    let count = 1 + usize::from(!value.is_empty() && is(index, name) && is(index + 1, value));
    arguments.drain(index..index + count);
    true
}

/// The flags that are given, the same for all subcommands.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    given: Vec<(&'static Setting, OsString)>,
    /// Groups of flags that were left out, see [`Cli::tolerant`].
    doubted: Vec<&'static str>,
}

impl Flags {
    /// Puts what the flags say over what is there; returns a fault for each that cannot be understood.
    pub(super) fn read(&self, draft: &mut Draft) -> Vec<Error> {
        for group in &self.doubted {
            draft.doubt(Some(group));
        }
        let take = |(setting, value): &(&'static Setting, OsString)| {
            let name = || format!("the flag --{}", setting.flag.unwrap_or_default());
            draft.take(setting, value, name).err()
        };
        self.given.iter().filter_map(take).collect()
    }
}

impl Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(SETTINGS.iter().filter_map(argument))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |setting: &'static Setting| {
            let value = matches.get_raw(setting.flag?)?.next_back()?;
            Some((setting, value.to_owned()))
        };
        Ok(Self {
            given: SETTINGS.iter().filter_map(value).collect(),
            doubted: Vec::new(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The definition of a setting's flag.
fn argument(setting: &'static Setting) -> Option<Arg> {
    let flag = setting.flag?;
    let argument = Arg::new(flag)
        .long(flag)
        .global(true)
        .value_name(setting.value)
        .help(help(setting));
    let argument = match setting.form() {
        Form::Choice { names, any_case } => {
            return Some(
                argument
                    .ignore_case(any_case)
                    .value_parser(PossibleValuesParser::new(names)),
            );
        }
        Form::Switch => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        Form::Text | Form::List | Form::Maps => argument,
    };
    // Read for the error's sake; the value goes where it belongs when all sources are there.
    let parser = OsStringValueParser::new().try_map(move |value| {
        let read = setting.read(&mut Draft::new(), &value);
        read.map(|()| value)
    });
    Some(argument.value_parser(parser))
}

/// What the setting means, and its default. That of a switch is always not to.
fn help(setting: &Setting) -> String {
    let Setting { help, unset, .. } = setting;
    match unset {
        Unset::Value(default) if setting.form() != Form::Switch => {
            format!("{help} [default: {default}]")
        }
        Unset::Otherwise(default) => format!("{help} [default: {default}]"),
        Unset::Value(_) | Unset::Nothing => (*help).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;
    use clap::error::ErrorKind;
    use tracing::Level;

    fn parse(arguments: &[&str]) -> Cli {
        try_parse(arguments).unwrap()
    }

    fn try_parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(["talos-vmtoolsd"].iter().chain(arguments))
    }

    /// What a flag says in the end, if it is given.
    fn given<'a>(cli: &'a Cli, flag: &str) -> Option<&'a str> {
        let mut flags = cli
            .flags
            .given
            .iter()
            .filter(|(setting, _)| setting.flag == Some(flag));
        let (_, value) = flags.next()?;
        assert!(flags.next().is_none(), "{flag} counts once");
        value.to_str()
    }

    /// What a flag has made of the default configuration.
    fn configured(arguments: &[&str]) -> Draft {
        let mut draft = Draft::new();
        assert!(parse(arguments).flags.read(&mut draft).is_empty());
        draft
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
            assert_eq!(given(&cli, "use-machined"), Some("true"), "{arguments:?}");
            assert_eq!(given(&cli, "talos-node"), Some("n"), "{arguments:?}");
        }
    }

    #[test]
    fn a_bare_switch_does_not_swallow_the_subcommand() {
        let cli = parse(&["--low-bandwidth", "talosquery"]);
        assert_eq!(given(&cli, "low-bandwidth"), Some("true"));
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
            let draft = configured(&["vmtoolsd", &format!("--skip-vmware-detection={text}")]);
            assert_eq!(draft.config.host.skip_vmware_detection, value, "{text}");
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
        assert_eq!(given(&cli, "log-level"), Some("debug"));
        let cli = parse(&["--log-level=info", "vmtoolsd", "--log-level=error"]);
        assert_eq!(given(&cli, "log-level"), Some("error"));
    }

    #[test]
    fn log_levels_in_any_case() {
        assert_eq!(
            configured(&["--log-level=WARNING"]).config.log.level,
            Level::WARN
        );
        assert_eq!(
            configured(&["--log-level", "Trace"]).config.log.level,
            Level::TRACE
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
    fn the_version_is_one_line_of_number_commit_and_build() {
        let error = try_parse(&["--version"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DisplayVersion);
        assert_eq!(
            error.to_string(),
            format!(
                "talos-vmtoolsd {} ({})\n",
                env!("CARGO_PKG_VERSION"),
                env!("BUILD")
            )
        );
    }

    #[test]
    fn unknown_flags_are_errors() {
        for arguments in [&["--colour"][..], &["vmtoolsd", "extra"], &["vmtools"]] {
            assert!(try_parse(arguments).is_err(), "{arguments:?}");
        }
    }

    fn tolerant(arguments: &[&str]) -> Result<(Cli, Vec<String>), clap::Error> {
        let arguments = ["talos-vmtoolsd"].iter().chain(arguments);
        Cli::tolerant(arguments.map(OsString::from))
    }

    #[test]
    fn the_agent_does_without_what_it_does_not_understand_and_names_it() {
        for (arguments, named) in [
            (
                &["vmtoolsd", "--talos-node=n", "--colour"][..],
                &["'--colour'"][..],
            ),
            (
                &["--colour=always", "vmtoolsd", "--talos-node", "n"],
                &["'--colour'"],
            ),
            (
                &["vmtoolsd", "--colour", "always", "--talos-node=n"],
                &["'--colour'", "'always'"],
            ),
            (
                &["--colour", "always", "vmtoolsd", "--talos-node=n"],
                &["'--colour'", "'always'"],
            ),
            (
                &["--transport", "tcp", "vmtoolsd", "--talos-node=n"],
                &["'tcp'"],
            ),
            (
                &["--transport=tcp", "vmtoolsd", "--talos-node=n"],
                &["'tcp'"],
            ),
            (
                &["vmtoolsd", "--power-deadline", "soon", "--talos-node=n"],
                &["soon"],
            ),
            (
                &["vmtoolsd", "--low-bandwidth=maybe", "--talos-node=n"],
                &["maybe"],
            ),
            (
                &["vmtoolsd", "--talos-node=n", "--log-level"],
                &["--log-level"],
            ),
            (
                &["vmtoolsd", "--talos-node=n", "-x", "extra"],
                &["-x", "extra"],
            ),
        ] {
            let (cli, faults) = tolerant(arguments).unwrap();
            assert_eq!(cli.command, Some(Command::Vmtoolsd), "{arguments:?}");
            assert_eq!(given(&cli, "talos-node"), Some("n"), "{arguments:?}");
            assert_eq!(given(&cli, "transport"), None, "{arguments:?}");
            assert_eq!(faults.len(), named.len(), "{arguments:?}: {faults:?}");
            for (fault, named) in faults.iter().zip(named) {
                assert!(fault.contains(named) && !fault.contains('\n'), "{fault:?}");
            }
        }
    }

    #[test]
    fn called_as_qemu_ga_without_arguments_it_is_the_agent_on_machineds_socket() {
        for name in ["./qemu-ga", "qemu-ga", "/usr/local/bin/qemu-ga"] {
            let (cli, faults) = Cli::tolerant([OsString::from(name)]).unwrap();
            assert_eq!(cli.command, Some(Command::Vmtoolsd), "{name}");
            assert_eq!(given(&cli, "use-machined"), Some("true"), "{name}");
            assert!(faults.is_empty(), "{faults:?}");
        }
    }

    #[test]
    fn any_other_name_and_any_argument_is_read_as_it_stands() {
        for name in ["talos-vmtoolsd", "./qemu-ga.old", "qemu-ga/talos-vmtoolsd"] {
            let (cli, _) = Cli::tolerant([OsString::from(name)]).unwrap();
            assert_eq!(cli.command, None, "{name}");
        }
        let (cli, _) = Cli::tolerant(["qemu-ga", "check"].map(OsString::from)).unwrap();
        assert_eq!(cli.command, Some(Command::Check { json: false }));
        assert_eq!(given(&cli, "use-machined"), None);
    }

    #[test]
    fn of_two_values_only_the_bad_one_is_done_without() {
        for bad in [&["--transport", "tcp"][..], &["--transport=tcp"]] {
            let arguments = [&["--transport", "vsock"], bad, &["vmtoolsd"]].concat();
            let (cli, faults) = tolerant(&arguments).unwrap();
            assert_eq!(given(&cli, "transport"), Some("vsock"), "{faults:?}");
            assert_eq!(faults.len(), 1, "{faults:?}");
        }
    }

    #[test]
    fn other_commands_do_without_nothing() {
        for arguments in [
            &["check", "--colour"][..],
            &["talosquery", "--transport=tcp"],
            &["rpc", "vmtoolsd", "--colour"],
            &["--colour"],
            &["vmtools"],
        ] {
            let error = tolerant(arguments).unwrap_err();
            let same = try_parse(arguments).unwrap_err();
            assert_eq!(error.to_string(), same.to_string(), "{arguments:?}");
        }
        for arguments in [&["vmtoolsd", "--help"][..], &["--version"]] {
            let error = tolerant(arguments).unwrap_err();
            assert!(!error.use_stderr(), "{error}");
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
    fn a_path_that_is_needed_is_not_empty_and_one_that_may_be_none_is_taken_back() {
        for arguments in [["--config="], ["--machined-socket="]] {
            let error = try_parse(&arguments).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ValueValidation, "{arguments:?}");
        }
        assert_eq!(configured(&["--talos-config="]).talos.config, None);
    }
}
