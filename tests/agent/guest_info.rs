//! Name, system, uptime, NICs and the primary address, as vCenter shows them.

use std::time::{Duration, Instant};

use apid::{Method, resources, scene};
use vmx::codec::guest_info::GuestInfo;
use vmx::codec::rpci::Command;

use crate::support::{ADDRESS, NAME, Run, SOON, Talos, pass};

/// How fast a change in Talos is on the host.
const PROMPT: Duration = Duration::from_millis(100);

/// Seconds since boot, from the kernel.
fn kernel_uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn the_host_name_is_that_of_the_kubernetes_node_and_the_domain_stays_with_the_resolver() {
    let talos = Talos::with(|talos| {
        scene::single_nic(talos);
        talos.set_hostname("w-7", "prod.example.test");
    });
    let run = talos.run();
    let shown = |what: &str, name: &str| {
        let view = run.sees(what, SOON, |view| {
            let dns = view.nics.as_ref().and_then(|nics| nics.dns.as_ref());
            view.host_name.as_deref() == Some(name) && dns.is_some()
        });
        let dns = view.nics.unwrap().dns.unwrap();
        assert_eq!(dns.host.as_deref(), Some("w-7"));
        assert_eq!(dns.domain.as_deref(), Some("prod.example.test"));
    };
    shown("the node's name", "w-7");
    // What the kubelet registers with registerWithFQDN.
    talos.set_node_name("w-7.prod.example.test");
    shown("the node's name with its domain", "w-7.prod.example.test");
}

#[test]
fn the_host_name_is_the_short_one_before_there_is_a_kubernetes_node() {
    let talos = Talos::with(|talos| {
        talos.set_link("lo", scene::loopback());
        talos.set_hostname("w-7", "prod.example.test");
    });
    let run = Run::start(talos.agent());
    let view = run.sees("a name", SOON, |view| view.host_name.is_some());
    assert_eq!(view.host_name.as_deref(), Some("w-7"));
}

#[test]
fn the_operating_system_has_a_guest_id_that_vmware_knows_and_details() {
    let talos = Talos::new();
    let run = talos.run();
    let view = run.sees("the details", SOON, |view| !view.detailed.is_empty());
    let release = nix::sys::utsname::uname().unwrap();
    let release = release.release().to_string_lossy();
    let major: u32 = release.split('.').next().unwrap().parse().unwrap();
    assert_eq!(
        view.guest_id.unwrap(),
        format!("other{}xlinux-64", major.clamp(3, 7))
    );
    let full = view.guest_full_name.unwrap();
    assert!(full.contains("Talos") && full.contains("v1.13.0"), "{full}");
    for (key, value) in [
        ("architecture", "X86"),
        ("bitness", "64"),
        ("distroName", "Talos"),
        ("distroVersion", "v1.13.0"),
        ("familyName", "Linux"),
        ("kernelVersion", &*release),
        ("prettyName", "Talos (v1.13.0)"),
    ] {
        assert_eq!(
            view.detailed.get(key).map(String::as_str),
            Some(value),
            "{key}"
        );
    }
}

#[test]
fn the_uptime_counts_since_boot() {
    let talos = Talos::new();
    let before = kernel_uptime();
    let run = talos.run();
    let told = run.vcenter().uptime_centis.unwrap() as f64 / 100.0;
    assert!(
        (before - 0.1..=kernel_uptime() + 0.1).contains(&told),
        "{told}, kernel {before}"
    );
    for entry in run.sent("SetGuestInfo  7 ") {
        assert!(matches!(
            entry.command,
            Ok(Command::GuestInfo(GuestInfo::Uptime(1..)))
        ));
    }
}

#[test]
fn a_host_without_detailed_data_gets_both_names() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().host(|host| host.refuse("SetGuestInfo  11 ")));
    run.informed();
    let view = run.sees("full and short name", SOON, |view| {
        view.guest_full_name.is_some() && view.guest_id.is_some()
    });
    assert!(view.detailed.is_empty());
    assert_eq!(run.sent("SetGuestInfo  5 ").len(), 1);
    assert_eq!(run.sent("SetGuestInfo  6 ").len(), 1);
    run.logs(&["WARN", "SetGuestInfo 11"], SOON);
}

#[test]
fn a_host_without_type_10_gets_the_nics_as_type_9() {
    let talos = Talos::new();
    let run = Run::start(talos.agent().host(|host| host.refuse("SetGuestInfo  10 ")));
    run.informed();
    let view = run.vcenter();
    assert_eq!(view.nics_type, Some(9));
    assert_eq!(view.ip_address.as_deref(), Some(ADDRESS));
    // A change goes out as type 9 at once; a reset tries the newest form again.
    let tried = run.sent("SetGuestInfo  10 ").len();
    talos.set_address("eth0", "10.5.0.9/24");
    run.sees("the change", SOON, |view| {
        view.addresses().iter().any(|ip| ip == "10.5.0.9")
    });
    assert_eq!(run.sent("SetGuestInfo  10 ").len(), tried);
    run.asked("reset");
    run.until_sent("SetGuestInfo  10 ", tried + 1, SOON);
}

#[test]
fn a_change_in_talos_is_on_the_host_within_100_ms_unasked() {
    let talos = Talos::new();
    let run = talos.run();
    let mut delays = Vec::new();
    for round in 0..4 {
        let address = format!("10.5.0.{}", 100 + round);
        let changed = Instant::now();
        talos.set_address("eth0", &format!("{address}/24"));
        delays.push(run.until("the address", SOON, |host, now| {
            let addresses = host.vcenter(now).addresses();
            addresses.contains(&address).then(|| now - changed)
        }));
        let name = format!("node-{round}");
        let changed = Instant::now();
        talos.set_hostname(&name, "");
        delays.push(run.until("the name", SOON, |host, now| {
            (host.vcenter(now).host_name.as_ref() == Some(&name)).then(|| now - changed)
        }));
    }
    // The machine that runs the tests may be busy for a moment, not for half of them.
    delays.sort();
    assert!(delays[delays.len() / 2] < PROMPT, "{delays:?}");
}

#[test]
fn a_burst_of_20_changes_is_a_few_messages() {
    let talos = Talos::new();
    let run = talos.run();
    let before = run.rpci_log().len();
    for round in 0..20 {
        talos.set_address("eth0", &format!("10.5.1.{}/24", round + 1));
        talos.set_hostname(&format!("burst-{round}"), "");
    }
    run.sees("the last change", SOON, |view| {
        view.addresses().iter().any(|ip| ip == "10.5.1.20")
            && view.host_name.as_deref() == Some("burst-19")
    });
    pass(&run, Duration::from_millis(300));
    let messages = run.rpci_log().len() - before;
    assert!(messages <= 30, "{messages} messages");
}

#[test]
fn nothing_is_sent_while_nothing_changes_and_talos_is_not_asked() {
    let talos = Talos::new();
    let run = talos.run();
    // The last thing that is certain after a start.
    run.until_sent("info-set guestinfo.vmtools.talos.problem none", 1, SOON);
    pass(&run, Duration::from_millis(500));
    let (messages, calls) = (run.rpci_log().len(), talos.call_count());
    // Settings of the same value are no change.
    talos.set_hostname("talos-cp-1", "example.com");
    pass(&run, Duration::from_secs(2));
    assert_eq!(talos.call_count(), calls);
    assert_eq!(run.rpci_log().len(), messages);
}

#[test]
fn what_is_not_known_is_not_sent() {
    let talos = Talos::with(|_| {});
    let run = Run::start(talos.agent());
    run.green();
    talos.wait_calls(Method::Watch, 5, SOON).unwrap();
    pass(&run, Duration::from_millis(500));
    for prefix in [
        "SetGuestInfo  1 ",
        "SetGuestInfo  10 ",
        "SetGuestInfo  9 ",
        "info-set guestinfo.ip",
    ] {
        assert!(run.sent(prefix).is_empty(), "{prefix}");
    }
}

#[test]
fn a_nic_is_shown_with_its_mac_before_it_has_an_address() {
    let talos = Talos::with(|talos| {
        talos.set_link("lo", scene::loopback());
        talos.set_address("lo", "127.0.0.1/8");
        talos.set_link("eth0", scene::nic(2, scene::MAC));
    });
    let run = Run::start(talos.agent());
    let view = run.sees("the NIC", SOON, |view| !view.macs().is_empty());
    assert_eq!(view.macs(), ["00:50:56:ab:cd:ef"]);
    assert_eq!((view.addresses().len(), view.ip_address), (0, None));
    // A link-local address shows that it is alive, and gives way to a real one.
    talos.set_address("eth0", "fe80::250:56ff:feab:cdef/64");
    run.sees("the link-local address", SOON, |view| {
        view.addresses() == ["fe80::250:56ff:feab:cdef"]
    });
    talos.set_route("eth0", "0.0.0.0/0", Some("10.5.0.1"), 1024);
    talos.set_address("eth0", "10.5.0.2/24");
    let view = run.sees("the address", SOON, |view| view.addresses() == [ADDRESS]);
    assert_eq!(view.ip_address.as_deref(), Some(ADDRESS));
}

#[test]
fn an_address_that_talos_says_is_gone_leaves_the_host_within_30_s_and_not_at_once() {
    let talos = Talos::new();
    let run = talos.run();
    run.sees("the variable", SOON, |view| {
        view.variables.contains_key("ip")
    });
    let gone = Instant::now();
    talos.remove_address("eth0", "10.5.0.2/24");
    for id in ["current", "routed", "current-no-k8s", "routed-no-k8s"] {
        talos.set_node_address(id, &[]);
    }
    let after = run.until("a list without it", Duration::from_secs(30), |host, now| {
        let view = host.vcenter(now);
        let ip = view.variables.get("ip").map(|ip| ip.trim());
        let is_gone = !view.addresses().iter().any(|ip| ip == ADDRESS);
        (is_gone && ip == Some("")).then(|| now - gone)
    });
    assert!(after > Duration::from_secs(10), "{after:?}");
    assert_eq!(run.vcenter().macs(), ["00:50:56:ab:cd:ef"]);
}

#[test]
fn the_address_never_goes_from_right_to_empty() {
    let talos = Talos::new();
    let run = talos.run();
    let sent = run.sent("SetGuestInfo  10 ").len();
    // A cable that is pulled, a name that is gone: for a moment.
    talos.set_link("eth0", scene::down(scene::nic(2, scene::MAC)));
    talos.set_hostname("", "");
    pass(&run, Duration::from_secs(2));
    let view = run.vcenter();
    assert_eq!(view.ip_address.as_deref(), Some(ADDRESS));
    assert_eq!(view.host_name.as_deref(), Some(NAME));
    talos.set_link("eth0", scene::nic(2, scene::MAC));
    talos.set_hostname("talos-cp-1", "example.com");
    pass(&run, Duration::from_millis(500));
    assert_eq!(run.sent("SetGuestInfo  10 ").len(), sent);
    for entry in run.sent("info-set guestinfo.ip") {
        let right = format!("info-set guestinfo.ip {ADDRESS}\0");
        assert_eq!(entry.message, right.into_bytes());
    }
}

#[test]
fn a_reset_of_the_host_shows_what_is_true_now() {
    let talos = Talos::new();
    let run = talos.run();
    talos.remove_address("eth0", "10.5.0.2/24");
    for id in ["current", "routed", "current-no-k8s", "routed-no-k8s"] {
        talos.set_node_address(id, &[]);
    }
    pass(&run, Duration::from_millis(500));
    let sent = run.sent("SetGuestInfo  10 ").len();
    assert_eq!(run.vcenter().ip_address.as_deref(), Some(ADDRESS));
    run.asked("reset");
    run.until_sent("SetGuestInfo  10 ", sent + 1, SOON);
    run.sees("the truth", Duration::from_secs(5), |view| {
        !view.addresses().iter().any(|ip| ip == ADDRESS)
    });
    for entry in &run.sent("SetGuestInfo  10 ")[sent..] {
        if let Ok(Command::GuestInfo(GuestInfo::Nics(_, list))) = &entry.command {
            let mut ips = list.nics.iter().flat_map(|nic| &nic.ips);
            assert!(!ips.any(|ip| ip.address.to_string() == ADDRESS));
        }
    }
}

#[test]
fn the_first_address_waits_for_its_default_route_and_comes_with_it() {
    let talos = Talos::with(|talos| {
        scene::single_nic(talos);
        talos.remove_route("eth0", "0.0.0.0/0", Some("10.5.0.1"), 1024);
        talos.remove_address("eth0", "10.5.0.2/24");
        talos.remove_address("eth0", "fe80::250:56ff:feab:cdef/64");
    });
    let run = Run::start(talos.agent());
    run.sees("the NIC", SOON, |view| !view.macs().is_empty());
    let sent = run.sent("SetGuestInfo  10 ").len();
    talos.set_static_address("eth0", "10.5.0.2/24");
    run.sees("the variable", SOON, |view| {
        view.variables.get("ip").map(String::as_str) == Some(ADDRESS)
    });
    talos.set_route("eth0", "0.0.0.0/0", Some("10.5.0.1"), 1024);
    run.sees("the address", SOON, |view| view.ip_address.is_some());
    let lists = run.sent("SetGuestInfo  10 ").split_off(sent);
    let first = lists.iter().find_map(|entry| match &entry.command {
        Ok(Command::GuestInfo(GuestInfo::Nics(_, list)))
            if list.nics.iter().any(|nic| !nic.ips.is_empty()) =>
        {
            Some(list.clone())
        }
        _ => None,
    });
    assert!(first.unwrap().routes.iter().any(|route| route.prefix == 0));
}

#[test]
fn another_address_replaces_the_one_that_went() {
    let talos = Talos::new();
    let run = talos.run();
    talos.set_address("eth0", "10.5.0.3/24");
    talos.remove_address("eth0", "10.5.0.2/24");
    for id in [
        "default",
        "current",
        "routed",
        "current-no-k8s",
        "routed-no-k8s",
    ] {
        talos.set_node_address(id, &["10.5.0.3/24"]);
    }
    run.sees("the new address alone", SOON, |view| {
        view.ip_address.as_deref() == Some("10.5.0.3")
            && view.variables.get("ip").map(String::as_str) == Some("10.5.0.3")
            && !view.addresses().iter().any(|ip| ip == ADDRESS)
    });
}

#[test]
fn a_bond_is_one_nic_with_its_vlans_and_links_that_are_down_are_left_out() {
    let talos = Talos::with(scene::bond_and_vlan);
    let run = talos.run();
    let view = run.sees("both addresses", SOON, |view| view.addresses().len() >= 2);
    assert_eq!(
        view.macs(),
        ["00:50:56:ab:00:11"],
        "one MAC for bond, slaves and VLAN; eth2 is down"
    );
    assert_eq!(view.addresses()[..2], ["10.5.0.11", "10.6.0.11"]);
    assert_eq!(view.ip_address.as_deref(), Some("10.5.0.11"));

    talos.set_link("eth2", scene::nic(4, [0x00, 0x50, 0x56, 0xab, 0x00, 0x13]));
    talos.set_address("eth2", "10.7.0.1/24");
    let view = run.sees("the third NIC", SOON, |view| view.macs().len() == 2);
    assert_eq!(view.macs()[1], "00:50:56:ab:00:13");
    assert_eq!(
        view.ip_address.as_deref(),
        Some("10.5.0.11"),
        "the primary stays first"
    );
}

#[test]
fn the_primary_address_follows_talos_own_view() {
    let talos = Talos::with(|talos| {
        scene::single_nic(talos);
        talos.set_link("eth1", scene::nic(3, [0x00, 0x50, 0x56, 0, 0, 1]));
        talos.set_address("eth1", "192.168.7.7/24");
        talos.set_route("eth1", "0.0.0.0/0", Some("192.168.7.1"), 512);
        for id in ["current", "routed", "routed-no-k8s", "current-no-k8s"] {
            talos.set_node_address(id, &["192.168.7.7/24", "10.5.0.2/24"]);
        }
        talos.set_node_address("default", &["192.168.7.7/24"]);
    });
    let run = talos.run();
    let view = run.sees("both NICs", SOON, |view| view.macs().len() == 2);
    assert_eq!(
        view.ip_address.as_deref(),
        Some("192.168.7.7"),
        "first address of the first NIC"
    );
    assert_eq!(view.macs()[0], "00:50:56:00:00:01");
    run.sees("the same as variable", SOON, |view| {
        view.variables.get("ip").map(String::as_str) == Some("192.168.7.7")
    });
}

#[test]
fn a_control_planes_virtual_ip_comes_last_and_pods_and_services_not_at_all() {
    let talos = Talos::with(scene::control_plane);
    let config = talos
        .folder
        .write("config.yaml", "network: {report_vips: true}\n");
    let run = Run::start(talos.agent().args(["--config"]).args([config]));
    let view = run.sees("the virtual IP", SOON, |view| {
        view.addresses().iter().any(|ip| ip == "10.5.0.100")
    });
    assert_eq!(view.ip_address.as_deref(), Some("10.5.0.11"));
    assert_eq!(
        view.addresses().last().map(String::as_str),
        Some("10.5.0.100")
    );
    assert_eq!(view.macs(), ["00:50:56:ab:00:21"]);
    for absent in [
        "10.244.0.1",
        "10.96.0.1",
        "fdae:41e4:649b:9303::11",
        "127.0.0.1",
        "::1",
    ] {
        assert!(!view.addresses().iter().any(|ip| ip == absent), "{absent}");
    }
    talos.lose_vip("eth0", "10.5.0.100");
    let own = ["10.5.0.11/24", "10.244.0.1/24", "10.96.0.1/32"];
    talos.set_node_address("routed", &own);
    talos.set_node_address("routed-no-k8s", &own[..1]);
    run.sees("the virtual IP gone", SOON, |view| {
        !view.addresses().iter().any(|ip| ip == "10.5.0.100")
    });
    assert_eq!(run.vcenter().ip_address.as_deref(), Some("10.5.0.11"));
}

#[test]
fn a_container_whose_only_link_is_a_veth_has_it_reported() {
    let talos = Talos::with(scene::in_container);
    let run = talos.run();
    let view = run.vcenter();
    assert_eq!(view.macs(), ["02:42:0a:05:00:02"]);
    assert_eq!(view.ip_address.as_deref(), Some("10.5.0.2"));
    assert_eq!(view.host_name.as_deref(), Some("talos-default-worker-1"));
}

#[test]
fn a_resource_that_talos_does_not_know_is_done_without() {
    let talos = Talos::new();
    talos.drop_type(resources::NODE_ADDRESS);
    let run = talos.run();
    assert_eq!(run.vcenter().ip_address.as_deref(), Some(ADDRESS));
    // It should have it: what is missing is said, once.
    run.logs(&["WARN", resources::NODE_ADDRESS, "missing="], SOON);
    assert_eq!(run.log_lines(&["WARN"]).len(), 1, "{:#?}", run.log());
}

#[test]
fn an_address_status_reaches_the_host() {
    let talos = Talos::new();
    // IFA_F_TENTATIVE.
    talos.set_address_with("eth0", "2001:db8::9/64", |status| status.flags = 0x40);
    let run = talos.run();
    let view = run.sees("the address", SOON, |view| {
        view.addresses().iter().any(|ip| ip == "2001:db8::9")
    });
    let nics = view.nics.unwrap().nics;
    let status = |text: &str| {
        let mut all = nics.iter().flat_map(|nic| &nic.ips);
        all.find(|ip| ip.address.to_string() == text)
            .unwrap()
            .state()
    };
    assert_eq!(status(ADDRESS), "preferred");
    assert_eq!(status("2001:db8::9"), "tentative");
}

#[test]
fn more_addresses_than_a_message_holds_are_cut_and_the_primary_is_kept() {
    let talos = Talos::new();
    for number in 0..2500 {
        talos.set_address("eth0", &format!("2001:db8::{:x}/64", number + 1));
    }
    let run = talos.run();
    let view = run.sees("many addresses", SOON, |view| view.addresses().len() > 500);
    assert_eq!(view.ip_address.as_deref(), Some(ADDRESS));
    talos.set_hostname("still-served", "");
    run.sees("the name", SOON, |view| {
        view.host_name.as_deref() == Some("still-served")
    });
}

#[test]
fn changes_without_a_pause_reach_the_host_all_the_same() {
    let talos = Talos::new();
    let run = talos.run();
    let began = Instant::now();
    let mut seen = 0;
    for round in 0.. {
        if began.elapsed() > Duration::from_millis(1500) {
            break;
        }
        talos.set_hostname(&format!("restless-{round}"), "");
        // Faster than the moment of quiet that a change is given.
        pass(&run, Duration::from_millis(5));
        seen = run.sent("SetGuestInfo  1 restless").len();
    }
    assert!((5..=40).contains(&seen), "{seen} messages in 1.5 s");
}

#[test]
fn names_with_odd_characters_and_sizes_harm_nothing() {
    let talos = Talos::new();
    talos.update_node(|node| node.version.tag = "v1.13.0'\\\0\n".repeat(200));
    talos.set_hostname(&"x".repeat(70_000), "");
    let run = Run::start(talos.agent());
    run.green();
    talos.set_hostname("a b\0c\nd'\"", "é\u{7f}");
    pass(&run, Duration::from_millis(300));
    assert_eq!(run.reply("ping"), "OK ");
    for line in run.log() {
        assert!(!line.contains('\0'), "{line:?}");
    }
    talos.set_hostname("plain", "");
    run.sees("the plain name", SOON, |view| {
        view.host_name.as_deref() == Some("plain")
    });
}

#[test]
fn odd_names_reach_the_host_clean_and_no_longer_than_their_fields() {
    let (a, b) = ("a".repeat(63), "b".repeat(62));
    for (host, domain, shown) in [
        ("h".repeat(300), String::new(), "h".repeat(255)),
        (
            "h\u{e9}\u{7}llo\n\u{202e}w".to_owned(),
            "exa\u{0}mple.com".to_owned(),
            "h\u{e9}llow.example.com".to_owned(),
        ),
        (a.clone(), [&b[..]; 5].join("."), format!("{a}.{b}.{b}.{b}")),
    ] {
        let talos = Talos::new();
        talos.set_hostname(&host, &domain);
        talos.set_node_name("n\u{1}\u{85}ode\u{2028}name");
        let run = Run::start(talos.agent().args(["--guest-host-name", "fqdn"]));
        let view = run.sees("the name", SOON, |view| view.host_name.is_some());
        assert_eq!(view.host_name, Some(shown));
        run.sees("the node's name", SOON, |view| {
            let name = view.variables.get("vmtools.talos.nodeName");
            name.is_some_and(|name| name == "nodename")
        });
    }
}
