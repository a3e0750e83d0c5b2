//! Any order of packets, answers and time: one reply to each packet, bounds hold, every file that was opened is closed
//! once, and no one reads what another session or user has open.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const USERS: [&str; 3] = ["ops", "eve", "sam"];

/// What may happen. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Event {
    Create {
        user: usize,
    },
    Destroy {
        user: usize,
        session: usize,
    },
    Open {
        user: usize,
        session: usize,
        file: usize,
    },
    Read {
        user: usize,
        session: usize,
        handle: usize,
        offset: u64,
    },
    Write {
        user: usize,
        session: usize,
        handle: usize,
    },
    Close {
        user: usize,
        session: usize,
        handle: usize,
    },
    Garbage {
        user: usize,
        bytes: Vec<u8>,
    },
    Away(bool),
    Pass(u16),
    Forget,
}

/// What an open file has; `None` for what a program reads.
type Contents = Option<Arc<[u8]>>;

/// What must be so: sessions with their users and handles.
#[derive(Debug, Default)]
struct Model {
    sessions: BTreeMap<u64, (usize, BTreeMap<u32, Contents>)>,
    /// All that there ever were, to choose from.
    known_sessions: Vec<u64>,
    known_handles: Vec<u32>,
    opened: usize,
}

impl Model {
    fn session(&self, at: usize) -> u64 {
        choose(&self.known_sessions, at)
    }

    fn handle(&self, at: usize) -> u32 {
        choose(&self.known_handles, at)
    }

    /// The handles of the session, if it is this user's.
    fn of(&mut self, user: usize, session: u64) -> Option<&mut BTreeMap<u32, Contents>> {
        let (owner, handles) = self.sessions.get_mut(&session)?;
        (*owner == user).then_some(handles)
    }

    fn open_files(&self) -> usize {
        self.sessions
            .values()
            .map(|(_, handles)| handles.len())
            .sum()
    }
}

fn choose<T: Copy + Default>(known: &[T], at: usize) -> T {
    at.checked_rem(known.len())
        .map_or(T::default(), |at| known[at])
}

/// Plays one event; what a user sees is what the model has.
fn play(node: &mut Node, model: &mut Model, event: &Event) {
    match event {
        Event::Create { user } => {
            let session = node.session(USERS[*user]);
            // One that makes room is gone; which one, other tests say.
            let gone: Vec<u64> = model
                .sessions
                .keys()
                .filter(|id| !node.server.sessions.holds(**id))
                .copied()
                .collect();
            assert!(gone.len() <= usize::from(model.sessions.len() == MOST_SESSIONS));
            for id in gone {
                model.sessions.remove(&id);
            }
            assert!(!model.known_sessions.contains(&session));
            model.known_sessions.push(session);
            model.sessions.insert(session, (*user, BTreeMap::new()));
        }
        Event::Destroy { user, session } => {
            let session = model.session(*session);
            let expected = model.of(*user, session).map_or(17, |_| 0);
            let answer = node.ask(USERS[*user], session, &Asked::DestroySession);
            assert_eq!(answer.status, expected);
            if expected == 0 {
                model.sessions.remove(&session);
            }
        }
        Event::Open {
            user,
            session,
            file,
        } => {
            let session = model.session(*session);
            let path = [LOG, tree::OWN, tree::STDIN, "none"][file % 4];
            let asked = open(u32::from(path == tree::STDIN), 0, path);
            let is_away = node.tree.is_away;
            let answer = node.try_ask(USERS[*user], session, &asked);
            let Some(handles) = model.of(*user, session) else {
                assert_eq!(answer.unwrap().status, 17);
                return;
            };
            if handles.len() == MOST_HANDLES {
                assert_eq!(answer.unwrap().status, 10);
            } else if is_away {
                assert_eq!(answer, None);
            } else if path == "none" {
                assert_eq!(answer.unwrap().status, 1);
            } else {
                let handle = word(answer.unwrap()).unwrap();
                let contents = match path {
                    LOG => Some(tree::log()),
                    tree::OWN => Some(USERS[*user].as_bytes().into()),
                    _ => None,
                };
                handles.insert(handle, contents);
                assert!(!model.known_handles.contains(&handle));
                model.known_handles.push(handle);
                model.opened += 1;
            }
        }
        Event::Read {
            user,
            session,
            handle,
            offset,
        } => {
            let (session, handle) = (model.session(*session), model.handle(*handle));
            let is_away = node.tree.is_away;
            let answer = node.try_ask(USERS[*user], session, &read(handle, *offset, 100));
            let Some(handles) = model.of(*user, session) else {
                assert_eq!(answer.unwrap().status, 17);
                return;
            };
            match handles.get(&handle) {
                None => assert_eq!(answer.unwrap().status, 2),
                Some(_) if is_away => assert_eq!(answer, None),
                Some(None) => assert_eq!(answer.unwrap().status, 8),
                Some(Some(contents)) => {
                    let from = usize::try_from(*offset).unwrap().min(contents.len());
                    let to = (from + 100).min(contents.len());
                    assert_eq!(data(answer.unwrap()).unwrap(), contents[from..to]);
                }
            }
        }
        Event::Write {
            user,
            session,
            handle,
        } => {
            let (session, handle) = (model.session(*session), model.handle(*handle));
            let written = node.tree.written.len();
            let asked = Asked::Write {
                handle,
                offset: written as u64,
                data: b"x".to_vec(),
            };
            let answer = node.ask(USERS[*user], session, &asked);
            let expected = match model.of(*user, session).map(|handles| handles.get(&handle)) {
                None => 17,
                Some(None) => 2,
                Some(Some(Some(_))) => 8,
                Some(Some(None)) => 0,
            };
            assert_eq!(answer.status, expected);
            let more = usize::from(expected == 0);
            assert_eq!(node.tree.written.len(), written + more);
        }
        Event::Close {
            user,
            session,
            handle,
        } => {
            let (session, handle) = (model.session(*session), model.handle(*handle));
            let status = node.close(USERS[*user], session, handle);
            let expected = match model.of(*user, session) {
                None => 17,
                Some(handles) => handles.remove(&handle).map_or(2, |_| 0),
            };
            assert_eq!(status, expected);
        }
        Event::Garbage { user, bytes } => {
            let user = caller(USERS[*user]);
            let answer = node.server.handle(bytes, &user, &mut node.tree, node.now);
            assert!(answer.is_ready());
        }
        Event::Away(is_away) => node.tree.is_away = *is_away,
        Event::Pass(seconds) => {
            node.pass(Duration::from_secs((*seconds).into()));
            let sessions = &node.server.sessions;
            model.sessions.retain(|id, _| sessions.holds(*id));
        }
        Event::Forget => {
            node.server.forget(&mut node.tree);
            model.sessions.clear();
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let (user, session, handle) = (0..USERS.len(), 0..60_usize, 0..200_usize);
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        4 => user.clone().prop_map(|user| Event::Create { user }),
        1 => (user.clone(), session.clone())
            .prop_map(|(user, session)| Event::Destroy { user, session }),
        8 => (user.clone(), session.clone(), 0..4_usize)
            .prop_map(|(user, session, file)| Event::Open { user, session, file }),
        8 => (user.clone(), session.clone(), handle.clone(), 0..200_000_u64)
            .prop_map(|(user, session, handle, offset)| Event::Read { user, session, handle, offset: offset % 40 * (offset / 40) }),
        2 => (user.clone(), session.clone(), handle.clone())
            .prop_map(|(user, session, handle)| Event::Write { user, session, handle }),
        4 => (user.clone(), session, handle)
            .prop_map(|(user, session, handle)| Event::Close { user, session, handle }),
        1 => (user, bytes).prop_map(|(user, bytes)| Event::Garbage { user, bytes }),
        2 => any::<bool>().prop_map(Event::Away),
        2 => (0..200_u16).prop_map(Event::Pass),
        1 => Just(Event::Forget),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn in_any_order_bounds_hold_and_nobody_reads_what_another_has_open(
        events in proptest::collection::vec(event(), 0..300),
    ) {
        let mut node = Node::new();
        let mut model = Model::default();
        for event in &events {
            play(&mut node, &mut model, event);
            prop_assert!(model.sessions.len() <= MOST_SESSIONS);
            prop_assert!(model.sessions.values().all(|(_, handles)| handles.len() <= MOST_HANDLES));
            prop_assert_eq!(node.tree.opened.len(), model.opened);
            // What is open and what was closed is all that was opened.
            prop_assert_eq!(node.tree.closed.len() + model.open_files(), model.opened);
        }
        node.now += IDLE;
        node.server.handle_timeout(&mut node.tree, node.now);
        prop_assert_eq!(node.tree.closed.len(), model.opened);
        prop_assert_eq!(node.server.poll_timeout(), None);
    }
}
