//! RPCI beside everything else: commands go out one after the other, while TCLO is served.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;

use super::rpci::RpciLink;
use crate::vmware::rpc::rpci::Reply;
use crate::vmware::services::{RpciId, RpciOutcome};
use crate::vmware::transport::backdoor::RegisterAccess;
use crate::vmware::transport::vsock::{Dial, HostVsock};

/// What is to be done, in this order.
#[derive(Debug)]
enum Order {
    Send(RpciId, Vec<u8>),
    ForgetFailures,
}

/// An exchange under way, which has the link.
type Exchange<A, V> = Pin<Box<dyn Future<Output = (RpciLink<A, V>, RpciId, RpciOutcome)>>>;

/// Commands that wait, and the one under way. The services bound it: each has few commands under way.
pub struct RpciQueue<A: RegisterAccess, V = HostVsock> {
    orders: VecDeque<Order>,
    /// The link, unless an exchange has it.
    idle: Option<RpciLink<A, V>>,
    under_way: Option<Exchange<A, V>>,
    /// TCLO has lost the host.
    lost: bool,
    /// The last command failed.
    failed: bool,
}

impl<A: RegisterAccess, V> std::fmt::Debug for RpciQueue<A, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RpciQueue")
            .field("orders", &self.orders.len())
            .finish_non_exhaustive()
    }
}

impl<A: RegisterAccess + Clone + 'static, V: Dial + 'static> RpciQueue<A, V> {
    /// An empty queue on `link`.
    pub fn new(link: RpciLink<A, V>) -> Self {
        Self {
            orders: VecDeque::new(),
            idle: Some(link),
            under_way: None,
            lost: false,
            failed: false,
        }
    }

    /// Queues a command.
    pub fn send(&mut self, id: RpciId, message: Vec<u8>) {
        self.orders.push_back(Order::Send(id, message));
    }

    /// The host has (re)opened the other direction: what failed before may work now.
    pub fn forget_failures(&mut self) {
        self.lost = false;
        self.orders.push_back(Order::ForgetFailures);
    }

    /// TCLO has lost the host. RPCI may still reach it; after the first command that does not, all others fail
    /// at once, those that are queued, too, until [`RpciQueue::forget_failures`].
    pub const fn host_lost(&mut self) {
        self.lost = true;
    }

    /// The next outcome; cancel-safe.
    pub async fn outcome(&mut self) -> (RpciId, RpciOutcome) {
        loop {
            if let Some(exchange) = &mut self.under_way {
                let (link, id, outcome) = exchange.await;
                self.under_way = None;
                self.idle = Some(link);
                self.failed = outcome == RpciOutcome::Failed;
                return (id, outcome);
            }
            let Some(order) = self.orders.pop_front() else {
                return pending().await;
            };
            match order {
                Order::ForgetFailures => {
                    if let Some(link) = &mut self.idle {
                        link.forget_failures();
                    }
                }
                Order::Send(id, _) if self.failed && self.lost => {
                    return (id, RpciOutcome::Failed);
                }
                Order::Send(id, message) => {
                    self.under_way = self
                        .idle
                        .take()
                        .map(|link| Box::pin(exchange(link, id, message)) as Exchange<A, V>);
                }
            }
        }
    }

    /// Finishes what is queued, then closes the channel.
    pub async fn close(mut self) {
        let is_command = |order: &Order| matches!(order, Order::Send(..));
        while self.under_way.is_some() || self.orders.iter().any(is_command) {
            self.outcome().await;
        }
        if let Some(mut link) = self.idle {
            link.close();
        }
    }
}

async fn exchange<A: RegisterAccess + Clone, V: Dial>(
    mut link: RpciLink<A, V>,
    id: RpciId,
    message: Vec<u8>,
) -> (RpciLink<A, V>, RpciId, RpciOutcome) {
    let outcome = match link.exchange(&message).await {
        Ok(Reply::Accepted(text)) => RpciOutcome::Accepted(text),
        Ok(Reply::Refused(text)) => RpciOutcome::Refused(text),
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
    async fn of_the_commands_to_a_lost_host_one_alone_is_tried() {
        static ACCESSES: AtomicUsize = AtomicUsize::new(0);
        let mut queue = RpciQueue::new(RpciLink::new(LinkSettings {
            transport: TransportChoice::Backdoor,
            access: Some(Gone(&ACCESSES)),
            bandwidth: Bandwidth::High,
        }));
        let count = || ACCESSES.load(Ordering::Relaxed);
        queue.host_lost();
        queue.send(RpciId(1), b"log tried".to_vec());
        assert_eq!(queue.outcome().await, (RpciId(1), RpciOutcome::Failed));
        let one = count();
        assert!(one > 0);
        for id in 2..=9 {
            queue.send(RpciId(id), b"log not tried".to_vec());
        }
        for id in 2..=9 {
            assert_eq!(queue.outcome().await, (RpciId(id), RpciOutcome::Failed));
        }
        assert_eq!(count(), one);
        queue.forget_failures();
        for id in 10..=11 {
            queue.send(RpciId(id), b"log tried again".to_vec());
            assert_eq!(queue.outcome().await, (RpciId(id), RpciOutcome::Failed));
        }
        assert_eq!(count(), 3 * one);
        queue.close().await;
    }
}
