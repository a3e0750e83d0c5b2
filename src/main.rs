//! Arguments and environment in, exit code out; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    talos_vmtoolsd::commands::main(std::env::args_os(), std::env::vars_os())
}
