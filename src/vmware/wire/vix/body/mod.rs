//! The bodies of the operations, one struct of vixCommands.h each.
//!
//! ```text
//! "len-" excludes the NUL that follows a string, "len+" includes it, and 0 means that there is none
//! 193  u64 pid, u32 options
//! 185  u8 minimized, u32 path+, u32 arguments+, u32 folder+, u32 variables, u32 variables+; path arguments folder …
//! 177  i32 options, u32 path-, u32 pattern-, i32 index, i32 most, u64 offset; path pattern
//! ```

mod files;
mod programs;

use super::VixError;
use super::fields::Fields;

pub use files::ListFiles;
pub use programs::StartProgram;

/// What is asked for; texts are UTF-8 without NUL, and lie in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// ListProcessesEx (186).
    ListProcesses {
        /// Names a list that was begun; 0 begins one.
        key: u32,
        /// Where in that list to go on.
        offset: u32,
        /// These alone; none means all.
        pids: Vec<u64>,
    },
    /// TerminateProcess (193).
    Terminate {
        /// The process.
        pid: u64,
    },
    /// StartProgram (185).
    StartProgram(StartProgram<'a>),
    /// ReadEnvVariables (187).
    ReadEnvironment {
        /// These alone; none means all.
        names: Vec<&'a str>,
    },
    /// ListFiles (177).
    ListFiles(ListFiles<'a>),
    /// InitiateFileTransferFromGuest (188).
    TransferFrom {
        /// The file.
        path: &'a str,
    },
    /// InitiateFileTransferToGuest (189).
    TransferTo {
        /// The file.
        path: &'a str,
    },
    /// CreateTempFileEx (181).
    MakeTemporary {
        /// What its name begins with.
        prefix: &'a str,
        /// What its name ends with.
        suffix: &'a str,
        /// Where; empty is left to the guest.
        folder: &'a str,
    },
    /// DeleteFileEx (194).
    DeleteFile {
        /// The file.
        path: &'a str,
    },
    /// What would write to the node, and is never done: folders, moves, attributes.
    Write,
    /// ValidateCredentials (192).
    Validate,
    /// AcquireCredentials and ReleaseCredentials (190, 191), which are of Windows.
    Sspi,
    /// A packet of HGFS (84).
    Hgfs {
        /// The packet.
        packet: &'a [u8],
    },
}

impl<'a> Operation<'a> {
    /// The operation of a request; `None` when there is none with this number.
    ///
    /// # Errors
    /// When the body is not what the operation wants.
    pub fn parse(opcode: u32, body: &'a [u8]) -> Option<Result<Self, VixError>> {
        let fields = &mut Fields(body);
        Some(match opcode {
            super::HGFS_PACKET => files::hgfs(fields),
            177 => files::list_files(fields),
            178 | 195 => files::folder(fields),
            179 | 180 => files::rename(fields),
            181 => files::make_temporary(fields),
            182 => files::make_temporary_folder(fields),
            183 => files::attributes(fields),
            185 => programs::start(fields),
            186 => programs::list(fields),
            187 => programs::read_environment(fields),
            188 => files::transfer_from(fields),
            189 => files::transfer_to(fields),
            190 | 191 => Ok(Self::Sspi),
            192 => Ok(Self::Validate),
            193 => programs::terminate(fields),
            194 => files::delete(fields),
            _ => return None,
        })
    }
}

/// Whether open-vm-tools has an operation with this number that its configuration can switch off [vixTools.c]; those
/// that [`Operation`] has are among them.
pub const fn is_known(opcode: u32) -> bool {
    matches!(
        opcode,
        4 | 8 | 10 | 18 | 19 | 22 | 46 | 70..=79 | 84 | 85 | 87..=89 | 94 | 116 | 117 | 169
            | 177..=183 | 185..=195 | 197..=207
    )
}

#[cfg(test)]
mod tests;
