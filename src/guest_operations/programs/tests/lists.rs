use std::task::Poll;

use super::node::{Node, SECOND, trouble, user, without};
use crate::guest_operations::Failure;
use crate::guest_operations::programs::ShownProcess;
use crate::inquiry::{Answer, Inquiry, Process, Step, TroubleKind};

#[test]
fn programs_come_before_the_processes_of_the_node_and_talos_is_asked_once() {
    let mut node = Node::new();
    let (ops, dev) = (user("ops"), user("dev"));
    let blind = without("dev", |rights| rights.processes = false);
    let of_dev = node.try_start(&dev, "talosctl", "help").unwrap();
    let of_ops = node.start("talosctl", "help");
    assert_eq!(node.list(&ops, &[]), Poll::Pending);
    let (id, inquiry) = node.asked();
    assert_eq!(inquiry, Inquiry::Processes);
    assert_eq!(node.list(&ops, &[]), Poll::Pending);
    assert_eq!(node.steps(), [], "it is not asked again");
    let init = Process {
        pid: 1,
        command: "init".to_owned(),
        line: "/sbin/init".to_owned(),
    };
    node.answer(id, Answer::Processes(vec![init]));
    let pids = |list: Poll<Result<Vec<ShownProcess>, Failure>>| -> Vec<u64> {
        match list {
            Poll::Ready(Ok(list)) => list.iter().map(|process| process.pid).collect(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(pids(node.list(&ops, &[])), [of_ops, of_dev, 1]);
    assert_eq!(pids(node.list(&blind, &[])), [of_dev]);
    assert_eq!(pids(node.list(&ops, &[of_dev])), [of_dev]);
    assert_eq!(pids(node.list(&blind, &[of_ops, 1])), [0; 0]);
    node.steps();
    assert_eq!(
        node.list(&ops, &[1, of_ops]),
        Poll::Pending,
        "the answer is not kept"
    );
    let (id, _) = node.asked();
    node.answer(id, trouble(TroubleKind::Away));
    assert_eq!(node.list(&ops, &[1]), Poll::Ready(Err(Failure::NotNow)));
}

#[test]
fn a_listing_that_nobody_comes_for_is_given_up() {
    let mut node = Node::new();
    assert_eq!(node.list(&user("ops"), &[]), Poll::Pending);
    let (id, _) = node.asked();
    node.pass(4 * SECOND);
    assert_eq!(node.steps(), []);
    assert_eq!(node.programs.poll_timeout(), Some(node.now + SECOND));
    node.pass(SECOND);
    assert_eq!(node.steps(), [(id, Step::Forget)]);
    assert_eq!(node.programs.poll_timeout(), None);
}
