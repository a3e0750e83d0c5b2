//! The order of addresses, one rule after the other, and which of them decided.

use std::fmt;

use super::evidence::{Gateway, Making};
use crate::report::policy::Priority;

/// The place that the policy gives an interface.
pub(super) type Place = Priority;

/// Sort key of an address: what stands first counts first, and less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// How usable it is.
    pub(super) tier: u8,
    /// The operator's order of interfaces.
    pub(super) nic: Place,
    /// Not of the family that the operator prefers, or not for long.
    pub(super) not_preferred: bool,
    /// Place in the kubelet's list.
    pub(super) kubelet: usize,
    /// Of the family that comes second.
    pub(super) second_family: bool,
    /// The default route of its family.
    pub(super) gateway: Gateway,
    /// Neither Talos nor the kubelet asked for it.
    pub(super) foreign: bool,
    /// Inside the network of another one.
    pub(super) inside: bool,
    /// How it came to be.
    pub(super) making: Making,
    /// Not the one that Talos' list `default` sticks to.
    pub(super) not_sticky: bool,
    /// The kernel's number of its link.
    pub(super) link: u32,
    /// Position among all addresses of the node: of one link, the oldest first.
    pub(super) order: usize,
}

/// What decided that an address is the primary one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// No other may be it.
    Only,
    /// No other is as usable.
    Usable,
    /// The settings `primary_nics` and `low_priority_nics`.
    Nics,
    /// The setting `prefer`.
    Prefer,
    /// The kubelet's list.
    Kubelet,
    /// IPv4 before IPv6, or the kubelet's order.
    Family,
    /// The best default route.
    DefaultRoute,
    /// Talos asked for it.
    AskedFor,
    /// The next one is a single address of its network.
    Network,
    /// The next one made itself.
    Chosen,
    /// Talos' list `default`.
    Sticky,
    /// The number of its interface.
    Interface,
    /// It was there first.
    First,
}

impl Rank {
    /// The first rule by which this one is better than the next best.
    pub(super) fn rule_over(&self, next: &Self) -> Rule {
        let rules = [
            (self.tier != next.tier, Rule::Usable),
            (self.nic != next.nic, Rule::Nics),
            (self.not_preferred != next.not_preferred, Rule::Prefer),
            (self.kubelet != next.kubelet, Rule::Kubelet),
            (self.second_family != next.second_family, Rule::Family),
            (self.gateway != next.gateway, Rule::DefaultRoute),
            (self.foreign != next.foreign, Rule::AskedFor),
            (self.inside != next.inside, Rule::Network),
            (self.making != next.making, Rule::Chosen),
            (self.not_sticky != next.not_sticky, Rule::Sticky),
            (self.link != next.link, Rule::Interface),
        ];
        let first = rules.into_iter().find(|(differs, _)| *differs);
        first.map_or(Rule::First, |(_, rule)| rule)
    }
}

impl Rule {
    /// A name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Only => "only",
            Self::Usable => "usable",
            Self::Nics => "nics",
            Self::Prefer => "prefer",
            Self::Kubelet => "kubelet",
            Self::Family => "family",
            Self::DefaultRoute => "default_route",
            Self::AskedFor => "asked_for",
            Self::Network => "network",
            Self::Chosen => "chosen",
            Self::Sticky => "talos_default",
            Self::Interface => "interface",
            Self::First => "first",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Only => "no other address can be it",
            Self::Usable => "no other address is as usable",
            Self::Nics => "primary_nics or low_priority_nics says so",
            Self::Prefer => "prefer says so",
            Self::Kubelet => "the kubelet registers it",
            Self::Family => "its family comes first",
            Self::DefaultRoute => "its interface has the best default route",
            Self::AskedFor => "Talos asked for it, and nobody for the next best",
            Self::Network => "the next best is a single address inside its network",
            Self::Chosen => "the next best was made from a router's announcement",
            Self::Sticky => "Talos' list default has it",
            Self::Interface => "its interface has the lowest number",
            Self::First => "it was there before the next best",
        })
    }
}
