//! The tables of docs/guest-info.md: complete, and with a test for each thing that they claim.

use std::collections::BTreeSet;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../../docs/guest-info.md");

/// GuestInfo of the vSphere API and the types in it, field by field (govmomi, vim25/types).
const FIELDS: [(&str, &[&str]); 13] = [
    (
        "GuestInfo",
        &[
            "toolsStatus",
            "toolsVersionStatus",
            "toolsVersionStatus2",
            "toolsRunningStatus",
            "toolsVersion",
            "toolsInstallType",
            "guestId",
            "guestFamily",
            "guestFullName",
            "guestDetailedData",
            "hostName",
            "ipAddress",
            "net",
            "ipStack",
            "disk",
            "screen",
            "guestState",
            "appHeartbeatStatus",
            "guestKernelCrashed",
            "appState",
            "guestOperationsReady",
            "interactiveGuestOperationsReady",
            "guestStateChangeSupported",
            "generationInfo",
            "hwVersion",
            "customizationInfo",
        ],
    ),
    (
        "GuestNicInfo",
        &[
            "network",
            "ipAddress",
            "macAddress",
            "connected",
            "deviceConfigId",
            "dnsConfig",
            "ipConfig",
            "netBIOSConfig",
        ],
    ),
    (
        "GuestStackInfo",
        &["dnsConfig", "ipRouteConfig", "ipStackConfig", "dhcpConfig"],
    ),
    (
        "NetIpConfigInfo",
        &["ipAddress", "dhcp", "autoConfigurationEnabled"],
    ),
    (
        "NetIpConfigInfoIpAddress",
        &["ipAddress", "prefixLength", "origin", "state", "lifetime"],
    ),
    (
        "NetDnsConfigInfo",
        &[
            "dhcp",
            "hostName",
            "domainName",
            "ipAddress",
            "searchDomain",
        ],
    ),
    ("NetDhcpConfigInfo", &["ipv4", "ipv6"]),
    ("NetDhcpConfigInfoDhcpOptions", &["enable", "config"]),
    (
        "NetIpRouteConfigInfoIpRoute",
        &["network", "prefixLength", "gateway"],
    ),
    ("NetIpRouteConfigInfoGateway", &["ipAddress", "device"]),
    (
        "GuestDiskInfo",
        &[
            "diskPath",
            "capacity",
            "freeSpace",
            "filesystemType",
            "mappings",
        ],
    ),
    ("GuestInfoVirtualDiskMapping", &["key"]),
    ("GuestScreenInfo", &["width", "height"]),
];

/// The cells of each row of the tables that end with a column of tests.
fn rows() -> Vec<Vec<&'static str>> {
    let mut rows = Vec::new();
    let mut has_tests = false;
    for line in DOCUMENT.lines() {
        let Some(row) = line
            .strip_prefix("| ")
            .and_then(|row| row.strip_suffix('|'))
        else {
            // Below the heading there is a line of dashes.
            has_tests &= line.starts_with("|-");
            continue;
        };
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        if cells.last() == Some(&"test") {
            has_tests = true;
        } else if has_tests {
            rows.push(cells);
        }
    }
    rows
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Names in backticks: all in a column of tests, and elsewhere those that can only be tests.
fn named_tests() -> BTreeSet<&'static str> {
    let is_name = |word: &&str| {
        word.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let last = rows().into_iter().filter_map(|row| row.last().copied());
    let elsewhere = quoted(DOCUMENT).filter(|word| word.matches('_').count() >= 3);
    last.flat_map(quoted)
        .chain(elsewhere)
        .filter(is_name)
        .collect()
}

/// Names of all tests in the Rust files below a folder.
fn tests(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = || text.lines().map(str::trim_start);
            for (attribute, line) in lines().zip(lines().skip(1)) {
                let is_test = attribute == "#[test]" || attribute.starts_with("#[tokio::test");
                let function = line.strip_prefix("async ").unwrap_or(line);
                if let Some(name) = function.strip_prefix("fn ").filter(|_| is_test) {
                    names.extend(name.split('(').next().map(str::to_owned));
                }
            }
        }
    }
}

#[test]
fn every_test_that_the_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = named_tests();
    assert!(named.len() > 50, "{named:?}");
    let mut present = BTreeSet::new();
    for folder in ["src", "tests"] {
        tests(&root.join(folder), &mut present);
    }
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| !present.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_field_that_we_report_has_a_test() {
    let rows = rows();
    assert!(rows.len() > 40, "{}", rows.len());
    for row in rows {
        let [field, _open_vm_tools, .., ours, test] = row[..] else {
            panic!("{row:?}");
        };
        let reported = !ours.starts_with('–') && ours != "host";
        assert!(!reported || quoted(test).next().is_some(), "{field}");
    }
}

#[test]
fn the_document_has_every_field_of_the_api() {
    let fields: Vec<_> = rows().iter().map(|row| row[0]).collect();
    let words: BTreeSet<_> = fields
        .iter()
        .flat_map(|field| field.split(|c: char| !c.is_ascii_alphanumeric()))
        .collect();
    for (owner, names) in FIELDS {
        for name in names {
            assert!(words.contains(name), "{owner}.{name}");
        }
    }
}
