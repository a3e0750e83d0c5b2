//! vSphere HA application monitoring.

use super::{Context, Service};
use crate::config::HaConfig;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ha;

impl Ha {
    /// What is monitored from here on.
    pub(super) fn configure(&mut self, _config: HaConfig, _cx: &mut Context<'_>) {}
}

impl Service for Ha {}
