//! What one call of MachineService says.

mod render;

use std::cmp::Reverse;

use tonic::transport::Channel;

use super::ask::Ask;
use super::logs::{KUBERNETES, SYSTEM};
use super::trouble;
use crate::inquiry::{Process, Show, Trouble};
use crate::talos::client::one;
use crate::talos::proto::common::ContainerDriver;
use crate::talos::proto::machine::machine_service_client::MachineServiceClient;
use crate::talos::proto::machine::netstat_request::{Filter, L4proto, NetNs};
use crate::talos::proto::machine::{
    ContainerInfo, ContainersRequest, EtcdMemberListRequest, NetstatRequest, ProcessInfo,
    ServiceInfo, StatsRequest,
};

/// Asks MachineService and takes the one message of the answer.
macro_rules! ask {
    ($ask:expr, $call:literal, $method:ident, $request:expr) => {{
        let request = $ask.client.request($request);
        let put = |mut machine: MachineServiceClient<Channel>| async move {
            machine.$method(request).await
        };
        match $ask.machine($call, put).await {
            Ok(answer) => one($call, answer.messages, |message| &message.metadata)
                .map_err(|error| trouble::of(&error)),
            Err(trouble) => Err(trouble),
        }
    }};
}

/// The processes of the node.
pub(super) async fn processes(ask: &Ask) -> Result<Vec<Process>, Trouble> {
    let processes = ask!(ask, "Processes", processes, ())?.processes;
    Ok(processes.into_iter().map(process).collect())
}

fn process(process: ProcessInfo) -> Process {
    let line = render::command_line(&process);
    Process {
        pid: u64::try_from(process.pid).unwrap_or(0),
        command: process.command,
        line,
    }
}

/// The services of the node, as Talos sorts them.
pub(super) async fn services(ask: &Ask) -> Result<Vec<ServiceInfo>, Trouble> {
    Ok(ask!(ask, "ServiceList", service_list, ())?.services)
}

/// The containers of a namespace. Those of Kubernetes are shown as its pods have them.
pub(super) async fn containers(
    ask: &Ask,
    namespace: &str,
    driver: ContainerDriver,
) -> Result<Vec<ContainerInfo>, Trouble> {
    let request = ContainersRequest {
        namespace: namespace.to_owned(),
        driver: driver.into(),
    };
    Ok(ask!(ask, "Containers", containers, request)?.containers)
}

/// What a call says, as text; any but that of events.
pub(super) async fn text(ask: &Ask, what: Show) -> Result<String, Trouble> {
    Ok(match what {
        Show::Version => render::version(&ask!(ask, "Version", version, ())?),
        Show::Services => render::services(&services(ask).await?),
        Show::Service(id) => {
            let services = services(ask).await?;
            let service = services.iter().find(|service| service.id == id);
            let none = || trouble::not_found(format!("there is no service {id}"));
            render::service(service.ok_or_else(none)?)
        }
        Show::Processes => {
            let mut processes = ask!(ask, "Processes", processes, ())?.processes;
            processes.sort_by_key(|process| Reverse(process.resident_memory));
            render::processes(&processes)
        }
        Show::Mounts => render::mounts(&ask!(ask, "Mounts", mounts, ())?.stats),
        Show::Memory => {
            let memory = ask!(ask, "Memory", memory, ())?.meminfo;
            render::memory(&memory.unwrap_or_default())
        }
        Show::Netstat => {
            let request = NetstatRequest {
                filter: Filter::All.into(),
                l4proto: Some(L4proto {
                    tcp: true,
                    tcp6: true,
                    udp: true,
                    udp6: true,
                }),
                netns: Some(NetNs { hostnetwork: true }),
            };
            render::netstat(&ask!(ask, "Netstat", netstat, request)?.connectrecord)
        }
        Show::EtcdStatus => {
            let status = ask!(ask, "EtcdStatus", etcd_status, ())?.member_status;
            render::etcd_status(&status.unwrap_or_default())
        }
        Show::EtcdMembers => {
            let request = EtcdMemberListRequest { query_local: false };
            let members = ask!(ask, "EtcdMemberList", etcd_member_list, request)?;
            render::etcd_members(&members.members)
        }
        Show::Containers => {
            let mut all = Vec::new();
            let mut troubles = Vec::new();
            for (namespace, driver) in PLACES {
                match containers(ask, namespace, driver).await {
                    Ok(of) => all.extend(of),
                    Err(trouble) => troubles.push((namespace, trouble)),
                }
            }
            with(render::containers(&mut all), troubles)?
        }
        Show::Stats => {
            let mut all = Vec::new();
            let mut troubles = Vec::new();
            for (namespace, driver) in PLACES {
                let request = StatsRequest {
                    namespace: namespace.to_owned(),
                    driver: driver.into(),
                };
                match ask!(ask, "Stats", stats, request) {
                    Ok(of) => all.extend(of.stats),
                    Err(trouble) => troubles.push((namespace, trouble)),
                }
            }
            with(render::stats(&mut all), troubles)?
        }
        Show::Events => String::new(),
    })
}

/// Where containers are.
const PLACES: [(&str, ContainerDriver); 2] = [
    (SYSTEM, ContainerDriver::Containerd),
    (KUBERNETES, ContainerDriver::Cri),
];

/// The text, and what one of the places says that is wrong. All of them together are the trouble.
fn with(mut text: String, mut troubles: Vec<(&str, Trouble)>) -> Result<String, Trouble> {
    if troubles.len() == PLACES.len() {
        return match troubles.pop() {
            Some((_, trouble)) => Err(trouble),
            None => Ok(text),
        };
    }
    for (namespace, trouble) in troubles {
        text.push_str(&format!("{namespace}: {trouble}\n"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_shown_is_named_and_all_of_them_are_the_trouble() {
        let trouble = trouble::not_found("no CRI");
        let one = with("A\n".to_owned(), vec![("k8s.io", trouble.clone())]);
        assert_eq!(one.unwrap(), "A\nk8s.io: no CRI\n");
        let all = vec![("system", trouble.clone()), ("k8s.io", trouble.clone())];
        assert_eq!(with(String::new(), all), Err(trouble));
    }
}
