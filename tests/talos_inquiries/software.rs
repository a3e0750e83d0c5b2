//! What software runs on the node.

use apid::{Apid, Method, Status};
use talos_vmtoolsd::inquiry::{Answer, Inquiry, Software, TroubleKind};

use crate::asker::Asker;

async fn software(asker: &mut Asker) -> Software {
    match asker.one(Inquiry::Software).await {
        Answer::Software(software) => software,
        other => panic!("{other:?}"),
    }
}

/// The containers with their images, as `namespace id image`.
fn containers(software: &Software) -> Vec<String> {
    let containers = software.containers.iter();
    containers
        .map(|one| format!("{} {} {}", one.namespace, one.id, one.image))
        .collect()
}

fn set_containerd(api: &Apid, version: &str) {
    let name = b"\x0a\x0acontainerd\x12".to_vec();
    let length = [version.len() as u8].to_vec();
    let spec = [name, length, version.as_bytes().to_vec()].concat();
    api.put("SBOMItems.talos.dev", "runtime", "containerd", spec);
}

#[tokio::test(start_paused = true)]
async fn what_runs_comes_with_images_and_the_release_of_containerd() {
    let (api, mut asker) = Asker::operator();
    set_containerd(&api, "v2.1.4");
    let known = software(&mut asker).await;
    assert!(known.services.contains(&"etcd".to_owned()), "{known:?}");
    assert_eq!(known.containerd.as_deref(), Some("v2.1.4"));
    assert!(!known.is_partial);
    let containers = containers(&known);
    assert_eq!(
        containers[1],
        "system etcd gcr.io/etcd-development/etcd:v3.6.4"
    );
    assert_eq!(containers.len(), 4, "{containers:#?}");
    let asked = api.calls_of(Method::Containers).into_iter();
    let asked: Vec<_> = asked.map(|call| call.request).collect();
    assert_eq!(
        asked,
        [
            "system CONTAINERD",
            "taloscontainers CONTAINERD",
            "k8s.io CRI"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_does_not_run_is_left_out() {
    let (api, mut asker) = Asker::operator();
    api.update_node(|node| {
        for service in &mut node.contents.services {
            if service.id == "etcd" {
                service.state = "Failed".to_owned();
            }
        }
        let states = ["RUNNING", "STOPPED", "SANDBOX_READY", "CONTAINER_EXITED"];
        for (container, state) in node.contents.containers.iter_mut().zip(states) {
            container.status = state.to_owned();
        }
    });
    let known = software(&mut asker).await;
    assert!(!known.services.contains(&"etcd".to_owned()), "{known:?}");
    assert!(known.services.contains(&"kubelet".to_owned()), "{known:?}");
    assert_eq!(
        containers(&known),
        [
            "system apid ghcr.io/siderolabs/apid",
            "k8s.io kube-system/coredns-6d7 registry.k8s.io/pause:3.10",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_talos_cannot_list_is_missing_and_the_rest_is_there() {
    let (api, mut asker) = Asker::operator();
    api.fail_next(Method::Containers, &Status::unavailable("no CRI"), 1);
    let known = software(&mut asker).await;
    assert!(known.is_partial);
    assert_eq!(containers(&known).len(), 2, "{known:?}");
    assert_eq!(known.containerd, None, "an older Talos does not say");
    assert!(!software(&mut asker).await.is_partial);
}

#[tokio::test(start_paused = true)]
async fn without_the_services_there_is_no_answer() {
    let (api, mut asker) = Asker::operator();
    api.allow(Method::ServiceList, &[]);
    let trouble = asker.trouble(Inquiry::Software).await;
    assert_eq!(trouble.kind, TroubleKind::Denied);
    assert!(api.calls_of(Method::Containers).is_empty());
}
