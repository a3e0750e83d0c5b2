//! A press of a button, as a front end passes it on.

use std::time::Duration;

use super::PowerOperation;

/// How quickly an operation is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// As configured: it may be held, and the node is drained.
    #[default]
    Usual,
    /// Neither: now.
    Now,
}

/// A request of the host for a power operation, the first or a repeated one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    /// What is asked for.
    pub operation: PowerOperation,
    /// How quickly.
    pub wish: Wish,
    /// When, as time since boot.
    pub at: Duration,
    /// It repeats one that has no answer yet, or has the answer yes: it means no other operation.
    pub is_again: bool,
}

impl Press {
    /// A press at this time, as configured.
    pub const fn usual(operation: PowerOperation, at: Duration) -> Self {
        Self {
            operation,
            wish: Wish::Usual,
            at,
            is_again: false,
        }
    }
}
