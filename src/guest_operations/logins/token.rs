//! Tokens in place of passwords: short-lived, for one user and one node, signed with the user's Ed25519 key.
//!
//! ```text
//! tvt1.<claims>.<signature over "tvt1.<claims>">        both base64url, without padding
//! claims: {"user":"ops","node":"564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d","iat":1790000000,"exp":1790000600}
//! ```
//! Claims are read once the signature is right. There is one way to write a token: no padding, no loose bits, and
//! exactly the four claims.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::config::LONGEST_TOKEN_LIFE;
use crate::facts::is_valid_uuid;

/// How a token begins.
const PREFIX: &str = "tvt1.";
/// The longest token that is looked at.
const LONGEST: usize = 2048;
/// How far the signer's clock may be ahead of ours.
const SLACK: Duration = Duration::from_secs(120);
/// 2020-01-01: a clock before it has not been set since the machine started.
const SET: Duration = Duration::from_secs(1_577_836_800);

/// The key of a name that has none, to take the time: the curve's base point. What it says does not count.
pub(super) const NO_KEY: [u8; 32] = {
    let mut key = [0x66; 32];
    key[0] = 0x58;
    key
};

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Who it is.
    pub user: String,
    /// The SMBIOS UUID of the machine that it is for.
    pub node: String,
    /// When it was made, in seconds since 1970.
    pub iat: u64,
    /// When it expires, in seconds since 1970.
    pub exp: u64,
}

/// What a token must say to count here and now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    /// The name that it came with.
    pub(super) user: &'a str,
    /// The SMBIOS UUID of this machine.
    pub(super) node: Option<&'a str>,
    /// The time since 1970.
    pub(super) wall: Duration,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadToken {
    #[error("the token has not the form of one")]
    Form,
    #[error("the token is not signed with this user's key")]
    Signature,
    #[error("the token's claims are not user, node, iat and exp alone")]
    Claims,
    #[error("the token is another user's")]
    User,
    #[error("the machine's UUID is not known, or not its own")]
    NoNode,
    #[error("the token is for another node")]
    Node,
    #[error("the token lives longer than a day, or not at all")]
    Life,
    #[error("the clock is not set")]
    NoClock,
    #[error("the token was made in the future: compare the clocks")]
    Early,
    #[error("the token has expired")]
    Late,
}

/// Whether a secret is meant as one.
pub(super) fn is_meant(secret: &[u8]) -> bool {
    secret.starts_with(PREFIX.as_bytes())
}

/// Whether a token counts.
pub(super) fn check(token: &[u8], key: &[u8; 32], expected: &Expected<'_>) -> Result<(), BadToken> {
    let text = std::str::from_utf8(token).map_err(|_| BadToken::Form)?;
    let (signed, signature) = text.rsplit_once('.').ok_or(BadToken::Form)?;
    let claims = signed.strip_prefix(PREFIX).ok_or(BadToken::Form)?;
    if text.len() > LONGEST {
        return Err(BadToken::Form);
    }
    let decode = |text| URL_SAFE_NO_PAD.decode(text).map_err(|_| BadToken::Form);
    let (claims, signature) = (decode(claims)?, decode(signature)?);
    UnparsedPublicKey::new(&ED25519, key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| BadToken::Signature)?;
    // A list of the four values would be read as well.
    if claims.first() != Some(&b'{') {
        return Err(BadToken::Claims);
    }
    let claims = serde_json::from_slice(&claims).map_err(|_| BadToken::Claims)?;
    check_claims(&claims, expected)
}

fn check_claims(claims: &Claims, expected: &Expected<'_>) -> Result<(), BadToken> {
    let Claims {
        user,
        node,
        iat,
        exp,
    } = claims;
    let (iat, exp) = (Duration::from_secs(*iat), Duration::from_secs(*exp));
    if user != expected.user {
        return Err(BadToken::User);
    }
    // A UUID that many machines have would let a token in on all of them.
    let own = expected.node.filter(|node| is_valid_uuid(node));
    if !own.ok_or(BadToken::NoNode)?.eq_ignore_ascii_case(node) {
        return Err(BadToken::Node);
    }
    if !exp
        .checked_sub(iat)
        .is_some_and(|life| !life.is_zero() && life <= LONGEST_TOKEN_LIFE)
    {
        return Err(BadToken::Life);
    }
    let wall = expected.wall;
    if wall < SET {
        return Err(BadToken::NoClock);
    }
    if iat > wall.saturating_add(SLACK) {
        return Err(BadToken::Early);
    }
    if exp <= wall {
        return Err(BadToken::Late);
    }
    Ok(())
}

/// A private key that signs tokens, on the operator's machine.
pub struct Signer(Ed25519KeyPair);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(…)")
    }
}

impl Signer {
    /// Reads PKCS#8, with the public key (version 2) or without it (version 1, as openssl writes it); `None` for
    /// any other key.
    pub fn from_pkcs8(der: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .ok()
            .map(Self)
    }

    /// What `public_key` of the user must be.
    pub fn public_key(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// Makes a token.
    pub fn sign(&self, claims: &Claims) -> String {
        // Texts and numbers can always be written.
        self.sign_bytes(&serde_json::to_vec(claims).unwrap_or_default())
    }

    /// The same of any claims.
    pub(super) fn sign_bytes(&self, claims: &[u8]) -> String {
        let signed = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

#[cfg(test)]
mod tests;
