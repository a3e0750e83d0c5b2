//! What software the machine runs, as the host's inventory lists it.

use super::{Context, Service};
use crate::config::InventoryConfig;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inventory;

impl Inventory {
    /// What is listed from here on.
    pub(super) fn configure(&mut self, _config: InventoryConfig, _cx: &mut Context<'_>) {}
}

impl Service for Inventory {}
