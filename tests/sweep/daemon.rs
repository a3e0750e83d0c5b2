//! The daemon: its parts joined as its event loop does, with the host, a Talos, and an administrator.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use talos_vmtoolsd::daemon::alarm::Alarm;
use talos_vmtoolsd::daemon::link::LinkSettings;
use talos_vmtoolsd::daemon::rpci_link::RpciLink;
use talos_vmtoolsd::daemon::tclo_link::{TcloEvent, TcloLink};
use talos_vmtoolsd::facts::{Facts, Load};
use talos_vmtoolsd::rpc::rpci::Reply;
use talos_vmtoolsd::services::{
    Machine, Measured, Output, PowerOperation, PowerOutcome, RpciId, RpciOutcome, Services,
};
use talos_vmtoolsd::transport::backdoor::RegisterAccess;
use talos_vmtoolsd::transport::vsock::Dial;
use tokio::time::{Instant, sleep_until};
use vmx::Host;

use crate::report::Outcome;
use crate::session::SharedHost;

/// How long the machine has been up when the daemon starts.
pub(crate) const BOOT: Duration = Duration::from_secs(20);

/// What comes from Talos.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Facts(Box<Facts>),
    Power(PowerOperation, PowerOutcome),
    Measured(Measured),
}

/// Talos, as the event loop sees it.
pub(crate) trait Talos {
    /// The next news; cancel-safe.
    fn next(&mut self) -> impl Future<Output = News>;

    /// Asks for a power operation.
    fn power(&mut self, operation: PowerOperation);

    /// Asks for the space on the file systems.
    fn measure_space(&mut self);
}

/// Who uses the host, and judges.
pub(crate) trait Administrator<T> {
    /// When it looks next.
    fn next_look(&self) -> Instant;

    /// One look; the outcome when all is over.
    fn look(&mut self, host: &mut Host, talos: &T) -> Option<Outcome>;
}

/// Plays a session to its end.
pub(crate) async fn play<A, V, T>(
    host: &SharedHost,
    settings: LinkSettings<A>,
    dialer: &V,
    talos: T,
    mut administrator: impl Administrator<T>,
) -> Outcome
where
    A: RegisterAccess + Copy + 'static,
    V: Dial + Clone + 'static,
    T: Talos,
{
    let tclo = TcloLink::with_dialer(settings, dialer.clone(), Alarm::on_tokio());
    let rpci = RpciLink::with_dialer(settings, dialer.clone());
    let mut daemon = Daemon {
        services: Services::new(Machine {
            kernel_release: "6.18.1-talos".into(),
            machine: "x86_64".into(),
        }),
        tclo,
        rpci: RpciQueue {
            orders: VecDeque::new(),
            work: None,
            idle: Some(rpci),
            lost: false,
        },
        booted: Instant::now() - BOOT,
        talos,
    };
    loop {
        tokio::select! {
            biased;
            () = daemon.step() => {}
            () = sleep_until(administrator.next_look()) => {
                let look = administrator.look(&mut host.borrow_mut(), &daemon.talos);
                if let Some(outcome) = look {
                    return outcome;
                }
            }
        }
    }
}

struct Daemon<A: RegisterAccess, V, T> {
    services: Services,
    tclo: TcloLink<A, V>,
    rpci: RpciQueue<A, V>,
    booted: Instant,
    talos: T,
}

/// An exchange under way, which has the link.
type Exchange<A, V> = Pin<Box<dyn Future<Output = (RpciLink<A, V>, RpciId, RpciOutcome)>>>;

/// As the daemon's RPCI task: one command after the other, beside everything else.
struct RpciQueue<A: RegisterAccess, V> {
    orders: VecDeque<Order>,
    idle: Option<RpciLink<A, V>>,
    /// What is queued fails without being tried.
    lost: bool,
    work: Option<Exchange<A, V>>,
}

enum Order {
    Send(RpciId, Vec<u8>),
    ForgetFailures,
}

impl<A: RegisterAccess + Copy + 'static, V: Dial + 'static> RpciQueue<A, V> {
    async fn outcome(&mut self) -> (RpciId, RpciOutcome) {
        loop {
            if let Some(work) = &mut self.work {
                let (link, id, outcome) = work.await;
                self.work = None;
                self.idle = Some(link);
                return (id, outcome);
            }
            let Some(mut link) = self.idle.take() else {
                return pending().await;
            };
            match self.orders.pop_front() {
                None => {
                    self.idle = Some(link);
                    return pending().await;
                }
                Some(Order::ForgetFailures) => {
                    link.forget_failures();
                    self.idle = Some(link);
                }
                Some(Order::Send(id, _)) if self.lost => {
                    self.idle = Some(link);
                    return (id, RpciOutcome::Failed);
                }
                Some(Order::Send(id, message)) => {
                    self.work = Some(Box::pin(async move {
                        let outcome = match link.exchange(&message).await {
                            Ok(Reply::Accepted(text)) => RpciOutcome::Accepted(text),
                            Ok(Reply::Refused(text)) => RpciOutcome::Refused(text),
                            Err(_) => RpciOutcome::Failed,
                        };
                        (link, id, outcome)
                    }));
                }
            }
        }
    }
}

impl<A: RegisterAccess + Copy + 'static, V: Dial + 'static, T: Talos> Daemon<A, V, T> {
    /// Time since boot, as the services see it.
    fn now(&self) -> Duration {
        self.booted.elapsed()
    }

    /// Does what is to be done, then waits for one event and hands it on; cancel-safe.
    async fn step(&mut self) {
        self.carry_out();
        let deadline = self.services.poll_timeout().map(|due| self.booted + due);
        tokio::select! {
            biased;
            event = self.tclo.next() => match event {
                TcloEvent::Connected { .. } => {
                    self.rpci.lost = false;
                    self.rpci.orders.push_back(Order::ForgetFailures);
                    self.services.handle_connected(self.now());
                }
                TcloEvent::Request(request) => {
                    let now = self.now();
                    self.services.handle_request(&request, now);
                }
                TcloEvent::Lost => {
                    self.rpci.lost = true;
                    self.services.handle_lost();
                }
            },
            (id, outcome) = self.rpci.outcome() => {
                let now = self.now();
                self.services.handle_rpci(id, outcome, now);
            }
            news = self.talos.next() => {
                let now = self.now();
                match news {
                    News::Facts(facts) => self.services.handle_facts(&facts, now),
                    News::Power(operation, outcome) => {
                        self.services.handle_power(operation, outcome, now);
                    }
                    News::Measured(measured) => self.services.handle_measured(measured, now),
                }
            }
            () = at(deadline) => {
                let now = self.now();
                self.services.handle_timeout(now);
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.services.poll_output() {
            match output {
                Output::Rpci { id, message } => {
                    self.rpci.orders.push_back(Order::Send(id, message));
                }
                Output::Reply(reply) => self.tclo.reply(reply),
                Output::MeasureSpace => self.talos.measure_space(),
                Output::ReadLoad => {
                    let now = self.now();
                    self.services.handle_load(&Load::default(), now);
                }
                Output::Power(operation) => self.talos.power(operation),
            }
        }
    }
}

/// Waits until then; for ever, when there is no time.
pub(crate) async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
