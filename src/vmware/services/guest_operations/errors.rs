//! What a failure is called in VIX, and so what vSphere makes of it [vix.h].

use crate::guest_operations::Failure;
use crate::vmware::wire::vix::VixError;

/// The number of a failure; the fault that a client of vSphere gets is behind it.
pub(super) const fn error_of(failure: Failure) -> VixError {
    match failure {
        // GuestPermissionDenied
        Failure::NotAllowed => VixError::PERMISSION,
        // OperationDisabledByGuest
        Failure::Disabled => VixError::OPERATION_DISABLED,
        // InvalidGuestLogin
        Failure::WrongLogin => VixError::INVALID_LOGIN,
        // SystemError
        Failure::Busy => VixError::BUSY,
        // CannotAccessFile, after which clients ask again
        Failure::NotNow => VixError::FILE_ACCESS,
        // FileFault
        Failure::Failed => VixError::FILE_ERROR,
        // FileNotFound
        Failure::NotFound => VixError::FILE_NOT_FOUND,
        // NotAFile
        Failure::NotAFile => VixError::NOT_A_FILE,
        // NotADirectory
        Failure::NotAFolder => VixError::NOT_A_FOLDER,
        // GuestProcessNotFound
        Failure::NoSuchProcess => VixError::NO_SUCH_PROCESS,
        // InvalidArgument
        Failure::Invalid => VixError::INVALID_ARGUMENT,
        // InvalidArgument
        Failure::BadName => VixError::FILE_NAME,
        // FileNameTooLong
        Failure::NameTooLong => VixError::NAME_TOO_LONG,
        // NoDiskSpace
        Failure::NoRoom => VixError::DISK_FULL,
    }
}
