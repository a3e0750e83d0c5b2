//! The Talos client against the embedded Talos API: one sentence a test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use apid::{
    Apid, Certificate, Code, Method, PowerBehaviour, Status, Step, TlsOptions, Trouble,
    another_machine, scene, twin,
};
use talos_vmtoolsd::config::talosconfig::Endpoint;
use talos_vmtoolsd::config::{BusyPolicy, RebootMode};
use talos_vmtoolsd::daemon::bridge::Bridge;
use talos_vmtoolsd::daemon::core::{News, Node as _};
use talos_vmtoolsd::diagnosis::{Outcome, all_well};
use talos_vmtoolsd::facts::{Etcd, Facts, Life, MachineType, Stage};
use talos_vmtoolsd::power::PowerOperation::{self, Reboot, Shutdown};
use talos_vmtoolsd::power::{Heard, PowerOutcome};
use talos_vmtoolsd::proc::own_counters;
use talos_vmtoolsd::report::{AddressOrigin, NetworkPolicy, decide};
use talos_vmtoolsd::talos::{
    Client, Dial, Error, LastWord, Manner, TlsTrouble, carry_out, check, look_at_etcd,
    look_for_life, observe, query,
};
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longer than anything here should take.
const LONG: Duration = Duration::from_secs(20);

/// As configured when nothing is.
const HOW: Manner = Manner {
    deadline: LONG,
    force_shutdown: false,
    takes_over: false,
    reboot_mode: RebootMode::Default,
    busy: BusyPolicy::Refuse,
};

fn within(deadline: Duration) -> Manner {
    Manner { deadline, ..HOW }
}

#[path = "talos_client/leadership.rs"]
mod leadership;

mod facts {
    use super::*;

    #[tokio::test]
    async fn a_nodes_facts_are_told_and_then_nothing_is_called() {
        let (api, client, _directory) = machined();
        scene::control_plane(&api);
        let mut node = Observed::new(client);
        let facts = node.complete().await;
        assert_eq!(facts.host_name.unwrap().fqdn(), "talos-cp-1.example.com");
        assert_eq!(facts.virtual_ips.unwrap(), [ip("10.5.0.100")].into());
        let best = facts.node_addresses.unwrap();
        assert_eq!(best.best(), [ip("10.5.0.11"), ip("10.5.0.100")]);
        assert_eq!(facts.stage, Some(Stage::Running));
        let links = facts.links.unwrap();
        assert_eq!(links.first().unwrap().name, "lo");
        assert!(links.iter().any(|link| link.name == "eth0" && link.up));
        assert!(
            links
                .iter()
                .any(|link| link.name == "kube-ipvs0" && !link.up)
        );

        // One Version and one watch for each type, all on one connection, all as os:operator, none for another
        // node.
        let calls = api.calls();
        let watched: BTreeSet<String> = api
            .calls_of(Method::Watch)
            .into_iter()
            .map(|call| call.request)
            .collect();
        assert_eq!(calls.len(), 1 + watched.len(), "{calls:?}");
        assert_eq!(api.calls_of(Method::Watch).len(), watched.len());
        assert_eq!(api.connections_accepted(), 1);
        for call in calls {
            assert_eq!(call.metadata("talos-role"), ["os:operator"]);
            assert!(call.metadata("node").is_empty() && call.metadata("nodes").is_empty());
        }
    }

    #[tokio::test]
    async fn changes_arrive_by_themselves() {
        let (api, client, _directory) = machined();
        scene::single_nic(&api);
        let mut node = Observed::new(client);
        node.complete().await;
        api.set_hostname("other", "");
        node.until(|facts| facts.host_name.as_ref().unwrap().fqdn() == "other")
            .await;
        api.set_address("eth0", "10.5.0.7/24");
        node.until(|facts| has_address(facts, "10.5.0.7")).await;
        api.remove_address("eth0", "10.5.0.2/24");
        node.until(|facts| !has_address(facts, "10.5.0.2")).await;
        api.set_stage(apid::Stage::MachineStageRebooting, false);
        node.until(|facts| facts.stage == Some(Stage::Rebooting))
            .await;
    }

    #[tokio::test]
    async fn the_machine_itself_is_told_and_followed() {
        let (api, client, _directory) = machined();
        scene::single_nic(&api);
        let mut node = Observed::new(client.clone());
        let machine = node.complete().await.node;
        assert_eq!(machine.machine_type, Some(MachineType::ControlPlane));
        assert_eq!(machine.node_name.as_deref(), Some("talos-cp-1"));
        assert_eq!(
            machine.extension_names().unwrap().collect::<Vec<_>>(),
            ["talos-vmtoolsd-guest-agent"]
        );
        assert_eq!(machine.schematic().unwrap().len(), 64);
        assert_eq!(machine.secure_boot, Some(false));
        assert_eq!(machine.invalid_uuid(), None);

        api.set_conditions(apid::Stage::MachineStageRunning, &["network", "nodeReady"]);
        let facts = node
            .until(|facts| !facts.node.readiness.as_ref().unwrap().ready)
            .await;
        assert_eq!(
            facts.node.readiness.unwrap().unmet_conditions,
            ["network", "nodeReady"]
        );
        assert_eq!(facts.stage, Some(Stage::Running));
        api.set_secure_boot(true);
        node.until(|facts| facts.node.secure_boot == Some(true))
            .await;
        api.set_node_name("other");
        node.until(|facts| facts.node.node_name.as_deref() == Some("other"))
            .await;
        api.set_system_uuid("");
        let facts = node
            .until(|facts| facts.node.invalid_uuid().is_some())
            .await;
        assert_eq!(query(&client, LONG).await.unwrap().node, facts.node);
        api.destroy(
            "SystemInformations.hardware.talos.dev",
            "hardware",
            "systeminformation",
        );
        let gone = query(&client, LONG).await.unwrap();
        assert_eq!(gone.node.system_uuid, None);
    }

    #[tokio::test]
    async fn a_lease_and_its_routes_and_servers_are_told_and_followed() {
        let (api, client, _directory) = machined();
        scene::single_nic(&api);
        api.set_link("eth1", scene::nic(3, [0, 0x50, 0x56, 0xab, 0, 0x99]));
        api.set_lease("eth1", "192.168.0.7/24", &["192.168.0.1"]);
        api.set_route("eth1", "0.0.0.0/0", Some("192.168.0.1"), 2048);
        api.set_route_with("eth1", "192.168.0.7/32", None, 0, |route| route.table = 255);
        let mut node = Observed::new(client);
        let facts = node.complete().await;
        let calls = api.call_count();
        let decided = |facts: &Facts| decide(facts, &NetworkPolicy::default(), 16).unwrap();
        let decision = decided(&facts);
        let [eth0, eth1] = &decision.nics[..] else {
            panic!("{decision:?}")
        };
        assert_eq!(eth0.addresses[0].origin, Some(AddressOrigin::Manual));
        assert_eq!(eth1.addresses[0].origin, Some(AddressOrigin::Dhcp));
        assert_eq!((eth0.dhcp_v4, eth1.dhcp_v4), (Some(false), Some(true)));
        let resolver = eth1.resolver.as_ref().unwrap();
        assert_eq!(resolver.servers, [ip("192.168.0.1")]);
        let gateways: Vec<_> = decision.routes.iter().map(|route| route.gateway).collect();
        assert_eq!(
            gateways,
            [Some(ip("192.168.0.1")), Some(ip("10.5.0.1")), None],
            "the best default route last"
        );
        let resolver = facts.network.resolver.unwrap();
        assert_eq!(resolver.search_domains, ["example.com"]);

        api.lose_lease("eth1", "192.168.0.7/24");
        api.set_lease("eth1", "192.168.0.8/24", &["192.168.0.2"]);
        api.remove_route("eth1", "0.0.0.0/0", Some("192.168.0.1"), 2048);
        let told = |facts: &Facts| {
            let decision = decided(facts);
            let eth1 = &decision.nics[1];
            let resolver = eth1.resolver.as_ref();
            eth1.addresses.len() == 1
                && eth1.addresses[0].ip == ip("192.168.0.8")
                && eth1.addresses[0].origin == Some(AddressOrigin::Dhcp)
                && resolver.is_some_and(|resolver| resolver.servers == [ip("192.168.0.2")])
                && decision.routes.len() == 2
        };
        node.until(told).await;
        assert_eq!(api.call_count(), calls, "changes come by themselves");
    }

    #[tokio::test]
    async fn facts_stand_while_talos_is_away_and_are_never_empty_in_between() {
        let (api, client, _directory) = machined();
        scene::single_nic(&api);
        let mut node = Observed::new(client);
        node.complete().await;
        // Not on every node, and here nothing may be on its way any more.
        let before = node
            .until(|facts| {
                let storage = &facts.storage;
                facts.network.resolver.is_some()
                    && storage.volumes.is_some()
                    && storage.mounts.is_some()
                    && storage.disks.is_some()
            })
            .await;
        for _ in 0..3 {
            api.stop();
            api.set_address("eth0", "10.5.0.8/24");
            assert_eq!(*node.facts.borrow(), before);
            api.restart().unwrap();
            node.until(|facts| {
                assert!(has_address(facts, "10.5.0.2"));
                has_address(facts, "10.5.0.8")
            })
            .await;
            api.remove_address("eth0", "10.5.0.8/24");
            node.until(|facts| !has_address(facts, "10.5.0.8")).await;
        }
    }

    #[tokio::test]
    async fn silence_says_something_only_after_an_answer() {
        let (api, client, _directory) = machined();
        api.stop();
        let life = look_for_life(&client).await;
        assert!(matches!(life, Life::Unclear(_)), "{life:?}");
        api.restart().unwrap();
        assert_eq!(look_for_life(&client).await, Life::Answers);
        api.stop();
        assert_eq!(look_for_life(&client).await, Life::Silent);
        api.restart().unwrap();
        let denied = Status::permission_denied("not authorized");
        api.fail_next(Method::Version, &denied, 1);
        let life = look_for_life(&client).await;
        assert!(matches!(life, Life::Unclear(_)), "{life:?}");
        let away = Status::unavailable("no machined");
        api.fail_next(Method::Version, &away, 1);
        assert_eq!(look_for_life(&client).await, Life::Silent);
    }

    #[tokio::test]
    async fn talos_may_come_late() {
        let (api, client, _directory) = machined();
        api.stop();
        scene::single_nic(&api);
        let mut node = Observed::new(client);
        tokio::time::sleep(Duration::from_millis(300)).await;
        api.restart().unwrap();
        let since = tokio::time::Instant::now();
        node.complete().await;
        assert!(since.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test]
    async fn an_errored_watch_is_opened_again() {
        let (api, client, _directory) = machined();
        scene::single_nic(&api);
        let mut node = Observed::new(client);
        node.complete().await;
        api.error_watches();
        api.set_address("eth0", "10.5.0.9/24");
        node.until(|facts| has_address(facts, "10.5.0.9")).await;
        api.end_watches(&Status::internal("buffer"));
        api.set_hostname("again", "");
        node.until(|facts| facts.host_name.as_ref().unwrap().host == "again")
            .await;
        assert_eq!(api.connections_accepted(), 1);
    }

    #[tokio::test]
    async fn a_type_that_an_older_talos_lacks_is_given_up_alone() {
        let (api, client, _directory) = machined();
        scene::single_nic(&api);
        api.drop_type("AddressSpecs.net.talos.dev");
        let mut node = Observed::new(client.clone());
        let facts = node
            .until(|facts| facts.addresses.is_some() && facts.stage.is_some())
            .await;
        assert_eq!(facts.virtual_ips, None);
        api.set_address("eth0", "10.5.0.9/24");
        node.until(|facts| has_address(facts, "10.5.0.9")).await;
        let watches = api.calls_of(Method::Watch);
        let dropped = |call: &&apid::Call| call.request.contains("AddressSpecs");
        assert_eq!(watches.iter().filter(dropped).count(), 1);
        assert!(query(&client, LONG).await.unwrap().links.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_silent_from_the_start_is_opened_again() {
        let (api, client) = in_process();
        let mut silent = 3;
        api.on_step(move |step| {
            let first = matches!(step, Step::Message(Method::Watch, text) if text.is_empty());
            let due = first && silent > 0;
            silent -= u32::from(due);
            due.then_some(Trouble::Silent)
        });
        let mut node = Observed::new(client);
        node.complete().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_type_that_talos_does_not_know_for_once_is_asked_for_again() {
        let (api, client) = in_process();
        let mut refused = false;
        api.on_step(move |step| match step {
            Step::Call(Method::Watch, what)
                if what.contains("HostnameStatuses") && !std::mem::replace(&mut refused, true) =>
            {
                Some(Trouble::Status(Code::Unimplemented))
            }
            _ => None,
        });
        let mut node = Observed::new(client);
        let named = node.facts.wait_for(|facts| facts.host_name.is_some());
        let in_time = timeout(Duration::from_secs(330), named).await;
        in_time.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_malformed_resource_is_skipped() {
        let (api, client, _directory) = machined();
        scene::single_nic(&api);
        api.put("LinkStatuses.net.talos.dev", "network", "bad", vec![0xff]);
        let mut node = Observed::new(client);
        let facts = node.complete().await;
        let links = facts.links.unwrap();
        assert_eq!(links.len(), 2);
        api.put("LinkStatuses.net.talos.dev", "network", "eth0", vec![0xff]);
        api.set_hostname("after", "");
        let facts = node
            .until(|facts| facts.host_name.as_ref().unwrap().host == "after")
            .await;
        assert_eq!(facts.links.unwrap(), links);
    }

    #[tokio::test]
    async fn a_refusal_at_the_start_passes() {
        let (api, client, _directory) = machined();
        scene::single_nic(&api);
        api.unregister_peer(Duration::from_millis(200));
        let mut node = Observed::new(client);
        assert!(api.until_calls(Method::Version, 2, LONG).await.is_some());
        api.register_peer();
        node.complete().await;
    }

    #[tokio::test]
    async fn everything_can_be_asked_for_once() {
        let (api, client, _directory) = machined();
        scene::bond_and_vlan(&api);
        let facts = query(&client, LONG).await.unwrap();
        assert!(has_address(&facts, "10.6.0.11"));
        assert_eq!(facts.virtual_ips, Some([].into()));
        assert_eq!(facts.host_name.unwrap().host, "talos-worker-1");
        api.stop();
        let error = query(&client, LONG).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        api.restart().unwrap();
        api.hang();
        let error = query(&client, Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, Error::Deadline { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn access_is_checked() {
        let (api, client, directory) = machined();
        scene::single_nic(&api);
        let (checks, facts) = check(&client, LONG).await;
        assert!(all_well(&checks), "{checks:?}");
        assert!(has_address(&facts, "10.5.0.2"));
        let reader = Client::machined(directory.join("machine.sock"), "os:reader");
        let (checks, _) = check(&reader, LONG).await;
        let is = |outcome: &Outcome, words: &str| matches!(outcome, Outcome::Fails { problem, .. } if problem.contains(words));
        assert!(
            is(&checks[1].outcome, "os:reader: may read, but neither"),
            "{checks:?}"
        );
        let nobody = Client::machined(directory.join("machine.sock"), "");
        let (checks, _) = check(&nobody, LONG).await;
        assert!(is(&checks[0].outcome, "denies Version"), "{checks:?}");
    }
}

mod etcd {
    use super::*;

    fn etcd(voters: usize, live: usize) -> Option<Etcd> {
        Some(Etcd { voters, live })
    }

    async fn members(client: &Client) -> Option<Etcd> {
        look_at_etcd(client).await.members
    }

    #[tokio::test]
    async fn who_votes_and_who_serves_is_counted_whatever_the_role_that_may_read() {
        let (api, _, directory) = machined();
        scene::single_nic(&api);
        let servers = ["10.5.0.2", "10.5.0.3", "10.5.0.4", "10.5.0.5", "10.5.0.6"];
        for role in ["os:operator", "os:reader", "os:admin"] {
            let client = Client::machined(directory.join("machine.sock"), role);
            for (voters, learners, live) in [
                (1, 0, 1),
                (3, 0, 3),
                (3, 0, 2),
                (3, 1, 3),
                (2, 1, 2),
                (5, 0, 4),
            ] {
                api.set_etcd(voters, learners);
                api.set_api_servers(&servers[..live]);
                let seen = members(&client).await;
                assert_eq!(seen, etcd(voters, live), "{role}");
            }
        }
        let calls = api.calls_of(Method::EtcdMemberList);
        assert!(
            calls
                .iter()
                .all(|call| call.request == "query_local=false" && call.metadata("node").is_empty())
        );
        assert_eq!(calls.len(), api.calls_of(Method::Get).len());
        assert_eq!(api.call_count(), 3 * calls.len(), "and nothing else");
    }

    #[tokio::test]
    async fn this_node_is_live_even_if_kubernetes_lists_no_one() {
        let (api, client, _directory) = machined();
        scene::single_nic(&api);
        api.set_etcd(3, 0);
        api.set_api_servers(&[]);
        assert_eq!(members(&client).await, etcd(3, 1));
        api.destroy(
            apid::ENDPOINTS,
            apid::ENDPOINTS_NAMESPACE,
            apid::API_SERVERS,
        );
        assert_eq!(members(&client).await, etcd(3, 1));
        // What this node has found by discovery stays for half an hour.
        api.put(
            apid::ENDPOINTS,
            apid::ENDPOINTS_NAMESPACE,
            "discovery",
            Vec::new(),
        );
        assert_eq!(members(&client).await, etcd(3, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_longer_than_half_a_second_is_no_answer() {
        let half = Duration::from_millis(500);
        for method in [Method::EtcdMemberList, Method::Get] {
            let (api, client) = in_process();
            assert_eq!(members(&client).await, etcd(1, 1));
            api.delay(method, half - Duration::from_millis(10));
            assert_eq!(members(&client).await, etcd(1, 1), "{method:?}");
            for how in ["slow", "silent", "hanging"] {
                match how {
                    "slow" => api.delay(method, half + Duration::from_millis(10)),
                    "silent" => {
                        api.delay(method, Duration::ZERO);
                        api.on_step(move |step| {
                            let is_it = matches!(step, Step::Call(called, _) if *called == method);
                            is_it.then_some(Trouble::Silent)
                        });
                    }
                    _ => api.hang(),
                }
                let begun = tokio::time::Instant::now();
                assert_eq!(members(&client).await, None, "{method:?} {how}");
                assert_eq!(begun.elapsed(), half, "{method:?} {how}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_refused_or_makes_no_sense_is_no_answer() {
        type Make = fn(&Apid);
        let cases: [(&str, Make); 8] = [
            ("members refused", |api| {
                api.allow(Method::EtcdMemberList, &["os:admin"])
            }),
            ("no quorum", |api| {
                let status = Status::unavailable("etcdserver: no leader");
                api.fail_next(Method::EtcdMemberList, &status, 1);
            }),
            ("resources refused", |api| {
                api.allow(Method::Get, &["os:admin"])
            }),
            ("an unknown type", |api| api.drop_type(apid::ENDPOINTS)),
            ("a worker", |api| {
                api.update_node(|node| node.contents.etcd = None)
            }),
            ("no one votes", |api| api.set_etcd(0, 1)),
            ("a malformed list", |api| {
                let place = apid::ENDPOINTS_NAMESPACE;
                api.put(apid::ENDPOINTS, place, apid::API_SERVERS, vec![0xff]);
            }),
            ("away", Apid::stop),
        ];
        for (what, make) in cases {
            let (api, client, _directory) = machined();
            scene::single_nic(&api);
            assert_eq!(members(&client).await, etcd(1, 1));
            make(&api);
            assert_eq!(members(&client).await, None, "{what}");
        }
    }

    #[tokio::test]
    async fn what_talos_does_not_serve_is_among_the_checks() {
        let (api, client, _directory) = machined();
        scene::single_nic(&api);
        assert!(all_well(&check(&client, LONG).await.0));
        // A role that is too low may for a minute be a process that machined does not know yet; this is certain.
        api.drop_type(apid::ENDPOINTS);
        assert_eq!(members(&client).await, None);
        let refused = client.checks().borrow().clone();
        assert!(!all_well(&refused));
        assert!(
            format!("{refused:?}").contains(apid::ENDPOINTS),
            "{refused:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn two_looks_at_once_are_one_and_there_is_always_an_answer() {
        let (api, client) = in_process();
        let mut bridge = Bridge::with_client(client);
        let answer = async |bridge: &mut Bridge| loop {
            let news = timeout(Duration::from_secs(1), bridge.next()).await;
            if let News::Etcd(look) = news.expect("an answer") {
                return look.members;
            }
        };
        api.delay(Method::EtcdMemberList, Duration::from_millis(100));
        bridge.look_at_etcd();
        bridge.look_at_etcd();
        assert_eq!(answer(&mut bridge).await, etcd(1, 1));
        assert_eq!(api.calls_of(Method::EtcdMemberList).len(), 1);
        bridge.look_at_etcd();
        assert_eq!(answer(&mut bridge).await, etcd(1, 1));
        assert_eq!(api.calls_of(Method::EtcdMemberList).len(), 2);
        api.hang();
        bridge.look_at_etcd();
        assert_eq!(answer(&mut bridge).await, None);
        let mut none = Bridge::without_talos("why".to_owned(), Vec::new());
        none.look_at_etcd();
        assert_eq!(answer(&mut none).await, None);
    }
}

mod tls {
    use super::*;

    #[tokio::test]
    async fn apid_is_reached_with_and_without_alpn() {
        for alpn in [true, false] {
            let (api, client, _directory) = over_tls(TlsOptions {
                alpn,
                retired_authorities: 1,
                ..TlsOptions::default()
            });
            scene::single_nic(&api);
            let facts = query(&client, LONG).await.unwrap();
            assert!(has_address(&facts, "10.5.0.2"));
            let (checks, _) = check(&client, LONG).await;
            assert!(all_well(&checks), "{checks:?}");
            for call in api.calls() {
                assert!(call.metadata("talos-role").is_empty());
                assert!(call.metadata("node").is_empty() && call.metadata("nodes").is_empty());
            }
        }
    }

    #[tokio::test]
    async fn trouble_has_a_plain_name() {
        let cases = [
            (
                Certificate::Expired,
                Certificate::Good,
                "certificate expired: the server's",
            ),
            (
                Certificate::Good,
                Certificate::Expired,
                "certificate expired: the client's",
            ),
            (
                Certificate::Foreign,
                Certificate::Good,
                "unknown certificate authority: none of `ca`",
            ),
            (
                Certificate::Good,
                Certificate::Foreign,
                "the client's certificate (`crt`)",
            ),
        ];
        for (server_certificate, client_certificate, words) in cases {
            let (_api, client, directory) = over_tls(TlsOptions {
                server_certificate,
                client_certificate,
                ..TlsOptions::default()
            });
            for _ in 0..3 {
                let error = client.version().await.unwrap_err();
                let text = error.with_causes();
                assert!(matches!(error, Error::Tls { .. }), "{error:?}");
                assert!(text.contains(words), "{text}");
                assert!(
                    text.contains(&directory.join("talosconfig").display().to_string()),
                    "{text}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_certificate_for_another_address_is_told() {
        let (_api, client, _directory) = over_tls(TlsOptions {
            server_names: vec![ip("10.0.0.5")],
            ..TlsOptions::default()
        });
        let error = client.version().await.unwrap_err().with_causes();
        assert!(
            error.contains("wrong host name: the server's certificate is not for 127.0.0.1"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_node_is_the_endpoint() {
        let api = Apid::tls(TlsOptions::default()).unwrap();
        let directory = Directory::new();
        write(&directory, &api.talosconfig_for(&[dead_endpoint()], &[]));
        let node: Endpoint = api.endpoint().unwrap().to_string().parse().unwrap();
        let client = Client::apid(directory.join("talosconfig"), Some(node), own_counters);
        assert!(client.version().await.is_ok());
    }

    #[tokio::test]
    async fn a_renewed_talosconfig_is_used_for_the_next_connection() {
        let (api, client, directory) = over_tls(TlsOptions::default());
        scene::single_nic(&api);
        let mut node = Observed::new(client);
        node.complete().await;
        api.rotate_authority().unwrap();
        write(&directory, &api.talosconfig());
        api.drop_connections();
        api.set_address("eth0", "10.5.0.9/24");
        node.until(|facts| has_address(facts, "10.5.0.9")).await;
    }

    #[tokio::test]
    async fn a_missing_or_broken_talosconfig_is_told_and_mended_at_run_time() {
        let (api, client, directory) = over_tls(TlsOptions::default());
        std::fs::remove_file(directory.join("talosconfig")).unwrap();
        let error = client.version().await.unwrap_err().with_causes();
        assert!(
            error.starts_with("cannot read the talosconfig /"),
            "{error}"
        );
        write(&directory, "context: x");
        let error = client.version().await.unwrap_err().with_causes();
        assert!(error.contains("no context \"x\""), "{error}");
        write(&directory, &api.talosconfig());
        assert!(client.version().await.is_ok());
    }

    #[tokio::test]
    async fn a_port_without_tls_is_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_api, _, directory) = over_tls(TlsOptions::default());
        let node: Endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
            std::future::pending::<()>().await;
        });
        let client = Client::apid(directory.join("talosconfig"), Some(node), own_counters);
        let error = client.version().await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Tls {
                    trouble: TlsTrouble::NotTls,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

mod this_machine {
    use std::sync::atomic::AtomicBool;

    use apid::proto::machine::SystemStat;

    use super::*;

    #[tokio::test]
    async fn all_who_need_a_connection_share_one_and_its_proof() {
        let (api, client, _directory) = over_tls(TlsOptions::default());
        scene::single_nic(&api);
        Observed::new(client).complete().await;
        assert_eq!(api.connections_accepted(), 1);
        let calls = api.calls();
        assert_eq!(calls.first().unwrap().method, Some(Method::SystemStat));
        assert_eq!(api.calls_of(Method::SystemStat).len(), 1);
    }

    #[tokio::test]
    async fn another_machine_is_named_and_asked_for_nothing_but_its_counters_and_name() {
        for stat in [another_machine, twin] {
            let (api, client, _directory) = over_tls(TlsOptions::default());
            scene::single_nic(&api);
            api.update_node(|node| node.stat = stat);
            let calls = [
                client.version().await.map(drop),
                client.mounts().await.map(drop),
                client.stage().await.map(drop),
            ];
            for error in calls.map(Result::unwrap_err) {
                assert!(matches!(error, Error::OtherMachine { .. }), "{error:?}");
                assert!(!error.is_retryable(), "{error}");
                let words = error.with_causes();
                let endpoint = api.endpoint().unwrap();
                let who = format!("{endpoint} (talos-cp-1.example.com) is another machine");
                assert!(words.starts_with(&who), "{words}");
                assert!(words.contains("boot time") && words.contains("context switches"));
            }
            let allowed = [Some(Method::SystemStat), Some(Method::Get)];
            let calls = api.calls();
            assert!(calls.iter().all(|call| allowed.contains(&call.method)));
            assert_eq!(api.calls_of(Method::Get).len(), 3, "its name each time");
        }
    }

    #[tokio::test]
    async fn a_role_that_may_not_ask_for_counters_proves_nothing() {
        let (api, client, _directory) = over_tls(TlsOptions {
            roles: vec!["os:etcd:backup".into()],
            ..TlsOptions::default()
        });
        let error = client.version().await.unwrap_err();
        assert!(matches!(error, Error::NotProven { .. }), "{error:?}");
        assert!(error.with_causes().contains("denies SystemStat"), "{error}");
        let rejected = Power::begin(client, Shutdown, HOW).next().await;
        assert!(
            matches!(&rejected, Some(PowerOutcome::Rejected(why)) if why.contains("denies SystemStat")),
            "{rejected:?}"
        );
        assert_eq!(api.calls_of(Method::Shutdown).len(), 0);
    }

    #[tokio::test]
    async fn without_counters_of_our_own_nothing_is_proven() {
        let (api, _, directory) = over_tls(TlsOptions::default());
        let client = Client::apid(directory.join("talosconfig"), None, || None);
        let error = client.version().await.unwrap_err();
        assert!(matches!(error, Error::NotProven { .. }), "{error:?}");
        assert_eq!(api.calls_of(Method::Version).len(), 0);
    }

    #[tokio::test]
    async fn endpoints_are_not_dialled_when_no_node_or_several_are_named() {
        for nodes in [vec![], vec!["10.0.0.8".to_owned(), "10.0.0.9".to_owned()]] {
            let api = Apid::tls(TlsOptions::default()).unwrap();
            let directory = Directory::new();
            let endpoints = [api.endpoint().unwrap().to_string()];
            write(&directory, &api.talosconfig_for(&endpoints, &nodes));
            let client = Client::apid(directory.join("talosconfig"), None, own_counters);
            let error = client.version().await.unwrap_err();
            assert!(matches!(error, Error::NoNode { .. }), "{error:?}");
            assert!(!error.is_retryable());
            let words = error.with_causes();
            assert!(words.contains("no node is named"), "{words}");
            assert!(words.contains("127.0.0.1:50000"), "{words}");
            assert_eq!(api.connections_accepted(), 0);
        }
    }

    #[tokio::test]
    async fn every_new_connection_is_proven_anew() {
        let (api, client, _directory) = over_tls(TlsOptions::default());
        scene::single_nic(&api);
        client.version().await.unwrap();
        api.update_node(|node| node.stat = another_machine);
        client.version().await.expect("proven is proven");
        api.drop_connections();
        let mut power = Power::begin(client.clone(), Shutdown, HOW);
        let rejected = power.next().await.unwrap();
        assert!(
            matches!(&rejected, PowerOutcome::Rejected(why) if why.contains("is another machine")),
            "{rejected:?}"
        );
        assert_eq!(api.calls_of(Method::Shutdown).len(), 0);
        // It left no doubt, either: the next request asks once what the machine is doing, as every one does.
        api.update_node(|node| node.stat = |stat| stat);
        let mut power = Power::begin(client, Shutdown, HOW);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        assert_eq!(api.calls_of(Method::Shutdown).len(), 1);
        let asked = api.calls_of(Method::Get);
        let stages = asked
            .iter()
            .filter(|call| call.request.contains("MachineStatus"));
        assert_eq!(stages.count(), 1, "{asked:#?}");
    }

    #[tokio::test]
    async fn a_clock_that_is_stepped_while_we_look_makes_no_other_machine() {
        static STEPPED: AtomicBool = AtomicBool::new(false);
        fn once(stat: SystemStat) -> SystemStat {
            if STEPPED.swap(true, Ordering::SeqCst) {
                stat
            } else {
                another_machine(stat)
            }
        }
        let (api, client, _directory) = over_tls(TlsOptions::default());
        api.update_node(|node| node.stat = once);
        client.version().await.unwrap();
        assert_eq!(api.calls_of(Method::SystemStat).len(), 2);
    }

    #[tokio::test]
    async fn an_attempt_goes_on_when_the_first_who_waited_has_left() {
        let (api, client, _directory) = over_tls(TlsOptions::default());
        api.delay(Method::SystemStat, Duration::from_millis(200));
        let impatient = timeout(Duration::from_millis(50), client.version()).await;
        assert!(impatient.is_err());
        client.version().await.unwrap();
        assert_eq!(api.connections_accepted(), 1);
    }

    #[tokio::test]
    async fn a_doubt_is_known_to_the_clients_that_come_after() {
        let (api, client, directory) = over_tls(TlsOptions::default());
        scene::single_nic(&api);
        api.set_power(PowerBehaviour::DieBeforeReply);
        let quick = within(Duration::from_secs(1));
        let mut power = Power::begin(client.clone(), Shutdown, quick);
        assert!(matches!(
            power.next().await,
            Some(PowerOutcome::Rejected(_))
        ));
        api.set_power(PowerBehaviour::Accept);
        api.restart().unwrap();
        let config = talos_vmtoolsd::config::TalosConfig::Apid {
            talosconfig: directory.join("talosconfig"),
            node: None,
        };
        let renewed = client.successor(&config, own_counters).unwrap();
        let mut power = Power::begin(renewed, Shutdown, HOW);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        assert_eq!(api.calls_of(Method::Shutdown).len(), 1);
    }
}

mod power {
    use super::*;

    #[tokio::test]
    async fn an_operation_is_called_once_and_accepted() {
        let forced = Manner {
            force_shutdown: true,
            reboot_mode: RebootMode::Force,
            ..HOW
        };
        for (operation, how, method, request) in [
            (Reboot, HOW, Method::Reboot, "mode=DEFAULT"),
            (Reboot, forced, Method::Reboot, "mode=FORCE"),
            (Shutdown, HOW, Method::Shutdown, "force=false"),
            (Shutdown, forced, Method::Shutdown, "force=true"),
        ] {
            let (api, client, _directory) = machined();
            scene::single_nic(&api);
            let mut power = Power::begin(client, operation, how);
            assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
            let calls = api.calls_of(method);
            assert_eq!(calls.len(), 1);
            assert_eq!(calls[0].request, request);
            assert_eq!(calls[0].metadata("talos-role"), ["os:operator"]);
        }
    }

    #[tokio::test]
    async fn a_short_absence_is_waited_out() {
        let (api, client, _directory) = machined();
        api.stop();
        let mut power = Power::begin(client, Shutdown, HOW);
        tokio::time::sleep(Duration::from_millis(700)).await;
        api.restart().unwrap();
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        assert_eq!(api.calls_of(Method::Shutdown).len(), 1);
    }

    #[tokio::test]
    async fn unavailable_and_denied_are_tried_again() {
        let (api, client, _directory) = machined();
        api.fail_next(Method::Shutdown, &Status::unavailable("busy"), 2);
        api.fail_next(
            Method::Shutdown,
            &Status::permission_denied("not authorized"),
            1,
        );
        let mut power = Power::begin(client, Shutdown, HOW);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        assert_eq!(api.calls_of(Method::Shutdown).len(), 4);
    }

    #[tokio::test]
    async fn a_refusal_for_good_is_told_at_once() {
        let (api, client, _directory) = machined();
        api.set_power(PowerBehaviour::ContainerMode);
        let mut power = Power::begin(client, Reboot, HOW);
        let why = power.rejected().await;
        assert!(
            why.contains("method is not supported in container mode"),
            "{why}"
        );
        assert_eq!(power.next().await, None);
        assert_eq!(api.calls_of(Method::Reboot).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn talos_that_never_comes_is_a_rejection_at_the_deadline() {
        let directory = Directory::new();
        let client = Client::machined(directory.join("machine.sock"), "os:operator");
        let since = tokio::time::Instant::now();
        let deadline = Duration::from_secs(5);
        let why = Power::begin(client, Shutdown, within(deadline))
            .rejected()
            .await;
        assert!(
            why.starts_with("not accepted within the deadline: cannot reach Talos"),
            "{why}"
        );
        assert_eq!(since.elapsed(), deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn talos_that_hangs_is_a_rejection_at_the_deadline() {
        let (api, client) = in_process();
        api.delay(Method::Shutdown, Duration::from_secs(60));
        let why = Power::begin(client, Shutdown, within(Duration::from_secs(5)))
            .rejected()
            .await;
        assert!(why.contains("Talos may have got the call"), "{why}");
    }

    #[tokio::test]
    async fn a_locked_reboot_is_rejected_and_the_next_is_sent_again() {
        let (api, client, _directory) = machined();
        api.set_power(PowerBehaviour::AcceptLocked);
        let mut power = Power::begin(client.clone(), Reboot, HOW);
        let why = power.rejected().await;
        assert!(why.contains("another sequence"), "{why}");
        assert_eq!(power.next().await, None);
        api.set_power(PowerBehaviour::Accept);
        let mut power = Power::begin(client, Reboot, HOW);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        assert_eq!(api.calls_of(Method::Reboot).len(), 2);
    }

    #[tokio::test]
    async fn a_denial_by_apid_is_final() {
        let (api, client, _directory) = over_tls(TlsOptions::default());
        api.allow(Method::Shutdown, &[]);
        let mut power = Power::begin(client, Shutdown, HOW);
        let why = power.rejected().await;
        assert!(why.contains("Talos denies Shutdown"), "{why}");
        assert_eq!(api.calls_of(Method::Shutdown).len(), 1);
    }

    #[tokio::test]
    async fn a_failing_sequence_did_not_happen() {
        let (api, client, _directory) = machined();
        api.set_power(PowerBehaviour::AcceptFail);
        let mut power = Power::begin(client, Shutdown, HOW);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        let why = power.did_not_happen().await;
        assert!(why.contains("task failed"), "{why}");
    }

    #[tokio::test]
    async fn a_call_whose_answer_was_lost_is_not_repeated() {
        for operation in [Shutdown, Reboot] {
            let (api, client, _directory) = machined();
            api.set_power(PowerBehaviour::DieBeforeReply);
            let mut power = Power::begin(client, operation, HOW);
            let gone = api.until(LONG, |api| {
                (api.connection_count() == 0 && api.connections_accepted() > 0).then_some(())
            });
            gone.await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
            api.restart().unwrap();
            assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
            let calls = api.calls_of(Method::Shutdown).len() + api.calls_of(Method::Reboot).len();
            assert_eq!(calls, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_in_doubt_is_not_repeated_by_the_next_operation() {
        let (api, client) = in_process();
        api.on_step(|step| match step {
            Step::Call(Method::Shutdown, _) => Some(Trouble::DoneThenReset),
            _ => None,
        });
        // So nobody sees that Talos got it.
        api.allow(Method::Events, &[]);
        api.allow(Method::Get, &[]);
        let deadline = within(Duration::from_secs(5));
        let mut power = Power::begin(client.clone(), Shutdown, deadline);
        let why = power.rejected().await;
        assert!(why.contains("Talos may have got the call"), "{why}");
        api.allow(Method::Get, &[apid::OPERATOR]);
        let mut again = Power::begin(client, Shutdown, HOW);
        assert_eq!(again.next().await, Some(PowerOutcome::Accepted));
        assert_eq!(api.sequences(), ["shutdown"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_somebody_gave_up_waiting_for_is_not_repeated() {
        let (api, client) = in_process();
        let mut spoiled = false;
        api.on_step(move |step| match step {
            Step::Call(Method::Shutdown, _) if !std::mem::replace(&mut spoiled, true) => {
                Some(Trouble::DoneBut(Code::DeadlineExceeded))
            }
            _ => None,
        });
        let mut power = Power::begin(client, Shutdown, HOW);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        assert_eq!(api.sequences(), ["shutdown"]);
    }

    #[tokio::test]
    async fn a_call_that_talos_never_got_is_sent_again() {
        let (api, client, _directory) = machined();
        scene::single_nic(&api);
        api.delay(Method::Shutdown, Duration::from_secs(60));
        let mut power = Power::begin(client, Shutdown, HOW);
        api.until_calls(Method::Shutdown, 1, LONG).await.unwrap();
        api.drop_connections();
        api.delay(Method::Shutdown, Duration::ZERO);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        assert_eq!(api.calls_of(Method::Shutdown).len(), 2);
    }

    #[tokio::test]
    async fn the_end_of_the_api_is_the_end_of_an_accepted_operation() {
        let (api, client, _directory) = machined();
        api.set_power(PowerBehaviour::AcceptThenDie);
        let mut power = Power::begin(client, Shutdown, HOW);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        assert!(
            timeout(Duration::from_secs(1), power.reports.recv())
                .await
                .is_err()
        );
        assert_eq!(api.calls_of(Method::Shutdown).len(), 1);
    }

    #[tokio::test]
    async fn events_are_not_needed() {
        let (api, client, _directory) = machined();
        api.fail_next(Method::Events, &Status::new(Code::Unimplemented, "no"), 9);
        let mut power = Power::begin(client, Reboot, HOW);
        assert_eq!(power.next().await, Some(PowerOutcome::Accepted));
        assert_eq!(power.next().await, Some(PowerOutcome::NotFollowed));
        assert_eq!(power.next().await, None);
    }

    #[tokio::test]
    async fn nothing_is_left_open_afterwards() {
        let (api, client, _directory) = machined();
        api.set_power(PowerBehaviour::AcceptFail);
        let mut power = Power::begin(client, Reboot, HOW);
        power.next().await;
        power.did_not_happen().await;
        assert_eq!(power.next().await, None);
        let none = api.until(LONG, |api| (api.listener_count() == 0).then_some(()));
        none.await.unwrap();
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn has_address(facts: &Facts, address: &str) -> bool {
    let addresses = facts.addresses.as_deref().unwrap_or_default();
    addresses.iter().any(|known| known.ip == ip(address))
}

/// An endpoint at which nobody listens.
fn dead_endpoint() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn machined() -> (Apid, Client, Directory) {
    let directory = Directory::new();
    let socket = directory.join("machine.sock");
    let api = Apid::machined(&socket).unwrap();
    (api, Client::machined(socket, "os:operator"), directory)
}

/// A node on the clock of the test, which may be a paused one.
fn in_process() -> (Apid, Client) {
    struct Pipe(Apid);
    impl Dial for Pipe {
        type Stream = DuplexStream;
        async fn dial(&self) -> std::io::Result<DuplexStream> {
            self.0.connect()
        }
    }
    let api = Apid::in_process();
    scene::single_nic(&api);
    let socket = PathBuf::from("/machine.sock");
    let client = Client::machined_with_dialer(Pipe(api.clone()), socket, "os:operator");
    (api, client)
}

fn over_tls(options: TlsOptions) -> (Apid, Client, Directory) {
    let api = Apid::tls(options).unwrap();
    let directory = Directory::new();
    write(&directory, &api.talosconfig());
    let client = Client::apid(directory.join("talosconfig"), None, own_counters);
    (api, client, directory)
}

fn write(directory: &Path, talosconfig: &str) {
    std::fs::write(directory.join("talosconfig"), talosconfig).unwrap();
}

/// A node under observation.
struct Observed {
    facts: watch::Receiver<Facts>,
    task: JoinHandle<()>,
}

impl Observed {
    fn new(client: Client) -> Self {
        let (sender, facts) = watch::channel(Facts::default());
        Self {
            facts,
            task: tokio::spawn(observe(client, sender)),
        }
    }

    async fn until(&mut self, wanted: impl FnMut(&Facts) -> bool) -> Facts {
        let facts = timeout(LONG, self.facts.wait_for(wanted)).await;
        facts.expect("in time").unwrap().clone()
    }

    /// Every fact is known.
    async fn complete(&mut self) -> Facts {
        self.until(|facts| {
            facts.host_name.is_some()
                && facts.links.is_some()
                && facts.addresses.is_some()
                && facts.node_addresses.is_some()
                && facts.virtual_ips.is_some()
                && facts.network.address_sources.is_some()
                && facts.network.lease_resolvers.is_some()
                && facts.network.routes.is_some()
                && facts.storage.volumes.is_some()
                && facts.storage.mounts.is_some()
                && facts.storage.disks.is_some()
                && facts.talos.is_some()
                && facts.stage.is_some()
                && facts.node.readiness.is_some()
                && facts.node.machine_type.is_some()
                && facts.node.node_name.is_some()
                && facts.node.extensions.is_some()
                && facts.node.secure_boot.is_some()
                && facts.node.system_uuid.is_some()
                && facts.api_servers.is_some()
                && facts.cordoned.is_some()
        })
        .await
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A power operation under way.
struct Power {
    reports: mpsc::UnboundedReceiver<PowerOutcome>,
    task: JoinHandle<()>,
}

impl Power {
    fn begin(client: Client, operation: PowerOperation, how: Manner) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            carry_out(&client, operation, how, LastWord::default(), |heard| {
                if let Heard::Outcome(outcome) = heard {
                    let _ = sender.send(outcome);
                }
            })
            .await;
        });
        Self { reports, task }
    }

    /// The next report; `None` when there is none any more.
    async fn next(&mut self) -> Option<PowerOutcome> {
        timeout(LONG, self.reports.recv()).await.expect("in time")
    }

    async fn rejected(&mut self) -> String {
        match self.next().await {
            Some(PowerOutcome::Rejected(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    async fn did_not_happen(&mut self) -> String {
        match self.next().await {
            Some(PowerOutcome::DidNotHappen(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A directory of the test's own.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("talos-client-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl std::ops::Deref for Directory {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
