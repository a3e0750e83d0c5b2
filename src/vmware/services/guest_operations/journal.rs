//! Who asked, in the log: programs and transfers. No secret, and nothing of what a program is given, which may be one.

use tracing::{debug, info};

use crate::guest_operations::Caller;
use crate::vmware::wire::text::printable;
use crate::vmware::wire::vix::{Operation, VixError};

/// An operation of a user who has logged in has its answer.
pub(super) fn answered(caller: &Caller, opcode: u32, operation: &Operation<'_>, error: VixError) {
    let user = printable(caller.name.as_bytes());
    let error = error.0;
    match operation {
        Operation::StartProgram(program) => {
            let program = printable(program.path.as_bytes());
            info!(user, program, error, "a user of the host starts a program");
        }
        Operation::TransferFrom { path } => {
            let path = printable(path.as_bytes());
            info!(user, path, error, "a user of the host fetches a file");
        }
        Operation::TransferTo { path } => {
            let path = printable(path.as_bytes());
            info!(user, path, error, "a user of the host sends a file");
        }
        _ => debug!(user, opcode, error, "guest operation"),
    }
}
