//! gRPC-Web: messages and trailers in frames of five bytes and more.
//!
//! ```text
//! 00 00000002 0a00            a message
//! 80 0000000f grpc-status:0\r\n  the trailers, which end an answer
//! ```

/// The content type of answers.
pub(super) const MEDIA_TYPE: &str = "application/grpc-web+proto";
/// The bit of frames that are trailers.
const TRAILERS: u8 = 0x80;

/// Whether a content type says gRPC-Web with messages as they are.
pub(super) fn is_media_type(value: &str) -> bool {
    let name = value.split(';').next().unwrap_or_default().trim_end();
    name.eq_ignore_ascii_case(MEDIA_TYPE) || name.eq_ignore_ascii_case("application/grpc-web")
}

/// The one message of a request.
///
/// # Errors
/// The gRPC status that says why not.
pub(super) fn message(body: &[u8]) -> Result<&[u8], (u32, &'static str)> {
    match body.split_first_chunk::<5>() {
        Some(([flags @ (0 | 1), length @ ..], message))
            if u32::try_from(message.len()) == Ok(u32::from_be_bytes(*length)) =>
        {
            match flags {
                0 => Ok(message),
                _ => Err((UNIMPLEMENTED, "the message is compressed")),
            }
        }
        _ => Err((INVALID_ARGUMENT, "the body is not one message")),
    }
}

/// INVALID_ARGUMENT
pub(super) const INVALID_ARGUMENT: u32 = 3;
/// DEADLINE_EXCEEDED
pub(super) const DEADLINE_EXCEEDED: u32 = 4;
/// PERMISSION_DENIED
pub(super) const PERMISSION_DENIED: u32 = 7;
/// RESOURCE_EXHAUSTED
pub(super) const RESOURCE_EXHAUSTED: u32 = 8;
/// UNIMPLEMENTED
pub(super) const UNIMPLEMENTED: u32 = 12;

/// A message in its frame.
pub(super) fn data(message: &[u8]) -> Vec<u8> {
    frame(0, message)
}

/// The trailers in their frame.
pub(super) fn trailers(status: u32, message: &str) -> Vec<u8> {
    let mut text = format!("grpc-status:{status}\r\n");
    if !message.is_empty() {
        text += "grpc-message:";
        for byte in message.bytes().take(1024) {
            match byte {
                b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
                _ => text += &format!("%{byte:02X}"),
            }
        }
        text += "\r\n";
    }
    frame(TRAILERS, text.as_bytes())
}

fn frame(flags: u8, bytes: &[u8]) -> Vec<u8> {
    // Answers are bounded to far less.
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut frame = vec![flags];
    frame.extend(len.to_be_bytes());
    frame.extend(bytes);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_message() {
        assert_eq!(message(b"\0\0\0\0\0"), Ok(&b""[..]));
        assert_eq!(message(b"\0\0\0\0\x02\x0a\0"), Ok(&b"\x0a\0"[..]));
        let malformed = Err((INVALID_ARGUMENT, "the body is not one message"));
        for body in [
            &b""[..],
            b"\0\0\0\0",
            b"\0\0\0\0\x01",
            b"\0\0\0\0\0\0",
            b"\0\xff\xff\xff\xff",
            b"\x80\0\0\0\0",
        ] {
            assert_eq!(message(body), malformed, "{body:?}");
        }
        assert_eq!(
            message(b"\x01\0\0\0\0"),
            Err((UNIMPLEMENTED, "the message is compressed"))
        );
    }

    #[test]
    fn an_answer_ends_with_its_trailers() {
        assert_eq!(data(b"\x0a\0"), b"\0\0\0\0\x02\x0a\0");
        assert_eq!(trailers(0, ""), b"\x80\0\0\0\x0fgrpc-status:0\r\n");
        assert_eq!(
            trailers(7, "50 % \u{e4}\n"),
            b"\x80\0\0\0\x2egrpc-status:7\r\ngrpc-message:50 %25 %C3%A4%0A\r\n"
        );
    }

    #[test]
    fn media_types_have_parameters_and_no_case() {
        for (value, is) in [
            ("application/grpc-web+proto", true),
            ("application/grpc-web", true),
            ("Application/gRPC-Web+Proto; charset=utf-8", true),
            ("application/grpc-web-text", false),
            ("application/grpc-web+json", false),
            ("application/grpc", false),
            ("", false),
        ] {
            assert_eq!(is_media_type(value), is, "{value}");
        }
    }
}
