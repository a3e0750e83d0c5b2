//! Resources.

use apid::Method;
use apid::machine::MACHINE_CONFIG;
use talos_vmtoolsd::inquiry::{Answer, Form, Inquiry, TroubleKind};

use crate::asker::Asker;

fn get(kind: &str, id: Option<&str>, form: Form) -> Inquiry {
    Inquiry::Resources {
        kind: kind.to_owned(),
        id: id.map(str::to_owned),
        form,
    }
}

#[tokio::test(start_paused = true)]
async fn resources_come_as_documents_by_any_name_of_their_type() {
    let (api, mut asker) = Asker::operator();
    for kind in [
        "AddressStatuses.net.talos.dev",
        "addressstatus",
        "addresses",
        "AddressStatuses",
        "addressstatuses.net",
    ] {
        let text = asker.text(get(kind, None, Form::Yaml)).await;
        let documents: Vec<&str> = text.split("---\n").collect();
        assert_eq!(documents.len(), 4, "{text}");
        for document in documents {
            let document: serde_yaml::Value = serde_yaml::from_str(document).unwrap();
            let metadata = &document["metadata"];
            assert_eq!(metadata["type"], "AddressStatuses.net.talos.dev");
            assert_eq!(metadata["namespace"], "network");
            let id = metadata["id"].as_str().unwrap();
            let address = document["spec"]["address"].as_str().unwrap();
            assert!(id.ends_with(address), "{id} {address}");
        }
    }
    // A whole name needs no look at all types.
    let before = api.calls_of(Method::ListResources).len();
    asker
        .text(get("hostnamestatuses.net.talos.dev", None, Form::Yaml))
        .await;
    let after = api.calls_of(Method::ListResources);
    assert_eq!(after.len(), before + 1);
    let last = &after.last().unwrap().request;
    assert_eq!(last, "network/HostnameStatuses.net.talos.dev");
}

#[tokio::test(start_paused = true)]
async fn resources_come_as_a_table_and_one_alone() {
    let (_api, mut asker) = Asker::operator();
    assert_eq!(
        asker.text(get("hostnamestatus", None, Form::Table)).await,
        "\
NAMESPACE   TYPE             ID         VERSION
network     HostnameStatus   hostname   1
"
    );
    let one = asker
        .text(get("addressstatus", Some("lo/::1/128"), Form::Yaml))
        .await;
    assert!(
        one.contains("id: lo/::1/128\n") && !one.contains("---"),
        "{one}"
    );
    let none = get("addressstatus", Some("lo"), Form::Yaml);
    let trouble = asker.trouble(none).await;
    assert_eq!(trouble.kind, TroubleKind::NotFound);
    assert_eq!(trouble.text, "there is no AddressStatus lo");
    assert_eq!(
        asker
            .text(get("disks", None, Form::Table))
            .await
            .lines()
            .count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_no_type_or_several_says_so() {
    let (_api, mut asker) = Asker::operator();
    let trouble = asker.trouble(get("nothing", None, Form::Yaml)).await;
    assert_eq!(trouble.kind, TroubleKind::NotFound);
    let trouble = asker.trouble(get("as", None, Form::Yaml)).await;
    assert_eq!(
        trouble.text,
        "as may be any of AddressSpecs.net.talos.dev, AddressStatuses.net.talos.dev"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sensitive_type_is_never_asked_for_whatever_the_role() {
    for role in ["os:operator", "os:admin"] {
        let (api, mut asker) = Asker::with_role(role);
        for kind in [MACHINE_CONFIG, "machineconfig", "mc", "MACHINECONFIGS"] {
            let trouble = asker.trouble(get(kind, None, Form::Yaml)).await;
            assert_eq!(trouble.kind, TroubleKind::Denied, "{kind}");
            assert!(trouble.text.contains("sensitive"), "{trouble}");
            let one = get(kind, Some("v1alpha1"), Form::Table);
            assert_eq!(asker.trouble(one).await.kind, TroubleKind::Denied);
        }
        let asked = |call: &apid::Call| call.request.starts_with("config/");
        assert!(!api.calls().iter().any(asked), "{:?}", api.calls());
        let Answer::ResourceTypes(types) = asker.one(Inquiry::ResourceTypes).await else {
            panic!("no types")
        };
        assert!(!types.iter().any(|one| one.name == MACHINE_CONFIG));
        let links = types
            .iter()
            .find(|one| one.name == "LinkStatuses.net.talos.dev");
        let links = links.unwrap();
        assert_eq!(links.namespace, "network");
        assert_eq!(links.aliases, ["link", "links", "linkstatus", "ls"]);
        assert!(types.len() > 30);
    }
}
