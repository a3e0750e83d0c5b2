//! What the group makes of its sources, and what a fault in it costs.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::config::draft::Draft;
use crate::config::{Cli, Config, Loaded, Sources, file, load, plan};

/// What the file, variables and the command line of the agent come to.
fn loaded(document: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Loaded {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("talos-vmtoolsd-{}-quiesce-{count}.yaml", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, document).unwrap();
    let arguments = ["talos-vmtoolsd", "vmtoolsd"].iter().chain(arguments);
    let (cli, _) = Cli::tolerant(arguments.map(OsString::from)).unwrap();
    let mut variables: Vec<(OsString, OsString)> = variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    variables.push(("VMTOOLSD_CONFIG".into(), path.clone().into()));
    let loaded = load(&Sources {
        flags: cli.flags,
        variables,
        folder: "/".into(),
    });
    std::fs::remove_file(path).unwrap();
    loaded
}

/// The group of a file alone, and the faults.
fn read(document: &str) -> (QuiesceConfig, Vec<String>) {
    let mut draft = Draft::new();
    let faults = file::read(document, &mut draft);
    let faults = faults.iter().map(ToString::to_string).collect();
    (draft.finish(None).quiesce, faults)
}

fn defaults() -> QuiesceConfig {
    QuiesceConfig {
        mode: QuiesceMode::Off,
        max_freeze: Duration::from_secs(8),
        exclude: vec![],
        etcd: EtcdGuard::Refuse,
        in_pod: false,
    }
}

#[test]
fn nothing_is_frozen_unless_a_source_says_so() {
    for document in [
        "",
        "quiesce:\n",
        "quiesce: {mode: , max_freeze: , exclude: , etcd: }\n",
    ] {
        assert_eq!(read(document), (defaults(), vec![]), "{document}");
    }
    assert!(!defaults().needs_freezer());
}

#[test]
fn the_file_can_say_all_of_it() {
    let (config, faults) = read(
        "quiesce:\n  mode: freeze\n  max_freeze: 20s\n  exclude: [u-db, \"/var/mnt/*\"]\n  etcd: warn\n",
    );
    assert_eq!(faults, [""; 0]);
    let expected = QuiesceConfig {
        mode: QuiesceMode::Freeze,
        max_freeze: Duration::from_secs(20),
        exclude: vec![Glob::new("u-db"), Glob::new("/var/mnt/*")],
        etcd: EtcdGuard::Warn,
        in_pod: false,
    };
    assert_eq!(config, expected);
    assert!(config.needs_freezer());
}

#[test]
fn a_flag_beats_a_variable_and_a_variable_the_file() {
    let document = "quiesce: {mode: off, max_freeze: 2s, etcd: warn}\n";
    let variables = [
        ("VMTOOLSD_QUIESCE", "sync"),
        ("VMTOOLSD_QUIESCE_MAX_FREEZE", "3s"),
    ];
    let Loaded { config, faults, .. } = loaded(document, &variables, &["--quiesce=freeze"]);
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(config.quiesce.mode, QuiesceMode::Freeze);
    assert_eq!(config.quiesce.max_freeze, Duration::from_secs(3));
    assert_eq!(config.quiesce.etcd, EtcdGuard::Warn);
    let variables = [
        ("VMTOOLSD_QUIESCE", "sync"),
        ("VMTOOLSD_QUIESCE_ETCD", "refuse"),
    ];
    let arguments = ["--quiesce-max-freeze=60", "--quiesce-etcd=warn"];
    let Loaded { config, .. } = loaded(document, &variables, &arguments);
    assert_eq!(config.quiesce.mode, QuiesceMode::Sync);
    assert_eq!(config.quiesce.max_freeze, Duration::from_secs(60));
    assert_eq!(config.quiesce.etcd, EtcdGuard::Warn);
}

#[test]
fn a_fault_of_the_file_is_named_once_and_nothing_is_frozen() {
    let right = "{mode: freeze, max_freeze: 9s, exclude: [u-db], etcd: warn}";
    assert_eq!(
        read(&format!("quiesce: {right}\n")).0.mode,
        QuiesceMode::Freeze
    );
    for (group, words) in [
        (
            "{mode: frozen}",
            "quiesce.mode: \"frozen\" is not what to do for a quiesced snapshot (off, sync or freeze)",
        ),
        ("{mode: Freeze}", "(off, sync or freeze)"),
        ("{mode: true}", "(off, sync or freeze)"),
        ("{mode: [freeze]}", "a text for quiesce.mode"),
        ("{mode: {freeze: true}}", "a text for quiesce.mode"),
        ("{mode: freeze, mode: freeze}", "mode"),
        (
            "{mode: freeze, max_freeze: 0s}",
            "quiesce.max_freeze: \"0s\" is not a duration from 1s up to 60s",
        ),
        ("{mode: freeze, max_freeze: 999ms}", "from 1s up to 60s"),
        ("{mode: freeze, max_freeze: 61s}", "from 1s up to 60s"),
        ("{mode: freeze, max_freeze: soon}", "from 1s up to 60s"),
        (
            "{mode: freeze, max_freeze: [8s]}",
            "a text for quiesce.max_freeze",
        ),
        (
            "{mode: freeze, exclude: u-db}",
            "a list of texts for quiesce.exclude",
        ),
        (
            "{mode: freeze, exclude: {u-db: true}}",
            "a list of texts for quiesce.exclude",
        ),
        ("{mode: freeze, exclude: [[u-db]]}", "quiesce.exclude"),
        (
            "{mode: freeze, exclude: [u-db, \"\"]}",
            "quiesce.exclude: \"\" is not the id of a volume",
        ),
        (
            "{mode: freeze, etcd: ignore}",
            "quiesce.etcd: \"ignore\" is not what to do where etcd needs this node (refuse or warn)",
        ),
        ("{mode: freeze, limit: 8s}", "unknown field `limit`"),
        ("freeze", "settings"),
        ("[freeze]", "settings"),
        ("5", "settings"),
    ] {
        let (config, faults) = read(&format!("quiesce: {group}\nlog: {{level: debug}}\n"));
        let [fault] = faults.as_slice() else {
            panic!("{group}: {faults:?}");
        };
        assert!(fault.contains(words), "{group}: {fault}");
        assert_eq!(config.mode, QuiesceMode::Off, "{group}");
    }
    // Both ends are allowed.
    for limit in [1, 60] {
        let (config, faults) = read(&format!(
            "quiesce: {{mode: freeze, max_freeze: {limit}s}}\n"
        ));
        assert_eq!(faults, [""; 0]);
        assert_eq!(config.mode, QuiesceMode::Freeze);
        assert_eq!(config.max_freeze, Duration::from_secs(limit));
    }
}

#[test]
fn the_group_twice_is_a_fault_as_well() {
    let text = "quiesce: {mode: freeze}\nquiesce: {exclude: [u-db]}\n";
    let (config, faults) = read(text);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(config.mode, QuiesceMode::Off);
}

#[test]
fn a_fault_of_a_variable_or_a_flag_means_off_whatever_else_says_freeze() {
    let document = "quiesce: {mode: freeze}\n";
    for (variable, flag) in [
        (Some(("VMTOOLSD_QUIESCE", "frozen")), None),
        (Some(("VMTOOLSD_QUIESCE_MAX_FREEZE", "61s")), None),
        (
            Some(("VMTOOLSD_QUIESCE_ETCD", "ignore")),
            Some("--quiesce=freeze"),
        ),
        (None, Some("--quiesce=frozen")),
        (None, Some("--quiesce-max-freeze=61s")),
        (None, Some("--quiesce-etcd")),
    ] {
        let variables: Vec<_> = variable.into_iter().collect();
        let arguments: Vec<_> = flag.into_iter().collect();
        let Loaded { config, faults, .. } = loaded(document, &variables, &arguments);
        assert_eq!(
            config.quiesce.mode,
            QuiesceMode::Off,
            "{variable:?} {flag:?}"
        );
        assert_eq!(faults.len(), variables.len(), "{faults:?}");
    }
    // One of another flag costs nothing here.
    let Loaded { config, .. } = loaded(document, &[], &["--colour", "--transport=tcp"]);
    assert_eq!(config.quiesce.mode, QuiesceMode::Freeze);
}

#[test]
fn a_file_that_cannot_be_understood_may_have_excluded_something() {
    for document in ["quiesce: {exclude: [u-db]\n", "- quiesce\n", "\t\n"] {
        let loaded = loaded(document, &[], &["--quiesce=freeze"]);
        assert_eq!(loaded.faults.len(), 1, "{document}: {:?}", loaded.faults);
        assert_eq!(loaded.config.quiesce.mode, QuiesceMode::Off, "{document}");
    }
    let Loaded { config, faults, .. } = load(&Sources {
        flags: Cli::tolerant(
            ["talos-vmtoolsd", "vmtoolsd", "--quiesce=freeze"].map(OsString::from),
        )
        .unwrap()
        .0
        .flags,
        variables: vec![("VMTOOLSD_CONFIG".into(), "/does/not/exist".into())],
        folder: "/".into(),
    });
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(config.quiesce.mode, QuiesceMode::Off);
}

#[test]
fn a_fault_of_another_group_costs_nothing_here() {
    let (config, faults) = read("quiesce: {mode: freeze}\nlog: {level: loud}\ncolour: 1\n");
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert_eq!(config.mode, QuiesceMode::Freeze);
}

#[test]
fn a_reload_changes_all_but_the_mode() {
    let config = |document: &str| -> Config { loaded(document, &[], &[]).strict().unwrap() };
    let old = config("quiesce: {mode: freeze}\n");
    let new = "quiesce: {mode: sync, max_freeze: 5s, exclude: [u-db], etcd: warn}\n";
    let plan = plan(&old, config(new));
    assert_eq!(plan.restart, ["quiesce.mode"]);
    let expected = QuiesceConfig {
        mode: QuiesceMode::Freeze,
        max_freeze: Duration::from_secs(5),
        exclude: vec![Glob::new("u-db")],
        etcd: EtcdGuard::Warn,
        in_pod: false,
    };
    assert_eq!(plan.config.quiesce, expected);
    // One with a fault is not taken over at all.
    assert!(
        loaded("quiesce: {mode: sync, max_freeze: 61s}\n", &[], &[])
            .again()
            .is_err()
    );
}

#[test]
fn in_a_pod_nothing_is_frozen_and_syncing_goes_on() {
    for (mode, address, is_refused) in [
        ("freeze", "10.96.0.1", true),
        ("sync", "10.96.0.1", false),
        ("freeze", "", false),
    ] {
        let arguments = [&*format!("--quiesce={mode}")];
        let variables = [("KUBERNETES_SERVICE_HOST", address)];
        let config = loaded("", &variables, &arguments).strict().unwrap().quiesce;
        assert_eq!(config.is_refused_in_pod(), is_refused, "{mode} {address:?}");
        assert_eq!(config.needs_freezer(), !is_refused, "{mode} {address:?}");
    }
}
