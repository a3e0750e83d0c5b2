//! `check` of quiesced snapshots: start the freezer that the agent would have, and see whether it reaches the file
//! systems. Nothing is frozen.

use std::time::Duration;

use crate::config::QuiesceConfig;
use crate::diagnosis::Outcome;
use crate::facts::Facts;
use crate::freeze::look::Look;
use crate::freezer::{Freezer, Link};
use crate::log::Chain;
use crate::talos::{self, Client};

/// How long the freezer may take; it opens a directory of each file system.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long Talos may take to say what it knows of etcd; in a freeze it has less.
const ETCD_DEADLINE: Duration = Duration::from_secs(2);

/// Whether a freeze would work here. `facts` are those of the node that `client` reaches.
pub(super) async fn check(
    config: &QuiesceConfig,
    facts: &Facts,
    client: Option<&Client>,
) -> Outcome {
    let mut look = Look::new(config, facts);
    if !config.needs_freezer() {
        return look.check();
    }
    let (freezer, mut link) = match Freezer::start() {
        Ok(started) => started,
        Err(error) => {
            return Outcome::fails(
                format!("the freezer does not start: {}", Chain(&error)),
                "let the agent start processes, or set quiesce.mode (--quiesce) to off",
            );
        }
    };
    let _in_time = tokio::time::timeout(DEADLINE, ask(&mut look, &mut link)).await;
    freezer.finish();
    if let Some(client) = client.filter(|_| look.needs_etcd()) {
        let etcd = tokio::time::timeout(ETCD_DEADLINE, talos::look_at_etcd(client)).await;
        look.handle_etcd(etcd.ok().and_then(|look| look.members));
    }
    look.check()
}

/// Asks the freezer all there is to ask.
async fn ask(look: &mut Look, link: &mut Link) {
    loop {
        while let Some(command) = look.poll() {
            link.send(&command);
        }
        if !look.awaits_report() {
            return;
        }
        let report = link.next().await;
        look.handle_report(&report);
    }
}
