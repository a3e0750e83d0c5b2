//! What the host knows of the node, and when.

use super::host::{Host, ms, node};
use crate::facts::{Facts, Stage};

const NICS: &str = "> SetGuestInfo  10 00:50:56:01:02:03=";

#[test]
fn nothing_is_told_before_it_is_known() {
    let mut host = Host::new();
    host.facts(&Facts::default());
    host.connect();
    host.facts(&Facts {
        host_name: None,
        addresses: None,
        talos: None,
        ..node("cp1", &["10.0.0.5"])
    });
    host.facts(&Facts {
        links: None,
        ..node("", &["10.0.0.5"])
    });
    host.pass(ms(60_000));
    let told = host.take();
    let unexpected: Vec<&String> = told
        .iter()
        .filter(|line| !line.contains("unified_loop"))
        .filter(|line| !line.contains("vmtools.") && !line.starts_with("> SetGuestInfo  7 "))
        .filter(|line| !line.starts_with("> SetGuestInfo  11 "))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    assert!(!told.iter().any(|line| line.contains("unknown")));
}

#[test]
fn nothing_is_told_before_the_channel_is_open() {
    let mut host = Host::new();
    host.facts(&node("cp1", &["10.0.0.5"]));
    host.pass(ms(60_000));
    assert!(host.take().is_empty());
    host.connect();
    let told = host.take();
    assert!(told.contains(&format!("{NICS}10.0.0.5")));
    assert!(told.contains(&r"> SetGuestInfo  1 cp1\x00".to_owned()));
}

#[test]
fn a_change_is_told_within_its_time_and_alone() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    host.facts(&node("cp1", &["10.0.0.5", "10.0.0.6"]));
    host.pass(ms(50));
    assert_eq!(host.take(), [format!("{NICS}10.0.0.5,10.0.0.6")]);
    host.facts(&node("cp2", &["10.0.0.5", "10.0.0.6"]));
    host.pass(ms(50));
    // The name is in the NICs' message, too, as that of the resolver.
    assert_eq!(
        host.take(),
        [
            r"> SetGuestInfo  1 cp2\x00".to_owned(),
            format!("{NICS}10.0.0.5,10.0.0.6")
        ]
    );
    host.facts(&node("cp1", &["10.0.0.9"]));
    host.facts(&node("cp2", &["10.0.0.5", "10.0.0.6"]));
    host.pass(ms(1000));
    assert!(host.take().is_empty(), "what was before is what is");
}

#[test]
fn a_burst_becomes_few_messages_and_none_is_late() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    for last in 0..20 {
        host.facts(&node(
            "cp1",
            &["10.0.0.5", &format!("10.0.0.{}", 100 + last)],
        ));
    }
    host.pass(ms(100));
    assert_eq!(host.take(), [format!("{NICS}10.0.0.5,10.0.0.119")]);

    // Changes that never rest are told all the same.
    let mut told_at = Vec::new();
    for last in 0..100 {
        host.facts(&node(
            "cp1",
            &["10.0.0.5", &format!("10.0.0.{}", 100 + last)],
        ));
        host.pass(ms(10));
        if !host.take().is_empty() {
            told_at.push(host.now);
        }
    }
    assert!((10..=20).contains(&told_at.len()), "{}", told_at.len());
    assert!(told_at.windows(2).all(|pair| pair[1] - pair[0] <= ms(100)));
}

#[test]
fn what_gets_lost_is_repeated_until_it_arrives_as_it_then_is() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    host.deaf = true;
    host.facts(&node("cp1", &["10.0.0.6"]));
    host.pass(ms(20_000));
    let tries = host.take();
    assert!((5..=12).contains(&tries.len()), "{tries:?}");
    host.facts(&node("cp1", &["10.0.0.7"]));
    host.pass(ms(1));
    host.deaf = false;
    host.pass(ms(5000));
    assert_eq!(host.take(), [format!("{NICS}10.0.0.7")]);
    host.pass(ms(3000));
    assert!(host.take().is_empty());
}

#[test]
fn a_new_connection_hears_everything_at_once() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    host.deaf = true;
    host.request(b"reset");
    host.take();
    host.deaf = false;
    host.connect();
    host.request(b"Capabilities_Register");
    let told = host.take();
    for start in [
        "> SetGuestInfo  1 ",
        NICS,
        "> SetGuestInfo  11 ",
        "> SetGuestInfo  7 ",
    ] {
        assert_eq!(
            told.iter().filter(|line| line.starts_with(start)).count(),
            1,
            "{start}"
        );
    }
    host.pass(ms(29_000));
    assert!(host.take().is_empty());
}

#[test]
fn uptime_is_true_and_told_every_thirty_seconds() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    host.pass(ms(90_000));
    assert_eq!(
        host.take(),
        [
            r"> SetGuestInfo  7 4100\x00",
            r"> SetGuestInfo  7 7100\x00",
            r"> SetGuestInfo  7 10100\x00"
        ]
    );
    host.deaf = true;
    host.pass(ms(30_000));
    host.deaf = false;
    host.pass(ms(1000));
    let told = host.take();
    assert!(told.len() >= 2, "{told:?}");
    assert_ne!(told.first(), told.last(), "a repeated uptime is taken anew");
}

#[test]
fn a_host_without_detailed_data_gets_names_until_it_forgets() {
    let mut host = Host::new();
    host.refuses = vec!["SetGuestInfo  11 "];
    host.connect();
    host.take();
    host.facts(&node("cp1", &["10.0.0.5"]));
    host.pass(ms(100));
    let os = |told: Vec<String>| -> Vec<String> {
        told.into_iter()
            .filter(|line| !line.starts_with("> SetGuestInfo  1"))
            .filter(|line| !line.starts_with("> SetGuestInfo  7"))
            .filter(|line| !line.contains("vmtools.talos."))
            .collect()
    };
    let names = [
        r"> SetGuestInfo  5 Linux 6.18.1-talos Talos (v1.13.0)\x00",
        r"> SetGuestInfo  6 other6xlinux-64\x00",
    ];
    assert_eq!(os(host.take()), names);
    let mut upgraded = node("cp1", &["10.0.0.5"]);
    upgraded.talos.as_mut().unwrap().tag = "v1.13.1".into();
    host.facts(&upgraded);
    host.pass(ms(60_000));
    assert_eq!(
        os(host.take()),
        [r"> SetGuestInfo  5 Linux 6.18.1-talos Talos (v1.13.1)\x00"]
    );
    let told = host.ask(b"reset");
    assert_eq!(told.iter().filter(|line| line.contains("  11 ")).count(), 1);
    assert_eq!(told.iter().filter(|line| line.contains("  6 ")).count(), 1);
    host.refuses.clear();
    let told = host.ask(b"reset");
    assert_eq!(told.iter().filter(|line| line.contains("  11 ")).count(), 1);
    assert_eq!(told.iter().filter(|line| line.contains("  6 ")).count(), 0);
}

#[test]
fn a_host_without_the_newest_nic_type_gets_the_one_before() {
    let many: Vec<String> = (1..=100).map(|last| format!("10.0.0.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut host = Host::new();
    host.refuses = vec!["SetGuestInfo  10 "];
    host.connect();
    host.facts(&node("cp1", &many));
    host.pass(ms(100));
    let told = host.take();
    let nics: Vec<&String> = told
        .iter()
        .filter(|line| line.contains("00:50:56:01:02:03"))
        .collect();
    assert_eq!(nics.len(), 2);
    assert!(
        nics[0].starts_with("> SetGuestInfo  10 ") && nics[1].starts_with("> SetGuestInfo  9 ")
    );
    assert_eq!(nics[0].split(',').count(), 100);
    assert_eq!(nics[1].split(',').count(), 64);
    host.facts(&node("cp1", &["10.0.0.5"]));
    host.pass(ms(100));
    assert_eq!(
        host.take(),
        ["> SetGuestInfo  9 00:50:56:01:02:03=10.0.0.5"]
    );
    host.refuses.clear();
    assert!(host.ask(b"reset").contains(&format!("{NICS}10.0.0.5")));
}

#[test]
fn a_host_that_was_too_busy_for_either_nic_type_stays_with_the_older_one() {
    let mut host = Host::new();
    host.refuses = vec!["SetGuestInfo  10 ", "SetGuestInfo  9 "];
    host.connect();
    host.facts(&node("cp1", &["10.0.0.5"]));
    host.pass(ms(100));
    host.refuses.truncate(1);
    host.pass(ms(31_000));
    let nics = |told: Vec<String>| -> Vec<String> {
        let of_nics = |line: &String| line.contains("00:50:56:01:02:03");
        told.into_iter().filter(of_nics).collect()
    };
    assert_eq!(
        nics(host.take()).last().unwrap(),
        "> SetGuestInfo  9 00:50:56:01:02:03=10.0.0.5"
    );
    let mut staged = node("cp1", &["10.0.0.5"]);
    staged.stage = Some(Stage::Running);
    host.facts(&staged);
    host.pass(ms(60_000));
    assert!(nics(host.take()).is_empty(), "the NICs have not changed");
}

#[test]
fn a_lost_uptime_is_repeated_ever_more_slowly() {
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5"]));
    host.deaf = true;
    host.pass(ms(58_000));
    let told = host.take();
    // Between 29 s and 59 s: 0, 250, 750, 1750, 3750, 7750 ms, and then every 4 s.
    assert!((8..=14).contains(&told.len()), "{}", told.len());
    assert_ne!(told[0], told[1], "taken again each time");
}

#[test]
fn a_host_that_refuses_everything_is_not_flooded() {
    let mut host = Host::new();
    host.refuses = vec![""];
    host.connect();
    host.request(b"Capabilities_Register");
    host.facts(&node("cp1", &["10.0.0.5"]));
    host.pass(ms(100));
    host.take();
    host.pass(ms(300_000));
    let told = host.take();
    assert!(told.len() <= 16 * 11, "{}", told.len());
}

#[test]
fn the_primary_address_follows_once_it_was_asked_for() {
    let mut host = Host::new();
    host.connect();
    host.take();
    assert_eq!(
        host.ask(b"Set_Option broadcastIP 1"),
        ["< OK "],
        "not known yet"
    );
    host.facts(&node("cp1", &["10.0.0.5"]));
    host.pass(ms(100));
    assert!(
        host.take()
            .contains(&r"> info-set guestinfo.ip 10.0.0.5\x00".to_owned())
    );
    let again = r"> info-set guestinfo.ip 10.0.0.5\x00".to_owned();
    assert!(host.ask(b"reset").contains(&again));
    assert!(host.ask(b"OS_Resume").contains(&again));
    host.lose();
    host.take();
    host.connect();
    assert!(
        !host.take().contains(&again),
        "the host asks for it on a new channel"
    );
    assert_eq!(host.ask(b"Set_Option broadcastIP 1")[0], again);
    host.request(b"Set_Option broadcastIP 0");
    host.facts(&node("cp1", &["10.0.0.6"]));
    host.take();
    host.pass(ms(100));
    assert_eq!(host.take(), [format!("{NICS}10.0.0.6")]);
}

#[test]
fn the_name_of_the_node_is_shown_and_the_domain_stays_with_the_resolver() {
    use crate::report::HostNameForm;
    use vmx::codec::nic_info::NicInfo;
    let name = |heard: Vec<String>| -> Vec<String> {
        let name = |line: &String| line.strip_prefix("> SetGuestInfo  1 ").map(str::to_owned);
        heard.iter().filter_map(name).collect()
    };
    let mut host = Host::new();
    host.connect();
    let mut facts = node("w-7", &["10.0.0.5"]);
    host.facts(&facts);
    host.pass(ms(100));
    assert_eq!(name(host.take()), [r"w-7\x00"]);
    // With registerWithFQDN.
    facts.node.node_name = Some("w-7.prod.example.test".into());
    host.facts(&facts);
    host.pass(ms(100));
    assert_eq!(name(host.take()), [r"w-7.prod.example.test\x00"]);
    host.slow = true;
    host.request(b"reset");
    let list = host.unanswered.iter().find_map(|(_, message)| {
        let payload = message.strip_prefix(b"SetGuestInfo  10 ".as_slice())?;
        NicInfo::decode(payload).ok()
    });
    let dns = list.unwrap().dns.unwrap();
    assert_eq!(dns.host.as_deref(), Some("w-7"));
    assert_eq!(dns.domain.as_deref(), Some("example.com"));
    while !host.unanswered.is_empty() {
        host.answer();
    }
    host.take();
    host.services.set_host_name(HostNameForm::Fqdn, host.now);
    host.pass(ms(0));
    host.facts(&Facts::default());
    host.pass(ms(100));
    while !host.unanswered.is_empty() {
        host.answer();
    }
    assert_eq!(name(host.take()), [r"w-7.example.com\x00"]);
}

#[test]
fn another_policy_is_told_at_once() {
    use crate::report::NetworkPolicy;
    let mut host = Host::with_node(&node("cp1", &["10.0.0.5", "10.9.0.5"]));
    let policy = NetworkPolicy {
        exclude_subnets: vec!["10.0.0.0/24".parse().unwrap()],
        ..NetworkPolicy::default()
    };
    host.network_policy(policy);
    host.pass(ms(100));
    assert_eq!(host.take(), [format!("{NICS}10.9.0.5")]);
}

#[test]
fn routes_that_no_nic_has_are_no_news_for_the_host() {
    use crate::facts::Route;
    let before = node("cp1", &["10.0.0.5"]);
    let mut host = Host::with_node(&before);
    let mut pods = before;
    let mut routes = pods.network.routes.as_ref().unwrap().to_vec();
    routes.push(Route {
        destination: "10.244.0.7".parse().unwrap(),
        prefix_length: 32,
        gateway: None,
        link_name: "cali0123".into(),
        metric: 0,
    });
    pods.network.routes = Some(routes.into());
    host.facts(&pods);
    host.pass(ms(1000));
    assert!(host.take().is_empty());
}

#[test]
fn nics_that_are_too_many_are_named_once_though_they_come_and_go() {
    use crate::facts::{Link, Mac};
    use crate::vmware::link::fake_peer::CountLines;
    let mut many = node("cp1", &["10.0.0.5"]);
    let links = many.links.as_mut().unwrap();
    let eth0 = links[0].clone();
    links.extend((3..20).map(|index| Link {
        name: format!("eth{index}"),
        index,
        mac: Some(Mac([0, 0x50, 0x56, 9, 9, index as u8])),
        ..eth0.clone()
    }));
    let lines = CountLines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let mut host = Host::new();
    host.connect();
    lines.take();
    host.facts(&many);
    host.pass(ms(100));
    assert_eq!(lines.take(), 1);
    many.host_name.as_mut().unwrap().host = "cp2".into();
    host.facts(&many);
    host.pass(ms(100));
    host.request(b"reset");
    assert_eq!(lines.take(), 0);
    for _ in 0..10 {
        let last = many.links.as_mut().unwrap().pop().unwrap();
        host.facts(&many);
        host.pass(ms(100));
        many.links.as_mut().unwrap().push(last);
        host.facts(&many);
        host.pass(ms(100));
    }
    assert_eq!(lines.take(), 0);
}
