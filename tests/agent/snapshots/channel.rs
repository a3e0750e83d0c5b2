//! What the host takes and what it loses while file systems are frozen.

use std::time::{Duration, Instant};

use vmx::{Protocol, Times};

use super::{Node, commits, events, until_event};
use crate::support::{SOON, pass};

/// Where the end is known, nothing stays frozen for longer.
const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn a_commit_that_the_host_refuses_leaves_nothing_frozen() {
    let Some(node) = Node::new() else { return };
    let run = node.run(&[]);
    let started = Instant::now();
    run.host(|host, _| {
        host.answer(
            "vmbackup.eventSet prov",
            *b"0 Guest is not privileged",
            Times::Count(1),
        );
    });
    assert_eq!(run.reply("vmbackup.start 1"), "OK ");
    until_event(&run, "req.done", started, SOON);
    node.moves(AT_ONCE);
    let reply = run.reply("vmbackup.snapshotDone");
    assert!(reply.starts_with("ERROR Quiescing failed: "), "{reply}");
    run.logs(&["does not take the events", "not privileged"], SOON);
    commits(&run);
    assert_eq!(run.reply("vmbackup.snapshotDone"), "OK ");
    run.stop();
}

/// As vmtoolsd 12.2.0 does.
#[test]
fn the_next_request_channel_carries_a_snapshot_on() {
    let Some(node) = Node::new() else { return };
    let run = node.run(&[]);
    let started = Instant::now();
    commits(&run);
    node.stands();
    run.host(|host, now| host.close_channels(Some(Protocol::Tclo), now));
    run.green();
    assert_eq!(run.reply("vmbackup.snapshotDone"), "OK ");
    node.moves(AT_ONCE);
    until_event(&run, "req.done", started, SOON);
    let sent = events(&run, started);
    let is_failure = |name: &str| matches!(name, "req.error" | "req.aborted");
    assert!(!sent.iter().any(|sent| is_failure(&sent.name)), "{sent:#?}");
    run.stop();
}

/// vmtoolsd 12.2.0 leaves all frozen for ever.
#[test]
fn an_abort_after_one_second_and_more_leaves_nothing_frozen() {
    let Some(node) = Node::new() else { return };
    let run = node.run(&[]);
    for wait in [1000, 1600].map(Duration::from_millis) {
        let started = Instant::now();
        commits(&run);
        pass(&run, wait);
        assert_eq!(run.reply("vmbackup.abort"), "OK ");
        until_event(&run, "req.done", started, SOON);
        node.moves(AT_ONCE);
        pass(&run, AT_ONCE);
        let sent = events(&run, started);
        assert_eq!(sent.last().unwrap().name, "req.done", "{sent:#?}");
    }
    run.stop();
}
