//! The numbers that VIX operations answer with [vix.h, vixOpenSource.h].

/// A VixError.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VixError(pub u32);

impl VixError {
    /// VIX_OK.
    pub const OK: Self = Self(0);
    /// VIX_E_FAIL.
    pub const FAIL: Self = Self(1);
    /// VIX_E_INVALID_ARG.
    pub const INVALID_ARGUMENT: Self = Self(3);
    /// VIX_E_FILE_NOT_FOUND.
    pub const FILE_NOT_FOUND: Self = Self(4);
    /// VIX_E_OBJECT_IS_BUSY.
    pub const BUSY: Self = Self(5);
    /// VIX_E_NOT_SUPPORTED.
    pub const NOT_SUPPORTED: Self = Self(6);
    /// VIX_E_FILE_ERROR.
    pub const FILE_ERROR: Self = Self(7);
    /// VIX_E_DISK_FULL.
    pub const DISK_FULL: Self = Self(8);
    /// VIX_E_FILE_ACCESS_ERROR: clients of vSphere ask again.
    pub const FILE_ACCESS: Self = Self(13);
    /// VIX_E_FILE_NAME_INVALID.
    pub const FILE_NAME: Self = Self(22);
    /// VIX_E_INVALID_UTF8_STRING.
    pub const INVALID_UTF8: Self = Self(27);
    /// VIX_E_GUEST_USER_PERMISSIONS.
    pub const PERMISSION: Self = Self(3015);
    /// VIX_E_UNRECOGNIZED_COMMAND_IN_GUEST.
    pub const UNRECOGNIZED_COMMAND: Self = Self(3025);
    /// VIX_E_INVALID_LOGIN_CREDENTIALS.
    pub const INVALID_LOGIN: Self = Self(3050);
    /// VIX_E_INVALID_MESSAGE_HEADER.
    pub const INVALID_HEADER: Self = Self(10000);
    /// VIX_E_INVALID_MESSAGE_BODY.
    pub const INVALID_BODY: Self = Self(10001);
    /// VIX_E_NOT_A_FILE.
    pub const NOT_A_FILE: Self = Self(20001);
    /// VIX_E_NOT_A_DIRECTORY.
    pub const NOT_A_FOLDER: Self = Self(20002);
    /// VIX_E_NO_SUCH_PROCESS.
    pub const NO_SUCH_PROCESS: Self = Self(20003);
    /// VIX_E_FILE_NAME_TOO_LONG.
    pub const NAME_TOO_LONG: Self = Self(20004);
    /// VIX_E_OPERATION_DISABLED.
    pub const OPERATION_DISABLED: Self = Self(20005);
}
