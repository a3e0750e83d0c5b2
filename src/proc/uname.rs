//! Kernel release and machine name, by uname.

use nix::sys::utsname::uname;

use crate::facts::Machine;

/// The kernel's release and machine name; empty if uname fails.
pub fn machine() -> Machine {
    let Ok(name) = uname() else {
        return Machine::default();
    };
    Machine {
        kernel_release: name.release().to_string_lossy().into_owned(),
        machine: name.machine().to_string_lossy().into_owned(),
    }
}
