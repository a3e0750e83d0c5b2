//! What the MachineService methods say of the node.

use crate::proto::machine::{FeaturesInfo, MountStat, PlatformInfo, VersionInfo};

/// The answers of Version and Mounts.
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
        }
    }
}
