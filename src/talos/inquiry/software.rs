//! What software runs on the node.
//!
//! ```text
//! ServiceList ─────────────────────────────────► services, those in the state Running
//! Containers of system, taloscontainers, k8s.io ► containers with their images
//! SBOMItems.talos.dev `containerd` ────────────► its release, since Talos 1.11
//! ```
//! The roles are those of reading. Nothing else that Talos shows to them has versions: KubeletSpec is open to os:admin
//! alone, so a service's version is the tag of its image.

use prost::Message;

use super::ask::Ask;
use super::logs::{KUBERNETES, SYSTEM};
use super::show;
use crate::inquiry::{Container, Software, Trouble};
use crate::talos::facts::Kind;
use crate::talos::proto::common::ContainerDriver;
use crate::talos::proto::definitions::runtime::SbomItemSpec;
use crate::talos::proto::machine::ContainerInfo;

/// What the boot image is made of (since Talos 1.11).
const SBOM: Kind = Kind {
    namespace: "runtime",
    kind: "SBOMItems.talos.dev",
};

/// containerd's namespace of the containers that a machine config declares (since Talos 1.14); on older releases it is
/// empty.
const DECLARED: &str = "taloscontainers";

/// What runs. A namespace that Talos cannot list, such as Kubernetes' before its containerd is up, is left out.
pub(super) async fn look(ask: &Ask) -> Result<Software, Trouble> {
    let services = show::services(ask).await?.into_iter();
    let services = services.filter(|service| service.state == "Running");
    let mut software = Software {
        services: services.map(|service| service.id).collect(),
        containerd: containerd(ask).await,
        ..Software::default()
    };
    for (namespace, driver) in [
        (SYSTEM, ContainerDriver::Containerd),
        (DECLARED, ContainerDriver::Containerd),
        (KUBERNETES, ContainerDriver::Cri),
    ] {
        match show::containers(ask, namespace, driver).await {
            Ok(containers) => {
                let running = containers.into_iter().filter(is_running);
                software.containers.extend(running.map(container));
            }
            Err(_) => software.is_partial = true,
        }
    }
    Ok(software)
}

/// By the states of containerd, and of CRI's pods and containers.
fn is_running(container: &ContainerInfo) -> bool {
    matches!(
        container.status.as_str(),
        "RUNNING" | "CONTAINER_RUNNING" | "SANDBOX_READY"
    )
}

fn container(container: ContainerInfo) -> Container {
    Container {
        namespace: container.namespace,
        id: container.id,
        image: container.image,
    }
}

/// The release of containerd; `None` where Talos does not say.
async fn containerd(ask: &Ask) -> Option<String> {
    let spec = ask.client.get(&SBOM, "containerd").await.ok()?;
    let item = SbomItemSpec::decode(spec.as_slice()).ok()?;
    Some(item.version).filter(|version| !version.is_empty())
}
