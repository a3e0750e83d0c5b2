//! Nodes as they stand in racks: the resources that Talos has on each, and all that vCenter then shows of its
//! network.
//!
//! ```text
//!   tests/layouts/*.yaml ─ Apid::lay ─► LinkStatus, AddressStatus, RouteStatus, NodeAddress … ─► the agent
//!            │                                                                                   │
//!            └─ answer ◄─ shown.rs ─ guest.ipAddress, guest.net, guest.ipStack ◄─ vCenter ◄──────┘
//! ```
//! The answer is the whole of it, so that nothing more is shown than what is there. It is looked at twice: as the
//! changes have led to it, and as it is shown again to a host that has forgotten everything. `seen.rs` keeps it for
//! `make readers`.

mod crowds;
mod seen;
mod shown;

use layouts::Layout;

use shown::Showing;

layouts::test_each!(shows);

fn shows(name: &str) {
    let layout = Layout::named(name);
    let showing = Showing::of(layout.first());
    for (number, moment) in layout.moments.iter().enumerate() {
        showing.talos.lay(&moment.node);
        if let Some(answer) = &moment.shown {
            showing.is(answer);
            seen::keep(name, number, moment, &showing.run);
        }
    }
    for moment in &layout.moments {
        for (network, answer) in &moment.under {
            Showing::under(&moment.node, network, answer).is(answer);
        }
    }
}
