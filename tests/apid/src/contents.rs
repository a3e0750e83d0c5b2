//! What the rarer methods of MachineService say of a node: processes, services, memory, sockets, containers, etcd.

use crate::proto::google::protobuf::Timestamp;
use crate::proto::machine::{
    ConnectRecord, ContainerInfo, EtcdMember, EtcdMemberStatus, MemInfo, ProcessInfo, ServiceEvent,
    ServiceEvents, ServiceHealth, ServiceInfo, Stat, connect_record,
};

/// See the module.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Processes.
    pub processes: Vec<ProcessInfo>,
    /// ServiceList.
    pub services: Vec<ServiceInfo>,
    /// Memory.
    pub memory: MemInfo,
    /// Netstat.
    pub sockets: Vec<ConnectRecord>,
    /// Containers of all namespaces.
    pub containers: Vec<ContainerInfo>,
    /// Stats of all namespaces.
    pub stats: Vec<Stat>,
    /// EtcdStatus and EtcdMemberList; on a worker there is none.
    pub etcd: Option<(EtcdMemberStatus, Vec<EtcdMember>)>,
}

impl Default for Contents {
    /// A control plane node.
    fn default() -> Self {
        let record = |l4proto: &str, port, remote: (&str, u32), state: connect_record::State| {
            ConnectRecord {
                l4proto: l4proto.to_owned(),
                localip: "10.5.0.2".to_owned(),
                localport: port,
                remoteip: remote.0.to_owned(),
                remoteport: remote.1,
                state: state.into(),
                ..ConnectRecord::default()
            }
        };
        Self {
            processes: processes(),
            services: services(),
            memory: MemInfo {
                memtotal: 8_388_608,
                memfree: 4_194_304,
                memavailable: 6_291_456,
                buffers: 1024,
                cached: 2_097_152,
                shmem: 2048,
            },
            sockets: vec![
                record("tcp", 50000, ("0.0.0.0", 0), connect_record::State::Listen),
                record(
                    "tcp",
                    2379,
                    ("10.5.0.3", 41234),
                    connect_record::State::Established,
                ),
                record("udp", 123, ("0.0.0.0", 0), connect_record::State::Close),
            ],
            containers: containers(),
            stats: containers().into_iter().map(stat).collect(),
            etcd: Some(etcd()),
        }
    }
}

/// Some 300, as on a node with pods: those of Talos, the kernel's threads, and those of containers.
fn processes() -> Vec<ProcessInfo> {
    let process = |pid, command: &str, executable: &str, args: &str| ProcessInfo {
        pid,
        ppid: i32::from(pid > 1),
        state: "S".to_owned(),
        threads: 1 + pid % 9,
        cpu_time: f64::from(pid) / 8.0,
        virtual_memory: 1_000_000 * u64::from(pid.unsigned_abs()),
        resident_memory: 100_000 * u64::from(pid.unsigned_abs() % 97),
        command: command.to_owned(),
        executable: executable.to_owned(),
        args: args.to_owned(),
        label: "system_u:system_r:init_t:s0".to_owned(),
    };
    let mut processes = vec![
        process(1, "init", "/sbin/init", "/sbin/init"),
        process(2, "kthreadd", "", ""),
        process(
            900,
            "containerd",
            "/usr/bin/containerd",
            "containerd --address /system/run/a.sock",
        ),
        process(901, "apid", "/apid", "/apid"),
        process(
            902,
            "etcd",
            "/usr/local/bin/etcd",
            "/usr/local/bin/etcd --name=cp-1 --data-dir=/var/lib/etcd",
        ),
        process(
            903,
            "kubelet",
            "/usr/local/bin/kubelet",
            "/usr/local/bin/kubelet --config=/etc/kubernetes/kubelet.yaml",
        ),
    ];
    processes.extend((3..150).map(|pid| process(pid, &format!("kworker/{pid}:0"), "", "")));
    processes.extend((1000..1150).map(|pid| {
        let args = format!("/app/server --port={pid} --name=a\u{e9}");
        process(pid, "server", "/app/server", &args)
    }));
    processes
}

fn services() -> Vec<ServiceInfo> {
    let event = |seconds, state: &str, msg: &str| ServiceEvent {
        msg: msg.to_owned(),
        state: state.to_owned(),
        ts: Some(Timestamp { seconds, nanos: 0 }),
    };
    let service = |id: &str, healthy| ServiceInfo {
        id: id.to_owned(),
        state: "Running".to_owned(),
        events: Some(ServiceEvents {
            events: vec![
                event(1_770_091_500, "Waiting", "Waiting for containerd to be up"),
                event(1_770_091_503, "Preparing", "Creating service runner"),
                event(1_770_091_506, "Running", "Started task with PID 901"),
            ],
        }),
        health: Some(ServiceHealth {
            unknown: healthy && id == "udevd",
            healthy,
            last_message: String::new(),
            last_change: None,
        }),
    };
    let ids = [
        "apid",
        "containerd",
        "cri",
        "etcd",
        "kubelet",
        "machined",
        "trustd",
        "udevd",
    ];
    ids.iter().map(|id| service(id, true)).collect()
}

fn containers() -> Vec<ContainerInfo> {
    let container = |namespace: &str, id: &str, pod: &str, image: &str, pid| ContainerInfo {
        namespace: namespace.to_owned(),
        id: id.to_owned(),
        image: image.to_owned(),
        pid,
        status: "CONTAINER_RUNNING".to_owned(),
        pod_id: pod.to_owned(),
        name: id.rsplit('/').next().unwrap_or(id).to_owned(),
    };
    let coredns = "kube-system/coredns-6d7";
    vec![
        container("system", "apid", "apid", "ghcr.io/siderolabs/apid", 901),
        container(
            "system",
            "etcd",
            "etcd",
            "gcr.io/etcd-development/etcd:v3.6.4",
            902,
        ),
        container(
            "k8s.io",
            coredns,
            coredns,
            "registry.k8s.io/pause:3.10",
            1000,
        ),
        container(
            "k8s.io",
            "kube-system/coredns-6d7:coredns:1a2b",
            coredns,
            "coredns:v1.12",
            1001,
        ),
    ]
}

fn stat(container: ContainerInfo) -> Stat {
    Stat {
        memory_usage: 1_000_000 * u64::from(container.pid),
        cpu_usage: 1_000_000_000,
        namespace: container.namespace,
        id: container.id,
        pod_id: container.pod_id,
        name: container.name,
    }
}

fn etcd() -> (EtcdMemberStatus, Vec<EtcdMember>) {
    let status = EtcdMemberStatus {
        member_id: 0x1122_3344_5566_7788,
        leader: 0x1122_3344_5566_7788,
        protocol_version: "3.6.4".to_owned(),
        storage_version: "3.6.0".to_owned(),
        db_size: 20_000_000,
        db_size_in_use: 5_000_000,
        raft_index: 1234,
        raft_term: 2,
        raft_applied_index: 1234,
        ..EtcdMemberStatus::default()
    };
    let member = EtcdMember {
        id: status.member_id,
        hostname: "talos-cp-1".to_owned(),
        peer_urls: vec!["https://10.5.0.2:2380".to_owned()],
        client_urls: vec!["https://10.5.0.2:2379".to_owned()],
        is_learner: false,
    };
    (status, vec![member])
}
