//! One HTTP/1.1 request, as much of it as a call needs; strict, because only programs write it.

use super::grpc_web::is_media_type;

/// Bytes of the request line and the headers, at most.
const MOST_HEAD: usize = 64 << 10;
/// Headers, at most.
const MOST_HEADERS: usize = 100;
/// Bytes of the body, at most.
const MOST_BODY: usize = 1 << 20;
/// Bytes of a line that begins a chunk, at most.
const MOST_CHUNK_LINE: usize = 1 << 10;
/// Bytes of a whole request, its chunks with their lines.
pub(super) const MOST: usize = 2 << 20;

/// A request to make a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// `/package.Service/Method`
    pub(super) method: String,
    /// The body, out of its chunks.
    pub(super) body: Vec<u8>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// It is no HTTP.
    #[error("the request is malformed")]
    Malformed,
    /// Neither Content-Length nor chunks.
    #[error("the request has no Content-Length")]
    NoLength,
    /// The body is too long.
    #[error("the request is too long")]
    BodyTooLong,
    /// The headers are too long.
    #[error("the headers are too long")]
    HeadTooLong,
    /// No POST.
    #[error("a call is a POST")]
    NoPost,
    /// No `/package.Service/Method`.
    #[error("the path is no /package.Service/Method")]
    NoMethod,
    /// No gRPC-Web.
    #[error("the content type is not application/grpc-web+proto")]
    OtherType,
    /// Neither chunked nor plain.
    #[error("the transfer encoding is not known")]
    OtherEncoding,
    /// Not 1.1.
    #[error("the version of HTTP is not 1.1")]
    OtherVersion,
}

impl Refusal {
    /// Status code and its name.
    pub(super) const fn status(self) -> &'static str {
        match self {
            Self::Malformed => "400 Bad Request",
            Self::NoLength => "411 Length Required",
            Self::BodyTooLong => "413 Content Too Large",
            Self::HeadTooLong => "431 Request Header Fields Too Large",
            Self::NoPost => "405 Method Not Allowed",
            Self::NoMethod => "404 Not Found",
            Self::OtherType => "415 Unsupported Media Type",
            Self::OtherEncoding => "501 Not Implemented",
            Self::OtherVersion => "505 HTTP Version Not Supported",
        }
    }
}

/// The request that these bytes begin with; `None` while more must come.
///
/// # Errors
/// Why it is refused, whatever follows.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Request>, Refusal> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > MOST_HEAD {
            Err(Refusal::HeadTooLong)
        } else {
            Ok(None)
        };
    };
    if end > MOST_HEAD {
        return Err(Refusal::HeadTooLong);
    }
    let (head, rest) = bytes.split_at(end);
    let rest = rest.get(4..).unwrap_or_default();
    let head = Head::parse(head)?;
    let body = match head.length {
        Length::Bytes(len) if len > MOST_BODY => return Err(Refusal::BodyTooLong),
        Length::Bytes(len) => rest.get(..len).map(<[u8]>::to_vec),
        Length::Chunks => chunks(rest)?,
    };
    if body.is_none() && bytes.len() >= MOST {
        return Err(Refusal::BodyTooLong);
    }
    Ok(body.map(|body| Request {
        method: head.method,
        body,
    }))
}

/// What counts of request line and headers.
struct Head {
    method: String,
    length: Length,
}

#[derive(Clone, Copy)]
enum Length {
    Bytes(usize),
    Chunks,
}

impl Head {
    fn parse(head: &[u8]) -> Result<Self, Refusal> {
        let head = std::str::from_utf8(head).map_err(|_| Refusal::Malformed)?;
        let mut lines = head.split("\r\n");
        let method = request_line(lines.next().unwrap_or_default())?;
        let mut length = None;
        let mut is_grpc_web = false;
        for (count, line) in lines.enumerate() {
            if count >= MOST_HEADERS {
                return Err(Refusal::HeadTooLong);
            }
            let (name, value) = line.split_once(':').ok_or(Refusal::Malformed)?;
            if name.is_empty() || !name.bytes().all(is_token) || value.contains(is_control) {
                return Err(Refusal::Malformed);
            }
            let value = value.trim_matches([' ', '\t']);
            let found = match name.to_ascii_lowercase().as_str() {
                "content-type" => {
                    is_grpc_web = is_media_type(value);
                    continue;
                }
                "content-length" => Length::Bytes(number(value)?),
                "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => Length::Chunks,
                "transfer-encoding" => return Err(Refusal::OtherEncoding),
                _ => continue,
            };
            if length.replace(found).is_some() {
                return Err(Refusal::Malformed);
            }
        }
        if !is_grpc_web {
            return Err(Refusal::OtherType);
        }
        let length = length.ok_or(Refusal::NoLength)?;
        Ok(Self { method, length })
    }
}

/// The path of the request line.
fn request_line(line: &str) -> Result<String, Refusal> {
    let mut parts = line.split(' ');
    let (Some(verb), Some(path), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed);
    };
    if verb.is_empty() || !verb.bytes().all(is_token) || path.contains(is_control) {
        return Err(Refusal::Malformed);
    }
    match version {
        "HTTP/1.1" => {}
        version if version.starts_with("HTTP/") => return Err(Refusal::OtherVersion),
        _ => return Err(Refusal::Malformed),
    }
    if verb != "POST" {
        return Err(Refusal::NoPost);
    }
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        !name.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
    };
    let names = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    match names {
        Some((service, method)) if is_name(service) && is_name(method) => Ok(path.to_owned()),
        _ => Err(Refusal::NoMethod),
    }
}

/// The bytes of all chunks; `None` while more must come.
fn chunks(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
    let mut body = Vec::new();
    loop {
        let Some(end) = find(bytes, b"\r\n") else {
            return if bytes.len() > MOST_CHUNK_LINE {
                Err(Refusal::Malformed)
            } else {
                Ok(None)
            };
        };
        let (line, rest) = bytes.split_at(end);
        let rest = rest.get(2..).unwrap_or_default();
        let size = line.split(|&byte| byte == b';').next().unwrap_or_default();
        let size = hex(size.trim_ascii_end())?;
        if size == 0 {
            return Ok(ends_trailers(rest)?.then_some(body));
        }
        if size > MOST_BODY - body.len() {
            return Err(Refusal::BodyTooLong);
        }
        let Some((chunk, rest)) = rest.split_at_checked(size) else {
            return Ok(None);
        };
        let Some((after, rest)) = rest.split_at_checked(2) else {
            return Ok(None);
        };
        if after != b"\r\n" {
            return Err(Refusal::Malformed);
        }
        body.extend(chunk);
        bytes = rest;
    }
}

/// Whether what follows the last chunk is there: lines, of which the last is empty.
fn ends_trailers(mut bytes: &[u8]) -> Result<bool, Refusal> {
    let all = bytes.len();
    while let Some(end) = find(bytes, b"\r\n") {
        if end == 0 {
            return Ok(true);
        }
        bytes = bytes.get(end + 2..).unwrap_or_default();
        if all - bytes.len() > MOST_HEAD {
            return Err(Refusal::HeadTooLong);
        }
    }
    if all > MOST_HEAD {
        return Err(Refusal::HeadTooLong);
    }
    Ok(false)
}

fn number(value: &str) -> Result<usize, Refusal> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::Malformed);
    }
    // Too many digits are too many bytes.
    Ok(value.parse().unwrap_or(usize::MAX))
}

fn hex(digits: &[u8]) -> Result<usize, Refusal> {
    let digits = std::str::from_utf8(digits).map_err(|_| Refusal::Malformed)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Err(Refusal::Malformed);
    }
    usize::from_str_radix(digits, 16).map_err(|_| Refusal::Malformed)
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

const fn is_control(one: char) -> bool {
    one.is_ascii_control() && one != '\t'
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "POST /machine.MachineService/Version HTTP/1.1\r\nHost: talos\r\n\
                        Content-Type: application/grpc-web+proto\r\n";

    fn of(rest: &str) -> Result<Option<Request>, Refusal> {
        parse(format!("{HEAD}{rest}").as_bytes())
    }

    fn whole(body: &[u8]) -> Result<Option<Request>, Refusal> {
        Ok(Some(Request {
            method: "/machine.MachineService/Version".to_owned(),
            body: body.to_vec(),
        }))
    }

    #[test]
    fn a_body_has_a_length_or_chunks() {
        assert_eq!(of("Content-Length: 5\r\n\r\nabcde"), whole(b"abcde"));
        assert_eq!(of("content-length:0\r\n\r\n"), whole(b""));
        assert_eq!(of("Content-Length: 5\r\n\r\nabcdefgh"), whole(b"abcde"));
        let chunked = "Transfer-Encoding: chunked\r\n\r\n";
        assert_eq!(of(&format!("{chunked}0\r\n\r\n")), whole(b""));
        assert_eq!(
            of(&format!(
                "{chunked}3;x=y\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX: y\r\n\r\n"
            )),
            whole(b"abc0123456789")
        );
    }

    #[test]
    fn what_has_not_come_whole_is_waited_for() {
        for rest in [
            "Content-Length: 5\r\n\r\nabcde",
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
        ] {
            let request = format!("{HEAD}{rest}");
            for len in 0..request.len() {
                assert_eq!(parse(&request.as_bytes()[..len]), Ok(None), "{len} bytes");
            }
            assert!(parse(request.as_bytes()).unwrap().is_some());
        }
    }

    #[test]
    fn what_is_no_call_is_refused() {
        let with = |line: &str| {
            format!("{line}\r\nContent-Type: application/grpc-web\r\nContent-Length: 0\r\n\r\n")
        };
        for (request, refusal) in [
            (with("GET /a.B/C HTTP/1.1"), Refusal::NoPost),
            (with("POST /a.B/C HTTP/1.0"), Refusal::OtherVersion),
            (with("POST /a.B/C HTTP/2"), Refusal::OtherVersion),
            (with("POST /a.B/C SPDY"), Refusal::Malformed),
            (with("POST  /a.B/C HTTP/1.1"), Refusal::Malformed),
            (with("POST /a.B/C"), Refusal::Malformed),
            (with("POST http://other/a.B/C HTTP/1.1"), Refusal::NoMethod),
            (with("POST / HTTP/1.1"), Refusal::NoMethod),
            (with("POST /a.B/C/D HTTP/1.1"), Refusal::NoMethod),
            (with("POST /a.B/../C HTTP/1.1"), Refusal::NoMethod),
            (with("POST /a.B/C?d HTTP/1.1"), Refusal::NoMethod),
            (with("POST /a.B/C HTTP/1.1\r\n folded: x"), Refusal::Malformed),
            (with("POST /a.B/C HTTP/1.1\r\nbad name: x"), Refusal::Malformed),
            (with("POST /a.B/C HTTP/1.1\r\nno colon"), Refusal::Malformed),
            (with("POST /a.B/C HTTP/1.1\r\na: b\nc: d"), Refusal::Malformed),
            (with("POST /a.B/C HTTP/1.1\r\nContent-Length: 0"), Refusal::Malformed),
            (with("POST /a.B/C HTTP/1.1\r\nTransfer-Encoding: chunked"), Refusal::Malformed),
            (with("POST /a.B/C HTTP/1.1\r\nTransfer-Encoding: gzip"), Refusal::OtherEncoding),
            (format!("POST /a.B/C HTTP/1.1\r\n{}", "a: b\r\n".repeat(101) + "\r\n"), Refusal::HeadTooLong),
            ("x".repeat(MOST_HEAD + 1), Refusal::HeadTooLong),
            ("POST /a.B/C HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(), Refusal::OtherType),
            (
                "POST /a.B/C HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n".to_owned(),
                Refusal::OtherType,
            ),
        ] {
            assert_eq!(parse(request.as_bytes()), Err(refusal), "{request:.80}");
        }
        for (rest, refusal) in [
            ("\r\n".to_owned(), Refusal::NoLength),
            ("Content-Length: -1\r\n\r\n".to_owned(), Refusal::Malformed),
            (
                "Content-Length: 1, 1\r\n\r\n".to_owned(),
                Refusal::Malformed,
            ),
            (
                format!("Content-Length: {}\r\n\r\n", MOST_BODY + 1),
                Refusal::BodyTooLong,
            ),
            (
                "Content-Length: 99999999999999999999999\r\n\r\n".to_owned(),
                Refusal::BodyTooLong,
            ),
            (
                "Transfer-Encoding: chunked\r\n\r\nx\r\n".to_owned(),
                Refusal::Malformed,
            ),
            (
                "Transfer-Encoding: chunked\r\n\r\n\r\n".to_owned(),
                Refusal::Malformed,
            ),
            (
                "Transfer-Encoding: chunked\r\n\r\n100001\r\n".to_owned(),
                Refusal::BodyTooLong,
            ),
            (
                "Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n".to_owned(),
                Refusal::Malformed,
            ),
            (
                "Transfer-Encoding: chunked\r\n\r\n1\r\nabc".to_owned(),
                Refusal::Malformed,
            ),
            (
                format!("Transfer-Encoding: chunked\r\n\r\n{}", "1".repeat(1100)),
                Refusal::Malformed,
            ),
            (
                format!(
                    "Transfer-Encoding: chunked\r\n\r\n{}",
                    "1\r\nx\r\n".repeat(MOST / 6)
                ),
                Refusal::BodyTooLong,
            ),
        ] {
            assert_eq!(of(&rest), Err(refusal), "{rest:.80}");
        }
    }

    proptest! {
        #[test]
        fn a_body_does_not_depend_on_its_chunks(body in proptest::collection::vec(any::<u8>(), 0..200), size in 1_usize..50) {
            let mut request = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            for chunk in body.chunks(size) {
                request.extend(format!("{:x}\r\n", chunk.len()).bytes());
                request.extend(chunk);
                request.extend(b"\r\n");
            }
            request.extend(b"0\r\n\r\n");
            prop_assert_eq!(parse(&request), whole(&body));
        }
    }
}
