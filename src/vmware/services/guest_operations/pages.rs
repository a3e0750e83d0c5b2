//! ListProcesses in pages: a list too long for a reply is kept, and the host asks for the rest of it.
//!
//! ```text
//! first   <key>7</key><totalSize>90001</totalSize><leftToSend>30001</leftToSend><proc>…
//! later   <leftToSend>0</leftToSend>…      asked for with key 7 and offset 60000
//! ```
//! The total counts a NUL at the end. A list is its caller's, for ten minutes or until all of it has gone
//! [vixTools.c].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::vmware::wire::vix::VixError;

/// Bytes of text in a reply.
pub(super) const MOST_IN_PAGE: usize = 60 << 10;
/// Lists that are kept; the oldest gives way.
const MOST_LISTS: usize = 4;
/// Bytes of all lists that are kept; the newest is, however long.
const MOST_IN_ALL: usize = 4 << 20;
/// For how long one is kept.
const LIFE: Duration = Duration::from_secs(600);

/// The lists that hosts have begun to read, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Pages {
    last_key: u32,
    lists: VecDeque<List>,
}

#[derive(Debug)]
struct List {
    key: u32,
    user: Arc<str>,
    text: String,
    until: Duration,
}

impl Pages {
    /// All of a list, or its first page.
    pub(super) fn first(&mut self, user: &Arc<str>, text: String, now: Duration) -> String {
        if text.len() <= MOST_IN_PAGE {
            return text;
        }
        self.last_key = self.last_key.wrapping_add(1).max(1);
        while self.lists.len() >= MOST_LISTS || self.held() + text.len() > MOST_IN_ALL {
            if self.lists.pop_front().is_none() {
                break;
            }
        }
        let list = List {
            key: self.last_key,
            user: Arc::clone(user),
            text,
            until: now.saturating_add(LIFE),
        };
        let (key, total) = (list.key, list.total());
        let (left, slice) = list.page(0);
        let page = format!(
            "<key>{key}</key><totalSize>{total}</totalSize><leftToSend>{left}</leftToSend>{slice}"
        );
        self.lists.push_back(list);
        page
    }

    /// A later page.
    ///
    /// # Errors
    /// [`VixError::FAIL`] when there is no such list, it is another user's, or has no such page.
    pub(super) fn next(&mut self, user: &str, key: u32, offset: u32) -> Result<String, VixError> {
        let is_it = |list: &List| list.key == key && &*list.user == user;
        let at = self.lists.iter().position(is_it).ok_or(VixError::FAIL)?;
        let list = self.lists.get(at).ok_or(VixError::FAIL)?;
        let offset = usize::try_from(offset).map_err(|_| VixError::FAIL)?;
        if offset >= list.total() {
            return Err(VixError::FAIL);
        }
        let (left, slice) = list.page(offset);
        let page = format!("<leftToSend>{left}</leftToSend>{slice}");
        if left == 0 {
            self.lists.remove(at);
        }
        Ok(page)
    }

    /// Bytes of the lists.
    fn held(&self) -> usize {
        self.lists.iter().map(|list| list.text.len()).sum()
    }

    /// Drops lists whose time is over.
    pub(super) fn expire(&mut self, now: Duration) {
        self.lists.retain(|list| now < list.until);
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.lists.front().map(|list| list.until)
    }
}

impl List {
    /// Its bytes, with the NUL at the end.
    const fn total(&self) -> usize {
        self.text.len() + 1
    }

    /// What is left after the page, and the page; characters stay whole.
    fn page(&self, offset: usize) -> (usize, &str) {
        let start = self.text.ceil_char_boundary(offset);
        let end = start.saturating_add(MOST_IN_PAGE).min(self.text.len());
        let end = self.text.floor_char_boundary(end);
        let left = if end == self.text.len() {
            0
        } else {
            self.total() - end
        };
        (left, self.text.get(start..end).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use vmx::guest_operations::Page;

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn user(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    /// A list of several pages, without a single-byte character.
    fn long() -> String {
        "ä€".repeat(40_000)
    }

    fn key_of(page: &str) -> u32 {
        Page::read(page).unwrap().begins.unwrap().0
    }

    #[test]
    fn what_a_reply_holds_comes_as_it_is() {
        let mut pages = Pages::default();
        let longest = "x".repeat(MOST_IN_PAGE);
        for text in ["", "a", &longest] {
            assert_eq!(pages.first(&user("a"), text.to_owned(), NOW), text);
        }
        assert_eq!(pages.poll_timeout(), None);
    }

    #[test]
    fn pages_put_together_are_the_list_and_then_it_is_gone() {
        for text in [
            long(),
            "x".repeat(MOST_IN_PAGE + 1),
            "x".repeat(2 * MOST_IN_PAGE),
        ] {
            let mut pages = Pages::default();
            let first = Page::read(&pages.first(&user("a"), text.clone(), NOW)).unwrap();
            let (key, total) = first.begins.unwrap();
            assert_eq!(total as usize, text.len() + 1);
            let (mut all, mut left) = (first.slice, first.left);
            while left > 0 {
                let page = pages.next("a", key, total - left).unwrap();
                assert!(page.len() < MOST_IN_PAGE + 50);
                let page = Page::read(&page).unwrap();
                all += &page.slice;
                assert!(page.left < left);
                left = page.left;
            }
            assert!(all == text);
            assert_eq!(pages.next("a", key, 1), Err(VixError::FAIL));
            assert_eq!(pages.poll_timeout(), None);
        }
    }

    #[test]
    fn a_page_is_given_to_its_user_alone_and_only_where_there_is_one() {
        let mut pages = Pages::default();
        let key = key_of(&pages.first(&user("a"), long(), NOW));
        assert_eq!(pages.next("b", key, 10), Err(VixError::FAIL));
        assert_eq!(pages.next("a", key + 1, 10), Err(VixError::FAIL));
        assert_eq!(pages.next("a", key, 200_001), Err(VixError::FAIL));
        assert_eq!(pages.next("a", key, u32::MAX), Err(VixError::FAIL));
        assert!(
            pages.next("a", key, 1).is_ok(),
            "in the middle of a character"
        );
        assert!(pages.next("a", key, 200_000).is_ok(), "the NUL alone");
    }

    #[test]
    fn long_lists_give_way_earlier() {
        let mut pages = Pages::default();
        let of = |len: usize| "x".repeat(len);
        let keys = [3 << 20, 1 << 20, 1 << 20, 9 << 20]
            .map(|len| (key_of(&pages.first(&user("a"), of(len), NOW)), pages.held()));
        let held = keys.map(|(_, held)| held >> 20);
        assert_eq!(held, [3, 4, 2, 9]);
        assert_eq!(pages.next("a", keys[2].0, 1), Err(VixError::FAIL));
        assert!(pages.next("a", keys[3].0, 1).is_ok());
    }

    #[test]
    fn lists_expire_and_give_way_to_newer_ones() {
        let mut pages = Pages::default();
        let keys: Vec<u32> = (0..5)
            .map(|second| {
                let now = NOW + Duration::from_secs(second);
                key_of(&pages.first(&user("a"), long(), now))
            })
            .collect();
        assert_eq!(pages.next("a", keys[0], 1), Err(VixError::FAIL));
        assert!(pages.next("a", keys[1], 1).is_ok());
        let due = pages.poll_timeout().unwrap();
        assert_eq!(due, NOW + Duration::from_secs(601));
        pages.expire(due - Duration::from_millis(1));
        assert!(pages.next("a", keys[1], 1).is_ok());
        pages.expire(due);
        assert_eq!(pages.next("a", keys[1], 1), Err(VixError::FAIL));
        assert!(pages.next("a", keys[2], 1).is_ok());
    }
}
