//! Raw calls.

use apid::machine::MACHINE_CONFIG;
use apid::proto::cosi::resource::{GetRequest, GetResponse, ListRequest, WatchRequest};
use apid::proto::machine::VersionResponse;
use apid::resources::LINK_STATUS;
use prost::Message;
use talos_vmtoolsd::inquiry::{Answer, Inquiry, InquiryId, Step, Trouble, TroubleKind};

use crate::asker::Asker;

fn call(method: &str, message: &impl Message) -> Inquiry {
    Inquiry::Call {
        method: method.to_owned(),
        message: message.encode_to_vec(),
    }
}

async fn messages(asker: &mut Asker, id: InquiryId) -> (Vec<Vec<u8>>, Result<(), Trouble>) {
    let mut all = Vec::new();
    loop {
        match asker.next(id).await {
            Answer::Message(message) => {
                asker.step(id, Step::More);
                all.push(message);
            }
            Answer::End(result) => return (all, result),
            other => panic!("{other:?}"),
        }
    }
}

fn get(kind: &str, namespace: &str, id: &str) -> GetRequest {
    GetRequest {
        namespace: namespace.to_owned(),
        r#type: kind.to_owned(),
        id: id.to_owned(),
        options: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_out_as_a_reader_and_its_message_comes_back() {
    let (api, mut asker) = Asker::with_role("os:admin");
    let id = asker.begin(call("/machine.MachineService/Version", &()));
    let (messages, result) = messages(&mut asker, id).await;
    assert_eq!(result, Ok(()));
    let version = VersionResponse::decode(messages[0].as_slice()).unwrap();
    assert_eq!(version.messages[0].version.as_ref().unwrap().tag, "v1.13.0");
    assert_eq!(api.calls()[0].metadata("talos-role"), ["os:reader"]);
}

#[tokio::test(start_paused = true)]
async fn what_talos_answers_comes_back_in_its_own_words() {
    let (api, mut asker) = Asker::with_role("os:admin");
    for (inquiry, kind, status, text) in [
        (
            call("/machine.MachineService/Reboot", &()),
            TroubleKind::Denied,
            7,
            "not authorized",
        ),
        (
            call("/machine.MachineService/Nothing", &()),
            TroubleKind::Denied,
            7,
            "not authorized",
        ),
        (
            call(
                "/cosi.resource.State/Get",
                &get(MACHINE_CONFIG, "config", "v1alpha1"),
            ),
            TroubleKind::Denied,
            7,
            "not authorized",
        ),
        (
            call(
                "/cosi.resource.State/Get",
                &get(LINK_STATUS, "network", "eth9"),
            ),
            TroubleKind::NotFound,
            5,
            "resource LinkStatuses.net.talos.dev(network/eth9@undefined) doesn't exist",
        ),
        (
            call("no path", &()),
            TroubleKind::NotSupported,
            12,
            "no path is no method",
        ),
    ] {
        let trouble = asker.trouble(inquiry).await;
        assert_eq!((trouble.kind, trouble.status), (kind, status), "{trouble}");
        assert_eq!(trouble.text, text);
    }
    assert!(api.sequences().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_comes_message_by_message_and_ends_after_a_minute() {
    let (_api, mut asker) = Asker::operator();
    let kind = "AddressStatuses.net.talos.dev".to_owned();
    let list = ListRequest {
        namespace: "network".to_owned(),
        r#type: kind.clone(),
        options: None,
    };
    let id = asker.begin(call("/cosi.resource.State/List", &list));
    let (all, result) = messages(&mut asker, id).await;
    assert_eq!((all.len(), result), (4, Ok(())));

    let watch = WatchRequest {
        namespace: "network".to_owned(),
        r#type: kind,
        api_version: 1,
        ..WatchRequest::default()
    };
    let begun = tokio::time::Instant::now();
    let id = asker.begin(call("/cosi.resource.State/Watch", &watch));
    let (all, result) = messages(&mut asker, id).await;
    assert_eq!(all, [b""], "that it is established");
    assert_eq!(result.unwrap_err().status, 4);
    assert_eq!(begun.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn through_apid_an_administrators_certificate_does_not_open_what_is_sensitive() {
    let (api, mut asker, _directory) = Asker::over_tls(&["os:admin"]);
    let open = get(LINK_STATUS, "network", "eth0");
    let id = asker.begin(call("/cosi.resource.State/Get", &open));
    let (all, result) = messages(&mut asker, id).await;
    assert_eq!(result, Ok(()));
    let answer = GetResponse::decode(all[0].as_slice()).unwrap();
    assert_eq!(answer.resource.unwrap().metadata.unwrap().id, "eth0");

    for kind in [
        MACHINE_CONFIG,
        "machineconfigs.CONFIG.talos.dev",
        "",
        "nothing",
    ] {
        let secret = get(kind, "config", "v1alpha1");
        let trouble = asker
            .trouble(call("/cosi.resource.State/Get", &secret))
            .await;
        assert!([TroubleKind::Denied, TroubleKind::NotFound].contains(&trouble.kind));
    }
    let garbage = Inquiry::Call {
        method: "/cosi.resource.State/Get".to_owned(),
        message: vec![0xff; 9],
    };
    assert_eq!(asker.trouble(garbage).await.status, 3);
    let asked = |call: &apid::Call| call.request.starts_with("config/");
    assert!(!api.calls().iter().any(asked), "{:?}", api.calls());
}

#[tokio::test]
async fn through_apid_the_certificate_decides() {
    let (_api, mut asker, _directory) = Asker::over_tls(&["os:operator"]);
    let Answer::Services(services) = asker.one(Inquiry::Services).await else {
        panic!("no services")
    };
    assert_eq!(services.len(), 8);
    let path = "/etc/hostname".to_owned();
    let most = u64::MAX;
    let trouble = asker.trouble(Inquiry::Read { path, most }).await;
    assert_eq!(trouble.kind, TroubleKind::Denied);
}
