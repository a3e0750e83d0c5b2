//! What is in one folder, as far as it must be asked for.

use std::task::{Poll, ready};
use std::time::Duration;

use super::node_files::{self, Allowed, Standing, Walk};
use super::question::Question;
use super::tree::{self, Folder, Place};
use super::{Attributes, Kind, Listed};
use crate::guest_operations::{Failure, Rooms};
use crate::inquiry::{Answer, Inquiry};

/// How long Talos is waited for where it only adds to what is there.
const PATIENCE: Duration = Duration::from_millis(1500);

/// See the module.
#[derive(Debug)]
pub(super) struct Lister {
    stage: Stage,
    /// What is known.
    known: Vec<Listed>,
    /// What must be there beside it, although Talos has not said so.
    guessed: Vec<Listed>,
    /// The folder itself.
    itself: Attributes,
    /// How long to wait for Talos where it only adds to what is known.
    until: Option<Duration>,
}

/// What is at a path.
#[derive(Debug)]
pub(super) struct Found {
    /// That itself.
    pub(super) itself: Attributes,
    /// What is in it, without `.` and `..`, in order; nothing where it is no folder.
    pub(super) entries: Option<Vec<Listed>>,
}

/// What is waited for.
#[derive(Debug)]
enum Stage {
    /// Nothing.
    Done,
    /// The services.
    Services(Question),
    /// The types of resources.
    Types(Question),
    /// The way to a folder of the node.
    Walk(Walk),
    /// What is in it.
    List(Vec<String>, Question),
}

impl Lister {
    /// What is in a folder. `own` are the numbers of the caller's programs.
    ///
    /// # Errors
    /// [`Failure::NotAFolder`] when it is none, [`Failure::Busy`] when too much is asked already.
    pub(super) fn new(
        place: &Place,
        user: &str,
        own: &[u64],
        allowed: &Allowed,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Result<Self, Failure> {
        let time = rooms.seconds();
        let mut known = Vec::new();
        let mut guessed = Vec::new();
        let mut until = None;
        let stage = match place {
            Place::Folder(folder) => {
                known = tree::fixed(*folder, time);
                match folder {
                    Folder::Services => {
                        Stage::Services(Question::ask(Inquiry::Services, &mut rooms.inquiries)?)
                    }
                    Folder::Resources => {
                        let inquiry = Inquiry::ResourceTypes;
                        Stage::Types(Question::ask(inquiry, &mut rooms.inquiries)?)
                    }
                    Folder::Tmp => {
                        known.extend(rooms.temporaries.list(user).map(|(name, len)| {
                            let len = u64::try_from(len).unwrap_or(u64::MAX);
                            tree::listed(
                                name,
                                tree::file_attributes(tree::OWN_FILE_MODE, len, time),
                            )
                        }));
                        Stage::Done
                    }
                    Folder::Root | Folder::Proc => {
                        let mut path = Vec::new();
                        if *folder == Folder::Proc {
                            path.push("proc".to_owned());
                            let own = own.iter().map(u64::to_string);
                            let attributes = tree::folder_attributes(time);
                            known.extend(own.map(|pid| tree::listed(pid, attributes.clone())));
                        }
                        let next = allowed.next(&path).into_iter();
                        let sure = next.filter(|(_, is_folder)| *is_folder);
                        guessed.extend(
                            sure.map(|(name, _)| tree::listed(name, tree::folder_attributes(time))),
                        );
                        if adds(allowed, &path, &known) {
                            until = Some(now.saturating_add(PATIENCE));
                            Stage::Walk(Walk::new(path))
                        } else {
                            Stage::Done
                        }
                    }
                    Folder::Talos => Stage::Done,
                }
            }
            Place::Process(_) => {
                known = tree::in_process_folder(time);
                Stage::Done
            }
            Place::Node(components) => Stage::Walk(Walk::new(components.clone())),
            Place::Stdio(..) | Place::Document(_) | Place::Temporary(_) => {
                return Err(Failure::NotAFolder);
            }
        };
        Ok(Self {
            stage,
            known,
            guessed,
            itself: tree::folder_attributes(time),
            until,
        })
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub(super) const fn poll_timeout(&self) -> Option<Duration> {
        self.until
    }

    /// Waits no longer than there is patience for.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        if self.until.is_some_and(|until| until <= now) {
            self.until = None;
            self.stage = Stage::Done;
        }
    }

    /// What is there, once that is known.
    pub(super) fn poll(
        &mut self,
        allowed: &Allowed,
        rooms: &mut Rooms,
        now: Duration,
    ) -> Poll<Result<Found, Failure>> {
        self.handle_timeout(now);
        let result = ready!(self.poll_stage(allowed, rooms));
        self.stage = Stage::Done;
        if self.until.is_none() {
            result?;
        }
        let itself = self.itself.clone();
        if itself.kind != Kind::Folder {
            let entries = None;
            return Poll::Ready(Ok(Found { itself, entries }));
        }
        let mut known = std::mem::take(&mut self.known);
        known.append(&mut self.guessed);
        // What came first stays, so that what is made up hides what the node has.
        known.sort_by(|one, other| one.name.cmp(&other.name));
        known.dedup_by(|later, first| later.name == first.name);
        let entries = Some(known);
        Poll::Ready(Ok(Found { itself, entries }))
    }

    fn poll_stage(&mut self, allowed: &Allowed, rooms: &mut Rooms) -> Poll<Result<(), Failure>> {
        let time = rooms.seconds();
        let inquiries = &mut rooms.inquiries;
        loop {
            match &mut self.stage {
                Stage::Done => return Poll::Ready(Ok(())),
                Stage::Services(question) => {
                    let Answer::Services(names) = ready!(question.poll(inquiries))? else {
                        return Poll::Ready(Err(Failure::Failed));
                    };
                    let names = names.iter().filter_map(|id| tree::log_name(id));
                    self.known.extend(documents(names, time));
                    self.stage = Stage::Done;
                }
                Stage::Types(question) => {
                    let Answer::ResourceTypes(types) = ready!(question.poll(inquiries))? else {
                        return Poll::Ready(Err(Failure::Failed));
                    };
                    let names = types.iter().filter_map(|of| tree::resources_name(&of.name));
                    self.known.extend(documents(names, time));
                    self.stage = Stage::Done;
                }
                Stage::Walk(walk) => {
                    let entry = ready!(walk.poll(inquiries))?;
                    self.itself = node_files::attributes(&entry);
                    if self.itself.kind != Kind::Folder {
                        self.stage = Stage::Done;
                        continue;
                    }
                    let folder = walk.components().to_vec();
                    let question = node_files::list(&folder, inquiries)?;
                    self.stage = Stage::List(folder, question);
                }
                Stage::List(folder, question) => {
                    let answer = ready!(question.poll(inquiries))?;
                    let mut path = std::mem::take(folder);
                    for entry in node_files::entries(answer)? {
                        path.push(entry.name.clone());
                        if allowed.standing(&path) != Standing::Outside {
                            let attributes = node_files::attributes(&entry);
                            self.known.push(tree::listed(entry.name, attributes));
                        }
                        path.pop();
                    }
                    self.guessed.clear();
                    self.stage = Stage::Done;
                }
            }
        }
    }
}

/// Files that are made up.
fn documents(names: impl Iterator<Item = String>, time: i64) -> impl Iterator<Item = Listed> {
    names.map(move |name| tree::listed(name, tree::file_attributes(tree::FILE_MODE, 0, time)))
}

/// Whether the node has something to add to a folder that is always there.
fn adds(allowed: &Allowed, folder: &[String], known: &[Listed]) -> bool {
    match allowed.standing(folder) {
        Standing::Within => true,
        Standing::Leads => {
            let next = allowed.next(folder);
            let is_known = |name: &str| known.iter().any(|known| known.name == name);
            next.iter().any(|(name, _)| !is_known(name))
        }
        Standing::Outside => false,
    }
}
