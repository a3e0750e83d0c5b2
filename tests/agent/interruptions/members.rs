//! A real etcd of three members behind three nodes' APIs: `tests/etcd/members`, asked over pipes.
//!
//! ```text
//!   agent ── EtcdStatus, EtcdMemberList, EtcdForfeitLeadership ──► Apid ── JSON, a line each ──► etcd × 3
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use apid::proto::machine::{EtcdMember, EtcdMemberStatus};
use apid::{EtcdBackend, Status};
use serde_json::{Value, json};

use crate::support::Folder;

/// How long the program may take for anything; its own limits are shorter.
const PATIENCE: Duration = Duration::from_secs(40);

/// The cluster; it ends with the last of its clones.
#[derive(Clone, Debug)]
pub(super) struct Members(Arc<Program>);

#[derive(Debug)]
struct Program {
    process: Mutex<Child>,
    desk: Arc<Mutex<Desk>>,
    /// Where the members have their data.
    _folder: Folder,
}

/// Requests on their way.
#[derive(Debug)]
struct Desk {
    input: Option<ChildStdin>,
    last: u64,
    waiting: BTreeMap<u64, Sender<Value>>,
}

impl Members {
    /// Starts them, and waits until they have a leader.
    pub(super) fn start() -> Self {
        let program = std::env::var_os("ETCD_MEMBERS").map(PathBuf::from);
        let program =
            program.expect("ETCD_MEMBERS names the program; run `make etcd`, which builds it");
        let folder = Folder::new();
        let mut process = Command::new(program)
            .arg(folder.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let (started, has_started) = channel();
        let desk = Arc::new(Mutex::new(Desk {
            input: process.stdin.take(),
            last: 0,
            waiting: BTreeMap::from([(0, started)]),
        }));
        thread::spawn({
            let desk = desk.clone();
            move || hand_out(output, &desk)
        });
        has_started.recv_timeout(PATIENCE).unwrap();
        Self(Arc::new(Program {
            process: Mutex::new(process),
            desk,
            _folder: folder,
        }))
    }

    /// The etcd of one node, counted from 0.
    pub(super) fn of_node(&self, number: usize) -> Arc<Member> {
        Arc::new(Member {
            members: self.clone(),
            number,
        })
    }

    /// Stops one as SIGTERM does, which hands over leadership.
    pub(super) fn stop(&self, number: usize) {
        self.ask("stop", number).unwrap();
    }

    /// Stops one as a power cut does.
    pub(super) fn kill(&self, number: usize) {
        self.ask("kill", number).unwrap();
    }

    /// Starts one that was stopped, and waits until all agree.
    pub(super) fn restart(&self, number: usize) {
        self.ask("start", number).unwrap();
    }

    /// Makes this one the leader.
    pub(super) fn lead(&self, number: usize) {
        self.ask("lead", number).unwrap();
    }

    /// Whether this one leads, as it sees it itself; and the term, of which each election has a new one.
    pub(super) fn leads(&self, number: usize) -> (bool, u64) {
        let answer = self.ask("status", number).unwrap();
        let status = &answer["status"];
        (
            status["leader"] == status["member"],
            status["term"].as_u64().unwrap(),
        )
    }

    /// Writes through this one, and says how long that took: there is quorum. An error otherwise.
    pub(super) fn write(&self, number: usize) -> Result<Duration, String> {
        let asked = Instant::now();
        self.ask("write", number).map(|_| asked.elapsed())
    }

    fn ask(&self, what: &str, number: usize) -> Result<Value, String> {
        let answer = self.send(what, number).recv_timeout(PATIENCE);
        let answer = answer.map_err(|gone| format!("{what} {number}: {gone}"))?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }

    fn send(&self, what: &str, number: usize) -> Receiver<Value> {
        let (sender, receiver) = channel();
        let mut desk = self.0.desk.lock().unwrap();
        desk.last += 1;
        let id = desk.last;
        desk.waiting.insert(id, sender);
        let request = json!({ "id": id, "do": what, "member": number });
        let input = desk.input.as_mut().unwrap();
        // When the program is gone, its output has ended, too.
        let _ = writeln!(input, "{request}");
        receiver
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // The program ends with its input.
        self.desk.lock().unwrap().input = None;
        let mut process = self.process.lock().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// Gives each answer to whoever waits for it; in the end nobody waits any longer.
fn hand_out(output: ChildStdout, desk: &Mutex<Desk>) {
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else { break };
        let answer: Value = serde_json::from_str(&line).unwrap();
        let waiting = desk
            .lock()
            .unwrap()
            .waiting
            .remove(&answer["id"].as_u64().unwrap());
        // Who gave up does not listen.
        let _ = waiting.map(|waiting| waiting.send(answer));
    }
    desk.lock().unwrap().waiting.clear();
}

/// The etcd of one node.
#[derive(Debug)]
pub(super) struct Member {
    members: Members,
    number: usize,
}

impl EtcdBackend for Member {
    fn status(&self) -> Result<EtcdMemberStatus, Status> {
        let answer = self.ask("status")?;
        let status = &answer["status"];
        let errors = status["errors"].as_array().into_iter().flatten();
        Ok(EtcdMemberStatus {
            member_id: number(&status["member"]),
            leader: number(&status["leader"]),
            raft_term: number(&status["term"]),
            is_learner: status["learner"] == true,
            errors: errors.map(text).collect(),
            ..EtcdMemberStatus::default()
        })
    }

    fn members(&self, _local: bool) -> Result<Vec<EtcdMember>, Status> {
        let answer = self.ask("members")?;
        let members = answer["members"].as_array().into_iter().flatten();
        Ok(members
            .map(|member| EtcdMember {
                id: number(&member["id"]),
                hostname: text(&member["name"]),
                peer_urls: vec![text(&member["peer"])],
                client_urls: vec![text(&member["client"])],
                is_learner: member["learner"] == true,
            })
            .collect())
    }

    fn forfeit(&self) -> Result<String, Status> {
        Ok(text(&self.ask("forfeit")?["moved"]))
    }
}

impl Member {
    fn ask(&self, what: &str) -> Result<Value, Status> {
        self.members.ask(what, self.number).map_err(Status::unknown)
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
