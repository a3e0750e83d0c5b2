//! What became of a request (HgfsStatus, hgfsProto.h).

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// HGFS_STATUS_SUCCESS.
    Success = 0,
    /// HGFS_STATUS_NO_SUCH_FILE_OR_DIR.
    NoSuchFile = 1,
    /// HGFS_STATUS_INVALID_HANDLE.
    InvalidHandle = 2,
    /// HGFS_STATUS_OPERATION_NOT_PERMITTED.
    NotPermitted = 3,
    /// HGFS_STATUS_FILE_EXISTS; a folder where a file is wanted as well.
    FileExists = 4,
    /// HGFS_STATUS_NOT_DIRECTORY.
    NotDirectory = 5,
    /// HGFS_STATUS_PROTOCOL_ERROR.
    ProtocolError = 7,
    /// HGFS_STATUS_ACCESS_DENIED.
    AccessDenied = 8,
    /// HGFS_STATUS_INVALID_NAME.
    InvalidName = 9,
    /// HGFS_STATUS_GENERIC_ERROR.
    GenericError = 10,
    /// HGFS_STATUS_NO_SPACE.
    NoSpace = 12,
    /// HGFS_STATUS_OPERATION_NOT_SUPPORTED.
    NotSupported = 13,
    /// HGFS_STATUS_NAME_TOO_LONG.
    NameTooLong = 14,
    /// HGFS_STATUS_INVALID_PARAMETER.
    InvalidParameter = 15,
    /// HGFS_STATUS_STALE_SESSION.
    StaleSession = 17,
}
