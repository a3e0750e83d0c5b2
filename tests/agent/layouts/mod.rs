//! Nodes as they stand in racks: the resources that Talos has on each, and all that vCenter then shows of its
//! network.
//!
//! ```text
//!   what is configured ─ node.rs ─► LinkStatus, AddressStatus, RouteStatus, NodeAddress … ─► the agent
//!                                                                                              │
//!   text written by hand ◄─ shown.rs ─ guest.ipAddress, guest.net, guest.ipStack ◄─ vCenter ◄─┘
//! ```
//! The text is the whole of it, so that nothing more is told than what stands there. It is looked at twice: as the
//! changes have led to it, and as it is told anew to a host that has forgotten everything.

mod addresses;
mod clusters;
mod nics;
mod node;
mod shown;
