//! `support.tgz`: everything of `/talos` in one archive, within a time. What Talos does not give until then is
//! replaced by a line that says so, and listed in `MISSING.txt`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::task::Poll;
use std::time::Duration;

use super::archive::{IN_ONE_GO, Packer};
use super::fetch::Fetch;
use super::question::Question;
use super::tree::{self, Document};
use super::{Attributes, readme};
use crate::guest_operations::{Failure, Rooms};
use crate::inquiry::{Answer, Inquiry};

/// How long it may take: less than a request waits.
const PATIENCE: Duration = Duration::from_millis(2000);
/// Files that are asked for at a time.
const AT_A_TIME: usize = 8;
/// Bytes of one file, at most.
const MOST_IN_FILE: usize = 4 << 20;
/// What lists the files that are not whole.
const MISSING: &str = "MISSING.txt";

/// See the module.
#[derive(Debug)]
pub(super) struct Support {
    deadline: Duration,
    /// There is more to pack as soon as others had their turn.
    goes_on: bool,
    /// The services, and the types of resources, while they are waited for.
    lists: Vec<(&'static str, Question)>,
    queue: VecDeque<Part>,
    running: Vec<(String, Fetch)>,
    packer: Packer,
    /// The files that are not whole, with the reason.
    missing: String,
}

/// A file that is still to be asked for.
#[derive(Debug)]
struct Part {
    name: String,
    what: What,
}

/// What is in it.
#[derive(Debug)]
enum What {
    Document(Document),
    /// The resources of these types.
    Resources(VecDeque<String>),
}

impl Support {
    /// Begins to gather.
    ///
    /// # Errors
    /// [`Failure::Busy`] when too much is asked already.
    pub(super) fn new(rooms: &mut Rooms, now: Duration) -> Result<Self, Failure> {
        let lists = vec![
            (
                "services",
                Question::ask(Inquiry::Services, &mut rooms.inquiries)?,
            ),
            (
                "resources",
                Question::ask(Inquiry::ResourceTypes, &mut rooms.inquiries)?,
            ),
        ];
        let documents = [
            ("check.json", Document::Checks),
            ("dmesg.log", Document::Dmesg),
        ];
        let queue = documents.map(|(name, document)| Part {
            name: name.to_owned(),
            what: What::Document(document),
        });
        let mut support = Self {
            deadline: now.saturating_add(PATIENCE),
            goes_on: false,
            lists,
            queue: queue.into(),
            running: Vec::new(),
            packer: Packer::new(true),
            missing: String::new(),
        };
        let attributes = tree::file_attributes(tree::FILE_MODE, 0, rooms.seconds());
        let readme = readme::TEXT.as_bytes();
        support.packer.file("README.txt", &attributes, readme);
        Ok(support)
    }

    /// When it wants to go on although no answer has come.
    pub(super) const fn poll_timeout(&self) -> Duration {
        if self.goes_on {
            Duration::ZERO
        } else {
            self.deadline
        }
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        let running = self.running.iter().map(|(_, fetch)| fetch.held());
        running.sum::<usize>() + self.packer.held()
    }

    /// The archive, of at most `most` bytes, once everything is there or the time is over.
    pub(super) fn poll(&mut self, rooms: &mut Rooms, most: usize, now: Duration) -> Poll<Vec<u8>> {
        let attributes = tree::file_attributes(tree::FILE_MODE, 0, rooms.seconds());
        let mut left = IN_ONE_GO;
        self.goes_on = false;
        loop {
            self.poll_lists(rooms);
            let has_packed = self.poll_running(rooms, most, &mut left, &attributes, now);
            self.start(rooms, now);
            if self.lists.is_empty() && self.running.is_empty() && self.queue.is_empty() {
                return Poll::Ready(self.finish(&attributes));
            }
            if !has_packed {
                break;
            }
            if left == 0 && now < self.deadline {
                self.goes_on = true;
                return Poll::Pending;
            }
        }
        if now < self.deadline {
            return Poll::Pending;
        }
        Poll::Ready(self.give_up(&attributes))
    }

    fn poll_lists(&mut self, rooms: &mut Rooms) {
        for (folder, mut question) in std::mem::take(&mut self.lists) {
            match question.poll(&mut rooms.inquiries) {
                Poll::Pending => self.lists.push((folder, question)),
                Poll::Ready(Ok(Answer::Services(services))) => {
                    self.queue.extend(services.into_iter().filter_map(|id| {
                        Some(Part {
                            name: format!("{folder}/{}", tree::log_name(&id)?),
                            what: What::Document(Document::Log(id)),
                        })
                    }));
                }
                Poll::Ready(Ok(Answer::ResourceTypes(types))) => {
                    let mut files: BTreeMap<String, VecDeque<String>> = BTreeMap::new();
                    for of in types {
                        if let Some(file) = tree::resources_name(&of.name) {
                            files.entry(file).or_default().push_back(of.name);
                        }
                    }
                    self.queue
                        .extend(files.into_iter().map(|(file, names)| Part {
                            name: format!("{folder}/{file}"),
                            what: What::Resources(names),
                        }));
                }
                Poll::Ready(Ok(_)) => self.miss(&format!("{folder}/"), &Failure::Failed),
                Poll::Ready(Err(failure)) => self.miss(&format!("{folder}/"), &failure),
            }
        }
    }

    /// Packs what has come, until `left` is used up; whether something was packed.
    fn poll_running(
        &mut self,
        rooms: &mut Rooms,
        most: usize,
        left: &mut usize,
        attributes: &Attributes,
        now: Duration,
    ) -> bool {
        let mut has_packed = false;
        let mut room = most.saturating_sub(self.held());
        for (name, mut fetch) in std::mem::take(&mut self.running) {
            if *left == 0 {
                self.running.push((name, fetch));
                continue;
            }
            let before = fetch.held();
            match fetch.poll(rooms, before.saturating_add(room).min(MOST_IN_FILE), now) {
                Poll::Pending => {
                    room = room.saturating_sub(fetch.held().saturating_sub(before));
                    self.running.push((name, fetch));
                }
                Poll::Ready(result) => {
                    has_packed = true;
                    match result {
                        Ok(file) => {
                            self.packer.file(&name, attributes, &file.bytes);
                            *left = left.saturating_sub(file.bytes.len());
                        }
                        Err(failure) => self.leave_out(&name, attributes, Vec::new(), &failure),
                    }
                }
            }
        }
        has_packed
    }

    /// Asks for more files, a few at a time.
    fn start(&mut self, rooms: &mut Rooms, now: Duration) {
        while self.running.len() < AT_A_TIME {
            let Some(part) = self.queue.pop_front() else {
                return;
            };
            let fetch = match part.what {
                What::Document(document) => Fetch::document(&document, rooms, now),
                What::Resources(names) => Fetch::resources(names, rooms),
            };
            match fetch {
                Ok(fetch) => self.running.push((part.name, fetch)),
                Err(failure) => self.miss(&part.name, &failure),
            }
        }
    }

    /// Ends without what has not come.
    fn give_up(&mut self, attributes: &Attributes) -> Vec<u8> {
        for (folder, _) in std::mem::take(&mut self.lists) {
            self.miss(&format!("{folder}/"), &"Talos did not list it in time");
        }
        let why = "Talos did not give it in time";
        for (name, fetch) in std::mem::take(&mut self.running) {
            self.leave_out(&name, attributes, fetch.into_part(), &why);
        }
        for part in std::mem::take(&mut self.queue) {
            self.leave_out(&part.name, attributes, Vec::new(), &why);
        }
        self.finish(attributes)
    }

    /// A line in place of a file, or of the rest of it.
    fn leave_out(
        &mut self,
        name: &str,
        attributes: &Attributes,
        mut part: Vec<u8>,
        why: &dyn std::fmt::Display,
    ) {
        part.extend_from_slice(format!("[not here: {why}]\n").as_bytes());
        self.packer.file(name, attributes, &part);
        self.miss(name, why);
    }

    fn miss(&mut self, name: &str, why: &dyn std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.missing, "{name}: {why}");
    }

    fn finish(&mut self, attributes: &Attributes) -> Vec<u8> {
        if !self.missing.is_empty() {
            let missing = std::mem::take(&mut self.missing);
            self.packer.file(MISSING, attributes, missing.as_bytes());
        }
        self.packer.finish();
        std::mem::take(self.packer.out())
    }
}
