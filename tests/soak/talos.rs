//! What happens to Talos and to the node.

use std::time::Duration;

use apid::{Method, Stage, resources, storage};

use crate::Outcome;
use crate::subject::{Subject, VOLUME};

const RUNTIME: &str = "runtime";
const NETWORK: &str = "network";
const PARTITION: &str = "/dev/sdb2";

/// Addresses that come and go: 10.5.0.100 and up.
const ADDRESSES: u64 = 24;
/// How many of them in one burst.
const BURST: u64 = 8;

impl Subject {
    /// A burst of addresses that come and go on eth0.
    pub(crate) fn addresses(&mut self) {
        for _ in 0..self.random.within(1, BURST) {
            let address = format!("10.5.0.{}", 100 + self.random.below(ADDRESSES));
            let prefix = format!("{address}/24");
            if self.node.addresses.remove(&address) {
                self.talos.remove_address("eth0", &prefix);
            } else {
                self.node.addresses.insert(address);
                self.talos.set_address("eth0", &prefix);
            }
        }
    }

    pub(crate) fn volume(&mut self) {
        self.node.volume = !self.node.volume;
        if self.node.volume {
            self.talos
                .set_space(PARTITION, VOLUME, 4 << 30, self.random.below(4 << 30));
            self.talos
                .set_volume("u-soak", "/dev/sdb", PARTITION, VOLUME);
        } else {
            self.talos.remove_mount("u-soak");
            self.talos
                .destroy(storage::VOLUME_STATUS, RUNTIME, "u-soak");
            self.talos
                .update_node(|node| node.mounts.retain(|mount| mount.mounted_on != VOLUME));
        }
    }

    pub(crate) fn readiness(&mut self) {
        self.node.ready = !self.node.ready;
        self.conditions();
    }

    /// MachineStatus as it is; a power sequence leaves another one.
    pub(crate) fn conditions(&self) {
        let unmet: &[&str] = if self.node.ready { &[] } else { &["services"] };
        self.talos.set_conditions(Stage::MachineStageRunning, unmet);
    }

    pub(crate) fn talos_restart(&mut self) -> Outcome {
        self.talos.stop();
        let away = self.random.within(1, 600);
        self.pass(Duration::from_millis(away))?;
        // What happened meanwhile is there when it comes back.
        self.addresses();
        self.talos.expire_bookmarks();
        Ok(self.talos.restart()?)
    }

    pub(crate) fn watches_end(&mut self) {
        let status = self.passing_failure();
        self.talos.end_watches(&status);
    }

    pub(crate) fn talos_hangs(&mut self) -> Outcome {
        self.talos.hang();
        self.addresses();
        let time = self.random.within(50, 500);
        let passed = self.pass(Duration::from_millis(time));
        self.talos.resume();
        passed
    }

    /// Calls fail, which are made because the connections are cut.
    pub(crate) fn talos_fails(&mut self) -> Outcome {
        for method in [Method::Version, Method::Watch, Method::Mounts] {
            let status = self.passing_failure();
            let times = usize::try_from(self.random.below(3))?;
            self.talos.fail_next(method, &status, times);
        }
        self.talos.drop_connections();
        Ok(())
    }

    pub(crate) fn talos_slow(&mut self) -> Outcome {
        let method = self
            .random
            .one_of(Method::Watch, &[Method::Version, Method::Mounts]);
        let delay = self.random.within(10, 200);
        self.talos.delay(method, Duration::from_millis(delay));
        self.talos.drop_connections();
        self.addresses();
        let passed = self.pass(Duration::from_millis(300));
        self.talos.delay(method, Duration::ZERO);
        passed
    }

    pub(crate) fn malformed_resource(&mut self) -> Outcome {
        let kinds = [resources::LINK_STATUS, resources::NODE_ADDRESS];
        let kind = self.random.one_of(resources::ADDRESS_STATUS, &kinds);
        let len = self.random.within(1, 2000);
        // A field of wire type 7, which there is not, and anything behind it.
        let spec = [vec![0x0f], self.random.bytes(len)].concat();
        self.talos.put(kind, NETWORK, "soak", spec);
        let passed = self.pass(Duration::from_millis(50));
        self.talos.destroy(kind, NETWORK, "soak");
        passed
    }

    /// Renewed certificates, with connections that stand or that are cut.
    pub(crate) fn talosconfig(&mut self) -> Outcome {
        if self.random.below(3) == 0 {
            self.talos.rotate_authority()?;
        } else {
            self.talos.reissue(|_| {})?;
        }
        if self.random.below(2) == 0 {
            self.talos.drop_connections();
        }
        self.folder.write("talosconfig", &self.talos.talosconfig())
    }
}
