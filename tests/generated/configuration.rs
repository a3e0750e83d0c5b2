//! The page of settings, docs/configuration.md, and the file with every key that it and the manual page show.

use std::fmt::Write as _;

use talos_vmtoolsd::config::table::SETTINGS;
use talos_vmtoolsd::config::{Applied, Form, Setting, Unset};

/// The group that has a table of its own: its settings are for the file alone.
const NETWORK: &str = "network";

const INTRODUCTION: &str = "\
# Configuration

Every setting has a default. A setting can be given as a flag, in an environment variable and in a file; a flag beats a
variable, a variable beats the file, and the file beats the default. Flags may stand before or after the subcommand, and
the last one given counts. An empty variable counts as unset.

The table shows all settings but those of the group `network`, which follow. The last column says when a change in the
file counts: on a reload (SIGHUP) or after a restart of the agent.

";

const NETWORK_INTRODUCTION: &str = "
## What is reported of the network

These settings are for the file alone, in its group `network`:

";

const PATTERNS: &str = "
Patterns are those of open-vm-tools: `*` for any text, `?` for one character, over the whole name. `!` in front takes a
name out again: `[\"eth9\", \"!docker0\"]`. A VLAN, bond or bridge goes by its own name; if no pattern of `primary_nics` or
`low_priority_nics` matches that, it goes with its NIC.

The built-in excludes are the interfaces of Antrea, Azure CNI, Calico, Cilium, Flannel, kube-proxy and kube-router, OVN,
Weave, Docker and other container engines, KubeSpan, SideroLink and WireGuard (`wg*`); `\"!*\"` switches them off.
`talos-vmtoolsd talosquery` shows for each address where it is reported and why, or why not.
";

/// Users of guest operations, as they stand in the file.
pub(crate) const USERS: &str = "\
guest_operations:
  enabled: true
  users:
    - name: ops
      password_hash: $6$rounds=100000$abcdefgh$\
AKWgj9awCvEkXS4bukwI7SolVTNhneqFL1DE5KVwidjoeJMf8i5ak6.pHoH/vI/5B.NE2jZGNaPNHf6olvxf91
    - name: night-shift
      public_key: A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=
      allow: [processes, environment, files, programs, relay]
  node_files: [/var/log]
";

const USERS_INTRODUCTION: &str = "
## Users of guest operations

`guest_operations.users` is for the file alone, a list of maps:

";

const USERS_KEYS: &str = "
| key | default | meaning |
|---|---|---|
| `name` | | The user's name at the host, compared as it is; no two users have the same |
| `password_hash` | | The password as SHA-512 crypt hashes it (`openssl passwd -6`), with 1000 to 1000000 rounds |
| `public_key` | | An Ed25519 key, 32 bytes in base64: tokens signed with its private key are taken in place of the password; \
`talos-vmtoolsd token` makes them |
| `allow` | all but `relay` | What the user may: `processes`, `environment`, `files`, `programs`, `relay` |

A user has a hash or a key, or both. A name that is a number, `true` or the like stands in quotes. A secret that begins with
`tvt1.` is a token and never a password, and a password has at most 128 bytes.

Of this group either all counts or nothing: with a fault in it, or without users, guest operations are off. A user of
`relay` reaches apid (127.0.0.1:50000), which the [sandbox](sandbox.md) allows only if there was one at the start.
";

const QUIESCE: &str = "
## Volumes that are not frozen

`quiesce.exclude` is for the file alone, a list of patterns: `*` for any text, `?` for one character, over the whole id of
a volume (`EPHEMERAL`, `u-data`) or its whole mount point (`/var`, `/var/mnt/data`). A text that no volume can match, such
as `!u-data` or `var/mnt/data`, is a fault. [Quiesced snapshots](snapshots.md) says what the settings of the group do.
";

const FILE_INTRODUCTION: &str = "
## The file

The file is YAML. All keys are optional, unknown ones are errors. With every key at its default it is:

";

const FAULTS: &str = "
## What is wrong

The agent serves the host whatever is wrong: a fleet that is rolled back meets keys and flags that only the newer version
knows. Each fault is one line at level ERROR that names the file with line and column, the variable or the flag, and
what would do. An unknown key or flag is skipped. A bad value leaves the setting to a weaker source or its default; in a
list, one bad item does so for the whole list. Three groups count whole or not at all: with a fault in `guest_operations`
guest operations are off, with one in `quiesce` quiesced snapshots are, with one in `vmware.ha` nothing is monitored. A
file that is missing, longer than 1 MiB, nested deeper than 100 levels or no YAML says nothing, and switches all three
off, whatever flags and variables say. Without a usable way to Talos the host gets its heartbeat, no facts, and status 0
for power operations; a way that is configured later needs a restart.

`check`, `talosquery` and `rpc` say the first fault and exit with 2. A file that is wrong at a reload changes nothing at all,
and is one line at level ERROR. Variables that begin with `VMTOOLSD_` and mean nothing are named (level WARN) and are
no fault: a Kubernetes Service of that name makes some.

A relative path is relative to the folder in which the agent was started.
";

const RELOAD: &str = "
## Reload and stop

On SIGHUP the agent reads the file again and applies what can change while it runs. A log line names the settings that
wait for a restart. If the file has an error, or needs more than the [sandbox](sandbox.md) allowed at the start, nothing
changes, and a log line says why. A talosconfig that changes is read again without a signal. SIGTERM and SIGINT stop the
agent.

---

This page comes from the table of settings in `src/config/table.rs`; `GENERATE=1 cargo test --test generated` writes it.
";

/// The page.
pub(crate) fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page += "| flag | variable | file | default | meaning | a change counts |\n|---|---|---|---|---|---|\n";
    for setting in SETTINGS.iter().filter(|setting| !is_network(setting)) {
        let code = |text: &str| format!("`{text}`");
        let flag = usage(setting).map(|usage| code(&usage));
        let variable = setting.variable().map(|name| code(&name));
        let key = setting.key.map(code);
        row(
            &mut page,
            [
                &flag.unwrap_or_default(),
                &variable.unwrap_or_default(),
                &key.unwrap_or_default(),
                &default(setting),
                &meaning(setting),
                applied(setting),
            ],
        );
    }
    page += NETWORK_INTRODUCTION;
    page += "| key | default | meaning | a change counts |\n|---|---|---|---|\n";
    for setting in SETTINGS.iter().filter(|setting| is_network(setting)) {
        let (_, key) = setting.place().unwrap();
        let key = format!("`{key}`");
        row(
            &mut page,
            [&key, &default(setting), &meaning(setting), applied(setting)],
        );
    }
    page += PATTERNS;
    page += USERS_INTRODUCTION;
    write!(page, "```yaml\n{USERS}```\n").unwrap();
    page += USERS_KEYS;
    page += QUIESCE;
    page += FILE_INTRODUCTION;
    write!(page, "```yaml\n{}```\n", file()).unwrap();
    page += FAULTS;
    page += RELOAD;
    page
}

/// The configuration file with every key at its default; a comment where none can be written.
pub(crate) fn file() -> String {
    let mut text = String::new();
    let mut last = Vec::new();
    for setting in SETTINGS {
        let Some((groups, key)) = setting.place() else {
            continue;
        };
        let groups: Vec<_> = groups.split('.').collect();
        for (depth, group) in groups.iter().enumerate() {
            if last.get(..=depth) != groups.get(..=depth) {
                writeln!(text, "{}{group}:", "  ".repeat(depth)).unwrap();
            }
        }
        let indent = "  ".repeat(groups.len());
        last = groups;
        match (setting.unset, setting.form()) {
            (Unset::Value(default), _) => writeln!(text, "{indent}{key}: {default}"),
            (Unset::Otherwise(default), _) => writeln!(text, "{indent}# {key}: {default}"),
            (Unset::Nothing, Form::List | Form::Maps) => writeln!(text, "{indent}{key}: []"),
            (Unset::Nothing, _) => writeln!(text, "{indent}# {key}:"),
        }
        .unwrap();
    }
    text
}

fn is_network(setting: &Setting) -> bool {
    setting.place().is_some_and(|(group, _)| group == NETWORK)
}

fn row<const N: usize>(page: &mut String, cells: [&str; N]) {
    for cell in cells {
        write!(page, "| {}", cell.replace('|', "\\|")).unwrap();
        page.push_str(if cell.is_empty() { "" } else { " " });
    }
    page.push_str("|\n");
}

/// The flag with its value, as in a usage text.
fn usage(setting: &Setting) -> Option<String> {
    let (flag, value) = (setting.flag?, setting.value);
    Some(match setting.form() {
        Form::Switch => format!("--{flag}[={value}]"),
        _ => format!("--{flag} {value}"),
    })
}

fn default(setting: &Setting) -> String {
    match setting.unset {
        Unset::Value(default) => format!("`{default}`"),
        Unset::Otherwise(default) => default.to_owned(),
        Unset::Nothing => String::new(),
    }
}

/// The meaning, with the names that can be chosen from; flags stand out.
fn meaning(setting: &Setting) -> String {
    let mut help = setting.help.to_owned();
    for other in SETTINGS.iter().filter_map(|setting| setting.flag) {
        help = help.replace(&format!("--{other}"), &format!("`--{other}`"));
    }
    match setting.form() {
        Form::Choice { names, .. } => format!("{help} (`{}`)", names.join("`, `")),
        _ => help,
    }
}

/// Flags and variables change only with a restart, and so does the name of the file.
fn applied(setting: &Setting) -> &'static str {
    match setting.applied {
        Applied::OnReload => "on reload",
        Applied::OnRestart => "after a restart",
    }
}
