//! Why an operation fails, independent of the hypervisor's protocol.

use crate::inquiry::{Trouble, TroubleKind};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The user has no right to it, and asking again will not help.
    #[error("this user has no right to it")]
    NotAllowed,
    /// It is not done on any Talos node: writing, above all.
    #[error("it is switched off")]
    Disabled,
    /// The name or password is wrong.
    #[error("the name or the password is wrong")]
    WrongLogin,
    /// Too much of it is under way; later it may work.
    #[error("too much is under way")]
    Busy,
    /// It is not ready, Talos is away or slow, or refuses it for now: later it may work.
    #[error("it is not to be had for now")]
    NotNow,
    /// What Talos gives cannot be used, or breaks off.
    #[error("Talos does not give it")]
    Failed,
    /// There is nothing of that name.
    #[error("there is no such file or program")]
    NotFound,
    /// It is a folder, or nothing that has contents.
    #[error("it is no file")]
    NotAFile,
    /// It is no folder.
    #[error("it is no folder")]
    NotAFolder,
    /// There is no such process.
    #[error("there is no such process")]
    NoSuchProcess,
    /// The arguments mean nothing.
    #[error("the arguments mean nothing")]
    Invalid,
    /// A name is not one of ours: it climbs, or has characters that names do not have.
    #[error("the name cannot be")]
    BadName,
    /// A name is too long.
    #[error("the name is too long")]
    NameTooLong,
    /// There is no room for it.
    #[error("there is no room for it")]
    NoRoom,
}

impl From<&Trouble> for Failure {
    fn from(trouble: &Trouble) -> Self {
        match trouble.kind {
            TroubleKind::Away | TroubleKind::Denied => Self::NotNow,
            TroubleKind::NotFound | TroubleKind::NotSupported => Self::NotFound,
            TroubleKind::NotAFile => Self::NotAFile,
            TroubleKind::TooLong => Self::NoRoom,
            TroubleKind::Failed => Self::Failed,
        }
    }
}
