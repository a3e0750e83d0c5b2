use super::*;
use crate::config::{YamlError, draft::Draft, file};

const HASH: &str = "$6$rounds=1000$abcdefgh$ts4PqiFqgcN.cen3rF2HotwlQFHljTDeZHA69IhA7TtTfn/oFv0Y/zIU4T41fwzuaPKS2Ob9Piytfd1X44pUw/";
const KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

/// What a file with this text as its group says, and what is wrong with it.
fn read(group: &str) -> (GuestOperationsConfig, Vec<String>) {
    let mut draft = Draft::new();
    let text: String = group.lines().map(|line| format!("  {line}\n")).collect();
    let faults = file::read(&format!("guest_operations:\n{text}"), &mut draft);
    let faults = faults.iter().map(YamlError::to_string).collect();
    (draft.finish(None).guest_operations, faults)
}

/// The users of a file.
fn users(users: &str) -> Result<Vec<User>, String> {
    let (config, faults) = read(&format!("users: [{users}]"));
    match faults.into_iter().next() {
        Some(fault) => Err(fault),
        None => Ok(config.users),
    }
}

#[test]
fn a_whole_group_is_read() {
    let (config, faults) = read(&format!(
        "enabled: true\nusers:\n  - name: ops\n    password_hash: {HASH}\n  - public_key: {KEY}\n    \
         allow: [relay, files]\n    name: Ops\nnode_files: [/var/log, /proc/]"
    ));
    assert_eq!(faults, [""; 0]);
    assert!(config.enabled && config.relays());
    assert_eq!(config.node_files, ["/var/log", "/proc/"]);
    let [ops, other] = config.users.as_slice() else {
        panic!("{:?}", config.users);
    };
    assert_eq!((ops.name.as_str(), ops.rights), ("ops", Rights::default()));
    assert_eq!(
        (ops.public_key, other.password_hash.is_none()),
        (None, true)
    );
    let hash = ops.password_hash.as_ref().unwrap();
    assert_eq!((hash.rounds, hash.salt.as_str()), (1000, "abcdefgh"));
    assert_eq!(other.public_key.map(|key| key[0]), Some(0x03));
    assert!(other.rights.relay && other.rights.files && !other.rights.programs);
}

#[test]
fn each_fault_of_a_user_names_the_user_and_the_key() {
    let long = "a".repeat(17);
    let zeros = format!("{}=", "A".repeat(43));
    let hashed = |hash: &str| format!("{{name: ops, password_hash: '{hash}'}}");
    let keyed = |key: &str| format!("{{name: ops, public_key: '{key}'}}");
    let digest = &HASH[HASH.len() - 86..];
    let hash = [
        "",
        "s3cret",
        "$5$abcdefgh$ts4P",
        "$y$j9T$abc$def",
        &HASH[..HASH.len() - 1],
        &format!("{HASH}a"),
        &format!("{}z", &HASH[..HASH.len() - 1]),
        &format!("$6${long}${digest}"),
        &format!("$6$${digest}"),
        &format!("$6$a:b${digest}"),
        &format!("$6$rounds=$a${digest}"),
        &format!("$6$rounds=05000$a${digest}"),
        &format!("$6$rounds=+5000$a${digest}"),
        &format!("$6$rounds=5000${digest}"),
    ];
    let rounds = ["999", "1000001", "999999999", "99999999999999999999999"];
    let rounds = rounds.map(|rounds| hashed(&format!("$6$rounds={rounds}$a${digest}")));
    let keys = ["", "A", &KEY[..40], &format!("{KEY}AAAA"), &zeros, "????"];
    let cases = hash.map(|hash| (hashed(hash), "password_hash that is not SHA-512 crypt"));
    let cases = cases.into_iter();
    let cases = cases.chain(rounds.map(|user| (user, "password_hash with rounds")));
    let cases = cases.chain(keys.map(|key| (keyed(key), "public_key that is no Ed25519 key")));
    let other = [
        (
            format!("{{name: ops, public_key: {KEY}, allow: [sudo]}}"),
            "\"sudo\" in allow",
        ),
        (
            format!("{{name: ops, public_key: {KEY}, allow: files}}"),
            "no list of texts as allow",
        ),
        (
            format!("{{name: ops, public_key: {KEY}, allow: [1]}}"),
            "no list of texts as allow",
        ),
        (
            format!("{{name: ops, public_key: {KEY}, colour: {{a: b}}}}"),
            "unknown key `colour`",
        ),
        (
            format!("{{name: ops, public_key: {KEY}, name: ops}}"),
            "`name` twice",
        ),
        (
            "{name: ops}".to_owned(),
            "neither password_hash nor public_key",
        ),
        (
            "{name: ops, password_hash: }".to_owned(),
            "neither password_hash nor public_key",
        ),
        (
            "{name: ops, password_hash: 5}".to_owned(),
            "no text as password_hash",
        ),
        (
            format!("{{name: ops, public_key: {KEY}}}, {{public_key: {KEY}, name: ops}}"),
            "is there twice",
        ),
    ];
    for (text, part) in cases.chain(other) {
        let error = users(&text).expect_err(&text);
        assert!(error.starts_with("line 2, column "), "{text}: {error}");
        assert!(
            error.contains("guest_operations.users: user \"ops\" "),
            "{text}: {error}"
        );
        assert!(error.contains(part), "{text}: {error}");
        assert!(
            !error.contains("s3cret") && !error.contains(digest),
            "{error}"
        );
    }
}

#[test]
fn a_user_without_a_name_is_named_by_its_place() {
    for text in [
        format!("{{name: ops, public_key: {KEY}}}, {{public_key: {KEY}}}"),
        format!("{{name: ops, public_key: {KEY}}}, {{name: '', public_key: {KEY}}}"),
    ] {
        let error = users(&text).unwrap_err();
        assert!(
            error.contains("guest_operations.users: user number 2 has no name"),
            "{error}"
        );
    }
    let error = users("{name: 5}").unwrap_err();
    assert!(
        error.contains("user number 1 has no text as name"),
        "{error}"
    );
}

#[test]
fn what_is_no_list_of_maps_names_the_key() {
    for text in [
        "users: ops",
        "users: {name: ops}",
        "users: [ops]",
        "users: [[]]",
        "users: [5]",
    ] {
        let (config, faults) = read(text);
        assert!(
            faults[0].contains("a list of maps for guest_operations.users"),
            "{faults:?}"
        );
        assert_eq!(config, GuestOperationsConfig::default());
    }
}

#[test]
fn paths_of_the_node_are_absolute_and_do_not_climb() {
    for bad in [
        "",
        "var/log",
        ".",
        "/var/../etc",
        "/..",
        "/var/.",
        "/./var",
        "~/x",
        "/a\\0b",
    ] {
        let (config, faults) = read(&format!("node_files: [\"/var/log\", \"{bad}\"]"));
        let [fault] = faults.as_slice() else {
            panic!("{bad}: {faults:?}");
        };
        assert!(fault.contains("guest_operations.node_files: \""), "{fault}");
        assert!(fault.contains("is not an absolute path"), "{fault}");
        assert_eq!(config, GuestOperationsConfig::default());
    }
    for good in ["/", "/var/log/", "/a/.b", "/a/..b/c"] {
        assert_eq!(read(&format!("node_files: [{good}]")).1, [""; 0], "{good}");
    }
}

#[test]
fn one_fault_costs_the_whole_group() {
    let good = format!("enabled: true\nusers: [{{name: ops, public_key: {KEY}}}]\n");
    assert!(read(&good).0.enabled);
    for fault in [
        "node_files: [x]",
        "colour: true",
        "enabled: true",
        "node_files: 5",
    ] {
        let (config, faults) = read(&format!("{good}{fault}"));
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert_eq!(config, GuestOperationsConfig::default(), "{fault}");
    }
    // The group itself, and one that is there twice.
    let mut draft = Draft::new();
    let text = "guest_operations: {enabled: true}\nguest_operations: {}\nlog: {level: loud}\n";
    assert_eq!(file::read(text, &mut draft).len(), 2);
    assert!(draft.is_doubted(GROUP));
    let mut draft = Draft::new();
    assert_eq!(file::read("guest_operations: 5\n", &mut draft).len(), 1);
    assert!(draft.is_doubted(GROUP));
}

#[test]
fn a_fault_of_another_group_costs_nothing_here() {
    let text = format!(
        "guest_operations:\n  enabled: true\n  users: [{{name: ops, public_key: {KEY}}}]\n\
         log: {{level: loud}}\ncolour: 1\n"
    );
    let mut draft = Draft::new();
    assert_eq!(file::read(&text, &mut draft).len(), 2);
    assert!(draft.finish(None).guest_operations.enabled);
}

#[test]
fn a_hash_shows_nowhere() {
    let users = users(&format!("{{name: ops, password_hash: {HASH}}}")).unwrap();
    assert!(!format!("{users:?}").contains("ts4P"), "{users:?}");
}
