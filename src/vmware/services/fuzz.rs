//! Entries for fuzzing, see [`crate::fuzz`].

use std::time::Duration;

use super::judge::{Event, Judge};
use super::plays;
use crate::fuzz::{Choices, facts};
use crate::power::PowerOperation;

/// One TCLO request to a host that accepts everything: one reply, and Talos is asked for nothing that the
/// request did not name.
pub fn fuzz_tclo_request(bytes: &[u8]) {
    let mut judge = Judge::new();
    judge.play(Event::Request(bytes.to_vec()));
    judge.finish_reply();
    if let Some(operation) = judge.under_way() {
        let name: &[u8] = match operation {
            PowerOperation::Shutdown => b"OS_Halt",
            PowerOperation::Reboot => b"OS_Reboot",
        };
        assert!(bytes.trim_ascii_start().starts_with(name));
    }
}

/// Any order of connections, requests, outcomes, facts and time; see [`super::judge`].
pub fn fuzz_services(bytes: &[u8]) {
    const REQUESTS: [&[u8]; 18] = [
        b"reset",
        b"ping",
        b"Capabilities_Register",
        b"Set_Option broadcastIP 1",
        b"Set_Option broadcastIP 0",
        b"Set_Option synctime 0",
        b"OS_Halt",
        b"OS_Reboot",
        b"OS_PowerOn",
        b"OS_Resume",
        b"OS_Suspend",
        b"Time_Synchronize 0",
        b"Vix_1_Relayed_Command \"x\"\0",
        b"Unknown",
        b"",
        b"\0",
        b"Set_Option enableAppInfo 0",
        b"Set_Option enableAppInfo 1",
    ];
    let mut choices = Choices::new(bytes);
    let mut judge = Judge::new();
    while !choices.is_empty() {
        // Few of the bytes, so that the others mean what they meant before these events came.
        let choice = choices.byte();
        judge.play(match if choice < 208 { choice % 20 } else { choice } {
            0 => Event::Connect,
            1 | 2 => {
                let request = REQUESTS.get(usize::from(choices.below(18)));
                Event::Request(request.copied().unwrap_or_default().to_vec())
            }
            3 | 4 => Event::Outcome(choices.below(8)),
            5 => Event::Facts(Box::new(facts(&mut choices))),
            6 => Event::Power(choices.below(4)),
            8 => Event::Measured(choices.below(3)),
            9 => Event::Lost,
            10 => Event::GuestOperations(choices.below(3)),
            11 => Event::Request(plays::request(&mut choices)),
            12 => Event::Answer(choices.byte(), choices.below(12)),
            13 => Event::Checked,
            14 => Event::Quiesce(choices.below(4)),
            15 | 16 => Event::Request(plays::backup_request(&mut choices)),
            17 | 18 => Event::Freezer(choices.below(8)),
            19 => Event::Etcd(choices.below(5)),
            208..216 => Event::Ha(choices.below(3)),
            216..224 => Event::Life(choices.below(3)),
            224..232 => Event::Phase(choices.below(4)),
            232..240 => Event::Inventory(choices.below(4)),
            240..248 => Event::Vmware(choices.below(3)),
            248.. => Event::HandedOver(choices.below(4)),
            _ => {
                let millis = match choices.below(4) {
                    0 => u64::from(choices.word() % 100_000),
                    _ => choices.byte().into(),
                };
                Event::Pass(Duration::from_millis(millis))
            }
        });
    }
    judge.close();
}
