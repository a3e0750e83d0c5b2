//! Whether etcd can do without this node.

use crate::facts::{EtcdLook, EtcdPart};

/// What would become of the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It stays; or there is none to lose that waiting could save.
    Safe,
    /// It is lost, for this reason.
    AtStake(String),
    /// Talos does not say.
    Unknown,
}

/// What would become of the quorum without this node.
///
/// With one or two voters every node is needed at all times, and waiting does not change that. A learner or non-member
/// does not count.
pub fn standing(look: EtcdLook) -> Standing {
    if let Some(EtcdPart::NotMember | EtcdPart::Learner) = look.part {
        return Standing::Safe;
    }
    match look.members {
        None => Standing::Unknown,
        Some(etcd) if etcd.voters <= 2 || etcd.can_spare_one() => Standing::Safe,
        Some(etcd) => Standing::AtStake(etcd.shortage()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Etcd;

    fn look(part: Option<EtcdPart>, voters: usize, live: usize) -> EtcdLook {
        EtcdLook {
            part,
            members: Some(Etcd { voters, live }),
        }
    }

    #[test]
    fn a_majority_must_stay_without_this_node_where_there_are_three_voters_or_more() {
        for (voters, live, is_safe) in [
            (1, 1, true),
            (2, 2, true),
            (2, 1, true),
            (3, 3, true),
            (3, 2, false),
            (3, 1, false),
            (3, 0, false),
            (4, 4, true),
            (4, 3, false),
            (5, 4, true),
            (5, 3, false),
            (7, 5, true),
            (7, 4, false),
        ] {
            for part in [None, Some(EtcdPart::Voter), Some(EtcdPart::Leader)] {
                let standing = standing(look(part, voters, live));
                assert_eq!(standing == Standing::Safe, is_safe, "{live} of {voters}");
                if !is_safe {
                    let why = format!("only {live} of {voters} members of etcd are there");
                    assert!(matches!(standing, Standing::AtStake(text) if text.starts_with(&why)));
                }
            }
        }
    }

    #[test]
    fn who_does_not_vote_is_not_held() {
        for part in [EtcdPart::NotMember, EtcdPart::Learner] {
            assert_eq!(standing(look(Some(part), 3, 2)), Standing::Safe);
            let unsaid = EtcdLook {
                part: Some(part),
                members: None,
            };
            assert_eq!(standing(unsaid), Standing::Safe);
        }
        assert_eq!(standing(EtcdLook::default()), Standing::Unknown);
    }
}
