//! A machine config that lies open: any process in the guest, pods included, can read guest variables.
//!
//! ```text
//!            stage running              a value is there             scrub: running and ready
//!  Unlooked ───info-get──► Looking ──────► Exposed (one warning) ──info-set " "──► Blanking ──► Unlooked
//!     ▲                       └─ none ───► Safe                        ▲              │
//!     └── reset, new connection                                        └──── refused ─┘
//! ```
//!
//! Talos reads its config from these variables at boot, long before we look, and keeps it on disk. Blanking, off by
//! default, waits until the machine runs and is ready, so that the config has certainly been read; what was
//! blanked is looked at again, and if the host still has it, that counts as refused.
//!
//! A value passes through here as an outcome and is gone with it: it is never logged, kept or sent.

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::facts::{Facts, Stage};
use crate::vmware::wire::ovf_env;
use crate::vmware::wire::text::{BLANK, info_set, is_blank};

use super::variables::is_ready;
use super::{Context, RpciId, RpciOutcome, Service};

/// First delay after a lost or refused message; doubled each time.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// Longest delay after a lost message.
const LOST_DELAY: Duration = Duration::from_secs(4);
/// Longest delay after a refused one.
const REFUSED_DELAY: Duration = Duration::from_secs(60);

/// A variable, and whether what it holds is secret.
type Variable = (&'static str, fn(&[u8]) -> bool);

/// Where Talos looks for its config. `metadata` is left alone: it holds no secret, and Talos reads the network's
/// settings from it at every boot.
const VARIABLES: [Variable; 3] = [
    ("talos.config", is_set),
    ("userdata", is_set),
    ("ovfenv", ovf_env::holds_config),
];

fn is_set(value: &[u8]) -> bool {
    !is_blank(value)
}

/// See the module.
#[derive(Debug)]
pub(super) struct UnsafeConfig {
    scrub: bool,
    keys: [Key; VARIABLES.len()],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unlooked,
    Looking(RpciId),
    Safe,
    Exposed,
    Blanking(RpciId),
}

#[derive(Debug)]
struct Key {
    /// Below `guestinfo.`.
    name: &'static str,
    is_secret: fn(&[u8]) -> bool,
    state: State,
    /// After messages that were lost or refused.
    backoff: Backoff,
    /// The host has said that it took the blank, and is looked at again.
    blanked: bool,
    /// What has been said: once in the life of the process.
    exposure_is_told: bool,
    refusal_is_told: bool,
}

impl UnsafeConfig {
    /// Nothing looked at; nothing is blanked.
    pub(super) fn new() -> Self {
        Self {
            scrub: false,
            keys: VARIABLES.map(|(name, is_secret)| Key {
                name,
                is_secret,
                state: State::Unlooked,
                backoff: Backoff::new(FIRST_DELAY, REFUSED_DELAY),
                blanked: false,
                exposure_is_told: false,
                refusal_is_told: false,
            }),
        }
    }

    /// Whether exposed configs are blanked.
    pub(super) fn set_scrub(&mut self, scrub: bool) {
        self.scrub = scrub;
    }

    fn look_again(&mut self) {
        for key in &mut self.keys {
            key.state = State::Unlooked;
            key.backoff.reset();
            key.blanked = false;
        }
    }
}

impl Key {
    fn hold(&mut self, now: Duration, longest: Duration) {
        let delay = self.backoff.next_delay().min(longest);
        self.backoff.hold_for(delay, now);
    }

    /// What is to be sent as things are, if time allows.
    fn next(&self, facts: &Facts, scrub: bool) -> Option<Step> {
        match self.state {
            State::Unlooked if facts.stage == Some(Stage::Running) => Some(Step::Look),
            State::Exposed if scrub && is_ready(facts) == Some(true) => Some(Step::Blank),
            _ => None,
        }
    }

    /// The host has answered a look.
    fn looked(&mut self, is_secret: bool, scrub: bool, now: Duration) {
        let name = self.name;
        let blanked = std::mem::take(&mut self.blanked);
        if !is_secret {
            self.state = State::Safe;
            self.backoff.reset();
            if blanked {
                info!(variable = %Name(name), "blanked: the machine config is no longer readable there");
            }
            return;
        }
        self.state = State::Exposed;
        if blanked {
            self.refused(now);
        } else if !std::mem::replace(&mut self.exposure_is_told, true) {
            let variable = Name(name);
            if scrub {
                warn!(%variable, remedy = "it will be blanked once the machine is ready", "{EXPOSED}");
            } else {
                warn!(%variable, remedy = REMEDY, "{EXPOSED}");
            }
        }
    }

    /// The host keeps the value.
    fn refused(&mut self, now: Duration) {
        self.hold(now, REFUSED_DELAY);
        let variable = Name(self.name);
        if std::mem::replace(&mut self.refusal_is_told, true) {
            debug!(%variable, "not blanked again");
        } else {
            warn!(
                %variable,
                remedy = "clear it on the host: govc vm.change -e KEY=",
                "the host does not let it be blanked; it is tried again"
            );
        }
    }
}

/// What every process in the guest can do.
const EXPOSED: &str = "a machine config is readable by every process in the guest, pods included";

/// What to do about it.
const REMEDY: &str =
    "clear it on the host (govc vm.change -e KEY=), or set guestinfo.scrub in our configuration";

enum Step {
    Look,
    Blank,
}

/// The whole name of a variable.
struct Name(&'static str);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "guestinfo.{}", self.0)
    }
}

impl Service for UnsafeConfig {
    fn forgotten(&mut self, _cx: &mut Context<'_>) {
        self.look_again();
    }

    fn answered(&mut self, id: RpciId, outcome: &RpciOutcome, cx: &mut Context<'_>) {
        for key in &mut self.keys {
            match (key.state, outcome) {
                (State::Looking(sent), outcome) if sent == id => match outcome {
                    RpciOutcome::Accepted(value) => {
                        key.looked((key.is_secret)(value), self.scrub, cx.now);
                    }
                    // "No value found", or a host that gives no variables to anybody.
                    RpciOutcome::Refused(_) => key.looked(false, self.scrub, cx.now),
                    // Nothing else is so long.
                    RpciOutcome::TooLong => key.looked(true, self.scrub, cx.now),
                    RpciOutcome::Failed => {
                        key.state = State::Unlooked;
                        key.hold(cx.now, LOST_DELAY);
                    }
                },
                (State::Blanking(sent), outcome) if sent == id => match outcome {
                    RpciOutcome::Accepted(_) | RpciOutcome::TooLong => {
                        key.state = State::Unlooked;
                        key.blanked = true;
                    }
                    RpciOutcome::Refused(_) => {
                        key.state = State::Exposed;
                        key.refused(cx.now);
                    }
                    RpciOutcome::Failed => {
                        key.state = State::Exposed;
                        key.hold(cx.now, LOST_DELAY);
                    }
                },
                _ => {}
            }
        }
    }

    fn awaits(&self, id: RpciId) -> bool {
        self.keys.iter().any(
            |key| matches!(key.state, State::Looking(sent) | State::Blanking(sent) if sent == id),
        )
    }

    fn ask(&mut self, cx: &mut Context<'_>) {
        for key in &mut self.keys {
            if key.backoff.is_held(cx.now) {
                continue;
            }
            let Some(step) = key.next(cx.facts, self.scrub) else {
                continue;
            };
            key.state = match step {
                Step::Look => {
                    let message = format!("info-get guestinfo.{}", key.name);
                    State::Looking(cx.outbox.rpci(message.into_bytes()))
                }
                Step::Blank => State::Blanking(cx.outbox.rpci(info_set(key.name, BLANK))),
            };
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let deadlines = self.keys.iter().filter_map(|key| key.backoff.deadline());
        deadlines.min()
    }
}
