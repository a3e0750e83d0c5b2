//! GetToolsState: what is possible.
//!
//! The whole property list, with every guest operation present and false whether it is switched on or not: the host
//! goes by their presence, "tools too old" is their absence, and open-vm-tools sends them so with everything on
//! [foundryToolsDaemon.c].

use crate::vmware::wire::vix::{Property, property_list};

use super::super::guest_info::os;
use super::super::version::VERSION;
use super::super::{Context, names};

/// VIX_COMMAND_GET_TOOLS_STATE.
pub(super) const GET_TOOLS_STATE: u32 = 62;
/// VIX_COMMAND_WAIT_FOR_TOOLS: does nothing.
pub(super) const WAIT_FOR_TOOLS: u32 = 38;
/// VIX_COMMAND_CAPTURE_SCREEN: the host takes the picture itself, the guest does nothing.
pub(super) const CAPTURE_SCREEN: u32 = 58;

/// VIX_TOOLSFEATURE_SUPPORT_GET_HANDLE_STATE.
const SUPPORTS_GET_HANDLE_STATE: i32 = 1;
/// GUEST_OS_FAMILY_LINUX.
const FAMILY_LINUX: i32 = 1;
/// VIX_PROPERTY_GUEST_START_PROGRAM_ENABLED to VIX_PROPERTY_GUEST_REMOVE_AUTH_ALIAS_BY_CERT_ENABLED.
const OPERATION_FLAGS: std::ops::RangeInclusive<i32> = 4540..=4568;

/// Where temporary files are; none while guest operations are off.
const TEMPORARY_FOLDER: &str = "/tmp";

/// The property list, in open-vm-tools' order. A name that is not known is empty, as open-vm-tools has it.
pub(super) fn tools_state(cx: &Context<'_>, is_enabled: bool) -> String {
    let text = |text: &str| Property::Text(text.to_owned());
    let host_name = names::shown(cx.facts, cx.host_name).unwrap_or_default();
    let mut properties = vec![
        (
            4503,
            Property::Text(os::full_name(cx.machine, cx.facts.talos.as_ref())),
        ),
        (4520, Property::Text(os::short_name(cx.machine))),
        (4511, text(env!("CARGO_PKG_NAME"))),
        (4500, text(VERSION)),
        (4505, Property::Text(host_name)),
        (4501, Property::Integer(SUPPORTS_GET_HANDLE_STATE)),
        (4502, Property::Integer(FAMILY_LINUX)),
        // No packages.
        (4504, text("")),
        (203, text(if is_enabled { TEMPORARY_FOLDER } else { "" })),
        (
            4519,
            Property::Integer(if os::is_64_bit(cx.machine) { 64 } else { 32 }),
        ),
        // No shared folders.
        (4525, text("")),
    ];
    properties.extend(OPERATION_FLAGS.map(|flag| (flag, Property::Bool(false))));
    property_list(&properties)
}
