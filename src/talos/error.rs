//! What can go wrong between us and Talos, by who is at fault.

use std::io;
use std::sync::Arc;

use tonic::{Code, Status};

use super::proof::Difference;
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
    /// The machine that answers is not the one that we run on.
    #[error("{} is another machine: {difference}", name(endpoint, host_name.as_deref()))]
    OtherMachine {
        /// host:port
        endpoint: String,
        /// The name that it says it has.
        host_name: Option<String>,
        /// How it is another one.
        difference: Difference,
    },
    /// Whoever answers does not show whether it is the machine that we run on.
    #[error("{endpoint} does not prove that it is this machine: {why}")]
    NotProven {
        /// host:port
        endpoint: String,
        /// Why not.
        why: String,
    },
    /// Nobody has named a node, and this machine's own address has not stood in for one.
    #[error("no node is named, and this machine's own address is of no use")]
    NoNode {
        /// What is wrong with this machine's own address.
        #[source]
        source: Arc<Self>,
    },
    /// Talos refuses the call to our roles.
    #[error("Talos denies {call} to {role}: {message}")]
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

/// An endpoint, with the name that it says it has.
fn name(endpoint: &str, host_name: Option<&str>) -> String {
    match host_name {
        Some(host_name) => format!("{endpoint} ({host_name})"),
        None => endpoint.to_owned(),
    }
}

impl Error {
    /// Whether it is about which machine answers.
    pub(super) const fn is_about_identity(&self) -> bool {
        matches!(
            self,
            Self::OtherMachine { .. } | Self::NoNode { .. } | Self::NotProven { .. }
        )
    }

    /// The same for errors that say the same. The counters of another machine are others each time.
    pub(super) fn gist(&self) -> String {
        match self {
            Self::OtherMachine {
                endpoint,
                host_name,
                difference,
            } => {
                let boot_time = difference.peer_boot_time();
                format!("{} {boot_time}", name(endpoint, host_name.as_deref()))
            }
            // However this machine's own address is of no use, the remedy is to name the node.
            Self::NoNode { .. } => "no node".to_owned(),
            other => other.with_causes(),
        }
    }

    /// Whether the same call may succeed later. True for TLS and talosconfig trouble too: certificates are
    /// renewed while the daemon runs. False for a machine that is not this one, since no waiting makes it so; the
    /// observer looks again all the same.
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
            Self::OtherMachine { .. }
            | Self::NotProven { .. }
            | Self::NoNode { .. }
            | Self::Unsupported { .. }
            | Self::Malformed { .. } => false,
        }
    }

    /// Whether nothing answers: neither Talos, nor something else on the way to it that has a reason of its own.
    pub(super) const fn is_silence(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Deadline { .. } => true,
            // apid answers so when it cannot reach machined.
            Self::Talos { code, .. } => matches!(code, Code::Unavailable | Code::DeadlineExceeded),
            _ => false,
        }
    }

    /// Whether the connection failed, so that other calls on it fail as well.
    pub(super) fn is_connection(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Talosconfig(_)
            | Self::OtherMachine { .. }
            | Self::NotProven { .. }
            | Self::NoNode { .. }
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
            // Before anything but SystemStat is sent.
            Self::OtherMachine { .. } | Self::NotProven { .. } | Self::NoNode { .. } => false,
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
    use crate::facts::Counters;
    use crate::talos::proof::compare;

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
            "Talos denies Reboot to os:reader: not authorized"
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
    fn what_is_not_this_machine_is_final_for_a_call_and_nothing_was_sent() {
        let counters = |context_switches| Counters {
            boot_time: 5,
            context_switches,
            processes: 3,
        };
        let other = |context_switches| Error::OtherMachine {
            endpoint: "10.0.0.9:50000".into(),
            host_name: Some("cp-2".into()),
            difference: compare(counters(100), counters(context_switches), counters(101))
                .unwrap_err(),
        };
        let not_proven = Error::NotProven {
            endpoint: "10.0.0.9:50000".into(),
            why: "it is silent".into(),
        };
        let no_node = |context_switches| Error::NoNode {
            source: Arc::new(other(context_switches)),
        };
        for error in [other(7), not_proven, no_node(7)] {
            assert!(!error.is_retryable() && error.is_connection() && !error.is_ambiguous());
            assert!(error.is_about_identity(), "{error}");
        }
        for (one, again) in [(other(7), other(8)), (no_node(7), no_node(8))] {
            assert_ne!(one.with_causes(), again.with_causes());
            assert_eq!(one.gist(), again.gist(), "logged once");
        }
        let words = other(7).to_string();
        assert!(words.starts_with("10.0.0.9:50000 (cp-2) is another machine: boot time 5"));
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
