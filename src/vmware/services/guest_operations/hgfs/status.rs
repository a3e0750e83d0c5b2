//! Why an operation came to nothing, in HGFS' words: those of the errno that a file system would have.

use crate::guest_operations::Failure;
use crate::vmware::wire::hgfs::Status;

pub(super) const fn status(failure: Failure) -> Status {
    match failure {
        Failure::NotAllowed | Failure::WrongLogin => Status::NotPermitted,
        Failure::Disabled => Status::AccessDenied,
        Failure::NotFound | Failure::NoSuchProcess => Status::NoSuchFile,
        Failure::NotAFile => Status::FileExists,
        Failure::NotAFolder => Status::NotDirectory,
        Failure::Invalid | Failure::BadName => Status::InvalidName,
        Failure::NameTooLong => Status::NameTooLong,
        Failure::NoRoom => Status::NoSpace,
        Failure::Busy | Failure::NotNow | Failure::Failed => Status::GenericError,
    }
}
