//! The manual page and the completion scripts in docs/ are those of the command line as it is. After a change to
//! it, `GENERATE=1 cargo test --test generated` writes them anew.

#![cfg(test)]

use std::path::Path;
use std::{env, fs};

use clap::{CommandFactory as _, ValueEnum as _};
use clap_complete::{Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use talos_vmtoolsd::config::cli::Flags;
use talos_vmtoolsd::config::{Cli, Config, env::variable_of, load};

const NAME: &str = "talos-vmtoolsd";

/// Fails unless the file in docs/ has these contents.
fn check(file: &str, contents: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(file);
    if env::var_os("GENERATE").is_some() {
        return fs::write(&path, contents).unwrap();
    }
    let committed = fs::read(&path).unwrap_or_default();
    assert!(
        committed == contents,
        "docs/{file} is out of date: GENERATE=1 cargo test --test generated"
    );
}

#[test]
fn every_shell_completes_the_command_line_as_it_is() {
    for &shell in Shell::value_variants() {
        let mut script = Vec::new();
        generate(shell, &mut Cli::command(), NAME, &mut script);
        let file = match shell {
            Shell::Bash => "talos-vmtoolsd.bash",
            Shell::Elvish => "talos-vmtoolsd.elv",
            Shell::Fish => "talos-vmtoolsd.fish",
            Shell::PowerShell => "_talos-vmtoolsd.ps1",
            Shell::Zsh => "_talos-vmtoolsd",
            shell => panic!("{shell} is new: offer it"),
        };
        check(&format!("completions/{file}"), &script);
        let script = String::from_utf8(script).unwrap();
        for word in ["talosquery", "skip-vmware-detection"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn the_manual_page_has_its_sections_and_every_flag() {
    let page = page().unwrap();
    check("talos-vmtoolsd.1", &page);
    let page = String::from_utf8(page).unwrap();
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT"] {
        assert!(page.contains(&format!(".SH {section}")), "{section}");
    }
    for word in ["VMTOOLSD_TALOS_NODE", "machined_socket", "talosquery"] {
        assert!(page.contains(word), "{word}");
    }
}

#[test]
fn the_file_of_the_manual_page_says_the_defaults() {
    let path = env::temp_dir().join(format!("{NAME}-defaults-{}.yaml", std::process::id()));
    fs::write(&path, FILE).unwrap();
    let flags = Flags {
        config: Some(path.clone()),
        ..Flags::default()
    };
    let written = load(&flags, |_| None);
    fs::remove_file(&path).unwrap();
    let flags = Flags {
        use_machined: Some(true),
        ..Flags::default()
    };
    let defaults = load(&flags, |_| None).unwrap();
    let file = Some(path);
    assert_eq!(written.unwrap(), Config { file, ..defaults });
}

/// The manual page.
fn page() -> std::io::Result<Vec<u8>> {
    let command = Cli::command();
    let variables: Vec<(String, String)> = command
        .get_arguments()
        .filter_map(|argument| {
            let flag = argument.get_long()?;
            (!matches!(flag, "help" | "version")).then(|| (variable_of(flag), flag.to_owned()))
        })
        .collect();
    // Not by clap_mangen, which would point at a page of its own for each.
    let subcommands: Vec<(String, String)> = command
        .get_subcommands()
        .map(|subcommand| {
            let about = subcommand.get_about().map(ToString::to_string);
            (subcommand.get_name().to_owned(), about.unwrap_or_default())
        })
        .collect();
    let man = Man::new(command);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;

    let mut roff = Roff::new();
    roff.control("SH", ["SUBCOMMANDS"]);
    for (name, about) in subcommands {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(about)]);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([roman(
        "A variable counts where its flag is not given; an empty variable counts as unset.",
    )]);
    for (variable, flag) in variables {
        roff.control("TP", []);
        roff.text([bold(variable)]);
        roff.text([roman(format!("as --{flag}"))]);
    }
    roff.control("SH", ["FILE"]);
    roff.text([roman(
        "The file of --config is YAML. All keys are optional, unknown ones are errors. SIGHUP reads it again.",
    )]);
    roff.control("nf", []);
    for line in FILE.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.control("SH", ["SIGNALS"]);
    roff.text([roman(
        "SIGTERM and SIGINT stop vmtoolsd; SIGHUP makes it read its configuration again.",
    )]);
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXITS {
        roff.control("TP", []);
        roff.text([bold(code)]);
        roff.text([roman(meaning)]);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// The configuration file with its defaults.
const FILE: &str = "\
host:
  transport: auto
  low_bandwidth: false
  skip_vmware_detection: false
  idle_off_vmware: false
talos:
  use_machined: true
  machined_socket: /system/run/machined/machine.sock
  machined_role: os:operator
power:
  deadline: 30s
  force_shutdown: false
  reboot_mode: default
guestinfo:
  scrub: false
  disk_interval: 5m
  stats_interval: 20s
network:
  exclude_nics: []
  primary_nics: []
  low_priority_nics: []
  exclude_subnets: []
  prefer: ipv4
  report_vips: true
sandbox:
  mode: enforce
log:
  level: info
  format: text
";

const EXITS: [(&str, &str); 4] = [
    (
        "0",
        "vmtoolsd: asked to stop, or not on VMware; rpc: the host accepted; check: all is well",
    ),
    ("1", "the command could not do its work"),
    ("2", "the command line or the configuration is wrong"),
    ("255", "rpc: not on VMware"),
];
