//! The resource types and namespaces that a Talos node knows, and which of them are secret.
//!
//! The access filter looks a type up without regard to case; the store itself wants it exact.
//! [siderolabs/talos: internal/app/resources/access.go, each resource's `ResourceDefinition`]

/// Types that os:operator and os:reader may read.
pub(crate) const READABLE: &[&str] = &[
    "AddressSpecs.net.talos.dev",
    "AddressStatuses.net.talos.dev",
    "CPUStats.perf.talos.dev",
    "Disks.block.talos.dev",
    "Endpoints.kubernetes.talos.dev",
    "EtcdMembers.etcd.talos.dev",
    "ExtensionStatuses.runtime.talos.dev",
    "HostnameSpecs.net.talos.dev",
    "HostnameStatuses.net.talos.dev",
    "LinkStatuses.net.talos.dev",
    "MachineStatuses.runtime.talos.dev",
    "MachineTypes.config.talos.dev",
    "Members.cluster.talos.dev",
    "MemoryStats.perf.talos.dev",
    "MetaKeys.runtime.talos.dev",
    "MountStatuses.block.talos.dev",
    "MountStatuses.runtime.talos.dev",
    "NetworkStatuses.net.talos.dev",
    "NodeAddresses.net.talos.dev",
    "NodeIPs.kubernetes.talos.dev",
    "NodeStatuses.kubernetes.talos.dev",
    "Nodenames.kubernetes.talos.dev",
    "PlatformMetadatas.talos.dev",
    "ResolverSpecs.net.talos.dev",
    "ResolverStatuses.net.talos.dev",
    "ResourceDefinitions.meta.cosi.dev",
    "RouteStatuses.net.talos.dev",
    "SBOMItems.talos.dev",
    "SecurityStates.talos.dev",
    "Services.v1alpha1.talos.dev",
    "SystemDisks.block.talos.dev",
    "SystemInformations.hardware.talos.dev",
    "TimeStatuses.v1alpha1.talos.dev",
    "VolumeStatuses.block.talos.dev",
];

/// Types that only os:admin may read; an operator's answer is "not authorized".
pub(crate) const SENSITIVE: &[&str] = &[
    "LinkSpecs.net.talos.dev",
    "MachineConfigs.config.talos.dev",
    "OSRootSecrets.secrets.talos.dev",
    "OperatorSpecs.net.talos.dev",
];

/// Every registered namespace.
pub(crate) const NAMESPACES: &[&str] = &[
    "cluster",
    "cluster-raw",
    "config",
    "containers",
    "controlplane",
    "cri",
    "etcd",
    "files",
    "hardware",
    "k8s",
    "kubespan",
    "meta",
    "network",
    "network-config",
    "perf",
    "runtime",
    "secrets",
    "security",
    "storage",
];

/// The namespace where the resources of a type are, by the end of its name.
pub(crate) fn namespace(kind: &str) -> &'static str {
    const BY_SUFFIX: [(&str, &str); 11] = [
        ("Endpoints.kubernetes.talos.dev", "controlplane"),
        (".net.talos.dev", "network"),
        (".perf.talos.dev", "perf"),
        (".etcd.talos.dev", "etcd"),
        (".cluster.talos.dev", "cluster"),
        (".config.talos.dev", "config"),
        (".hardware.talos.dev", "hardware"),
        (".kubernetes.talos.dev", "k8s"),
        (".secrets.talos.dev", "secrets"),
        (".cosi.dev", "meta"),
        ("", "runtime"),
    ];
    let of = BY_SUFFIX.iter().find(|(suffix, _)| kind.ends_with(suffix));
    of.map_or("runtime", |(_, namespace)| namespace)
}
