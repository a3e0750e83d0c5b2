//! The program from outside, without a host and without Talos: output and exit codes.
//!
//! The environment of every run is empty but for what the test sets, as in a Talos container. The binary is
//! the one of TALOS_VMTOOLSD where that is set, else cargo's.

#![cfg(test)]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::signature::{ED25519, UnparsedPublicKey};

struct Run {
    stdout: String,
    stderr: String,
    code: Option<i32>,
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    run_program(&program(), arguments, environment)
}

fn program() -> PathBuf {
    std::env::var_os("TALOS_VMTOOLSD").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_talos-vmtoolsd")),
        PathBuf::from,
    )
}

fn run_program(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    Run {
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
        code: status.code(),
    }
}

/// Whether these tests themselves run on VMware, where the answers are others.
fn on_vmware() -> bool {
    std::fs::read_to_string("/sys/class/dmi/id/sys_vendor")
        .is_ok_and(|vendor| vendor.starts_with("VMware"))
}

#[test]
fn without_a_subcommand_the_help_is_shown() {
    for arguments in [&[][..], &["--use-machined"]] {
        let run = run(arguments, &[]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
        assert!(
            run.stdout.contains("Usage: talos-vmtoolsd"),
            "{}",
            run.stdout
        );
    }
}

/// As talosctl has it, and whatever the configuration is.
#[test]
fn version_as_a_subcommand_prints_what_the_flag_prints() {
    let bad = [("VMTOOLSD_CONFIG", "/nowhere")];
    let flag = run(&["--version"], &[]);
    let subcommand = run(&["version"], &bad);
    assert_eq!((subcommand.code, subcommand.stderr.as_str()), (Some(0), ""));
    assert_eq!(subcommand.stdout, flag.stdout);
    let short = run(&["version", "--short"], &bad);
    assert_eq!(short.code, Some(0));
    let number = short.stdout.trim_end();
    assert!(
        flag.stdout
            .starts_with(&format!("talos-vmtoolsd {number} ("))
    );
}

#[test]
fn the_version_is_one_line_on_stdout() {
    let run = run(&["--version"], &[]);
    assert_eq!(run.code, Some(0));
    let beginning = concat!("talos-vmtoolsd ", env!("CARGO_PKG_VERSION"), " (");
    assert!(run.stdout.starts_with(beginning), "{}", run.stdout);
    assert_eq!(run.stdout.lines().count(), 1);
}

/// A key as a file of its owner alone, removed when the test ends.
struct KeyFile(PathBuf);

/// The key 00 01 … 1f, as openssl writes it.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
-----END PRIVATE KEY-----
";
/// Another, with its public key (version 2 of PKCS#8).
const KEY_WITH_PUBLIC: &str = "-----BEGIN PRIVATE KEY-----
MFECAQEwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
gSEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=
-----END PRIVATE KEY-----
";
/// A key of another kind.
const P256_KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgYK/uoLZ9wledxAlo
c2Dk8XzKQEvIbFrM9qwnFbeVnyChRANCAAQ+CNJwmGMjBKa8snsPv3QDtc1oiKNG
yf75w7WkWusVP7Y8reqNT+Oe+fU5ov1I7Uk5pYrk0UtOGhGzMPpRNx0Y
-----END PRIVATE KEY-----
";
const PUBLIC_KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const UUID: &str = "564D0A2C-38f4-7a91-b2c5-0e1f2a3b4c5d";

impl KeyFile {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("talos-vmtoolsd-{}-{name}.pem", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let file = Self(path);
        file.let_in(0o600);
        file
    }

    fn let_in(&self, mode: u32) {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&self.0, permissions).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The parts of a token: how it begins, claims, signature.
fn parts(token: &str) -> (String, serde_json::Value, Vec<u8>) {
    let parts: Vec<_> = token.trim_end().split('.').collect();
    let [kind, claims, signature] = parts.as_slice() else {
        panic!("{token}");
    };
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let signed = format!("{kind}.{claims}");
    let claims = serde_json::from_slice(&decode(claims)).unwrap();
    (signed, claims, decode(signature))
}

#[test]
fn a_token_is_printed_alone_and_says_what_was_asked_for() {
    // No configuration is read for it.
    let bad = [("VMTOOLSD_CONFIG", "/nowhere")];
    for (name, key) in [("v1", KEY), ("v2", KEY_WITH_PUBLIC)] {
        let file = KeyFile::new(name, key);
        let key = ["token", "--key", file.path()];
        let public = run(&[&key[..], &["--public-key"]].concat(), &bad);
        assert_eq!((public.code, public.stderr.as_str()), (Some(0), ""));
        assert_eq!(public.stdout, format!("{PUBLIC_KEY}\n"));
        for (ttl, seconds) in [(&["--ttl=1h30m"][..], 5400), (&[], 600)] {
            let claims = ["--user=ops", "--node", UUID];
            let run = run(&[&key[..], &claims, ttl].concat(), &bad);
            assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
            assert_eq!(run.stdout.lines().count(), 1);
            let (signed, claims, signature) = parts(&run.stdout);
            assert!(signed.starts_with("tvt1."));
            assert_eq!(claims.as_object().unwrap().len(), 4);
            assert_eq!(claims["user"], "ops");
            assert_eq!(claims["node"], UUID.to_lowercase());
            let [iat, exp] = ["iat", "exp"].map(|name| claims[name].as_u64().unwrap());
            assert_eq!(exp - iat, seconds);
            let now = talos_vmtoolsd::proc::wall_clock().as_secs();
            assert!((now - 60..=now).contains(&iat), "{iat} and {now}");
            let public_key = UnparsedPublicKey::new(&ED25519, STANDARD.decode(PUBLIC_KEY).unwrap());
            assert!(public_key.verify(signed.as_bytes(), &signature).is_ok());
        }
    }
}

#[test]
fn a_key_that_others_may_read_is_warned_of() {
    let file = KeyFile::new("open", KEY);
    for mode in [0o640, 0o604, 0o644] {
        file.let_in(mode);
        let run = run(&["token", "--key", file.path(), "--public-key"], &[]);
        assert_eq!(run.code, Some(0));
        assert_eq!(run.stdout, format!("{PUBLIC_KEY}\n"));
        assert!(
            run.stderr.contains("warning: others may read"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_token_that_cannot_be_made_says_why() {
    let wrong = [
        ("none", "hello", "has no private key"),
        (
            "rsa",
            "-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n",
            "has no private key",
        ),
        ("p256", P256_KEY, "no Ed25519 key"),
        ("cut", &KEY[..60], "is damaged"),
        (
            "locked",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "is encrypted",
        ),
    ];
    let claims = ["--user=ops", "--node", UUID];
    for (name, text, part) in wrong {
        let file = KeyFile::new(name, text);
        let run = run(
            &[&["token", "--key", file.path()], &claims[..]].concat(),
            &[],
        );
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{name}");
        assert!(
            run.stderr.contains(part) && run.stderr.contains(file.path()),
            "{}",
            run.stderr
        );
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    }
    let missing = run(
        &[&["token", "--key=/does/not/exist"], &claims[..]].concat(),
        &[],
    );
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(1), ""));
    assert!(
        missing.stderr.contains("cannot read /does/not/exist"),
        "{}",
        missing.stderr
    );
    let file = KeyFile::new("good", KEY);
    let key = ["token", "--key", file.path()];
    for (arguments, part) in [
        (
            &["--user=ops", "--node=564d0a2c"][..],
            "8, 4, 4, 4 and 12 hexadecimal digits",
        ),
        (
            &["--user=ops", "--node=564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5g"],
            "hexadecimal digits",
        ),
        (
            &["--user=ops", "--node=00000000-0000-0000-0000-000000000000"],
            "one machine alone",
        ),
        (&["--user=", "--node", UUID], "--user"),
        (&["--node", UUID], "--user"),
        (&["--user=ops"], "--node"),
        (&["--user=ops", "--node", UUID, "--ttl=24h1s"], "up to 24h"),
        (&["--user=ops", "--node", UUID, "--ttl=0"], "up to 24h"),
        (&["--public-key", "--user=ops"], "--public-key"),
    ] {
        let run = run(&[&key[..], arguments].concat(), &[]);
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(run.stderr.contains(part), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for arguments in [
        &["vmtools"][..],
        &["check", "--colour"],
        &["talosquery", "--use-machined=maybe"],
        &["rpc", "--transport", "tcp", "x"],
        &["--colour"],
    ] {
        let run = run(arguments, &[]);
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    }
}

#[test]
fn a_bad_variable_is_named_on_one_line() {
    let run = run(&["check"], &[("VMTOOLSD_TRANSPORT", "tcp")]);
    assert_eq!(run.code, Some(2));
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("VMTOOLSD_TRANSPORT"), "{}", run.stderr);
    assert!(
        run.stderr.contains("auto, vsock or backdoor"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_bad_file_is_named_with_the_line() {
    let path = std::env::temp_dir().join(format!("talos-vmtoolsd-{}.yaml", std::process::id()));
    std::fs::write(&path, "log:\n  level: info\n  colour: true\n").unwrap();
    let run = run(&["check", "--config", path.to_str().unwrap()], &[]);
    std::fs::remove_file::<&PathBuf>(&path).unwrap();
    assert_eq!(run.code, Some(2));
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("line 3"), "{}", run.stderr);
    assert!(run.stderr.contains("`colour`"), "{}", run.stderr);
}

#[test]
fn the_agent_names_what_is_wrong_and_goes_on() {
    if on_vmware() {
        return;
    }
    let run = run(
        &["vmtoolsd", "--colour", "--config=/does/not/exist"],
        &[("VMTOOLSD_TRANSPORT", "tcp"), ("VMTOOLSD_NEWER", "1")],
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let lines: Vec<_> = run.stderr.lines().collect();
    let expected = [
        ("ERROR", "'--colour'"),
        ("ERROR", "VMTOOLSD_TRANSPORT"),
        ("ERROR", "/does/not/exist"),
        ("WARN", "VMTOOLSD_NEWER"),
        ("INFO", "not on VMware"),
    ];
    assert_eq!(lines.len(), expected.len(), "{}", run.stderr);
    for ((level, part), line) in expected.iter().zip(lines) {
        assert!(line.contains(level) && line.contains(part), "{line}");
    }
}

/// As the service file of Talos' package qemu-guest-agent does it.
#[test]
fn called_as_qemu_ga_it_is_the_agent() {
    if on_vmware() {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let qemu_ga = folder.join("qemu-ga");
    symlink(std::path::absolute(program()).unwrap(), &qemu_ga).unwrap();
    let run = run_program(&qemu_ga, &[], &[]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""));
    assert!(
        run.stderr.contains("INFO") && run.stderr.contains("VMware"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_variable_that_means_nothing_is_named_and_is_no_error() {
    let talos = Talos::start("unknown");
    let mut environment = talos.environment().to_vec();
    environment.push(("VMTOOLSD_TALOS_NODES", "n"));
    let run = run(&["talosquery"], &environment);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(
        run.stderr.contains("VMTOOLSD_TALOS_NODES"),
        "{}",
        run.stderr
    );
}

#[test]
fn what_needs_no_configuration_works_without_a_good_one() {
    let bad = [("VMTOOLSD_LOG_LEVEL", "loud")];
    let version = run(&["--version"], &bad);
    assert_eq!((version.code, version.stderr.as_str()), (Some(0), ""));
    let help = run(&["vmtoolsd", "--help"], &bad);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    assert!(help.stdout.contains("--talos-node"), "{}", help.stdout);
    let usage = run(&["rpc"], &bad);
    assert!(usage.stderr.starts_with("usage: "), "{}", usage.stderr);
}

#[test]
fn the_manual_page_and_the_completion_scripts_are_not_in_the_program() {
    for arguments in [&["man"][..], &["completion", "bash"]] {
        let run = run(arguments, &[]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
        assert!(
            run.stderr.contains("unrecognized subcommand"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn rpc_off_vmware_is_one_line_and_255_as_with_vmware_rpctool() {
    if on_vmware() {
        return;
    }
    for arguments in [
        &["rpc", "info-get guestinfo.ip"][..],
        &["--transport=vsock", "rpc", "x"],
    ] {
        let run = run(arguments, &[]);
        assert_eq!(
            (run.code, run.stdout.as_str()),
            (Some(255), ""),
            "{arguments:?}"
        );
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(run.stderr.contains("VMware"), "{}", run.stderr);
    }
}

#[test]
fn a_probe_for_vmware_where_there_is_none_does_not_crash() {
    if on_vmware() {
        return;
    }
    let run = run(&["rpc", "x", "--skip-vmware-detection"], &[]);
    assert_eq!(run.code, Some(255), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn rpc_without_a_command_is_usage() {
    let run = run(&["rpc"], &[]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.starts_with("usage: "), "{}", run.stderr);
}

#[test]
fn talosquery_without_a_way_to_talos_is_one_line() {
    let run = run(&["talosquery"], &[]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(run.stderr.contains("--use-machined"), "{}", run.stderr);
}

#[test]
fn talosquery_shows_a_node() {
    let talos = Talos::start("query");
    let table = run(&["talosquery"], &talos.environment());
    assert_eq!((table.code, table.stderr.as_str()), (Some(0), ""));
    for part in ["talos-cp-1.example.com", "running", "10.5.0.11"] {
        assert!(table.stdout.contains(part), "{part}: {}", table.stdout);
    }
    let json = run(&["talosquery", "--json"], &talos.environment());
    let view: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(view["host_name"]["fqdn"], "talos-cp-1.example.com");
    assert_eq!(view["primary_address"], "10.5.0.11");
    assert_eq!(view["nics"][0]["name"], "eth0");
}

#[test]
fn check_tells_a_role_that_is_too_low() {
    let talos = Talos::start("check");
    for (role, result) in [("os:operator", "ok"), ("os:reader", "failed")] {
        let run = run(
            &["check", "--json", "--machined-role", role],
            &talos.environment(),
        );
        let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(report["checks"][2]["result"], "ok", "{report:#}");
        assert_eq!(report["checks"][3]["check"], "role");
        assert_eq!(report["checks"][3]["result"], result, "{report:#}");
    }
}

#[test]
fn check_names_what_fails_and_exits_with_1() {
    let run = run(
        &["check", "--json"],
        &[
            ("VMTOOLSD_USE_MACHINED", "true"),
            ("VMTOOLSD_MACHINED_SOCKET", "/does/not/exist.sock"),
        ],
    );
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let talos = &report["checks"][2];
    assert_eq!(talos["check"], "talos");
    assert_eq!(talos["result"], "failed");
    assert!(
        talos["remedy"].as_str().unwrap().contains("socket"),
        "{talos}"
    );
}

/// An embedded Talos API on a socket of its own, with the node of a control plane behind it.
struct Talos {
    _api: apid::Apid,
    socket: PathBuf,
}

impl Talos {
    fn start(name: &str) -> Self {
        let socket =
            std::env::temp_dir().join(format!("talos-vmtoolsd-{}-{name}.sock", std::process::id()));
        let api = apid::Apid::machined(&socket).unwrap();
        apid::scene::control_plane(&api);
        Self { _api: api, socket }
    }

    fn environment(&self) -> [(&str, &str); 2] {
        [
            ("VMTOOLSD_USE_MACHINED", "true"),
            ("VMTOOLSD_MACHINED_SOCKET", self.socket.to_str().unwrap()),
        ]
    }
}

impl Drop for Talos {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}
