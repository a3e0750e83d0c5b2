//! What the MachineService methods tell of the node.

use crate::proto::machine::{
    CpuStat, FeaturesInfo, MemInfo, MountStat, PlatformInfo, ServiceHealth, ServiceInfo,
    VersionInfo,
};

/// The answers of Hostname, Version, SystemStat, LoadAvg, Memory, Mounts and ServiceList.
#[derive(Clone, Debug)]
pub struct Node {
    /// The kernel's node name.
    pub hostname: String,
    /// Version's `version`.
    pub version: VersionInfo,
    /// Version's `platform`.
    pub platform: PlatformInfo,
    /// Version's `features`; absent before there is a machine config.
    pub features: Option<FeaturesInfo>,
    /// When the machine started, in Unix seconds.
    pub boot_time: u64,
    /// Seconds by use, all processors together.
    pub cpu_total: CpuStat,
    /// Load averages of 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// `/proc/meminfo`, in KiB.
    pub memory: MemInfo,
    /// Mounted file systems, sizes in bytes.
    pub mounts: Vec<MountStat>,
    /// Talos' services.
    pub services: Vec<ServiceInfo>,
}

impl Default for Node {
    /// A healthy Talos 1.13 on VMware that has been up for an hour.
    fn default() -> Self {
        let service = |id: &str| ServiceInfo {
            id: id.to_owned(),
            state: "Running".to_owned(),
            events: None,
            health: Some(ServiceHealth {
                unknown: false,
                healthy: true,
                ..ServiceHealth::default()
            }),
        };
        let mount = |filesystem: &str, mounted_on: &str, size: u64, available: u64| MountStat {
            filesystem: filesystem.to_owned(),
            size,
            available,
            mounted_on: mounted_on.to_owned(),
        };
        Self {
            hostname: String::new(),
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
            boot_time: an_hour_ago(),
            cpu_total: CpuStat {
                user: 120.5,
                system: 60.25,
                idle: 7000.0,
                ..CpuStat::default()
            },
            load: [0.25, 0.5, 0.75],
            memory: MemInfo {
                memtotal: 4_000_000,
                memfree: 1_000_000,
                memavailable: 2_500_000,
                buffers: 50_000,
                cached: 1_500_000,
                active: 800_000,
                inactive: 900_000,
                ..MemInfo::default()
            },
            mounts: vec![
                mount("/dev/sda6", "/var", 8 << 30, 5 << 30),
                mount("/dev/sda5", "/system/state", 100 << 20, 90 << 20),
            ],
            services: ["apid", "containerd", "cri", "ext-talos-vmtoolsd", "kubelet"]
                .map(service)
                .to_vec(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "Talos itself derives the boot time from the wall clock"
)]
fn an_hour_ago() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs().saturating_sub(3600))
}
