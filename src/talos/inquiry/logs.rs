//! The kernel's log and those of services and containers.

use super::ask::Ask;
use crate::inquiry::Trouble;
use crate::talos::proto::common::ContainerDriver;
use crate::talos::proto::machine::{DmesgRequest, LogsRequest};

/// The namespace of Talos' own services.
pub(super) const SYSTEM: &str = "system";
/// The namespace of Kubernetes' containers.
pub(super) const KUBERNETES: &str = "k8s.io";

/// Sends the kernel's log.
pub(super) async fn dmesg(ask: &mut Ask, follow: bool) -> Result<(), Trouble> {
    let request = ask.client.request(DmesgRequest {
        follow,
        tail: false,
    });
    ask.pump("Dmesg", |mut machine| async move {
        machine.dmesg(request).await
    })
    .await
}

/// Sends the log of a service or a container.
pub(super) async fn logs(
    ask: &mut Ask,
    service: &str,
    tail: Option<u32>,
    follow: bool,
) -> Result<(), Trouble> {
    let (namespace, driver, id) = place(service);
    let request = ask.client.request(LogsRequest {
        namespace: namespace.to_owned(),
        id: id.to_owned(),
        driver: driver.into(),
        follow,
        tail_lines: tail.map_or(-1, |lines| i32::try_from(lines).unwrap_or(i32::MAX)),
    });
    ask.pump(
        "Logs",
        |mut machine| async move { machine.logs(request).await },
    )
    .await
}

/// Where a log is: a container of Kubernetes is called `k8s.io:ID`, or as Talos lists it, `NAMESPACE/POD:CONTAINER`.
fn place(service: &str) -> (&'static str, ContainerDriver, &str) {
    match service.strip_prefix("k8s.io:") {
        Some(id) => (KUBERNETES, ContainerDriver::Cri, id),
        None if service.contains('/') => (KUBERNETES, ContainerDriver::Cri, service),
        None => (SYSTEM, ContainerDriver::Containerd, service),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_of_kubernetes_are_known_by_their_names() {
        let pod = "kube-system/coredns-1:coredns:5d";
        for (service, expected) in [
            ("apid", (SYSTEM, ContainerDriver::Containerd, "apid")),
            ("k8s.io:abc", (KUBERNETES, ContainerDriver::Cri, "abc")),
            (pod, (KUBERNETES, ContainerDriver::Cri, pod)),
        ] {
            assert_eq!(place(service), expected);
        }
    }
}
