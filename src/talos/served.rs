//! What this node's Talos serves us, what it refuses for good, and the lines of `check` that follow from it.
//!
//! ```text
//! calls and watches ──refused, served──┐
//! observe ──connected, failed──────────┴──► Served ──► Checks: talos, role, api
//! ```
//! A refusal is logged once, with what is missing because of it, and again only after Talos has served the same. What
//! a release does not have yet is normal for it, and no trouble.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::error::Error;
use super::facts::{ALL, Watched};
use super::purpose::{Purpose, Release};
use super::words::{self, Connection, Refusal, Why};
use crate::diagnosis::Check;
use crate::power::Obstacle;

/// Every call beside the watches whose refusal is noticed.
const METHODS: [(&str, &str); 7] = [
    ("EtcdMemberList", "whether etcd can do without this node"),
    ("EtcdStatus", "what this node is in etcd"),
    ("Events", "what becomes of a power operation"),
    ("Mounts", "free space of the file systems"),
    ("NetworkDeviceStats", "traffic of the network links"),
    ("Reboot", "Restart Guest OS"),
    ("Shutdown", "Shut Down Guest OS"),
];

fn purpose(call: &str) -> Option<Purpose> {
    let watched = |source: &&&dyn Watched| source.kind().kind == call;
    if let Some(source) = ALL.iter().find(watched) {
        return Some(source.purpose());
    }
    let (_, missing) = METHODS.iter().find(|(method, _)| *method == call)?;
    Some(Purpose::new(missing))
}

/// See the module.
#[derive(Debug)]
pub(super) struct Served {
    /// Whether apid stands between us and machined.
    is_proxied: bool,
    state: Mutex<State>,
    checks: watch::Sender<Vec<Check>>,
}

#[derive(Debug)]
struct State {
    connection: Connection,
    refusals: BTreeMap<&'static str, Refusal>,
}

impl Served {
    pub(super) fn new(is_proxied: bool) -> Self {
        let state = State {
            connection: Connection::Open,
            refusals: BTreeMap::new(),
        };
        Self {
            is_proxied,
            checks: watch::Sender::new(words::checks(&state.connection, &[], is_proxied)),
            state: Mutex::new(state),
        }
    }

    /// The checks, and how they change.
    pub(super) fn checks(&self) -> watch::Receiver<Vec<Check>> {
        self.checks.subscribe()
    }

    /// Whether Talos would take a power operation from us now. `None` before it has answered.
    pub(super) fn power_way(&self) -> Option<Result<(), Obstacle>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.connection {
            Connection::Open => None,
            Connection::Down { error, .. } => Some(Err(Obstacle::Unreachable(error.with_causes()))),
            Connection::Up { roles, .. } => {
                let denied = ["Shutdown", "Reboot"].map(|call| state.refusals.contains_key(call));
                Some(words::power_way(roles, denied.contains(&true)))
            }
        }
    }

    /// The connection is so from here on. An error that says the same as the one before changes nothing.
    pub(super) fn connection(&self, connection: Connection) {
        self.change(|state| {
            if let (Connection::Down { error, .. }, Connection::Down { error: before, .. }) =
                (&connection, &state.connection)
                && error.gist() == before.gist()
            {
                return false;
            }
            state.connection = connection;
            true
        });
    }

    /// Talos refuses a call, or the watch on a resource type.
    pub(super) fn refused(&self, call: &'static str, error: &Error) {
        let Some(Purpose { missing, since }) = purpose(call) else {
            return;
        };
        self.change(|state| {
            let (tag, roles) = match &state.connection {
                Connection::Up { version, roles, .. } => (version.tag.as_str(), roles.as_slice()),
                Connection::Open | Connection::Down { .. } => ("", [].as_slice()),
            };
            let release = Release::of(tag);
            let why = match error {
                Error::Denied { .. } => Why::Denied,
                Error::Unsupported { .. }
                    if (Release::OLDEST..since).contains(&release.unwrap_or(since)) =>
                {
                    Why::TooOld
                }
                Error::Unsupported { .. } => Why::Absent,
                _ => return false,
            };
            let refusal = Refusal { call, why, missing };
            let before = state.refusals.insert(call, refusal);
            if before.is_some_and(|before| before.why == why) {
                return false;
            }
            let error = error.with_causes();
            if why == Why::TooOld {
                tracing::info!(
                    call,
                    version = tag,
                    since = %since,
                    missing,
                    "this release of Talos does not serve it yet"
                );
            } else {
                let remedy = words::refusal_remedy(why, release, roles, self.is_proxied);
                tracing::warn!(
                    call,
                    missing,
                    error,
                    remedy,
                    "Talos refuses a part of its API"
                );
            }
            true
        });
    }

    /// Talos serves a call, or the watch on a resource type.
    pub(super) fn served(&self, call: &'static str) {
        self.change(|state| {
            let Some(Refusal { missing, .. }) = state.refusals.remove(call) else {
                return false;
            };
            tracing::info!(call, restored = missing, "Talos serves what it has refused");
            true
        });
    }

    /// Puts the checks together where something changes; every answer and every message of a watch comes by here.
    fn change(&self, change: impl FnOnce(&mut State) -> bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !change(&mut state) {
            return;
        }
        let refusals: Vec<Refusal> = state.refusals.values().copied().collect();
        let checks = words::checks(&state.connection, &refusals, self.is_proxied);
        self.checks.send_if_modified(|known| {
            let changed = *known != checks;
            *known = checks;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;
    use crate::diagnosis::Outcome;
    use crate::facts::TalosVersion;
    use crate::log::logged::Logged;

    const VOLUMES: &str = "VolumeStatuses.block.talos.dev";
    const LINKS: &str = "LinkStatuses.net.talos.dev";

    fn served(tag: &str) -> Served {
        let served = Served::new(false);
        served.connection(Connection::Up {
            endpoint: "/machine.sock".into(),
            version: TalosVersion {
                tag: tag.into(),
                ..TalosVersion::default()
            },
            roles: vec!["os:operator".into()],
        });
        served
    }

    fn unsupported(call: &'static str) -> Error {
        Error::Unsupported {
            call,
            message: "unknown".into(),
        }
    }

    /// Whether all checks are well.
    fn is_well(served: &Served) -> bool {
        let checks = served.checks();
        let checks = checks.borrow();
        let mut checks = checks.iter();
        checks.all(|check| matches!(check.outcome, Outcome::Works(_)))
    }

    /// What was logged at INFO and above.
    fn lines(logged: &Logged) -> Vec<(Level, String)> {
        let lines = logged.take().into_iter();
        lines.filter(|(level, _)| *level <= Level::INFO).collect()
    }

    #[test]
    fn what_a_release_does_not_have_yet_is_said_at_info_and_is_no_trouble() {
        let logged = Logged::new();
        let served = served("v1.7.5");
        served.refused(VOLUMES, &unsupported(VOLUMES));
        let lines = lines(&logged);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0].0, Level::INFO);
        for words in [VOLUMES, "file systems", "since=1.8", "v1.7.5"] {
            assert!(lines[0].1.contains(words), "{lines:?}");
        }
        assert!(is_well(&served));
    }

    #[test]
    fn what_a_release_should_have_is_a_warning_and_trouble() {
        for (tag, remedy) in [
            ("v1.8.0-alpha.1", "talosctl get"),
            ("v1.3.7", "upgrade Talos"),
            ("dirty", "talosctl get"),
        ] {
            let logged = Logged::new();
            let served = served(tag);
            served.refused(VOLUMES, &unsupported(VOLUMES));
            let lines = lines(&logged);
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_eq!(lines[0].0, Level::WARN);
            for words in [VOLUMES, "file systems", remedy] {
                assert!(lines[0].1.contains(words), "{words}: {lines:?}");
            }
            assert!(!is_well(&served));
        }
    }

    #[test]
    fn a_refusal_is_said_once_and_again_only_after_it_worked() {
        let logged = Logged::new();
        let served = served("v1.13.0");
        for _ in 0..10 {
            served.refused(LINKS, &unsupported(LINKS));
        }
        served.served("Mounts");
        assert_eq!(lines(&logged).len(), 1);
        served.served(LINKS);
        served.served(LINKS);
        let restored = lines(&logged);
        assert_eq!(restored.len(), 1);
        assert_eq!(restored[0].0, Level::INFO);
        assert!(is_well(&served));
        served.refused(LINKS, &unsupported(LINKS));
        assert_eq!(lines(&logged).len(), 1);
    }

    #[test]
    fn an_error_that_says_the_same_again_wakes_nobody() {
        let served = Served::new(true);
        let mut checks = served.checks();
        let away = || Connection::Down {
            error: Error::Deadline { call: "Version" },
            roles: Vec::new(),
        };
        served.connection(away());
        assert!(checks.has_changed().unwrap());
        checks.mark_unchanged();
        served.connection(away());
        assert!(!checks.has_changed().unwrap());
    }
}
