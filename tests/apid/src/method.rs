//! The methods that are served, and who may call them.

/// A method of machine.MachineService or cosi.resource.State.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `/machine.MachineService/Events`
    Events,
    /// `/machine.MachineService/Hostname`
    Hostname,
    /// `/machine.MachineService/LoadAvg`
    LoadAvg,
    /// `/machine.MachineService/Memory`
    Memory,
    /// `/machine.MachineService/Mounts`
    Mounts,
    /// `/machine.MachineService/Reboot`
    Reboot,
    /// `/machine.MachineService/ServiceList`
    ServiceList,
    /// `/machine.MachineService/Shutdown`
    Shutdown,
    /// `/machine.MachineService/SystemStat`
    SystemStat,
    /// `/machine.MachineService/Version`
    Version,
    /// `/cosi.resource.State/Get`
    Get,
    /// `/cosi.resource.State/List`
    List,
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
    pub const ALL: [Self; 13] = [
        Self::Events,
        Self::Hostname,
        Self::LoadAvg,
        Self::Memory,
        Self::Mounts,
        Self::Reboot,
        Self::ServiceList,
        Self::Shutdown,
        Self::SystemStat,
        Self::Version,
        Self::Get,
        Self::List,
        Self::Watch,
    ];

    /// The path of its requests.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Events => "/machine.MachineService/Events",
            Self::Hostname => "/machine.MachineService/Hostname",
            Self::LoadAvg => "/machine.MachineService/LoadAvg",
            Self::Memory => "/machine.MachineService/Memory",
            Self::Mounts => "/machine.MachineService/Mounts",
            Self::Reboot => "/machine.MachineService/Reboot",
            Self::ServiceList => "/machine.MachineService/ServiceList",
            Self::Shutdown => "/machine.MachineService/Shutdown",
            Self::SystemStat => "/machine.MachineService/SystemStat",
            Self::Version => "/machine.MachineService/Version",
            Self::Get => "/cosi.resource.State/Get",
            Self::List => "/cosi.resource.State/List",
            Self::Watch => "/cosi.resource.State/Watch",
        }
    }

    /// The method of this path.
    pub fn of_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.path() == path)
    }

    /// Whether it belongs to cosi.resource.State, which apid does not fan out.
    pub const fn is_state(self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch)
    }

    /// Who may call it in Talos 1.4 and later.
    pub const fn roles(self) -> &'static [&'static str] {
        match self {
            Self::Reboot | Self::Shutdown => &[ADMIN, OPERATOR],
            _ => &[ADMIN, OPERATOR, READER],
        }
    }
}
