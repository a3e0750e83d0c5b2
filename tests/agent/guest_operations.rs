//! Guest operations at the gate: off, switched on and off, hostile requests.

use vmx::codec::vix::{Message, Reply};
use vmx::guest_operations::{Credential, GuestClient, bodies, hgfs, op};

use crate::support::{PASSWORD, Run, SOON, Talos};

/// Numbers that no open-vm-tools knows.
const UNKNOWN: [u32; 7] = [0, 5, 100, 184, 208, 9999, u32::MAX];

#[test]
fn while_they_are_off_every_operation_is_disabled_and_what_nobody_knows_is_unknown() {
    let talos = Talos::new();
    let run = talos.run();
    for credential in [Credential::none(), Credential::named("ops", PASSWORD)] {
        let client = GuestClient::with(&*run, credential);
        for (opcode, body) in bodies::samples() {
            assert_eq!(client.error(opcode, &body), Ok(20005), "{opcode}");
        }
        for opcode in UNKNOWN {
            assert_eq!(client.error(opcode, &[]), Ok(3025), "{opcode}");
        }
        for opcode in [op::WAIT_FOR_TOOLS, op::CAPTURE_SCREEN, op::GET_TOOLS_STATE] {
            assert_eq!(client.error(opcode, &[]), Ok(0), "{opcode}");
        }
    }
    assert!(run.sent("tools.capability.hgfs_server").is_empty());
    run.stop();
}

#[test]
fn while_they_are_on_file_transfer_is_registered_and_temporary_files_have_a_folder() {
    let talos = Talos::new();
    let run = Run::start(talos.for_users(&[("ops", "")]));
    run.informed();
    let sent = run.sent("tools.capability.hgfs_server");
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].is("tools.capability.hgfs_server toolbox 1"));
    let properties = run.tools_state(SOON).unwrap().properties().unwrap();
    let text = vmx::codec::vix::Property::Text("/tmp".to_owned());
    assert_eq!(properties[&203], text);
    for id in 4540..=4568 {
        let off = vmx::codec::vix::Property::Boolean(false);
        assert_eq!(properties[&id], off, "{id}: the host goes by its presence");
    }
    run.stop();
}

#[test]
fn name_and_password_let_in_and_nothing_else_does() {
    let talos = Talos::new();
    let run = Run::start(talos.for_users(&[("ops", "")]));
    run.informed();
    let error = |credential: &Credential, opcode, body: &[u8]| {
        let client = GuestClient::with(&*run, credential.clone());
        client.error(opcode, body).unwrap()
    };
    let right = Credential::named("ops", PASSWORD);
    assert_eq!(error(&right, op::VALIDATE, &[]), 0);
    assert_eq!(
        error(
            &Credential {
                kind: 4,
                ..right.clone()
            },
            op::VALIDATE,
            &[]
        ),
        0
    );
    for kind in [0, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12] {
        let other = Credential {
            kind,
            ..right.clone()
        };
        for (opcode, body) in bodies::samples() {
            assert_eq!(error(&other, opcode, &body), 6, "{opcode}, type {kind}");
        }
    }
    for (opcode, body) in bodies::samples() {
        let writes = [
            op::MAKE_FOLDER,
            op::MOVE_FILE,
            op::MOVE_FOLDER,
            op::MAKE_TEMPORARY_FOLDER,
            op::SET_ATTRIBUTES,
            op::DELETE_FOLDER,
        ];
        if writes.contains(&opcode) {
            assert_eq!(error(&right, opcode, &body), 20005, "{opcode}");
        }
        if matches!(opcode, op::ACQUIRE | op::RELEASE) {
            assert_eq!(error(&right, opcode, &body), 6, "{opcode}");
        }
    }
    for (name, password) in [
        ("ops", "wrong"),
        ("ops", ""),
        ("nobody", PASSWORD),
        ("Ops", PASSWORD),
    ] {
        let wrong = Credential::named(name, password);
        assert_eq!(error(&wrong, op::VALIDATE, &[]), 3050, "{name}");
    }
    assert_eq!(error(&right, op::VALIDATE, &[]), 0, "and still");
    run.stop();
}

/// Whatever a request looks like, it has a reply that can be read, and the process lives on.
fn survives(run: &Run, request: Vec<u8>) -> i64 {
    let reply = run.asked(request).reply.unwrap();
    Reply::decode(&reply).unwrap().error
}

#[test]
fn no_lie_of_a_request_ends_the_process() {
    let talos = Talos::new();
    for run in [talos.run(), Run::start(talos.for_users(&[("ops", "")]))] {
        run.informed();
        let right = Credential::named("ops", PASSWORD);
        for (opcode, body) in bodies::samples() {
            let message = Message::new(opcode, &body).with(right.kind, &right.blob);
            let request = message.encode("lies");
            let header = request.len() - 51 - body.len() - right.blob.len();
            // Every word of the header and of the fixed part of a body.
            for at in (header..request.len() - right.blob.len()).step_by(4) {
                for lie in [0, 0xff, 0x7f] {
                    let mut request = request.clone();
                    let end = request.len().min(at + 4);
                    request[at..end].fill(lie);
                    survives(&run, request);
                }
            }
            for cut in [1, right.blob.len(), right.blob.len() + 1] {
                let error = survives(&run, request[..request.len() - cut].to_vec());
                assert!(matches!(error, 10000 | 10001), "{opcode}: {error}");
            }
        }
        assert_eq!(run.reply("ping"), "OK ");
        run.stop();
    }
}

#[test]
fn the_messages_that_end_vmtoolsd_and_the_toolbox_do_not_end_this() {
    let talos = Talos::new();
    let run = Run::start(talos.for_users(&[("ops", "")]));
    run.informed();
    let right = Credential::named("ops", PASSWORD);
    let ask = |opcode, body: &[u8], kind, blob: &[u8]| {
        survives(
            &run,
            Message::new(opcode, body).with(kind, blob).encode("lies"),
        )
    };
    // More processes than the body names.
    for count in [1000, (1 << 29) + 1, 1 << 30, u32::MAX] {
        let mut body = bodies::list_processes(0, 0, &[]);
        body[8..12].copy_from_slice(&count.to_le_bytes());
        assert_eq!(
            ask(op::LIST_PROCESSES, &body, 1, &right.blob),
            10001,
            "{count}"
        );
    }
    assert_eq!(ask(op::TERMINATE, &[0; 3], 1, &right.blob), 10000);
    // Credentials without NUL, cut, not base64, with an unfinished escape, with lengths that lie.
    let mut blobs = vec![
        right.blob[..right.blob.len() - 1].to_vec(),
        right.blob[..9].to_vec(),
        Vec::new(),
    ];
    for text in [
        &b"!!!!\0"[..],
        b"b3BzAHNlY3Jld\\\0",
        b"\\\0",
        b"\0",
        b"b3Bz\0",
    ] {
        blobs.push([&right.blob[..8], text].concat());
    }
    let mut lie = right.blob.clone();
    lie[..4].fill(0xff);
    blobs.push(lie);
    for blob in blobs {
        assert_eq!(ask(op::VALIDATE, &[], 1, &blob), 10001, "{blob:?}");
    }
    // Packets whose length lies, short ones, and old ones.
    let packet = hgfs::Packet {
        id: 1,
        op: hgfs::op::CREATE_SESSION,
        session: 0,
        payload: hgfs::create_session(hgfs::MOST_IN_PACKET),
    };
    let packet = packet.encode();
    for at in (0..packet.len()).step_by(4) {
        for lie in [0, 0xff, 0x7f] {
            let mut packet = packet.clone();
            packet[at..at + 4].fill(lie);
            assert_eq!(ask(op::HGFS, &bodies::hgfs(&packet), 1, &right.blob), 0);
        }
    }
    for end in 0..packet.len() {
        assert_eq!(
            ask(op::HGFS, &bodies::hgfs(&packet[..end]), 1, &right.blob),
            0
        );
    }
    let mut body = bodies::hgfs(&packet);
    body[..4].fill(0xff);
    assert_eq!(ask(op::HGFS, &body, 1, &right.blob), 10001);
    assert_eq!(run.reply("ping"), "OK ");
    run.stop();
}
