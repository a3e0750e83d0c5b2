//! RPCI in a task of its own: commands go out one after the other, while TCLO is served beside it.

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
}

impl RpciTask {
    /// Starts the task on `link`.
    pub fn spawn<A: RegisterAccess + Copy + Send + Sync + 'static>(link: RpciLink<A>) -> Self {
        let (orders, order_receiver) = unbounded_channel();
        let (outcome_sender, outcomes) = unbounded_channel();
        let task = tokio::spawn(work(link, order_receiver, outcome_sender));
        Self {
            orders,
            outcomes,
            task,
        }
    }

    /// Queues a command.
    pub fn send(&self, id: RpciId, message: Vec<u8>) {
        self.order(Order::Send { id, message });
    }

    /// The host has (re)opened the other direction: what failed before may work now.
    pub fn forget_failures(&self) {
        self.order(Order::ForgetFailures);
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
) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::ForgetFailures => link.forget_failures(),
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
