//! The settings of one operation, as they were at its press.

use std::time::Duration;

use crate::config::{
    BusyPolicy, DrainDeadline, EtcdConfig, PowerConfig, QuorumGuard, RebootMode, ShutdownConfig,
};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Terms {
    /// How long a call may take until Talos has accepted.
    pub(super) deadline: Duration,
    pub(super) busy: BusyPolicy,
    pub(super) reboot_mode: RebootMode,
    /// How long Talos drains the node.
    pub(super) drain: DrainDeadline,
    /// How long hold and drain may take together, from the press on.
    pub(super) budget: Duration,
    /// How long after the first press another one means now.
    pub(super) escalate_after: Duration,
    pub(super) guard: QuorumGuard,
    /// How long an operation is held at most.
    pub(super) hold: Duration,
    /// Whether leadership of etcd is handed over before a Reboot.
    pub(super) hands_over: bool,
}

impl Terms {
    pub(super) fn new(config: &PowerConfig) -> Self {
        let PowerConfig {
            deadline,
            force_shutdown,
            reboot_mode,
            busy,
            host_policy: _,
            shutdown,
            etcd,
        } = *config;
        let ShutdownConfig {
            drain_deadline,
            budget,
            escalate_after,
        } = shutdown;
        let EtcdConfig {
            guard,
            hold,
            forfeit,
        } = etcd;
        Self {
            deadline,
            busy,
            reboot_mode,
            drain: if force_shutdown {
                DrainDeadline::Force
            } else {
                drain_deadline
            },
            budget,
            escalate_after,
            guard,
            hold,
            // In the other modes etcd does so itself: it has the time.
            hands_over: forfeit.force_reboot && reboot_mode == RebootMode::Force,
        }
    }
}
