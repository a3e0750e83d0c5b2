//! Patterns of interface names: `*` stands for any text, `?` for one character, as in open-vm-tools' tools.conf.
//!
//! These two are all that glib's patterns know, so a crate would bring classes and alternatives that nobody may
//! use here. Matching never goes back further than the last star, so it takes at most pattern × text steps.

use std::fmt;
use std::str::Chars;

/// A pattern that a whole name matches or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// Every text is a pattern; one without `*` and `?` matches itself alone.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// Whether the whole of `text` is described by the pattern.
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut text) = (self.0.chars(), text.chars());
        // Where to go on after a mismatch: behind the last star, with one character more under it.
        let mut retry: Option<(Chars<'_>, Chars<'_>)> = None;
        loop {
            let (mut rest, mut unread) = (pattern.clone(), text.clone());
            match (rest.next(), unread.next()) {
                (Some('*'), _) => {
                    retry = Some((rest.clone(), text.clone()));
                    pattern = rest;
                }
                (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                    (pattern, text) = (rest, unread);
                }
                (None, None) => return true,
                _ => {
                    let Some((behind, under)) = &mut retry else {
                        return false;
                    };
                    if under.next().is_none() {
                        return false;
                    }
                    (pattern, text) = (behind.clone(), under.clone());
                }
            }
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text, matches) in [
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("eth0", "eth", false),
            ("cali*", "cali", true),
            ("cali*", "cali12ab", true),
            ("cali*", "xcali", false),
            ("*.cali", "bpfin.cali", true),
            ("*.cali", "bpfin.calico", false),
            ("????????-??????", "coredns--1a2b3c", true),
            ("????????-??????", "antrea-gw0", false),
            ("e*0*1", "eth0.101", true),
            ("e*0*1", "eth0.102", false),
            ("*", "", true),
            ("?", "", false),
            ("", "", true),
            ("a*b*c", "abcbcb", false),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(text),
                matches,
                "{pattern} {text}"
            );
        }
    }

    /// The definition, however slow.
    fn defined(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=text.len()).any(|under| defined(rest, &text[under..])),
            (Some((wanted, rest)), Some((found, unread))) => {
                (*wanted == '?' || wanted == found) && defined(rest, unread)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_follows_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Glob::new(&pattern).matches(&text), defined(&chars(&pattern), &chars(&text)));
        }
    }
}
