//! The arguments of a request, taken strictly: all that a command has, and none that it has not.

use serde_json::{Map, Value};

use crate::qemu::qmp::Error;

/// The arguments of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arguments<'a>(&'a Map<String, Value>);

impl<'a> Arguments<'a> {
    /// Those of this request.
    pub(super) const fn new(map: &'a Map<String, Value>) -> Self {
        Self(map)
    }

    /// A number of 64 bits with its sign.
    ///
    /// # Errors
    /// It is not there, or no such number.
    pub(super) fn integer(self, name: &str) -> Result<i64, Error> {
        let value = self.0.get(name);
        let value =
            value.ok_or_else(|| Error::Generic(format!("Parameter '{name}' is missing")))?;
        value.as_i64().ok_or_else(|| wrong(name, "integer"))
    }

    /// A text that may be missing.
    ///
    /// # Errors
    /// It is no text.
    pub(super) fn optional_text(self, name: &str) -> Result<Option<&'a str>, Error> {
        let text = |value: &'a Value| value.as_str().ok_or_else(|| wrong(name, "string"));
        self.0.get(name).map(text).transpose()
    }

    /// A list of texts that may be missing.
    ///
    /// # Errors
    /// It is no list, or something in it is no text.
    pub(super) fn optional_texts(self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let list = value.as_array().ok_or_else(|| wrong(name, "array"))?;
        let text = |(place, item): (usize, &Value)| {
            let text = item.as_str().map(str::to_owned);
            text.ok_or_else(|| wrong(&format!("{name}[{place}]"), "string"))
        };
        list.iter()
            .enumerate()
            .map(text)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// There are none but these.
    ///
    /// # Errors
    /// There is another.
    pub(super) fn only(self, names: &[&str]) -> Result<(), Error> {
        let mut given = self.0.keys();
        given
            .find(|name| !names.contains(&name.as_str()))
            .map_or(Ok(()), |name| {
                Err(Error::Generic(format!("Parameter '{name}' is unexpected")))
            })
    }
}

fn wrong(name: &str, expected: &str) -> Error {
    Error::Generic(format!(
        "Invalid parameter type for '{name}', expected: {expected}"
    ))
}
