//! All commands, one row each: guest-info is made of this table, and a request finds its answer in it.

use serde_json::{Value, json};

use super::known::Known;
use super::step::Handler::{self, Plain, With};
use super::step::Step;
use super::{
    clock, disks, file_systems, freeze, memory, network, os, power, processors, routes, sync,
};
use crate::qemu::qmp::Error;

/// A command.
#[derive(Debug)]
pub(super) struct Command {
    /// Its name.
    pub(super) name: &'static str,
    /// `None` for one that writes, executes or sets something: listed as disabled, and refused.
    pub(super) handler: Option<Handler>,
    /// Whether it is carried out while file systems are frozen.
    is_on_while_frozen: bool,
    /// What the schema says: whether success is answered. Of guest-shutdown we answer it all the same.
    success_response: bool,
}

const fn on(name: &'static str, handler: Handler) -> Command {
    Command {
        name,
        handler: Some(handler),
        is_on_while_frozen: false,
        success_response: true,
    }
}

const fn off(name: &'static str) -> Command {
    Command {
        name,
        handler: None,
        is_on_while_frozen: false,
        success_response: true,
    }
}

/// Also while file systems are frozen.
const fn always(command: Command) -> Command {
    Command {
        is_on_while_frozen: true,
        ..command
    }
}

const fn silent(command: Command) -> Command {
    Command {
        success_response: false,
        ..command
    }
}

const COMMANDS: &[Command] = &[
    always(on("guest-sync-delimited", With(sync::sync_delimited))),
    always(on("guest-sync", With(sync::sync))),
    always(on("guest-ping", Plain(power::ping))),
    always(on("guest-info", Plain(info))),
    // It thaws first.
    always(silent(on("guest-shutdown", With(power::shutdown)))),
    on("guest-network-get-interfaces", Plain(network::interfaces)),
    on("guest-network-get-route", Plain(routes::routes)),
    on("guest-get-host-name", Plain(os::host_name)),
    on("guest-get-osinfo", Plain(os::os_info)),
    on("guest-get-users", Plain(os::users)),
    on("guest-get-time", Plain(clock::time)),
    on("guest-get-timezone", Plain(clock::timezone)),
    on("guest-get-fsinfo", Plain(file_systems::file_systems)),
    on("guest-get-disks", Plain(disks::disks)),
    on("guest-get-diskstats", Plain(disks::counters)),
    always(on("guest-fsfreeze-status", Plain(freeze::status))),
    on("guest-fsfreeze-freeze", Plain(freeze::freeze)),
    on("guest-fsfreeze-freeze-list", With(freeze::freeze_list)),
    always(on("guest-fsfreeze-thaw", Plain(freeze::thaw))),
    on("guest-get-vcpus", Plain(processors::processors)),
    on("guest-get-cpustats", Plain(processors::times)),
    on("guest-get-load", Plain(processors::load)),
    on("guest-get-memory-blocks", Plain(memory::blocks)),
    on("guest-get-memory-block-info", Plain(memory::block_info)),
    off("guest-set-time"),
    off("guest-set-vcpus"),
    off("guest-set-memory-blocks"),
    off("guest-set-user-password"),
    off("guest-fstrim"),
    silent(off("guest-suspend-disk")),
    silent(off("guest-suspend-ram")),
    silent(off("guest-suspend-hybrid")),
    off("guest-exec"),
    off("guest-exec-status"),
    off("guest-file-open"),
    off("guest-file-close"),
    off("guest-file-read"),
    off("guest-file-write"),
    off("guest-file-seek"),
    off("guest-file-flush"),
    off("guest-ssh-get-authorized-keys"),
    off("guest-ssh-add-authorized-keys"),
    off("guest-ssh-remove-authorized-keys"),
];

impl Command {
    /// Its handler, unless it is disabled.
    fn enabled(&self, is_idle: bool) -> Option<Handler> {
        self.handler.filter(|_| is_idle || self.is_on_while_frozen)
    }
}

/// The handler of a command; `is_idle` while no file system is frozen, nor about to be.
///
/// # Errors
/// There is none now.
pub(super) fn handler(name: &str, is_idle: bool) -> Result<Handler, Error> {
    let command = COMMANDS.iter().find(|command| command.name == name);
    let why = match command.map(|command| command.enabled(is_idle)) {
        Some(Some(handler)) => return Ok(handler),
        Some(None) => {
            format!("Command {name} has been disabled: the command is not allowed")
        }
        None => format!("The command {name} has not been found"),
    };
    Err(Error::CommandNotFound(why))
}

/// guest-info: who we are, and what may be asked; answered whatever Talos does.
fn info(known: &Known) -> Result<Step, Error> {
    let is_idle = known.freeze.is_idle();
    let row = |command: &Command| {
        json!({
            "name": command.name,
            "enabled": command.enabled(is_idle).is_some(),
            "success-response": command.success_response,
        })
    };
    let commands: Value = COMMANDS.iter().map(row).collect();
    Ok(Step::Reply(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "supported_commands": commands,
    })))
}
