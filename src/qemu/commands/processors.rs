//! guest-get-vcpus, guest-get-cpustats and guest-get-load.

use serde_json::{Map, Value, json};

use super::known::Known;
use super::step::Step;
use super::unreadable;
use crate::facts::{KernelPart, Processor, ProcessorTimes, Reading};
use crate::qemu::qmp::Error;

/// guest-get-vcpus.
pub(super) fn processors(_: &Known) -> Result<Step, Error> {
    Ok(Step::Read(KernelPart::Processors, |_, reading| {
        let Reading::Processors(processors) = reading else {
            return Err(unreadable());
        };
        let row = |processor: &Processor| {
            json!({
                "logical-id": processor.id,
                "online": processor.online,
                "can-offline": processor.can_offline,
            })
        };
        Ok(processors.iter().map(row).collect())
    }))
}

/// guest-get-cpustats: in milliseconds.
pub(super) fn times(_: &Known) -> Result<Step, Error> {
    Ok(Step::Read(KernelPart::ProcessorTimes, |_, reading| {
        let Reading::ProcessorTimes(times) = reading else {
            return Err(unreadable());
        };
        Ok(times.iter().map(times_row).collect())
    }))
}

fn times_row(times: &ProcessorTimes) -> Value {
    const BASIC: [&str; 4] = ["user", "nice", "system", "idle"];
    const FURTHER: [&str; 6] = ["iowait", "irq", "softirq", "steal", "guest", "guestnice"];
    let mut row = Map::new();
    row.insert("type".to_owned(), "linux".into());
    row.insert("cpu".to_owned(), times.id.into());
    let basic = BASIC.iter().zip(times.basic.map(Some));
    for (member, value) in basic.chain(FURTHER.iter().zip(times.further)) {
        if let Some(value) = value {
            row.insert((*member).to_owned(), value.into());
        }
    }
    row.into()
}

/// guest-get-load.
pub(super) fn load(_: &Known) -> Result<Step, Error> {
    Ok(Step::Read(KernelPart::LoadAverage, |_, reading| {
        let Reading::LoadAverage(Some([one, five, fifteen])) = reading else {
            return Err(unreadable());
        };
        Ok(json!({"load1m": one, "load5m": five, "load15m": fifteen}))
    }))
}
