//! Entries for fuzzing, see [`crate::fuzz`].
#![allow(clippy::expect_used, clippy::panic)]

use serde_json::Value;

use super::datamap::DataMap;
use super::guest_rpc_packet::{Deframer, Packet, PacketError};
use super::hgfs;
use super::hypervisor::Platform;
use super::ovf_env;
use super::quiesce_params::QuiesceParams;
use super::text::{self, TcloRequest};
use super::vix::{NamePassword, Operation, VixError, VixRequest};
use super::vm_operation_notification as notification;
use crate::fuzz::Choices;

/// What decodes is encoded to bytes that decode to the same.
pub fn fuzz_data_map(bytes: &[u8]) {
    if let Ok(map) = DataMap::decode(bytes) {
        assert_eq!(DataMap::decode(&encoded(&map)).as_ref(), Ok(&map));
    }
}

/// The first byte cuts the rest into chunks. The packets do not depend on the chunks, and each is encoded to
/// bytes that give it again.
pub fn fuzz_guest_rpc_packet(bytes: &[u8]) {
    let Some((chunk, stream)) = bytes.split_first() else {
        return;
    };
    let whole = packets(std::iter::once(stream));
    let cut = packets(stream.chunks(usize::from(*chunk).max(1)));
    assert_eq!(whole, cut);
    for packet in whole.0 {
        assert_packet_survives(packet);
    }
}

/// The OVF environment, as an administrator wrote it.
pub fn fuzz_ovf_env(bytes: &[u8]) {
    let _ = ovf_env::holds_config(bytes);
}

/// Arguments of `Vix_1_Relayed_Command`: body and credential lie within them.
pub fn fuzz_vix(bytes: &[u8]) {
    if let Ok(request) = VixRequest::parse(bytes) {
        assert!(request.body.len() + request.credential.len() <= bytes.len());
    }
}

/// A number of an operation, one byte above 80, and its body: what is read lies in it, and what is not is one of three
/// errors.
pub fn fuzz_vix_body(bytes: &[u8]) {
    let Some((opcode, body)) = bytes.split_first() else {
        return;
    };
    let lies_in_it = |len: usize| assert!(len <= body.len());
    match Operation::parse(80 + u32::from(*opcode), body) {
        None => {}
        Some(Err(error)) => assert!(matches!(
            error,
            VixError::INVALID_HEADER | VixError::INVALID_BODY | VixError::INVALID_UTF8
        )),
        Some(Ok(operation)) => match operation {
            Operation::ListProcesses { pids, .. } => lies_in_it(8 * pids.len()),
            Operation::StartProgram(program) => {
                lies_in_it(program.path.len() + program.arguments.len() + program.folder.len());
            }
            Operation::ReadEnvironment { names } => lies_in_it(names.concat().len()),
            Operation::ListFiles(list) => lies_in_it(list.path.len() + list.pattern.len()),
            Operation::TransferFrom { path }
            | Operation::TransferTo { path }
            | Operation::DeleteFile { path } => lies_in_it(path.len()),
            Operation::MakeTemporary {
                prefix,
                suffix,
                folder,
            } => lies_in_it(prefix.len() + suffix.len() + folder.len()),
            Operation::Hgfs { packet } => lies_in_it(packet.len()),
            Operation::Write
            | Operation::Validate
            | Operation::Sspi
            | Operation::Terminate { .. } => {}
        },
    }
}

/// The type of a credential, one byte, and the credential: a name and a secret shorter than it, or one of two errors.
pub fn fuzz_vix_credential(bytes: &[u8]) {
    let Some((kind, blob)) = bytes.split_first() else {
        return;
    };
    match NamePassword::parse(u32::from(*kind), blob) {
        Ok(login) => {
            assert!(matches!(kind, 1 | 4));
            assert!(login.name.len() + login.secret.0.len() < blob.len());
            assert!(!login.name.contains('\0') && !login.secret.0.contains(&0));
        }
        Err(error) => {
            assert!(matches!(
                error,
                VixError::NOT_SUPPORTED | VixError::INVALID_BODY
            ));
        }
    }
}

/// Arguments of `vmbackup.startWithOpts`: strings lie within them, and what is cut is none.
pub fn fuzz_quiesce_params(bytes: &[u8]) {
    let Ok(params) = QuiesceParams::decode(bytes) else {
        return;
    };
    let strings = params.script_arg.len() + params.disk_uuids.len();
    assert!(40 + strings <= bytes.len());
    assert!(params.script_arg.len() <= 256 && params.disk_uuids.len() <= 3200);
    for end in 0..40 {
        assert!(QuiesceParams::decode(bytes.get(..end).unwrap_or_default()).is_err());
    }
}

/// A reply about vMotion notifications: what is read of it goes into requests that are well-formed.
pub fn fuzz_vm_operation_notification(bytes: &[u8]) {
    let body = |request: Vec<u8>| -> Value {
        let space = request.iter().position(|byte| *byte == b' ');
        let (_, body) = request.split_at(space.expect("a space"));
        serde_json::from_slice(body).expect("an object")
    };
    let registered = notification::Registered::parse(bytes);
    let token = match &registered {
        Ok(registered) => Some(registered.token.clone()),
        Err(_) => notification::Token::new(&String::from_utf8_lossy(bytes)),
    };
    let event = notification::Event::parse(bytes);
    if let Some(token) = &token {
        for request in [
            notification::check_for_event(token),
            notification::unregister(token),
        ] {
            let body = body(request);
            let found = body.get("uniqueToken").and_then(Value::as_str);
            assert_eq!(found, Some(token.secret()));
        }
        if let Ok(Some(notification::Event {
            operation: Some(operation),
            ..
        })) = &event
        {
            let ack = body(notification::ack_event(*operation, token));
            let id = ack.get("operationId").map(Value::to_string);
            assert_eq!(id, Some(operation.to_string()));
        }
    }
    let done = notification::parse_done(bytes);
    assert!(registered.is_err() || done.is_ok());
    assert_eq!(event.is_ok(), done.is_ok());
}

/// A packet of HGFS: what it points to lies within it, names do not climb, and it has a refusal.
pub fn fuzz_hgfs(bytes: &[u8]) {
    use hgfs::{Call, Request, Status, Target};
    let request = Request::decode(bytes);
    let refusal = hgfs::refusal(&request.header, Status::GenericError);
    assert!(
        hgfs::client::Answered::decode(&refusal).is_some()
            || (request.header.is_old && refusal.len() == 8)
    );
    let within = |part: &[u8]| {
        let (start, end) = (bytes.as_ptr_range(), part.as_ptr_range());
        assert!(start.start <= end.start && end.end <= start.end);
    };
    match request.call {
        Ok(Call::Open { target, .. } | Call::Attributes { target }) => {
            let Target::Name(name) = target else { return };
            within(name.0);
            let components = name.components().unwrap_or_default();
            let path = components.join("/");
            assert!(!path.contains(['\0', '\\']));
            assert!(!path.split('/').any(|name| matches!(name, "." | "..")));
            assert_eq!(path.split('/').count(), components.len().max(1));
        }
        Ok(Call::Write { data, .. }) => within(data),
        _ => {}
    }
}

/// A TCLO request taken apart: all parts are parts of it.
pub fn fuzz_tclo_text(bytes: &[u8]) {
    let Some(TcloRequest { name, args }) = TcloRequest::parse(bytes) else {
        return;
    };
    assert!(!name.is_empty() && !name.contains(&b' ') && !name.contains(&0));
    assert!(bytes.ends_with(args));
    if let Some((key, value)) = text::key_value(args) {
        assert!(!key.is_empty() && !key.contains(&b' ') && !value.is_empty());
        assert!(!value.contains(&0));
    }
    let _ = text::number(args);
    assert!(text::printable(bytes).len() <= 4 * 128 + '…'.len_utf8());
}

/// The firmware's words on arm64: up to 255 bytes of the vendor's name, their number in front, then a table.
pub fn fuzz_hypervisor(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let vendor = choices.bytes();
    let platform = Platform::of_firmware(choices.rest(), vendor);
    let _ = platform.hypervisor.to_string();
}

fn encoded(map: &DataMap) -> Vec<u8> {
    let mut out = Vec::new();
    map.encode(&mut out);
    out
}

fn packets<'b>(chunks: impl Iterator<Item = &'b [u8]>) -> (Vec<Packet>, Option<PacketError>) {
    let mut deframer = Deframer::new();
    let mut packets = Vec::new();
    for chunk in chunks {
        deframer.push(chunk);
        loop {
            match deframer.next_packet() {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}

fn assert_packet_survives(packet: Packet) {
    let bytes = packet.clone().encode();
    assert_eq!(
        packets(std::iter::once(&bytes[..])),
        (vec![packet], None),
        "{bytes:?}"
    );
}
