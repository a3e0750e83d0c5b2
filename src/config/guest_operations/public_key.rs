//! Public keys of users.

use base64::Engine as _;

use super::UserProblem;
use crate::config::talosconfig::BASE64;

/// The points of small order, without their sign. Anyone can sign for them, and a key of zeros, written as a
/// placeholder, is one of them. Computed from the curve's equation.
const WORTHLESS: [[u8; 32]; 7] = [
    point("0000000000000000000000000000000000000000000000000000000000000000"),
    point("0100000000000000000000000000000000000000000000000000000000000000"),
    point("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    point("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    point("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    // The same as the first two, not reduced.
    point("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    point("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
];

/// The bytes of 64 hexadecimal digits.
#[allow(
    clippy::indexing_slicing,
    reason = "evaluated at compile time, for the constants above"
)]
const fn point(hex: &str) -> [u8; 32] {
    const fn digit(byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => byte - b'0',
            _ => byte - b'a' + 10,
        }
    }
    let hex = hex.as_bytes();
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[at] = digit(hex[2 * at]) << 4 | digit(hex[2 * at + 1]);
        at += 1;
    }
    bytes
}

/// Reads a key, and refuses a worthless one.
pub(super) fn read(text: &str) -> Result<[u8; 32], UserProblem> {
    let bytes = BASE64.decode(text).map_err(|_| UserProblem::Key)?;
    let key: [u8; 32] = bytes.try_into().map_err(|_| UserProblem::Key)?;
    let mut without_sign = key;
    if let Some(last) = without_sign.last_mut() {
        *last &= 0x7f;
    }
    if WORTHLESS.contains(&without_sign) {
        return Err(UserProblem::Key);
    }
    Ok(key)
}
