//! The methods that are served, and who may call them.

/// A method of machine.MachineService or cosi.resource.State.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `/machine.MachineService/Containers`
    Containers,
    /// `/machine.MachineService/Dmesg`
    Dmesg,
    /// `/machine.MachineService/EtcdForfeitLeadership`
    EtcdForfeitLeadership,
    /// `/machine.MachineService/EtcdMemberList`
    EtcdMemberList,
    /// `/machine.MachineService/EtcdStatus`
    EtcdStatus,
    /// `/machine.MachineService/Events`
    Events,
    /// `/machine.MachineService/List`
    List,
    /// `/machine.MachineService/Logs`
    Logs,
    /// `/machine.MachineService/Memory`
    Memory,
    /// `/machine.MachineService/Mounts`
    Mounts,
    /// `/machine.MachineService/Netstat`
    Netstat,
    /// `/machine.MachineService/NetworkDeviceStats`
    NetworkDeviceStats,
    /// `/machine.MachineService/Processes`
    Processes,
    /// `/machine.MachineService/Read`
    Read,
    /// `/machine.MachineService/Reboot`
    Reboot,
    /// `/machine.MachineService/ServiceList`
    ServiceList,
    /// `/machine.MachineService/Shutdown`
    Shutdown,
    /// `/machine.MachineService/Stats`
    Stats,
    /// `/machine.MachineService/SystemStat`
    SystemStat,
    /// `/machine.MachineService/Version`
    Version,
    /// `/cosi.resource.State/Get`
    Get,
    /// `/cosi.resource.State/List`
    ListResources,
    /// `/cosi.resource.State/Watch`
    Watch,
}

/// May do everything.
pub const ADMIN: &str = "os:admin";
/// May read, reboot and shut down.
pub const OPERATOR: &str = "os:operator";
/// May read.
pub const READER: &str = "os:reader";
/// In a client certificate: the roles in the metadata count.
pub const IMPERSONATOR: &str = "os:impersonator";

impl Method {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Containers,
        Self::Dmesg,
        Self::EtcdForfeitLeadership,
        Self::EtcdMemberList,
        Self::EtcdStatus,
        Self::Events,
        Self::List,
        Self::Logs,
        Self::Memory,
        Self::Mounts,
        Self::Netstat,
        Self::NetworkDeviceStats,
        Self::Processes,
        Self::Read,
        Self::Reboot,
        Self::ServiceList,
        Self::Shutdown,
        Self::Stats,
        Self::SystemStat,
        Self::Version,
        Self::Get,
        Self::ListResources,
        Self::Watch,
    ];

    /// The path of its requests.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Containers => "/machine.MachineService/Containers",
            Self::Dmesg => "/machine.MachineService/Dmesg",
            Self::EtcdForfeitLeadership => "/machine.MachineService/EtcdForfeitLeadership",
            Self::EtcdMemberList => "/machine.MachineService/EtcdMemberList",
            Self::EtcdStatus => "/machine.MachineService/EtcdStatus",
            Self::Events => "/machine.MachineService/Events",
            Self::List => "/machine.MachineService/List",
            Self::Logs => "/machine.MachineService/Logs",
            Self::Memory => "/machine.MachineService/Memory",
            Self::Mounts => "/machine.MachineService/Mounts",
            Self::Netstat => "/machine.MachineService/Netstat",
            Self::NetworkDeviceStats => "/machine.MachineService/NetworkDeviceStats",
            Self::Processes => "/machine.MachineService/Processes",
            Self::Read => "/machine.MachineService/Read",
            Self::Reboot => "/machine.MachineService/Reboot",
            Self::ServiceList => "/machine.MachineService/ServiceList",
            Self::Shutdown => "/machine.MachineService/Shutdown",
            Self::Stats => "/machine.MachineService/Stats",
            Self::SystemStat => "/machine.MachineService/SystemStat",
            Self::Version => "/machine.MachineService/Version",
            Self::Get => "/cosi.resource.State/Get",
            Self::ListResources => "/cosi.resource.State/List",
            Self::Watch => "/cosi.resource.State/Watch",
        }
    }

    /// The method of this path.
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.path() == path)
    }

    /// Whether it belongs to cosi.resource.State, which apid does not fan out.
    pub const fn is_state(self) -> bool {
        matches!(self, Self::Get | Self::ListResources | Self::Watch)
    }

    /// Who may call it in Talos 1.11 and later; before, EtcdStatus was not for os:reader.
    pub const fn roles(self) -> &'static [&'static str] {
        match self {
            Self::EtcdForfeitLeadership | Self::Read => &[ADMIN],
            Self::Reboot | Self::Shutdown => &[ADMIN, OPERATOR],
            _ => &[ADMIN, OPERATOR, READER],
        }
    }
}
