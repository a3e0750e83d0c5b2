//! Credentials: name and password, as VIX wraps them [vixCommands.h, foundryMsg.c].
//!
//! ```text
//! u32 length of the name, u32 length of the password, base64("name NUL password NUL"), NUL
//! ```
//! In the text, characters that might get lost on the way are `\1` to `\7`; base64 has none of them.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::VixError;
use super::fields::Fields;

/// VIX_USER_CREDENTIAL_NAME_PASSWORD.
const NAME_PASSWORD: u32 = 1;
/// VIX_USER_CREDENTIAL_NAME_PASSWORD_OBFUSCATED: the same bytes.
const NAME_PASSWORD_OBFUSCATED: u32 = 4;
/// What is written as a backslash and `1`, `2`, ….
const ESCAPED: &[u8; 7] = b"\\'\" \r\n\t";
/// Base64 with its `=` or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who asks, as they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePassword {
    /// The name.
    pub name: String,
    /// A password, or what stands in for one.
    pub secret: Secret,
}

/// What must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl NamePassword {
    /// Reads a credential. Name and password end at their NULs; the length of the name has to agree.
    ///
    /// # Errors
    /// [`VixError::NOT_SUPPORTED`] for every other type: none is trusted on the word of the host.
    pub fn parse(kind: u32, blob: &[u8]) -> Result<Self, VixError> {
        if !matches!(kind, NAME_PASSWORD | NAME_PASSWORD_OBFUSCATED) {
            return Err(VixError::NOT_SUPPORTED);
        }
        let malformed = |_| VixError::INVALID_BODY;
        let mut fields = Fields(blob);
        let name_len = fields.word().map_err(malformed)?;
        let _password_len = fields.word().map_err(malformed)?;
        Self::of_text(fields.0, name_len).ok_or(VixError::INVALID_BODY)
    }

    fn of_text(text: &[u8], name_len: u32) -> Option<Self> {
        let end = text.iter().position(|&byte| byte == 0)?;
        let plain = BASE64.decode(unescaped(text.get(..end)?)?).ok()?;
        let mut parts = plain.splitn(3, |&byte| byte == 0);
        let (name, secret, _) = (parts.next()?, parts.next()?, parts.next()?);
        if usize::try_from(name_len) != Ok(name.len()) {
            return None;
        }
        Some(Self {
            name: std::str::from_utf8(name).ok()?.to_owned(),
            secret: Secret(secret.to_vec()),
        })
    }
}

/// Undoes the backslashes; `None` for one that nothing or something unknown follows.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(if byte == b'\\' {
            let digit = usize::from(bytes.next()?.checked_sub(b'1')?);
            *ESCAPED.get(digit)?
        } else {
            byte
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vmx::guest_operations::bodies;

    use super::*;

    /// root / s3cret (protocol reference, guest operations).
    const ROOT: &[u8; 25] = b"\x04\0\0\0\x06\0\0\0cm9vdABzM2NyZXQA\0";

    fn parsed(blob: &[u8]) -> Result<(String, Vec<u8>), VixError> {
        let parsed = NamePassword::parse(1, blob)?;
        Ok((parsed.name, parsed.secret.0))
    }

    #[test]
    fn the_golden_credential_is_read_as_type_1_and_4_and_as_no_other() {
        let expected = NamePassword {
            name: "root".to_owned(),
            secret: Secret(b"s3cret".to_vec()),
        };
        for kind in 0..300 {
            let parsed = NamePassword::parse(kind, ROOT);
            if kind == 1 || kind == 4 {
                assert_eq!(parsed.as_ref(), Ok(&expected));
            } else {
                assert_eq!(parsed, Err(VixError::NOT_SUPPORTED), "{kind}");
            }
        }
    }

    #[test]
    fn a_cut_credential_is_malformed_at_every_offset() {
        for end in 0..ROOT.len() {
            assert_eq!(parsed(&ROOT[..end]), Err(VixError::INVALID_BODY), "{end}");
        }
        assert!(parsed(&[ROOT, &b"more"[..]].concat()).is_ok());
    }

    #[test]
    fn what_is_no_name_and_password_is_malformed() {
        let of = |len: u32, text: &[u8]| parsed(&[&len.to_le_bytes()[..], &[0; 4], text].concat());
        for (len, text) in [
            (4, &b"cm9vdABzM2NyZXQA"[..]),        // without NUL
            (4, b"cm9vdABzM2NyZXQ!\0"),           // not base64
            (4, b"cm9vdABzM2NyZXQ\\\0"),          // an escape that ends
            (4, b"cm9vdABzM2NyZXQ\\8\0"),         // one that is none
            (4, b"cm9vdABzM2NyZXQ\\0\0"),         // one that is none
            (4, b"cm9vdABzM2NyZXQ\0"),            // a password without NUL
            (4, b"cm9vdA==\0"),                   // a name alone
            (0, b"\0"),                           // nothing
            (1, b"/wBhAA==\0"),                   // a name that is no UTF-8
            (3, b"cm9vdABzM2NyZXQA\0"),           // a length that lies
            (0xffff_ffff, b"cm9vdABzM2NyZXQA\0"), // one that lies grossly
        ] {
            assert_eq!(of(len, text), Err(VixError::INVALID_BODY), "{text:?}");
        }
        assert_eq!(of(0, b"AAA=\0"), Ok((String::new(), Vec::new())));
    }

    #[test]
    fn escapes_are_undone_before_base64() {
        assert_eq!(
            unescaped(br"\1\2\3\4\5\6\7x").as_deref(),
            Some(&b"\\'\" \r\n\tx"[..])
        );
        assert_eq!(unescaped(br"a\"), None);
    }

    #[test]
    fn a_secret_is_not_shown() {
        let parsed = NamePassword::parse(1, ROOT).unwrap();
        assert_eq!(
            format!("{parsed:?}"),
            "NamePassword { name: \"root\", secret: Secret(…) }"
        );
    }

    proptest! {
        #[test]
        fn any_name_and_password_survive(name in "[^\0]{0,40}", password in "[^\0]{0,80}") {
            let blob = bodies::named(&name, &password);
            prop_assert_eq!(parsed(&blob), Ok((name, password.into_bytes())));
        }

        #[test]
        fn any_bytes_are_a_credential_or_malformed(blob: Vec<u8>) {
            prop_assert!(matches!(parsed(&blob), Ok(_) | Err(VixError::INVALID_BODY)));
        }
    }
}
