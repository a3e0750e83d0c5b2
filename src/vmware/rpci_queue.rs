//! RPCI beside everything else: commands go out one after the other, while TCLO is served.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;

use crate::vmware::link::rpci::{Attempts, RpciError, RpciLink};
use crate::vmware::rpc::rpci::Reply;
use crate::vmware::services::{Lane, RpciId, RpciOutcome};
use crate::vmware::transport::backdoor::RegisterAccess;
use crate::vmware::transport::vsock::{Dial, HostVsock};

/// An exchange under way, which has the link.
type Exchange<A, V> = Pin<Box<dyn Future<Output = (RpciLink<A, V>, RpciId, RpciOutcome)>>>;

/// A command that waits.
type Waiting = (RpciId, Vec<u8>, Attempts);

/// Commands that wait, and the one under way. [`RpciQueue::keep`] bounds it: of each publication one alone waits.
pub(super) struct RpciQueue<A: RegisterAccess, V = HostVsock> {
    /// Ahead of `normal`.
    urgent: VecDeque<Waiting>,
    normal: VecDeque<Waiting>,
    /// The link, unless an exchange has it.
    idle: Option<RpciLink<A, V>>,
    under_way: Option<Exchange<A, V>>,
    /// The link has failures to forget, as soon as it is idle.
    forget: bool,
    /// The process ends: what is not urgent is dropped.
    stopping: bool,
}

impl<A: RegisterAccess, V> std::fmt::Debug for RpciQueue<A, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RpciQueue")
            .field("urgent", &self.urgent.len())
            .field("normal", &self.normal.len())
            .finish_non_exhaustive()
    }
}

impl<A: RegisterAccess + Clone + 'static, V: Dial + 'static> RpciQueue<A, V> {
    /// An empty queue on `link`.
    pub(super) fn new(link: RpciLink<A, V>) -> Self {
        Self {
            urgent: VecDeque::new(),
            normal: VecDeque::new(),
            idle: Some(link),
            under_way: None,
            forget: false,
            stopping: false,
        }
    }

    /// Queues a command behind those of its lane.
    pub(super) fn send(&mut self, lane: Lane, id: RpciId, message: Vec<u8>) {
        let (queue, attempts) = match lane {
            Lane::Urgent => (&mut self.urgent, Attempts::Two),
            Lane::Once => (&mut self.urgent, Attempts::One),
            Lane::Normal if self.stopping => return,
            Lane::Normal => (&mut self.normal, Attempts::Two),
        };
        queue.push_back((id, message, attempts));
    }

    /// Drops what waits and whose outcome is no longer awaited: a host that has forgotten everything gets newer
    /// messages, a status must not outlive its session, and a host that is reset faster than it answers must not fill
    /// our memory.
    pub(super) fn keep(&mut self, mut is_awaited: impl FnMut(RpciId) -> bool) {
        for queue in [&mut self.urgent, &mut self.normal] {
            queue.retain(|(id, ..)| is_awaited(*id));
        }
    }

    /// From here on only what is urgent is sent; the rest has no outcome.
    pub(super) fn keep_urgent(&mut self) {
        self.stopping = true;
        self.normal.clear();
    }

    /// The host has (re)opened the other direction: what failed before may work now.
    pub(super) const fn forget_failures(&mut self) {
        self.forget = true;
    }

    /// The next outcome; cancel-safe. When the host `is_away`, what waits fails without being tried.
    pub(super) async fn outcome(&mut self, is_away: bool) -> (RpciId, RpciOutcome) {
        loop {
            if let Some(exchange) = &mut self.under_way {
                let (link, id, outcome) = exchange.await;
                self.under_way = None;
                self.idle = Some(link);
                return (id, outcome);
            }
            if let Some(link) = self.idle.as_mut().filter(|_| self.forget) {
                self.forget = false;
                link.forget_failures();
            }
            let next = self.urgent.pop_front().or_else(|| self.normal.pop_front());
            let Some((id, message, attempts)) = next else {
                return pending().await;
            };
            if is_away {
                return (id, RpciOutcome::Failed);
            }
            self.under_way = self
                .idle
                .take()
                .map(|link| Box::pin(exchange(link, id, message, attempts)) as Exchange<A, V>);
        }
    }

    /// Closes the channel, whatever waits or is under way.
    pub(super) fn close(self) {
        if let Some(mut link) = self.idle {
            link.close();
        }
    }
}

async fn exchange<A: RegisterAccess + Clone, V: Dial>(
    mut link: RpciLink<A, V>,
    id: RpciId,
    message: Vec<u8>,
    attempts: Attempts,
) -> (RpciLink<A, V>, RpciId, RpciOutcome) {
    let outcome = match link.exchange_with(&message, attempts).await {
        Ok(Reply::Accepted(text)) => RpciOutcome::Accepted(text),
        Ok(Reply::Refused(text)) => RpciOutcome::Refused(text),
        Err(RpciError::ReplyTooLong { .. }) => RpciOutcome::TooLong,
        Err(error) => {
            tracing::debug!(error = %error, "rpci command not delivered");
            RpciOutcome::Failed
        }
    };
    (link, id, outcome)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::config::TransportChoice;
    use crate::vmware::link::LinkSettings;
    use crate::vmware::rpc::message_channel::Bandwidth;
    use crate::vmware::transport::backdoor::AccessFault;
    use crate::vmware::wire::registers::Registers;

    /// A host that is gone; the accesses are counted.
    #[derive(Clone, Copy, Debug)]
    struct Gone(&'static AtomicUsize);

    impl Gone {
        fn count(self) -> Result<(), AccessFault> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(AccessFault)
        }
    }

    impl RegisterAccess for Gone {
        fn low(&mut self, _: &mut Registers) -> Result<(), AccessFault> {
            self.count()
        }
        fn high_out(&mut self, _: &mut Registers, _: &[u8]) -> Result<(), AccessFault> {
            self.count()
        }
        fn high_in(&mut self, _: &mut Registers, _: &mut [u8]) -> Result<(), AccessFault> {
            self.count()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_a_host_that_is_away_is_not_tried() {
        static ACCESSES: AtomicUsize = AtomicUsize::new(0);
        let mut queue = RpciQueue::new(RpciLink::new(LinkSettings {
            transport: TransportChoice::Backdoor,
            access: Some(Gone(&ACCESSES)),
            bandwidth: Bandwidth::High,
        }));
        let count = || ACCESSES.load(Ordering::Relaxed);
        queue.send(Lane::Normal, RpciId(1), b"log tried".to_vec());
        let outcome = queue.outcome(false).await;
        assert_eq!(outcome, (RpciId(1), RpciOutcome::Failed));
        let one = count();
        assert!(one > 0);
        for id in 2..=9 {
            queue.send(Lane::Normal, RpciId(id), b"log not tried".to_vec());
        }
        for id in 2..=9 {
            let outcome = queue.outcome(true).await;
            assert_eq!(outcome, (RpciId(id), RpciOutcome::Failed));
        }
        assert_eq!(count(), one);
        for id in 10..=11 {
            queue.send(Lane::Normal, RpciId(id), b"log tried again".to_vec());
            let outcome = queue.outcome(false).await;
            assert_eq!(outcome, (RpciId(id), RpciOutcome::Failed));
        }
        assert_eq!(count(), 3 * one);
        queue.close();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_urgent_overtakes_what_waits_and_keeps_its_own_order() {
        static ACCESSES: AtomicUsize = AtomicUsize::new(0);
        let mut queue = RpciQueue::new(RpciLink::new(LinkSettings {
            transport: TransportChoice::Backdoor,
            access: Some(Gone(&ACCESSES)),
            bandwidth: Bandwidth::High,
        }));
        for (id, lane) in [
            (1, Lane::Normal),
            (2, Lane::Normal),
            (3, Lane::Urgent),
            (4, Lane::Urgent),
        ] {
            queue.send(lane, RpciId(id), b"log".to_vec());
        }
        let mut order = Vec::new();
        for _ in 0..4 {
            order.push(queue.outcome(true).await.0.0);
        }
        assert_eq!(order, [3, 4, 1, 2]);
    }
    fn queue() -> RpciQueue<Gone> {
        static ACCESSES: AtomicUsize = AtomicUsize::new(0);
        RpciQueue::new(RpciLink::new(LinkSettings {
            transport: TransportChoice::Backdoor,
            access: Some(Gone(&ACCESSES)),
            bandwidth: Bandwidth::High,
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_awaits_any_more_is_dropped() {
        let mut queue = queue();
        for (id, lane) in [
            (1, Lane::Normal),
            (2, Lane::Urgent),
            (3, Lane::Normal),
            (4, Lane::Normal),
            (5, Lane::Urgent),
        ] {
            queue.send(lane, RpciId(id), b"log".to_vec());
        }
        queue.keep(|id| id == RpciId(3) || id == RpciId(5));
        let mut order = Vec::new();
        for _ in 0..2 {
            order.push(queue.outcome(true).await.0.0);
        }
        assert_eq!(order, [5, 3]);
        assert!(queue.urgent.is_empty() && queue.normal.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_process_ends_only_what_is_urgent_is_sent() {
        let mut queue = queue();
        queue.send(Lane::Normal, RpciId(1), b"log".to_vec());
        queue.keep_urgent();
        queue.send(Lane::Normal, RpciId(2), b"log".to_vec());
        queue.send(Lane::Urgent, RpciId(3), b"log".to_vec());
        assert_eq!(queue.outcome(true).await.0, RpciId(3));
        assert!(queue.normal.is_empty());
    }
}
