//! vSphere 8 vMotion notifications.

use super::{Context, Service};
use crate::config::{Forfeit, VmotionConfig};
use crate::power::HandOver;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Vmotion;

impl Vmotion {
    /// Whether the host is asked from here on, and what is done before a migration.
    pub(super) fn configure(
        &mut self,
        _config: VmotionConfig,
        _forfeit: Forfeit,
        _cx: &mut Context<'_>,
    ) {
    }

    /// What became of handing over the leadership of etcd.
    pub(super) fn handed_over(&mut self, _outcome: &HandOver, _cx: &mut Context<'_>) {}
}

impl Service for Vmotion {}
