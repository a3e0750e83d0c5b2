//! The answers of MachineService as text, much as talosctl shows them.
//!
//! Sizes are decimal, times in UTC: a text may be read long after it was made.

use crate::talos::inquiry::resources::stamp;
use crate::talos::inquiry::table::{Table, aligned, cell};
use crate::talos::proto::machine::{
    ConnectRecord, ContainerInfo, EtcdMember, EtcdMemberStatus, MemInfo, MountStat, ProcessInfo,
    ServiceHealth, ServiceInfo, Stat, Version,
};

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut shown = String::new();
    for unit in UNITS {
        value /= 1000.0;
        shown = if value < 9.95 {
            format!("{value:.1} {unit}")
        } else {
            format!("{value:.0} {unit}")
        };
        if value < 999.5 {
            break;
        }
    }
    shown
}

pub(super) fn version(version: &Version) -> String {
    let info = version.version.clone().unwrap_or_default();
    let has_rbac = version.features.is_some_and(|features| features.rbac);
    let platform = version.platform.clone().unwrap_or_default();
    let rows = [
        ["Tag:", &info.tag],
        ["SHA:", &info.sha],
        ["Built:", &info.built],
        ["Go version:", &info.go_version],
        ["OS/Arch:", &format!("{}/{}", info.os, info.arch)],
        ["Platform:", &platform.name],
        ["Mode:", &platform.mode],
        ["Enabled:", if has_rbac { "RBAC" } else { "" }],
    ];
    aligned(&rows.map(|row| row.map(cell)))
}

/// How a service is.
fn health(health: Option<&ServiceHealth>) -> &'static str {
    match health {
        Some(health) if health.unknown => "?",
        Some(health) if health.healthy => "OK",
        Some(_) => "Fail",
        None => "?",
    }
}

pub(super) fn services(services: &[ServiceInfo]) -> String {
    let mut table = Table::new(["SERVICE", "STATE", "HEALTH", "LAST CHANGE", "LAST EVENT"]);
    for service in services {
        let events = service.events.as_ref();
        let last = events.and_then(|events| events.events.last());
        let time = last.and_then(|last| last.ts.as_ref());
        table.add([
            service.id.clone(),
            service.state.clone(),
            health(service.health.as_ref()).to_owned(),
            time.map(stamp).unwrap_or_default(),
            last.map_or("<none>", |last| &last.msg).to_owned(),
        ]);
    }
    table.text()
}

pub(super) fn service(service: &ServiceInfo) -> String {
    let row = |name: &str, value: &str| [name.to_owned(), cell(value)];
    let mut rows = vec![
        row("ID", &service.id),
        row("STATE", &service.state),
        row("HEALTH", health(service.health.as_ref())),
    ];
    if let Some(health) = &service.health
        && !health.last_message.is_empty()
    {
        rows.push(row("LAST HEALTH MESSAGE", &health.last_message));
    }
    let events = service.events.as_ref().map(|events| &events.events);
    let mut name = "EVENTS";
    for event in events.into_iter().flatten().rev() {
        let time = event.ts.as_ref().map(stamp).unwrap_or_default();
        let text = format!("[{}]: {} ({time})", event.state, event.msg);
        rows.push(row(name, &text));
        name = "";
    }
    aligned(&rows)
}

/// The whole command line of a process, with the path of its program; that of a kernel thread is its name.
pub(super) fn command_line(process: &ProcessInfo) -> String {
    let mut words = process.args.split_whitespace();
    let program = process.executable.split_whitespace().next();
    match (words.next(), program) {
        (_, None) => process.command.clone(),
        (None, Some(program)) => program.to_owned(),
        (Some(first), Some(program)) => {
            let base = program.rsplit('/').next().unwrap_or(program);
            if first == base {
                process.args.replacen(first, program, 1)
            } else {
                process.args.clone()
            }
        }
    }
}

pub(super) fn processes(processes: &[ProcessInfo]) -> String {
    let mut table = Table::new([
        "PID", "STATE", "THREADS", "CPU-TIME", "VIRTMEM", "RESMEM", "LABEL", "COMMAND",
    ]);
    for process in processes {
        table.add([
            process.pid.to_string(),
            process.state.clone(),
            process.threads.to_string(),
            format!("{:.2}", process.cpu_time),
            size(process.virtual_memory),
            size(process.resident_memory),
            process.label.clone(),
            command_line(process),
        ]);
    }
    table.text()
}

pub(super) fn mounts(mounts: &[MountStat]) -> String {
    let mut table = Table::new([
        "FILESYSTEM",
        "SIZE(GB)",
        "USED(GB)",
        "AVAILABLE(GB)",
        "PERCENT USED",
        "MOUNTED ON",
    ]);
    for mount in mounts.iter().filter(|mount| mount.size > 0) {
        let gb = |bytes: u64| format!("{:.2}", bytes as f64 * 1e-9);
        let used = mount.size.saturating_sub(mount.available);
        table.add([
            mount.filesystem.clone(),
            gb(mount.size),
            gb(used),
            gb(mount.available),
            format!("{:.2}%", 100.0 * used as f64 / mount.size as f64),
            mount.mounted_on.clone(),
        ]);
    }
    table.text()
}

pub(super) fn memory(memory: &MemInfo) -> String {
    let mut table = Table::new([
        "TOTAL",
        "USED",
        "FREE",
        "SHARED",
        "BUFFERS",
        "CACHE",
        "AVAILABLE",
    ]);
    let free = [memory.memfree, memory.cached, memory.buffers];
    let used = free.into_iter().fold(memory.memtotal, u64::saturating_sub);
    let shown = [
        memory.memtotal,
        used,
        memory.memfree,
        memory.shmem,
        memory.buffers,
        memory.cached,
        memory.memavailable,
    ];
    table.add(shown.map(|kib| (kib / 1024).to_string()));
    table.text()
}

pub(super) fn netstat(records: &[ConnectRecord]) -> String {
    let mut table = Table::new([
        "PROTO",
        "RECV-Q",
        "SEND-Q",
        "LOCAL ADDRESS",
        "FOREIGN ADDRESS",
        "STATE",
    ]);
    for record in records {
        let place = |ip: &str, port: u32| match port {
            0 => format!("{ip}:*"),
            port => format!("{ip}:{port}"),
        };
        // Of UDP sockets the state means nothing else.
        let state = if record.l4proto.starts_with("udp") && record.state().as_str_name() == "CLOSE"
        {
            ""
        } else {
            record.state().as_str_name()
        };
        table.add([
            record.l4proto.clone(),
            record.rxqueue.to_string(),
            record.txqueue.to_string(),
            place(&record.localip, record.localport),
            place(&record.remoteip, record.remoteport),
            state.to_owned(),
        ]);
    }
    table.text()
}

/// etcd's own form of a member's number.
fn member(id: u64) -> String {
    format!("{id:016x}")
}

pub(super) fn etcd_status(status: &EtcdMemberStatus) -> String {
    let mut table = Table::new([
        "MEMBER",
        "DB SIZE",
        "IN USE",
        "LEADER",
        "RAFT INDEX",
        "RAFT TERM",
        "RAFT APPLIED INDEX",
        "LEARNER",
        "PROTOCOL",
        "STORAGE",
        "ERRORS",
    ]);
    let bytes = |count: i64| u64::try_from(count).unwrap_or(0);
    let (all, in_use) = (bytes(status.db_size), bytes(status.db_size_in_use));
    let ratio = if all == 0 {
        0.0
    } else {
        100.0 * in_use as f64 / all as f64
    };
    table.add([
        member(status.member_id),
        size(all),
        format!("{} ({ratio:.2}%)", size(in_use)),
        member(status.leader),
        status.raft_index.to_string(),
        status.raft_term.to_string(),
        status.raft_applied_index.to_string(),
        status.is_learner.to_string(),
        status.protocol_version.clone(),
        status.storage_version.clone(),
        status.errors.join(", "),
    ]);
    table.text()
}

pub(super) fn etcd_members(members: &[EtcdMember]) -> String {
    let mut table = Table::new(["ID", "HOSTNAME", "PEER URLS", "CLIENT URLS", "LEARNER"]);
    for one in members {
        table.add([
            member(one.id),
            one.hostname.clone(),
            one.peer_urls.join(","),
            one.client_urls.join(","),
            one.is_learner.to_string(),
        ]);
    }
    table.text()
}

/// What a container is called: those of a pod stand below it.
fn within(id: &str, pod: &str) -> String {
    if id == pod || pod.is_empty() {
        id.to_owned()
    } else {
        format!("└─ {id}")
    }
}

pub(super) fn containers(containers: &mut [ContainerInfo]) -> String {
    let mut table = Table::new(["NAMESPACE", "ID", "IMAGE", "PID", "STATUS"]);
    containers.sort_by(|one, other| (&one.namespace, &one.id).cmp(&(&other.namespace, &other.id)));
    for one in containers {
        table.add([
            one.namespace.clone(),
            within(&one.id, &one.pod_id),
            one.image.clone(),
            one.pid.to_string(),
            one.status.clone(),
        ]);
    }
    table.text()
}

pub(super) fn stats(stats: &mut [Stat]) -> String {
    let mut table = Table::new(["NAMESPACE", "ID", "MEMORY(MB)", "CPU"]);
    stats.sort_by(|one, other| (&one.namespace, &one.id).cmp(&(&other.namespace, &other.id)));
    for one in stats {
        table.add([
            one.namespace.clone(),
            within(&one.id, &one.pod_id),
            format!("{:.2}", one.memory_usage as f64 * 1e-6),
            one.cpu_usage.to_string(),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests;
