//! Methods of the Talos API that os:reader may call and that only read.
//!
//! From machined's table of roles, Talos 1.4 to 1.14. Left out although os:reader stands in their row there: what
//! writes in maintenance mode, and what connects to a host that the caller names.

/// All of them, in order.
const METHODS: [&str; 32] = [
    "/cosi.resource.State/Get",
    "/cosi.resource.State/List",
    "/cosi.resource.State/Watch",
    "/inspect.InspectService/ControllerRuntimeDependencies",
    "/machine.ImageService/List",
    "/machine.MachineService/CPUFreqStats",
    "/machine.MachineService/CPUInfo",
    "/machine.MachineService/Containers",
    "/machine.MachineService/DiskStats",
    "/machine.MachineService/DiskUsage",
    "/machine.MachineService/Dmesg",
    "/machine.MachineService/EtcdAlarmList",
    "/machine.MachineService/EtcdMemberList",
    "/machine.MachineService/EtcdStatus",
    "/machine.MachineService/Events",
    "/machine.MachineService/Hostname",
    "/machine.MachineService/ImageList",
    "/machine.MachineService/List",
    "/machine.MachineService/LoadAvg",
    "/machine.MachineService/Logs",
    "/machine.MachineService/LogsContainers",
    "/machine.MachineService/Memory",
    "/machine.MachineService/Mounts",
    "/machine.MachineService/Netstat",
    "/machine.MachineService/NetworkDeviceStats",
    "/machine.MachineService/Processes",
    "/machine.MachineService/ServiceList",
    "/machine.MachineService/Stats",
    "/machine.MachineService/SystemStat",
    "/machine.MachineService/Version",
    "/storage.StorageService/Disks",
    "/time.TimeService/Time",
];

/// Whether the relay passes a call on.
pub(super) fn only_reads(method: &str) -> bool {
    METHODS.binary_search(&method).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_are_in_order() {
        assert!(METHODS.is_sorted());
    }

    #[test]
    fn what_writes_or_leads_elsewhere_is_none() {
        for method in METHODS {
            assert!(only_reads(method), "{method}");
        }
        for method in [
            "/machine.MachineService/Reboot",
            "/machine.MachineService/Read",
            "/machine.MachineService/ApplyConfiguration",
            "/storage.StorageService/BlockDeviceWipe",
            "/time.TimeService/TimeCheck",
            "/cosi.resource.State/Create",
            "/machine.MachineService/version",
            "machine.MachineService/Version",
            "",
        ] {
            assert!(!only_reads(method), "{method}");
        }
    }
}
