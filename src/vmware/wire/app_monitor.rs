//! vSphere HA application monitoring over RPCI (libappmonitor): commands without NUL, replies of one word.
//!
//! ```text
//! GuestAppMonitor.Cmd.Enable         1 0        the host counts from here on
//! GuestAppMonitor.Cmd.MarkActive     1 0        or 1 2: it does not count
//! GuestAppMonitor.Cmd.IsEnabled      1 true
//! GuestAppMonitor.Cmd.GetAppStatus   1 green
//! ```

use super::text::text;

/// How each command begins.
pub const PREFIX: &str = "GuestAppMonitor.Cmd.";

/// What the guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Count marks from here on.
    Enable,
    /// One mark: all is well. Due every 30 s at least.
    MarkActive,
    /// Count no longer.
    Disable,
    /// Does the host count?
    IsEnabled,
    /// What does it think of us?
    GetAppStatus,
}

impl Command {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enable => "Enable",
            Self::MarkActive => "MarkActive",
            Self::Disable => "Disable",
            Self::IsEnabled => "IsEnabled",
            Self::GetAppStatus => "GetAppStatus",
        }
    }

    /// The message.
    pub fn message(self) -> Vec<u8> {
        [PREFIX, self.name()].concat().into_bytes()
    }
}

/// What the host says to a command that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 0: done. No word counts as well.
    Ok,
    /// 2: it does not count.
    NotEnabled,
    /// Another word.
    Other,
}

impl Code {
    /// Reads a reply's text.
    pub fn parse(text: &[u8]) -> Self {
        match word(text) {
            b"0" | b"" => Self::Ok,
            b"2" => Self::NotEnabled,
            _ => Self::Other,
        }
    }
}

/// The host's opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppStatus {
    /// It counts, and the marks come in time.
    Green,
    /// It counts, and a mark is late: it will reset the machine, or would.
    Red,
    /// It does not count.
    Gray,
    /// Another word.
    Other,
}

impl AppStatus {
    /// Reads the reply's text.
    pub fn parse(text: &[u8]) -> Self {
        match word(text) {
            b"green" => Self::Green,
            b"red" => Self::Red,
            b"gray" => Self::Gray,
            _ => Self::Other,
        }
    }
}

/// Whether the host counts, by the text of its reply to IsEnabled: `true` or something else.
pub fn is_enabled(text: &[u8]) -> bool {
    word(text) == b"true"
}

/// The text up to the first NUL, without blanks at its ends.
fn word(reply: &[u8]) -> &[u8] {
    text(reply).trim_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the library hands them to the channel: without a terminator.
    #[test]
    fn commands_are_their_names_and_nothing_more() {
        for (command, message) in [
            (Command::Enable, "GuestAppMonitor.Cmd.Enable"),
            (Command::MarkActive, "GuestAppMonitor.Cmd.MarkActive"),
            (Command::Disable, "GuestAppMonitor.Cmd.Disable"),
            (Command::IsEnabled, "GuestAppMonitor.Cmd.IsEnabled"),
            (Command::GetAppStatus, "GuestAppMonitor.Cmd.GetAppStatus"),
        ] {
            assert_eq!(command.message(), message.as_bytes());
        }
    }

    #[test]
    fn replies_are_read_with_and_without_what_may_surround_them() {
        for (text, code) in [
            (&b"0"[..], Code::Ok),
            (b"0\0", Code::Ok),
            (b"", Code::Ok),
            (b"2", Code::NotEnabled),
            (b" 2 \0junk", Code::NotEnabled),
            (b"1", Code::Other),
            (b"20", Code::Other),
        ] {
            assert_eq!(Code::parse(text), code, "{text:?}");
        }
        for (text, status) in [
            (&b"green"[..], AppStatus::Green),
            (b"red\0", AppStatus::Red),
            (b"gray\n", AppStatus::Gray),
            (b"greenish", AppStatus::Other),
            (b"", AppStatus::Other),
        ] {
            assert_eq!(AppStatus::parse(text), status, "{text:?}");
        }
        assert!(is_enabled(b"true\0") && !is_enabled(b"TRUE") && !is_enabled(b""));
    }

    proptest! {
        #[test]
        fn any_reply_is_read(text: Vec<u8>) {
            Code::parse(&text);
            AppStatus::parse(&text);
            is_enabled(&text);
        }
    }
}
