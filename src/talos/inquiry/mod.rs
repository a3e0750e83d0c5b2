//! Inquiries of guest operations: each is one task that asks Talos and sends back what comes, piece by piece.
//!
//! ```text
//! Step ─► Inquiries ─► task: Talos ─► Outlet ─► Answer …, Answer::End
//!             └─ More: room in the Outlet    └─ at most WINDOW pieces that are not taken yet
//! ```
//! Nothing is asked, and nothing kept, while there is no inquiry. Every inquiry that is not forgotten comes to its
//! [`Answer::End`], whatever Talos does: all but those that follow have a time, and what they bring has a bound. That of
//! a file is its reader's, who keeps it whole or packs it while it comes. One that is under way when the way to Talos is
//! changed goes on where it is.

mod apid;
mod ask;
mod call;
mod definitions;
mod events;
mod files;
mod logs;
mod outlet;
mod resources;
mod show;
mod software;
mod table;
mod trouble;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::client::Client;
use crate::inquiry::{Answer, Inquiry, InquiryId, MOST, Step, WINDOW};
use apid::Input;
use ask::Ask;
use outlet::Outlet;

/// Where apid listens on every node.
const APID: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 50000);

/// Those that are under way.
#[derive(Debug)]
pub struct Inquiries {
    open: Arc<Open>,
    apid: SocketAddr,
}

impl Default for Inquiries {
    fn default() -> Self {
        Self::with_apid(APID)
    }
}

/// The tasks. Each removes itself when it ends.
#[derive(Debug, Default)]
struct Open(Mutex<BTreeMap<InquiryId, Running>>);

#[derive(Debug)]
struct Running {
    task: AbortHandle,
    room: Arc<Semaphore>,
    /// Of [`Inquiry::Apid`].
    input: Option<Input>,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<InquiryId, Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Strikes an inquiry off, however its task ends.
struct Ending(Arc<Open>, InquiryId);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Inquiries {
    /// With apid at another address than every node has it.
    pub fn with_apid(apid: SocketAddr) -> Self {
        Self {
            open: Arc::default(),
            apid,
        }
    }

    /// Starts an inquiry, goes on with it, or ends it. `answer` takes what comes of it.
    pub fn handle_step(
        &mut self,
        client: &Client,
        id: InquiryId,
        step: Step,
        answer: impl Fn(Answer) + Send + Sync + 'static,
    ) {
        let mut open = self.open.lock();
        match (step, open.get_mut(&id)) {
            (Step::Ask(inquiry), None) => {
                if open.len() < MOST {
                    let running = self.start(client, id, inquiry, answer);
                    open.insert(id, running);
                } else {
                    answer(Answer::End(Err(trouble::too_many())));
                }
            }
            (Step::Feed(bytes), Some(running)) => {
                if let Some(input) = &mut running.input {
                    input.feed(bytes);
                }
            }
            (Step::More, Some(running)) => {
                if running.room.available_permits() < WINDOW {
                    running.room.add_permits(1);
                }
            }
            (Step::Forget, Some(running)) => running.task.abort(),
            // Of one that has ended meanwhile; no number is given twice.
            (_, None) | (Step::Ask(_), Some(_)) => {}
        }
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        self.open.lock().len()
    }

    fn start(
        &self,
        client: &Client,
        id: InquiryId,
        inquiry: Inquiry,
        answer: impl Fn(Answer) + Send + Sync + 'static,
    ) -> Running {
        let room = Arc::new(Semaphore::new(WINDOW));
        let outlet = Outlet::new(answer, Arc::clone(&room));
        let ending = Ending(Arc::clone(&self.open), id);
        let (task, input) = if inquiry == Inquiry::Apid {
            let (input, fed) = apid::input();
            let address = self.apid;
            let task = tokio::spawn(async move {
                let _ending = ending;
                apid::relay(address, fed, outlet).await;
            });
            (task, Some(input))
        } else {
            let ask = Ask::new(client.clone(), outlet);
            let task = tokio::spawn(async move {
                let _ending = ending;
                ask.carry_out(inquiry).await;
            });
            (task, None)
        };
        Running {
            task: task.abort_handle(),
            room,
            input,
        }
    }
}

impl Drop for Inquiries {
    fn drop(&mut self) {
        for running in self.open.lock().values() {
            running.task.abort();
        }
    }
}
