//! The node: the embedded Talos API, and the daemon's own bridge to it.

use std::io;

use apid::{Apid, scene};
use talos_vmtoolsd::talos::Dial;
use tokio::io::DuplexStream;

use crate::node;

/// The way to the API.
#[derive(Debug)]
pub(super) struct Pipe(pub(super) Apid);

impl Dial for Pipe {
    type Stream = DuplexStream;

    async fn dial(&self) -> io::Result<DuplexStream> {
        self.0.connect()
    }
}

/// The node that [`crate::session::not_right`] expects, before its address changes.
pub(super) fn set_up(api: &Apid) {
    scene::single_nic(api);
    api.set_link("eth0", scene::nic(2, [0, 0x50, 0x56, 1, 2, 3]));
    api.remove_address("eth0", "fe80::250:56ff:feab:cdef/64");
    api.set_esxi_storage();
}

/// The other address takes the place of the first.
pub(super) fn change_address(api: &Apid) {
    let [old, new] = [node::FIRST_ADDRESS, node::ADDRESS].map(|ip| format!("{ip}/24"));
    api.set_static_address("eth0", &new);
    for list in [
        "default",
        "current",
        "routed",
        "current-no-k8s",
        "routed-no-k8s",
    ] {
        api.set_node_address(list, &[&new]);
    }
    api.remove_address("eth0", &old);
}
