//! Entries for fuzzing, see [`crate::fuzz`].
#![allow(clippy::expect_used, clippy::panic)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::token::{BadToken, Expected, Signer, check};

/// PKCS#8 of the Ed25519 key 00 01 … 1f.
const KEY: &str = "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
/// Made and signed by Python's cryptography with the same key.
pub(super) const GOLDEN: &str = "tvt1.eyJ1c2VyIjoib3BzIiwibm9kZSI6IjU2NGQwYTJjLTM4ZjQtN2E5MS1iMmM1LTBlMWYyYTNiNGM1ZCIsImlhdCI6MTc5MDAwMDAwMCwiZXhwIjoxNzkwMDAwNjAwfQ.gkrnBlLF76RyKv3WaZMUHySZ8xkSEYGPIdBAOgU3yLIF31wGQeEzTK1XAGwe3ve0ZUS_Zi7LEyT6muFxJyFsCw";

/// The key.
pub(super) fn signer() -> Signer {
    let der = STANDARD.decode(KEY).expect("it is base64");
    Signer::from_pkcs8(&der).expect("it is a key")
}

/// Its public half.
pub(super) fn public_key() -> [u8; 32] {
    let key = signer().public_key().try_into();
    key.expect("such keys have 32 bytes")
}

/// Where and when [`GOLDEN`] counts.
pub(super) const fn here() -> Expected<'static> {
    Expected {
        user: "ops",
        node: Some("564D0A2C-38F4-7A91-B2C5-0E1F2A3B4C5D"),
        wall: Duration::from_secs(1_790_000_300),
    }
}

/// What comes in place of a password: one token counts. And the claims of a token that is signed well: four.
pub fn fuzz_token(bytes: &[u8]) {
    let key = public_key();
    let outcome = check(bytes, &key, &here());
    assert_eq!(outcome.is_ok(), bytes == GOLDEN.as_bytes(), "{outcome:?}");
    let signed = signer().sign_bytes(bytes);
    match check(signed.as_bytes(), &key, &here()) {
        Ok(()) => {
            let claims: serde_json::Value = serde_json::from_slice(bytes).expect("it was read");
            let claims = claims.as_object().expect("it has names");
            let names: Vec<_> = claims.keys().map(String::as_str).collect();
            assert_eq!(names, ["exp", "iat", "node", "user"]);
            assert_eq!(claims.get("user"), Some(&"ops".into()));
        }
        Err(problem) => {
            assert_ne!(problem, BadToken::Signature);
            assert!(problem != BadToken::Form || signed.len() > 2048);
        }
    }
}
