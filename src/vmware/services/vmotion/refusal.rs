//! Why a host gives no notice, from its words, and what an operator can do.

use tracing::{info, warn};

use crate::diagnosis::Outcome;
use crate::vmware::services::RpciOutcome;
use crate::vmware::wire::text::{line, printable};
use crate::vmware::wire::vm_operation_notification::{APP_NAME, ReplyError, parse_list};

/// Why a host gives no notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The virtual machine's option is not set.
    NotEnabled,
    /// There is a registration already, and one is the limit.
    Limit,
    /// The token belongs to no registration.
    NoSuchToken,
    /// The host does not know the command: it is older than vSphere 8.
    Unsupported,
    /// Something else.
    Other,
    /// What it says makes no sense.
    Garbage,
}

impl Refusal {
    /// What a reply that is not the one that was asked for means.
    pub(super) fn of(error: &ReplyError, outcome: &RpciOutcome) -> Self {
        match (error, outcome) {
            (ReplyError::Denied(why), _) => Self::of_words(why),
            // A status 0 may come without an object; the words are the same.
            (ReplyError::Malformed(_), RpciOutcome::Refused(text)) => {
                match Self::of_words(&String::from_utf8_lossy(text)) {
                    Self::Other => Self::Unsupported,
                    known => known,
                }
            }
            (ReplyError::Malformed(_), _) => Self::Garbage,
        }
    }

    fn of_words(words: &str) -> Self {
        const WORDS: [(&str, Refusal); 4] = [
            ("not enabled", Refusal::NotEnabled),
            ("limit of", Refusal::Limit),
            ("already registered", Refusal::Limit),
            ("could not find application", Refusal::NoSuchToken),
        ];
        let words = words.to_ascii_lowercase();
        let known = WORDS.iter().find(|(text, _)| words.contains(text));
        known.map_or(Self::Other, |(_, refusal)| *refusal)
    }

    /// In one phrase, for people.
    pub(super) const fn problem(self) -> &'static str {
        match self {
            Self::NotEnabled => "not enabled for this virtual machine",
            Self::Limit => "another application is registered, and one is the limit",
            Self::NoSuchToken => "the registration is gone",
            Self::Unsupported => "this host knows no vMotion notifications",
            Self::Other => "the host refuses",
            Self::Garbage => "the host's reply makes no sense",
        }
    }

    /// What an operator can do about it.
    const fn remedy(self) -> &'static str {
        match self {
            Self::NotEnabled => {
                "set vmOpNotificationToAppEnabled of the virtual machine, which needs hardware version 20"
            }
            Self::Limit => {
                "have the other application unregister; a registration that was left behind ends when the virtual \
                 machine is switched off and on"
            }
            Self::Unsupported => "run the virtual machine on vSphere 8 or newer",
            Self::NoSuchToken | Self::Other | Self::Garbage => "see vmware.log of the VM",
        }
    }

    /// In the words of `check`.
    pub(super) fn check(self) -> Outcome {
        if self == Self::Unsupported {
            return Outcome::NotChecked(self.problem().to_owned());
        }
        Outcome::fails(
            format!("no notice of migrations: {}", self.problem()),
            self.remedy(),
        )
    }

    /// One line.
    pub(super) fn log(self, error: &ReplyError, outcome: &RpciOutcome) {
        let Some(reply) = words(error, outcome) else {
            return;
        };
        let problem = self.problem();
        if self == Self::Unsupported {
            info!(
                reply,
                "this host knows no vMotion notifications; it is asked again in the next session"
            );
        } else {
            let remedy = self.remedy();
            warn!(
                problem,
                reply, remedy, "the host gives no notice of migrations; it is asked again"
            );
        }
    }
}

/// What a log may show of a reply: the reason in it, or words with status 0. Of all else the length alone, for it may hold a
/// token.
pub(super) fn words(error: &ReplyError, outcome: &RpciOutcome) -> Option<String> {
    match (error, outcome) {
        (_, RpciOutcome::TooLong | RpciOutcome::Failed) => None,
        (ReplyError::Denied(why), _) => Some(printable(why.as_bytes())),
        (ReplyError::Malformed(_), RpciOutcome::Refused(reply)) if !reply.contains(&b'{') => {
            Some(printable(reply))
        }
        (ReplyError::Malformed(_), RpciOutcome::Accepted(reply) | RpciOutcome::Refused(reply)) => {
            Some(format!("{} bytes", reply.len()))
        }
    }
}

/// Longest name of an application that is repeated, in bytes.
const LONGEST_NAME: usize = 64;

/// What the reply to a question for the registered applications means, in the words of `check`.
pub fn notice_of_migrations(outcome: &RpciOutcome) -> Outcome {
    let reply = match outcome {
        RpciOutcome::Accepted(reply) | RpciOutcome::Refused(reply) => reply.as_slice(),
        RpciOutcome::TooLong | RpciOutcome::Failed => &[],
    };
    match parse_list(reply) {
        Err(error) => Refusal::of(&error, outcome).check(),
        Ok(apps) => match apps.first() {
            None => Outcome::Works("the host takes a registration, and there is none".to_owned()),
            Some(app) if app == APP_NAME => {
                Outcome::Works("the host gives notice of migrations".to_owned())
            }
            Some(app) => Outcome::fails(
                format!(
                    "no notice of migrations: {} is registered, and one is the limit",
                    line(app, LONGEST_NAME)
                ),
                Refusal::Limit.remedy(),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::logged::Logged;
    use crate::vmware::wire::vm_operation_notification::Registered;

    #[test]
    fn a_reply_without_sense_is_not_logged_for_the_token_in_it() {
        let logged = Logged::new();
        let reply = br#"{"result": true, "uniqueToken": "the secret"}"#;
        let error = Registered::parse(reply).unwrap_err();
        let outcome = RpciOutcome::Accepted(reply.to_vec());
        Refusal::of(&error, &outcome).log(&error, &outcome);
        let lines = logged.take();
        assert_eq!(lines.len(), 1);
        assert!(!lines[0].1.contains("secret"), "{lines:?}");
    }

    #[test]
    fn of_an_object_with_status_0_the_reason_alone_is_logged() {
        for (reply, expected) in [
            (r#"{"uniqueToken": "the secret"}"#, "29 bytes"),
            (
                r#"{"uniqueToken": "the secret", "result": false, "errorMessage": "busy"}"#,
                "busy",
            ),
            (r#"{"uniqueToken": "the secret", not enabled"#, "41 bytes"),
            ("Unknown command", "Unknown command"),
        ] {
            let logged = Logged::new();
            let error = Registered::parse(reply.as_bytes()).unwrap_err();
            let outcome = RpciOutcome::Refused(reply.into());
            Refusal::of(&error, &outcome).log(&error, &outcome);
            let line = logged.take().remove(0).1;
            assert!(!line.contains("secret"), "{line}");
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn who_is_registered_says_whether_there_is_notice() {
        let list = |info: &str| {
            let text = format!(r#"{{"version":"1.0.0", "result": true, "info": [{info}] }}"#);
            notice_of_migrations(&RpciOutcome::Accepted(text.into()))
        };
        assert!(matches!(list(""), Outcome::Works(_)));
        assert!(matches!(
            list(r#"{"appName": "talos-vmtoolsd"}"#),
            Outcome::Works(_)
        ));
        let Outcome::Fails { problem, .. } = list(r#"{"appName": "demo"}"#) else {
            panic!("another application is in the way")
        };
        assert!(problem.contains("demo is registered"), "{problem}");
        let denied = br#"{"result": false, "errorMessage": "VM operation notification not enabled on this VM"}"#;
        for outcome in [
            RpciOutcome::Accepted(denied.to_vec()),
            RpciOutcome::Refused(denied.to_vec()),
            RpciOutcome::Refused(b"VM operation notification not enabled on this VM".to_vec()),
        ] {
            let Outcome::Fails { remedy, .. } = notice_of_migrations(&outcome) else {
                panic!("{outcome:?}")
            };
            assert!(remedy.contains("vmOpNotificationToAppEnabled"), "{remedy}");
        }
        let older = RpciOutcome::Refused(b"Unknown command".to_vec());
        assert!(matches!(
            notice_of_migrations(&older),
            Outcome::NotChecked(_)
        ));
    }
}
