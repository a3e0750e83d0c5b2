//! What an error of Talos means for an inquiry.

use tonic::Code;

use crate::inquiry::{Trouble, TroubleKind};
use crate::talos::error::Error;

/// Go's words for a path that is not there or goes through a file, and Talos' for a log.
const NOT_FOUND: [&str; 4] = [
    "no such file or directory",
    "not a directory",
    "was not registered",
    "not found",
];
/// Talos' words for a folder, a device and so on.
const NOT_A_FILE: &str = "must be a regular file";

/// What the error means.
pub(super) fn of(error: &Error) -> Trouble {
    let text = match error {
        Error::Denied { call: "Read", .. } => {
            format!("{}; it needs the role os:admin", error.with_causes())
        }
        other => other.with_causes(),
    };
    let (kind, code) = match error {
        Error::Denied { .. } => (TroubleKind::Denied, Code::PermissionDenied),
        Error::Unsupported { .. } => (TroubleKind::NotSupported, Code::Unimplemented),
        Error::Deadline { .. } => (TroubleKind::Away, Code::DeadlineExceeded),
        Error::Talos { code, message, .. } => (kind_of(*code, message), *code),
        Error::Malformed { .. } => (TroubleKind::Failed, Code::Internal),
        Error::Unreachable { .. }
        | Error::Tls { .. }
        | Error::Talosconfig(_)
        | Error::OtherMachine { .. }
        | Error::NotProven { .. }
        | Error::NoNode { .. } => (TroubleKind::Away, Code::Unavailable),
    };
    new(kind, code, text)
}

/// What a status of Talos' own means.
pub(super) fn kind_of(code: Code, message: &str) -> TroubleKind {
    match code {
        Code::NotFound => TroubleKind::NotFound,
        Code::PermissionDenied | Code::Unauthenticated => TroubleKind::Denied,
        Code::Unimplemented => TroubleKind::NotSupported,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => {
            TroubleKind::Away
        }
        // Ours: a message beyond our bound.
        Code::OutOfRange if message.contains("message length too large") => TroubleKind::TooLong,
        // Go errors without a status.
        Code::Unknown if message.contains(NOT_A_FILE) => TroubleKind::NotAFile,
        Code::Unknown if NOT_FOUND.iter().any(|words| message.contains(words)) => {
            TroubleKind::NotFound
        }
        _ => TroubleKind::Failed,
    }
}

/// A trouble.
pub(super) fn new(kind: TroubleKind, code: Code, text: impl Into<String>) -> Trouble {
    Trouble {
        kind,
        text: text.into(),
        // Codes of gRPC are small and positive.
        status: code as i32 as u32,
    }
}

/// The answer is longer than we take.
pub(super) fn too_long() -> Trouble {
    new(
        TroubleKind::TooLong,
        Code::ResourceExhausted,
        "the answer is longer than 16 MiB",
    )
}

/// The answer takes too long.
pub(super) fn too_slow() -> Trouble {
    new(
        TroubleKind::Away,
        Code::DeadlineExceeded,
        "Talos did not come to an end in time",
    )
}

/// Too many inquiries are under way.
pub(super) fn too_many() -> Trouble {
    new(
        TroubleKind::Away,
        Code::ResourceExhausted,
        "too many questions are under way",
    )
}

/// There is nothing of that name.
pub(super) fn not_found(text: impl Into<String>) -> Trouble {
    new(TroubleKind::NotFound, Code::NotFound, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talos(code: Code, message: &str) -> TroubleKind {
        let error = Error::Talos {
            call: "Read",
            code,
            message: message.to_owned(),
        };
        of(&error).kind
    }

    #[test]
    fn words_of_talos_become_what_can_be_done_about_them() {
        use TroubleKind::{Away, Failed, NotAFile, NotFound, TooLong};
        for (code, message, kind) in [
            (
                Code::Unknown,
                "lstat /a: no such file or directory",
                NotFound,
            ),
            (
                Code::NotFound,
                "stat /a: no such file or directory",
                NotFound,
            ),
            (Code::Unknown, "log \"a\" was not registered", NotFound),
            (Code::Unknown, "container \"a\" not found", NotFound),
            (
                Code::Unknown,
                "lstat /etc/os-release/a: not a directory",
                NotFound,
            ),
            (Code::Unknown, "path must be a regular file", NotAFile),
            (Code::Unknown, "open /a: input/output error", Failed),
            (Code::Unavailable, "", Away),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 5",
                TooLong,
            ),
            (Code::OutOfRange, "beyond the end", Failed),
        ] {
            assert_eq!(talos(code, message), kind, "{message}");
        }
    }

    #[test]
    fn a_refused_read_names_the_role_that_may() {
        let denied = |call| Error::Denied {
            call,
            role: "os:operator".to_owned(),
            message: "not authorized".to_owned(),
        };
        let trouble = of(&denied("Read"));
        assert_eq!((trouble.kind, trouble.status), (TroubleKind::Denied, 7));
        assert_eq!(
            trouble.text,
            "Talos denies Read to os:operator: not authorized; it needs the role os:admin"
        );
        assert!(!of(&denied("List")).text.contains("os:admin"));
    }
}
