//! The tables of docs/guest-info.md, and of docs/reliability.md on time, name a test for what they claim.

use std::collections::BTreeSet;
use std::path::Path;

/// Names in backticks: all in the last cell of a row, and elsewhere those that can only be tests.
fn named_tests(document: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        word.bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let mut names = BTreeSet::new();
    for line in document.lines() {
        let (text, least) = match line.strip_suffix(" |") {
            Some(row) => (row.rsplit('|').next().unwrap_or_default(), 1),
            None => (line, 3),
        };
        let words = text.split('`').skip(1).step_by(2).filter(is_name);
        names.extend(words.filter(|word| word.matches('_').count() >= least));
    }
    names
}

/// Names of all functions in the Rust files below a folder.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = |line: &str| {
                let line = line.trim_start();
                Some(
                    line.strip_prefix("async ")
                        .unwrap_or(line)
                        .strip_prefix("fn ")?
                        .split('(')
                        .next()?
                        .to_owned(),
                )
            };
            names.extend(text.lines().filter_map(name));
        }
    }
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join("docs").join(name)).unwrap();
    let guest_info = read("guest-info.md");
    let reliability = read("reliability.md");
    let time = reliability.split("\n## Time\n").nth(1).unwrap();
    let time = time.split("\n## ").next().unwrap();
    let (of_guest_info, of_time) = (named_tests(&guest_info), named_tests(time));
    assert!(of_guest_info.len() > 30, "{of_guest_info:?}");
    assert!(of_time.len() > 30, "{of_time:?}");
    let named: BTreeSet<_> = of_guest_info.union(&of_time).copied().collect();
    let mut functions_here = BTreeSet::new();
    for folder in ["src", "tests"] {
        functions(&root.join(folder), &mut functions_here);
    }
    let missing: Vec<_> = named
        .into_iter()
        .filter(|name| !functions_here.contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
