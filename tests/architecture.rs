//! Who imports whom in `src/`: only along the arrows that the table of `src/lib.rs` has, which run downwards. And what
//! else sources show at a look: that a line of the log says what it is.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms that are made of rooms.
const HOUSES: [&str; 2] = ["vmware", "qemu"];
/// Not rooms: the roots, and what stands there for tests and fuzzing.
const NO_ROOMS: [&str; 3] = ["lib", "main", "fuzz"];

type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn imports_follow_the_table_and_the_table_has_no_arrow_too_many() {
    let table = table();
    let mut imports = Arrows::new();
    for file in sources(Path::new("src")) {
        let module = module(&file);
        let Some(room) = room(&module) else { continue };
        let text = fs::read_to_string(&file).unwrap();
        let targets = imports.entry(room.clone()).or_default();
        for path in paths(&production(&text), &module) {
            targets.extend(self::room(&path).filter(|target| *target != room));
        }
    }
    let table: Arrows = table.into_iter().collect();
    for (room, targets) in &imports {
        let allowed = table
            .get(room)
            .unwrap_or_else(|| panic!("src/lib.rs has no row for {room}"));
        let above: Vec<_> = targets.difference(allowed).collect();
        assert!(above.is_empty(), "{room} must not import {above:?}");
        let unused: Vec<_> = allowed.difference(targets).collect();
        assert!(unused.is_empty(), "{room} does not import {unused:?}");
    }
    let (rooms, rows): (Vec<_>, Vec<_>) = (imports.keys().collect(), table.keys().collect());
    assert_eq!(rooms, rows, "rooms of src/ and rows of the table");
}

#[test]
fn every_arrow_runs_downwards() {
    let table = table();
    for (row, (room, targets)) in table.iter().enumerate() {
        for target in targets {
            let below = table.iter().position(|(name, _)| name == target);
            let below =
                below.unwrap_or_else(|| panic!("{room} imports {target}, which is no room"));
            assert!(below > row, "{room} stands below {target}");
        }
    }
}

/// Neither knows the other; what they share stands below both.
#[test]
fn hypervisors_and_talos_do_not_know_each_other() {
    let sides = ["vmware", "qemu", "talos"];
    let side = |room: &str| {
        sides
            .iter()
            .position(|side| room.split("::").next() == Some(side))
    };
    for (room, targets) in table() {
        for target in targets {
            if let (Some(one), Some(other)) = (side(&room), side(&target)) {
                assert_eq!(one, other, "{room} imports {target}");
            }
        }
    }
}

/// The rows of the table, from the top: a room, and the rooms that it imports.
fn table() -> Vec<(String, BTreeSet<String>)> {
    let text = fs::read_to_string("src/lib.rs").unwrap();
    let (_, text) = text.split_once("# Who imports whom").unwrap();
    let rows = text
        .lines()
        .skip_while(|line| !line.contains("```text"))
        .skip(1)
        .take_while(|line| !line.contains("```"));
    let mut table: Vec<(String, BTreeSet<String>)> = Vec::new();
    for row in rows.map(|row| row.trim_start_matches("//!")) {
        // A row without an arrow goes on with the one before.
        let targets = match row.split_once('→') {
            Some((room, targets)) => {
                table.push((room.trim().to_owned(), BTreeSet::new()));
                targets
            }
            None => row,
        };
        let (_, all) = table.last_mut().unwrap();
        let targets = targets.split_whitespace().map(str::to_owned);
        all.extend(targets.filter(|target| target != "–"));
    }
    table
}

/// All files of the program itself.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_for_tests = name == "tests"
            || ["tests.rs", "fuzz.rs", "fake.rs", "fake_peer.rs"].contains(&name.as_str())
            || name.ends_with("_tests.rs");
        if is_for_tests {
            continue;
        }
        if path.is_dir() {
            files.extend(sources(&path));
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    files
}

/// `src/vmware/rpc/tclo/mod.rs` is `["vmware", "rpc", "tclo"]`.
fn module(file: &Path) -> Vec<String> {
    let path = file.strip_prefix("src").unwrap().with_extension("");
    let mut module: Vec<_> = path
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    module.pop_if(|last| last == "mod");
    module
}

/// The room that a path leads to.
fn room(path: &[String]) -> Option<String> {
    let first = path.first()?;
    if NO_ROOMS.contains(&first.as_str()) {
        return None;
    }
    let inner = path.get(1).filter(|inner| {
        let is_room = || Path::new("src").join(first).join(inner).is_dir();
        HOUSES.contains(&first.as_str()) && is_room()
    });
    Some(match inner {
        Some(inner) => format!("{first}::{inner}"),
        None => first.clone(),
    })
}

/// The text without comments and without what is compiled for tests alone, which stands last.
fn production(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(code).collect::<Vec<_>>().join("\n")
}

/// Where the paths lead that begin with `crate` or `super`, from the root.
fn paths(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in text.match_indices(start) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut base = match start {
                "crate::" => Vec::new(),
                _ => module[..module.len() - 1].to_vec(),
            };
            let mut rest = &text[at + start.len()..];
            while let Some(further) = rest.strip_prefix("super::") {
                base.pop();
                rest = further;
            }
            found.extend(
                tree(rest)
                    .into_iter()
                    .map(|path| [base.clone(), path].concat()),
            );
        }
    }
    found
}

/// The first two names of each path of a tree such as `a::{b, c::D}`.
fn tree(text: &str) -> Vec<Vec<String>> {
    let Some(group) = text.strip_prefix('{') else {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        let below = rest.strip_prefix("::").map(tree).unwrap_or_default();
        let path = |below: Vec<String>| [vec![name.to_owned()], below].concat();
        return match below.is_empty() {
            true => vec![path(Vec::new())],
            false => below.into_iter().map(path).collect(),
        };
    };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let member = group[start..at].trim();
                if !member.is_empty() {
                    found.extend(tree(member));
                }
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

#[test]
fn imports_are_read_as_the_compiler_reads_them() {
    let module = ["vmware", "rpc", "tclo"].map(str::to_owned);
    let text = "use crate::a::{b, c::D};\nuse super::super::link;\nlet x = super::route::y();";
    let mut rooms: Vec<String> = paths(text, &module)
        .iter()
        .map(|path| path.join("::"))
        .collect();
    rooms.sort();
    assert_eq!(
        rooms,
        ["a::b", "a::c::D", "vmware::link", "vmware::rpc::route::y"]
    );
    let code =
        production("// crate::x\nuse crate::y;\n#[cfg(test)]\nmod tests {\nuse crate::z;\n}");
    assert_eq!(code, "use crate::y;");
}

/// A constant behind the fields would be one more field, and the line without a message.
#[test]
fn every_warning_and_error_has_a_literal_message() {
    let mut found = 0;
    for file in sources(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        let text = production(&text);
        for name in ["warn!(", "error!("] {
            for (start, _) in text.match_indices(name) {
                let arguments = arguments(&text[start + name.len()..]);
                // A message of its own, or the last of the arguments.
                let message = arguments.trim_end().trim_end_matches(',').trim_end();
                assert!(
                    message.ends_with('"') && !message.ends_with("= \"\""),
                    "{}: {name}{arguments})",
                    file.display()
                );
                found += 1;
            }
        }
    }
    assert!(found > 20, "{found} lines of the log");
}

/// What is between the parentheses, the first of which is open.
fn arguments(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (index, c) in text.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        escaped = quoted && c == '\\' && !escaped;
        if depth == 0 {
            return &text[..index];
        }
    }
    text
}
