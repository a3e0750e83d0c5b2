//! guest-get-disks and guest-get-diskstats.

use serde_json::{Map, Value, json};

use super::NOT_AVAILABLE;
use super::known::Known;
use super::step::Step;
use super::unreadable;
use crate::facts::{Disk, DiskCounters, KernelPart, Reading, Storage};
use crate::qemu::qmp::Error;

/// guest-get-disks: whole disks, and where each is attached.
pub(super) fn disks(known: &Known) -> Result<Step, Error> {
    let storage = &known.facts.storage;
    let disks = storage.disks.as_deref();
    let disks = disks.ok_or_else(|| Error::Generic(NOT_AVAILABLE.to_owned()))?;
    let row = |disk: &Disk| {
        let below = disk.secondaries.iter();
        let below: Vec<String> = below.map(|id| format!("/dev/{id}")).collect();
        let mut row = Map::new();
        row.insert("name".to_owned(), disk.path.as_str().into());
        row.insert("partition".to_owned(), false.into());
        row.insert("dependencies".to_owned(), below.into());
        if let Some(address) = address(disk, storage) {
            row.insert("address".to_owned(), address);
        }
        row.into()
    };
    Ok(Step::Reply(
        disks.iter().map(row).collect::<Vec<Value>>().into(),
    ))
}

/// Where a disk is attached, as the host has named it; `None` where that is not known.
pub(super) fn address(disk: &Disk, storage: &Storage) -> Option<Value> {
    let address = storage.disk_addresses.get(&disk.path)?;
    let pci = &address.controller;
    let mut row = json!({
        "dev": disk.path,
        "bus-type": address.bus_type,
        "bus": address.bus,
        "target": address.target,
        "unit": address.unit,
        "pci-controller": {
            "domain": pci.domain,
            "bus": pci.bus,
            "slot": pci.slot,
            "function": pci.function,
        },
    });
    if let Some(row) = row.as_object_mut()
        && !disk.serial.is_empty()
    {
        row.insert("serial".to_owned(), disk.serial.as_str().into());
    }
    Some(row)
}

/// guest-get-diskstats: disks and partitions as the kernel counts them.
pub(super) fn counters(_: &Known) -> Result<Step, Error> {
    Ok(Step::Read(KernelPart::DiskCounters, |_, reading| {
        let Reading::DiskCounters(disks) = reading else {
            return Err(unreadable());
        };
        Ok(disks.iter().map(counters_row).collect())
    }))
}

fn counters_row(disk: &DiskCounters) -> Value {
    const MEMBERS: [&str; 17] = [
        "read-ios",
        "read-merges",
        "read-sectors",
        "read-ticks",
        "write-ios",
        "write-merges",
        "write-sectors",
        "write-ticks",
        "ios-pgr",
        "total-ticks",
        "weight-ticks",
        "discard-ios",
        "discard-merges",
        "discard-sectors",
        "discard-ticks",
        "flush-ios",
        "flush-ticks",
    ];
    let members = MEMBERS.iter().zip(&disk.fields);
    let stats: Map<String, Value> = members
        .map(|(member, &value)| ((*member).to_owned(), value.into()))
        .collect();
    json!({
        "name": disk.name,
        "major": disk.major,
        "minor": disk.minor,
        "stats": stats,
    })
}
