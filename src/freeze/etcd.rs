//! Whether etcd stands a freeze of this node.

use crate::config::EtcdGuard;
use crate::facts::Etcd;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Freeze.
    Freeze,
    /// Freeze, and warn, for this reason.
    Warn(String),
    /// Do not, for this reason.
    Refuse(String),
}

/// With a member missing, the others may need this one for their quorum; one that stands still is as good as missing.
/// With none missing, quorum survives, or hangs on each node always (one or two voters).
pub(super) fn verdict(etcd: Option<Etcd>, guard: EtcdGuard) -> Verdict {
    let reason = match etcd {
        None => "Talos does not say whether all members of etcd are there".to_owned(),
        Some(etcd) => {
            let is_missing = etcd.live < etcd.voters;
            if !is_missing || etcd.can_spare_one() {
                return Verdict::Freeze;
            }
            etcd.shortage()
        }
    };
    match guard {
        EtcdGuard::Refuse => Verdict::Refuse(reason),
        EtcdGuard::Warn => Verdict::Warn(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freeze_is_refused_where_a_member_is_missing_and_quorum_hangs_on_this_node() {
        for (voters, live, freezes) in [
            (1, 1, true),
            (2, 2, true),
            (2, 1, false),
            (3, 3, true),
            (3, 2, false),
            (3, 1, false),
            (4, 3, false),
            (5, 5, true),
            (5, 4, true),
            (5, 3, false),
            (7, 5, true),
            (7, 4, false),
            (3, 0, false),
        ] {
            let etcd = Some(Etcd { voters, live });
            let refused = verdict(etcd, EtcdGuard::Refuse);
            let warned = verdict(etcd, EtcdGuard::Warn);
            if freezes {
                assert_eq!((refused, warned), (Verdict::Freeze, Verdict::Freeze));
            } else {
                let reason = format!("only {live} of {voters} ");
                assert!(matches!(refused, Verdict::Refuse(why) if why.starts_with(&reason)));
                assert!(matches!(warned, Verdict::Warn(why) if why.starts_with(&reason)));
            }
        }
        assert!(matches!(
            verdict(None, EtcdGuard::Refuse),
            Verdict::Refuse(_)
        ));
        assert!(matches!(verdict(None, EtcdGuard::Warn), Verdict::Warn(_)));
    }
}
