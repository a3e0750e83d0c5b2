//! Fills a draft from the sources, the weakest first: the defaults of the table, then the file, variables and flags.

use std::ffi::OsStr;

use super::SettingError;
use super::draft::Draft;
use super::setting::{Setting, Unset};
use super::table::SETTINGS;

/// The group whose trouble is kept instead of ending the process.
const TALOS: &str = "talos";

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

    /// Takes a value from a variable or a flag; `name` says which. Trouble with the way to Talos is kept until
    /// a stronger source gives a good value: off VMware it does not matter.
    pub(super) fn take(
        &mut self,
        setting: &Setting,
        written: &OsStr,
        name: impl FnOnce() -> String,
    ) -> Result<(), SettingError> {
        let Err(source) = setting.read(self, written) else {
            self.trouble.take_if(|(key, _)| *key == setting.key);
            return Ok(());
        };
        let error = SettingError::Value {
            name: name(),
            source,
        };
        if setting.place().is_some_and(|(group, _)| group == TALOS) {
            self.trouble = Some((setting.key, error));
            return Ok(());
        }
        Err(error)
    }
}
