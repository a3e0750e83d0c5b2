//! What a method or a resource type of Talos is there for, and since when.

use std::fmt;

use crate::facts::TalosVersion;

/// A minor release of Talos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release(pub(super) u32, pub(super) u32);

impl Release {
    /// The oldest that is supported.
    pub(super) const OLDEST: Self = Self(1, 4);

    /// That of a tag such as `v1.13.0-beta.1`.
    pub(super) fn of(tag: &str) -> Option<Self> {
        TalosVersion::release(tag).map(|(major, minor)| Self(major, minor))
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(major, minor) = self;
        write!(f, "{major}.{minor}")
    }
}

/// What a method or a resource type is there for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Purpose {
    /// What vCenter lacks without it.
    pub(super) missing: &'static str,
    /// The first release that has it.
    pub(super) since: Release,
}

impl Purpose {
    /// Of something that every supported release has.
    pub(super) const fn new(missing: &'static str) -> Self {
        Self {
            missing,
            since: Release::OLDEST,
        }
    }

    /// The same of something that came later.
    pub(super) const fn since(self, major: u32, minor: u32) -> Self {
        Self {
            since: Release(major, minor),
            ..self
        }
    }
}
