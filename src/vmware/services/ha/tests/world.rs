//! A host that counts, a node that lives or not, and the time between them.

use std::time::Duration;

use crate::config::{HaConfig, HaMonitor};
use crate::facts::{Facts, Life, Readiness, Stage};
use crate::vmware::services::RpciOutcome;
use crate::vmware::services::ha::monitor::{Act, Monitor};
use crate::vmware::wire::app_monitor::Command;

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn minutes(minutes: u64) -> Duration {
    seconds(60 * minutes)
}

pub(super) const SILENT_FOR: Duration = Duration::from_secs(300);
pub(super) const UNREADY_FOR: Duration = Duration::from_secs(600);
pub(super) const SETTLE: Duration = Duration::from_secs(600);
/// A mark is late after so long.
pub(super) const WINDOW: Duration = Duration::from_secs(30);
/// A day of a machine that runs begins here.
const UPTIME: Duration = Duration::from_secs(100_000);

/// What the settings are by default, but for what is monitored.
pub(super) fn config(monitor: HaMonitor) -> HaConfig {
    HaConfig {
        monitor,
        unready_for: UNREADY_FOR,
        silent_for: SILENT_FOR,
        settle: SETTLE,
    }
}

/// The host's side of application monitoring.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) enabled: bool,
    last_mark: Duration,
    /// When it has reset the machine.
    pub(super) resets: Vec<Duration>,
    /// What it says to every command, instead of taking it.
    pub(super) refuses: Option<&'static [u8]>,
}

impl Host {
    fn pass(&mut self, now: Duration) {
        let limit = self.last_mark + WINDOW;
        if self.enabled && now > limit {
            self.enabled = false;
            self.resets.push(limit);
        }
    }

    fn take(&mut self, command: Command, now: Duration) -> RpciOutcome {
        if let Some(words) = self.refuses {
            return RpciOutcome::Refused(words.to_vec());
        }
        let text: &[u8] = match command {
            Command::Enable => {
                (self.enabled, self.last_mark) = (true, now);
                b"0"
            }
            Command::MarkActive if !self.enabled => b"2",
            Command::MarkActive => {
                self.last_mark = now;
                b"0"
            }
            Command::Disable => {
                self.enabled = false;
                b"0"
            }
            Command::IsEnabled if self.enabled => b"true",
            Command::IsEnabled => b"false",
            Command::GetAppStatus if self.enabled => b"green",
            Command::GetAppStatus => b"gray",
        };
        RpciOutcome::Accepted(text.to_vec())
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    pub(super) monitor: Monitor,
    pub(super) host: Host,
    pub(super) now: Duration,
    pub(super) facts: Facts,
    /// What Talos says when it is asked.
    pub(super) life: Life,
    /// How long it takes to say so.
    pub(super) thinks: Duration,
    /// A power operation is under way.
    pub(super) is_end: bool,
    /// How long a command takes, and whether it is lost.
    pub(super) takes: Duration,
    pub(super) loses: u32,
    /// All that was sent, and when.
    pub(super) sent: Vec<(Duration, Command)>,
    pub(super) looks: usize,
    flies: Option<(Duration, Command)>,
    asked: Option<(Duration, Life)>,
}

impl World {
    /// A machine that has run for a day, with an agent that has just started.
    pub(super) fn new(config: HaConfig) -> Self {
        let mut world = Self {
            monitor: Monitor::default(),
            host: Host::default(),
            now: UPTIME,
            facts: at(Stage::Running, true),
            life: Life::Answers,
            thinks: Duration::from_millis(20),
            is_end: false,
            takes: Duration::from_millis(5),
            loses: 0,
            sent: Vec::new(),
            looks: 0,
            flies: None,
            asked: None,
        };
        world.monitor.configure(config, world.now);
        world.connect();
        world
    }

    /// The same, some minutes after the host has begun to count.
    pub(super) fn monitored(monitor: HaMonitor) -> Self {
        let mut world = Self::new(config(monitor));
        world.pass(SETTLE + minutes(3));
        assert!(world.host.enabled);
        world.sent.clear();
        world
    }

    /// A session begins, as after a migration.
    pub(super) fn connect(&mut self) {
        self.flies = None;
        self.monitor.session(true, self.now);
        self.drive();
        self.monitor.session(false, self.now);
        self.drive();
    }

    /// The agent was killed, and is there again after some seconds.
    pub(super) fn restart_agent(&mut self, config: HaConfig) {
        (self.flies, self.asked) = (None, None);
        self.idle(seconds(5));
        self.monitor = Monitor::default();
        self.monitor.configure(config, self.now);
        self.connect();
    }

    /// Time goes on, and the agent does nothing.
    pub(super) fn idle(&mut self, time: Duration) {
        self.now += time;
        self.host.pass(self.now);
    }

    /// The machine is suspended: its clock goes on, and the host does not count.
    pub(super) fn suspend(&mut self, time: Duration) {
        self.now += time;
        self.host.last_mark += time;
        self.drive();
    }

    pub(super) fn drive(&mut self) {
        while let Some(act) = self.monitor.poll(&self.facts, self.is_end, self.now) {
            match act {
                Act::Send(command) => {
                    self.sent.push((self.now, command));
                    // What was on its way before is no longer awaited, and arrives.
                    if let Some((_, before)) = self.flies.take()
                        && self.loses == 0
                    {
                        self.host.take(before, self.now);
                    }
                    self.flies = Some((self.now + self.takes, command));
                }
                Act::LookForLife => {
                    assert!(self.asked.is_none(), "two questions at a time");
                    self.looks += 1;
                    self.asked = Some((self.now + self.thinks, self.life.clone()));
                }
            }
        }
        let next = self.monitor.deadline();
        assert!(next.is_none_or(|next| next > self.now), "it stands still");
    }

    /// Lets time pass, each thing at its time.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.drive();
        loop {
            let outcome = self.flies.map(|(at, _)| at);
            let answer = self.asked.as_ref().map(|(at, _)| *at);
            let times = [outcome, answer, self.monitor.deadline()];
            let Some(at) = times.into_iter().flatten().min().filter(|at| *at <= end) else {
                break;
            };
            self.now = at;
            self.host.pass(at);
            if outcome == Some(at)
                && let Some((_, command)) = self.flies.take()
            {
                let outcome = if self.loses > 0 {
                    self.loses -= 1;
                    RpciOutcome::Failed
                } else {
                    self.host.take(command, at)
                };
                self.monitor.handle_outcome(&outcome, at);
            } else if answer == Some(at)
                && let Some((_, life)) = self.asked.take()
            {
                self.monitor.handle_life(&life, at);
            }
            self.drive();
        }
        self.now = end;
        self.host.pass(end);
    }

    /// Talos falls silent, or answers again.
    pub(super) fn silent(&mut self, is_silent: bool) {
        self.life = if is_silent {
            Life::Silent
        } else {
            Life::Answers
        };
        self.thinks = if is_silent {
            seconds(10)
        } else {
            Duration::from_millis(20)
        };
    }

    /// Talos says this of the machine.
    pub(super) fn stage(&mut self, stage: Stage, ready: bool) {
        self.facts = at(stage, ready);
        self.drive();
    }

    /// How many of a command were sent since the last look.
    pub(super) fn count(&self, command: Command) -> usize {
        self.sent
            .iter()
            .filter(|(_, sent)| *sent == command)
            .count()
    }

    /// The last command.
    pub(super) fn last(&self) -> Option<Command> {
        self.sent.last().map(|(_, command)| *command)
    }
}

/// What Talos says of the machine.
pub(super) fn at(stage: Stage, ready: bool) -> Facts {
    let mut facts = Facts {
        stage: Some(stage),
        ..Facts::default()
    };
    facts.node.readiness = Some(Readiness {
        ready,
        unmet_conditions: Vec::new(),
    });
    facts
}
