//! cosi.resource.State: the access filter, Get, List, and all that a Watch does.

mod client;

use apid::proto::cosi::resource::{EventType, GetRequest, WatchOptions, WatchRequest};
use apid::resources::{
    ADDRESS_SPEC, ADDRESS_STATUS, HOSTNAME_STATUS, LINK_STATUS, NODE_ADDRESS, OPERATOR_SPEC,
};
use apid::scene;
use client::{
    SOON, as_operator, claiming, event, everything, machined, message, state, told, watch,
};
use tonic::Code;

#[tokio::test]
async fn specs_are_encoded_as_talos_encodes_them() {
    let (_directory, apid, channel) = machined().await;
    apid.set_hostname("cp1", "example.org");
    apid.set_address_with("eth0", "10.0.0.5/24", |address| address.local = None);
    apid.set_node_address("current", &["10.0.0.5/24"]);
    // Captured from Talos 1.13.
    for (kind, id, hex) in [
        (
            HOSTNAME_STATUS,
            "hostname",
            "0a03637031120b6578616d706c652e6f7267",
        ),
        (
            ADDRESS_STATUS,
            "eth0/10.0.0.5/24",
            "0a080a040a000005101830023a04657468304002508001",
        ),
        (NODE_ADDRESS, "current", "0a080a040a0000051018"),
    ] {
        let resource = get(&channel, "network", kind, id).await.unwrap();
        let spec = resource.spec.unwrap();
        let hex_of: String = spec
            .proto_spec
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex_of, hex, "{kind}");
        assert_ne!(spec.yaml_spec, "", "both forms are filled");
    }
}

#[tokio::test]
async fn the_access_filter_says_what_it_does_not_know() {
    let (_directory, apid, channel) = machined().await;
    let refused = get(&channel, "network", "Nonsense.net.talos.dev", "x").await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "resource type \"Nonsense.net.talos.dev\" is not supported"
    );

    let refused = get(&channel, "nowhere", LINK_STATUS, "eth0").await;
    assert_eq!(
        refused.unwrap_err().message(),
        "namespace \"nowhere\" is not supported"
    );

    let absent = get(&channel, "network", LINK_STATUS, "eth9").await;
    assert_eq!(absent.unwrap_err().code(), Code::NotFound);
    // The filter does not mind the case, the store does.
    let lower = LINK_STATUS.to_lowercase();
    let absent = get(&channel, "network", &lower, "eth0").await;
    assert_eq!(absent.unwrap_err().code(), Code::NotFound);

    apid.drop_type(LINK_STATUS);
    let refused = get(&channel, "network", LINK_STATUS, "eth0").await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_sensitive_type_is_for_admins() {
    let (_directory, apid, channel) = machined().await;
    apid.set_vip("eth0", "10.5.0.100");
    let request = || everything(OPERATOR_SPEC);
    let refused = state(&channel).watch(as_operator(request())).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(refused.message(), "not authorized");
    let admin = claiming("os:admin", request());
    state(&channel).watch(admin).await.unwrap();

    // Its address is in the open, under an id that tells the virtual IP.
    let mut specs = everything(ADDRESS_SPEC);
    "network-config".clone_into(&mut specs.namespace);
    let mut specs = watch(&channel, specs).await;
    let mut ids = Vec::new();
    loop {
        match told(&event(&mut specs).await) {
            (EventType::Created, id) => ids.push(id),
            (kind, _) => break assert_eq!(kind, EventType::Bootstrapped),
        }
    }
    assert!(
        ids.contains(&"vip/eth0/eth0/10.5.0.100/32".to_owned()),
        "{ids:?}"
    );
}

#[tokio::test]
async fn a_watch_on_a_type_brings_the_contents_then_the_changes() {
    let (_directory, apid, channel) = machined().await;
    let mut links = watch(&channel, everything(LINK_STATUS)).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(told(&event(&mut links).await));
    }
    assert_eq!(
        seen,
        [
            (EventType::Created, "eth0".to_owned()),
            (EventType::Created, "lo".to_owned()),
            (EventType::Bootstrapped, String::new()),
        ]
    );

    let eth0 = apid.link("eth0").unwrap();
    apid.set_link("eth1", scene::nic(3, [2; 6]));
    apid.set_link("eth0", scene::down(eth0.clone()));
    apid.set_link("eth0", scene::down(eth0));
    apid.remove_link("eth1");
    assert_eq!(
        told(&event(&mut links).await),
        (EventType::Created, "eth1".to_owned())
    );
    let updated = event(&mut links).await;
    assert_eq!(told(&updated), (EventType::Updated, "eth0".to_owned()));
    let version = |resource: Option<apid::proto::cosi::resource::Resource>| {
        resource.unwrap().metadata.unwrap().version
    };
    assert_eq!(version(updated.old), "1");
    assert_eq!(version(updated.resource), "2");
    // The equal value in between was no change.
    let gone = event(&mut links).await;
    assert_eq!(told(&gone), (EventType::Destroyed, "eth1".to_owned()));
    assert!(gone.resource.unwrap().spec.is_some());
}

#[tokio::test]
async fn an_old_caller_is_not_told_of_the_end_of_the_contents() {
    let (_directory, apid, channel) = machined().await;
    let mut request = everything(HOSTNAME_STATUS);
    request.api_version = 0;
    let mut watch = watch(&channel, request).await;
    assert_eq!(event(&mut watch).await.event_type(), EventType::Created);
    apid.set_hostname("other", "");
    assert_eq!(event(&mut watch).await.event_type(), EventType::Updated);
}

#[tokio::test]
async fn an_aggregated_watch_brings_the_contents_in_one_message() {
    let (_directory, apid, channel) = machined().await;
    let mut request = everything(LINK_STATUS);
    request.options.as_mut().unwrap().aggregated = true;
    let mut watch = watch(&channel, request).await;
    let contents = message(&mut watch).await.event;
    let kinds: Vec<_> = contents.iter().map(|event| event.event_type()).collect();
    assert_eq!(
        kinds,
        [
            EventType::Created,
            EventType::Created,
            EventType::Bootstrapped
        ]
    );
    apid.remove_link("lo");
    let [gone] = &message(&mut watch).await.event[..] else {
        panic!("one event")
    };
    assert_eq!(told(gone), (EventType::Destroyed, "lo".to_owned()));
}

#[tokio::test]
async fn a_watch_on_one_resource_begins_with_its_state() {
    let (_directory, apid, channel) = machined().await;
    let one = |id: &str| WatchRequest {
        id: Some(id.to_owned()),
        options: None,
        ..everything(NODE_ADDRESS)
    };
    let mut present = watch(&channel, one("default")).await;
    let first = event(&mut present).await;
    assert_eq!(told(&first), (EventType::Created, "default".to_owned()));

    let mut absent = watch(&channel, one("current-only-k8s")).await;
    let first = event(&mut absent).await;
    assert_eq!(
        told(&first),
        (EventType::Destroyed, "current-only-k8s".to_owned())
    );
    let spec = first.resource.unwrap().spec.unwrap();
    assert_eq!(spec.proto_spec, []);

    apid.set_node_address("default", &["10.5.0.9/24"]);
    apid.set_node_address("current-only-k8s", &["10.244.0.1/24"]);
    assert_eq!(event(&mut present).await.event_type(), EventType::Updated);
    let next = event(&mut absent).await;
    assert_eq!(
        told(&next),
        (EventType::Created, "current-only-k8s".to_owned())
    );

    let mut with_contents = one("default");
    with_contents.options = everything("").options;
    let refused = state(&channel).watch(as_operator(with_contents)).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_bookmark_brings_what_was_missed_until_it_expires() {
    let (_directory, apid, channel) = machined().await;
    let mut first = everything(HOSTNAME_STATUS);
    first.options = Some(WatchOptions {
        bootstrap_bookmark: true,
        ..WatchOptions::default()
    });
    let mut noop = watch(&channel, first).await;
    let noop = event(&mut noop).await;
    assert_eq!(noop.event_type(), EventType::Noop);
    let bookmark = noop.bookmark.unwrap();
    assert_eq!(bookmark.len(), 16);

    apid.set_hostname("one", "");
    apid.set_hostname("two", "");
    let mut from_there = everything(HOSTNAME_STATUS);
    from_there.options = Some(WatchOptions {
        start_from_bookmark: Some(bookmark),
        ..WatchOptions::default()
    });
    let mut missed = watch(&channel, from_there.clone()).await;
    for _ in 0..2 {
        assert_eq!(event(&mut missed).await.event_type(), EventType::Updated);
    }
    apid.expire_bookmarks();
    let refused = state(&channel).watch(as_operator(from_there)).await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn an_errored_watch_stays_open_and_silent() {
    let (_directory, apid, channel) = machined().await;
    let mut errored = watch(&channel, everything(HOSTNAME_STATUS)).await;
    event(&mut errored).await;
    event(&mut errored).await;
    assert_eq!(apid.watch_count(HOSTNAME_STATUS), 1);

    apid.error_watches();
    let last = event(&mut errored).await;
    assert_eq!(last.event_type(), EventType::Errored);
    assert!(last.error.unwrap().starts_with("buffer overrun"));
    assert_eq!(apid.watch_count(HOSTNAME_STATUS), 0);

    // A later watch proves that the change was published; the old stream says nothing of it.
    let mut fresh = watch(&channel, everything(HOSTNAME_STATUS)).await;
    event(&mut fresh).await;
    event(&mut fresh).await;
    apid.set_hostname("renamed", "");
    assert_eq!(event(&mut fresh).await.event_type(), EventType::Updated);
    let silence = tokio::time::timeout(std::time::Duration::from_millis(20), errored.message());
    assert!(silence.await.is_err(), "open and silent");
}

#[tokio::test]
async fn watches_are_described_in_the_journal_and_can_be_awaited() {
    let (_directory, apid, channel) = machined().await;
    let waiting = {
        let apid = apid.clone();
        std::thread::spawn(move || apid.wait_watches(LINK_STATUS, 1, SOON))
    };
    let open = watch(&channel, everything(LINK_STATUS)).await;
    assert!(waiting.join().unwrap());
    drop(open);
    let closed = |apid: &apid::Apid| (apid.watch_count(LINK_STATUS) == 0).then_some(());
    assert!(apid.until(SOON, closed).await.is_some());
    let [call] = &apid.calls_of(apid::Method::Watch)[..] else {
        panic!("one watch")
    };
    assert_eq!(
        call.request,
        "network/LinkStatuses.net.talos.dev api_version=1 bootstrap_contents"
    );
}

#[tokio::test]
async fn each_scene_is_a_whole_node() {
    for scene in [
        scene::single_nic,
        scene::bond_and_vlan,
        scene::control_plane,
        scene::in_container,
    ] {
        let directory = client::Directory::new();
        let apid = apid::Apid::machined(directory.join("machine.sock")).unwrap();
        scene(&apid);
        let channel = client::connect(apid.socket().unwrap()).await.unwrap();
        for (kind, id) in [
            (HOSTNAME_STATUS, "hostname"),
            (LINK_STATUS, "lo"),
            (NODE_ADDRESS, "routed-no-k8s"),
            (NODE_ADDRESS, "default"),
        ] {
            get(&channel, "network", kind, id).await.unwrap();
        }
    }
}

async fn get(
    channel: &tonic::transport::Channel,
    namespace: &str,
    kind: &str,
    id: &str,
) -> Result<apid::proto::cosi::resource::Resource, tonic::Status> {
    let request = GetRequest {
        namespace: namespace.to_owned(),
        r#type: kind.to_owned(),
        id: id.to_owned(),
        options: None,
    };
    let got = state(channel).get(as_operator(request)).await?;
    Ok(got.into_inner().resource.unwrap())
}
