//! Vix_1_Relayed_Command: guest operations, of which only the question what is possible is answered.
//!
//! GetToolsState gets the whole property list, with every guest operation present and false: the host tells
//! "switched off" from "tools too old" by their presence. The operations themselves get "operation disabled",
//! what no open-vm-tools knows gets "unknown command" [vixTools.c, foundryToolsDaemon.c].

use tracing::debug;

use crate::vmware::wire::text::ok;
use crate::vmware::wire::vix::{Property, VixError, VixRequest, property_list, result};

use super::guest_info::os;
use super::outbox::ReplyTo;
use super::version::VERSION;
use super::{Context, Members, names};

/// VIX_COMMAND_GET_TOOLS_STATE.
const GET_TOOLS_STATE: u32 = 62;
/// VIX_COMMAND_WAIT_FOR_TOOLS: does nothing.
const WAIT_FOR_TOOLS: u32 = 38;
/// VIX_COMMAND_CAPTURE_SCREEN: the host takes the picture itself, the guest does nothing.
const CAPTURE_SCREEN: u32 = 58;

/// VIX_TOOLSFEATURE_SUPPORT_GET_HANDLE_STATE.
const SUPPORTS_GET_HANDLE_STATE: i32 = 1;
/// GUEST_OS_FAMILY_LINUX.
const FAMILY_LINUX: i32 = 1;
/// VIX_PROPERTY_GUEST_START_PROGRAM_ENABLED to VIX_PROPERTY_GUEST_REMOVE_AUTH_ALIAS_BY_CERT_ENABLED.
const OPERATION_FLAGS: std::ops::RangeInclusive<i32> = 4540..=4568;

/// Answers with the VIX error inside an `OK ` reply.
pub(super) fn handle(_members: &mut Members, args: &[u8], cx: &mut Context<'_>, reply_to: ReplyTo) {
    let reply = match VixRequest::parse(args) {
        Err(error) => result(error, false, b""),
        Ok(request) => {
            debug!(opcode = request.opcode, "VIX request");
            match request.opcode {
                GET_TOOLS_STATE => {
                    let list = property_list(&tools_state(cx));
                    result(VixError::OK, request.binary, list.as_bytes())
                }
                WAIT_FOR_TOOLS | CAPTURE_SCREEN => result(VixError::OK, request.binary, b""),
                opcode if is_guest_operation(opcode) => {
                    result(VixError::OPERATION_DISABLED, request.binary, b"")
                }
                _ => result(VixError::UNRECOGNIZED_COMMAND, request.binary, b""),
            }
        }
    };
    cx.outbox.reply(reply_to, ok(&reply));
}

/// The operations that open-vm-tools handles and that its configuration can switch off [vixTools.c].
fn is_guest_operation(opcode: u32) -> bool {
    matches!(
        opcode,
        4 | 8 | 10 | 18 | 19 | 22 | 46 | 70..=79 | 84 | 85 | 87..=89 | 94 | 116 | 169
            | 177..=183 | 185..=195 | 197..=207
    )
}

/// The properties in open-vm-tools' order. A name that is not known is empty, as open-vm-tools has it.
fn tools_state(cx: &Context<'_>) -> Vec<(i32, Property)> {
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
        // No packages, and no directory for temporary files.
        (4504, text("")),
        (203, text("")),
        (
            4519,
            Property::Integer(if os::is_64_bit(cx.machine) { 64 } else { 32 }),
        ),
        // No shared folders.
        (4525, text("")),
    ];
    properties.extend(OPERATION_FLAGS.map(|flag| (flag, Property::Bool(false))));
    properties
}
