//! The table of settings: each is one row here and one field of [`Config`](super::Config).
//!
//! From the rows come the command line, the variables, the keys of the file, the defaults and what a reload
//! applies; and of the documents docs/configuration.md, the manual page and the completion scripts, which the
//! test `generated` writes. `--help` shows the flags in the order of the rows; the rows of a group stand
//! together.

use super::setting::Applied::{OnReload, OnRestart};
use super::setting::Unset::{Nothing, Otherwise, Value};
use super::setting::{Setting, field};

/// All settings.
pub static SETTINGS: &[Setting] = &[
    Setting {
        key: Some("talos.use_machined"),
        flag: Some("use-machined"),
        value: "BOOL",
        unset: Value("false"),
        applied: OnReload,
        help: "Reach Talos through machined's socket, as an extension service does; wins over --talos-config",
        field: field!(talos.use_machined),
    },
    Setting {
        key: Some("talos.config"),
        flag: Some("talos-config"),
        value: "FILE",
        unset: Otherwise("/var/run/secrets/talos.dev/config if it exists"),
        applied: OnReload,
        help: "Reach Talos through apid with this talosconfig, which is read again when it changes",
        field: field!(talos.config),
    },
    Setting {
        key: Some("talos.node"),
        flag: Some("talos-node"),
        value: "NODE",
        unset: Otherwise("the talosconfig's only node, else 127.0.0.1"),
        applied: OnReload,
        help: "Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000)",
        field: field!(talos.node),
    },
    Setting {
        key: Some("talos.machined_socket"),
        flag: Some("machined-socket"),
        value: "PATH",
        unset: Value("/system/run/machined/machine.sock"),
        applied: OnReload,
        help: "Path of machined's socket",
        field: field!(talos.machined_socket),
    },
    Setting {
        key: Some("talos.machined_role"),
        flag: Some("machined-role"),
        value: "ROLE",
        // The least role that may shut down, reboot and read what is reported.
        unset: Value("os:operator"),
        applied: OnReload,
        help: "Role claimed on machined's socket",
        field: field!(talos.machined_role),
    },
    Setting {
        key: Some("host.hypervisor"),
        flag: Some("hypervisor"),
        value: "HYPERVISOR",
        unset: Value("auto"),
        applied: OnRestart,
        help: "Whose guest agent this is; auto is VMware's where the processor reports VMware, else QEMU's where there \
               is a virtio-serial device, else none",
        field: field!(config.host.hypervisor),
    },
    Setting {
        key: Some("host.transport"),
        flag: Some("transport"),
        value: "TRANSPORT",
        unset: Value("auto"),
        applied: OnRestart,
        help: "Way to the host; auto tries vsock, then the backdoor, in each direction",
        field: field!(config.host.transport),
    },
    Setting {
        key: Some("host.low_bandwidth"),
        flag: Some("low-bandwidth"),
        value: "BOOL",
        unset: Value("false"),
        applied: OnRestart,
        help: "Never use the high-bandwidth backdoor",
        field: field!(config.host.low_bandwidth),
    },
    Setting {
        key: Some("host.skip_vmware_detection"),
        flag: Some("skip-vmware-detection"),
        value: "BOOL",
        unset: Value("false"),
        applied: OnRestart,
        help: "Try the backdoor even if the processor does not report VMware",
        field: field!(config.host.skip_vmware_detection),
    },
    Setting {
        key: Some("host.idle_off_vmware"),
        flag: Some("idle-off-vmware"),
        value: "BOOL",
        unset: Value("false"),
        applied: OnRestart,
        help: "Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)",
        field: field!(config.host.idle_off_vmware),
    },
    Setting {
        key: Some("qemu.port"),
        flag: Some("qga-port"),
        value: "PATH",
        unset: Otherwise("the port org.qemu.guest_agent.0, found by its name"),
        applied: OnRestart,
        help: "Port of the QEMU guest agent, for a pod that has it as a device",
        field: field!(config.qemu.port),
    },
    Setting {
        key: Some("power.deadline"),
        flag: Some("power-deadline"),
        value: "DURATION",
        unset: Value("30s"),
        applied: OnReload,
        help: "How long a power call to Talos may take, retries included",
        field: field!(config.power.deadline),
    },
    Setting {
        key: Some("power.force_shutdown"),
        flag: Some("force-shutdown"),
        value: "BOOL",
        unset: Value("false"),
        applied: OnReload,
        help: "Shut down without cordon and drain",
        field: field!(config.power.force_shutdown),
    },
    Setting {
        key: Some("power.reboot_mode"),
        flag: Some("reboot-mode"),
        value: "MODE",
        unset: Value("default"),
        applied: OnReload,
        help: "How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12)",
        field: field!(config.power.reboot_mode),
    },
    Setting {
        key: Some("power.busy"),
        flag: Some("power-busy"),
        value: "POLICY",
        unset: Value("refuse"),
        applied: OnReload,
        help: "Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, \
               or passed on to Talos, which may interrupt that",
        field: field!(config.power.busy),
    },
    Setting {
        key: Some("power.host_policy"),
        flag: Some("power-host-policy"),
        value: "BOOL",
        unset: Value("false"),
        applied: OnReload,
        help: "Read the guest variable guestinfo.talos-vmtoolsd.shutdown, set on the virtual machine, before each power \
               operation: force skips the drain and what power.etcd.guard would do",
        field: field!(config.power.host_policy),
    },
    Setting {
        key: Some("power.shutdown.drain_deadline"),
        flag: Some("drain-deadline"),
        value: "DURATION",
        unset: Value("60s"),
        applied: OnReload,
        help: "How long Talos may drain the node before Shut Down goes on without: 0s not at all, as --force-shutdown; \
               talos as long as Talos wants, which is five minutes",
        field: field!(config.power.shutdown.drain_deadline),
    },
    Setting {
        key: Some("power.shutdown.budget"),
        flag: Some("shutdown-budget"),
        value: "DURATION",
        // ESXi's autostart manager waits 120 s, and stopping takes what is left.
        unset: Value("100s"),
        applied: OnReload,
        help: "How long holding and draining may take together before Shut Down goes on without either",
        field: field!(config.power.shutdown.budget),
    },
    Setting {
        key: Some("power.shutdown.escalate_after"),
        flag: Some("escalate-after"),
        value: "DURATION",
        unset: Value("30s"),
        applied: OnReload,
        help: "How long after the first press of a button another press means now: no holding, no draining",
        field: field!(config.power.shutdown.escalate_after),
    },
    Setting {
        key: Some("power.etcd.guard"),
        flag: Some("etcd-guard"),
        value: "POLICY",
        unset: Value("warn"),
        applied: OnReload,
        help: "What is done about Shut Down and Restart of a control plane without which etcd has no quorum: nothing, a \
               warning, hold them until the others are enough (see power.etcd.hold), or refuse them",
        field: field!(config.power.etcd.guard),
    },
    Setting {
        key: Some("power.etcd.hold"),
        flag: Some("etcd-hold"),
        value: "DURATION",
        unset: Value("30s"),
        applied: OnReload,
        help: "How long --etcd-guard=hold holds an operation at most",
        field: field!(config.power.etcd.hold),
    },
    Setting {
        key: Some("power.etcd.forfeit"),
        flag: None,
        value: "OCCASIONS",
        unset: Nothing,
        applied: OnReload,
        help: "When this node hands over the leadership of etcd if it leads: force-reboot before a Restart in mode force \
               that does not mean now, vmotion before a migration, never; Talos asks for the role os:admin, which this one call claims on \
               machined's socket",
        field: field!(config.power.etcd.forfeit),
    },
    Setting {
        key: Some("vmware.vmotion.notify"),
        flag: Some("vmotion-notify"),
        value: "BOOL",
        unset: Value("false"),
        applied: OnReload,
        help: "Have vSphere 8 say before it migrates the virtual machine, whose option vmOpNotificationToAppEnabled must \
               be set",
        field: field!(config.vmware.vmotion.notify),
    },
    Setting {
        key: Some("vmware.vmotion.period"),
        flag: Some("vmotion-period"),
        value: "DURATION",
        unset: Value("2s"),
        applied: OnReload,
        help: "How often the host is asked whether a migration begins, from 500ms to 30s; each migration waits for it",
        field: field!(config.vmware.vmotion.period as crate::config::value::period),
    },
    Setting {
        key: Some("vmware.ha.monitor"),
        flag: Some("ha-monitor"),
        value: "MONITOR",
        unset: Value("off"),
        applied: OnReload,
        help: "What vSphere HA application monitoring takes for alive, so that it resets the virtual machine otherwise: \
               nothing is monitored; Talos answers and the machine boots or runs; or it is ready, too",
        field: field!(config.vmware.ha.monitor),
    },
    Setting {
        key: Some("vmware.ha.unready_for"),
        flag: Some("ha-unready-for"),
        value: "DURATION",
        unset: Value("10m"),
        applied: OnReload,
        help: "How long the machine may be unready before --ha-monitor=ready takes it for dead, at least 2m",
        field: field!(config.vmware.ha.unready_for as crate::config::value::unready_limit),
    },
    Setting {
        key: Some("vmware.ha.silent_for"),
        flag: Some("ha-silent-for"),
        value: "DURATION",
        unset: Value("5m"),
        applied: OnReload,
        help: "How long Talos may be silent before --ha-monitor takes the machine for dead, at least 1m",
        field: field!(config.vmware.ha.silent_for as crate::config::value::silence_limit),
    },
    Setting {
        key: Some("vmware.ha.settle"),
        flag: Some("ha-settle"),
        value: "DURATION",
        unset: Value("10m"),
        applied: OnReload,
        help: "How long after the agent's start --ha-monitor monitors nothing",
        field: field!(config.vmware.ha.settle),
    },
    Setting {
        key: Some("guestinfo.host_name"),
        flag: Some("guest-host-name"),
        value: "FORM",
        unset: Value("node"),
        applied: OnReload,
        help: "Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds \
               the machine, or the host name with its domain",
        field: field!(config.guest_info.host_name),
    },
    Setting {
        key: Some("guestinfo.scrub"),
        flag: Some("scrub-guestinfo"),
        value: "BOOL",
        unset: Value("false"),
        applied: OnReload,
        help: "Blank machine configs that are exposed in guest variables, once the machine is ready",
        field: field!(config.guest_info.scrub),
    },
    Setting {
        key: Some("guestinfo.variables"),
        flag: Some("guest-variables"),
        value: "BOOL",
        unset: Value("true"),
        applied: OnReload,
        help: "Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine's configuration \
               as it is",
        field: field!(config.guest_info.variables),
    },
    Setting {
        key: Some("guestinfo.disk_interval"),
        flag: None,
        value: "DURATION",
        // Talos looks at every mount of the node for it, so this is longer than open-vm-tools' 30 s.
        unset: Value("5m"),
        applied: OnReload,
        help: "How often free space is measured although nothing was mounted or unmounted; \
               the only call to Talos while nothing changes",
        field: field!(config.guest_info.disk_interval),
    },
    Setting {
        key: Some("guestinfo.stats_interval"),
        flag: None,
        value: "DURATION",
        // stats-interval of open-vm-tools.
        unset: Value("20s"),
        applied: OnReload,
        help: "How often memory and processor statistics are sent",
        field: field!(config.guest_info.stats_interval),
    },
    Setting {
        key: Some("inventory.apps"),
        flag: Some("inventory-apps"),
        value: "BOOL",
        unset: Value("false"),
        applied: OnReload,
        help: "List Talos, Kubernetes, containerd and Talos' services with their versions for the host, every 6 h",
        field: field!(config.inventory.apps),
    },
    Setting {
        key: Some("inventory.containers"),
        flag: Some("inventory-containers"),
        value: "BOOL",
        unset: Value("false"),
        applied: OnReload,
        help: "List the images of running containers for the host, every 6 h",
        field: field!(config.inventory.containers),
    },
    Setting {
        key: Some("network.exclude_nics"),
        flag: None,
        value: "PATTERNS",
        unset: Nothing,
        applied: OnReload,
        help: "Interfaces to leave out besides the built-in ones; the last pattern that matches decides, \
               and ! in front takes a name out again",
        field: field!(config.network.exclude_nics),
    },
    Setting {
        key: Some("network.primary_nics"),
        flag: None,
        value: "PATTERNS",
        unset: Nothing,
        applied: OnReload,
        help: "Interfaces whose addresses come first; the best of them is the primary address",
        field: field!(config.network.primary_nics),
    },
    Setting {
        key: Some("network.low_priority_nics"),
        flag: None,
        value: "PATTERNS",
        unset: Nothing,
        applied: OnReload,
        help: "Interfaces whose addresses come after those of all others",
        field: field!(config.network.low_priority_nics),
    },
    Setting {
        key: Some("network.exclude_subnets"),
        flag: None,
        value: "SUBNETS",
        unset: Nothing,
        applied: OnReload,
        help: "Networks whose addresses and routes are left out, such as 192.168.100.0/24",
        field: field!(config.network.exclude_subnets),
    },
    Setting {
        key: Some("network.prefer"),
        flag: None,
        value: "FAMILY",
        unset: Otherwise("the kubelet's first, before Kubernetes ipv4"),
        applied: OnReload,
        help: "Family of the primary address if the node has both",
        field: field!(config.network.prefer),
    },
    Setting {
        key: Some("network.report_vips"),
        flag: None,
        value: "BOOL",
        unset: Value("false"),
        applied: OnReload,
        help: "Report virtual IPs that this node holds as addresses of the machine too, last and never as the primary \
               address; Cluster API copies every address into its machine",
        field: field!(config.network.report_vips),
    },
    Setting {
        key: Some("network.report_link_local"),
        flag: None,
        value: "BOOL",
        unset: Value("false"),
        applied: OnReload,
        help: "Report link-local addresses (169.254.0.0/16, fe80::/10) of NICs that have another address as well",
        field: field!(config.network.report_link_local),
    },
    Setting {
        key: Some("guest_operations.enabled"),
        flag: Some("guest-operations"),
        value: "BOOL",
        unset: Value("false"),
        applied: OnReload,
        help: "Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)",
        field: field!(config.guest_operations.enabled),
    },
    Setting {
        key: Some("guest_operations.users"),
        flag: None,
        value: "USERS",
        unset: Nothing,
        applied: OnReload,
        help: "Who may, and what; there must be one when guest operations are on",
        field: field!(config.guest_operations.users),
    },
    Setting {
        key: Some("guest_operations.node_files"),
        flag: None,
        value: "PATHS",
        unset: Nothing,
        applied: OnReload,
        help: "Files and folders of the node that they may list and read, such as /var/log; \
               Talos asks for the role os:admin",
        field: field!(config.guest_operations.node_files),
    },
    Setting {
        key: Some("quiesce.mode"),
        flag: Some("quiesce"),
        value: "MODE",
        unset: Value("off"),
        applied: OnRestart,
        help: "What is done for a quiesced snapshot: nothing, so that the host's wish is refused; what is written so far \
               goes to the disks; or file systems are frozen (as a system extension only)",
        field: field!(config.quiesce.mode),
    },
    Setting {
        key: Some("quiesce.max_freeze"),
        flag: Some("quiesce-max-freeze"),
        value: "DURATION",
        // A control plane's components wait 10 s for their leases.
        unset: Value("8s"),
        applied: OnReload,
        help: "How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails",
        field: field!(config.quiesce.max_freeze as crate::config::value::freeze_limit),
    },
    Setting {
        key: Some("quiesce.exclude"),
        flag: None,
        value: "VOLUMES",
        unset: Nothing,
        applied: OnReload,
        help: "Volumes that are not frozen: patterns of their ids, such as u-data, or of their mount points, such as \
               /var/mnt/data",
        field: field!(config.quiesce.exclude),
    },
    Setting {
        key: Some("quiesce.etcd"),
        flag: Some("quiesce-etcd"),
        value: "POLICY",
        unset: Value("refuse"),
        applied: OnReload,
        help: "Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum \
               because a member is missing",
        field: field!(config.quiesce.etcd),
    },
    Setting {
        key: Some("sandbox.mode"),
        flag: Some("sandbox"),
        value: "MODE",
        unset: Value("enforce"),
        applied: OnRestart,
        help: "Give up all rights that the agent does not need; warn denies nothing and logs what would be denied",
        field: field!(config.sandbox),
    },
    Setting {
        key: Some("log.level"),
        flag: Some("log-level"),
        value: "LEVEL",
        unset: Value("info"),
        applied: OnReload,
        help: "Most detailed log level",
        field: field!(config.log.level),
    },
    Setting {
        key: Some("log.format"),
        flag: Some("log-format"),
        value: "FORMAT",
        unset: Value("text"),
        applied: OnReload,
        help: "Form of the log",
        field: field!(config.log.format),
    },
    Setting {
        key: None,
        flag: Some("config"),
        value: "FILE",
        unset: Nothing,
        applied: OnRestart,
        help: "Configuration file (YAML)",
        field: field!(file),
    },
];

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::draft::Draft;
    use crate::config::value::Form;
    use crate::config::{Cli, env, file};
    use clap::Parser as _;
    use std::collections::BTreeSet;
    use std::ffi::{OsStr, OsString};

    /// A value that is not the default.
    pub(in crate::config) fn sample(setting: &Setting) -> &'static str {
        match (setting.form(), setting.value) {
            (Form::Switch, _) if setting.unset == Value("true") => "false",
            (Form::Switch, _) => "true",
            (Form::Choice { names, .. }, _) => names.last().unwrap(),
            (Form::Text, "DURATION")
                if matches!(
                    setting.key,
                    Some("vmware.ha.unready_for" | "vmware.ha.silent_for")
                ) =>
            {
                "7m"
            }
            (Form::Text, "DURATION") => "7s",
            (Form::Text, _) => "os:x",
            (Form::List, "PATHS") => "/var/log",
            (Form::List, "OCCASIONS") => "vmotion",
            (Form::List, "VOLUMES") => "u-data",
            // A pattern as well.
            (Form::List, _) => "10.0.0.0/8",
            (Form::Maps, _) => {
                "{name: ops, public_key: A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=}"
            }
        }
    }

    /// A file in which one setting has a value.
    fn document(setting: &Setting, value: &str) -> Option<String> {
        let value = match setting.form() {
            Form::List => format!("[\"{value}\"]"),
            Form::Maps => format!("[{value}]"),
            _ => value.to_owned(),
        };
        let mut document = String::new();
        let names = setting.key?.split('.');
        for (depth, name) in names.enumerate() {
            document += &format!("\n{}{name}:", "  ".repeat(depth));
        }
        Some(format!("{document} {value}\n"))
    }

    /// The defaults but for one setting, which has its sample in the file.
    pub(in crate::config) fn changed(setting: &Setting) -> Draft {
        let mut draft = Draft::new();
        if let Some(text) = document(setting, sample(setting)) {
            assert_eq!(file::read(&text, &mut draft), []);
        }
        draft
    }

    #[test]
    fn the_rows_are_sound() {
        let (mut keys, mut flags, mut groups) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for setting in SETTINGS {
            assert!(
                setting.key.is_some() || setting.flag.is_some(),
                "{setting:?}"
            );
            if let Some(key) = setting.key {
                let (group, name) = setting.place().unwrap();
                assert!(!group.is_empty() && !name.is_empty(), "{key}");
                assert!(keys.insert(key), "{key} is there twice");
                groups.push(group);
            }
            if let Some(flag) = setting.flag {
                assert!(flags.insert(flag), "--{flag} is there twice");
                let is_list = matches!(setting.form(), Form::List | Form::Maps);
                assert!(!is_list, "--{flag}: a list is for the file");
            }
            let help = setting.help;
            assert!(!help.is_empty() && !help.ends_with('.'), "{help}");
            assert!(help.starts_with(char::is_uppercase), "{help}");
        }
        groups.dedup();
        let distinct: BTreeSet<_> = groups.iter().collect();
        assert_eq!(
            distinct.len(),
            groups.len(),
            "a group is in one place: {groups:?}"
        );
    }

    #[test]
    fn every_default_can_be_read() {
        for setting in SETTINGS {
            if let Value(default) = setting.unset {
                let read = setting.read(&mut Draft::new(), OsStr::new(default));
                assert_eq!(read, Ok(()), "{:?}", setting.key);
                // Nobody says it again, and nothing changes.
                let mut draft = Draft::new();
                let text = document(setting, default).unwrap();
                assert_eq!(file::read(&text, &mut draft), []);
                assert_eq!(draft, Draft::new(), "{:?}", setting.key);
            }
        }
    }

    #[test]
    fn file_variable_and_flag_fill_the_same_field() {
        for setting in SETTINGS {
            let (Some(flag), Some(variable)) = (setting.flag, setting.variable()) else {
                continue;
            };
            let value = sample(setting);
            let mut by_variable = Draft::new();
            let env = |name: &str| (name == variable).then(|| OsString::from(value));
            assert!(env::read(&env, &mut by_variable).is_empty());
            let mut by_flag = Draft::new();
            let cli = Cli::try_parse_from(["talos-vmtoolsd", &format!("--{flag}={value}")]);
            assert!(cli.unwrap().flags.read(&mut by_flag).is_empty());
            assert_eq!(by_variable, by_flag, "{flag}");
            if setting.key.is_some() {
                assert_eq!(changed(setting), by_flag, "{flag}");
            }
        }
    }

    #[test]
    fn every_setting_has_a_field_of_its_own() {
        let mut drafts = vec![Draft::new()];
        for setting in SETTINGS.iter().filter(|setting| setting.key.is_some()) {
            let draft = changed(setting);
            assert!(!drafts.contains(&draft), "{:?}", setting.key);
            drafts.push(draft);
        }
    }

    // The way to Talos is made of several settings, which a plan does not see one by one.
    #[test]
    fn a_reload_applies_all_settings_of_talos() {
        for setting in SETTINGS {
            if setting.place().is_some_and(|(group, _)| group == "talos") {
                assert_eq!(setting.applied, OnReload, "{:?}", setting.key);
            }
        }
    }
}
