//! Processes, programs, environment.

use super::super::VixError;
use super::super::fields::Fields;
use super::Operation;

/// What StartProgram asks for. Its environment is checked and left out: programs here have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartProgram<'a> {
    /// The program.
    pub path: &'a str,
    /// Its arguments, in one line.
    pub arguments: &'a str,
    /// The folder to start in; empty is none.
    pub folder: &'a str,
}

pub(super) fn start<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    let _start_minimized = fields.flag()?;
    let [path, arguments, folder] = [fields.word()?, fields.word()?, fields.word()?];
    let (variables, environment) = (fields.word()?, fields.word()?);
    let program = StartProgram {
        path: fields.counted_string(path)?,
        arguments: fields.counted_string(arguments)?,
        folder: fields.counted_string(folder)?,
    };
    fields.strings(variables, environment)?;
    Ok(Operation::StartProgram(program))
}

pub(super) fn list<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    let (key, offset, count) = (fields.word()?, fields.word()?, fields.word()?);
    let len = count.checked_mul(8).ok_or(VixError::INVALID_BODY)?;
    let (pids, _) = fields.bytes(len)?.as_chunks::<8>();
    Ok(Operation::ListProcesses {
        key,
        offset,
        pids: pids.iter().map(|pid| u64::from_le_bytes(*pid)).collect(),
    })
}

pub(super) fn terminate<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    let pid = fields.double()?;
    let _options = fields.word()?;
    Ok(Operation::Terminate { pid })
}

pub(super) fn read_environment<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    let (count, len) = (fields.word()?, fields.word()?);
    let names = fields.strings(count, len)?;
    Ok(Operation::ReadEnvironment { names })
}
