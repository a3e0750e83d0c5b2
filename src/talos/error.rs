//! What can go wrong between us and Talos, by who is at fault.

use std::io;
use std::sync::Arc;

use tonic::{Code, Status};

use super::tls::TlsTrouble;
use crate::config::talosconfig;
use crate::log::Chain;

/// A call to Talos, or the way to it, failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answers there, or the connection broke.
    #[error("cannot reach Talos at {endpoint}")]
    Unreachable {
        /// Path of the socket, or host:port.
        endpoint: String,
        /// Whether the connection broke after the call may have been sent, so that nobody knows whether
        /// Talos got it.
        sent: bool,
        /// What the system says.
        #[source]
        source: Arc<io::Error>,
    },
    /// Somebody answers, but one side does not trust the other.
    #[error("TLS with {endpoint} failed: {trouble} (talosconfig {talosconfig})")]
    Tls {
        /// host:port
        endpoint: String,
        /// What is wrong, in plain words.
        trouble: TlsTrouble,
        /// The file with the certificates.
        talosconfig: String,
    },
    /// The talosconfig cannot be used.
    #[error(transparent)]
    Talosconfig(#[from] talosconfig::Error),
    /// Talos refuses the call to our roles.
    #[error("Talos denies {call} to {role} (needs os:operator): {message}")]
    Denied {
        /// Method or resource type.
        call: &'static str,
        /// The role claimed, or where the roles come from.
        role: String,
        /// Talos' words.
        message: String,
    },
    /// This Talos (or this kind of machine) does not know the method or the resource type.
    #[error("this Talos does not support {call}: {message}")]
    Unsupported {
        /// Method or resource type.
        call: &'static str,
        /// Talos' words.
        message: String,
    },
    /// No answer in time.
    #[error("Talos did not answer {call} in time")]
    Deadline {
        /// Method or resource type.
        call: &'static str,
    },
    /// Talos answered with an error of its own.
    #[error("Talos answers {call} with {code:?}: {message}")]
    Talos {
        /// Method or resource type.
        call: &'static str,
        /// gRPC status code.
        code: Code,
        /// Talos' words.
        message: String,
    },
    /// The answer makes no sense.
    #[error("cannot understand Talos' answer to {call}: {problem}")]
    Malformed {
        /// Method or resource type.
        call: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl Error {
    /// Whether the same call may succeed later. True for TLS and talosconfig trouble too: certificates are
    /// renewed while the daemon runs.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Talosconfig(_)
            | Self::Denied { .. }
            | Self::Deadline { .. } => true,
            Self::Talos { code, .. } => {
                matches!(
                    code,
                    Code::Unavailable
                        | Code::Aborted
                        | Code::ResourceExhausted
                        | Code::DeadlineExceeded
                        | Code::Cancelled
                )
            }
            Self::Unsupported { .. } | Self::Malformed { .. } => false,
        }
    }

    /// Whether the connection failed, so that other calls on it fail as well.
    pub(super) fn is_connection(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Talosconfig(_)
            | Self::Deadline { .. } => true,
            // apid answers so when it cannot reach machined.
            Self::Talos { code, .. } => *code == Code::Unavailable,
            Self::Denied { .. } | Self::Unsupported { .. } | Self::Malformed { .. } => false,
        }
    }

    /// Whether Talos may have carried out the call although it looks failed.
    pub(super) fn is_ambiguous(&self) -> bool {
        match self {
            Self::Unreachable { sent, .. } => *sent,
            Self::Deadline { .. } => true,
            Self::Malformed { .. } => true,
            // Said by apid, whose connection to machined may have broken in between, or by somebody else who gave
            // up waiting for what Talos may be doing.
            Self::Talos { code, .. } => matches!(
                code,
                Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled
            ),
            Self::Tls { .. }
            | Self::Talosconfig(_)
            | Self::Denied { .. }
            | Self::Unsupported { .. } => false,
        }
    }

    /// What a gRPC status means. `endpoint` and `role` are those of the client.
    pub(super) fn from_status(
        call: &'static str,
        endpoint: &str,
        role: &str,
        status: &Status,
    ) -> Self {
        if let Some(transport) = std::error::Error::source(status) {
            return Self::from_transport(endpoint, transport);
        }
        let message = status.message().to_owned();
        match status.code() {
            // The access filter's words for a type or namespace that this release does not have.
            Code::PermissionDenied if message.contains("is not supported") => {
                Self::Unsupported { call, message }
            }
            Code::PermissionDenied | Code::Unauthenticated => Self::Denied {
                call,
                role: role.to_owned(),
                message,
            },
            Code::Unimplemented => Self::Unsupported { call, message },
            code => Self::Talos {
                call,
                code,
                message,
            },
        }
    }

    /// What failed below gRPC: our own connector's error if it is in the chain, otherwise a broken connection.
    fn from_transport(endpoint: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut chain = Some(error);
        let mut words = String::new();
        while let Some(link) = chain {
            if let Some(own) = link.downcast_ref::<Self>() {
                return own.clone();
            }
            words = link.to_string();
            chain = link.source();
        }
        Self::Unreachable {
            endpoint: endpoint.to_owned(),
            sent: true,
            source: Arc::new(io::Error::other(format!("connection lost: {words}"))),
        }
    }

    /// The error with its causes on one line.
    pub fn with_causes(&self) -> String {
        Chain(self).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(status: Status) -> Error {
        Error::from_status("Reboot", "here:1", "os:reader", &status)
    }

    fn transport(error: impl std::error::Error + Send + Sync + 'static) -> Error {
        let mut status = Status::unavailable("transport error");
        status.set_source(Arc::new(error));
        from(status)
    }

    #[test]
    fn talos_answers_are_told_apart() {
        let denied = from(Status::permission_denied("not authorized"));
        assert!(matches!(denied, Error::Denied { .. }), "{denied:?}");
        assert!(denied.is_retryable() && !denied.is_ambiguous() && !denied.is_connection());
        assert_eq!(
            denied.to_string(),
            "Talos denies Reboot to os:reader (needs os:operator): not authorized"
        );

        let absent = from(Status::permission_denied(
            "resource type \"X\" is not supported",
        ));
        assert!(matches!(absent, Error::Unsupported { .. }), "{absent:?}");
        let absent = from(Status::unimplemented("no"));
        assert!(!absent.is_retryable() && !absent.is_ambiguous());

        let precondition = from(Status::failed_precondition(
            "method is not supported in container mode",
        ));
        assert!(!precondition.is_retryable() && !precondition.is_ambiguous());

        let away = from(Status::unavailable("no machined"));
        assert!(away.is_retryable() && away.is_ambiguous() && away.is_connection());
    }

    #[test]
    fn whoever_gave_up_waiting_does_not_know_what_talos_did() {
        for code in [Code::DeadlineExceeded, Code::Cancelled] {
            let error = from(Status::new(code, "context deadline exceeded"));
            assert!(error.is_retryable() && error.is_ambiguous() && !error.is_connection());
        }
    }

    #[test]
    fn a_broken_connection_is_no_answer() {
        let lost = transport(io::Error::other("reset"));
        assert!(
            matches!(lost, Error::Unreachable { sent: true, .. }),
            "{lost:?}"
        );
        assert!(lost.is_retryable() && lost.is_ambiguous() && lost.is_connection());
        assert_eq!(
            lost.with_causes(),
            "cannot reach Talos at here:1: connection lost: reset"
        );
    }

    #[test]
    fn the_connectors_own_error_is_found_in_the_chain() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] Error);
        let own = Error::Unreachable {
            endpoint: "there:2".into(),
            sent: false,
            source: Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused)),
        };
        let found = transport(Outer(own));
        assert!(
            matches!(&found, Error::Unreachable { endpoint, sent: false, .. } if endpoint == "there:2"),
            "{found:?}"
        );
        assert!(!found.is_ambiguous());
    }
}
