//! Guest operations as the host asks for them: the gate in front of them, and the capability.

use std::cell::RefCell;

use vmx::guest_operations::{Credential, GuestClient, Refused, bodies, op};

use super::host::{Host, machine_at, ms};
use crate::config::{GuestOperationsConfig, Rights};
use crate::facts::Stage;
use crate::vmware::services::plays::{TOKEN, USER, config_of};

/// The user of the judge, whose token is right.
fn on() -> GuestOperationsConfig {
    config_of(Rights::default())
}

/// A host with a node whose guest operations are on.
fn host_with(config: &GuestOperationsConfig) -> RefCell<Host> {
    let mut host = Host::with_node(&machine_at(Stage::Running, true));
    host.guest_operations(config);
    RefCell::new(host)
}

/// Asks, and lets time pass while no reply comes.
fn relay(host: &RefCell<Host>) -> impl Fn(Vec<u8>) -> Result<Vec<u8>, String> {
    |request| {
        let mut host = host.borrow_mut();
        host.replied = None;
        host.request(&request);
        if host.replied.is_none() {
            host.pass(ms(4000));
        }
        host.replied
            .take()
            .ok_or_else(|| "no reply within 4 s".to_owned())
    }
}

/// The error of an operation that `credential` asks for.
fn error(host: &RefCell<Host>, credential: &Credential, opcode: u32, body: &[u8]) -> i64 {
    let relay = relay(host);
    let client = GuestClient::with(&relay, credential.clone());
    let error = client.error(opcode, body).unwrap();
    if opcode == op::HGFS {
        return error;
    }
    let binary = client.ask_binary(opcode, body).unwrap();
    assert_eq!(binary.error, error, "{opcode}");
    error
}

#[test]
fn everything_is_off_until_it_is_switched_on_and_nobody_is_looked_at() {
    for config in [
        GuestOperationsConfig::default(),
        GuestOperationsConfig {
            enabled: false,
            ..on()
        },
    ] {
        let host = host_with(&config);
        for credential in [
            Credential::none(),
            Credential::named("ops", "x"),
            Credential {
                kind: 1,
                blob: vec![1],
            },
        ] {
            for (opcode, body) in bodies::samples() {
                assert_eq!(error(&host, &credential, opcode, &body), 20005, "{opcode}");
                assert_eq!(error(&host, &credential, opcode, &[]), 20005, "{opcode}");
            }
            for opcode in [0, 5, 184, 208, 9999] {
                assert_eq!(error(&host, &credential, opcode, &[]), 3025, "{opcode}");
            }
        }
    }
}

#[test]
fn when_they_are_on_body_and_credential_are_looked_at_in_this_order() {
    let host = host_with(&on());
    let wrong = Credential::named("ops", "guess");
    for (opcode, body) in bodies::samples() {
        let expected = |otherwise| {
            if matches!(opcode, 190 | 191) {
                6
            } else {
                otherwise
            }
        };
        assert_eq!(
            error(&host, &wrong, opcode, &body),
            expected(3050),
            "{opcode}"
        );
        assert_eq!(
            error(&host, &Credential::none(), opcode, &body),
            expected(6),
            "{opcode}"
        );
        let malformed = Credential {
            kind: 1,
            blob: vec![0; 9],
        };
        assert_eq!(
            error(&host, &malformed, opcode, &body),
            expected(10001),
            "{opcode}"
        );
        for kind in [2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 77] {
            let other = Credential {
                kind,
                ..wrong.clone()
            };
            assert_eq!(
                error(&host, &other, opcode, &body),
                expected(6),
                "{opcode}, type {kind}"
            );
        }
        if !body.is_empty() {
            let error = error(&host, &wrong, opcode, &body[..body.len() - 1]);
            let is_malformed = matches!(error, 10000 | 10001);
            assert!(
                is_malformed || matches!(opcode, 190 | 191),
                "{opcode}: {error}"
            );
        }
    }
    // Known to open-vm-tools, and not carried out here.
    for opcode in [4, 22, 70, 85, 117, 197, 207] {
        assert_eq!(error(&host, &wrong, opcode, &[]), 20005, "{opcode}");
    }
    assert_eq!(error(&host, &wrong, 9999, &[]), 3025);
    for opcode in [op::WAIT_FOR_TOOLS, op::CAPTURE_SCREEN, op::GET_TOOLS_STATE] {
        assert_eq!(
            error(&host, &Credential::none(), opcode, &[]),
            0,
            "{opcode}"
        );
    }
}

#[test]
fn a_wrong_password_is_answered_once_it_is_known_and_never_later_than_four_seconds() {
    let host = host_with(&on());
    let relay = relay(&host);
    let client = GuestClient::new(&relay, "ops", "guess");
    for _ in 0..50 {
        let started = host.borrow().now;
        let refused = client.validate();
        assert!(
            matches!(refused, Err(Refused::Vix(3050 | 5))),
            "{refused:?}"
        );
        assert!(host.borrow().now - started < ms(4000));
    }
}

#[test]
fn file_transfer_is_registered_while_guest_operations_are_on() {
    let registered = |host: &RefCell<Host>, request: &[u8]| {
        let heard = host.borrow_mut().ask(request);
        let of = |line: &String| line.contains("hgfs_server");
        let at = heard.iter().position(of);
        assert!(
            at.is_none_or(|at| at + 1 < heard.len()),
            "before the reply: {heard:?}"
        );
        heard.into_iter().find(of)
    };
    const ON: &str = r"> tools.capability.hgfs_server toolbox 1\x00";
    const OFF: &str = r"> tools.capability.hgfs_server toolbox 0\x00";
    let host = host_with(&GuestOperationsConfig::default());
    assert_eq!(registered(&host, b"Capabilities_Register"), None);
    let switched = |config: &GuestOperationsConfig| {
        let mut host = host.borrow_mut();
        host.take();
        host.guest_operations(config);
        host.take()
    };
    assert_eq!(switched(&on()), [ON]);
    assert_eq!(switched(&on()), [""; 0]);
    assert_eq!(switched(&GuestOperationsConfig::default()), [OFF]);
    assert_eq!(switched(&on()), [ON]);
    assert_eq!(
        registered(&host, b"reset"),
        None,
        "it is asked for after the reset"
    );
    assert_eq!(
        switched(&GuestOperationsConfig::default()),
        [""; 0],
        "nothing is registered"
    );
    assert_eq!(switched(&on()), [""; 0]);
    assert_eq!(
        registered(&host, b"Capabilities_Register").as_deref(),
        Some(ON)
    );
    assert_eq!(
        registered(&host, b"Capabilities_Register").as_deref(),
        Some(ON),
        "asked for again"
    );
    assert_eq!(switched(&GuestOperationsConfig::default()), [OFF]);
    assert_eq!(
        registered(&host, b"Capabilities_Register"),
        None,
        "off from the start"
    );
}

#[test]
fn whoever_has_the_right_secret_is_let_in_and_writes_nothing() {
    let host = host_with(&on());
    let right = Credential::named(USER, TOKEN);
    assert_eq!(error(&host, &right, op::VALIDATE, &[]), 0);
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
            assert_eq!(error(&host, &right, opcode, &body), 20005, "{opcode}");
        }
    }
    let obfuscated = Credential {
        kind: 4,
        ..right.clone()
    };
    assert_eq!(error(&host, &obfuscated, op::VALIDATE, &[]), 0);
    host.borrow_mut()
        .guest_operations(&GuestOperationsConfig::default());
    assert_eq!(error(&host, &right, op::VALIDATE, &[]), 20005);
    host.borrow_mut().guest_operations(&GuestOperationsConfig {
        users: Vec::new(),
        ..on()
    });
    assert_eq!(error(&host, &right, op::VALIDATE, &[]), 3050);
}

/// A request whose password is not checked yet.
fn waiting() -> Host {
    let host = host_with(&on());
    let mut host = host.into_inner();
    host.unchecked = Some(Vec::new());
    host.replied = None;
    let login = Credential::named("nobody", "guess");
    let message = vmx::codec::vix::Message::new(op::VALIDATE, &[]).with(login.kind, &login.blob);
    host.request(&message.encode("waits"));
    assert_eq!(host.replied, None);
    host
}

#[test]
fn a_request_that_waits_is_answered_as_soon_as_it_can_be() {
    let mut host = waiting();
    host.pass(ms(500));
    assert_eq!(host.replied, None);
    host.check_passwords();
    assert_eq!(host.replied.as_deref(), Some(&b"OK 3050 0 \0"[..]));
    host.replied = None;
    host.pass(ms(60_000));
    assert_eq!(host.replied, None, "once");
}

#[test]
fn a_request_that_waits_is_answered_after_two_and_a_half_seconds_and_never_again() {
    let mut host = waiting();
    host.pass(ms(2499));
    assert_eq!(host.replied, None);
    host.pass(ms(1));
    assert_eq!(host.replied.as_deref(), Some(&b"OK 5 0 \0"[..]));
    host.replied = None;
    host.check_passwords();
    host.pass(ms(10_000));
    assert_eq!(host.replied, None);
}

#[test]
fn a_request_that_waits_is_void_with_its_channel_and_with_the_next_one() {
    let ends: [fn(&mut Host); 3] = [Host::lose, Host::connect, |host| host.request(b"ping")];
    for end in ends {
        let mut host = waiting();
        end(&mut host);
        host.replied = None;
        host.check_passwords();
        host.pass(ms(10_000));
        assert_eq!(host.replied, None);
    }
}

#[test]
fn other_settings_are_looked_at_while_a_request_waits() {
    let mut host = waiting();
    host.guest_operations(&GuestOperationsConfig::default());
    assert_eq!(host.replied.as_deref(), Some(&b"OK 20005 0 \0"[..]));
}
