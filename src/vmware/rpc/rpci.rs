//! RPCI: the guest asks, the host answers.
//!
//! A request is a command's bytes; the reply is `1 ` or `0 ` and a text, `1 10.5.0.2` or `0 No value found`
//! [rpcout.c]. The host closes idle channels when it likes, so after the first failure we open a new connection
//! and send the same request once more; the second failure is final. Until the host has answered on a vsock
//! connection, its failure is not counted; we fall back to the backdoor:
//!
//! ```text
//! closed ──Open──► opening ──Exchange──► exchanging ──Replied──► open
//!   ▲                 │ other transport       │ Close, Open, Exchange once more
//!   └─────Failed──────┴───────────────────────┘
//! ```
//!
//! The caller does what [`Client::poll_output`] says and reports the outcome.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::route::{OpenFailure, Policy, Route, Transport};

/// Longest request: GUESTMSG_MAX_IN_SIZE [guest_msg_def.h].
pub const MAX_REQUEST: usize = 65_536;

/// How long a reply may take. open-vm-tools waits forever.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the first reply over a vsock connection may take while the backdoor could serve instead.
pub const FIRST_REPLY_TIMEOUT: Duration = Duration::from_millis(900);

/// How long the first reply to a command may take on the backdoor, where hosts answer at once: the command may have got
/// lost, and a registration must not wait for that. The second one has the whole time.
pub const EARLY_REPLY_TIMEOUT: Duration = Duration::from_secs(1);

/// Failures after which a request is given up: the second.
const MAX_FAILURES: u8 = 2;

/// The host's reply. It may be a secret (a machine config in a guest variable), so the debug form shows lengths
/// only.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// `1 …`: done; the text after it.
    Accepted(Vec<u8>),
    /// `0 …`: not done; the text after it, mostly the reason.
    Refused(Vec<u8>),
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(text) => write!(f, "Accepted({} bytes)", text.len()),
            Self::Refused(text) => write!(f, "Refused({} bytes)", text.len()),
        }
    }
}

/// The host's reply begins neither with `1 ` nor with `0 `.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host's reply of {len} bytes has no status")]
pub struct MalformedReply {
    /// How long the reply was.
    pub len: usize,
}

impl Reply {
    /// Reads a reply.
    ///
    /// # Errors
    /// [`MalformedReply`], which counts as a broken channel.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedReply> {
        match bytes {
            [b'1', b' ', text @ ..] => Ok(Self::Accepted(text.to_vec())),
            [b'0', b' ', text @ ..] => Ok(Self::Refused(text.to_vec())),
            _ => Err(MalformedReply { len: bytes.len() }),
        }
    }
}

/// What the caller must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Close the connection.
    Close,
    /// Open a connection, then [`Client::handle_opened`] or [`Client::handle_open_failed`].
    Open(Transport),
    /// Send the request and receive a reply, then [`Client::handle_reply`] or
    /// [`Client::handle_exchange_failed`].
    Exchange {
        /// How long to wait for the reply.
        timeout: Duration,
    },
    /// [`Client::request`] has its reply.
    Replied(Reply),
    /// The request has failed.
    Failed(Failure),
}

/// Why a request has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No transport could be opened.
    Unreachable,
    /// Connections were opened but broke, the last one while the request was under way. The host may have
    /// carried it out.
    Broken,
}

/// An open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connection {
    transport: Transport,
    /// The host has answered over it.
    proven: bool,
}

/// A request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Task {
    /// Broken exchanges that count as failures.
    failures: u8,
    /// We have changed to the other transport since the last exchange.
    switched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No connection.
    Closed,
    /// A connection without anything to do.
    Idle(Connection),
    /// Waiting for the outcome of [`Output::Open`].
    Opening(Transport, Task),
    /// Waiting for the outcome of [`Output::Exchange`].
    Exchanging(Connection, Task),
}

/// One client, one request at a time.
#[derive(Debug)]
pub struct Client {
    route: Route,
    state: State,
    outputs: VecDeque<Output>,
}

impl Client {
    /// A client without a connection.
    pub const fn new(policy: Policy) -> Self {
        Self {
            route: Route::new(policy),
            state: State::Closed,
            outputs: VecDeque::new(),
        }
    }

    /// The transport of the open connection.
    pub fn transport(&self) -> Option<Transport> {
        match self.state {
            State::Idle(connection) | State::Exchanging(connection, _) => {
                Some(connection.transport)
            }
            State::Closed | State::Opening(..) => None,
        }
    }

    /// Begins a request. One that is still under way is abandoned with its connection.
    pub fn request(&mut self, now: Duration) {
        let task = Task {
            failures: 0,
            switched: false,
        };
        self.outputs.clear();
        let preferred = self.route.choose(now);
        match self.state {
            State::Closed => self.start_opening(preferred, task),
            // The pause of vsock is over.
            State::Idle(connection)
                if connection.transport == Transport::Backdoor && preferred == Transport::Vsock =>
            {
                self.outputs.push_back(Output::Close);
                self.start_opening(preferred, task);
            }
            State::Idle(connection) => self.exchange(connection, task),
            // The caller dropped an earlier request, whose late reply must not be taken for this one's.
            State::Opening(..) | State::Exchanging(..) => {
                self.outputs.push_back(Output::Close);
                self.start_opening(preferred, task);
            }
        }
    }

    /// The connection is open.
    pub fn handle_opened(&mut self, _now: Duration) {
        if let State::Opening(transport, task) = self.state {
            self.exchange(
                Connection {
                    transport,
                    proven: false,
                },
                task,
            );
        }
    }

    /// The connection could not be opened.
    pub fn handle_open_failed(&mut self, failure: OpenFailure, now: Duration) {
        let State::Opening(transport, task) = self.state else {
            return;
        };
        if transport == Transport::Vsock {
            self.route.vsock_failed(failure, now);
        }
        match self.route.other(transport) {
            Some(other) if !task.switched => self.start_opening(
                other,
                Task {
                    switched: true,
                    ..task
                },
            ),
            Some(_) | None => self.fail(Failure::Unreachable),
        }
    }

    /// The reply has arrived.
    ///
    /// # Errors
    /// [`MalformedReply`], for the log: it has been dealt with as [`Client::handle_exchange_failed`] does.
    pub fn handle_reply(&mut self, bytes: &[u8], now: Duration) -> Result<(), MalformedReply> {
        let State::Exchanging(connection, _) = self.state else {
            return Ok(());
        };
        match Reply::parse(bytes) {
            Ok(reply) => {
                if connection.transport == Transport::Vsock {
                    self.route.vsock_worked();
                }
                self.state = State::Idle(Connection {
                    proven: true,
                    ..connection
                });
                self.outputs.push_back(Output::Replied(reply));
                Ok(())
            }
            Err(error) => {
                self.handle_exchange_failed(now);
                Err(error)
            }
        }
    }

    /// The connection broke, or the reply did not come in time.
    pub fn handle_exchange_failed(&mut self, now: Duration) {
        let State::Exchanging(connection, task) = self.state else {
            return;
        };
        self.outputs.push_back(Output::Close);
        let transport = connection.transport;
        if let Some(backdoor) = self.way_out(connection, task) {
            self.route.vsock_failed(OpenFailure::Failed, now);
            let switched = true;
            return self.start_opening(backdoor, Task { switched, ..task });
        }
        let failures = task.failures.saturating_add(1);
        if failures >= MAX_FAILURES {
            if transport == Transport::Vsock {
                self.route.vsock_failed(OpenFailure::Failed, now);
            }
            return self.fail(Failure::Broken);
        }
        self.start_opening(
            transport,
            Task {
                failures,
                switched: false,
            },
        );
    }

    /// The host has restarted (a TCLO reset): vsock may be tried again.
    pub fn forget_failures(&mut self, now: Duration) {
        self.route.forget_failures(now);
    }

    /// Closes the connection; the next request opens another.
    pub fn close(&mut self) {
        self.outputs.clear();
        if self.state != State::Closed {
            self.outputs.push_back(Output::Close);
        }
        self.state = State::Closed;
    }

    /// The next thing to do; call until `None` after every other call.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn start_opening(&mut self, transport: Transport, task: Task) {
        self.state = State::Opening(transport, task);
        self.outputs.push_back(Output::Open(transport));
    }

    fn exchange(&mut self, connection: Connection, task: Task) {
        self.state = State::Exchanging(connection, task);
        let timeout = if self.way_out(connection, task).is_some() {
            FIRST_REPLY_TIMEOUT
        } else if connection.transport == Transport::Backdoor && task.failures == 0 {
            EARLY_REPLY_TIMEOUT
        } else {
            REPLY_TIMEOUT
        };
        self.outputs.push_back(Output::Exchange { timeout });
    }

    /// The backdoor, if a failure of this connection only means that nobody serves vsock.
    fn way_out(&self, connection: Connection, task: Task) -> Option<Transport> {
        match connection.transport {
            Transport::Vsock if !connection.proven && !task.switched => {
                self.route.other(Transport::Vsock)
            }
            Transport::Vsock | Transport::Backdoor => None,
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.state = State::Closed;
        self.outputs.push_back(Output::Failed(failure));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Transport::{Backdoor, Vsock};
    use super::*;

    /// What the scripted host does with one `Open` or `Exchange`.
    #[derive(Clone, Copy, Debug)]
    enum Host {
        Good,
        Bad,
        Absent,
    }

    #[test]
    fn replies_are_told_apart_by_their_status() {
        assert_eq!(
            Reply::parse(b"1 10.5.0.2"),
            Ok(Reply::Accepted(b"10.5.0.2".to_vec()))
        );
        assert_eq!(Reply::parse(b"1 "), Ok(Reply::Accepted(Vec::new())));
        assert_eq!(
            Reply::parse(b"0 No value found"),
            Ok(Reply::Refused(b"No value found".to_vec()))
        );
        for bytes in [&b""[..], b"1", b"0", b"2 x", b"1x", b" 1 ", b"\x001 "] {
            assert_eq!(
                Reply::parse(bytes),
                Err(MalformedReply { len: bytes.len() })
            );
        }
    }

    /// A guest variable may hold a machine config.
    #[test]
    fn what_the_host_answered_is_not_shown() {
        for (reply, shown) in [
            (Reply::Accepted(b"secret".to_vec()), "Accepted(6 bytes)"),
            (Reply::Refused(b"secret!".to_vec()), "Refused(7 bytes)"),
        ] {
            assert_eq!(format!("{reply:?}"), shown);
        }
    }

    #[test]
    fn a_healthy_channel_is_opened_once() {
        let mut client = Client::new(Policy::Only(Backdoor));
        assert_eq!(run(&mut client, 0, &[Host::Good, Host::Good]), "O(b) X +");
        assert_eq!(run(&mut client, 1, &[Host::Good]), "X +");
    }

    #[test]
    fn a_broken_channel_is_opened_again_and_the_request_sent_once_more() {
        let mut client = Client::new(Policy::Only(Backdoor));
        run(&mut client, 0, &[Host::Good, Host::Good]);
        let script = [Host::Bad, Host::Good, Host::Good];
        assert_eq!(run(&mut client, 1, &script), "X C O(b) X +");
    }

    #[test]
    fn the_second_failure_is_final_but_the_next_request_starts_anew() {
        let mut client = Client::new(Policy::Only(Backdoor));
        let script = [Host::Good, Host::Bad, Host::Good, Host::Bad];
        assert_eq!(run(&mut client, 0, &script), "O(b) X C O(b) X C broken");
        assert_eq!(run(&mut client, 1, &[Host::Bad]), "O(b) unreachable");
        assert_eq!(run(&mut client, 2, &[Host::Good, Host::Good]), "O(b) X +");
    }

    #[test]
    fn one_transport_alone_never_turns_to_the_other() {
        let mut client = Client::new(Policy::Only(Vsock));
        assert_eq!(run(&mut client, 0, &[Host::Absent]), "O(v) unreachable");
        let script = [Host::Good, Host::Bad, Host::Good, Host::Bad];
        assert_eq!(run(&mut client, 1, &script), "O(v) X C O(v) X C broken");
    }

    #[test]
    fn a_refused_vsock_falls_back_at_once_and_is_tried_again_after_4_seconds() {
        let mut client = Client::new(Policy::VsockFirst);
        let script = [Host::Bad, Host::Good, Host::Good];
        assert_eq!(run(&mut client, 0, &script), "O(v) O(b) X +");
        assert_eq!(run(&mut client, 3999, &[Host::Good]), "X +");
        let script = [Host::Bad, Host::Good, Host::Good];
        assert_eq!(run(&mut client, 4000, &script), "C O(v) O(b) X +");
        assert_eq!(run(&mut client, 11_999, &[Host::Good]), "X +");
        let script = [Host::Good, Host::Good];
        assert_eq!(run(&mut client, 12_000, &script), "C O(v) x +");
        assert_eq!(run(&mut client, 12_001, &[Host::Good]), "X +");
    }

    #[test]
    fn an_absent_vsock_is_tried_once_in_the_life_of_the_process() {
        let mut client = Client::new(Policy::VsockFirst);
        let script = [Host::Absent, Host::Good, Host::Good];
        assert_eq!(run(&mut client, 0, &script), "O(v) O(b) X +");
        client.forget_failures(Duration::from_secs(1_000_000));
        assert_eq!(run(&mut client, 1_000_000_000, &[Host::Good]), "X +");
    }

    #[test]
    fn a_reset_of_the_host_brings_vsock_back() {
        let mut client = Client::new(Policy::VsockFirst);
        run(&mut client, 0, &[Host::Bad, Host::Good, Host::Good]);
        run(&mut client, 4000, &[Host::Bad, Host::Good, Host::Good]);
        client.forget_failures(Duration::from_secs(9));
        let script = [Host::Good, Host::Good];
        assert_eq!(run(&mut client, 9000, &script), "C O(v) x +");
    }

    /// `x` is an exchange with the short time-out.
    #[test]
    fn a_vsock_that_accepts_but_never_answers_costs_one_short_timeout() {
        let mut client = Client::new(Policy::VsockFirst);
        let script = [Host::Good, Host::Bad, Host::Good, Host::Good];
        assert_eq!(run(&mut client, 0, &script), "O(v) x C O(b) X +");
        // Vsock has had its turn.
        let mut client = Client::new(Policy::VsockFirst);
        let script = [Host::Good, Host::Bad, Host::Bad];
        assert_eq!(run(&mut client, 0, &script), "O(v) x C O(b) unreachable");
        // The unanswered one did not use up the resend on the backdoor.
        let mut client = Client::new(Policy::VsockFirst);
        let mut script = vec![Host::Good, Host::Bad, Host::Good, Host::Bad];
        script.extend([Host::Good, Host::Good]);
        assert_eq!(run(&mut client, 0, &script), "O(v) x C O(b) X C O(b) X +");
    }

    #[test]
    fn a_proven_vsock_is_opened_again_before_the_backdoor() {
        let mut client = Client::new(Policy::VsockFirst);
        run(&mut client, 0, &[Host::Good, Host::Good]);
        let script = [Host::Bad, Host::Good, Host::Good];
        assert_eq!(run(&mut client, 1, &script), "X C O(v) x +");
        let script = [Host::Bad, Host::Bad, Host::Good, Host::Good];
        assert_eq!(run(&mut client, 2, &script), "X C O(v) O(b) X +");
    }

    #[test]
    fn a_failing_backdoor_turns_to_vsock_although_that_failed_a_moment_ago() {
        let mut client = Client::new(Policy::VsockFirst);
        assert_eq!(
            run(&mut client, 0, &[Host::Bad, Host::Bad]),
            "O(v) O(b) unreachable"
        );
        let script = [Host::Bad, Host::Good, Host::Good];
        assert_eq!(run(&mut client, 1, &script), "O(b) O(v) X +");
    }

    #[test]
    fn each_time_it_is_opened_again_both_transports_are_tried() {
        let mut client = Client::new(Policy::VsockFirst);
        let mut script = vec![Host::Bad, Host::Good, Host::Bad];
        script.extend([Host::Bad, Host::Good, Host::Good]);
        assert_eq!(run(&mut client, 0, &script), "O(v) O(b) X C O(b) O(v) X +");
    }

    #[test]
    fn a_vsock_that_was_the_last_resort_and_failed_is_left_alone_for_longer() {
        let mut client = Client::new(Policy::VsockFirst);
        run(&mut client, 0, &[Host::Bad, Host::Good, Host::Good]);
        let script = [Host::Bad, Host::Bad, Host::Good, Host::Bad];
        assert_eq!(run(&mut client, 1, &script), "X C O(b) O(v) X C broken");
        assert_eq!(
            run(&mut client, 4000, &[Host::Good, Host::Good]),
            "O(b) X +"
        );
        assert_eq!(run(&mut client, 8000, &[Host::Good]), "X +");
        let script = [Host::Good, Host::Good];
        assert_eq!(run(&mut client, 8001, &script), "C O(v) x +");
    }

    #[test]
    fn closing_starts_anew() {
        let mut client = Client::new(Policy::Only(Backdoor));
        run(&mut client, 0, &[Host::Good, Host::Good]);
        assert_eq!(client.transport(), Some(Backdoor));
        client.close();
        assert_eq!(client.poll_output(), Some(Output::Close));
        assert_eq!(client.poll_output(), None);
        assert_eq!(run(&mut client, 1, &[Host::Good, Host::Good]), "O(b) X +");
    }

    #[test]
    fn an_abandoned_exchange_takes_its_connection_with_it() {
        let mut client = Client::new(Policy::Only(Backdoor));
        run(&mut client, 0, &[Host::Good, Host::Good]);
        client.request(Duration::ZERO);
        assert!(matches!(
            client.poll_output(),
            Some(Output::Exchange { .. })
        ));
        assert_eq!(run(&mut client, 1, &[Host::Good, Host::Good]), "C O(b) X +");
    }

    #[test]
    fn a_malformed_reply_breaks_the_channel() {
        let mut client = Client::new(Policy::Only(Backdoor));
        run(&mut client, 0, &[Host::Good, Host::Good]);
        client.request(Duration::ZERO);
        client.poll_output();
        assert_eq!(
            client.handle_reply(b"", Duration::ZERO),
            Err(MalformedReply { len: 0 })
        );
        assert_eq!(client.poll_output(), Some(Output::Close));
        assert_eq!(client.poll_output(), Some(Output::Open(Backdoor)));
    }

    proptest! {
        /// Whatever the host does, a request ends after few steps, and no more than three sends.
        #[test]
        fn every_request_ends(
            auto: bool,
            requests in proptest::collection::vec((0u64..10_000, proptest::collection::vec(0u8..3, 8)), 1..20),
        ) {
            let policy = if auto { Policy::VsockFirst } else { Policy::Only(Backdoor) };
            let mut client = Client::new(policy);
            let mut now = 0;
            for (pause, script) in requests {
                now += pause;
                let script: Vec<Host> = script
                    .into_iter()
                    .map(|step| match step { 0 => Host::Good, 1 => Host::Bad, _ => Host::Absent })
                    .collect();
                let trace = run(&mut client, now, &script);
                prop_assert!(trace.ends_with('+') || trace.ends_with('n') || trace.ends_with('e'), "{}", trace);
                prop_assert!(trace.matches(['X', 'x']).count() <= 3, "{}", trace);
            }
        }
    }

    /// Runs one request against a script and writes down the outputs: C close, O(v|b) open, X exchange, x
    /// exchange with the short time-out, + replied.
    fn run(client: &mut Client, millis: u64, script: &[Host]) -> String {
        let now = Duration::from_millis(millis);
        let mut script = script.iter();
        let mut trace = Vec::new();
        client.request(now);
        while let Some(output) = client.poll_output() {
            trace.push(match output {
                Output::Close => "C",
                Output::Open(transport) => {
                    match script.next().expect("a step for Open") {
                        Host::Good => client.handle_opened(now),
                        Host::Bad => client.handle_open_failed(OpenFailure::Failed, now),
                        Host::Absent => client.handle_open_failed(OpenFailure::Absent, now),
                    }
                    if transport == Vsock { "O(v)" } else { "O(b)" }
                }
                Output::Exchange { timeout } => {
                    match script.next().expect("a step for Exchange") {
                        Host::Good => client.handle_reply(b"1 ", now).unwrap(),
                        Host::Bad | Host::Absent => client.handle_exchange_failed(now),
                    }
                    if timeout == FIRST_REPLY_TIMEOUT {
                        "x"
                    } else {
                        "X"
                    }
                }
                Output::Replied(_) => "+",
                Output::Failed(Failure::Unreachable) => "unreachable",
                Output::Failed(Failure::Broken) => "broken",
            });
        }
        trace.join(" ")
    }
}
