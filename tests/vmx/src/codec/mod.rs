//! The wire forms as the host reads them, written apart from the daemon's own codecs so that the two
//! keep each other honest. Everything is strict: what open-vm-tools would not send is an error.

pub mod datamap;
pub mod guest_info;
pub mod nic_info;
pub mod rpci;
pub mod vix;
pub mod xdr;

/// Why bytes from the guest could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl Malformed {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// Bytes as text for people: printable ASCII as is, the rest as `\xNN`, long runs of one unprintable
/// byte abbreviated, the whole cut to `limit` characters.
pub fn printable(bytes: &[u8], limit: usize) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        if text.len() >= limit {
            text.push('…');
            break;
        }
        let run = rest.iter().take_while(|&&other| other == byte).count();
        if (0x20..0x7f).contains(&byte) && byte != b'\\' {
            text.push(char::from(byte));
        } else if run > 4 {
            text.push_str(&format!("<{run}×{byte:02x}>"));
            rest = &rest[run..];
            continue;
        } else {
            text.push_str(&format!("\\x{byte:02x}"));
        }
        rest = tail;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn unprintable_bytes_are_escaped_and_runs_abbreviated() {
        assert_eq!(printable(b"a\x00b", 80), "a\\x00b");
        assert_eq!(printable(&[0; 9], 80), "<9×00>");
        assert_eq!(printable(b"abcdef", 3), "abc…");
    }
}
