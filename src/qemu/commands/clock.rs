//! guest-get-time and guest-get-timezone.

use serde_json::{Value, json};

use super::known::Known;
use super::step::Step;
use super::unreadable;
use crate::facts::{KernelPart, Reading};
use crate::qemu::qmp::Error;

/// guest-get-time: nanoseconds since 1970.
pub(super) fn time(_: &Known) -> Result<Step, Error> {
    Ok(Step::Read(KernelPart::Time, |_, reading| {
        let Reading::Time(time) = reading else {
            return Err(unreadable());
        };
        let nanoseconds = i64::try_from(time.as_nanos()).map_err(|_| unreadable())?;
        Ok(Value::from(nanoseconds))
    }))
}

/// guest-get-timezone: Talos has no other.
pub(super) fn timezone(_: &Known) -> Result<Step, Error> {
    Ok(Step::Reply(json!({"zone": "UTC", "offset": 0})))
}
