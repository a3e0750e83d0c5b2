//! What an administrator sees in vCenter, derived from what the guest said and from its signs of life.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Host;
use crate::codec::guest_info::{Disk, GuestInfo, OsDetailed, Stat};
use crate::codec::nic_info::NicInfo;
use crate::codec::rpci::Command;

/// Younger than this the heartbeat is green.
const GREEN: Duration = Duration::from_secs(2);
/// Younger than this it is yellow, older is red.
const YELLOW: Duration = Duration::from_secs(10);

/// What the guest has told, as far as the host accepted it.
#[derive(Debug, Default)]
pub(super) struct Guest {
    pub(super) variables: BTreeMap<String, Vec<u8>>,
    capabilities: BTreeMap<String, String>,
    version: Option<u32>,
    install_type: Option<i32>,
    host_name: Option<String>,
    build: Option<String>,
    os_full: Option<String>,
    os_short: Option<String>,
    detailed: Option<OsDetailed>,
    uptime_centis: Option<u64>,
    nics: Option<NicInfo>,
    nics_type: Option<u32>,
    disks: Vec<Disk>,
    stats: Vec<Stat>,
    power: Vec<PowerStatus>,
    log: Vec<String>,
}

impl Guest {
    pub(super) fn learn(&mut self, command: &Command) {
        match command {
            Command::InfoSet { key, value } => {
                self.variables.insert(key.clone(), value.clone());
            }
            Command::Capability { name, value } => {
                self.capabilities.insert(name.clone(), value.clone());
            }
            Command::VmxCapability { name, value } => {
                self.capabilities
                    .insert(format!("vmx.{name}"), value.clone());
            }
            Command::Version(version) => self.version = Some(*version),
            Command::VersionType(version, kind) => {
                self.version = Some(*version);
                self.install_type = Some(*kind);
            }
            Command::StateChangeStatus { success, state } => {
                self.power.push(PowerStatus {
                    state: *state,
                    success: *success,
                });
            }
            Command::Log(text) => self.log.push(text.clone()),
            Command::DiskInfo(disks) => self.disks.clone_from(disks),
            Command::GuestInfo(info) => match info {
                GuestInfo::HostName(text) => self.host_name = Some(text.clone()),
                GuestInfo::Build(text) => self.build = Some(text.clone()),
                GuestInfo::OsFull(text) => self.os_full = Some(text.clone()),
                GuestInfo::OsShort(text) => self.os_short = Some(text.clone()),
                GuestInfo::Uptime(centis) => self.uptime_centis = Some(*centis),
                GuestInfo::Disks(disks) => self.disks.clone_from(disks),
                GuestInfo::Stats(stats) => self.stats.clone_from(stats),
                GuestInfo::Nics(kind, nics) => {
                    self.nics = Some(nics.clone());
                    self.nics_type = Some(*kind);
                }
                GuestInfo::OsDetailed(os) => {
                    self.os_full = Some(os.full.clone());
                    self.os_short = Some(os.short.clone());
                    self.detailed = Some(os.clone());
                }
                GuestInfo::NicsV1(_) => {}
            },
            Command::InfoGet(_)
            | Command::BackupEvent { .. }
            | Command::AppMonitor(_)
            | Command::Other(..) => {}
        }
    }
}

/// guest.toolsRunningStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ToolsRunning {
    /// No TCLO channel that has answered `reset`.
    NotRunning,
    /// One has.
    Running,
    /// A state change was asked for and its status is not there yet.
    ExecutingScripts,
}

/// guestHeartbeatStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Heartbeat {
    /// The tools do not run.
    Gray,
    /// No sign of life for 10 s.
    Red,
    /// No sign of life for 2 s.
    Yellow,
    /// Regular signs of life.
    Green,
}

/// One `tools.os.statechange.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PowerStatus {
    /// 1 halt, 2 reboot, 3 power on, 4 resume, 5 suspend.
    pub state: u32,
    /// Whether the guest says it can.
    pub success: bool,
}

impl PowerStatus {
    /// The TCLO command it answers.
    pub fn command(self) -> &'static str {
        match self.state {
            1 => "OS_Halt",
            2 => "OS_Reboot",
            3 => "OS_PowerOn",
            4 => "OS_Resume",
            _ => "OS_Suspend",
        }
    }
}

/// A snapshot of the view.
#[derive(Clone, Debug, Serialize)]
pub struct Vcenter {
    /// guest.toolsRunningStatus.
    pub tools_running: ToolsRunning,
    /// guestHeartbeatStatus.
    pub heartbeat: Heartbeat,
    /// guest.toolsVersion; 2147483647 is "guest managed".
    pub tools_version: u32,
    /// guest.toolsVersionStatus2.
    pub tools_version_status: &'static str,
    /// guest.toolsInstallType.
    pub tools_install_type: &'static str,
    /// guest.guestStateChangeSupported.
    pub state_change_supported: bool,
    /// guest.hostName.
    pub host_name: Option<String>,
    /// guest.guestFullName.
    pub guest_full_name: Option<String>,
    /// guest.guestId.
    pub guest_id: Option<String>,
    /// guest.guestDetailedData.
    pub detailed: BTreeMap<String, String>,
    /// guest.ipAddress: the first address of the first NIC that has one.
    pub ip_address: Option<String>,
    /// guest.net and guest.ipStack, as sent.
    pub nics: Option<NicInfo>,
    /// The SetGuestInfo type the NIC list came in: 10, or the fallback 9.
    pub nics_type: Option<u32>,
    /// guest.disk.
    pub disks: Vec<Disk>,
    /// Statistics of SetGuestInfo 8.
    pub stats: Vec<Stat>,
    /// Uptime in hundredths of a second, as last told.
    pub uptime_centis: Option<u64>,
    /// SetGuestInfo 4.
    pub build: Option<String>,
    /// Accepted capabilities: `statechange`, `vmx.unified_loop` … with their values.
    pub capabilities: BTreeMap<String, String>,
    /// extraConfig `guestinfo.*`, without the prefix.
    pub variables: BTreeMap<String, String>,
    /// Every state change status received.
    pub power: Vec<PowerStatus>,
    /// Lines the guest wrote to vmware.log.
    pub log: Vec<String>,
}

impl Vcenter {
    /// Tools running with a green heartbeat.
    pub fn is_green(&self) -> bool {
        self.heartbeat == Heartbeat::Green && self.tools_running != ToolsRunning::NotRunning
    }

    /// All addresses of all NICs as text, in order.
    pub fn addresses(&self) -> Vec<String> {
        let nics = self.nics.iter().flat_map(|info| &info.nics);
        nics.flat_map(|nic| &nic.ips)
            .map(|ip| ip.address.to_string())
            .collect()
    }

    /// The addresses that the vSphere cloud provider gives to the Kubernetes node: of each family the first that is
    /// valid beyond its link (pkg/cloudprovider/vsphere/nodemanager.go; no subnets or networks configured).
    pub fn node_addresses(&self) -> Vec<IpAddr> {
        let nics = self.nics.iter().flat_map(|info| &info.nics);
        let usable = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
            IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        };
        let ips: Vec<IpAddr> = nics
            .flat_map(|nic| &nic.ips)
            .map(|ip| ip.address)
            .filter(usable)
            .collect();
        let first = |ipv6| ips.iter().find(|ip| ip.is_ipv6() == ipv6).copied();
        [first(false), first(true)].into_iter().flatten().collect()
    }

    /// All MACs, in order.
    pub fn macs(&self) -> Vec<String> {
        let nics = self.nics.iter().flat_map(|info| &info.nics);
        nics.map(|nic| nic.mac.clone()).collect()
    }
}

impl Host {
    /// The view at `now`.
    pub fn vcenter(&self, now: Instant) -> Vcenter {
        let guest = &self.guest;
        let heartbeat = match self.newest_life() {
            None => Heartbeat::Gray,
            Some(at) => match now.saturating_duration_since(at) {
                age if age <= GREEN => Heartbeat::Green,
                age if age <= YELLOW => Heartbeat::Yellow,
                _ => Heartbeat::Red,
            },
        };
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        Vcenter {
            tools_running: match heartbeat {
                Heartbeat::Gray => ToolsRunning::NotRunning,
                _ if self.state_change_pending() => ToolsRunning::ExecutingScripts,
                _ => ToolsRunning::Running,
            },
            heartbeat,
            tools_version: guest.version.unwrap_or(0),
            tools_version_status: match (guest.version, guest.install_type) {
                (None, _) => "guestToolsNotInstalled",
                (Some(0x7fff_ffff), _) | (_, Some(3 | 4)) => "guestToolsUnmanaged",
                _ => "guestToolsCurrent",
            },
            tools_install_type: match guest.install_type {
                Some(1) => "guestToolsTypeMSI",
                Some(2) => "guestToolsTypeTar",
                Some(3) => "guestToolsTypeOSP",
                Some(4) => "guestToolsTypeOpenVMTools",
                _ => "guestToolsTypeUnknown",
            },
            state_change_supported: guest.capabilities.contains_key("statechange"),
            host_name: guest.host_name.clone(),
            guest_full_name: guest.os_full.clone(),
            guest_id: guest.os_short.clone(),
            detailed: guest.detailed.clone().unwrap_or_default().fields,
            ip_address: guest
                .nics
                .as_ref()
                .and_then(NicInfo::primary)
                .map(|ip| ip.to_string()),
            nics: guest.nics.clone(),
            nics_type: guest.nics_type,
            disks: guest.disks.clone(),
            stats: guest.stats.clone(),
            uptime_centis: guest.uptime_centis,
            build: guest.build.clone(),
            capabilities: guest.capabilities.clone(),
            variables: guest
                .variables
                .iter()
                .map(|(key, v)| (key.clone(), text(v)))
                .collect(),
            power: guest.power.clone(),
            log: guest.log.clone(),
        }
    }

    /// When the heartbeat will change its colour if the guest stays silent.
    pub(crate) fn next_colour(&self, now: Instant) -> Option<Instant> {
        let life = self.newest_life()?;
        [life + GREEN, life + YELLOW]
            .into_iter()
            .map(|at| at + Duration::from_millis(1))
            .find(|&at| at > now)
    }

    fn state_change_pending(&self) -> bool {
        let asked = self.exchanges.iter().filter(|exchange| {
            exchange.request.starts_with(b"OS_") && exchange.picked_up.is_some() && !exchange.lost
        });
        let refused = self.exchanges.iter().filter(|exchange| {
            let reply = exchange.reply.as_deref().unwrap_or_default();
            exchange.request.starts_with(b"OS_") && reply.starts_with(b"ERROR")
        });
        asked.count() > self.guest.power.len() + refused.count()
    }
}
