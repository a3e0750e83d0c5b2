//! What software the machine runs, as the host's inventory lists it: guestinfo.appInfo and
//! guestinfo.vmtools.containerinfo [appInfo.c, containerInfo.c]. Each is off unless the operator wants it.
//!
//! ```text
//!           session begins                         Talos answers
//!   Off ───────────────────► Waiting(20 to 60 s) ────ask────► Asking ───publish──► Waiting(5.5 to 6.5 h)
//!    ▲                           ▲                               │
//!    └─ Set_Option enableAppInfo 0, or off by reload: blank      └── it does not, or not with all: some minutes
//! ```
//! The host's switch holds until its next reset, as in open-vm-tools: a host that does not know it says nothing.
//!
//! When a machine asks is spread by its UUID and its clock, so that a fleet that comes up together does not keep Talos'
//! and the hosts' disks busy all at once.

mod applications;
mod images;
mod list;

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use tracing::{debug, info};

use super::topic::Topic;
use super::{Context, Service};
use crate::backoff::Backoff;
use crate::config::InventoryConfig;
use crate::guest_operations::WallClock;
use crate::inquiry::{Answer, Inquiry, InquiryId, Software, Step};
use crate::vmware::wire::text::info_set;

use list::Issue;

/// The first time in a session is after this, and up to so much more.
const FIRST: Duration = Duration::from_secs(20);
const FIRST_SPREAD: Duration = Duration::from_secs(40);
/// From one time to the next, at least, and up to an hour more: 6 h on average, as open-vm-tools has it.
const PERIOD: Duration = Duration::from_secs(11 * 1800);
const PERIOD_SPREAD: Duration = Duration::from_secs(3600);
/// After an answer that did not come, or was not whole.
const FIRST_RETRY: Duration = Duration::from_secs(120);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// Numbers of inquiries from here on are ours; guest operations count from 1.
const FIRST_ID: u64 = 1 << 63;

/// The variables below `guestinfo.`.
const APPLICATIONS: &str = "appInfo";
const IMAGES: &str = "vmtools.containerinfo";

/// See the module.
#[derive(Debug)]
pub(super) struct Inventory {
    config: InventoryConfig,
    wall_clock: WallClock,
    /// Not after `Set_Option enableAppInfo 0`.
    is_wanted: bool,
    state: State,
    /// What is asked of Talos, and not taken yet.
    steps: VecDeque<(InquiryId, Step)>,
    next_id: u64,
    retry: Backoff,
    /// How often the lists were made.
    issues: u64,
}

#[derive(Debug)]
enum State {
    /// Nothing is gathered.
    Off,
    /// Until then.
    Waiting(Duration),
    /// For the end of this inquiry, with what it has brought.
    Asking(InquiryId, Option<Software>),
}

impl Inventory {
    /// Nothing is gathered.
    pub(super) fn new(wall_clock: WallClock) -> Self {
        Self {
            config: InventoryConfig::default(),
            wall_clock,
            is_wanted: true,
            state: State::Off,
            steps: VecDeque::new(),
            next_id: FIRST_ID,
            retry: Backoff::new(FIRST_RETRY, LONGEST_RETRY),
            issues: 0,
        }
    }

    /// What is listed from here on. What no longer is, is blanked.
    pub(super) fn configure(&mut self, config: InventoryConfig, cx: &mut Context<'_>) {
        let before = std::mem::replace(&mut self.config, config);
        for list in lists(before) {
            if !lists(config).any(|kept| kept == list) {
                blank(list, cx);
            }
        }
        if before != config {
            self.begin(cx);
        }
    }

    /// The host's switch for both (`Set_Option enableAppInfo`).
    pub(super) fn set_wanted(&mut self, is_wanted: bool, cx: &mut Context<'_>) {
        let was_wanted = std::mem::replace(&mut self.is_wanted, is_wanted);
        if was_wanted == is_wanted || self.config.is_off() {
            return;
        }
        info!(is_wanted, "the host has switched its inventory of software");
        if !is_wanted {
            for list in lists(self.config) {
                blank(list, cx);
            }
        }
        self.begin(cx);
    }

    /// Begins again with what is to be done now: soon, or never.
    fn begin(&mut self, cx: &Context<'_>) {
        if let State::Asking(id, _) = self.state {
            let steps = self.steps.len();
            self.steps.retain(|(of, _)| *of != id);
            if self.steps.len() == steps {
                self.steps.push_back((id, Step::Forget));
            }
        }
        self.retry.reset();
        self.state = if self.config.is_off() || !self.is_wanted {
            State::Off
        } else {
            State::Waiting(self.later(FIRST, FIRST_SPREAD, cx))
        };
    }

    /// A time between `least` and `least + spread` from now.
    fn later(&self, least: Duration, spread: Duration, cx: &Context<'_>) -> Duration {
        let mut hasher = DefaultHasher::new();
        (&cx.facts.node.system_uuid, (self.wall_clock)()).hash(&mut hasher);
        let share = u32::try_from(hasher.finish() % 1024).unwrap_or(0);
        cx.now.saturating_add(least + spread / 1024 * share)
    }

    /// What to ask Talos next.
    pub(super) fn poll_inquiry(&mut self) -> Option<(InquiryId, Step)> {
        self.steps.pop_front()
    }

    /// Whether an inquiry is one of this service.
    pub(super) const fn is_its_own(id: InquiryId) -> bool {
        id.0 >= FIRST_ID
    }

    /// An answer of Talos.
    pub(super) fn handle_answer(&mut self, id: InquiryId, answer: Answer, cx: &mut Context<'_>) {
        let State::Asking(asked, software) = &mut self.state else {
            return;
        };
        if *asked != id {
            return;
        }
        match answer {
            Answer::Software(brought) => *software = Some(brought),
            Answer::End(result) => {
                let software = software.take();
                if let Err(trouble) = result {
                    debug!(%trouble, "the software of the node is not known");
                }
                self.finish(software, cx);
            }
            // Nothing of it was asked for.
            _ => {}
        }
    }

    fn finish(&mut self, software: Option<Software>, cx: &mut Context<'_>) {
        let is_whole = software.as_ref().is_some_and(|known| !known.is_partial);
        if let Some(software) = software {
            self.publish(&software, cx);
        }
        let at = if is_whole {
            self.retry.reset();
            self.later(PERIOD, PERIOD_SPREAD, cx)
        } else {
            let delay = self.retry.next_delay();
            self.later(delay, delay / 2, cx)
        };
        self.state = State::Waiting(at);
    }

    fn publish(&mut self, software: &Software, cx: &mut Context<'_>) {
        self.issues += 1;
        let issue = Issue {
            number: self.issues,
            at: (self.wall_clock)(),
        };
        if self.config.apps {
            let rows = applications::of(software, cx.facts);
            let message = list::applications(APPLICATIONS, issue, &rows);
            cx.publications.want(Topic::Applications, Some(message));
        }
        if self.config.containers {
            let rows = images::of(software);
            let message = list::images(IMAGES, issue, &rows);
            cx.publications.want(Topic::Images, Some(message));
        }
    }
}

/// The lists that are on, each with its variable.
fn lists(config: InventoryConfig) -> impl Iterator<Item = (Topic, &'static str)> {
    let apps = (Topic::Applications, APPLICATIONS);
    let images = (Topic::Images, IMAGES);
    let lists = [(config.apps, apps), (config.containers, images)];
    let lists = lists.into_iter();
    lists.filter_map(|(is_on, list)| is_on.then_some(list))
}

/// The host should hold nothing there.
fn blank((topic, key): (Topic, &str), cx: &mut Context<'_>) {
    cx.publications.want(topic, Some(info_set(key, "")));
}

impl Service for Inventory {
    fn connected(&mut self, _cx: &mut Context<'_>) {
        // It may be another host, which does not know the switch.
        self.is_wanted = true;
    }

    fn reset(&mut self, cx: &mut Context<'_>) {
        self.is_wanted = true;
        self.forgotten(cx);
    }

    fn forgotten(&mut self, cx: &mut Context<'_>) {
        self.begin(cx);
    }

    fn due(&mut self, cx: &mut Context<'_>) {
        if matches!(self.state, State::Waiting(at) if at <= cx.now) {
            let id = InquiryId(self.next_id);
            self.next_id += 1;
            self.steps.push_back((id, Step::Ask(Inquiry::Software)));
            self.state = State::Asking(id, None);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Waiting(at) => Some(at),
            State::Off | State::Asking(..) => None,
        }
    }
}
