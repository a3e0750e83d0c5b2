//! The kernel's log and those of services and containers, and who follows them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tonic::Status;

use crate::proto::common::Data;
use crate::subscriber::Subscriber;

/// The key of the kernel's log; no service is called so.
pub(crate) const KERNEL: &str = "";

/// See the module.
#[derive(Debug)]
pub(crate) struct Logs(Mutex<State>);

#[derive(Debug)]
struct State {
    lines: BTreeMap<String, Vec<String>>,
    /// Those that never come to an end, with what they say all the time.
    endless: BTreeMap<String, String>,
    followers: Vec<(String, Subscriber<Data>)>,
    held: bool,
}

/// What a log has, and what comes.
pub(crate) struct Reading {
    pub(crate) lines: Vec<String>,
    /// What it says all the time afterwards.
    pub(crate) endless: Option<String>,
    pub(crate) follow: Option<UnboundedReceiver<Result<Data, Status>>>,
}

impl Default for Logs {
    fn default() -> Self {
        Self(Mutex::new(State {
            lines: first(),
            endless: BTreeMap::new(),
            followers: Vec::new(),
            held: false,
        }))
    }
}

/// What the logs of a node that runs say.
fn first() -> BTreeMap<String, Vec<String>> {
    let service = |name: &str, lines: usize| {
        let line =
            |number: usize| format!("{name}: 2026/02/03 04:05:{:02} line {number}", number % 60);
        (name.to_owned(), (1..=lines).map(line).collect())
    };
    let kernel = (0..400).map(|number| {
        format!("kern:    info: [2026-02-03T04:05:06.{number:09}Z]: device {number} is there")
    });
    let coredns = "kube-system/coredns-6d7:coredns:1a2b";
    let mut logs = BTreeMap::from([
        service("apid", 120),
        service("containerd", 900),
        service("cri", 40),
        service("etcd", 2000),
        service("kubelet", 300),
        service("machined", 500),
        service("udevd", 3),
    ]);
    logs.insert(KERNEL.to_owned(), kernel.collect());
    let lines = (1..=10).map(|number| format!("2026-02-03T04:05:06Z stdout F [INFO] {number}"));
    logs.insert(format!("k8s.io/{coredns}"), lines.collect());
    // A service that has said nothing yet.
    logs.insert("trustd".to_owned(), Vec::new());
    logs
}

impl Logs {
    /// Adds a line; those who follow see it.
    pub(crate) fn add(&self, log: &str, line: &str) {
        let mut state = self.lock();
        let lines = state.lines.entry(log.to_owned()).or_default();
        lines.push(line.to_owned());
        state.followers.retain(|(_, follower)| follower.is_open());
        for (of, follower) in &mut state.followers {
            if of == log {
                follower.send(data(line));
            }
        }
    }

    /// Makes a log repeat this line without end to each reader.
    pub(crate) fn flood(&self, log: &str, line: &str) {
        let mut state = self.lock();
        state.endless.insert(log.to_owned(), line.to_owned());
        state.lines.entry(log.to_owned()).or_default();
    }

    /// Replaces what a log has said.
    pub(crate) fn set(&self, log: &str, lines: Vec<String>) {
        self.lock().lines.insert(log.to_owned(), lines);
    }

    /// Reads a log: its last lines, or all of them.
    pub(crate) fn read(&self, log: &str, tail: Option<usize>, follow: bool) -> Option<Reading> {
        let mut state = self.lock();
        let mut lines = state.lines.get(log)?.clone();
        if let Some(tail) = tail {
            lines = lines.split_off(lines.len().saturating_sub(tail));
        }
        let follow = follow.then(|| {
            let (sender, receiver) = unbounded_channel();
            let mut follower = Subscriber::new(sender);
            if state.held {
                follower.hold();
            }
            state.followers.push((log.to_owned(), follower));
            receiver
        });
        Some(Reading {
            lines,
            endless: state.endless.get(log).cloned(),
            follow,
        })
    }

    /// How many follow a log.
    pub(crate) fn follower_count(&self) -> usize {
        let mut state = self.lock();
        state.followers.retain(|(_, follower)| follower.is_open());
        state.followers.len()
    }

    /// Holds all lines back, or lets them go.
    pub(crate) fn hold(&self, held: bool) {
        let mut state = self.lock();
        state.held = held;
        for (_, follower) in &mut state.followers {
            if held {
                follower.hold();
            } else {
                follower.release();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line as a message.
pub(crate) fn data(line: &str) -> Data {
    Data {
        metadata: None,
        bytes: format!("{line}\n").into_bytes(),
    }
}
