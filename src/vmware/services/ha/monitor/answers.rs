//! What the host's answer to a command says of its count.

use std::time::Duration;

use super::{Counts, Monitor, RETRY, Refusal, STATUS_EVERY, WINDOW};
use crate::vmware::services::service::NOT_OFFERED_DELAY;
use crate::vmware::wire::app_monitor::{AppStatus, Code, Command, is_enabled};

impl Monitor {
    pub(super) fn accepted(&mut self, command: Command, text: &[u8], now: Duration) {
        match command {
            Command::IsEnabled => {
                self.is_new = false;
                match (is_enabled(text), self.counts) {
                    (true, Counts::No) => self.take_over(now),
                    (true, Counts::Maybe | Counts::Yes) => self.taken(now),
                    (false, _) => self.forgotten(),
                }
            }
            Command::Enable => match Code::parse(text) {
                Code::Ok => {
                    self.taken(now);
                    self.mark_at = now;
                    self.status_at = now.saturating_add(STATUS_EVERY);
                    self.said.enabled(&self.config);
                }
                Code::NotEnabled | Code::Other => self.said.odd_code(command, text),
            },
            Command::MarkActive => match Code::parse(text) {
                Code::Ok => self.taken(now),
                Code::NotEnabled => self.forgotten(),
                Code::Other => self.said.odd_code(command, text),
            },
            Command::Disable => {
                self.counts = Counts::No;
                self.said.disabled();
            }
            Command::GetAppStatus => {
                let status = AppStatus::parse(text);
                self.said.status(status);
                if status == AppStatus::Gray {
                    self.forgotten();
                } else if status == AppStatus::Red {
                    self.mark_at = now;
                }
            }
        }
    }

    /// The host counts.
    const fn taken(&mut self, now: Duration) {
        self.counts = Counts::Yes;
        self.taken = now;
    }

    /// Whether the host has counted just now, so that its refusal may be of the moment and its reset is still to come.
    fn may_reset(&self, now: Duration) -> bool {
        self.counts == Counts::Yes && now < self.taken.saturating_add(WINDOW)
    }

    /// The host does not count, whatever we know.
    fn forgotten(&mut self) {
        self.is_forgotten |= self.counts != Counts::No;
        self.counts = Counts::No;
    }

    pub(super) fn refused(&mut self, command: Command, text: &[u8], now: Duration) {
        match command {
            Command::IsEnabled | Command::Disable if self.may_reset(now) && !self.stops => {
                self.not_before = now.saturating_add(RETRY);
            }
            Command::IsEnabled | Command::Enable => {
                self.counts = Counts::No;
                self.said.refused(text);
                // A host that does not know the command learns it in a later session at the earliest.
                let is_known = !text.to_ascii_lowercase().starts_with(b"unknown command");
                self.refusal = Some(Refusal {
                    words: text.to_vec(),
                    until: is_known.then(|| now.saturating_add(NOT_OFFERED_DELAY)),
                });
            }
            Command::Disable => self.counts = Counts::No,
            // Whether it is not to be had any more is asked first.
            Command::MarkActive | Command::GetAppStatus => {
                self.is_new = true;
                self.not_before = now.saturating_add(RETRY);
            }
        }
    }

    pub(super) fn lost(&mut self, command: Command, now: Duration) {
        self.not_before = now.saturating_add(RETRY);
        match command {
            Command::MarkActive => self.mark_at = now,
            Command::Enable => self.enable_at = now,
            Command::Disable if self.stops => self.counts = Counts::No,
            Command::Disable | Command::IsEnabled | Command::GetAppStatus => {}
        }
    }

    /// The host counts what this process did not begin. An earlier run of the agent did that, and has ended without a
    /// word: the host resets the machine unless the marks go on. In a machine that has just started, that run was
    /// before the start.
    fn take_over(&mut self, now: Duration) {
        self.taken(now);
        self.health.forget();
        if now >= self.config.settle {
            self.settled = true;
            self.said.taken_over();
        }
        (self.mark_at, self.life_at) = (now, now);
        self.status_at = now.saturating_add(STATUS_EVERY);
    }
}
