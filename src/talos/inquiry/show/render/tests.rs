use super::*;
use crate::talos::proto::google::protobuf::Timestamp;
use crate::talos::proto::machine::{
    FeaturesInfo, PlatformInfo, ServiceEvent, ServiceEvents, VersionInfo, connect_record,
};

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn sizes_have_two_digits_or_three() {
    for (bytes, shown) in [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (83_000_000, "83 MB"),
        (999_600_000, "1.0 GB"),
        (u64::MAX, "18 EB"),
    ] {
        assert_eq!(size(bytes), shown);
    }
}

#[test]
fn a_version_is_shown() {
    let shown = version(&Version {
        version: Some(VersionInfo {
            tag: text("v1.13.0"),
            sha: text("0123abc"),
            built: String::new(),
            go_version: text("go1.26.0"),
            os: text("linux"),
            arch: text("amd64"),
        }),
        platform: Some(PlatformInfo {
            name: text("vmware"),
            mode: text("cloud"),
        }),
        features: Some(FeaturesInfo { rbac: true }),
        metadata: None,
    });
    assert_eq!(
        shown,
        "\
Tag:          v1.13.0
SHA:          0123abc
Built:
Go version:   go1.26.0
OS/Arch:      linux/amd64
Platform:     vmware
Mode:         cloud
Enabled:      RBAC
"
    );
}

fn apid() -> ServiceInfo {
    let event = |seconds, state: &str, msg: &str| ServiceEvent {
        msg: text(msg),
        state: text(state),
        ts: Some(Timestamp { seconds, nanos: 0 }),
    };
    ServiceInfo {
        id: text("apid"),
        state: text("Running"),
        events: Some(ServiceEvents {
            events: vec![
                event(1_770_091_500, "Preparing", "Creating service runner"),
                event(1_770_091_506, "Running", "Health check successful"),
            ],
        }),
        health: Some(ServiceHealth {
            healthy: true,
            ..ServiceHealth::default()
        }),
    }
}

#[test]
fn services_are_shown_with_their_last_event_and_one_with_all_of_them() {
    let failed = ServiceInfo {
        id: text("etcd"),
        state: text("Waiting"),
        events: None,
        health: Some(ServiceHealth {
            last_message: text("connection\nrefused"),
            ..ServiceHealth::default()
        }),
    };
    assert_eq!(
        services(&[apid(), failed.clone()]),
        "\
SERVICE   STATE     HEALTH   LAST CHANGE                LAST EVENT
apid      Running   OK       2026-02-03T04:05:06.000Z   Health check successful
etcd      Waiting   Fail                                <none>
"
    );
    assert_eq!(
        service(&apid()),
        "\
ID       apid
STATE    Running
HEALTH   OK
EVENTS   [Running]: Health check successful (2026-02-03T04:05:06.000Z)
         [Preparing]: Creating service runner (2026-02-03T04:05:00.000Z)
"
    );
    assert_eq!(
        service(&failed),
        "\
ID                    etcd
STATE                 Waiting
HEALTH                Fail
LAST HEALTH MESSAGE   connection\\nrefused
"
    );
}

#[test]
fn processes_are_shown_with_the_whole_path_of_their_program() {
    let process = |pid, command: &str, executable: &str, args: &str| ProcessInfo {
        pid,
        state: text("S"),
        threads: 7,
        cpu_time: 1.5,
        virtual_memory: 2_500_000_000,
        resident_memory: 83_000_000,
        command: text(command),
        executable: text(executable),
        args: text(args),
        ..ProcessInfo::default()
    };
    let shown = [
        process(1, "init", "/sbin/init", "/sbin/init"),
        process(2, "kthreadd", "", ""),
        process(
            90,
            "containerd",
            "/usr/bin/containerd",
            "containerd --config a",
        ),
        process(91, "pause", "/pause", ""),
    ];
    assert_eq!(
        processes(&shown),
        "\
PID   STATE   THREADS   CPU-TIME   VIRTMEM   RESMEM   LABEL   COMMAND
1     S       7         1.50       2.5 GB    83 MB            /sbin/init
2     S       7         1.50       2.5 GB    83 MB            kthreadd
90    S       7         1.50       2.5 GB    83 MB            /usr/bin/containerd --config a
91    S       7         1.50       2.5 GB    83 MB            /pause
"
    );
}

#[test]
fn mounts_and_memory_are_shown() {
    let mount = |filesystem: &str, size, available, on: &str| MountStat {
        filesystem: text(filesystem),
        size,
        available,
        mounted_on: text(on),
    };
    assert_eq!(
        mounts(&[
            mount("/dev/sda6", 8_000_000_000, 5_000_000_000, "/var"),
            mount("proc", 0, 0, "/proc"),
        ]),
        "\
FILESYSTEM   SIZE(GB)   USED(GB)   AVAILABLE(GB)   PERCENT USED   MOUNTED ON
/dev/sda6    8.00       3.00       5.00            37.50%         /var
"
    );
    let shown = memory(&MemInfo {
        memtotal: 8_388_608,
        memfree: 4_194_304,
        memavailable: 6_291_456,
        buffers: 1024,
        cached: 2_097_152,
        shmem: 2048,
    });
    assert_eq!(
        shown,
        "\
TOTAL   USED   FREE   SHARED   BUFFERS   CACHE   AVAILABLE
8192    2047   4096   2        1         2048    6144
"
    );
    memory(&MemInfo {
        memfree: 1,
        ..MemInfo::default()
    });
}

#[test]
fn sockets_are_shown() {
    let record = |l4proto: &str, remote: (&str, u32), state: connect_record::State| ConnectRecord {
        l4proto: text(l4proto),
        localip: text("10.5.0.2"),
        localport: 50000,
        remoteip: text(remote.0),
        remoteport: remote.1,
        state: state.into(),
        rxqueue: 3,
        ..ConnectRecord::default()
    };
    let shown = [
        record("tcp", ("0.0.0.0", 0), connect_record::State::Listen),
        record("udp", ("0.0.0.0", 0), connect_record::State::Close),
    ];
    assert_eq!(
        netstat(&shown),
        "\
PROTO   RECV-Q   SEND-Q   LOCAL ADDRESS    FOREIGN ADDRESS   STATE
tcp     3        0        10.5.0.2:50000   0.0.0.0:*         LISTEN
udp     3        0        10.5.0.2:50000   0.0.0.0:*
"
    );
}

#[test]
fn etcd_is_shown() {
    let status = EtcdMemberStatus {
        member_id: 0xabc,
        leader: 0xdef0_0000_0000_0001,
        db_size: 20_000_000,
        db_size_in_use: 5_000_000,
        raft_index: 7,
        raft_term: 2,
        raft_applied_index: 7,
        protocol_version: text("3.6.4"),
        storage_version: text("3.6.0"),
        errors: vec![text("a"), text("b")],
        is_learner: false,
    };
    assert_eq!(
        etcd_status(&status),
        "\
MEMBER             DB SIZE   IN USE            LEADER             RAFT INDEX   RAFT TERM   RAFT APPLIED INDEX   LEARNER   PROTOCOL   STORAGE   ERRORS
0000000000000abc   20 MB     5.0 MB (25.00%)   def0000000000001   7            2           7                    false     3.6.4      3.6.0     a, b
"
    );
    etcd_status(&EtcdMemberStatus {
        db_size: -1,
        ..EtcdMemberStatus::default()
    });
    let member = EtcdMember {
        id: 0xabc,
        hostname: text("cp-1"),
        peer_urls: vec![text("https://10.5.0.2:2380")],
        client_urls: vec![text("https://10.5.0.2:2379")],
        is_learner: true,
    };
    assert_eq!(
        etcd_members(&[member]),
        "\
ID                 HOSTNAME   PEER URLS               CLIENT URLS             LEARNER
0000000000000abc   cp-1       https://10.5.0.2:2380   https://10.5.0.2:2379   true
"
    );
}

#[test]
fn containers_stand_below_their_pods() {
    let container = |namespace: &str, id: &str, pod: &str| ContainerInfo {
        namespace: text(namespace),
        id: text(id),
        pod_id: text(pod),
        image: text("image"),
        pid: 5,
        status: text("RUNNING"),
        ..ContainerInfo::default()
    };
    let mut all = [
        container("system", "apid", "apid"),
        container("k8s.io", "kube-system/a:b", "kube-system/a"),
        container("k8s.io", "kube-system/a", "kube-system/a"),
    ];
    assert_eq!(
        containers(&mut all),
        "\
NAMESPACE   ID                   IMAGE   PID   STATUS
k8s.io      kube-system/a        image   5     RUNNING
k8s.io      └─ kube-system/a:b   image   5     RUNNING
system      apid                 image   5     RUNNING
"
    );
    let mut all = [Stat {
        namespace: text("system"),
        id: text("apid"),
        memory_usage: 12_345_678,
        cpu_usage: 9,
        ..Stat::default()
    }];
    assert_eq!(
        stats(&mut all),
        "\
NAMESPACE   ID     MEMORY(MB)   CPU
system      apid   12.35        9
"
    );
}
