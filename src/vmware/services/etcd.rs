//! When Talos is asked for what the guest variables say of etcd.
//!
//! ```text
//! a control plane comes or goes, and at the start ──► FollowEtcd(All)
//! every 5 minutes ─────────────────────────────────► FollowEtcd(Part), then FollowEtcd(Members), in turn
//! ```
//! No resource says who leads and who votes. Which control planes serve is watched, and most changes of the others come
//! with a change of that. What does not is found by one small call every five minutes. A worker is never asked, and no
//! node is where guest variables are off.

use std::time::Duration;

use super::{Context, Service};
use crate::facts::EtcdQuestion;
use crate::front_end::Order;

/// How often a call is made although nothing has changed.
const INTERVAL: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Etcd {
    /// What is asked for next, and when; `None` while nothing is.
    next: Option<(Duration, EtcdQuestion)>,
    /// How many control planes served when all was asked for last.
    live: Option<usize>,
}

impl Service for Etcd {
    fn variables_wanted(&mut self, cx: &mut Context<'_>) {
        self.facts_changed(cx);
    }

    fn facts_changed(&mut self, cx: &mut Context<'_>) {
        if !cx.variables || !cx.facts.node.is_control_plane() {
            self.next = None;
        } else if self.next.is_none() || self.live != cx.facts.api_servers {
            self.live = cx.facts.api_servers;
            self.next = Some((cx.now, EtcdQuestion::Both));
        }
    }

    fn due(&mut self, cx: &mut Context<'_>) {
        if !cx.variables {
            self.next = None;
        }
        if let Some((_, what)) = self.next.take_if(|(at, _)| *at <= cx.now) {
            cx.outbox.order(Order::FollowEtcd(what));
            let then = match what {
                EtcdQuestion::Part => EtcdQuestion::Members,
                EtcdQuestion::Members | EtcdQuestion::Both => EtcdQuestion::Part,
            };
            self.next = Some((cx.now.saturating_add(INTERVAL), then));
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.next.map(|(at, _)| at)
    }
}
