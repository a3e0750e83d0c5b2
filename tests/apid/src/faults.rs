//! What goes wrong on purpose.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tonic::Status;

use crate::Method;

/// The scripted faults of the whole API.
#[derive(Debug)]
pub(crate) struct Faults {
    methods: Mutex<BTreeMap<Method, MethodFaults>>,
    /// While true, nobody is answered.
    hanging: watch::Sender<bool>,
    /// While set, the caller's process is not known yet; calls are held this long, then refused.
    unknown_peer: watch::Sender<Option<Duration>>,
    /// Nodes whose messages are replaced by an error when apid fans out.
    failed_nodes: Mutex<BTreeMap<String, String>>,
}

#[derive(Debug, Default)]
struct MethodFaults {
    failures: Vec<Status>,
    delay: Duration,
    roles: Option<Vec<String>>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            methods: Mutex::default(),
            hanging: watch::Sender::new(false),
            unknown_peer: watch::Sender::new(None),
            failed_nodes: Mutex::default(),
        }
    }
}

impl Faults {
    pub(crate) fn fail_next(&self, method: Method, status: &Status, times: usize) {
        let mut methods = self.methods();
        let failures = &mut methods.entry(method).or_default().failures;
        failures.extend(std::iter::repeat_n(status.clone(), times));
    }

    /// The next scripted failure of a method, which is thereby used up.
    pub(crate) fn failure(&self, method: Method) -> Option<Status> {
        let mut methods = self.methods();
        let failures = &mut methods.get_mut(&method)?.failures;
        (!failures.is_empty()).then(|| failures.remove(0))
    }

    pub(crate) fn delay(&self, method: Method, delay: Duration) {
        self.methods().entry(method).or_default().delay = delay;
    }

    pub(crate) fn delay_of(&self, method: Method) -> Duration {
        self.methods()
            .get(&method)
            .map_or(Duration::ZERO, |faults| faults.delay)
    }

    pub(crate) fn allow(&self, method: Method, roles: &[&str]) {
        let roles = roles.iter().map(|&role| role.to_owned()).collect();
        self.methods().entry(method).or_default().roles = Some(roles);
    }

    /// Whether one of these roles may call the method.
    pub(crate) fn allows(&self, method: Method, roles: &[String]) -> bool {
        let methods = self.methods();
        match methods
            .get(&method)
            .and_then(|faults| faults.roles.as_ref())
        {
            Some(allowed) => roles.iter().any(|role| allowed.contains(role)),
            None => roles
                .iter()
                .any(|role| method.roles().contains(&role.as_str())),
        }
    }

    pub(crate) fn hang(&self, hanging: bool) {
        self.hanging.send_replace(hanging);
    }

    /// Waits while everything hangs.
    pub(crate) async fn pass(&self) {
        // An error means that the sender is gone: nothing hangs any more.
        drop(self.hanging.subscribe().wait_for(|hanging| !hanging).await);
    }

    pub(crate) fn unknown_peer(&self, hold: Option<Duration>) {
        self.unknown_peer.send_replace(hold);
    }

    /// Holds a call of a process that is not known yet; false when it did not become known in time.
    pub(crate) async fn peer_known(&self) -> bool {
        let mut peer = self.unknown_peer.subscribe();
        let Some(hold) = *peer.borrow_and_update() else {
            return true;
        };
        let known = peer.wait_for(Option::is_none);
        tokio::time::timeout(hold, known).await.is_ok()
    }

    pub(crate) fn fail_node(&self, node: &str, error: &str) {
        self.failed_nodes()
            .insert(node.to_owned(), error.to_owned());
    }

    pub(crate) fn node_error(&self, node: &str) -> Option<String> {
        self.failed_nodes().get(node).cloned()
    }

    fn methods(&self) -> MutexGuard<'_, BTreeMap<Method, MethodFaults>> {
        self.methods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed_nodes(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.failed_nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
