//! Kernel release and machine name, by uname.

use nix::sys::utsname::uname;

use crate::facts::Machine;

/// What the kernel says of the machine; empty where it says nothing.
pub fn machine() -> Machine {
    let Ok(name) = uname() else {
        return Machine::default();
    };
    Machine {
        kernel_release: name.release().to_string_lossy().into_owned(),
        machine: name.machine().to_string_lossy().into_owned(),
    }
}
