//! The header of a request, and the cut into body and credential.
//!
//! Any fault is [`VixError::INVALID_HEADER`], as in open-vm-tools; operations without a body of their own are not
//! excepted.

use std::fmt;

use super::VixError;

/// VIX_COMMAND_MAGIC_WORD.
const MAGIC: u32 = 0xd00d_0001;
/// VIX_COMMAND_MESSAGE_VERSION.
const VERSION: u16 = 5;
/// sizeof VixCommandRequestHeader.
const HEADER_LEN: u32 = 51;
/// VIX_COMMAND_MAX_REQUEST_SIZE.
const MAX_REQUEST: u32 = 65536;
/// VIX_COMMAND_REQUEST in the common flags.
const FLAG_REQUEST: u8 = 0x01;
/// VIX_COMMAND_GUEST_RETURNS_BINARY in the common flags.
const FLAG_BINARY: u8 = 0x80;
/// VIX_REQUESTMSG_INCLUDES_AUTH_DATA_V1 in the request flags.
const FLAG_AUTH_DATA: u32 = 0x10;
/// sizeof VixMsgAuthDataV1.
const AUTH_DATA_LEN: u32 = 44;

/// A request whose lengths all agree with each other and with what was received. Its debugging form leaves out the
/// credential, and the body, which may hold as much.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VixRequest<'a> {
    /// Operation.
    pub opcode: u32,
    /// Whether the host asks for a binary reply.
    pub binary: bool,
    /// Kind of the credential.
    pub credential_type: u32,
    /// Arguments of the operation.
    pub body: &'a [u8],
    /// The credential itself.
    pub credential: &'a [u8],
}

impl fmt::Debug for VixRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            opcode,
            binary,
            credential_type,
            ..
        } = self;
        write!(
            f,
            "VixRequest {{ opcode: {opcode}, binary: {binary}, credential_type: {credential_type}, .. }}"
        )
    }
}

impl<'a> VixRequest<'a> {
    /// Reads the arguments of `Vix_1_Relayed_Command`. Any fault is [`VixError::INVALID_HEADER`], as in
    /// open-vm-tools.
    pub fn parse(args: &'a [u8]) -> Result<Self, VixError> {
        let message = after_name(args).ok_or(VixError::INVALID_HEADER)?;
        Self::parse_message(message).ok_or(VixError::INVALID_HEADER)
    }

    fn parse_message(message: &'a [u8]) -> Option<Self> {
        let (header, rest) = message.split_first_chunk::<{ HEADER_LEN as usize }>()?;
        let word = |at: usize| -> Option<u32> {
            let bytes = header.get(at..at.checked_add(4)?)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        let version = u16::from_le_bytes(header.get(4..6)?.try_into().ok()?);
        let common_flags = *header.get(22)?;
        let (total, body_len, credential_len) = (word(6)?, word(14)?, word(18)?);
        let auth_data_len = if word(27)? & FLAG_AUTH_DATA == 0 {
            0
        } else {
            AUTH_DATA_LEN
        };
        let sum = HEADER_LEN
            .checked_add(body_len)?
            .checked_add(credential_len)?
            .checked_add(auth_data_len)?;
        let sound = word(0)? == MAGIC
            && version == VERSION
            && word(10)? == HEADER_LEN
            && common_flags & FLAG_REQUEST != 0
            && sum == total
            && total <= MAX_REQUEST
            && usize::try_from(total).ok()? <= message.len();
        if !sound {
            return None;
        }
        let (body, rest) = rest.split_at_checked(usize::try_from(body_len).ok()?)?;
        let (credential, _) = rest.split_at_checked(usize::try_from(credential_len).ok()?)?;
        Some(Self {
            opcode: word(23)?,
            binary: common_flags & FLAG_BINARY != 0,
            credential_type: word(47)?,
            body,
            credential,
        })
    }
}

/// What follows the quoted request name and the NUL behind it.
fn after_name(args: &[u8]) -> Option<&[u8]> {
    let open = args.iter().position(|&byte| byte == b'"' || byte == 0)?;
    let (_, rest) = args.split_at_checked(open)?;
    let rest = rest.strip_prefix(b"\"")?;
    let close = rest.iter().position(|&byte| byte == b'"')?;
    let (_, rest) = rest.split_at_checked(close)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    rest.get(end.checked_add(1)?..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vmware::wire::text::TcloRequest;

    /// GetToolsState as seen on TCLO, 80 bytes (protocol reference, guest operations).
    const GET_TOOLS_STATE: &[u8; 80] = b"Vix_1_Relayed_Command \"req1\"\0\
        \x01\x00\x0d\xd0\x05\x00\x33\x00\x00\x00\x33\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\
        \x3e\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x88\x77\x66\x55\x44\x33\x22\x11\x00\x00\x00\x00\
        \x00\x00\x00\x00";

    fn args(request: &[u8]) -> &[u8] {
        TcloRequest::parse(request).unwrap().args
    }

    /// A request with `header`'s words replaced.
    fn with(changes: &[(usize, &[u8])]) -> Vec<u8> {
        let mut request = GET_TOOLS_STATE.to_vec();
        for (at, bytes) in changes {
            request[29 + at..29 + at + bytes.len()].copy_from_slice(bytes);
        }
        request
    }

    fn parse(request: &[u8]) -> Result<VixRequest<'_>, VixError> {
        VixRequest::parse(args(request))
    }

    #[test]
    fn the_golden_request_is_get_tools_state() {
        assert_eq!(
            parse(GET_TOOLS_STATE),
            Ok(VixRequest {
                opcode: 62,
                binary: false,
                credential_type: 0,
                body: b"",
                credential: b""
            })
        );
    }

    #[test]
    fn the_name_is_what_stands_in_quotes_before_the_first_nul() {
        let (_, message) = GET_TOOLS_STATE.split_at(29);
        let of = |name: &[u8]| VixRequest::parse(&[name, message].concat()).is_ok();
        assert!(of(b"\"req1\"\0"));
        assert!(of(b"  \"req1\" more\0"));
        for name in [&b"req1\0"[..], b"\"req1\0", b"\0\"req1\"\0", b"\"req1\""] {
            assert!(!of(name), "{name:?}");
        }
    }

    #[test]
    fn body_and_credential_are_what_the_header_says() {
        // ListProcessesEx with the credential root / s3cret (protocol reference, section 8.5).
        let message = [
            &b"\"r\"\0\x01\x00\x0d\xd0\x05\x00\x58\x00\x00\x00\x33\x00\x00\x00\x0c\x00\x00\x00\x19\x00\x00\x00\x85\
            \xba\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x88\x77\x66\x55\x44\x33\x22\x11\x00\x00\x00\x00\
            \x01\x00\x00\x00"[..],
            &[0; 12],
            b"\x04\x00\x00\x00\x06\x00\x00\x00cm9vdABzM2NyZXQA\0",
        ]
        .concat();
        let request = VixRequest::parse(&message).unwrap();
        assert_eq!((request.opcode, request.binary), (186, true));
        assert_eq!(request.body, [0; 12]);
        assert_eq!(request.credential.len(), 25);
    }

    #[test]
    fn every_lie_of_the_header_is_found() {
        let lies: &[(usize, &[u8])] = &[
            (0, b"\x02"),              // magic
            (4, b"\x04"),              // version
            (6, b"\x34"),              // total above the sum
            (6, b"\x32"),              // total below the sum
            (10, b"\x3c"),             // header length
            (14, b"\x01"),             // body that is not there
            (18, b"\xff\xff\xff\xff"), // credential that makes the sum overflow
            (22, b"\x04"),             // not a request
            (27, b"\x10"),             // authentication data that is not there
        ];
        for lie in lies {
            assert_eq!(
                parse(&with(&[*lie])),
                Err(VixError::INVALID_HEADER),
                "{lie:?}"
            );
        }
        // Lengths that agree with each other but not with what was received.
        let short = with(&[(6, b"\x43"), (14, b"\x10")]);
        assert_eq!(parse(&short), Err(VixError::INVALID_HEADER));
        assert!(parse(&[&short[..], &[0; 16]].concat()).is_ok());
        // 64 KiB are allowed.
        let longest = with(&[(6, b"\x00\x00\x01\x00"), (14, b"\xcd\xff\x00\x00")]);
        let body = parse(&[&longest[..], &[0; 65536]].concat()).map(|request| request.body.len());
        assert_eq!(body, Ok(65536 - 51));
        // Above that, although all of it was received.
        let big = with(&[(6, b"\x01\x00\x01\x00"), (14, b"\xce\xff\x00\x00")]);
        assert_eq!(
            parse(&[&big[..], &[0; 65536]].concat()),
            Err(VixError::INVALID_HEADER)
        );
    }

    #[test]
    fn truncation_at_every_offset_is_an_error() {
        for end in 22..GET_TOOLS_STATE.len() {
            assert_eq!(
                parse(&GET_TOOLS_STATE[..end]),
                Err(VixError::INVALID_HEADER),
                "{end}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>) {
            let _ = VixRequest::parse(&bytes);
        }

        #[test]
        fn changed_requests_stay_within_bounds(at in 0..51_usize, byte: u8, tail in proptest::collection::vec(any::<u8>(), 0..100)) {
            let request = [&with(&[(at, &[byte])])[..], &tail].concat();
            if let Ok(parsed) = parse(&request) {
                prop_assert!(parsed.body.len() + parsed.credential.len() <= tail.len());
            }
        }
    }
}
