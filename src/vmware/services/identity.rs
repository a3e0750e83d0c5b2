//! Whether the machine has a UUID of its own, said once.
//!
//! Talos derives disk encryption keys (`nodeID`) from the SMBIOS UUID and registers machines by it (SideroLink,
//! discovery). A virtual machine that was made without one, or with that of a template, should be reported.

use tracing::warn;

use super::{Context, Service};
use crate::diagnosis::UUID_REMEDY;

/// Remembers what has been said.
#[derive(Debug, Default)]
pub(super) struct Identity {
    warned: bool,
}

impl Identity {
    fn look(&mut self, cx: &Context<'_>) {
        let Some(uuid) = cx.facts.node.invalid_uuid() else {
            return;
        };
        if !std::mem::replace(&mut self.warned, true) {
            warn!(
                uuid,
                remedy = UUID_REMEDY,
                "the machine has no valid SMBIOS UUID; disk encryption by nodeID needs one"
            );
        }
    }
}

impl Service for Identity {
    fn forgotten(&mut self, cx: &mut Context<'_>) {
        self.look(cx);
    }

    fn facts_changed(&mut self, cx: &mut Context<'_>) {
        self.look(cx);
    }
}
