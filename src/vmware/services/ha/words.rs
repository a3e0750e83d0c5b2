//! What is said of it in the log and in `check`: each thing once, until it changes.

use std::time::Duration;

use tracing::{info, warn};

use super::health::Cause;
use crate::config::{HaConfig, HaMonitor};
use crate::diagnosis::Outcome;
use crate::facts::{Life, Stage};
use crate::vmware::services::RpciOutcome;
use crate::vmware::wire::app_monitor::{AppStatus, Command, is_enabled};
use crate::vmware::wire::text::printable;

/// How grave it was when it was last said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Alarm {
    #[default]
    None,
    /// The machine will be reset unless something happens.
    WillReset(Cause),
    /// The marks have stopped.
    Dead(Cause),
    /// Nothing can be seen, so nothing is monitored.
    Blind,
    /// The machine goes by itself.
    Leaving,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Said {
    alarm: Alarm,
    refused: Option<Vec<u8>>,
    is_red: bool,
    is_odd: bool,
    /// Why nothing can be seen.
    why: String,
}

impl Said {
    pub(super) fn life(&mut self, life: &Life) {
        if let Life::Unclear(why) = life {
            self.why.clone_from(why);
        }
    }

    pub(super) fn enabled(&mut self, config: &HaConfig) {
        self.refused = None;
        info!(
            monitor = match config.monitor {
                HaMonitor::Off => "off",
                HaMonitor::Node => "node",
                HaMonitor::Ready => "ready",
            },
            silent_for_s = config.silent_for.as_secs(),
            unready_for_s = config.unready_for.as_secs(),
            "vSphere HA monitors this machine from here on, and resets it when it counts as dead"
        );
    }

    pub(super) fn taken_over(&mut self) {
        info!(
            "vSphere HA monitors this machine since an earlier run of the agent; the marks go on"
        );
    }

    pub(super) fn disabled(&mut self) {
        info!("vSphere HA no longer monitors this machine");
    }

    /// Says it once for the same words.
    pub(super) fn refused(&mut self, text: &[u8]) {
        if self.refused.as_deref() == Some(text) {
            return;
        }
        self.refused = Some(text.to_vec());
        warn!(
            reply = printable(text),
            remedy = remedy(text),
            "the host does not offer vSphere HA application monitoring; this machine is not monitored"
        );
    }

    pub(super) fn odd_code(&mut self, command: Command, text: &[u8]) {
        if !std::mem::replace(&mut self.is_odd, true) {
            warn!(
                command = command.name(),
                reply = printable(text),
                "the host reports a problem with vSphere HA marks; sending continues"
            );
        }
    }

    pub(super) fn status(&mut self, status: AppStatus) {
        let is_red = status == AppStatus::Red;
        if is_red && !self.is_red {
            warn!("vSphere HA says that a mark is late: it may reset this machine at any time");
        } else if status == AppStatus::Green && self.is_red {
            info!("vSphere HA gets its marks on time again");
        }
        self.is_red = is_red;
    }

    /// `left`: the reset comes no later than after this.
    pub(super) fn will_reset(&mut self, cause: Cause, left: Duration) {
        if self.alarm == Alarm::WillReset(cause) {
            return;
        }
        self.alarm = Alarm::WillReset(cause);
        warn!(
            cause = cause.words(),
            within_s = left.as_secs(),
            "vSphere HA will reset this machine unless it recovers"
        );
    }

    pub(super) fn dead(&mut self, cause: Cause) {
        if self.alarm == Alarm::Dead(cause) {
            return;
        }
        self.alarm = Alarm::Dead(cause);
        warn!(
            cause = cause.words(),
            "no more marks are sent: vSphere HA resets this machine within 30 s unless it recovers"
        );
    }

    pub(super) fn blind(&mut self) {
        if self.alarm != Alarm::Blind {
            self.alarm = Alarm::Blind;
            warn!(
                error = self.why,
                "vSphere HA monitoring is off until Talos answers"
            );
        }
    }

    pub(super) fn leaving(&mut self, stage: Stage) {
        if self.alarm != Alarm::Leaving {
            self.alarm = Alarm::Leaving;
            info!(
                stage = stage.name(),
                "vSphere HA monitoring pauses: the machine is stopping or changing on purpose"
            );
        }
    }

    pub(super) fn alive(&mut self) {
        if let Alarm::WillReset(_) | Alarm::Dead(_) = self.alarm {
            info!("the machine lives: vSphere HA gets its marks");
        }
        self.alarm = Alarm::None;
    }

    pub(super) fn nothing_to_fear(&mut self) {
        // That nothing can be seen stays so after Disable.
        if self.alarm != Alarm::Blind {
            self.alarm = Alarm::None;
        }
    }

    /// How it stands where the host takes the commands.
    pub(super) fn check(&self, counts: bool) -> Outcome {
        match self.alarm {
            Alarm::WillReset(cause) | Alarm::Dead(cause) => Outcome::fails(
                format!("vSphere HA will reset this machine: {}", cause.words()),
                match cause {
                    Cause::Silent => {
                        "find out why Talos does not answer, or set vmware.ha.monitor to off"
                    }
                    Cause::Unready => {
                        "find out why the machine is not ready, or set vmware.ha.monitor to off"
                    }
                },
            ),
            Alarm::Blind => Outcome::fails(
                format!("not monitored: {}", self.why),
                "give the agent access to Talos, or set vmware.ha.monitor to off",
            ),
            Alarm::None | Alarm::Leaving if counts => {
                Outcome::Works("vSphere HA monitors this machine".to_owned())
            }
            Alarm::None | Alarm::Leaving => {
                Outcome::Works("not monitored until the machine is seen alive".to_owned())
            }
        }
    }
}

/// What the reply to the question whether the host counts means, in the words of `check`, where nothing else is known.
pub fn application_monitoring(outcome: &RpciOutcome) -> Outcome {
    match outcome {
        RpciOutcome::Accepted(text) if is_enabled(text) => {
            Outcome::Works("vSphere HA monitors this machine".to_owned())
        }
        RpciOutcome::Accepted(_) => {
            Outcome::Works("the host takes marks, and does not monitor this machine now".to_owned())
        }
        RpciOutcome::Refused(text) => not_supported(text),
        RpciOutcome::TooLong | RpciOutcome::Failed => {
            Outcome::NotChecked("the host does not answer".to_owned())
        }
    }
}

/// The host does not take the commands.
pub(super) fn not_supported(text: &[u8]) -> Outcome {
    let reply = printable(text);
    Outcome::fails(
        format!("the host does not offer vSphere HA application monitoring: {reply}"),
        remedy(text),
    )
}

fn remedy(text: &[u8]) -> &'static str {
    if text.starts_with(super::super::DENIED) {
        "let the agent use vsock from a port below 1024, or set vmware.ha.monitor to off"
    } else {
        "set VM Monitoring of the vSphere cluster to \"VM and Application Monitoring\" if the host is an ESXi of such \
         a cluster, or set vmware.ha.monitor to off"
    }
}
