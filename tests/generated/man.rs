//! The manual page, docs/talos-vmtoolsd.1.

use clap::CommandFactory as _;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use talos_vmtoolsd::config::Cli;
use talos_vmtoolsd::config::table::SETTINGS;

use crate::configuration;

/// The manual page.
pub(crate) fn page() -> std::io::Result<Vec<u8>> {
    // The number alone: which commit it is of, the page does not say.
    let command = Cli::command().version(env!("CARGO_PKG_VERSION"));
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
    for setting in SETTINGS {
        if let (Some(flag), Some(variable)) = (setting.flag, setting.variable()) {
            roff.control("TP", []);
            roff.text([bold(variable)]);
            roff.text([roman(format!("as --{flag}"))]);
        }
    }
    roff.control("SH", ["FILE"]);
    roff.text([roman(
        "The file of --config is YAML. All keys are optional, unknown ones are errors. SIGHUP reads it again.",
    )]);
    roff.control("nf", []);
    for line in configuration::file().lines() {
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

const EXITS: [(&str, &str); 4] = [
    (
        "0",
        "vmtoolsd: asked to stop, or neither on VMware nor with a port of the QEMU guest agent; rpc: the host accepted; check: all is well",
    ),
    ("1", "the command could not do its work"),
    ("2", "the command line or the configuration is wrong"),
    ("255", "rpc: not on VMware"),
];
