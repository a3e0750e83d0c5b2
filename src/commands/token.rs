//! `token`: makes what stands in place of a password, on the operator's machine.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::{Answer, FAILED, USAGE};
use crate::config::TokenArguments;
use crate::facts::is_valid_uuid;
use crate::guest_operations::logins::token::{Claims, Signer};
use crate::log::Chain;

/// The longest file that is read as a key.
const LONGEST: u64 = 1 << 16;
/// Permissions of others than the owner.
const OTHERS: u32 = 0o077;

/// Prints the token or the public key, and nothing else.
pub(super) fn answer(arguments: &TokenArguments, wall: Duration) -> Answer {
    match made(arguments, wall) {
        Ok(line) => Answer {
            stderr: warning(&arguments.key).into_bytes(),
            ..Answer::success(format!("{line}\n"))
        },
        Err((code, problem)) => Answer::failure(code, &format!("talos-vmtoolsd: {problem}")),
    }
}

fn made(arguments: &TokenArguments, wall: Duration) -> Result<String, (u8, String)> {
    let signer = signer(&arguments.key).map_err(|problem| (FAILED, problem))?;
    if arguments.public_key {
        return Ok(STANDARD.encode(signer.public_key()));
    }
    // The command line has them where it does not ask for the public key.
    let user = arguments.user.clone().unwrap_or_default();
    let node = arguments.node.clone().unwrap_or_default();
    if !is_valid_uuid(&node) {
        let problem = format!("{node} is not the UUID of one machine alone");
        return Err((USAGE, problem));
    }
    let iat = wall.as_secs();
    Ok(signer.sign(&Claims {
        user,
        node,
        iat,
        exp: iat.saturating_add(arguments.ttl.as_secs()),
    }))
}

/// The key of a file.
fn signer(path: &Path) -> Result<Signer, String> {
    let file = path.display();
    let pem = read(path).map_err(|error| format!("cannot read {file}: {}", Chain(&error)))?;
    let has = |label: &str| pem.contains(&format!("-----BEGIN {label}-----"));
    if has("ENCRYPTED PRIVATE KEY") {
        return Err(format!(
            "the private key in {file} is encrypted; decrypt it with openssl pkey"
        ));
    }
    let remedy = "make one with openssl genpkey -algorithm ed25519";
    if !has("PRIVATE KEY") {
        return Err(format!(
            "{file} has no private key (PKCS#8 in PEM); {remedy}"
        ));
    }
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| format!("the private key in {file} is damaged"))?;
    Signer::from_pkcs8(der.secret_pkcs8_der())
        .ok_or_else(|| format!("the private key in {file} is no Ed25519 key; {remedy}"))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// What is to be said of the file, if something is.
fn warning(path: &Path) -> String {
    let mode = fs::metadata(path).map_or(0, |file| file.permissions().mode());
    if mode & OTHERS == 0 {
        return String::new();
    }
    let file = path.display();
    format!("talos-vmtoolsd: warning: others may read {file}; chmod 600 {file}\n")
}
