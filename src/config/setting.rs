//! What a row of the table of settings is, see [`super::table`].

use std::ffi::OsStr;

use super::BadValue;
use super::draft::Draft;
use super::map::Map;
use super::value::{Form, Value};

/// How the names of variables begin.
pub(super) const VARIABLES: &str = "VMTOOLSD_";

/// One setting: what it is called everywhere, what it means and which field it fills.
#[derive(Debug)]
pub struct Setting {
    /// Groups and key in the file, such as `power.deadline` or `power.shutdown.budget`; `None` for the path of the file
    /// itself.
    pub key: Option<&'static str>,
    /// The flag without its dashes, which also names the variable; `None` if the setting is for the file alone.
    pub flag: Option<&'static str>,
    /// What stands for the value in usage texts, such as `DURATION`.
    pub value: &'static str,
    /// What counts if no source gives a value.
    pub unset: Unset,
    /// When a changed value counts.
    pub applied: Applied,
    /// What it means, in a sentence without a full stop.
    pub help: &'static str,
    /// The field of the draft.
    pub(super) field: Field,
}

/// What counts if no source gives a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unset {
    /// This value, written as in the file.
    Value(&'static str),
    /// What this phrase says; the code behind the field knows it.
    Otherwise(&'static str),
    /// Nothing.
    Nothing,
}

/// When a changed value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// As soon as SIGHUP has the configuration read again.
    OnReload,
    /// When the agent is started again.
    OnRestart,
}

/// Access to one field of a [`Draft`]; [`field`] makes it.
#[derive(Debug)]
pub(super) struct Field {
    form: Form,
    read: fn(&mut Draft, &OsStr) -> Result<(), BadValue>,
    read_map: fn(&mut Draft, Map) -> Result<(), BadValue>,
    keep: fn(&mut Draft, &Draft) -> bool,
}

impl Field {
    /// Puts the parts together; `get` is there for the type of the field.
    pub(super) const fn new<T: Value>(
        _get: fn(&Draft) -> &T,
        read: fn(&mut Draft, &OsStr) -> Result<(), BadValue>,
        read_map: fn(&mut Draft, Map) -> Result<(), BadValue>,
        keep: fn(&mut Draft, &Draft) -> bool,
    ) -> Self {
        Self {
            form: T::FORM,
            read,
            read_map,
            keep,
        }
    }
}

/// The field of a draft at a path, such as `config.power.deadline`; `as` names what reads it where not every value of
/// its type will do.
macro_rules! field {
    ($($path:ident).+ as $read:path) => {
        $crate::config::setting::Field::new(
            |draft| &draft.$($path).+,
            |draft, written| {
                draft.$($path).+ = $read(&written.to_string_lossy())?;
                Ok(())
            },
            |draft, map| $crate::config::value::Value::read_map(&mut draft.$($path).+, map),
            |draft, other| $crate::config::setting::keep(&mut draft.$($path).+, &other.$($path).+),
        )
    };
    ($($path:ident).+) => {
        $crate::config::setting::Field::new(
            |draft| &draft.$($path).+,
            |draft, written| $crate::config::value::Value::read(&mut draft.$($path).+, written),
            |draft, map| $crate::config::value::Value::read_map(&mut draft.$($path).+, map),
            |draft, other| $crate::config::setting::keep(&mut draft.$($path).+, &other.$($path).+),
        )
    };
}
pub(super) use field;

/// Makes a value that of another draft; whether it was different.
pub(super) fn keep<T: Value>(value: &mut T, other: &T) -> bool {
    let differs = value != other;
    if differs {
        value.clone_from(other);
    }
    differs
}

impl Setting {
    /// The group of the file and the key in it; a group in a group is named after it, as in `power.shutdown`.
    pub fn place(&self) -> Option<(&'static str, &'static str)> {
        self.key?.rsplit_once('.')
    }

    /// The variable that stands for the flag, named as the Go daemon names it: `talos-node` gives
    /// `VMTOOLSD_TALOS_NODE`.
    pub fn variable(&self) -> Option<String> {
        let name = self.flag?.replace('-', "_").to_ascii_uppercase();
        Some(format!("{VARIABLES}{name}"))
    }

    /// How the value is written.
    pub const fn form(&self) -> Form {
        self.field.form
    }

    /// Puts a value into the field; an item of a list comes behind those that are there.
    pub(super) fn read(&self, draft: &mut Draft, written: &OsStr) -> Result<(), BadValue> {
        (self.field.read)(draft, written)
    }

    /// Puts one more map into the field.
    pub(super) fn read_map(&self, draft: &mut Draft, map: Map) -> Result<(), BadValue> {
        (self.field.read_map)(draft, map)
    }

    /// Puts the value of another draft into the field; whether it was different.
    pub(super) fn keep(&self, draft: &mut Draft, other: &Draft) -> bool {
        (self.field.keep)(draft, other)
    }
}
