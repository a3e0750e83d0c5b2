//! Names as hosts take them: printable, and no longer than their fields.
//!
//! ```text
//! h\u{7}ost . exa\0mple.com      ──►  host.example.com
//! aaa… . bbb….bbb….bbb….bbb…     ──►  aaa….bbb….bbb….bbb…      whole labels, 255 bytes
//! ```

use crate::facts::{Facts, HostName};
use crate::report::HostNameForm;
use crate::vmware::wire::text::line;

/// Longest host name in bytes (DNSINFO_MAX_ADDRLEN, and the longest name in DNS).
const MAX_HOST_NAME: usize = 255;

/// The one name that a host shows for the node; `None` while it is not known.
pub(super) fn shown(facts: &Facts, form: HostNameForm) -> Option<String> {
    let name = host_name(facts);
    match form {
        HostNameForm::Node => {
            let node_name = facts.node.node_name.as_deref().map(dns_name);
            let node_name = node_name.filter(|name| !name.is_empty());
            node_name.or_else(|| name.map(|name| name.host))
        }
        HostNameForm::Fqdn => name.map(|name| name.fqdn()),
    }
}

/// The node's host name and its domain; `None` when it is not known, or nothing of its first label can be shown.
pub(super) fn host_name(facts: &Facts) -> Option<HostName> {
    let name = facts.host_name.as_ref()?;
    let host = dns_name(&name.host);
    let mut domain = String::new();
    for label in dns_name(&name.domain).split('.') {
        let dots = 1 + usize::from(!domain.is_empty());
        if label.is_empty() {
            continue;
        }
        if host.len() + domain.len() + label.len() + dots > MAX_HOST_NAME {
            break;
        }
        if !domain.is_empty() {
            domain.push('.');
        }
        domain.push_str(label);
    }
    (!host.is_empty()).then_some(HostName { host, domain })
}

/// A name of DNS without what it cannot hold.
pub(super) fn dns_name(name: &str) -> String {
    let name = line(name, name.len()).replace(char::is_whitespace, "");
    line(name.trim_matches('.'), MAX_HOST_NAME)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(host: &str, domain: &str) -> Facts {
        Facts {
            host_name: Some(HostName {
                host: host.into(),
                domain: domain.into(),
            }),
            ..Facts::default()
        }
    }

    fn fqdn(host: &str, domain: &str) -> Option<String> {
        host_name(&named(host, domain)).map(|name| name.fqdn())
    }

    #[test]
    fn what_no_host_can_show_is_taken_out() {
        let odd = fqdn("h\u{7}el lo\n\u{202e}w\u{f6}rld", ".exa\0mple..com.");
        assert_eq!(odd.as_deref(), Some("hellow\u{f6}rld.example.com"));
        assert_eq!(fqdn(" ", "example.com"), None);
        assert_eq!(fqdn("\0", ""), None);
        assert_eq!(host_name(&Facts::default()), None);
    }

    #[test]
    fn the_name_of_the_kubernetes_node_is_shown_and_before_it_is_known_the_short_one() {
        let mut facts = named("w-7", "prod.example.test");
        let shown_as = |facts: &Facts, form| shown(facts, form).unwrap();
        assert_eq!(shown_as(&facts, HostNameForm::Node), "w-7");
        // With registerWithFQDN.
        facts.node.node_name = Some("w-7.prod.example.test".into());
        assert_eq!(
            shown_as(&facts, HostNameForm::Node),
            "w-7.prod.example.test"
        );
        facts.node.node_name = Some("node\u{7}-7".into());
        assert_eq!(shown_as(&facts, HostNameForm::Node), "node-7");
        assert_eq!(
            shown_as(&facts, HostNameForm::Fqdn),
            "w-7.prod.example.test"
        );
        facts.node.node_name = Some("\0".into());
        assert_eq!(shown_as(&facts, HostNameForm::Node), "w-7");
        assert_eq!(shown(&Facts::default(), HostNameForm::Node), None);
        assert_eq!(shown(&Facts::default(), HostNameForm::Fqdn), None);
    }

    #[test]
    fn a_name_too_long_is_cut_between_labels() {
        let (a, b) = ("a".repeat(63), "b".repeat(62));
        let domain = [&b[..]; 5].join(".");
        assert_eq!(fqdn(&a, &domain), Some(format!("{a}.{b}.{b}.{b}")));
        assert_eq!(fqdn(&"h".repeat(300), "x"), Some("h".repeat(255)));
        assert_eq!(fqdn(&"h".repeat(253), "x"), Some("h".repeat(253) + ".x"));
        assert_eq!(fqdn(&"h".repeat(254), "x"), Some("h".repeat(254)));
    }

    proptest! {
        #[test]
        fn any_name_fits(host in "(?s).{0,300}", domain in "(?s).{0,300}") {
            if let Some(name) = fqdn(&host, &domain) {
                prop_assert!((1..=MAX_HOST_NAME).contains(&name.len()));
                prop_assert!(!name.contains(|c: char| c.is_control() || c.is_whitespace()));
            }
        }
    }
}
