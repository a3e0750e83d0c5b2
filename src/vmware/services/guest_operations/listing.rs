//! Pages of ListFiles: the host asks with `offset` while a reply does not hold all, the client with `index`.

use regex_lite::{Regex, RegexBuilder};

use super::pages::MOST_IN_PAGE;
use crate::guest_operations::files::{Kind, Listed};
use crate::vmware::wire::vix::{FileText, ListFiles, VixError, file_page};

/// The longest pattern, in bytes.
const MOST_IN_PATTERN: usize = 1 << 10;
/// The largest program of a pattern, in bytes, and the one that it may have among however many names.
const MOST_IN_PROGRAM: (usize, usize) = (64 << 10, 512);
/// Bytes of the program times bytes of the names, which is what matching takes: the host's pings wait for it.
const MOST_WORK: usize = 256 << 20;

/// What of a folder's entries is asked for, as far as a reply holds it.
///
/// # Errors
/// [`VixError::INVALID_ARGUMENT`] when the pattern is no regular expression, or too costly for so many names, or the
/// numbers make no page.
pub(super) fn page(listed: &[Listed], wanted: &ListFiles<'_>) -> Result<String, VixError> {
    let invalid = |_| VixError::INVALID_ARGUMENT;
    let index = usize::try_from(wanted.index).map_err(invalid)?;
    let most = usize::try_from(wanted.most).map_err(invalid)?;
    let offset = usize::try_from(wanted.offset).map_err(invalid)?;
    if offset >= most && offset != 0 {
        return Err(VixError::INVALID_ARGUMENT);
    }
    let pattern = pattern(wanted.pattern, listed)?;
    let is_match = |entry: &&Listed| {
        let pattern = pattern.as_ref();
        pattern.is_none_or(|pattern| pattern.is_match(&entry.name))
    };
    let entries: Vec<&Listed> = listed.iter().filter(is_match).collect();
    let rest = entries
        .get(index.saturating_add(offset)..)
        .unwrap_or_default();
    let page = rest.get(..most - offset).unwrap_or(rest);
    let mut text = String::new();
    let mut count = 0;
    for entry in page {
        let file = file(entry);
        if count > 0 && text.len() + file.len() > MOST_IN_PAGE {
            break;
        }
        text += &file;
        count += 1;
    }
    Ok(file_page(count < page.len(), rest.len() - count, &text))
}

/// A file as one `<fxi>`.
pub(super) fn file(file: &Listed) -> String {
    let Listed { name, attributes } = file;
    let (kind, target) = match &attributes.kind {
        Kind::File => (0, ""),
        Kind::Folder => (1, ""),
        Kind::Link(target) => (2, target.as_str()),
    };
    let text = FileText {
        name,
        kind,
        size: attributes.size,
        modified: attributes.times.1,
        accessed: attributes.times.0,
        uid: attributes.owner.0,
        gid: attributes.owner.1,
        mode: attributes.mode,
        target,
    };
    text.to_string()
}

/// None for an empty one. The more there is to match, the simpler it has to be.
fn pattern(text: &str, listed: &[Listed]) -> Result<Option<Regex>, VixError> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > MOST_IN_PATTERN {
        return Err(VixError::INVALID_ARGUMENT);
    }
    let (largest, always) = MOST_IN_PROGRAM;
    let names: usize = listed.iter().map(|entry| entry.name.len()).sum();
    let largest = (MOST_WORK / names.max(1)).clamp(always, largest);
    let pattern = RegexBuilder::new(text).size_limit(largest).build();
    pattern.map(Some).map_err(|_| VixError::INVALID_ARGUMENT)
}

#[cfg(test)]
mod tests {
    use vmx::guest_operations::Listing;

    use super::*;
    use crate::guest_operations::files::Attributes;

    fn folder(names: &[&str]) -> Vec<Listed> {
        let entry = |name: &&str| Listed {
            name: (*name).to_owned(),
            attributes: Attributes {
                kind: Kind::File,
                size: 7,
                times: (1, 2),
                mode: 0o100_444,
                owner: (3, 4),
            },
        };
        names.iter().map(entry).collect()
    }

    fn wanted(pattern: &str, index: i32, most: i32, offset: u64) -> ListFiles<'_> {
        ListFiles {
            path: "",
            pattern,
            index,
            most,
            offset,
        }
    }

    /// Names, those that remain, and whether the page was cut.
    fn names(listed: &[Listed], wanted: &ListFiles<'_>) -> (Vec<String>, u64, bool) {
        let listing = Listing::read(&page(listed, wanted).unwrap()).unwrap();
        let names = listing.files.into_iter().map(|file| file.name).collect();
        (names, listing.remaining, listing.truncated)
    }

    #[test]
    fn the_page_is_what_index_most_and_offset_say() {
        let five = folder(&["a", "b", "c", "d", "e"]);
        for (index, most, offset, expected, remaining) in [
            (0, 10, 0, "abcde", 0),
            (0, i32::MAX, 0, "abcde", 0),
            (0, 2, 0, "ab", 3),
            (2, 2, 0, "cd", 1),
            (4, 2, 0, "e", 0),
            (5, 2, 0, "", 0),
            (9, 2, 0, "", 0),
            (i32::MAX, i32::MAX, 0, "", 0),
            (0, 0, 0, "", 5),
            (1, 3, 1, "cd", 1),
            (1, 3, 2, "d", 1),
            (4, 9, 8, "", 0),
        ] {
            let (names, left, is_cut) = names(&five, &wanted("", index, most, offset));
            assert_eq!(
                (names.concat().as_str(), left, is_cut),
                (expected, remaining, false)
            );
        }
        for (index, most, offset) in [
            (-1, 1, 0),
            (0, -1, 0),
            (0, 2, 2),
            (0, 0, 1),
            (0, 2, u64::MAX),
        ] {
            let refused = page(&five, &wanted("", index, most, offset));
            assert_eq!(
                refused,
                Err(VixError::INVALID_ARGUMENT),
                "{index} {most} {offset}"
            );
        }
    }

    #[test]
    fn a_pattern_is_a_regular_expression_that_need_not_match_the_whole_name() {
        let logs = folder(&[".", "..", "apid.log", "etcd.log", "etcd.txt"]);
        let of = |pattern| names(&logs, &wanted(pattern, 0, 9, 0)).0.join(" ");
        assert_eq!(of("etcd"), "etcd.log etcd.txt");
        assert_eq!(of(r"^[a-d].*\.log$"), "apid.log");
        assert_eq!(of("nothing"), "");
        let long = "a".repeat(2000);
        for pattern in ["[", "(", "*", r"\", "a{1000}{1000}{1000}", "(?P<n", &long] {
            let refused = page(&logs, &wanted(pattern, 0, 9, 0));
            assert_eq!(refused, Err(VixError::INVALID_ARGUMENT), "{pattern}");
        }
    }

    #[test]
    fn among_many_names_only_a_simple_pattern_is_looked_for() {
        let names: Vec<String> = (0..20_000).map(|n| format!("{n:0>30}.log")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (few, many) = (folder(&names[..50]), folder(&names));
        let costly = "(?:a?){100}b";
        assert!(page(&few, &wanted(costly, 0, 9, 0)).is_ok());
        let refused = page(&many, &wanted(costly, 0, 9, 0));
        assert_eq!(refused, Err(VixError::INVALID_ARGUMENT));
        let (found, ..) = self::names(&many, &wanted(r"19999\.log$", 0, 9, 0));
        assert_eq!(found, names[19_999..]);
    }

    #[test]
    fn what_does_not_fit_into_a_reply_comes_with_the_next_offset() {
        let names: Vec<String> = (0..2000).map(|n| format!("{n:0>200}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let big = folder(&names);
        let mut seen = Vec::new();
        for replies in 1.. {
            let text = page(&big, &wanted("", 100, 1500, seen.len() as u64)).unwrap();
            assert!(text.len() <= MOST_IN_PAGE + 100, "{}", text.len());
            let listing = Listing::read(&text).unwrap();
            assert!(!listing.files.is_empty());
            seen.extend(listing.files.into_iter().map(|file| file.name));
            assert_eq!(listing.remaining as usize, 1900 - seen.len());
            if !listing.truncated {
                assert!(replies > 5);
                break;
            }
        }
        assert_eq!(seen, names[100..1600]);
    }

    #[test]
    fn a_name_that_no_reply_holds_comes_alone() {
        let huge = "%".repeat(30_000);
        let (seen, ..) = names(&folder(&[&huge, "b"]), &wanted("", 0, 9, 0));
        assert_eq!(seen, [huge]);
    }
}
