//! Each operation carried out, and its result in VIX' words.

use std::task::{Poll, ready};

use crate::guest_operations::files::{Listed, Location};
use crate::guest_operations::programs::{ShownProcess, Start};
use crate::guest_operations::{Caller, Failure};
use crate::vmware::wire::vix::{Operation, ProcessText, VixError, environment_text};

use super::super::Context;
use super::errors::error_of;
use super::{VixService, listing};

/// A result, once it is there.
type Answer = Poll<Result<Vec<u8>, VixError>>;

impl VixService {
    /// Does what is asked for. Asked again while it is pending, it does nothing twice.
    pub(super) fn carry_out(
        &mut self,
        caller: &Caller,
        operation: &Operation<'_>,
        cx: &Context<'_>,
    ) -> Answer {
        let now = cx.now;
        let text = match operation {
            Operation::ListProcesses { key, offset, pids } => {
                let list = if *key != 0 {
                    self.pages.next(&caller.name, *key, *offset)
                } else {
                    let processes = ready!(self.operations.processes(caller, pids, now));
                    processes.map_err(error_of).map(|processes| {
                        let text = process_list(&processes);
                        self.pages.first(&caller.name, text, now)
                    })
                };
                return Poll::Ready(list.map(String::into_bytes));
            }
            Operation::Terminate { pid } => {
                let ended = self.operations.terminate(caller, *pid, now);
                ended.map(|()| String::new())
            }
            Operation::StartProgram(program) => {
                if program.path.is_empty() {
                    return Poll::Ready(Err(VixError::INVALID_ARGUMENT));
                }
                let program = Start {
                    path: program.path,
                    arguments: program.arguments,
                    folder: program.folder,
                };
                let started = self.operations.start(caller, &program, now);
                started.map(|pid| pid.to_string())
            }
            Operation::ReadEnvironment { names } => {
                let environment = self.operations.environment(caller, cx.facts);
                environment.map(|variables| {
                    let wanted = variables
                        .iter()
                        .map(|(name, value)| (*name, value.as_str()))
                        .filter(|(name, _)| names.is_empty() || names.contains(name));
                    environment_text(wanted)
                })
            }
            Operation::ListFiles(wanted) => {
                let location = location(wanted.path)?;
                let listed = ready!(self.operations.files().list(caller, &location, now));
                let page = listed
                    .map_err(error_of)
                    .and_then(|listed| listing::page(&listed, wanted));
                return Poll::Ready(page.map(String::into_bytes));
            }
            Operation::TransferFrom { path } => {
                let location = location(path)?;
                let mut files = self.operations.files();
                let attributes = ready!(files.begin_transfer(caller, &location, now));
                attributes.map(|attributes| {
                    listing::file(&Listed {
                        name: (*path).to_owned(),
                        attributes,
                    })
                })
            }
            Operation::TransferTo { path } => {
                let location = location(path)?;
                let begun = self.operations.files().begin_upload(caller, &location);
                begun.map(|()| String::new())
            }
            Operation::MakeTemporary {
                prefix,
                suffix,
                folder,
            } => {
                let mut files = self.operations.files();
                files.make_temporary(caller, prefix, suffix, folder, now)
            }
            Operation::DeleteFile { path } => {
                let location = location(path)?;
                let deleted = self.operations.files().delete(caller, &location);
                deleted.map(|()| String::new())
            }
            Operation::Write => Err(Failure::Disabled),
            Operation::Validate => Ok(String::new()),
            Operation::Sspi => return Poll::Ready(Err(VixError::NOT_SUPPORTED)),
            Operation::Hgfs { packet } => {
                let files = self.operations.files();
                return self.hgfs.handle(packet, caller, files, now).map(Ok);
            }
        };
        Poll::Ready(text.map(String::into_bytes).map_err(error_of))
    }
}

/// Where a path leads.
fn location(path: &str) -> Result<Location, VixError> {
    if path.is_empty() {
        return Err(VixError::INVALID_ARGUMENT);
    }
    Location::of_path(path).map_err(error_of)
}

/// Those that are asked for, in their order; all when none is named. One that is not there has no entry.
fn process_list(processes: &[ShownProcess]) -> String {
    let text = |process: &ShownProcess| {
        let (end, exit_code) = process.end.unwrap_or_default();
        let text = ProcessText {
            command: &process.command,
            line: &process.line,
            pid: process.pid,
            user: &process.user,
            start: process.start,
            exit_code,
            end,
        };
        text.to_string()
    };
    processes.iter().map(text).collect()
}
