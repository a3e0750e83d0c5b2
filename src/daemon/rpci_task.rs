//! RPCI in a task of its own: commands go out one after the other, while TCLO is served beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::rpci_link::RpciLink;
use crate::rpc::rpci::Reply;
use crate::services::{RpciId, RpciOutcome};
use crate::transport::backdoor::RegisterAccess;

/// What the task is asked to do, in this order.
#[derive(Debug)]
enum Order {
    Send { id: RpciId, message: Vec<u8> },
    ForgetFailures,
}

/// The daemon's end of the task. The queue is bounded by the services: each has few commands under way.
#[derive(Debug)]
pub struct RpciTask {
    orders: UnboundedSender<Order>,
    outcomes: UnboundedReceiver<(RpciId, RpciOutcome)>,
    task: tokio::task::JoinHandle<()>,
    /// What is queued fails without being tried.
    lost: Arc<AtomicBool>,
}

impl RpciTask {
    /// Starts the task on `link`.
    pub fn spawn<A: RegisterAccess + Copy + Send + Sync + 'static>(link: RpciLink<A>) -> Self {
        let (orders, order_receiver) = unbounded_channel();
        let (outcome_sender, outcomes) = unbounded_channel();
        let lost = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(work(link, order_receiver, outcome_sender, lost.clone()));
        Self {
            orders,
            outcomes,
            task,
            lost,
        }
    }

    /// Queues a command.
    pub fn send(&self, id: RpciId, message: Vec<u8>) {
        self.order(Order::Send { id, message });
    }

    /// The host has (re)opened the other direction: what failed before may work now.
    pub fn forget_failures(&self) {
        self.lost.store(false, Ordering::Relaxed);
        self.order(Order::ForgetFailures);
    }

    /// The host is gone: until [`RpciTask::forget_failures`] commands fail at once, those that are queued, too.
    pub fn host_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// The next outcome; cancel-safe.
    pub async fn outcome(&mut self) -> (RpciId, RpciOutcome) {
        match self.outcomes.recv().await {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    /// Finishes what is queued, then closes the channel.
    pub async fn close(self) {
        drop(self.orders);
        let _ = self.task.await;
    }

    fn order(&self, order: Order) {
        // The task ends only after `self.orders` is gone.
        let _ = self.orders.send(order);
    }
}

async fn work<A: RegisterAccess + Copy + Send + Sync + 'static>(
    mut link: RpciLink<A>,
    mut orders: UnboundedReceiver<Order>,
    outcomes: UnboundedSender<(RpciId, RpciOutcome)>,
    lost: Arc<AtomicBool>,
) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::ForgetFailures => link.forget_failures(),
            Order::Send { id, .. } if lost.load(Ordering::Relaxed) => {
                if outcomes.send((id, RpciOutcome::Failed)).is_err() {
                    break;
                }
            }
            Order::Send { id, message } => {
                let outcome = match link.exchange(&message).await {
                    Ok(Reply::Accepted(text)) => RpciOutcome::Accepted(text),
                    Ok(Reply::Refused(text)) => RpciOutcome::Refused(text),
                    Err(error) => {
                        tracing::debug!(error = %error, "rpci command not delivered");
                        RpciOutcome::Failed
                    }
                };
                if outcomes.send((id, outcome)).is_err() {
                    break;
                }
            }
        }
    }
    link.close();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::config::TransportChoice;
    use crate::daemon::link::LinkSettings;
    use crate::rpc::message_channel::Bandwidth;
    use crate::transport::backdoor::AccessFault;
    use crate::wire::registers::Registers;

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
    async fn commands_to_a_lost_host_fail_without_an_access() {
        static ACCESSES: AtomicUsize = AtomicUsize::new(0);
        let mut task = RpciTask::spawn(RpciLink::new(LinkSettings {
            transport: TransportChoice::Backdoor,
            access: Some(Gone(&ACCESSES)),
            bandwidth: Bandwidth::High,
        }));
        for id in 1..=3 {
            task.send(RpciId(id), b"log queued before the host was lost".to_vec());
        }
        task.host_lost();
        task.send(RpciId(4), b"log after".to_vec());
        for id in 1..=4 {
            assert_eq!(task.outcome().await, (RpciId(id), RpciOutcome::Failed));
        }
        assert_eq!(ACCESSES.load(Ordering::Relaxed), 0);
        task.forget_failures();
        task.send(RpciId(5), b"log again".to_vec());
        assert_eq!(task.outcome().await, (RpciId(5), RpciOutcome::Failed));
        assert!(ACCESSES.load(Ordering::Relaxed) > 0);
        task.close().await;
    }
}
