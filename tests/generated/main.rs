//! The page of settings, the manual page and the completion scripts in docs/ are those of the program as it is.
//! After a change to it, `GENERATE=1 cargo test --test generated` writes them again.

#![cfg(test)]

mod configuration;
mod man;

use std::path::Path;
use std::{env, fs};

use clap::{CommandFactory as _, Parser as _, ValueEnum as _};
use clap_complete::{Shell, generate};
use talos_vmtoolsd::config::table::SETTINGS;
use talos_vmtoolsd::config::{Cli, Config, Sources, load};

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
    let page = man::page().unwrap();
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
fn the_page_of_settings_has_every_flag_with_its_variable_and_every_key() {
    let page = configuration::page();
    check("configuration.md", page.as_bytes());
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).collect();
    for setting in SETTINGS {
        let names = |row: &str| match (setting.flag, setting.place()) {
            (Some(flag), _) => {
                row.starts_with(&format!("| `--{flag}`"))
                    || row.starts_with(&format!("| `--{flag} "))
                    || row.starts_with(&format!("| `--{flag}["))
            }
            (None, Some(("network", key))) => row.starts_with(&format!("| `{key}` |")),
            (None, _) => row.contains(&format!("| `{}` |", setting.key.unwrap())),
        };
        let row = rows.iter().find(|row| names(row));
        let row = row.unwrap_or_else(|| panic!("no row for {setting:?}"));
        if let Some(variable) = setting.variable() {
            assert!(row.contains(&format!("| `{variable}` |")), "{row}");
        }
        if let (Some(_), Some(key)) = (setting.flag, setting.key) {
            assert!(row.contains(&format!("| `{key}` |")), "{row}");
        }
    }
    for flag in Cli::command()
        .get_arguments()
        .filter_map(clap::Arg::get_long)
    {
        assert!(page.contains(&format!("`--{flag}")), "--{flag}");
    }
}

#[test]
fn the_file_with_every_key_says_the_defaults() {
    let named = read_file("defaults", &configuration::file());
    let file = named.file.clone();
    let defaults = read(&["--use-machined"]);
    assert_eq!(named, Config { file, ..defaults });
}

#[test]
fn the_users_that_the_page_shows_are_read() {
    let config = read_file("users", configuration::USERS).guest_operations;
    assert!(config.enabled && config.relays());
    assert_eq!(config.users.len(), 2);
}

fn read(arguments: &[&str]) -> Config {
    let cli = Cli::try_parse_from([NAME].iter().chain(arguments)).unwrap();
    let sources = Sources {
        flags: cli.flags,
        ..Sources::default()
    };
    load(&sources).strict().unwrap()
}

fn read_file(name: &str, text: &str) -> Config {
    let path = env::temp_dir().join(format!("{NAME}-{name}-{}.yaml", std::process::id()));
    fs::write(&path, text).unwrap();
    let config = read(&["--use-machined", "--config", path.to_str().unwrap()]);
    fs::remove_file(&path).unwrap();
    config
}
