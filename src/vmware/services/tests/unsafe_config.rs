//! Machine configs that lie open in guest variables.

use proptest::prelude::*;

use super::host::{Host, machine_at, ms};
use crate::facts::{Facts, Stage};
use crate::log::logged::Logged;

/// Not to be found in any log.
const SECRET: &str = "dmVyc2lvbjogU0VDUkVULU1BUktFUg==";

const STAGES: [Stage; 9] = [
    Stage::Unknown,
    Stage::Booting,
    Stage::Installing,
    Stage::Maintenance,
    Stage::Running,
    Stage::Rebooting,
    Stage::ShuttingDown,
    Stage::Resetting,
    Stage::Upgrading,
];

fn environment(key: &str, value: &str) -> Vec<u8> {
    format!(r#"<Environment><PropertySection><Property oe:key="{key}" oe:value="{value}"/></PropertySection></Environment>"#).into()
}

/// A connected host with a config in all three variables.
fn exposed() -> Host {
    let mut host = Host::new();
    host.variables = [
        ("talos.config", SECRET.into()),
        ("userdata", SECRET.into()),
        ("ovfenv", environment("userdata", SECRET)),
    ]
    .into();
    host.connect();
    host
}

/// Whether all variables hold nothing: no host lets one be set to the empty text.
fn all_blank(host: &Host) -> bool {
    host.variables.values().all(|value| value == b" ")
}

/// What concerns these variables.
fn about(told: Vec<String>) -> Vec<String> {
    told.into_iter()
        .filter(|line| {
            ["talos.config", "userdata", "ovfenv"]
                .iter()
                .any(|key| line.contains(&format!("guestinfo.{key}")))
        })
        .collect()
}

const LOOKS: [&str; 3] = [
    "> info-get guestinfo.talos.config",
    "> info-get guestinfo.userdata",
    "> info-get guestinfo.ovfenv",
];

const BLANKS: [&str; 3] = [
    r"> info-set guestinfo.talos.config  \x00",
    r"> info-set guestinfo.userdata  \x00",
    r"> info-set guestinfo.ovfenv  \x00",
];

#[test]
fn each_variable_is_warned_of_once_with_the_remedy_and_nothing_is_blanked() {
    let logged = Logged::new();
    let mut host = exposed();
    host.facts(&machine_at(Stage::Booting, false));
    host.pass(ms(5000));
    assert!(about(host.take()).is_empty(), "too early to look");
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(2000));
    assert_eq!(about(host.take()), LOOKS);
    let warnings = logged.warnings();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    for (warning, key) in warnings.iter().zip(["talos.config", "userdata", "ovfenv"]) {
        assert!(warning.contains(&format!("guestinfo.{key}")), "{warning}");
        assert!(warning.contains("govc vm.change") && warning.contains("guestinfo.scrub"));
    }
    for _ in 0..3 {
        host.request(b"reset");
        host.lose();
        host.connect();
        host.request(b"OS_Resume");
        host.pass(ms(600_000));
    }
    assert!(
        about(host.take())
            .iter()
            .all(|line| LOOKS.contains(&&line[..]))
    );
    assert!(
        logged.warnings().is_empty(),
        "once in the life of the process"
    );
    host.pass(ms(3_600_000));
    assert!(
        about(host.take()).is_empty(),
        "nothing when nothing changes"
    );
}

#[test]
fn a_host_without_configs_is_asked_once_and_not_spoken_of() {
    let logged = Logged::new();
    let mut host = Host::new();
    host.variables = [
        ("talos.config", b" ".to_vec()),
        ("userdata", b"\0".to_vec()),
        ("ovfenv", environment("talos.config", "")),
    ]
    .into();
    host.connect();
    host.scrub();
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(3_600_000));
    assert_eq!(about(host.take()), LOOKS);
    assert!(logged.warnings().is_empty());
}

#[test]
fn configs_are_blanked_within_two_seconds_of_ready_and_looked_at_again() {
    let logged = Logged::new();
    let mut host = exposed();
    host.scrub();
    host.facts(&machine_at(Stage::Running, false));
    host.pass(ms(60_000));
    assert_eq!(about(host.take()), LOOKS);
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(2000));
    assert!(all_blank(&host), "{:?}", host.variables);
    assert_eq!(about(host.take()), [&BLANKS[..], &LOOKS[..]].concat());
    assert_eq!(logged.warnings().len(), 3);
    host.pass(ms(3_600_000));
    assert!(about(host.take()).is_empty());
}

#[test]
fn a_config_that_comes_back_is_blanked_after_the_next_reset() {
    let mut host = exposed();
    host.scrub();
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(2000));
    host.variables.insert("userdata", SECRET.into());
    host.request(b"reset");
    host.pass(ms(2000));
    assert_eq!(host.variables["userdata"], b" ");
}

#[test]
fn a_host_that_refuses_is_asked_again_and_spoken_of_once_a_key() {
    for stubborn in [false, true] {
        let logged = Logged::new();
        let mut host = exposed();
        host.stubborn = stubborn;
        if !stubborn {
            host.refuses = BLANKS.map(|line| &line[2..line.len() - 5]).to_vec();
        }
        host.scrub();
        host.facts(&machine_at(Stage::Running, true));
        host.pass(ms(600_000));
        let told = about(host.take());
        let tries = told.iter().filter(|line| line.contains("info-set")).count();
        assert!((3 * 10..3 * 25).contains(&tries), "{stubborn}: {tries}");
        let warnings = logged.warnings();
        assert_eq!(warnings.len(), 6, "{stubborn}: {warnings:?}");
        host.refuses.clear();
        host.stubborn = false;
        host.pass(ms(61_000));
        assert!(all_blank(&host), "{stubborn}");
        host.take();
        host.pass(ms(3_600_000));
        assert!(about(host.take()).is_empty());
    }
}

#[test]
fn lost_messages_are_repeated_and_a_lost_host_is_not_asked() {
    let mut host = exposed();
    host.scrub();
    host.deaf = true;
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(60_000));
    let tries = about(host.take());
    assert!((3 * 5..3 * 25).contains(&tries.len()), "{}", tries.len());
    host.lose();
    host.pass(ms(60_000));
    host.take();
    host.pass(ms(600_000));
    assert!(host.take().is_empty());
    host.deaf = false;
    host.connect();
    host.pass(ms(100));
    assert!(all_blank(&host));
}

#[test]
fn scrubbing_can_be_switched_on_while_running() {
    let mut host = exposed();
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(2000));
    assert_eq!(host.variables["userdata"], SECRET.as_bytes());
    host.scrub();
    host.pass(ms(2000));
    assert!(all_blank(&host));
}

#[test]
fn no_value_is_logged_at_any_level() {
    let logged = Logged::new();
    let mut host = exposed();
    host.scrub();
    host.stubborn = true;
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(60_000));
    host.request(b"reset");
    host.stubborn = false;
    host.pass(ms(60_000));
    let lines = logged.take();
    assert!(lines.len() > 10);
    let telltale = lines.iter().find(|(_, line)| line.contains("dmVy"));
    assert_eq!(telltale, None);
    // Whoever prints an outcome prints no value.
    let outcome = crate::vmware::services::RpciOutcome::Accepted(SECRET.into());
    assert_eq!(format!("{outcome:?}"), "Accepted(32 bytes)");
    let state = format!("{:?}", host.services);
    assert!(!state.contains("dmVy"), "nothing is kept");
}

#[test]
fn a_config_too_long_to_read_is_exposed_warned_of_once_and_not_asked_for_again() {
    let logged = Logged::new();
    let mut host = Host::new();
    host.variables = [("talos.config", vec![b'Q'; 200_000])].into();
    host.connect();
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(600_000));
    assert_eq!(about(host.take()), LOOKS);
    assert_eq!(logged.warnings().len(), 1);
    host.scrub();
    host.pass(ms(2000));
    assert!(all_blank(&host));
    assert_eq!(about(host.take()), [BLANKS[0], LOOKS[0]]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_blanked_before_the_machine_runs_and_is_ready(
        steps in prop::collection::vec((0..STAGES.len(), any::<bool>(), any::<bool>(), 0..3000_u64), 1..12)
    ) {
        let mut host = exposed();
        host.scrub();
        for (stage, known, ready, time) in steps {
            let mut facts = machine_at(STAGES[stage], ready);
            if !known {
                facts = Facts { stage: Some(STAGES[stage]), ..Facts::default() };
            }
            let may = STAGES[stage] == Stage::Running && known && ready;
            host.facts(&facts);
            host.pass(ms(time));
            let blanks = host.take().iter().filter(|line| BLANKS.contains(&&line[..])).count();
            prop_assert!(may || blanks == 0);
            if may {
                host.pass(ms(2000));
                prop_assert!(all_blank(&host));
                return Ok(());
            }
        }
    }
}
