//! guest-get-memory-blocks and guest-get-memory-block-info.

use serde_json::{Map, Value, json};

use super::known::Known;
use super::step::Step;
use super::unreadable;
use crate::facts::{KernelPart, MemoryBlock, MemoryBlocks, Reading};
use crate::qemu::qmp::Error;

/// guest-get-memory-blocks.
pub(super) fn blocks(_: &Known) -> Result<Step, Error> {
    Ok(Step::Read(KernelPart::MemoryBlocks, |_, reading| {
        Ok(memory(reading)?.blocks.iter().map(row).collect())
    }))
}

/// guest-get-memory-block-info: the size of each.
pub(super) fn block_info(_: &Known) -> Result<Step, Error> {
    Ok(Step::Read(KernelPart::MemoryBlocks, |_, reading| {
        Ok(json!({"size": memory(reading)?.block_bytes}))
    }))
}

fn memory(reading: &Reading) -> Result<&MemoryBlocks, Error> {
    match reading {
        Reading::MemoryBlocks(Some(blocks)) => Ok(blocks),
        _ => Err(unreadable()),
    }
}

fn row(block: &MemoryBlock) -> Value {
    let mut row = Map::new();
    row.insert("phys-index".to_owned(), block.index.into());
    row.insert("online".to_owned(), block.online.into());
    if let Some(can_offline) = block.can_offline {
        row.insert("can-offline".to_owned(), can_offline.into());
    }
    row.into()
}
