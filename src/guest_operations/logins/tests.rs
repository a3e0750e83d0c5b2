use super::account::MEMORY;
use super::fuzz::{GOLDEN, public_key};
use super::*;
use crate::config::{Config, Rights, Sources, User, load};
use crate::log::logged::Logged;
use proptest::prelude::*;
use tracing::Level;

const NODE: Option<&str> = Some("564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d");
const SECOND: Duration = Duration::from_secs(1);

/// What crypt(3) of glibc makes of "s3cret", of "pässwörd", and of 128 times "x".
const HASHES: [(&str, &str); 3] = [
    (
        "s3cret",
        "$6$rounds=1000$abcdefgh$ts4PqiFqgcN.cen3rF2HotwlQFHljTDeZHA69IhA7TtTfn/oFv0Y/zIU4T41fwzuaPKS2Ob9Piytfd1X44pUw/",
    ),
    (
        "pässwörd",
        "$6$rounds=1000$./09AZaz./09AZaz$.vgomIDjoHb8UvKztByLmQkUTeOTKmCOyxE0LyEhn0GFQkcFsMar0M536PBxk4xBgS8xNmvna5KlGpwCFcVCh1",
    ),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "$6$rounds=1000$a$ud6cXhaxH7gF/lpcCNETkxnHBAu5t.9P9ZYpze9cgli4YPwlVYxwHJUFAumP7ToNNcjrVgceZhxLiGpTQiWAY1",
    ),
];

/// What `openssl passwd -6 -salt saltstring secret` prints: 5000 rounds.
const OPENSSL: &str = "$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.";

fn noon() -> Duration {
    Duration::from_secs(1_790_000_300)
}

/// Users as a file has them.
fn config(users: &str) -> GuestOperationsConfig {
    use std::sync::atomic::{AtomicU32, Ordering};
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let name = format!("talos-vmtoolsd-logins-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let text = format!("guest_operations: {{enabled: true, users: [{users}]}}\n");
    std::fs::write(&path, text).unwrap();
    let config: Config = load(&Sources {
        variables: vec![("VMTOOLSD_CONFIG".into(), path.clone().into())],
        ..Sources::default()
    })
    .strict()
    .unwrap();
    std::fs::remove_file(path).unwrap();
    config.guest_operations
}

fn user(name: &str, hash: &str) -> String {
    format!("{{name: {name}, password_hash: {hash}}}")
}

fn logins(users: &str) -> Logins {
    let mut logins = Logins::new(noon);
    logins.configure(&config(users));
    logins
}

/// Two users with passwords, one with a key alone.
fn three() -> Logins {
    let [(_, first), (_, second), _] = HASHES;
    let key = "{name: ops-by-key, public_key: A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=}";
    logins(&format!(
        "{}, {}, {key}",
        user("ops", first),
        user("dev", second)
    ))
}

type Answer = Poll<Result<Caller, Failure>>;

impl Logins {
    fn ask(&mut self, name: &str, secret: &str, now: Duration) -> Answer {
        self.log_in(name, secret.as_bytes(), NODE, now)
    }

    /// Asks, does what is to be done, and asks again; whether it was let in, and whether anything was hashed.
    fn whole(&mut self, name: &str, secret: &str, now: Duration) -> (bool, bool) {
        match self.ask(name, secret, now) {
            Poll::Ready(answer) => (answer.is_ok(), false),
            Poll::Pending => {
                let checked = self.poll_check().expect("there is work").run();
                self.handle_checked(&checked, now);
                match self.ask(name, secret, now) {
                    Poll::Ready(answer) => (answer.is_ok(), true),
                    Poll::Pending => panic!("it was checked"),
                }
            }
        }
    }
}

const WRONG: Answer = Poll::Ready(Err(Failure::WrongLogin));

#[test]
fn passwords_are_those_that_other_programs_hash() {
    for (password, hash) in HASHES.into_iter().chain([("secret", OPENSSL)]) {
        let mut logins = logins(&user("ops", hash));
        assert_eq!(
            logins.whole("ops", password, SECOND),
            (true, true),
            "{hash}"
        );
        for wrong in ["", "S3cret", &password[1..], &format!("{password} "), hash] {
            let (is_in, _) = logins.whole("ops", wrong, SECOND);
            assert!(!is_in, "{wrong:?}");
        }
    }
}

#[test]
fn a_caller_has_the_users_name_and_rights() {
    let text = format!(
        "{{name: ops, password_hash: {}, allow: [files, relay]}}",
        HASHES[0].1
    );
    let mut logins = logins(&text);
    assert!(logins.ask("ops", "s3cret", SECOND).is_pending());
    let checked = logins.poll_check().unwrap().run();
    logins.handle_checked(&checked, SECOND);
    let Poll::Ready(Ok(caller)) = logins.ask("ops", "s3cret", SECOND) else {
        panic!("the password is right");
    };
    assert_eq!(&*caller.name, "ops");
    let rights = Rights {
        processes: false,
        environment: false,
        programs: false,
        files: true,
        relay: true,
    };
    assert_eq!(caller.rights, rights);
}

#[test]
fn without_guest_operations_there_is_no_user_and_no_work() {
    let mut off = Logins::new(noon);
    assert_eq!(off.ask("ops", "s3cret", SECOND), WRONG);
    let mut config = config(&user("ops", HASHES[0].1));
    config.enabled = false;
    off.configure(&config);
    assert_eq!(off.ask("ops", "s3cret", SECOND), WRONG);
    assert!(off.poll_check().is_none() && off.key.is_none());
}

#[test]
fn names_are_compared_as_they_are_and_unknown_ones_are_hashed_as_well() {
    let mut logins = three();
    for name in ["Ops", "ops ", "", "op", "opsx", "root", "ops-by-key"] {
        assert_eq!(
            logins.whole(name, "s3cret", SECOND),
            (false, true),
            "{name:?}"
        );
    }
    assert_eq!(logins.whole("dev", "s3cret", SECOND), (false, true));
    assert_eq!(logins.whole("ops", "s3cret", SECOND), (true, true));
}

/// What is hashed is as costly for every name: the time shows neither who there is nor whose hash is cheap.
#[test]
fn every_check_takes_the_rounds_of_the_costliest_user() {
    let cheap = user("cheap", HASHES[0].1);
    let mut logins = logins(&format!("{cheap}, {}", user("costly", OPENSSL)));
    for name in ["cheap", "costly", "unknown"] {
        assert!(logins.ask(name, "guess", SECOND).is_pending());
        let check = logins.poll_check().unwrap();
        assert_eq!(check.rounds, 5000, "{name}");
        let salt = check.hash.salt.len();
        assert!((1..=16).contains(&salt), "{name}");
        logins.handle_checked(&check.run(), SECOND);
        assert_eq!(logins.ask(name, "guess", SECOND), WRONG);
    }
}

#[test]
fn a_password_that_was_right_is_hashed_once_in_two_minutes() {
    let mut logins = three();
    let mut hashed = 0;
    for second in 0..600 {
        let (is_in, was_hashed) = logins.whole("ops", "s3cret", SECOND * second);
        assert!(is_in, "{second}");
        hashed += u32::from(was_hashed);
    }
    assert_eq!(hashed, 5);
    // What is remembered is this user's password and no other's.
    assert_eq!(logins.whole("dev", "s3cret", SECOND * 600), (false, true));
    assert_eq!(logins.whole("ops", "s3creT", SECOND * 600), (false, true));
}

#[test]
fn one_check_at_a_time_and_who_asks_meanwhile_waits() {
    let mut logins = three();
    assert!(logins.ask("ops", "s3cret", SECOND).is_pending());
    assert!(logins.ask("dev", "pässwörd", SECOND).is_pending());
    let check = logins.poll_check().unwrap();
    assert!(logins.poll_check().is_none());
    assert!(logins.ask("ops", "s3cret", SECOND).is_pending());
    assert!(logins.ask("dev", "pässwörd", SECOND).is_pending());
    assert!(logins.poll_check().is_none());
    logins.handle_checked(&check.run(), SECOND);
    assert!(logins.ask("dev", "pässwörd", SECOND).is_pending());
    let check = logins.poll_check().expect("it is dev's turn");
    // Whose password is remembered need not wait.
    assert!(matches!(
        logins.ask("ops", "s3cret", SECOND),
        Poll::Ready(Ok(_))
    ));
    logins.handle_checked(&check.run(), SECOND);
    assert!(matches!(
        logins.ask("dev", "pässwörd", SECOND),
        Poll::Ready(Ok(_))
    ));
}

#[test]
fn what_comes_of_a_check_is_for_its_secret_alone() {
    let mut logins = three();
    assert!(logins.ask("ops", "wrong", SECOND).is_pending());
    let checked = logins.poll_check().unwrap().run();
    logins.handle_checked(&checked, SECOND);
    // The asker has gone, and another does not get the answer.
    assert_eq!(logins.whole("ops", "s3cret", SECOND), (true, true));
    // A result that no one waits for is ignored.
    logins.handle_checked(&checked, SECOND);
    assert_eq!(logins.whole("ops", "s3cret", SECOND), (true, false));
}

#[test]
fn guesses_are_slowed_without_hurting_others() {
    let mut logins = three();
    assert!(logins.whole("ops", "s3cret", SECOND).0);
    let hashed = |logins: &mut Logins, name: &str, now| {
        let guesses = (0..50).map(|guess| logins.whole(name, &format!("guess{guess}"), now));
        guesses
            .filter(|(is_in, was_hashed)| !is_in && *was_hashed)
            .count()
    };
    assert_eq!(hashed(&mut logins, "ops", SECOND * 2), 10);
    assert_eq!(hashed(&mut logins, "ops", SECOND * 3), 1);
    assert_eq!(hashed(&mut logins, "root", SECOND * 3), 10);
    // The user who is remembered, and the other.
    assert_eq!(logins.whole("ops", "s3cret", SECOND * 3), (true, false));
    assert_eq!(logins.whole("dev", "pässwörd", SECOND * 3), (true, true));
    // After the memory a second without guesses is enough.
    let later = SECOND * 3 + MEMORY;
    assert_eq!(hashed(&mut logins, "ops", later), 10);
    assert_eq!(logins.whole("ops", "s3cret", later), (false, false));
    assert_eq!(logins.whole("ops", "s3cret", later + SECOND), (true, true));
}

#[test]
fn a_right_password_is_no_guess() {
    let mut logins = three();
    for _ in 0..50 {
        logins.accounts[0].remembered = None;
        assert_eq!(logins.whole("ops", "s3cret", SECOND), (true, true));
    }
    for _ in 0..10 {
        assert_eq!(logins.whole("ops", "guess", SECOND), (false, true));
    }
}

#[test]
fn after_a_reload_an_old_password_is_worth_nothing() {
    let mut logins = three();
    assert!(logins.whole("ops", "s3cret", SECOND).0);
    let new = config(&user("ops", HASHES[1].1));
    logins.configure(&new);
    assert_eq!(logins.whole("ops", "s3cret", SECOND), (false, true));
    assert_eq!(logins.whole("ops", "pässwörd", SECOND), (true, true));
    // A check that was under way.
    logins.configure(&config(&user("ops", HASHES[0].1)));
    assert!(logins.ask("ops", "s3cret", SECOND).is_pending());
    let check = logins.poll_check().unwrap();
    logins.configure(&new);
    assert!(logins.ask("ops", "s3cret", SECOND).is_pending());
    assert!(logins.poll_check().is_none(), "one at a time");
    logins.handle_checked(&check.run(), SECOND);
    assert_eq!(logins.whole("ops", "s3cret", SECOND), (false, true));
    // One that was wrong counts no longer, either.
    assert!(logins.ask("ops", "s3cret", SECOND).is_pending());
    let checked = logins.poll_check().unwrap().run();
    logins.handle_checked(&checked, SECOND);
    logins.configure(&config(&user("ops", HASHES[0].1)));
    assert_eq!(logins.whole("ops", "s3cret", SECOND), (true, true));
}

#[test]
fn a_token_lets_its_user_in_without_hashing() {
    let mut logins = three();
    assert_eq!(logins.whole("ops-by-key", "s3cret", SECOND), (false, true));
    // The golden token is of ops, who has no key here.
    assert_eq!(logins.whole("ops", GOLDEN, SECOND), (false, false));
    assert_eq!(logins.whole("ops-by-key", GOLDEN, SECOND), (false, false));
    assert_eq!(logins.whole("nobody", GOLDEN, SECOND), (false, false));
    logins.configure(&config(
        "{name: ops, public_key: A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=}",
    ));
    assert_eq!(logins.accounts[0].public_key(), Some(&public_key()));
    for second in 0..10 {
        assert_eq!(logins.whole("ops", GOLDEN, SECOND * second), (true, false));
    }
    assert_eq!(logins.log_in("ops", GOLDEN.as_bytes(), None, SECOND), WRONG);
    // It is not remembered.
    logins.clock = || Duration::from_secs(1_790_000_600);
    assert_eq!(logins.whole("ops", GOLDEN, SECOND * 10), (false, false));
    logins.configure(&config(&user("ops", HASHES[0].1)));
    assert_eq!(logins.whole("ops", GOLDEN, SECOND * 10), (false, false));
}

#[test]
fn a_password_that_is_too_long_is_not_hashed() {
    let mut logins = three();
    assert_eq!(logins.whole("ops", &"x".repeat(128), SECOND), (false, true));
    assert_eq!(
        logins.whole("ops", &"x".repeat(129), SECOND),
        (false, false)
    );
    assert_eq!(logins.whole("ops", "", SECOND), (false, false));
}

#[test]
fn the_log_names_users_and_reasons_and_no_secret() {
    let logged = Logged::new();
    let mut logins = three();
    for (name, secret) in [
        ("ops", "s3cret"),
        ("ops", "s3creT"),
        ("hunter2", "s3cret"),
        ("ops", GOLDEN),
        ("ops-by-key", GOLDEN),
        ("ops-by-key", "tvt1.s3cret"),
        ("hunter2", "tvt1.s3cret"),
    ] {
        logins.whole(name, secret, SECOND);
    }
    assert!(logins.ask("ops", "s3cret-too", SECOND).is_pending());
    let shown = format!("{logins:?} {:?}", logins.poll_check());
    let lines = logged.take();
    let text = format!("{shown} {lines:?}");
    for secret in ["s3cre", "hunter2", "eyJ1c2Vy", "ts4PqiF"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let count = |level| lines.iter().filter(|(at, _)| *at == level).count();
    assert_eq!(
        (count(Level::INFO), count(Level::WARN), count(Level::DEBUG)),
        (1, 1, 6)
    );
}

#[test]
fn refusals_are_a_line_a_minute_and_counted() {
    let logged = Logged::new();
    let mut logins = three();
    for second in 0..125 {
        assert_eq!(logins.ask("ops", "", SECOND * second), WRONG);
    }
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    for (line, count) in warnings.iter().zip([1, 60, 60]) {
        assert!(line.contains(&format!("refused={count}")), "{line}");
    }
}

/// What the property test does.
#[derive(Clone, Debug)]
enum Step {
    Ask(usize, usize),
    Poll,
    Done,
    Configure(usize),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize, 0..3_usize).prop_map(|(name, secret)| Step::Ask(name, secret)),
        3 => Just(Step::Poll),
        3 => Just(Step::Done),
        1 => (0..2_usize).prop_map(Step::Configure),
        1 => (1..200_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 0..80)
}

proptest! {
    /// Whatever the order: only who is right under the configuration of now gets in, and only after a check under it.
    #[test]
    fn only_the_right_password_of_now_lets_in(steps in steps()) {
        let passwords = ["first", "second", "third"];
        let with = |password: usize| GuestOperationsConfig {
            enabled: true,
            users: vec![User {
                name: "ops".into(),
                password_hash: Some(PasswordHash {
                    rounds: 1000 + u32::try_from(password).unwrap(),
                    salt: "a".into(),
                    digest: String::new(),
                }),
                public_key: None,
                rights: Rights::default(),
            }],
            node_files: Vec::new(),
        };
        let mut logins = Logins::new(noon);
        logins.configure(&with(0));
        let (mut right, mut now, mut running) = (0, Duration::ZERO, None::<(PasswordCheck, usize)>);
        let mut was_checked = false;
        for step in steps {
            match step {
                Step::Ask(name, secret) => {
                    let answer = logins.ask(["ops", "root", ""][name], passwords[secret], now);
                    if let Poll::Ready(Ok(_)) = answer {
                        prop_assert!(name == 0 && secret == right && was_checked);
                    }
                }
                Step::Poll => {
                    if let Some(check) = logins.poll_check() {
                        prop_assert!(running.is_none(), "one at a time");
                        running = Some((check, right));
                    }
                }
                Step::Done => {
                    if let Some((check, asked)) = running.take() {
                        // In place of hashing.
                        let is_right = check.ticket.account == Some(0)
                            && check.secret_is("ops", passwords[asked]);
                        was_checked |= is_right && asked == right;
                        let checked = Checked { ticket: check.ticket, is_right };
                        logins.handle_checked(&checked, now);
                    }
                }
                Step::Configure(password) => {
                    (right, was_checked) = (password, false);
                    logins.configure(&with(password));
                }
                Step::Wait(seconds) => now += SECOND * u32::try_from(seconds).unwrap(),
            }
        }
    }
}
