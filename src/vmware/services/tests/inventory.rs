//! What software runs, as the host's inventory lists it: when it is asked for, and what the host has of it.

use std::time::Duration;

use super::host::{Host, machine_at, ms};
use crate::config::InventoryConfig;
use crate::facts::Stage;
use crate::inquiry::{Answer, Container, Inquiry, InquiryId, Software, Step, Trouble, TroubleKind};

const BOTH: InventoryConfig = InventoryConfig {
    apps: true,
    containers: true,
};
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const APPS: &str = "> info-set guestinfo.appInfo ";
const IMAGES: &str = "> info-set guestinfo.vmtools.containerinfo ";

/// A host and a node with these settings, and a session that has just begun.
fn host(config: InventoryConfig) -> Host {
    let mut host = Host::new();
    host.inventory(config);
    host.connect();
    host.facts(&machine_at(Stage::Running, true));
    host.pass(ms(1100));
    host.take();
    host
}

fn software() -> Software {
    Software {
        services: vec!["etcd".into()],
        containers: vec![Container {
            namespace: "system".into(),
            id: "etcd".into(),
            image: "gcr.io/etcd-development/etcd:v3.6.4".into(),
        }],
        containerd: Some("v2.1.4".into()),
        is_partial: false,
    }
}

/// The inquiries for software since the last time.
fn asked(host: &mut Host) -> Vec<InquiryId> {
    let asked = std::mem::take(&mut host.asked).into_iter();
    let asked = asked.filter(|(_, step)| *step == Step::Ask(Inquiry::Software));
    asked.map(|(id, _)| id).collect()
}

fn answer(host: &mut Host, id: InquiryId, software: Software) {
    host.inquiry_answer(id, Answer::Software(software));
    host.inquiry_answer(id, Answer::End(Ok(())));
}

/// What the host has heard of the inventory since the last time.
fn heard(host: &mut Host) -> Vec<String> {
    let mut heard = host.take();
    heard.retain(|line| line.starts_with(APPS) || line.starts_with(IMAGES));
    heard
}

/// Lets it be gathered for the first time.
fn gathered(host: &mut Host) {
    host.pass(2 * MINUTE);
    let ids = asked(host);
    assert_eq!(ids.len(), 1);
    answer(host, ids[0], software());
}

#[test]
fn off_it_asks_nothing_and_says_nothing() {
    let mut host = host(InventoryConfig::default());
    host.request(b"Set_Option enableAppInfo 0");
    host.request(b"Set_Option enableAppInfo 1");
    host.pass(24 * HOUR);
    assert_eq!(asked(&mut host), []);
    assert_eq!(heard(&mut host), [""; 0]);
}

#[test]
fn the_lists_are_there_within_two_minutes_and_new_ones_about_every_six_hours() {
    let mut host = host(BOTH);
    host.pass(Duration::from_secs(18));
    assert_eq!(asked(&mut host), [], "not with everything else");
    gathered(&mut host);
    let lists = heard(&mut host);
    assert_eq!(lists.len(), 2);
    let row = r#"{\"a\":\"etcd\",\"v\":\"3.6.4\"}"#;
    assert!(
        lists[0].starts_with(APPS) && lists[0].contains(row),
        "{lists:?}"
    );
    let talos = r#"{\"a\":\"Talos\",\"v\":\"1.13.0\"}"#;
    assert!(lists[0].contains(talos), "{lists:?}");
    let row = r#"\"system\":[{\"i\":\"gcr.io/etcd-development/etcd:v3.6.4\"}]"#;
    assert!(
        lists[1].starts_with(IMAGES) && lists[1].contains(row),
        "{lists:?}"
    );
    host.pass(5 * HOUR);
    assert_eq!(asked(&mut host), []);
    host.pass(2 * HOUR);
    let ids = asked(&mut host);
    assert_eq!(ids.len(), 1);
    answer(&mut host, ids[0], software());
    let lists = heard(&mut host);
    assert!(lists[0].contains(r#"\"updateCounter\":\"2\""#), "{lists:?}");
    assert!(lists[1].contains(r#"\"updateCounter\":2,"#), "{lists:?}");
}

#[test]
fn one_of_them_alone() {
    for (apps, start) in [(true, APPS), (false, IMAGES)] {
        let config = InventoryConfig {
            apps,
            containers: !apps,
        };
        let mut host = host(config);
        gathered(&mut host);
        let lists = heard(&mut host);
        assert_eq!(lists.len(), 1);
        assert!(lists[0].starts_with(start), "{lists:?}");
    }
}

#[test]
fn the_host_switches_it_off_at_once_and_on_again() {
    let mut host = host(BOTH);
    gathered(&mut host);
    heard(&mut host);
    host.request(b"Set_Option enableAppInfo 0");
    let blanks = [format!("{APPS} \\x00"), format!("{IMAGES} \\x00")];
    assert_eq!(heard(&mut host), blanks);
    host.request(b"Set_Option enableAppInfo 0");
    host.pass(12 * HOUR);
    assert_eq!((asked(&mut host), heard(&mut host)), (vec![], vec![]));
    host.request(b"Set_Option enableAppInfo 1");
    gathered(&mut host);
    assert_eq!(heard(&mut host).len(), 2);
}

#[test]
fn what_is_under_way_when_the_host_switches_off_is_forgotten() {
    let mut host = host(BOTH);
    host.pass(2 * MINUTE);
    let ids = asked(&mut host);
    host.request(b"Set_Option enableAppInfo 0");
    assert_eq!(host.asked, [(ids[0], Step::Forget)]);
    heard(&mut host);
    answer(&mut host, ids[0], software());
    assert_eq!(heard(&mut host), [""; 0], "it comes too late");
}

#[test]
fn a_reset_means_a_host_that_may_not_know_the_switch() {
    let mut host = host(BOTH);
    host.request(b"Set_Option enableAppInfo 0");
    host.request(b"reset");
    heard(&mut host);
    gathered(&mut host);
    assert_eq!(heard(&mut host).len(), 2);
}

#[test]
fn what_a_reload_switches_off_is_blanked_and_the_rest_goes_on() {
    let mut host = host(BOTH);
    gathered(&mut host);
    heard(&mut host);
    let apps = InventoryConfig {
        apps: true,
        containers: false,
    };
    host.inventory(apps);
    assert_eq!(heard(&mut host), [format!("{IMAGES} \\x00")]);
    gathered(&mut host);
    assert_eq!(heard(&mut host).len(), 1);
    host.inventory(InventoryConfig::default());
    assert_eq!(heard(&mut host), [format!("{APPS} \\x00")]);
    host.pass(12 * HOUR);
    assert_eq!((asked(&mut host), heard(&mut host)), (vec![], vec![]));
}

#[test]
fn talos_that_does_not_answer_is_asked_again_ever_more_slowly() {
    let mut host = host(BOTH);
    let away = || Trouble {
        kind: TroubleKind::Away,
        text: "why".into(),
        status: 14,
    };
    host.pass(2 * MINUTE);
    for (least, most) in [
        (2, 3),
        (4, 6),
        (8, 12),
        (16, 24),
        (32, 48),
        (60, 90),
        (60, 90),
    ] {
        let ids = asked(&mut host);
        assert_eq!(ids.len(), 1);
        host.inquiry_answer(ids[0], Answer::End(Err(away())));
        host.pass(least * MINUTE - ms(1));
        assert_eq!(asked(&mut host), []);
        host.pass((most - least) * MINUTE + ms(1));
    }
    assert_eq!(heard(&mut host), [""; 0]);
}

#[test]
fn a_list_that_lacks_a_namespace_is_made_again_soon() {
    let mut host = host(BOTH);
    host.pass(2 * MINUTE);
    let ids = asked(&mut host);
    let partial = Software {
        is_partial: true,
        ..software()
    };
    answer(&mut host, ids[0], partial);
    assert_eq!(heard(&mut host).len(), 2, "what there is");
    host.pass(3 * MINUTE);
    let ids = asked(&mut host);
    answer(&mut host, ids[0], software());
    heard(&mut host);
    host.pass(5 * HOUR);
    assert_eq!(asked(&mut host), []);
}

#[test]
fn machines_of_a_fleet_do_not_ask_all_at_once() {
    let when = |number: u8| {
        let mut host = Host::new();
        host.inventory(BOTH);
        let mut facts = machine_at(Stage::Running, true);
        let uuid = format!("564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c{number:02x}");
        facts.node.system_uuid = Some(uuid);
        host.facts(&facts);
        host.connect();
        let begun = host.now;
        loop {
            host.pass(Duration::from_secs(1));
            if !asked(&mut host).is_empty() {
                break (host.now - begun).as_secs();
            }
        }
    };
    let times: std::collections::BTreeSet<u64> = (0..50).map(when).collect();
    assert!(times.len() > 20, "{times:?}");
    assert!(
        times.iter().all(|time| (20..=61).contains(time)),
        "{times:?}"
    );
}
