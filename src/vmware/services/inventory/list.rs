//! The two lists as the host stores them: JSON in one line, no longer than a message may be.
//!
//! ```text
//! {"version":"1","updateCounter":"1","publishTime":"2026-11-26T19:00:00.000Z",
//!  "applications":[{"a":"kubelet","v":"1.36.0"}]}
//! {"version":"1","updateCounter":1,"publishTime":"2026-11-26T19:00:00.000Z",
//!  "containerinfo":{"k8s.io":[{"i":"registry.k8s.io/pause:3.10"}]}}
//! ```
//! The members and their types are open-vm-tools', the counter of one being a text and that of the other a number
//! [appInfo.c, containerInfo.c, guestrpc/appInfo.h, guestrpc/containerInfo.h].

use std::time::Duration;

use crate::log::rfc3339;
use crate::vmware::wire::message::MAX_MESSAGE;
use crate::vmware::wire::text::{info_set, quoted};

/// Which list it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Issue {
    /// Counts the lists since the agent started, from 1.
    pub(super) number: u64,
    /// Time since 1970.
    pub(super) at: Duration,
}

/// The message that publishes names and versions. What does not fit is cut off.
pub(super) fn applications(key: &str, issue: Issue, rows: &[(String, String)]) -> Vec<u8> {
    const END: &str = "]}";
    let counter = format!("\"{}\"", issue.number);
    let mut text = head(&counter, issue.at, "applications");
    text.push('[');
    let mut comma = "";
    for (name, version) in rows {
        let row = format!(
            "{comma}{{\"a\":{},\"v\":{}}}",
            quoted(name),
            quoted(version)
        );
        if !fits(key, &text, &row, END) {
            break;
        }
        text.push_str(&row);
        comma = ",";
    }
    text.push_str(END);
    info_set(key, &text)
}

/// The message that publishes images by namespace. Those that do not fit are left out, and a namespace of which none
/// does.
pub(super) fn images(key: &str, issue: Issue, rows: &[(String, Vec<String>)]) -> Vec<u8> {
    const END: &str = "]}}";
    let mut text = head(&issue.number.to_string(), issue.at, "containerinfo");
    text.push('{');
    let mut comma = "";
    for (namespace, images) in rows {
        // What stands before the next image, which is the first of its namespace.
        let mut before = format!("{comma}{}:[", quoted(namespace));
        for image in images {
            let row = format!("{before}{{\"i\":{}}}", quoted(image));
            if fits(key, &text, &row, END) {
                text.push_str(&row);
                ",".clone_into(&mut before);
            }
        }
        if before == "," {
            text.push(']');
            comma = ",";
        }
    }
    text.push_str("}}");
    info_set(key, &text)
}

fn head(counter: &str, at: Duration, member: &str) -> String {
    let time = rfc3339(at);
    format!(
        "{{\"version\":\"1\",\"updateCounter\":{counter},\"publishTime\":\"{time}\",\"{member}\":"
    )
}

/// Whether there is room for one more.
fn fits(key: &str, text: &str, row: &str, end: &str) -> bool {
    let around = info_set(key, "").len();
    around + text.len() + row.len() + end.len() <= MAX_MESSAGE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const ISSUE: Issue = Issue {
        number: 3,
        at: Duration::from_millis(1_770_091_506_789),
    };

    /// The JSON in a message.
    fn value(message: &[u8], key: &str) -> Value {
        let text = std::str::from_utf8(message).unwrap();
        let text = text.strip_prefix(&format!("info-set guestinfo.{key} "));
        serde_json::from_str(text.unwrap().strip_suffix('\0').unwrap()).unwrap()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter();
        pairs.map(|(a, v)| ((*a).into(), (*v).into())).collect()
    }

    #[test]
    fn applications_as_open_vm_tools_writes_them() {
        let rows = pairs(&[("kubelet", "1.36.0"), ("udevd", "")]);
        let message = applications("appInfo", ISSUE, &rows);
        assert_eq!(
            String::from_utf8(message).unwrap(),
            "info-set guestinfo.appInfo {\"version\":\"1\",\"updateCounter\":\"3\",\
             \"publishTime\":\"2026-02-03T04:05:06.789Z\",\"applications\":[{\"a\":\"kubelet\",\"v\":\"1.36.0\"},\
             {\"a\":\"udevd\",\"v\":\"\"}]}\0"
        );
        let none = value(&applications("appInfo", ISSUE, &[]), "appInfo");
        assert_eq!(none["applications"], json!([]));
    }

    #[test]
    fn images_as_open_vm_tools_writes_them() {
        let rows = [
            ("system".to_owned(), vec!["etcd:v3.6.4".to_owned()]),
            ("none".to_owned(), vec![]),
            (
                "k8s.io".to_owned(),
                vec!["pause:3.10".into(), "x\"y".into()],
            ),
        ];
        let message = images("vmtools.containerinfo", ISSUE, &rows);
        assert_eq!(
            String::from_utf8(message).unwrap(),
            "info-set guestinfo.vmtools.containerinfo {\"version\":\"1\",\"updateCounter\":3,\
             \"publishTime\":\"2026-02-03T04:05:06.789Z\",\"containerinfo\":{\"system\":[{\"i\":\"etcd:v3.6.4\"}],\
             \"k8s.io\":[{\"i\":\"pause:3.10\"},{\"i\":\"x\\\"y\"}]}}\0"
        );
        let none = images("vmtools.containerinfo", ISSUE, &[]);
        assert_eq!(
            value(&none, "vmtools.containerinfo")["containerinfo"],
            json!({})
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_and_the_rest_is_whole() {
        let rows: Vec<_> = (0..5000)
            .map(|n| (format!("service-{n}"), "1.2.3".to_owned()))
            .collect();
        let message = applications("appInfo", ISSUE, &rows);
        assert!((MAX_MESSAGE - 40..=MAX_MESSAGE).contains(&message.len()));
        let shown = value(&message, "appInfo");
        let shown = shown["applications"].as_array().unwrap();
        for (shown, (name, _)) in shown.iter().zip(&rows) {
            assert_eq!(shown["a"], name.as_str());
        }

        let long = "x".repeat(MAX_MESSAGE);
        let rows = [
            ("a".to_owned(), vec![long.clone()]),
            ("b".to_owned(), vec![long, "short".to_owned()]),
        ];
        let shown = value(&images("k", ISSUE, &rows), "k");
        assert_eq!(shown["containerinfo"], json!({"b": [{"i": "short"}]}));
    }

    proptest! {
        #[test]
        fn whatever_is_listed_is_json_within_the_bound(
            texts in prop::collection::vec("(?s).{0,400}", 0..300),
            number in any::<u64>(),
        ) {
            let issue = Issue { number, at: Duration::from_secs(number % 100_000_000_000) };
            let rows: Vec<_> = texts.iter().map(|text| (text.clone(), text.clone())).collect();
            let message = applications("appInfo", issue, &rows);
            prop_assert!(message.len() <= MAX_MESSAGE);
            let shown = value(&message, "appInfo");
            prop_assert_eq!(&shown["updateCounter"], &json!(number.to_string()));
            let listed = shown["applications"].as_array().unwrap();
            prop_assert!(texts.is_empty() || !listed.is_empty());
            for (shown, text) in listed.iter().zip(&texts) {
                prop_assert_eq!(&shown["v"], text);
            }
            let message = images("k", issue, &[("a\"b".to_owned(), texts.clone())]);
            prop_assert!(message.len() <= MAX_MESSAGE);
            let shown = value(&message, "k");
            prop_assert_eq!(&shown["updateCounter"], &json!(number));
            for image in shown["containerinfo"]["a\"b"].as_array().into_iter().flatten() {
                prop_assert!(texts.contains(&image["i"].as_str().unwrap().to_owned()));
            }
        }
    }
}
