//! Certificates and key: Ed25519 as Talos makes them (CA `O=talos`, leaf `O=os:operator`, clientAuth), valid
//! for a century, made for these tests with openssl.

use super::*;

const CA: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBNjCB6aADAgECAhRE/lgRVj3cERzZpKEUoOrhzuBphjAFBgMrZXAwEDEOMAwG\n\
A1UECgwFdGFsb3MwIBcNMjYxMTIxMTQzNTA5WhgPMjEyNjEwMjgxNDM1MDlaMBAx\n\
DjAMBgNVBAoMBXRhbG9zMCowBQYDK2VwAyEA+ZeTtUqrH4S22zH1V9qAfG8AQG5b\n\
TLqNv6wruTLG062jUzBRMB0GA1UdDgQWBBSOSBq4HUCzQBDGrHuVp24y4vttBzAf\n\
BgNVHSMEGDAWgBSOSBq4HUCzQBDGrHuVp24y4vttBzAPBgNVHRMBAf8EBTADAQH/\n\
MAUGAytlcANBANRxn9MU60Gcrgll13iRmdqvKwpjNwO385yWEF7gaB20KQUKuj4I\n\
xGYo/QR1YsUPGXl7h61vnTYWSVrK1whqlA4=\n\
-----END CERTIFICATE-----\n\n";
const CRT: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBPTCB8KADAgECAgEBMAUGAytlcDAQMQ4wDAYDVQQKDAV0YWxvczAgFw0yNjEx\n\
MjExNDM1MDlaGA8yMTI2MTAyODE0MzUwOVowFjEUMBIGA1UECgwLb3M6b3BlcmF0\n\
b3IwKjAFBgMrZXADIQBYqvPBEslLHCRarXX8atz7jVm9qeTxAUhicjeYkOAN1KNn\n\
MGUwDgYDVR0PAQH/BAQDAgeAMBMGA1UdJQQMMAoGCCsGAQUFBwMCMB0GA1UdDgQW\n\
BBTkZr2go7YxJbHJ/obpmH2zPKLw+DAfBgNVHSMEGDAWgBSOSBq4HUCzQBDGrHuV\n\
p24y4vttBzAFBgMrZXADQQDMcC0AMVy3wlds38UYQstCm1ONZVvOsOrAvn8gqzSf\n\
vaYRn/cIyYTNhDrrGt2wT1zzwM5WM2lDt81bJlJa6HYD\n\
-----END CERTIFICATE-----\n\n";
/// Labelled as Talos does.
const KEY: &str = "\
-----BEGIN ED25519 PRIVATE KEY-----\n\
MC4CAQAwBQYDK2VwBCIEIE2JwkG4tDaFNg1aDm1J8JGQro87JrTc038er/XwxCRU\n\
-----END ED25519 PRIVATE KEY-----\n\n";

fn b64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn config(nodes: &str) -> String {
    format!(
        "context: mine\ncontexts:\n  other: {{}}\n  mine:\n    endpoints: [10.0.0.1, 10.0.0.2]\n    nodes: {nodes}\n    ca: {}\n    crt: {}\n    key: {}\n",
        b64(&format!("{CA}{CA}")),
        b64(CRT),
        b64(KEY)
    )
}

fn parse(text: &str) -> Result<Talosconfig, Error> {
    Talosconfig::parse(Path::new("/tc"), text)
}

fn endpoint(text: &str) -> Option<String> {
    text.parse::<Endpoint>().ok().map(|e| e.to_string())
}

#[test]
fn the_selected_context_is_decoded() {
    let config = parse(&config("[10.0.0.1, \"cp.example:50001\"]")).unwrap();
    assert_eq!(config.context, "mine");
    assert_eq!(config.nodes[0].to_string(), "10.0.0.1:50000");
    assert_eq!(config.nodes[1].to_string(), "cp.example:50001");
    assert_eq!(config.authorities.len(), 2);
    assert_eq!(config.certificates.len(), 1);
    assert!(matches!(config.key, PrivateKeyDer::Pkcs8(_)));
    assert_eq!(config.roles(), ["os:operator"]);
}

#[test]
fn what_is_talos_own_business_is_tolerated() {
    let text = config("null")
        + "    cluster: c\n    proxy-url: http://p\n    auth: {basic: {username: u}}\n    target: old.example\nversion: 9\n";
    // `version` lands at the top level, the rest in the context.
    let config = parse(&text).unwrap();
    assert_eq!(config.nodes, []);
}

#[test]
fn one_node_is_the_destination_and_with_none_or_several_it_is_this_machine() {
    let destination = |nodes: &str, given: Option<&str>| {
        let given = given.map(|given| given.parse::<Endpoint>().unwrap());
        let destination = parse(&config(nodes)).unwrap().destination(given.as_ref());
        (
            matches!(destination, Destination::Named(_)),
            destination.endpoint().to_string(),
        )
    };
    for nodes in ["null", "[]", "[10.0.0.8, 10.0.0.9]"] {
        assert_eq!(
            destination(nodes, None),
            (false, "127.0.0.1:50000".into()),
            "endpoints are no nodes"
        );
        assert_eq!(destination(nodes, Some("n:1")), (true, "n:1".into()));
    }
    assert_eq!(
        destination("[10.0.0.9]", None),
        (true, "10.0.0.9:50000".into())
    );
    assert_eq!(destination("[10.0.0.9]", Some("n:1")), (true, "n:1".into()));
}

#[test]
fn an_entry_that_is_no_endpoint_spoils_only_itself() {
    for (nodes, good, bad) in [
        ("['a:b', 10.0.0.9]", 1, "\"a:b\" is not an endpoint"),
        ("[10.0.0.9, {host: x}]", 1, "is not an endpoint"),
        ("[[], 10.0.0.9]", 1, "is not an endpoint"),
        ("{10.0.0.9: x}", 0, "is not an endpoint"),
    ] {
        let text = config(nodes).replace("[10.0.0.1, 10.0.0.2]", "{no: list}");
        let config = parse(&text).unwrap();
        assert_eq!(config.nodes.len(), good, "{nodes}");
        assert_eq!(config.bad_nodes.len(), 1, "{nodes}");
        let words = config.bad_nodes[0].to_string();
        assert!(words.contains(bad), "{words}");
        assert_eq!(config.roles(), ["os:operator"]);
    }
}

#[test]
fn endpoints_have_talos_forms_and_ports() {
    for (text, expected) in [
        ("10.0.0.1", "10.0.0.1:50000"),
        ("10.0.0.1:50001", "10.0.0.1:50001"),
        ("cp.example", "cp.example:50000"),
        ("https://proxy", "proxy:443"),
        ("https://proxy/path", "proxy:443"),
        ("https://proxy:8443/", "proxy:8443"),
        ("https://[fd00::1]", "[fd00::1]:443"),
        ("http://plain", "plain:50000"),
        ("fd00::1", "[fd00::1]:50000"),
        ("[fd00::1]", "[fd00::1]:50000"),
        ("[fd00::1]:1", "[fd00::1]:1"),
        (" padded ", "padded:50000"),
    ] {
        assert_eq!(endpoint(text).as_deref(), Some(expected), "{text}");
    }
    for text in [
        "",
        ":50000",
        "a:b",
        "a:0",
        "a:65536",
        "a:1:2",
        "[fd00::1",
        "[fd00::1]x",
        "[a]:1",
        "https://",
        "a b",
        "a\nb",
    ] {
        assert_eq!(endpoint(text), None, "{text:?}");
    }
}

#[test]
fn errors_name_file_context_key_and_remedy() {
    let cases = [
        ("", "/tc selects no context"),
        (
            "context: nope\ncontexts: {a: {}, b: {}}",
            "no context \"nope\"; it has: a, b",
        ),
        (
            "context: a\ncontexts: {a: {endpoints: [x]}}",
            "lacks a.crt; make one with `talosctl config new",
        ),
        ("context: a\ncontexts: {a: {crt: Zm9v}}", "lacks a.key"),
        (
            "context: a\ncontexts: {a: {crt: Zm9v, key: Zm9v}}",
            "a.crt in the talosconfig /tc is not the base64 of PEM cert",
        ),
        (
            "context: a\ncontexts: {a: {ca: '%', crt: Zm9v, key: Zm9v}}",
            "a.ca in the talosconfig /tc",
        ),
        (
            "context: a\ncontexts: {a: {auth: {siderov1: {identity: me}}}}",
            "SideroV1",
        ),
        ("contexts: [", "/tc is not a talosconfig"),
    ];
    for (text, expected) in cases {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let missing = Talosconfig::load(Path::new("/nonexistent")).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "cannot read the talosconfig /nonexistent"
    );
}

#[test]
fn the_key_is_never_shown() {
    let good = config("[a]");
    let shown = format!("{:?}", parse(&good).unwrap());
    assert!(!shown.contains("key"), "{shown}");
    let broken = good
        .replace("    key: ", "    key: [")
        .replace("context: mine", "context: [");
    let error = parse(&broken).unwrap_err();
    let shown = format!("{error:?} {error}");
    assert!(!shown.contains(&b64(KEY)[40..80]), "{shown}");
}

#[test]
fn a_key_of_another_kind_is_refused() {
    let text = config("[a]").replace(&b64(KEY), &b64(CA));
    let error = parse(&text).unwrap_err().to_string();
    assert!(
        error.contains("mine.key in the talosconfig /tc is not the base64 of a PEM private key"),
        "{error}"
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_answered(text: String) {
        let _ = parse(&text);
    }

    #[test]
    fn an_endpoint_reads_back_as_it_is_written(host in "[a-z][a-z0-9.-]{0,20}|[0-9]{1,3}\\.1\\.2\\.3|fd00::[1-9a-f]{1,4}", port in 1u16..) {
        let endpoint = Endpoint { host, port };
        proptest::prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
    }
}
