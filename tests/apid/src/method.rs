//! The methods that are served, and who may call them.

/// A method of machine.MachineService or cosi.resource.State.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `/machine.MachineService/Events`
    Events,
    /// `/machine.MachineService/Mounts`
    Mounts,
    /// `/machine.MachineService/NetworkDeviceStats`
    NetworkDeviceStats,
    /// `/machine.MachineService/Reboot`
    Reboot,
    /// `/machine.MachineService/Shutdown`
    Shutdown,
    /// `/machine.MachineService/SystemStat`
    SystemStat,
    /// `/machine.MachineService/Version`
    Version,
    /// `/cosi.resource.State/Get`
    Get,
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
    pub const ALL: [Self; 9] = [
        Self::Events,
        Self::Mounts,
        Self::NetworkDeviceStats,
        Self::Reboot,
        Self::Shutdown,
        Self::SystemStat,
        Self::Version,
        Self::Get,
        Self::Watch,
    ];

    /// The path of its requests.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Events => "/machine.MachineService/Events",
            Self::Mounts => "/machine.MachineService/Mounts",
            Self::NetworkDeviceStats => "/machine.MachineService/NetworkDeviceStats",
            Self::Reboot => "/machine.MachineService/Reboot",
            Self::Shutdown => "/machine.MachineService/Shutdown",
            Self::SystemStat => "/machine.MachineService/SystemStat",
            Self::Version => "/machine.MachineService/Version",
            Self::Get => "/cosi.resource.State/Get",
            Self::Watch => "/cosi.resource.State/Watch",
        }
    }

    /// The method of this path.
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.path() == path)
    }

    /// Whether it belongs to cosi.resource.State, which apid does not fan out.
    pub const fn is_state(self) -> bool {
        matches!(self, Self::Get | Self::Watch)
    }

    /// Who may call it in Talos 1.4 and later.
    pub const fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Reboot | Self::Shutdown => &[ADMIN, OPERATOR],
            _ => &[ADMIN, OPERATOR, READER],
        }
    }
}
