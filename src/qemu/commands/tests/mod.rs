//! The engine on virtual time: bytes and facts go in, replies and orders come out.

mod answers;
mod freeze;
mod measured;
mod nodes;
mod order;
mod shutdown;

use std::time::Duration;

use serde_json::{Value, json};

use super::{Agent, PATIENCE};
use crate::facts::{Facts, HostName, Machine, TalosVersion, of_layout};
use crate::front_end::{Measured, NoWork, Order, Subject};
use crate::power::Obstacle;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The plainest node.
fn node() -> Facts {
    let layout = ::layouts::Layout::named("single-nic");
    known(of_layout::facts(&layout.moments[0].node))
}

/// A node whose Talos has answered.
fn known(facts: Facts) -> Facts {
    Facts {
        talos: Some(TalosVersion {
            tag: "v1.13.0".into(),
            arch: "amd64".into(),
            platform: "nocloud".into(),
        }),
        ..facts
    }
}

/// An agent with a client that sends lines.
struct Bench {
    agent: Agent,
    now: Duration,
}

impl Bench {
    /// An agent that knows nothing.
    fn empty() -> Self {
        let machine = Machine {
            kernel_release: "6.18.1-talos".into(),
            kernel_version: "#1 SMP Talos".into(),
            machine: "x86_64".into(),
        };
        Self {
            agent: Agent::new(machine, Duration::default),
            now: seconds(1000),
        }
    }

    /// An agent that knows this node, and that Talos would shut down; its first measurement is done.
    fn of(facts: &Facts) -> Self {
        let mut bench = Self::empty();
        bench.agent.handle_power_way(Ok(()), bench.now);
        bench.agent.handle_facts(facts, bench.now);
        assert_eq!(bench.orders(), [Order::Measure(Subject::Space)]);
        bench.measured(Subject::Space, Measured::Done);
        bench
    }

    fn send(&mut self, text: &str) {
        self.agent.handle_bytes(text.as_bytes(), self.now);
    }

    fn facts(&mut self, facts: &Facts) {
        self.agent.handle_facts(facts, self.now);
    }

    fn measured(&mut self, subject: Subject, measured: Measured) {
        self.agent.handle_measured(subject, measured, self.now);
    }

    fn orders(&mut self) -> Vec<Order<NoWork>> {
        std::iter::from_fn(|| self.agent.poll_order()).collect()
    }

    /// All replies that are there.
    fn replies(&mut self) -> Vec<Value> {
        let replies = std::iter::from_fn(|| self.agent.poll_reply());
        let parse = |line: Vec<u8>| {
            assert_eq!(line.last(), Some(&b'\n'));
            serde_json::from_slice(line.strip_prefix(&[0xFF]).unwrap_or(&line)).unwrap()
        };
        replies.map(parse).collect()
    }

    /// Time passes until there is a reply, or for so long.
    fn pass(&mut self, most: Duration) -> Vec<Value> {
        let end = self.now + most;
        loop {
            let replies = self.replies();
            let next = self.agent.poll_timeout().unwrap_or(Duration::MAX);
            if !replies.is_empty() || next > end {
                self.now = end.max(self.now);
                return replies;
            }
            self.now = self.now.max(next);
            self.agent.handle_timeout(self.now);
        }
    }

    /// The one reply to a request that is answered at once.
    fn ask(&mut self, request: &str) -> Value {
        self.send(request);
        let replies = self.replies();
        let [reply] = &replies[..] else {
            panic!("{request}: {replies:?}");
        };
        reply.clone()
    }

    /// The value that a command without arguments returns at once.
    fn get(&mut self, command: &str) -> Value {
        let reply = self.ask(&json!({"execute": command}).to_string());
        assert!(reply.get("return").is_some(), "{command}: {reply}");
        reply["return"].clone()
    }
}

/// An error of this class.
fn error(class: &str, text: &str) -> Value {
    json!({"error": {"class": class, "desc": text}})
}

fn generic(text: &str) -> Value {
    error("GenericError", text)
}

/// A node before which something is not known is not served.
#[test]
fn the_port_stays_closed_until_version_links_addresses_and_way_are_known() {
    let whole = node();
    let without: [fn(&mut Facts); 3] = [
        |facts| facts.talos = None,
        |facts| facts.links = None,
        |facts| facts.addresses = None,
    ];
    for take in without {
        let mut bench = Bench::empty();
        bench.agent.handle_power_way(Ok(()), bench.now);
        let mut facts = whole.clone();
        take(&mut facts);
        bench.facts(&facts);
        bench.pass(seconds(3600));
        assert!(!bench.agent.is_ready());
        bench.facts(&whole);
        assert!(bench.agent.is_ready());
    }
    let mut bench = Bench::empty();
    bench.facts(&whole);
    assert!(!bench.agent.is_ready());
    let obstacle = Obstacle::Refused("why not".into());
    bench.agent.handle_power_way(Err(obstacle), bench.now);
    assert!(bench.agent.is_ready());
}

#[test]
fn the_host_name_is_waited_for_two_seconds_and_no_longer() {
    let facts = Facts {
        host_name: None,
        ..node()
    };
    let mut bench = Bench::empty();
    bench.agent.handle_power_way(Ok(()), bench.now);
    bench.facts(&facts);
    assert_eq!(bench.agent.poll_timeout(), Some(bench.now + seconds(2)));
    bench.pass(Duration::from_millis(1999));
    assert!(!bench.agent.is_ready());
    bench.pass(Duration::from_millis(1));
    assert!(bench.agent.is_ready());
    let reply = bench.ask(r#"{"execute": "guest-get-host-name"}"#);
    assert_eq!(reply, generic("the host name is not known yet"));
    bench.facts(&Facts {
        host_name: Some(HostName {
            host: "cp1".into(),
            domain: "example.com".into(),
        }),
        ..facts
    });
    assert_eq!(
        bench.get("guest-get-host-name"),
        json!({"host-name": "cp1"})
    );
}
