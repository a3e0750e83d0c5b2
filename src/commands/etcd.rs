//! etcd, for `talosquery` and `check`: what this node is in it, and whether it can do without this node.

use serde_json::{Value, json};

use crate::config::{EtcdConfig, QuorumGuard};
use crate::diagnosis::Outcome;
use crate::facts::{Etcd, EtcdLook, EtcdPart, Facts};
use crate::interruption::{self, Standing};
use crate::talos::{self, Client};

/// What helps where the quorum hangs on this node.
const REMEDY: &str =
    "bring the missing member of etcd back first (talosctl etcd members, talosctl etcd status)";

/// Asks Talos, on a control plane; that a worker is no member is known from its type.
pub(super) async fn look(client: &Client, facts: &mut Facts) {
    if facts.node.is_control_plane() {
        facts.replace_etcd(talos::look_at_etcd(client).await);
    }
}

/// What a Restart or Shut Down of this node would mean for etcd now; `None` where etcd is no matter: on a worker, and
/// where the machine has no type yet.
pub(super) fn check(facts: &Facts, config: &EtcdConfig) -> Option<Outcome> {
    if !facts.node.is_control_plane() {
        return None;
    }
    let look = EtcdLook {
        part: facts.etcd_part,
        members: facts.etcd,
    };
    let all = facts.etcd.as_ref().map(Etcd::to_string).unwrap_or_default();
    Some(match interruption::standing(look) {
        Standing::Unknown => Outcome::NotChecked("Talos does not say who is in etcd".to_owned()),
        Standing::AtStake(_) => {
            let then = consequence(config);
            Outcome::fails(format!("quorum hangs on this node: {all}; {then}"), REMEDY)
        }
        Standing::Safe => Outcome::Works(match look {
            EtcdLook {
                part: Some(EtcdPart::NotMember | EtcdPart::Learner),
                ..
            } => "quorum stays: this node does not vote".to_owned(),
            EtcdLook {
                members: Some(etcd),
                ..
            } if !etcd.can_spare_one() => {
                format!("no quorum without this node, as always: {all}")
            }
            _ => format!("quorum stays without this node: {all}"),
        }),
    })
}

/// What the agent makes of a Restart or Shut Down then.
fn consequence(EtcdConfig { guard, hold, .. }: &EtcdConfig) -> String {
    match guard {
        QuorumGuard::Off => "a restart or shutdown goes on (power.etcd.guard: off)".to_owned(),
        QuorumGuard::Warn => "a restart or shutdown goes on, with a warning".to_owned(),
        QuorumGuard::Hold => {
            let seconds = hold.as_secs();
            format!("a restart or shutdown waits for {seconds} s at most, then goes on")
        }
        QuorumGuard::Refuse => "a restart or shutdown is refused".to_owned(),
    }
}

/// For people: part and members.
pub(super) fn row(facts: &Facts) -> Option<String> {
    let part = facts.etcd_part.map(|part| part.name().to_owned());
    let members = facts.etcd.as_ref().map(Etcd::to_string);
    let both: Vec<_> = part.into_iter().chain(members).collect();
    (!both.is_empty()).then(|| both.join(", "))
}

/// For programs; `null` is what Talos has not said.
pub(super) fn json(facts: &Facts) -> Value {
    if facts.etcd_part.is_none() && facts.etcd.is_none() {
        return Value::Null;
    }
    json!({
        "part": facts.etcd_part.map(EtcdPart::name),
        "voters": facts.etcd.map(|etcd| etcd.voters),
        "live": facts.etcd.map(|etcd| etcd.live),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::facts::MachineType;

    fn control_plane(part: Option<EtcdPart>, members: Option<(usize, usize)>) -> Facts {
        let mut facts = Facts {
            etcd_part: part,
            etcd: members.map(|(live, voters)| Etcd { voters, live }),
            ..Facts::default()
        };
        facts.node.machine_type = Some(MachineType::ControlPlane);
        facts
    }

    fn config(guard: QuorumGuard) -> EtcdConfig {
        EtcdConfig {
            guard,
            hold: Duration::from_secs(30),
            ..EtcdConfig::default()
        }
    }

    /// The words of the check, and whether it is well; nothing where it could not look.
    fn said(facts: &Facts, guard: QuorumGuard) -> (String, Option<bool>) {
        match check(facts, &config(guard)).unwrap() {
            Outcome::Works(how) => (how, Some(true)),
            Outcome::Fails { problem, remedy } => {
                assert_eq!(remedy, REMEDY);
                (problem, Some(false))
            }
            Outcome::NotChecked(why) => (why, None),
        }
    }

    #[test]
    fn a_control_plane_says_whether_etcd_can_do_without_it() {
        let voter = Some(EtcdPart::Voter);
        for (facts, words, is_well) in [
            (
                control_plane(voter, Some((3, 3))),
                "quorum stays without this node: 3 of 3 members of etcd are there",
                Some(true),
            ),
            (
                control_plane(None, Some((4, 5))),
                "quorum stays without this node: 4 of 5 members of etcd are there",
                Some(true),
            ),
            (
                control_plane(voter, Some((2, 3))),
                "quorum hangs on this node: 2 of 3 members of etcd are there; a restart or shutdown goes on, with a warning",
                Some(false),
            ),
            (
                control_plane(Some(EtcdPart::Leader), Some((1, 1))),
                "no quorum without this node, as always: the only member of etcd is there",
                Some(true),
            ),
            (
                control_plane(voter, Some((2, 2))),
                "no quorum without this node, as always: 2 of 2 members of etcd are there",
                Some(true),
            ),
            // Nothing is held or refused for it: waiting would not help.
            (
                control_plane(voter, Some((1, 2))),
                "no quorum without this node, as always: 1 of 2 members of etcd are there",
                Some(true),
            ),
            (
                control_plane(Some(EtcdPart::Learner), Some((2, 3))),
                "quorum stays: this node does not vote",
                Some(true),
            ),
            (
                control_plane(voter, None),
                "Talos does not say who is in etcd",
                None,
            ),
        ] {
            assert_eq!(said(&facts, QuorumGuard::Warn), (words.to_owned(), is_well));
        }
    }

    #[test]
    fn what_the_agent_would_do_is_part_of_it() {
        let facts = control_plane(Some(EtcdPart::Voter), Some((2, 3)));
        for (guard, words) in [
            (QuorumGuard::Off, "goes on (power.etcd.guard: off)"),
            (QuorumGuard::Warn, "goes on, with a warning"),
            (QuorumGuard::Hold, "waits for 30 s at most, then goes on"),
            (QuorumGuard::Refuse, "is refused"),
        ] {
            let (said, _) = said(&facts, guard);
            assert!(said.ends_with(words), "{said}");
        }
    }

    #[test]
    fn a_worker_has_no_such_check() {
        let mut facts = control_plane(Some(EtcdPart::NotMember), None);
        for machine_type in [None, Some(MachineType::Worker)] {
            facts.node.machine_type = machine_type;
            assert_eq!(check(&facts, &config(QuorumGuard::Hold)), None);
        }
    }

    #[test]
    fn what_is_known_is_shown() {
        let facts = control_plane(Some(EtcdPart::Leader), Some((2, 3)));
        assert_eq!(
            row(&facts).unwrap(),
            "leader, 2 of 3 members of etcd are there"
        );
        let shown = json!({"part": "leader", "voters": 3, "live": 2});
        assert_eq!(json(&facts), shown);
        let facts = control_plane(Some(EtcdPart::NotMember), None);
        assert_eq!(row(&facts).unwrap(), "none");
        assert_eq!(json(&facts)["live"], Value::Null);
        assert_eq!(
            (row(&Facts::default()), json(&Facts::default())),
            (None, Value::Null)
        );
    }
}
