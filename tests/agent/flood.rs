//! A host that always has one more request: what it waits for besides comes all the same.

use apid::Method;
use vmx::{EventKind, VsockPolicy};

use crate::support::{Run, SOON, Talos};

/// More than the host asks in the time that Talos takes for an answer.
const REQUESTS: usize = 60_000;

/// How many requests had their reply when the host was first sent `prefix`.
fn answered_before(run: &Run, prefix: &str) -> usize {
    let log = run.rpci_log();
    let mut answered = 0;
    for event in run.events() {
        match event.kind {
            EventKind::Reply { .. } => answered += 1,
            EventKind::Rpci { index, .. } if log[index].is(prefix) => return answered,
            _ => {}
        }
    }
    panic!("{prefix} was not sent");
}

#[test]
fn a_status_and_a_new_name_do_not_wait_for_the_end_of_a_flood_of_requests() {
    for policy in [
        VsockPolicy::refused(nix::libc::EPERM),
        VsockPolicy::served(),
    ] {
        let talos = Talos::new();
        let run = Run::start(talos.agent().vsock(policy.clone()));
        run.informed();
        run.ask("OS_Reboot");
        let last = run.host(|host, now| {
            for _ in 1..REQUESTS {
                host.ask("ping", now);
            }
            host.ask("ping", now)
        });
        talos.set_hostname("in-the-flood", "");
        talos.wait_calls(Method::Reboot, 1, SOON).unwrap();
        run.until("the end of the flood", 6 * SOON, |host, _| {
            host.exchange_of(last).and_then(|exchange| exchange.replied)
        });
        for prefix in [
            "tools.os.statechange.status 1 2",
            "SetGuestInfo  1 in-the-flood",
        ] {
            run.until_sent(prefix, 1, SOON);
            let answered = answered_before(&run, prefix);
            assert!(
                answered < REQUESTS / 2,
                "{policy:?}: {prefix} after {answered}"
            );
        }
    }
}
