//! Fills a draft from the sources, the weakest first: the defaults of the table, then the file, variables and flags.

use std::ffi::OsStr;

use super::Error;
use super::draft::Draft;
use super::setting::{Setting, Unset};
use super::table::SETTINGS;

impl Draft {
    /// The defaults of the table.
    pub(super) fn new() -> Self {
        let mut draft = Self::blank();
        for setting in SETTINGS {
            if let Unset::Value(default) = setting.unset {
                let read = setting.read(&mut draft, OsStr::new(default));
                debug_assert_eq!(read, Ok(()), "{:?}", setting.key);
            }
        }
        draft
    }

    /// Takes a value from a variable or a flag; `name` says which. One that is bad changes nothing.
    pub(super) fn take(
        &mut self,
        setting: &Setting,
        written: &OsStr,
        name: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        setting.read(self, written).map_err(|source| {
            self.doubt(setting.place().map(|(group, _)| group));
            Error::Value {
                name: name(),
                source,
            }
        })
    }
}
