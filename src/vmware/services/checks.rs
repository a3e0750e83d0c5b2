//! What the host refuses, in the words of `check`.

use super::topic::SET_INFO_REMEDY;
use crate::diagnosis::Outcome;
use crate::vmware::wire::text::printable;

/// What VMware's host says to a command that secure RPC guards.
pub const DENIED: &[u8] = b"Permission denied";

/// The host has refused a guest variable with these words.
pub fn variables_refused(why: &[u8]) -> Outcome {
    Outcome::fails(
        format!("the host takes no guest variables: {}", printable(why)),
        if why.starts_with(DENIED) {
            "clear guest_rpc.rpci.auth.cmd.info-set in the VM's configuration, or let the agent use vsock from a \
             port below 1024"
        } else {
            SET_INFO_REMEDY
        },
    )
}

/// The settings want no guest variables.
pub fn variables_unwanted() -> Outcome {
    Outcome::Works("none are written: guestinfo.variables is false".to_owned())
}
