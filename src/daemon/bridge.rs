//! The bridge to Talos as the daemon uses it: facts come in, power operations go out, each in its own task.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::core::{News, Node};
use super::file_watch::FileWatch;
use crate::config::{TalosConfig, talosconfig::BadEndpoint};
use crate::diagnosis::{self, Check};
use crate::facts::{EtcdLook, EtcdQuestion, Facts, KernelPart, Life, Reading, replace};
use crate::freeze::{Command, Report};
use crate::freezer::Link;
use crate::front_end::{Measured, Subject};
use crate::inquiry::{Answer, InquiryId, Step, Trouble, TroubleKind};
use crate::interruption::{Call, CallId};
use crate::power::{HandOver, Heard, Obstacle, PowerOutcome};
use crate::proc::{self, DeviceNames, Kernel};
use crate::talos::{self, Client, Inquiries};

/// UNAVAILABLE of gRPC.
const UNAVAILABLE: u32 = 14;

/// What is followed of etcd, each by a call of its own.
const ETCD_QUESTIONS: [EtcdQuestion; 2] = [EtcdQuestion::Part, EtcdQuestion::Members];

/// Talos, seen from the event loop.
#[derive(Debug)]
pub struct Bridge {
    /// Or why there is none.
    client: Result<Client, String>,
    observer: Option<JoinHandle<()>>,
    facts: watch::Receiver<Facts>,
    checks: watch::Receiver<Vec<Check>>,
    /// Of the checks where there is no client.
    _checks_sender: watch::Sender<Vec<Check>>,
    facts_sender: watch::Sender<Facts>,
    outcomes: UnboundedReceiver<News>,
    outcome_sender: UnboundedSender<News>,
    device_names: DeviceNames,
    /// Of the talosconfig, where one is used.
    talosconfig: Option<FileWatch>,
    /// Calls for power operations that are followed.
    calls: Vec<(CallId, JoinHandle<()>)>,
    kernel: Kernel,
    /// None while quiescing is off.
    freezer: Option<Link>,
    inquiries: Inquiries,
    /// What is asked of etcd for the facts, as in [`ETCD_QUESTIONS`], each until Talos has said it.
    following: [Option<JoinHandle<()>>; 2],
    /// The last look at etcd.
    look: Option<JoinHandle<()>>,
}

impl Bridge {
    /// Starts to observe Talos.
    ///
    /// # Errors
    /// When the configured node is no endpoint.
    pub fn start(config: &TalosConfig) -> Result<Self, BadEndpoint> {
        let mut bridge = Self::with_client(Client::new(config, proc::own_counters)?);
        bridge.talosconfig = watch_of(config);
        Ok(bridge)
    }

    /// Starts to observe Talos with a client that is there already.
    pub fn with_client(client: Client) -> Self {
        let mut bridge = Self::without_talos(String::new(), Vec::new());
        bridge.observe(client);
        bridge
    }

    /// Knows nothing but why, and refuses every power operation, for this reason.
    pub fn without_talos(reason: String, checks: Vec<Check>) -> Self {
        let (checks_sender, checks) = watch::channel(checks);
        let (facts_sender, facts) = watch::channel(Facts::default());
        let (outcome_sender, outcomes) = unbounded_channel();
        Self {
            client: Err(reason),
            observer: None,
            facts,
            checks,
            _checks_sender: checks_sender,
            facts_sender,
            outcomes,
            outcome_sender,
            device_names: DeviceNames::default(),
            talosconfig: None,
            calls: Vec::new(),
            kernel: Kernel::new(),
            freezer: None,
            inquiries: Inquiries::default(),
            following: [None, None],
            look: None,
        }
    }

    /// The way to the freezer, which was started before.
    pub fn set_freezer(&mut self, freezer: Option<Link>) {
        self.freezer = freezer;
    }

    /// Turns to another Talos API of the same machine. What is known stays known, doubts about power calls included; a
    /// power operation under way goes on.
    ///
    /// # Errors
    /// When the configured node is no endpoint; then all stays as it is.
    pub fn reconnect(&mut self, config: &TalosConfig) -> Result<(), BadEndpoint> {
        let client = match &self.client {
            Ok(client) => client.successor(config, proc::own_counters)?,
            Err(_) => Client::new(config, proc::own_counters)?,
        };
        self.talosconfig = watch_of(config);
        self.observe(client);
        Ok(())
    }

    /// Observes Talos with this client, and no longer with another, which is asked for nothing more: what it has not said of
    /// etcd is asked of this one.
    fn observe(&mut self, client: Client) {
        let unsaid = self.stop_following();
        let observer = talos::observe(client.clone(), self.facts_sender.clone());
        self.checks = client.checks();
        self.checks.mark_changed();
        self.client = Ok(client);
        if let Some(before) = self.observer.replace(tokio::spawn(observer)) {
            before.abort();
        }
        for (half, unsaid) in ETCD_QUESTIONS.into_iter().zip(unsaid) {
            if unsaid {
                self.follow_etcd(half);
            }
        }
    }

    /// Asks for etcd no more; which half Talos has not said yet.
    fn stop_following(&mut self) -> [bool; 2] {
        self.following.each_mut().map(|following| {
            let unsaid = following.take().filter(|task| !task.is_finished());
            unsaid.inspect(JoinHandle::abort).is_some()
        })
    }

    /// Asks in a task of its own, with the client or why there is none; what comes of it is news.
    fn report<F: Future<Output = News> + Send + 'static>(
        &self,
        ask: impl FnOnce(Result<Client, String>) -> F,
    ) -> JoinHandle<()> {
        let outcomes = self.outcome_sender.clone();
        let news = ask(self.client.clone());
        tokio::spawn(async move {
            // While the daemon stops, no one listens.
            let _ = outcomes.send(news.await);
        })
    }

    /// Adds what only the kernel knows to what Talos has said, without waking anyone.
    fn complete(&mut self) {
        let names = &mut self.device_names;
        self.facts_sender.send_if_modified(|facts| {
            names.complete(&mut facts.storage);
            false
        });
    }
}

impl Node for Bridge {
    async fn next(&mut self) -> News {
        tokio::select! {
            biased;
            // The sender lives in this very value, so there is always a next change to wait for. What was measured
            // comes before the news that it was.
            Ok(()) = self.facts.changed() => {
                self.complete();
                News::Facts
            }
            Some(news) = self.outcomes.recv() => news,
            report = freezer_report(&mut self.freezer) => News::Freezer(report),
            // An error means that nobody will change them.
            Ok(()) = self.checks.changed() => News::Checks,
            () = changed(&mut self.talosconfig) => News::Talosconfig,
            else => std::future::pending().await,
        }
    }

    fn facts(&mut self) -> impl std::ops::Deref<Target = Facts> {
        self.facts.borrow_and_update()
    }

    fn checks(&mut self) -> Vec<Check> {
        let mut checks = self.checks.borrow().clone();
        // Only a glance: what is new in either is still to be handed on.
        let facts = self.facts.borrow();
        checks.extend(
            facts
                .node
                .system_uuid
                .as_deref()
                .and_then(diagnosis::identity),
        );
        checks
    }

    fn power_way(&mut self) -> Option<Result<(), Obstacle>> {
        match &self.client {
            Ok(client) => client.power_way(),
            Err(reason) => Some(Err(Obstacle::Unreachable(reason.clone()))),
        }
    }

    fn measure(&mut self, subject: Subject) {
        let facts = self.facts_sender.clone();
        self.report(|client| async move {
            let measured = match client {
                Ok(client) => measure(&client, subject, &facts).await,
                Err(_) => Measured::Failed,
            };
            News::Measured(subject, measured)
        });
    }

    fn power(&mut self, call: Call) {
        let how = talos::Manner {
            deadline: call.deadline,
            force_shutdown: call.is_forced,
            takes_over: call.takes_over,
            reboot_mode: call.reboot_mode,
            busy: call.busy,
        };
        let known = talos::LastWord::of(&self.facts.borrow());
        let outcomes = self.outcome_sender.clone();
        let report = move |heard| {
            // While the daemon stops, no one listens.
            let _ = outcomes.send(News::Heard(call.id, heard));
        };
        let client = match &self.client {
            Ok(client) => client.clone(),
            Err(reason) => {
                return report(Heard::Outcome(PowerOutcome::Rejected(reason.clone())));
            }
        };
        let task = tokio::spawn(async move {
            talos::carry_out(&client, call.operation, how, known, report).await;
        });
        self.calls.retain(|(_, task)| !task.is_finished());
        self.calls.push((call.id, task));
    }

    fn forget(&mut self, call: CallId) {
        if let Some(at) = self.calls.iter().position(|(id, _)| *id == call) {
            let (_, task) = self.calls.swap_remove(at);
            task.abort();
        }
    }

    fn look_at_etcd(&mut self) {
        // The answer of the look that is under way is fresh enough for both who want it.
        if self.look.as_ref().is_some_and(|look| !look.is_finished()) {
            return;
        }
        let facts = self.facts_sender.clone();
        self.look = Some(self.report(|client| async move {
            let Ok(client) = client else {
                return News::Etcd(EtcdLook::default());
            };
            let look = talos::look_at_etcd(&client).await;
            facts.send_if_modified(|facts| facts.replace_etcd(look));
            News::Etcd(look)
        }));
    }

    fn follow_etcd(&mut self, what: EtcdQuestion) {
        let Ok(client) = &self.client else {
            return;
        };
        for (task, half) in self.following.iter_mut().zip(ETCD_QUESTIONS) {
            // What is still asked for is no older; but something has changed where all is wanted.
            let is_asking = task.as_ref().is_some_and(|task| !task.is_finished());
            if what != EtcdQuestion::Both && (what != half || is_asking) {
                continue;
            }
            let (client, facts) = (client.clone(), self.facts_sender.clone());
            let next = tokio::spawn(async move { talos::follow_etcd(&client, half, &facts).await });
            if let Some(before) = task.replace(next) {
                before.abort();
            }
        }
    }

    fn hand_over(&mut self) {
        self.report(|client| async move {
            News::HandedOver(match client {
                Ok(client) => talos::hand_over(&client).await,
                Err(reason) => HandOver::Failed(reason),
            })
        });
    }

    fn look_for_life(&mut self) {
        self.report(|client| async move {
            News::Life(match client {
                Ok(client) => talos::look_for_life(&client).await,
                Err(reason) => Life::Unclear(reason),
            })
        });
    }

    fn freezer(&mut self, command: &Command) {
        if let Some(freezer) = &mut self.freezer {
            freezer.send(command);
        }
    }

    fn inquire(&mut self, id: InquiryId, step: Step) {
        let outcomes = self.outcome_sender.clone();
        let answer = move |answer| {
            // While the daemon stops, no one listens.
            let _ = outcomes.send(News::Answer(id, answer));
        };
        match &self.client {
            Ok(client) => self.inquiries.handle_step(client, id, step, answer),
            Err(reason) => {
                if let Step::Ask(_) = step {
                    answer(Answer::End(Err(Trouble {
                        kind: TroubleKind::Away,
                        text: reason.clone(),
                        status: UNAVAILABLE,
                    })));
                }
            }
        }
    }

    fn read(&mut self, part: KernelPart) -> Reading {
        self.kernel.read(part)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _unsaid = self.stop_following();
        if let Some(observer) = &self.observer {
            observer.abort();
        }
    }
}

/// Asks Talos, and makes facts of the answer.
async fn measure(client: &Client, subject: Subject, facts: &watch::Sender<Facts>) -> Measured {
    let answer = match subject {
        Subject::Space => client.mounts().await.map(|spaces| {
            facts.send_if_modified(|facts| replace(&mut facts.storage.spaces, spaces));
        }),
        Subject::Traffic => client.traffic().await.map(|traffic| {
            facts.send_if_modified(|facts| replace(&mut facts.network.traffic, traffic));
        }),
    };
    match answer {
        Ok(()) => Measured::Done,
        Err(talos::Error::Deadline { .. }) => Measured::TimedOut,
        Err(_) => Measured::Failed,
    }
}

async fn freezer_report(freezer: &mut Option<Link>) -> Report {
    match freezer {
        Some(freezer) => freezer.next().await,
        None => std::future::pending().await,
    }
}

/// machined's socket needs no file.
fn watch_of(config: &TalosConfig) -> Option<FileWatch> {
    match config {
        TalosConfig::Apid { talosconfig, .. } => Some(FileWatch::new(talosconfig)),
        TalosConfig::Machined { .. } => None,
    }
}

async fn changed(watch: &mut Option<FileWatch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use apid::{Apid, Method};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn another_client_goes_on_asking_for_what_talos_has_not_said_of_etcd() {
        let hour = Duration::from_secs(3600);
        let api = Apid::in_process();
        let client = || {
            let socket = PathBuf::from("/machine.sock");
            Client::machined_with_dialer(api.clone(), socket, "os:operator")
        };
        api.delay(Method::EtcdStatus, hour);
        let mut bridge = Bridge::with_client(client());
        bridge.follow_etcd(EtcdQuestion::Both);
        for (method, calls) in [(Method::EtcdStatus, 1), (Method::EtcdMemberList, 1)] {
            api.until_calls(method, calls, hour).await.unwrap();
        }
        let members = bridge.following[1].as_mut().unwrap();
        members.await.unwrap();
        bridge.observe(client());
        let again = api.until_calls(Method::EtcdStatus, 2, hour / 2);
        assert!(again.await.is_some());
        assert_eq!(api.calls_of(Method::EtcdMemberList).len(), 1, "it was said");
    }

    #[tokio::test]
    async fn a_look_at_the_checks_takes_no_news_away() {
        let mut bridge = Bridge::without_talos("why".to_owned(), Vec::new());
        bridge
            .facts_sender
            .send_modify(|facts| facts.node.system_uuid = Some(String::new()));
        bridge._checks_sender.send_modify(Vec::clear);
        let names: Vec<_> = bridge.checks().iter().map(|check| check.name).collect();
        assert_eq!(names, ["identity"]);
        for expected in [News::Facts, News::Checks] {
            let news = tokio::time::timeout(Duration::from_secs(5), bridge.next()).await;
            assert_eq!(news, Ok(expected));
        }
    }
}
