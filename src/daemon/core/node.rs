//! What the core drives beside the front end: the node with its news, and the clock.

use std::future::Future;
use std::ops::Deref;
use std::time::Duration;

use crate::diagnosis::Check;
use crate::facts::{EtcdLook, EtcdQuestion, Facts, KernelPart, Life, Reading};
use crate::freeze::{Command, Report};
use crate::front_end::{Measured, Subject};
use crate::inquiry::{Answer, InquiryId, Step};
use crate::interruption::{Call, CallId};
use crate::power::{HandOver, Heard, Obstacle};

/// What comes from the node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "one is on its way at a time")]
pub enum News {
    /// The facts have changed; see [`Node::facts`].
    Facts,
    /// What is heard of a call for a power operation.
    Heard(CallId, Heard),
    /// What became of a measurement.
    Measured(Subject, Measured),
    /// A report of the freezer.
    Freezer(Report),
    /// What Talos says of etcd.
    Etcd(EtcdLook),
    /// What became of handing over the leadership of etcd.
    HandedOver(HandOver),
    /// What came of asking Talos for a sign of life.
    Life(Life),
    /// An answer to an inquiry.
    Answer(InquiryId, Answer),
    /// The talosconfig has new contents, such as a renewed certificate.
    Talosconfig,
    /// The checks have changed; see [`Node::checks`].
    Checks,
}

/// The node, seen from the host's side.
pub trait Node {
    /// The next news; cancel-safe.
    fn next(&mut self) -> impl Future<Output = News>;
    /// What is known of it now.
    fn facts(&mut self) -> impl Deref<Target = Facts>;
    /// What works of the way to it, and what does not; takes no other news away.
    fn checks(&mut self) -> Vec<Check> {
        Vec::new()
    }
    /// Whether Talos would take a power operation from us now. `None` while that is not known.
    fn power_way(&mut self) -> Option<Result<(), Obstacle>> {
        None
    }
    /// Calls Talos for a power operation, in the background; [`News::Heard`] follows, by the deadline of the call at the
    /// latest.
    fn power(&mut self, call: Call);
    /// No more is to be heard of this call.
    fn forget(&mut self, _call: CallId) {}
    /// Asks for what no resource says, in the background.
    fn measure(&mut self, subject: Subject);
    /// Asks for the members of etcd, in the background; [`News::Etcd`] follows soon, whatever Talos does.
    fn look_at_etcd(&mut self);
    /// Asks for this of etcd, in the background; it becomes a fact.
    fn follow_etcd(&mut self, _what: EtcdQuestion) {}
    /// Hands over the leadership of etcd if this node leads, in the background; [`News::HandedOver`] follows soon,
    /// whatever Talos does.
    fn hand_over(&mut self);
    /// Asks Talos for a sign of life, in the background; [`News::Life`] follows soon, whatever Talos does.
    fn look_for_life(&mut self);
    /// Has the freezer do this; a [`News::Freezer`] follows.
    fn freezer(&mut self, command: &Command);
    /// Asks what a user of the host wants to know, or goes on with it, in the background; any but
    /// [`Inquiry::Checks`](crate::inquiry::Inquiry::Checks).
    fn inquire(&mut self, id: InquiryId, step: Step);
    /// What the kernel says now.
    fn read(&mut self, part: KernelPart) -> Reading;
}

/// The time since boot.
pub trait Clock {
    /// Now.
    fn now(&self) -> Duration;
    /// Returns once `deadline` is reached; never, when there is none.
    fn sleep_until(&self, deadline: Option<Duration>) -> impl Future<Output = ()>;
}
