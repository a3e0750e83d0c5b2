//! What the documents claim: every row of a table of tests names some, every test that is named exists, the tables are
//! complete; links lead to files, what the README shows of the demo is in its log, its picture too, and images and
//! sources have the names that the Makefile gives them.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

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

/// A row of a table whose last column is headed "test".
struct Row {
    cells: Vec<String>,
}

impl Row {
    fn first(&self) -> &str {
        &self.cells[0]
    }

    fn tests(&self) -> impl Iterator<Item = &str> {
        self.cells.last().unwrap().split('`').skip(1).step_by(2)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of the tables of tests in a document.
fn rows(document: &str) -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs").join(document)).unwrap();
    let mut rows = Vec::new();
    let mut has_tests = false;
    for line in text.lines() {
        let row = line
            .strip_prefix("| ")
            .and_then(|row| row.strip_suffix('|'));
        let Some(row) = row else {
            // Below the heading there is a line of dashes.
            has_tests &= line.starts_with("|-");
            continue;
        };
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().to_owned()).collect();
        if cells.last().is_some_and(|cell| cell == "test") {
            has_tests = true;
        } else if has_tests {
            rows.push(Row { cells });
        }
    }
    rows
}

/// Adds the names of all tests in the Rust files below a folder.
fn tests_below(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim_start) {
                if line.starts_with("#[") {
                    is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                    continue;
                }
                let function = line.strip_prefix("async ").unwrap_or(line);
                if let Some(name) = function.strip_prefix("fn ").filter(|_| is_test) {
                    names.extend(name.split('(').next().map(str::to_owned));
                }
                is_test = false;
            }
        }
    }
}

/// The tables of tests, and how many rows each document has at least.
const DOCUMENTS: [(&str, usize); 3] = [
    ("guest-info.md", 40),
    ("predecessor.md", 80),
    ("reliability.md", 30),
];

#[test]
fn every_test_that_is_named_exists() {
    let mut present = BTreeSet::new();
    for folder in ["src", "tests"] {
        tests_below(&root().join(folder), &mut present);
    }
    // Each layout is a test of its name.
    let layouts = layouts::Layout::all();
    present.extend(layouts.iter().map(|layout| layout.name.replace('-', "_")));
    for (document, least) in DOCUMENTS {
        let rows = rows(document);
        assert!(rows.len() >= least, "{document}: {} rows", rows.len());
        for row in &rows {
            for name in row.tests() {
                assert!(
                    present.contains(name),
                    "{document}: there is no test {name}"
                );
            }
        }
    }
}

#[test]
fn every_field_of_guest_info_that_we_report_has_a_test() {
    for row in rows("guest-info.md") {
        let ours = &row.cells[row.cells.len() - 2];
        let reported = !ours.starts_with('–') && ours != "host";
        assert!(!reported || row.tests().next().is_some(), "{}", row.first());
    }
}

#[test]
fn guest_info_has_every_field_of_the_api() {
    let rows = rows("guest-info.md");
    let words: BTreeSet<_> = rows
        .iter()
        .flat_map(|row| row.first().split(|c: char| !c.is_ascii_alphanumeric()))
        .collect();
    for (owner, names) in FIELDS {
        for name in names {
            assert!(words.contains(name), "{owner}.{name}");
        }
    }
}

/// The faults of the Go daemon are numbered 1 to 18.
#[test]
fn every_fault_of_the_predecessor_has_a_test() {
    let rows = rows("predecessor.md");
    for row in &rows {
        assert!(row.tests().next().is_some(), "{}", row.first());
    }
    let entries: BTreeSet<_> = rows.iter().map(Row::first).collect();
    for number in 1..=18 {
        assert!(
            entries.contains(format!("GO {number}").as_str()),
            "GO {number}"
        );
    }
}

#[test]
fn every_schedule_has_a_test() {
    for row in rows("reliability.md") {
        assert!(row.tests().next().is_some(), "{}", row.first());
    }
}

/// The sources of the agent: Rust files below a folder, without what is compiled for tests alone.
fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap();
        if stem == "tests" || stem == "fuzz" {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            found.push((path, code.to_owned()));
        }
    }
}

/// What stands between the next quotes, with the line breaks in it undone; and what comes after.
fn literal(text: &str) -> Option<(String, &str)> {
    let (_, rest) = text.split_once('"')?;
    let mut value = String::new();
    let mut chars = rest.char_indices();
    while let Some((at, character)) = chars.next() {
        match character {
            '"' => return Some((value, &rest[at + 1..])),
            '\\' => match chars.next()?.1 {
                '\n' => {
                    let blank = |c: char| c.is_whitespace();
                    let (next, _) = chars.clone().find(|(_, c)| !blank(*c))?;
                    while chars.clone().next().is_some_and(|(at, _)| at < next) {
                        chars.next();
                    }
                }
                escaped => value.push(escaped),
            },
            _ => value.push(character),
        }
    }
    None
}

/// The message of a log macro: the last literal of its arguments, which ends them. `"{NAME}"` is a constant.
fn message(arguments: &str, code: &str) -> Option<String> {
    let mut rest = arguments;
    loop {
        let (value, after) = literal(rest)?;
        if after
            .trim_start()
            .trim_start_matches(',')
            .trim_start()
            .starts_with(')')
        {
            let constant = value
                .strip_prefix('{')
                .and_then(|name| name.strip_suffix('}'));
            let Some(name) = constant else {
                return Some(value);
            };
            let definition = code.split(&format!("const {name}: &str =")).nth(1)?;
            return Some(literal(definition)?.0);
        }
        rest = after;
    }
}

/// Each line at ERROR and WARN that the sources have, as the documents write it, with its places.
fn log_lines() -> BTreeMap<String, String> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut lines = BTreeMap::<String, String>::new();
    for (path, code) in &files {
        let place = path.strip_prefix(root()).unwrap().display().to_string();
        for (level, name) in [("ERROR", "error!("), ("WARN", "warn!(")] {
            for (at, _) in code.match_indices(name) {
                let before = &code[..at];
                let is_comment = before.lines().next_back().unwrap().contains("//");
                if is_comment || before.ends_with(|c: char| c == '_' || c.is_alphanumeric()) {
                    continue;
                }
                let number = before.lines().count();
                let message = message(&code[at + name.len()..], code).unwrap_or_else(|| {
                    panic!("{place}:{number}: a {level} line without a message")
                });
                lines
                    .entry(format!("{level} \"{message}\""))
                    .or_default()
                    .push_str(&format!(" {place}:{number}"));
            }
        }
        // Not by a macro: it is written while a line is.
        if place == "src/log/line.rs" {
            let dropped = code
                .split("let message =")
                .nth(1)
                .and_then(literal)
                .unwrap();
            lines.insert(format!("WARN \"{}\"", dropped.0), place);
        }
    }
    lines
}

#[test]
fn the_page_of_log_lines_has_each_error_and_warning_with_meaning_and_remedy_and_no_other() {
    let page = fs::read_to_string(root().join("docs/log-lines.md")).unwrap();
    let logged = log_lines();
    assert!(logged.len() >= 30, "{} lines", logged.len());
    let mut documented = BTreeSet::new();
    for row in page.lines().filter_map(|line| line.strip_prefix("| ")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        if matches!(cells[0], "ERROR" | "WARN") {
            assert!(
                cells.len() == 5 && cells.iter().take(4).all(|cell| !cell.is_empty()),
                "four cells: {row}"
            );
            let line = format!("{} {}", cells[0], cells[1]);
            assert!(documented.insert(line.clone()), "twice: {line}");
        }
    }
    let mut faults = String::new();
    for (line, places) in &logged {
        if !documented.contains(line) {
            faults += &format!("\nadd a row:    {line} from{places}");
        }
    }
    for line in &documented {
        if !logged.contains_key(line) {
            faults += &format!("\nremove a row: {line}: nothing logs it");
        }
    }
    assert!(faults.is_empty(), "docs/log-lines.md{faults}");
}

/// The files that the project's documents link to, each with the document that does.
fn links(folder: &Path, links: &mut Vec<(PathBuf, PathBuf)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            // What is built, fetched or git's own.
            if !matches!(name, "target" | "_out" | "vendor") && !name.starts_with('.') {
                self::links(&path, links);
            }
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(&path).unwrap();
            let targets = text.split("](").skip(1).filter_map(|link| {
                let target = link.split([')', '#']).next()?;
                (!target.is_empty() && !target.contains("://")).then(|| folder.join(target))
            });
            links.extend(targets.map(|target| (path.clone(), target)));
        }
    }
}

#[test]
fn links_between_documents_lead_to_files() {
    let mut all = Vec::new();
    links(&root(), &mut all);
    assert!(all.len() >= 50, "{} links", all.len());
    for (document, target) in all {
        assert!(target.exists(), "{document:?}: there is no {target:?}");
    }
}

#[test]
fn documents_that_the_program_names_exist() {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut named = 0;
    for (path, code) in &files {
        for (at, _) in code.match_indices("docs/") {
            let name = code[at..].split(|c: char| !(c.is_alphanumeric() || "/-_.".contains(c)));
            let name = name.into_iter().next().unwrap().trim_end_matches('.');
            if name.ends_with(".md") {
                assert!(root().join(name).is_file(), "{}: {name}", path.display());
                named += 1;
            }
        }
    }
    assert!(named > 3, "{named} documents");
}

#[test]
fn what_the_readme_shows_of_the_demo_is_in_its_log() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let (readme, log) = (read("README.md"), read("docs/demo.md"));
    let shown = readme.split("```console").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap();
    let lines: Vec<_> = shown.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines.len() >= 8, "{} lines", lines.len());
    let mut rest = log.lines();
    for line in lines {
        assert!(
            rest.any(|logged| logged == line),
            "not in this order: {line}"
        );
    }
}

/// Rows whose value a run measures, or takes from the machine that it runs on: only the label is the same everywhere.
const MEASURED: [&str; 4] = ["Guest OS", "Memory", "Processors", "Uptime"];

/// A row of a panel or of its picture, its words apart by one space.
fn row(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| *word != "=");
    let row = words.collect::<Vec<_>>().join(" ");
    let measured = MEASURED.into_iter().find(|label| row.starts_with(label));
    measured.map_or(row, str::to_owned)
}

/// The rows of both panels in the demo's log, below their titles.
fn rows_of_panels(log: &str) -> Vec<String> {
    let (vcenter, proxmox) = log.split_once("in Proxmox VE\n").unwrap();
    let vcenter = vcenter.lines().filter_map(|line| {
        let title = line.strip_prefix("┌─ vCenter").map(|_| "vCenter");
        title.or_else(|| line.strip_prefix('│')?.strip_suffix('│'))
    });
    let proxmox = proxmox.lines().take_while(|line| !line.is_empty());
    let rows = vcenter.chain(["Proxmox VE"]).chain(proxmox);
    rows.map(row).collect()
}

/// The rows of the picture, as one reads them.
fn rows_of_picture(svg: &str) -> Vec<String> {
    let texts = svg.split("<text").skip(1);
    let texts = texts.map(|text| {
        let (text, _) = text.split_once("</text>").unwrap();
        let parts = text.split('<').map(|part| part.split_once('>').unwrap().1);
        row(&parts.collect::<Vec<_>>().join(""))
    });
    texts.collect()
}

#[test]
fn the_picture_shows_what_the_hosts_show_in_the_log_of_the_demo() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    assert!(read("README.md").contains("](docs/panel.svg)"));
    let panels = rows_of_panels(&read("docs/demo.md"));
    let picture = rows_of_picture(&read("docs/panel.svg"));
    assert!(panels.len() >= 40, "{} rows", panels.len());
    for (shown, drawn) in panels.iter().zip(&picture) {
        // Either may have less room for a value.
        let cut = [shown, drawn].iter().any(|row| row.contains('…'));
        let [one, other] = [shown, drawn].map(|row| row.split('…').next().unwrap());
        let same = one == other || cut && (one.starts_with(other) || other.starts_with(one));
        assert!(
            same,
            "docs/demo.md: {shown}\ndocs/panel.svg: {drawn}\nrun `make picture`"
        );
    }
    assert_eq!(panels.len(), picture.len(), "run `make picture`");
}

/// Whether a command of the QEMU guest agent is in the first cell of a row, by its name or as `guest-file-\*`.
fn is_command_of(row: &str, name: &str) -> bool {
    let first = row.split('|').nth(1).unwrap_or_default();
    first.split([' ', ',']).any(|word| {
        word.strip_suffix("\\*")
            .map_or(word == name, |beginning| name.starts_with(beginning))
    })
}

#[test]
fn the_page_of_qemu_has_each_command_and_whether_it_is_refused() {
    let table = fs::read_to_string(root().join("src/qemu/commands/table.rs")).unwrap();
    let page = fs::read_to_string(root().join("docs/qemu.md")).unwrap();
    let mut seen = 0;
    for (call, refused) in [("on(\"", false), ("off(\"", true)] {
        for (at, _) in table.match_indices(call) {
            let before = table[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let name = table[at + call.len()..].split('"').next().unwrap();
            let mut rows = page.lines().filter(|line| is_command_of(line, name));
            let row = rows.next().unwrap_or_else(|| panic!("{name} is missing"));
            assert!(rows.next().is_none(), "{name} is there twice");
            assert_eq!(row.contains("CommandNotFound"), refused, "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 40, "{seen} commands");
}

/// What the Makefile sets a variable to.
fn of_makefile(variable: &str) -> String {
    let text = fs::read_to_string(root().join("Makefile")).unwrap();
    let beginning = format!("{variable} = ");
    let value = text.lines().find_map(|line| line.strip_prefix(&beginning));
    value.unwrap().to_owned()
}

/// All text files of the project, with their paths below its root.
fn texts(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            if !matches!(name, "target" | "_out" | ".git" | "corpus" | "found") {
                texts(&path, found);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            let place = path.strip_prefix(root()).unwrap();
            found.push((place.display().to_string(), text));
        }
    }
}

/// The name that ends where `rest` begins: whatever may be in the name of an image or of a place in the network.
fn name_before(text: &str) -> &str {
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".:/_-".contains(c);
    text.rsplit(|c| !is_part(c)).next().unwrap()
}

/// Whether a name begins with a host: not a path, and nothing of Kubernetes' (`daemonsets.apps/…`, a label).
fn has_host(name: &str) -> bool {
    let first = name.trim_start_matches("https://").split('/').next();
    first.is_some_and(|first| {
        first.trim_start_matches('.').contains(['.', ':'])
            && ![".apps", ".talos.dev"]
                .iter()
                .any(|end| first.ends_with(end))
    })
}

/// The Go daemon's image and sources, by their names, in the files that are about it.
const GO_DAEMON: [&str; 2] = [
    "ghcr.io/siderolabs/talos-vmtoolsd",
    "https://github.com/siderolabs/talos-vmtoolsd",
];
const ABOUT_THE_GO_DAEMON: [&str; 4] = [
    "deploy/README.md",
    "tests/apiserver/deploy_test.go",
    "tests/conformance/manifests/predecessor.go",
    "tests/documents.rs",
];

/// Our images have the name that the Makefile gives them, or are in the registry of whoever reads this.
#[test]
fn no_file_names_our_images_or_sources_otherwise_than_the_makefile() {
    let ours = [
        format!("{}/talos-vmtoolsd", of_makefile("REGISTRY")),
        of_makefile("SOURCE"),
        "registry.example/talos-vmtoolsd".to_owned(),
    ];
    let mut files = Vec::new();
    texts(&root(), &mut files);
    let (mut faults, mut seen) = (String::new(), 0);
    for (place, text) in &files {
        let about_the_go_daemon = ABOUT_THE_GO_DAEMON.contains(&place.as_str());
        for (at, found) in text.match_indices("/talos-vmtoolsd") {
            // The extension, in a catalogue's registry.
            if text[at + found.len()..].starts_with("-guest-agent") {
                continue;
            }
            let name = name_before(&text[..at]).to_owned() + found;
            let name = name.trim_start_matches("docker://");
            if !has_host(name) {
                continue;
            }
            seen += 1;
            let known = ours.iter().any(|our| our == name)
                || about_the_go_daemon && GO_DAEMON.contains(&name);
            if !known {
                faults += &format!("\n{place}: {name}");
            }
        }
    }
    assert!(seen >= 20, "{seen} names");
    assert!(
        faults.is_empty(),
        "other names than the Makefile's:{faults}"
    );
}

#[test]
fn manifest_and_crate_have_the_names_of_the_makefile() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let image = format!("image: {}/talos-vmtoolsd\n", of_makefile("REGISTRY"));
    assert!(read("deploy/base/daemonset.yaml").contains(&image));
    let repository = format!("repository = \"{}\"\n", of_makefile("SOURCE"));
    assert!(read("Cargo.toml").contains(&repository));
}

/// Every version of ours that is written somewhere, but for the changelog: `make names` carries Cargo.toml's there.
#[test]
fn no_file_names_another_version_of_ours_than_cargo_toml() {
    let version = env!("CARGO_PKG_VERSION");
    let (major, _) = version.split_once('.').unwrap();
    let pattern = r"(\S*)(talos-vmtoolsd(?:-extension|-guest-agent)?[: ]v|AGENT_VERSION: v|newTag: v|refs/tags/v)(\d+\[|\d+(?:\.\d+)*(?:-[0-9a-z.]+)?)";
    let ours = regex_lite::Regex::new(pattern).unwrap();
    let mut files = Vec::new();
    texts(&root(), &mut files);
    let (mut faults, mut seen) = (String::new(), 0);
    for (place, text) in files.iter().filter(|(place, _)| place != "CHANGELOG.md") {
        for found in ours.captures_iter(text) {
            if found[1].ends_with("ghcr.io/siderolabs/") {
                continue;
            }
            seen += 1;
            if found[3] != *version && found[3] != *format!("{major}[") {
                faults += &format!("\n{place}: {}", &found[0]);
            }
        }
    }
    assert!(seen >= 30, "{seen} versions");
    assert!(
        faults.is_empty(),
        "not v{version}, run `make names`:{faults}"
    );
}

/// The recommended settings leave out whatever is in a folder `tests`, where most of our dependencies are.
#[test]
fn renovate_ignores_no_folder() {
    let renovate = fs::read_to_string(root().join("renovate.json")).unwrap();
    let renovate: serde_json::Value = serde_json::from_str(&renovate).unwrap();
    assert_eq!(renovate["ignorePaths"], serde_json::json!([]));
}

/// A version that no pattern finds would never be renewed.
#[test]
fn renovate_finds_every_version_in_the_table_of_tools() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let renovate: serde_json::Value = serde_json::from_str(&read("renovate.json")).unwrap();
    let provision = read(".ci/provision");
    let found: BTreeSet<_> = renovate["customManagers"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|manager| {
            let pattern = manager["matchStrings"][0].as_str().unwrap();
            let found = regex_lite::Regex::new(pattern).unwrap();
            let found = found.captures_iter(&provision);
            found
                .map(|found| {
                    (
                        found["depName"].to_owned(),
                        found["currentValue"].to_owned(),
                    )
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let table = provision.split("table='").nth(1).unwrap();
    let mut rows = 0;
    for row in table.split('\'').next().unwrap().lines() {
        let cells: Vec<_> = row.split_whitespace().collect();
        let dependency = match cells.as_slice() {
            [tool, "cargo" | "pip", version] => (*tool, *version),
            [_, "go", version, program] => (program.split("/cmd/").next().unwrap(), *version),
            _ => continue,
        };
        rows += 1;
        let (name, version) = dependency;
        assert!(
            found.contains(&(name.to_owned(), version.to_owned())),
            "{row}"
        );
    }
    assert_eq!(found.len(), rows, "{found:?}");
    assert!(rows >= 10, "{rows} rows");
}
