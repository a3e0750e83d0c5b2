//! Files, and the packets of their transfer.

use super::super::VixError;
use super::super::fields::Fields;
use super::Operation;

/// What ListFiles asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListFiles<'a> {
    /// The folder, or a file.
    pub path: &'a str,
    /// A regular expression for the names; empty is none.
    pub pattern: &'a str,
    /// Where in the folder the page begins that the client wants.
    pub index: i32,
    /// How many entries that page has at most.
    pub most: i32,
    /// How many of them the host has already.
    pub offset: u64,
}

pub(super) fn list_files<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    list(fields).map(Operation::ListFiles)
}

fn list<'a>(fields: &mut Fields<'a>) -> Result<ListFiles<'a>, VixError> {
    let _options = fields.signed()?;
    let (path, pattern) = (fields.word()?, fields.word()?);
    let (index, most, offset) = (fields.signed()?, fields.signed()?, fields.double()?);
    Ok(ListFiles {
        path: fields.string(path)?,
        pattern: match pattern {
            0 => "",
            len => fields.string(len)?,
        },
        index,
        most,
        offset,
    })
}

/// The same struct as that of ListFiles; only the path counts.
pub(super) fn transfer_from<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    let ListFiles { path, .. } = list(fields)?;
    Ok(Operation::TransferFrom { path })
}

pub(super) fn transfer_to<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    let _options = fields.signed()?;
    let len = fields.word()?;
    let _overwrite = fields.flag()?;
    let path = fields.string(len)?;
    Ok(Operation::TransferTo { path })
}

pub(super) fn delete<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    let _options = fields.signed()?;
    let len = fields.word()?;
    let path = fields.string(len)?;
    Ok(Operation::DeleteFile { path })
}

pub(super) fn make_temporary<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    let _options = fields.signed()?;
    let lens = [fields.word()?, fields.word()?, fields.word()?];
    let properties = fields.word()?;
    // open-vm-tools compares the sum here, alone of all operations.
    let sum = lens.iter().map(|len| u64::from(*len) + 1).sum::<u64>() + u64::from(properties);
    if u64::try_from(fields.0.len()) != Ok(sum) {
        return Err(VixError::INVALID_HEADER);
    }
    let [prefix, suffix, folder] = lens;
    Ok(Operation::MakeTemporary {
        prefix: fields.string(prefix)?,
        suffix: fields.string(suffix)?,
        folder: fields.string(folder)?,
    })
}

pub(super) fn make_temporary_folder<'a>(
    fields: &mut Fields<'a>,
) -> Result<Operation<'a>, VixError> {
    make_temporary(fields).map(|_| Operation::Write)
}

/// CreateDirectoryEx and DeleteDirectoryEx.
pub(super) fn folder<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    let _options = fields.signed()?;
    let (len, _properties) = (fields.word()?, fields.word()?);
    let _with_parents_or_children = fields.flag()?;
    fields.string(len)?;
    Ok(Operation::Write)
}

/// MoveFileEx and MoveDirectory.
pub(super) fn rename<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    let _options = fields.signed()?;
    let (from, to, _properties) = (fields.word()?, fields.word()?, fields.word()?);
    let _overwrite = fields.flag()?;
    fields.string(from)?;
    fields.string(to)?;
    Ok(Operation::Write)
}

/// SetGuestFileAttributes.
pub(super) fn attributes<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    // What to set, two times, user, group, mode, two flags.
    fields.array::<{ 4 + 8 + 8 + 4 + 4 + 4 + 1 + 1 }>()?;
    let len = fields.word()?;
    fields.string(len)?;
    Ok(Operation::Write)
}

pub(super) fn hgfs<'a>(fields: &mut Fields<'a>) -> Result<Operation<'a>, VixError> {
    let len = fields.word()?;
    let _timeout = fields.signed()?;
    let packet = fields.bytes(len)?;
    Ok(Operation::Hgfs { packet })
}
