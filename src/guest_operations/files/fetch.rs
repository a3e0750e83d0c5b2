//! The whole contents of one file, as they are now.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use super::node_files::{self, Allowed, Standing, Walk};
use super::question::{Bytes, Question};
use super::support::Support;
use super::tree::{self, Document, Place};
use super::{Attributes, MOST_IN_FILE, readme};
use crate::diagnosis;
use crate::guest_operations::inquiries::Inquiries;
use crate::guest_operations::{Failure, Rooms};
use crate::inquiry::{Answer, EntryKind, Form, Inquiry};

/// A file as it was at one time, or what is there instead of one.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// Its attributes, with the size that comes.
    pub(super) attributes: Attributes,
    /// Its contents; nothing where it is no file.
    pub(super) bytes: Arc<[u8]>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Fetch {
    stage: Stage,
    /// What has come.
    got: Vec<u8>,
    attributes: Attributes,
    /// Whether a file of the node may be read, and not only looked at.
    may_read: bool,
}

/// What is waited for.
#[derive(Debug)]
enum Stage {
    /// Nothing.
    Done,
    /// Bytes.
    Bytes(Bytes),
    /// The agent's checks.
    Checks(Question),
    /// The types of resources, of which those with this first part are wanted.
    Types(Question, String),
    /// The resources of one type, and the types after it.
    Resources(Bytes, VecDeque<String>),
    /// All of them in one archive.
    Support(Box<Support>),
    /// The way to a file of the node.
    Walk(Walk),
}

impl Fetch {
    /// That of what a path names.
    ///
    /// # Errors
    /// [`Failure::NotFound`] when it is not there, [`Failure::Busy`] when too much is asked already.
    pub(super) fn of(
        place: &Place,
        user: &str,
        allowed: &Allowed,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Result<Self, Failure> {
        match place {
            Place::Document(document) => Self::document(document, rooms, now),
            Place::Temporary(name) => {
                let got = rooms.temporaries.read(user, name, now)?.to_vec();
                let time = rooms.seconds();
                Ok(Self {
                    got,
                    attributes: tree::file_attributes(tree::OWN_FILE_MODE, 0, time),
                    ..Self::new(Stage::Done, time)
                })
            }
            Place::Node(components) => Ok(Self {
                may_read: allowed.standing(components) == Standing::Within,
                ..Self::new(Stage::Walk(Walk::new(components.clone())), rooms.seconds())
            }),
            Place::Folder(_) | Place::Process(_) => {
                let time = rooms.seconds();
                Ok(Self {
                    attributes: tree::folder_attributes(time),
                    ..Self::new(Stage::Done, time)
                })
            }
            Place::Stdio(..) => Err(Failure::NotFound),
        }
    }

    /// That of a document.
    ///
    /// # Errors
    /// [`Failure::Busy`] when too much is asked already.
    pub(super) fn document(
        document: &Document,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Result<Self, Failure> {
        let time = rooms.seconds();
        let inquiries = &mut rooms.inquiries;
        let mut got = Vec::new();
        let stage = match document {
            Document::Readme => {
                got.extend_from_slice(readme::TEXT.as_bytes());
                Stage::Done
            }
            Document::Checks => Stage::Checks(Question::ask(Inquiry::Checks, inquiries)?),
            Document::Dmesg => {
                Stage::Bytes(Bytes::ask(Inquiry::Dmesg { follow: false }, inquiries)?)
            }
            Document::Log(service) => Stage::Bytes(Bytes::ask(log_of(service), inquiries)?),
            Document::Resources(stem) => {
                let question = Question::ask(Inquiry::ResourceTypes, inquiries)?;
                Stage::Types(question, stem.clone())
            }
            Document::Support => Stage::Support(Box::new(Support::new(rooms, now)?)),
        };
        Ok(Self {
            got,
            ..Self::new(stage, time)
        })
    }

    /// All resources of the first of these types, then of the others.
    ///
    /// # Errors
    /// [`Failure::NotFound`] when there is no type, [`Failure::Busy`] when too much is asked already.
    pub(super) fn resources(names: VecDeque<String>, rooms: &mut Rooms) -> Result<Self, Failure> {
        let stage = Stage::resources(names, &mut rooms.inquiries)?;
        Ok(Self::new(stage, rooms.seconds()))
    }

    const fn new(stage: Stage, time: i64) -> Self {
        Self {
            stage,
            got: Vec::new(),
            attributes: tree::file_attributes(tree::FILE_MODE, 0, time),
            may_read: false,
        }
    }

    /// What has come so far.
    pub(super) fn into_part(self) -> Vec<u8> {
        self.got
    }

    /// Bytes that it holds.
    pub(super) fn held(&self) -> usize {
        match &self.stage {
            Stage::Support(support) => support.held(),
            _ => self.got.len(),
        }
    }

    /// When it wants to be polled although no answer has come.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        match &self.stage {
            Stage::Support(support) => Some(support.poll_timeout()),
            _ => None,
        }
    }

    /// The file, once all of it is there. It may have `most` bytes.
    pub(super) fn poll(
        &mut self,
        rooms: &mut Rooms,
        most: usize,
        now: Duration,
    ) -> Poll<Result<Prepared, Failure>> {
        ready!(self.poll_bytes(rooms, most, now))?;
        self.stage = Stage::Done;
        let bytes: Arc<[u8]> = std::mem::take(&mut self.got).into();
        let mut attributes = self.attributes.clone();
        attributes.size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if bytes.len() > most {
            return Poll::Ready(Err(Failure::NoRoom));
        }
        Poll::Ready(Ok(Prepared { attributes, bytes }))
    }

    fn poll_bytes(
        &mut self,
        rooms: &mut Rooms,
        most: usize,
        now: Duration,
    ) -> Poll<Result<(), Failure>> {
        loop {
            let inquiries = &mut rooms.inquiries;
            self.stage = match &mut self.stage {
                Stage::Done => return Poll::Ready(Ok(())),
                Stage::Bytes(bytes) => {
                    ready!(bytes.gather(inquiries, &mut self.got, most))?;
                    Stage::Done
                }
                Stage::Checks(question) => {
                    self.got = checks(&ready!(question.poll(inquiries))?)?;
                    Stage::Done
                }
                Stage::Types(question, stem) => {
                    let Answer::ResourceTypes(types) = ready!(question.poll(inquiries))? else {
                        return Poll::Ready(Err(Failure::Failed));
                    };
                    let names = types.into_iter().map(|of| of.name);
                    let names = names.filter(|name| tree::stem(name) == *stem).collect();
                    Stage::resources(names, inquiries)?
                }
                Stage::Resources(bytes, names) => {
                    ready!(bytes.gather(inquiries, &mut self.got, most))?;
                    if names.is_empty() {
                        Stage::Done
                    } else {
                        Stage::resources(std::mem::take(names), inquiries)?
                    }
                }
                Stage::Support(support) => {
                    self.got = ready!(support.poll(rooms, most, now));
                    Stage::Done
                }
                Stage::Walk(walk) => {
                    let entry = ready!(walk.poll(inquiries))?;
                    self.attributes = node_files::attributes(&entry);
                    match entry.kind {
                        EntryKind::File if !self.may_read => {
                            return Poll::Ready(Err(Failure::NotFound));
                        }
                        EntryKind::File => {
                            let path = super::location::path_of(walk.components());
                            let most = MOST_IN_FILE as u64;
                            Stage::Bytes(Bytes::ask(Inquiry::Read { path, most }, inquiries)?)
                        }
                        EntryKind::Folder | EntryKind::Link(_) => Stage::Done,
                        EntryKind::Other => return Poll::Ready(Err(Failure::NotAFile)),
                    }
                }
            };
        }
    }
}

impl Stage {
    /// Asks for the first of these types.
    ///
    /// # Errors
    /// [`Failure::NotFound`] when there is no type, [`Failure::Busy`] when too much is asked already.
    fn resources(mut names: VecDeque<String>, inquiries: &mut Inquiries) -> Result<Self, Failure> {
        let first = names.pop_front().ok_or(Failure::NotFound)?;
        let bytes = Bytes::ask(resources_of(first), inquiries)?;
        Ok(Self::Resources(bytes, names))
    }
}

impl Prepared {
    /// Its contents, if it is a file.
    ///
    /// # Errors
    /// As [`super::Kind::must_be_file`].
    pub(super) fn contents(&self) -> Result<&Arc<[u8]>, Failure> {
        self.attributes.kind.must_be_file().map(|()| &self.bytes)
    }
}

/// All of a service's log.
fn log_of(service: &str) -> Inquiry {
    Inquiry::Logs {
        service: service.to_owned(),
        tail: None,
        follow: false,
    }
}

/// All resources of a type.
const fn resources_of(kind: String) -> Inquiry {
    Inquiry::Resources {
        kind,
        id: None,
        form: Form::Yaml,
    }
}

/// The checks as a file.
fn checks(answer: &Answer) -> Result<Vec<u8>, Failure> {
    let Answer::Checks(checks) = answer else {
        return Err(Failure::Failed);
    };
    let mut text = format!("{:#}", diagnosis::json(checks));
    text.push('\n');
    Ok(text.into_bytes())
}
