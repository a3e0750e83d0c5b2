//! Entries for fuzzing, see [`crate::fuzz`].
#![allow(clippy::indexing_slicing)]

use super::{grpc_web, http};

/// The first byte cuts the rest in two: what the first part says does not change by what follows.
pub fn fuzz_http(bytes: &[u8]) {
    let Some((cut, request)) = bytes.split_first() else {
        return;
    };
    let whole = http::parse(request);
    let part = &request[..request.len() * usize::from(*cut) / 256];
    let part = http::parse(part);
    if part != Ok(None) {
        assert_eq!(part, whole);
    }
    if let Ok(Some(request)) = whole
        && let Ok(message) = grpc_web::message(&request.body)
    {
        assert_eq!(grpc_web::data(message), request.body);
    }
}
