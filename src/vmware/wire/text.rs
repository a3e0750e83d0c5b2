//! The text around every TCLO request and reply, and around guest variables.
//!
//! ```text
//! request   name [SP args] [NUL]         Set_Option broadcastIP 1
//! reply     OK SP result | ERROR SP why  OK ATR toolbox
//! variable  info-set guestinfo.KEY SP value NUL
//! ```
//!
//! The name ends at the first space or NUL. Everything after that one space belongs to the command: text for most,
//! binary for VIX, so nothing is cut there [rpcChannel.c, rpcin.c, toolsRpc.c].

/// A TCLO request, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcloRequest<'a> {
    /// Name of the command; never empty, without space and NUL.
    pub name: &'a [u8],
    /// What follows the space behind the name, as it came; empty when there is no space.
    pub args: &'a [u8],
}

impl<'a> TcloRequest<'a> {
    /// Takes a request apart as RpcChannel_Dispatch does; `None` when it holds no name. Spaces before the
    /// name do not count.
    pub fn parse(request: &'a [u8]) -> Option<Self> {
        let start = request.iter().position(|&byte| byte != b' ')?;
        let (_, request) = request.split_at_checked(start)?;
        let end = request
            .iter()
            .position(|&byte| byte == b' ' || byte == 0)
            .unwrap_or(request.len());
        let (name, rest) = request.split_at_checked(end)?;
        if name.is_empty() {
            return None;
        }
        let args = rest.strip_prefix(b" ").unwrap_or_default();
        Some(Self { name, args })
    }
}

/// The text of `args`, up to the first NUL.
pub fn text(args: &[u8]) -> &[u8] {
    args.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The arguments of Set_Option: `key SP value`, neither of them empty. `None` when malformed.
pub fn key_value(args: &[u8]) -> Option<(&[u8], &[u8])> {
    let args = text(args);
    let start = args.iter().position(|&byte| byte != b' ')?;
    let (_, args) = args.split_at_checked(start)?;
    let end = args.iter().position(|&byte| byte == b' ')?;
    let (key, rest) = args.split_at_checked(end)?;
    let value = rest.strip_prefix(b" ")?;
    (!value.is_empty()).then_some((key, value))
}

/// The first word of `args` as a number, decimal or with `0x` hexadecimal, as strtoul reads it
/// (StrUtil_GetNextUintToken). `None` when there is no word or it is not a number of 32 bits.
pub fn number(args: &[u8]) -> Option<u32> {
    let word = text(args)
        .split(|&byte| byte == b' ')
        .find(|word| !word.is_empty())?;
    let word = std::str::from_utf8(word).ok()?;
    match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(hex) if !hex.starts_with('+') => u32::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None => word.parse().ok(),
    }
}

/// A successful TCLO reply: `OK ` and the result, no NUL added.
pub fn ok(result: &[u8]) -> Vec<u8> {
    [b"OK ", result].concat()
}

/// A TCLO reply that says why not: `ERROR ` and the reason, no NUL added.
pub fn error(why: &str) -> Vec<u8> {
    [b"ERROR ", why.as_bytes()].concat()
}

/// An RPCI text message: the words and a NUL, which most commands expect as part of the message.
pub fn terminated(message: &str) -> Vec<u8> {
    [message.as_bytes(), b"\0"].concat()
}

/// What a guest variable without a value holds: no host lets one be set to nothing.
pub const BLANK: &str = " ";

/// Whether a guest variable holds nothing: it is empty, or was blanked by [`BLANK`] or the like.
pub fn is_blank(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| *byte == 0 || byte.is_ascii_whitespace())
}

/// The RPCI message that sets the guest variable `guestinfo.<key>`, NUL-terminated. A NUL in the value would
/// end it early, so the value is cut there; one without any value is [`BLANK`].
pub fn info_set(key: &str, value: &str) -> Vec<u8> {
    let value = value.split('\0').next().unwrap_or_default();
    let value = if value.is_empty() { BLANK } else { value };
    terminated(&format!("info-set guestinfo.{key} {value}"))
}

/// One line for the host that neither tears a message apart nor breaks the host's XML: without what cannot be
/// printed, without blanks at its ends, and cut between two characters to `max` bytes.
pub fn line(text: &str, max: usize) -> String {
    let printable: String = text.chars().filter(|&c| !is_unprintable(c)).collect();
    let trimmed = printable.trim();
    let end = trimmed.floor_char_boundary(max.min(trimmed.len()));
    trimmed.get(..end).unwrap_or_default().trim_end().to_owned()
}

/// Control characters, line ends, what XML does not know, and marks without a form of their own, which turn the text
/// around them.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        || matches!(c, '\u{FEFF}' | '\u{FFFD}'..='\u{FFFF}')
}

/// A text of JSON, in its quotation marks.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Bytes from the host for the log: escaped, and cut to 128.
pub fn printable(bytes: &[u8]) -> String {
    let cut = bytes.get(..128).unwrap_or(bytes);
    let mut printed = cut.escape_ascii().to_string();
    if cut.len() < bytes.len() {
        printed.push('…');
    }
    printed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        TcloRequest::parse(bytes).map(|request| (request.name, request.args))
    }

    #[test]
    fn a_name_ends_at_space_nul_or_end() {
        assert_eq!(request(b"ping"), Some((&b"ping"[..], &b""[..])));
        assert_eq!(request(b"reset\0"), Some((&b"reset"[..], &b""[..])));
        assert_eq!(
            request(b"Set_Option broadcastIP 1"),
            Some((&b"Set_Option"[..], &b"broadcastIP 1"[..]))
        );
        assert_eq!(
            request(b"Set_Option  x"),
            Some((&b"Set_Option"[..], &b" x"[..]))
        );
        assert_eq!(request(b"f \0\x01"), Some((&b"f"[..], &b"\0\x01"[..])));
        assert_eq!(request(b"  ping"), Some((&b"ping"[..], &b""[..])));
    }

    #[test]
    fn a_request_without_a_name_is_none() {
        for bytes in [&b""[..], b" ", b"   ", b"\0", b" \0ping"] {
            assert_eq!(request(bytes), None);
        }
    }

    #[test]
    fn an_option_needs_key_and_value() {
        assert_eq!(
            key_value(b"synctime 0"),
            Some((&b"synctime"[..], &b"0"[..]))
        );
        assert_eq!(key_value(b"a b c\0d"), Some((&b"a"[..], &b"b c"[..])));
        assert_eq!(key_value(b"  a b"), Some((&b"a"[..], &b"b"[..])));
        for bytes in [&b""[..], b"foo", b"foo ", b" foo", b"foo\0 1", b"   "] {
            assert_eq!(key_value(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_number_is_the_whole_first_word() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"  1 x"), Some(1));
        assert_eq!(number(b"0x10\0"), Some(16));
        for bytes in [
            &b""[..],
            b" ",
            b"x",
            b"1x",
            b"0x",
            b"0x+1",
            b"4294967296",
            b"\xff",
        ] {
            assert_eq!(number(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_variable_ends_with_nul_and_holds_none() {
        // Observed with vmtoolsd 12.2.0.
        assert_eq!(
            info_set("ip", "192.0.2.2"),
            b"info-set guestinfo.ip 192.0.2.2\0"
        );
        assert_eq!(info_set("ip", "a\0b"), b"info-set guestinfo.ip a\0");
        assert_eq!(info_set("ip", ""), b"info-set guestinfo.ip  \0");
        assert_eq!(info_set("ip", "\0b"), b"info-set guestinfo.ip  \0");
    }

    #[test]
    fn a_blank_variable_holds_no_value() {
        for blank in [&b""[..], b" ", b"\0", b" \n\0"] {
            assert!(is_blank(blank), "{blank:?}");
        }
        assert!(!is_blank(b" x"));
    }

    #[test]
    fn a_line_is_printable_and_cut_between_characters() {
        assert_eq!(
            line(" a\0b\r\nc\u{1b}[31m\u{85}\u{202e}d\u{fffd} ", 99),
            "abc[31md"
        );
        assert_eq!(line("h\u{e9}llo", 2), "h");
        assert_eq!(line("ab cd", 3), "ab");
        assert_eq!(line("", 0), "");
    }

    /// Neither carries a NUL: VMware's host does not expect one [rpcin.c].
    #[test]
    fn a_reply_is_ok_or_error_and_a_text() {
        assert_eq!(ok(b"ATR toolbox"), b"OK ATR toolbox");
        assert_eq!(error("Unknown Command"), b"ERROR Unknown Command");
    }

    #[test]
    fn host_bytes_are_escaped_and_cut() {
        assert_eq!(printable(b"a\0\xff"), r"a\x00\xff");
        assert_eq!(printable(&[b'a'; 128]), "a".repeat(128));
        assert_eq!(printable(&[b'a'; 200]), format!("{}…", "a".repeat(128)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart_within_bounds(bytes: Vec<u8>) {
            if let Some(request) = TcloRequest::parse(&bytes) {
                prop_assert!(!request.name.is_empty());
                prop_assert!(!request.name.contains(&b' ') && !request.name.contains(&0));
                prop_assert!(bytes.ends_with(request.args));
                if let Some((key, value)) = key_value(request.args) {
                    prop_assert!(!key.is_empty() && !value.is_empty());
                    prop_assert!(!value.contains(&0));
                }
                let _ = number(request.args);
            }
            let _ = printable(&bytes);
        }

        #[test]
        fn what_was_joined_is_taken_apart_again(name in "[!-~]{1,20}", key in "[!-~]{1,20}", value in "[ -~]{1,40}") {
            let joined = format!("{name} {key} {value}");
            let request = TcloRequest::parse(joined.as_bytes()).unwrap();
            prop_assert_eq!(request.name, name.as_bytes());
            prop_assert_eq!(key_value(request.args), Some((key.as_bytes(), value.as_bytes())));
        }
    }
}
