//! Who may ask: names, passwords and tokens, as a host brings them.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vmx::guest_operations::{Credential, GuestClient, Refused, bodies, op};

use crate::support::{PASSWORD, Run, SOON, Talos, binary, guest_operations};

/// VixErrors.
const NOT_SUPPORTED: i64 = 6;
const WRONG_LOGIN: i64 = 3050;
const BAD_MESSAGE: i64 = 10000;
const BAD_BODY: i64 = 10001;

/// The machine, as the embedded Talos API has it.
const NODE: &str = "564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d";
const OTHER_NODE: &str = "564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5e";

/// The key 00 01 … 1f, and its public half.
const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
-----END PRIVATE KEY-----
";
const PUBLIC_KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
/// Another password, and what crypt(3) makes of it.
const NEW_PASSWORD: &str = "pässwörd";
const NEW_HASH: &str = "$6$rounds=1000$./09AZaz./09AZaz$.vgomIDjoHb8UvKztByLmQkUTeOTKmCOyxE0LyEhn0GFQkcFsMar0M536PBxk4xBgS8xNmvna5KlGpwCFcVCh1";

/// What a harmless operation answers, and a packet of a file transfer does likewise.
fn asked(run: &Run, credential: &Credential) -> i64 {
    let client = GuestClient::with(&**run, credential.clone());
    let error = client.error(op::LIST_PROCESSES, &bodies::list_processes(0, 0, &[1]));
    error.unwrap()
}

fn by_name(run: &Run, name: &str, secret: &str) -> i64 {
    asked(run, &Credential::named(name, secret))
}

/// A token, made as an operator makes it.
fn token(talos: &Talos, user: &str, node: &str, ttl: &str) -> String {
    let key = talos.folder.write("key.pem", KEY);
    let output = Command::new(binary())
        .args(["token", "--user", user, "--node", node, "--ttl", ttl])
        .arg("--key")
        .arg(key)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

/// An agent whose user ops has a key alone.
fn with_key(talos: &Talos) -> Run {
    let text = format!(
        "guest_operations:\n  enabled: true\n  users: [{{name: ops, public_key: {PUBLIC_KEY}}}]\n"
    );
    let file = talos.folder.write("key.yaml", &text);
    let run = Run::start(talos.agent().args(["--config"]).args([file]));
    run.informed();
    run
}

#[test]
fn each_type_of_credential_has_its_answer_and_none_is_taken_on_the_hosts_word() {
    let talos = Talos::new();
    let run = Run::start(talos.for_users(&[("ops", "")]));
    run.informed();
    let right = bodies::named("ops", PASSWORD);
    for kind in [0, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 255, u32::MAX] {
        for blob in [Vec::new(), right.clone(), vec![0; 8]] {
            let answer = asked(&run, &Credential { kind, blob });
            assert_eq!(answer, NOT_SUPPORTED, "type {kind}");
        }
    }
    for kind in [1, 4] {
        let named = |name: &str, password: &str| Credential {
            kind,
            blob: bodies::named(name, password),
        };
        assert_eq!(asked(&run, &named("ops", PASSWORD)), 0, "type {kind}");
        for (name, password) in [
            ("ops", "wrong"),
            ("ops", ""),
            ("root", PASSWORD),
            ("", ""),
            ("Ops", PASSWORD),
            ("ops ", PASSWORD),
        ] {
            let answer = asked(&run, &named(name, password));
            assert_eq!(answer, WRONG_LOGIN, "type {kind}: {name:?}");
        }
    }
    run.stop();
}

#[test]
fn lengths_that_lie_let_nobody_in_and_end_nothing() {
    let talos = Talos::new();
    let run = Run::start(talos.for_users(&[("ops", "")]));
    run.informed();
    let with_lengths = |blob: &[u8], name: u32, password: u32| {
        [&name.to_le_bytes(), &password.to_le_bytes(), &blob[8..]].concat()
    };
    let refused = |what: &str, blob: Vec<u8>| {
        let answer = asked(&run, &Credential { kind: 1, blob });
        let refused = [NOT_SUPPORTED, WRONG_LOGIN, BAD_MESSAGE, BAD_BODY].contains(&answer);
        assert!(refused, "{what}: {answer}");
    };
    let (good, wrong) = (
        bodies::named("ops", PASSWORD),
        bodies::named("ops", "wrong"),
    );
    let most = u32::MAX;
    for name in [0, 1, 2, 4, 9, 10, 1000, 0x8000_0000, most] {
        for password in [0, 5, 6, 7, 1000, most - 3, most] {
            refused(
                "the name's length lies",
                with_lengths(&good, name, password),
            );
        }
    }
    // The password ends at its NUL, whatever its length is said to be.
    for password in [0, 4, 6, 1000, most] {
        refused("the password is wrong", with_lengths(&wrong, 3, password));
    }
    for len in 0..good.len() {
        refused("it is cut", good[..len].to_vec());
    }
    for text in ["????", "b3Bz", "\\", "", "b3BzAHMzY3JldA=="] {
        refused(text, [&good[..8], text.as_bytes(), b"\0"].concat());
    }
    assert_eq!(by_name(&run, "ops", PASSWORD), 0);
    run.stop();
}

#[test]
fn a_token_lets_its_user_in_on_its_node_for_its_time() {
    let talos = Talos::new();
    let run = with_key(&talos);
    let token = |user: &str, node: &str, ttl: &str| token(&talos, user, node, ttl);
    let good = token("ops", NODE, "10m");
    assert_eq!(by_name(&run, "ops", &good), 0);
    assert_eq!(
        by_name(&run, "ops", &token("ops", &NODE.to_uppercase(), "24h")),
        0
    );
    for (name, secret) in [
        ("ops", token("ops", OTHER_NODE, "10m")),
        ("ops", token("dev", NODE, "10m")),
        ("dev", good.clone()),
        ("dev", token("dev", NODE, "10m")),
        ("ops", format!("{good}=")),
        ("ops", good[..good.len() - 1].to_owned()),
        ("ops", good.replacen("tvt1", "tvt2", 1)),
        ("ops", "tvt1.".to_owned()),
        // A user with a key alone has no password.
        ("ops", PASSWORD.to_owned()),
        ("ops", String::new()),
    ] {
        assert_eq!(
            by_name(&run, name, &secret),
            WRONG_LOGIN,
            "{name}: {secret}"
        );
    }
    let short = token("ops", NODE, "2s");
    assert_eq!(by_name(&run, "ops", &short), 0);
    let deadline = Instant::now() + SOON;
    while by_name(&run, "ops", &short) == 0 {
        assert!(Instant::now() < deadline, "it still counts");
        run.reply("ping");
    }
    assert_eq!(by_name(&run, "ops", &short), WRONG_LOGIN);
    assert_eq!(by_name(&run, "ops", &good), 0);
    run.stop();
}

/// A machine without a UUID of its own is no machine that a token could be for.
#[test]
fn without_a_uuid_tokens_are_refused() {
    let talos = Talos::new();
    talos.set_system_uuid("00000000-0000-0000-0000-000000000000");
    let run = with_key(&talos);
    assert_eq!(
        by_name(&run, "ops", &token(&talos, "ops", NODE, "10m")),
        WRONG_LOGIN
    );
    talos.set_system_uuid(NODE);
    let deadline = Instant::now() + SOON;
    let token = token(&talos, "ops", NODE, "10m");
    while by_name(&run, "ops", &token) != 0 {
        assert!(Instant::now() < deadline, "the UUID does not arrive");
        run.reply("ping");
    }
    run.stop();
}

#[test]
fn after_a_reload_the_old_password_is_worth_nothing() {
    let talos = Talos::new();
    let run = Run::start(talos.for_users(&[("ops", "")]));
    run.informed();
    assert_eq!(by_name(&run, "ops", PASSWORD), 0);
    assert_eq!(by_name(&run, "ops", NEW_PASSWORD), WRONG_LOGIN);
    let text = format!(
        "guest_operations:\n  enabled: true\n  users: [{{name: ops, password_hash: {NEW_HASH}}}]\n"
    );
    talos.folder.write("users.yaml", &text);
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
    assert_eq!(by_name(&run, "ops", PASSWORD), WRONG_LOGIN);
    assert_eq!(by_name(&run, "ops", NEW_PASSWORD), 0);
    // One with an error leaves it so.
    talos
        .folder
        .write("users.yaml", &text.replace("$6$", "$5$"));
    run.signal(Signal::SIGHUP);
    run.logs(&["keeping the previous configuration"], SOON);
    assert_eq!(by_name(&run, "ops", NEW_PASSWORD), 0);
    run.stop();
}

#[test]
fn guesses_are_slowed_and_hurt_no_other_user() {
    let talos = Talos::new();
    let run = Run::start(talos.for_users(&[("ops", ""), ("dev", "")]));
    run.informed();
    assert_eq!(by_name(&run, "ops", PASSWORD), 0);
    let start = Instant::now();
    for guess in 0..200 {
        assert_eq!(by_name(&run, "dev", &format!("guess{guess}")), WRONG_LOGIN);
        assert_eq!(by_name(&run, "ops", PASSWORD), 0);
    }
    // Nothing is hashed beyond the budget, which is ten, and one a second.
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(by_name(&run, "ops", "wrong"), WRONG_LOGIN);
    let refused = run.log_lines(&["WARN", "logins to guest operations are refused"]);
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert!(refused[0].contains("user=dev"), "{refused:?}");
    run.stop();
}

#[test]
fn neither_passwords_nor_tokens_are_in_the_log_at_any_level() {
    let talos = Talos::new();
    let text = format!(
        "guest_operations:\n  enabled: true\n  users:\n    - name: ops\n      password_hash: {NEW_HASH}\n      \
         public_key: {PUBLIC_KEY}\n"
    );
    let file = talos.folder.write("users.yaml", &text);
    let agent = talos.agent().args(["--log-level=trace", "--config"]);
    let run = Run::start(agent.args([file]));
    run.informed();
    let token = token(&talos, "ops", NODE, "10m");
    let other = self::token(&talos, "ops", OTHER_NODE, "10m");
    let secrets = [NEW_PASSWORD, "hunter2hunter2", &token, &other];
    for secret in secrets {
        by_name(&run, "ops", secret);
        by_name(&run, "nobody", secret);
        // A password in the wrong place.
        by_name(&run, secret, "x");
        let client = GuestClient::new(&*run, "ops", secret);
        let started = client.start("/bin/ls", "");
        assert!(
            matches!(started, Err(Refused::Vix(4 | WRONG_LOGIN))),
            "{started:?}"
        );
    }
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
    let log = run.log().join("\n");
    assert!(log.contains("login refused") && log.contains("a user of guest operations has come"));
    let (_, signature) = token.rsplit_once('.').unwrap();
    let claims = token.split('.').nth(1).unwrap();
    for secret in secrets
        .into_iter()
        .chain([signature, claims, "vgomIDjoHb8UvKz"])
    {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    for secret in secrets {
        // As it goes over the channel, wherever it begins.
        let blob = bodies::named("ops", secret);
        let text = std::str::from_utf8(&blob[8..blob.len() - 1]).unwrap();
        assert!(!log.contains(&text[8..]), "a credential is in the log");
    }
    run.stop();
}

/// The check of a password needs a thread, and the sandbox lets it have one: the end of each run looks for denied calls.
#[test]
fn a_password_is_checked_in_the_sandbox_while_the_host_is_served() {
    let talos = Talos::new();
    let run = Run::start(talos.for_users(&[("ops", "relay")]));
    run.informed();
    run.logs(&["the sandbox is in force", "TCP to 50000"], SOON);
    assert_eq!(by_name(&run, "ops", PASSWORD), 0);
    assert_eq!(run.reply("ping"), "OK ");
    run.stop();
}

/// What the sandbox allows is settled at the start. A reload gives the right all the same, and a program that
/// needs it asks for a restart.
#[test]
fn a_right_to_relay_that_comes_by_a_reload_asks_for_a_restart() {
    let talos = Talos::new();
    let run = Run::start(talos.for_users(&[("ops", "programs")]));
    run.informed();
    run.tolerate("system_call=socket");
    let client = GuestClient::new(&*run, "ops", PASSWORD);
    assert_eq!(client.start("apid.Stream", ""), Err(Refused::Vix(3015)));
    let text = guest_operations(&[("ops", "programs, relay")]);
    talos.folder.write("users.yaml", &text);
    run.signal(Signal::SIGHUP);
    run.logs(&["configuration reloaded"], SOON);
    let ended = client.run("apid.Stream", "").unwrap();
    let reason = String::from_utf8_lossy(&ended.stderr);
    assert_eq!((ended.code, ended.stdout.as_slice()), (1, &b""[..]));
    assert!(
        reason.contains("sandbox") && reason.contains("restart it"),
        "{reason}"
    );
    run.stop();
}
