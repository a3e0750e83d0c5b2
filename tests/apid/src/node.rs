//! What the MachineService methods say of the node.

use crate::contents::Contents;
use crate::files::Files;
use crate::proto::machine::{
    FeaturesInfo, MountStat, NetDev, PlatformInfo, SystemStat, VersionInfo,
};

/// The answers of Version, Mounts, NetworkDeviceStats and SystemStat.
#[derive(Clone, Debug)]
pub struct Node {
    /// Version's `version`.
    pub version: VersionInfo,
    /// Version's `platform`.
    pub platform: PlatformInfo,
    /// Version's `features`; absent before there is a machine config.
    pub features: Option<FeaturesInfo>,
    /// Mounted file systems, sizes in bytes.
    pub mounts: Vec<MountStat>,
    /// What has gone over the network links.
    pub devices: Vec<NetDev>,
    /// What is looked at less often: processes, services, sockets, containers, etcd.
    pub contents: Contents,
    /// Files and folders, by their whole paths.
    pub files: Files,
    /// What SystemStat makes of the counters of the machine that the tests run on: nothing, or those of another
    /// machine ([`another_machine`]).
    pub stat: fn(SystemStat) -> SystemStat,
}

/// For [`Node::stat`]: a machine that booted an hour earlier.
pub fn another_machine(stat: SystemStat) -> SystemStat {
    SystemStat {
        boot_time: stat.boot_time.saturating_sub(3600),
        ..stat
    }
}

/// For [`Node::stat`]: a machine that booted in the same second and has done less since.
pub fn twin(stat: SystemStat) -> SystemStat {
    SystemStat {
        context_switches: stat.context_switches / 2,
        ..stat
    }
}

/// What the kernel counts.
pub(crate) fn this_machine() -> SystemStat {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.trim().parse().ok())
            .unwrap_or_default()
    };
    SystemStat {
        metadata: None,
        boot_time: field("btime "),
        context_switches: field("ctxt "),
        process_created: field("processes "),
    }
}

impl Default for Node {
    /// A healthy Talos 1.13 on VMware.
    fn default() -> Self {
        let mount = |filesystem: &str, mounted_on: &str, size: u64, available: u64| MountStat {
            filesystem: filesystem.to_owned(),
            size,
            available,
            mounted_on: mounted_on.to_owned(),
        };
        Self {
            version: VersionInfo {
                tag: "v1.13.0".to_owned(),
                sha: "0123abc".to_owned(),
                built: String::new(),
                go_version: "go1.26.0".to_owned(),
                os: "linux".to_owned(),
                arch: "amd64".to_owned(),
            },
            platform: PlatformInfo {
                name: "vmware".to_owned(),
                mode: "cloud".to_owned(),
            },
            features: Some(FeaturesInfo { rbac: true }),
            mounts: vec![
                mount("/dev/sda6", "/var", 8 << 30, 5 << 30),
                mount("/dev/sda5", "/system/state", 100 << 20, 90 << 20),
            ],
            devices: vec![
                NetDev {
                    name: "lo".to_owned(),
                    rx_bytes: 840,
                    rx_packets: 10,
                    tx_bytes: 840,
                    tx_packets: 10,
                    ..NetDev::default()
                },
                NetDev {
                    name: "eth0".to_owned(),
                    rx_bytes: 5_000_000_000,
                    rx_packets: 4_000_000,
                    rx_errors: 1,
                    rx_dropped: 2,
                    tx_bytes: 600_000_000,
                    tx_packets: 3_000_000,
                    tx_errors: 3,
                    tx_dropped: 4,
                },
            ],
            contents: Contents::default(),
            files: Files::default(),
            stat: |stat| stat,
        }
    }
}
