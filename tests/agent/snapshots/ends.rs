//! What goes wrong while file systems are frozen: each is written to again, and the host is never left to believe that
//! it has a good snapshot.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use apid::Method;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Node, commits, events, freezer_of, is_ready, until_event};
use crate::support::{Run, SOON, pass};

/// Where the end is known, nothing stays frozen for longer.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A node whose two volumes are frozen.
fn frozen(node: &Node, lines: &[&str]) -> Run {
    let run = node.run(lines);
    commits(&run);
    node.stands();
    run
}

pub(crate) fn kills(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// snapshotDone is an error, so that the host gives up its snapshot.
fn is_no_snapshot(run: &Run) {
    let reply = run.reply("vmbackup.snapshotDone");
    assert!(reply.starts_with("ERROR "), "{reply}");
}

/// Until there is no process of this number.
fn goes(pid: i32) {
    let asked = Instant::now();
    while fs::exists(format!("/proc/{pid}")).unwrap() {
        assert!(asked.elapsed() < SOON, "{pid} stays");
        std::thread::yield_now();
    }
}

#[test]
fn a_killed_agent_is_thawed_after_at_once() {
    let Some(node) = Node::new() else { return };
    let run = frozen(&node, &[]);
    let freezer = freezer_of(run.pid()).unwrap();
    run.signal(Signal::SIGKILL);
    node.moves(AT_ONCE);
    goes(freezer);
}

#[test]
fn what_a_killed_agent_and_freezer_left_frozen_is_thawed_by_the_next_start() {
    let Some(node) = Node::new() else { return };
    let run = frozen(&node, &[]);
    kills(freezer_of(run.pid()).unwrap());
    run.signal(Signal::SIGKILL);
    run.wait_exit(SOON).unwrap();
    for disk in node.disks() {
        let moves = disk.wait_moves(Duration::from_millis(300));
        assert!(!moves, "{} has been thawed", disk.device());
    }
    let next = Run::start(node.agent(&[]));
    node.moves(SOON);
    next.logs(&["WARN", "frozen"], SOON);
    is_ready(&next);
    commits(&next);
    assert_eq!(next.reply("vmbackup.snapshotDone"), "OK ");
    node.moves(SOON);
    next.stop();
}

#[test]
fn a_killed_freezer_ends_the_agent_and_its_next_start_thaws() {
    let Some(node) = Node::new() else { return };
    let run = frozen(&node, &[]);
    kills(freezer_of(run.pid()).unwrap());
    assert_eq!(run.wait_exit(SOON).unwrap().code(), Some(1));
    let next = Run::start(node.agent(&[]));
    node.moves(SOON);
    next.stop();
}

/// A control group of both, which may use next to no memory from now on; none where there are no such groups.
fn starve(pids: [i32; 2]) -> Option<Group> {
    let name = format!("talos-vmtoolsd-{}", pids[0]);
    [
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ]
    .into_iter()
    .find_map(|(root, limit)| {
        let group = Group(Path::new(root).join(&name));
        fs::metadata(Path::new(root).join("cgroup.procs")).ok()?;
        fs::create_dir(&group.0).ok()?;
        fs::write(group.0.join(limit), "65536").ok()?;
        let mut pids = pids.iter().map(ToString::to_string);
        pids.all(|pid| fs::write(group.0.join("cgroup.procs"), pid).is_ok())
            .then_some(group)
    })
}

struct Group(PathBuf);

impl Drop for Group {
    /// It may still have a process that ends.
    fn drop(&mut self) {
        let asked = Instant::now();
        while fs::remove_dir(&self.0).is_err() && asked.elapsed() < SOON {
            std::thread::yield_now();
        }
    }
}

/// The killer takes the one that uses more, and the freezer has the better score where it may have one.
#[test]
fn an_agent_out_of_memory_is_killed_and_the_freezer_thaws() {
    let Some(node) = Node::new() else { return };
    let run = frozen(&node, &[]);
    let freezer = freezer_of(run.pid()).unwrap();
    let Some(_group) = starve([run.pid(), freezer]) else {
        println!(
            "*** no control groups for memory here: the one with the worse score is killed ***"
        );
        let score = |pid: i32| -> u32 {
            let text = fs::read_to_string(format!("/proc/{pid}/oom_score")).unwrap();
            text.trim().parse().unwrap()
        };
        assert!(score(run.pid()) >= score(freezer));
        kills(run.pid());
        node.moves(AT_ONCE);
        return;
    };
    // What a reload reads is more than the agent has ever had.
    node.config(&[&format!("exclude: [{}]", "none, ".repeat(100_000))]);
    run.signal(Signal::SIGHUP);
    let status = run.wait_exit(SOON).unwrap();
    assert_eq!(status, vmx::ExitStatus::Signal(9));
    node.moves(AT_ONCE);
    goes(freezer);
}

#[test]
fn while_the_agent_is_stopped_the_freezer_keeps_the_limit() {
    let Some(node) = Node::new() else { return };
    let before = Instant::now();
    let run = frozen(&node, &["max_freeze: 2s"]);
    run.signal(Signal::SIGSTOP);
    node.moves(Duration::from_secs(3));
    for disk in node.disks() {
        let stood = disk.longest_stand(before).lasted();
        let about = Duration::from_millis(1500)..Duration::from_millis(2500);
        assert!(about.contains(&stood), "{stood:?}");
    }
    kills(run.pid());
}

#[test]
fn an_agent_that_stood_still_for_longer_than_the_limit_does_not_call_it_a_snapshot() {
    let Some(node) = Node::new() else { return };
    let run = frozen(&node, &["max_freeze: 1s"]);
    let since = Instant::now();
    // The guest stands at its next call to the host for as long as the host is held.
    run.host(|_, _| node.moves(SOON));
    is_no_snapshot(&run);
    until_event(&run, "req.done", since, SOON);
    run.stop();
}

#[test]
fn a_snapshot_that_takes_longer_than_the_limit_fails() {
    let Some(node) = Node::new() else { return };
    let before = Instant::now();
    let run = frozen(&node, &["max_freeze: 1s"]);
    until_event(&run, "req.done", before, Duration::from_secs(3));
    node.moves(SOON);
    let sent = events(&run, before);
    let failed = sent.iter().find(|sent| sent.name == "req.error");
    assert_eq!(failed.unwrap().code, "3", "{sent:#?}");
    is_no_snapshot(&run);
    for disk in node.disks() {
        let stood = disk.longest_stand(before).lasted();
        assert!(stood < Duration::from_millis(1500), "{stood:?}");
    }
    run.stop();
}

#[test]
fn sigterm_thaws_before_the_process_ends() {
    let Some(node) = Node::new() else { return };
    let run = frozen(&node, &[]);
    let freezer = freezer_of(run.pid()).unwrap();
    run.stop();
    let ended = Instant::now();
    node.moves(AT_ONCE);
    for disk in node.disks() {
        let thawed = disk.longest_stand(ended - Duration::from_secs(2)).to;
        assert!(
            thawed <= ended + Duration::from_millis(50),
            "{}",
            disk.device()
        );
    }
    goes(freezer);
}

#[test]
fn a_shutdown_and_a_reboot_thaw_first_and_reach_talos_once() {
    for (request, method) in [("OS_Halt", Method::Shutdown), ("OS_Reboot", Method::Reboot)] {
        let Some(node) = Node::new() else { return };
        let before = Instant::now();
        let run = frozen(&node, &[]);
        let asked = Instant::now();
        assert_eq!(run.reply(request), "OK ");
        let called = node.talos.wait_calls(method, 1, SOON).unwrap()[0].when;
        node.moves(AT_ONCE);
        for disk in node.disks() {
            let thawed = disk.longest_stand(before).to;
            // The writer may see it a moment after the freezer has.
            assert!(thawed <= called + Duration::from_millis(50), "{request}");
        }
        until_event(&run, "req.done", asked, SOON);
        is_no_snapshot(&run);
        assert_eq!(node.talos.calls_of(method).len(), 1);
        run.stop();
    }
}

#[test]
fn a_host_that_is_gone_is_noticed_and_thawed_after() {
    let Some(node) = Node::new() else { return };
    let run = frozen(&node, &[]);
    run.host(|host, now| host.dead_port(true, now));
    // The next event is due after 2.5 s, and is not taken.
    node.moves(Duration::from_millis(3500));
}

#[test]
fn a_host_that_moves_while_file_systems_are_frozen_gets_no_snapshot_and_no_stand() {
    let Some(node) = Node::new() else { return };
    let before = Instant::now();
    let run = frozen(&node, &["max_freeze: 3s"]);
    run.host(|host, now| host.resume_elsewhere(now));
    node.moves(Duration::from_secs(4));
    for disk in node.disks() {
        let stood = disk.longest_stand(before).lasted();
        assert!(stood < Duration::from_millis(3500), "{stood:?}");
    }
    run.green();
    pass(&run, Duration::from_millis(100));
    is_no_snapshot(&run);
    run.stop();
}
