//! Talos behind apid: certificates, endpoints, and what is said when they do not fit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use apid::{Certificate, Method, TlsOptions};
use nix::sys::signal::Signal;

use crate::support::{ADDRESS, NAME, Run, SOON, Talos, pass};

/// Certificate trouble is told in plain words, at most once, while the host is served; with good certificates
/// all is well again.
fn trouble_is_told_once(options: TlsOptions, words: &[&str]) {
    let talos = Talos::tls(options);
    let run = Run::start(talos.agent());
    run.green();
    run.logs(words, SOON);
    run.logs(&["WARN", "talosconfig"], SOON);
    // Several more attempts.
    pass(&run, Duration::from_secs(2));
    assert!(run.log_lines(words).len() == 1, "{:#?}", run.log());
    assert!(run.log().len() < 10, "{:#?}", run.log());
    assert!(run.vcenter().is_green());
    assert_eq!(run.reply("ping"), "OK ");

    talos
        .reissue(|options| {
            options.server_certificate = Certificate::Good;
            options.client_certificate = Certificate::Good;
            options.server_names = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        })
        .unwrap();
    talos.write_talosconfig();
    run.sees("the name", Duration::from_secs(8), |view| {
        view.host_name.as_deref() == Some(NAME)
    });
    run.stop();
}

#[test]
fn a_talosconfig_gives_name_addresses_and_power_without_node_metadata() {
    for alpn in [true, false] {
        let talos = Talos::tls(TlsOptions {
            alpn,
            ..TlsOptions::default()
        });
        let run = talos.run();
        assert_eq!(run.vcenter().ip_address.as_deref(), Some(ADDRESS));
        run.asked("OS_Reboot");
        run.sees("status 1", SOON, |view| {
            view.power.iter().any(|status| status.success)
        });
        for call in talos.calls() {
            for key in ["node", "nodes", "talos-role"] {
                assert!(call.metadata(key).is_empty(), "{}: {key}", call.path);
            }
        }
        run.stop();
    }
}

#[test]
fn the_talos_node_is_the_endpoint_with_and_without_port() {
    let talos = Talos::tls(TlsOptions {
        forwarding: false,
        ..TlsOptions::default()
    });
    // The endpoints of the talosconfig lead nowhere.
    let nowhere = ["192.0.2.1".to_owned()];
    talos
        .folder
        .write("talosconfig", &talos.talosconfig_for(&nowhere, &nowhere));
    let endpoint = talos.endpoint().unwrap().to_string();
    let run = Run::start(talos.agent().args(["--talos-node", &endpoint]));
    run.informed();
    for call in talos.calls() {
        assert!(call.metadata("node").is_empty() && call.metadata("nodes").is_empty());
    }
    run.stop();

    // A host alone means port 50000, and it is named where nobody answers.
    let run = Run::start(talos.agent().env("VMTOOLSD_TALOS_NODE", "127.0.0.1"));
    run.green();
    run.logs(&["127.0.0.1:50000"], SOON);
}

#[test]
fn a_node_on_port_50000_is_found_by_its_host_alone() {
    let address = (Ipv6Addr::LOCALHOST, 50000).into();
    let names = vec![IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let options = TlsOptions {
        address,
        server_names: names,
        ..TlsOptions::default()
    };
    let talos = Talos::tls(options);
    let run = Run::start(talos.agent().args(["--talos-node", "::1"]));
    run.informed();
    run.stop();
}

#[test]
fn several_authorities_in_the_talosconfig_are_all_believed() {
    let talos = Talos::tls(TlsOptions {
        retired_authorities: 3,
        ..TlsOptions::default()
    });
    talos.run().stop();
}

#[test]
fn an_expired_server_certificate_is_said_in_plain_words() {
    let options = TlsOptions {
        server_certificate: Certificate::Expired,
        ..TlsOptions::default()
    };
    trouble_is_told_once(options, &["certificate expired: the server's"]);
}

#[test]
fn an_expired_client_certificate_is_said_in_plain_words() {
    let options = TlsOptions {
        client_certificate: Certificate::Expired,
        ..TlsOptions::default()
    };
    trouble_is_told_once(options, &["certificate expired: the client's"]);
}

#[test]
fn a_server_certificate_of_an_unknown_authority_is_said_in_plain_words() {
    let options = TlsOptions {
        server_certificate: Certificate::Foreign,
        ..TlsOptions::default()
    };
    trouble_is_told_once(options, &["unknown certificate authority"]);
}

#[test]
fn a_client_certificate_that_the_server_refuses_is_said_in_plain_words() {
    let options = TlsOptions {
        client_certificate: Certificate::Foreign,
        ..TlsOptions::default()
    };
    trouble_is_told_once(options, &["the server refuses the client's certificate"]);
}

#[test]
fn a_certificate_that_is_not_valid_yet_is_said_in_plain_words() {
    let options = TlsOptions {
        server_certificate: Certificate::NotYetValid,
        ..TlsOptions::default()
    };
    trouble_is_told_once(options, &["not valid yet"]);
}

#[test]
fn a_certificate_for_another_host_is_said_in_plain_words() {
    let options = TlsOptions {
        server_names: vec![Ipv4Addr::new(10, 9, 9, 9).into()],
        ..TlsOptions::default()
    };
    trouble_is_told_once(options, &["wrong host name", "10.9.9.9"]);
}

#[test]
fn certificates_that_are_renewed_under_the_daemon_are_taken_up() {
    let talos = Talos::tls(TlsOptions::default());
    let run = talos.run();
    talos.rotate_authority().unwrap();
    talos.drop_connections();
    run.logs(&["unknown certificate authority"], SOON);
    talos.write_talosconfig();
    talos.set_hostname("renewed", "");
    run.sees("the name", Duration::from_secs(8), |view| {
        view.host_name.as_deref() == Some("renewed")
    });
}

#[test]
fn a_missing_or_broken_talosconfig_is_named_while_the_host_is_served() {
    for text in [
        None,
        Some("contexts: ["),
        Some("context: nobody\ncontexts: {}\n"),
    ] {
        let talos = Talos::tls(TlsOptions::default());
        match text {
            None => std::fs::remove_file(talos.talosconfig_path()).unwrap(),
            Some(text) => drop(talos.folder.write("talosconfig", text)),
        }
        let run = Run::start(talos.agent());
        run.green();
        let path = talos.talosconfig_path();
        run.logs(&[path.to_str().unwrap()], SOON);
        talos.write_talosconfig();
        run.sees("the name", Duration::from_secs(8), |view| {
            view.host_name.as_deref() == Some(NAME)
        });
        assert!(run.log().len() < 10, "{:#?}", run.log());
    }
}

#[test]
fn an_apid_that_goes_away_and_comes_back_is_found_again() {
    let talos = Talos::tls(TlsOptions::default());
    let run = talos.run();
    talos.stop();
    run.logs(&["lost connection to Talos"], SOON);
    assert_eq!(run.reply("ping"), "OK ");
    talos.set_hostname("again", "");
    talos.restart().unwrap();
    run.sees("the name", Duration::from_secs(6), |view| {
        view.host_name.as_deref() == Some("again")
    });
}

#[test]
fn proxies_in_the_environment_do_not_touch_it() {
    let talos = Talos::tls(TlsOptions::default());
    let mut agent = talos.agent();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "GRPC_PROXY"] {
        agent = agent
            .env(name, "http://127.0.0.1:1")
            .env(name.to_lowercase(), "http://127.0.0.1:1");
    }
    let run = Run::start(agent);
    run.informed();
    run.stop();
}

#[test]
fn a_role_that_may_not_shut_down_is_status_0_with_the_remedy() {
    let options = TlsOptions {
        roles: vec!["os:reader".to_owned()],
        ..TlsOptions::default()
    };
    let talos = Talos::tls(options);
    let run = Run::start(talos.agent().args(["--power-deadline=2s"]));
    run.informed();
    run.asked("OS_Halt");
    run.sees("status 0", SOON, |view| {
        view.power.iter().any(|status| !status.success)
    });
    run.logs(&["ERROR", "os:operator"], SOON);
    assert!(
        talos
            .calls_of(Method::Shutdown)
            .iter()
            .all(|call| call.answer != Some(apid::Code::Ok))
    );
    run.signal(Signal::SIGTERM);
}

#[test]
fn a_swapped_talosconfig_is_followed_within_five_seconds_and_a_call_under_way_survives() {
    let talos = Talos::tls(TlsOptions::default());
    let run = talos.run();
    let before = talos.connections_accepted();
    talos.delay(Method::Shutdown, Duration::from_secs(3));
    run.asked("OS_Halt");
    talos.wait_calls(Method::Shutdown, 1, SOON).unwrap();
    let (called, connections) = (talos.calls().len(), talos.connections_accepted());
    assert_eq!(
        connections, before,
        "the call went over the connection there was"
    );

    talos.reissue(|_| {}).unwrap();
    talos.write_talosconfig();
    let renewed = talos.wait_for(Duration::from_secs(5), |apid| {
        (apid.connections_accepted() > connections && apid.calls().len() > called).then_some(())
    });
    assert!(renewed.is_some(), "{:#?}", run.log());
    run.logs(&["talosconfig has changed"], SOON);
    run.sees("status 1", Duration::from_secs(6), |view| {
        view.power.iter().any(|status| status.success)
    });
    assert_eq!(talos.calls_of(Method::Shutdown).len(), 1);
    talos.set_hostname("renewed", "");
    run.sees("the name over the new connection", SOON, |view| {
        view.host_name.as_deref() == Some("renewed")
    });
    run.stop();
}
