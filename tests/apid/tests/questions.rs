//! What guest operations ask: files, logs, processes, definitions; roles; faults in mid-stream.

mod client;

use apid::proto::cosi::resource::meta::ResourceDefinitionSpec;
use apid::proto::cosi::resource::meta::resource_definition_spec::Sensitivity;
use apid::proto::machine::{DmesgRequest, ListRequest, LogsRequest, ReadRequest};
use apid::{FileKind, Method, Step, Trouble};
use client::{as_operator, claiming, machine, machined, message, state};
use prost::Message;
use tonic::{Code, Streaming};

async fn all<T>(mut stream: Streaming<T>) -> Vec<T> {
    let mut all = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        all.push(message);
    }
    all
}

fn logs(id: &str, tail_lines: i32, follow: bool) -> LogsRequest {
    LogsRequest {
        namespace: "system".to_owned(),
        id: id.to_owned(),
        tail_lines,
        follow,
        ..LogsRequest::default()
    }
}

#[tokio::test]
async fn a_folder_is_listed_as_talos_does_it() {
    let (_directory, _apid, channel) = machined().await;
    let list = async |root: &str, recursion_depth| {
        let request = ListRequest {
            root: root.to_owned(),
            recurse: recursion_depth > 1,
            recursion_depth,
        };
        let stream = machine(&channel).list(as_operator(request)).await;
        let files = all(stream?.into_inner()).await;
        let names = files
            .into_iter()
            .map(|file| (file.name, file.relative_name));
        Ok::<Vec<_>, tonic::Status>(names.collect())
    };
    let names = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = |(name, relative): &(&str, &str)| ((*name).to_owned(), (*relative).to_owned());
        pairs.iter().map(owned).collect()
    };
    let etc = [
        ("/etc", "."),
        ("/etc/hostname", "hostname"),
        ("/etc/os-release", "os-release"),
    ];
    assert_eq!(list("/etc/", 0).await.unwrap(), names(&etc));
    let file = [("/etc/hostname", "hostname")];
    assert_eq!(list("/etc/hostname", 0).await.unwrap(), names(&file));
    let linked = [("/run", ".")];
    assert_eq!(
        list("/var/run", 0).await.unwrap(),
        names(&linked),
        "followed"
    );
    let deep = list("/var/log", 2).await.unwrap();
    assert!(deep.contains(&("/var/log/audit/kube".to_owned(), "audit/kube".to_owned())));
    assert!(
        !deep
            .iter()
            .any(|(name, _)| name.ends_with(".log") && name.contains("kube-apiserver"))
    );
    let gone = list("/nothing", 0).await.unwrap_err();
    assert_eq!(gone.code(), Code::Unknown);
    assert_eq!(gone.message(), "lstat /nothing: no such file or directory");
}

#[tokio::test]
async fn a_file_is_read_through_links_and_by_administrators_alone() {
    let (_directory, apid, channel) = machined().await;
    let read = async |role, path: &str| {
        let path = path.to_owned();
        let request = claiming(role, ReadRequest { path });
        let stream = machine(&channel).read(request).await?;
        let pieces = all(stream.into_inner()).await.into_iter();
        Ok::<_, tonic::Status>(pieces.flat_map(|piece| piece.bytes).collect::<Vec<u8>>())
    };
    let through = read("os:admin", "/var/log/containers/coredns.log").await;
    assert!(through.unwrap().starts_with(b"2026-02-03"));
    let kernel = read("os:admin", "/proc/meminfo").await.unwrap();
    assert!(kernel.starts_with(b"MemTotal:"));
    apid.set_file("/big", FileKind::Regular(vec![1; 100_000]));
    assert_eq!(read("os:admin", "/big").await.unwrap().len(), 100_000);
    for (role, path, code) in [
        ("os:operator", "/big", Code::PermissionDenied),
        ("os:admin", "/var", Code::Unknown),
        ("os:admin", "/var/log/dangling", Code::NotFound),
    ] {
        assert_eq!(read(role, path).await.unwrap_err().code(), code, "{path}");
    }
}

#[tokio::test]
async fn logs_have_a_tail_and_followers() {
    let (_directory, apid, channel) = machined().await;
    let mut machine = machine(&channel);
    let whole = machine.logs(as_operator(logs("apid", -1, false))).await;
    assert_eq!(all(whole.unwrap().into_inner()).await.len(), 120);
    let mut follow = machine
        .logs(as_operator(logs("apid", 1, true)))
        .await
        .unwrap()
        .into_inner();
    assert!(message(&mut follow).await.bytes.ends_with(b"line 120\n"));
    apid.log("apid", "news");
    assert_eq!(message(&mut follow).await.bytes, b"news\n");
    apid.flood_log("udevd", "again");
    let flood = machine.logs(as_operator(logs("udevd", 0, false))).await;
    let mut flood = flood.unwrap().into_inner();
    for _ in 0..1000 {
        assert_eq!(message(&mut flood).await.bytes, b"again\n");
    }
    let kernel = machine.dmesg(as_operator(DmesgRequest::default())).await;
    assert_eq!(all(kernel.unwrap().into_inner()).await.len(), 400);
    let unknown = machine.logs(as_operator(logs("no", -1, false))).await;
    let unknown = unknown.unwrap_err();
    assert_eq!(unknown.message(), "log \"no\" was not registered");
}

#[tokio::test]
async fn types_are_defined_with_their_names_and_whether_they_are_secret() {
    let (_directory, _apid, channel) = machined().await;
    let request = apid::proto::cosi::resource::ListRequest {
        namespace: "meta".to_owned(),
        r#type: "ResourceDefinitions.meta.cosi.dev".to_owned(),
        options: None,
    };
    let stream = state(&channel).list(as_operator(request)).await.unwrap();
    let specs: Vec<ResourceDefinitionSpec> = all(stream.into_inner())
        .await
        .into_iter()
        .map(|message| {
            let spec = message.resource.unwrap().spec.unwrap();
            Message::decode(spec.proto_spec.as_slice()).unwrap()
        })
        .collect();
    let of = |kind: &str| {
        specs
            .iter()
            .find(|spec| spec.resource_type == kind)
            .unwrap()
    };
    let hostname = of("HostnameStatuses.net.talos.dev");
    assert_eq!(hostname.display_type, "HostnameStatus");
    assert_eq!(hostname.aliases, ["hostname", "hostnamestatus", "hs"]);
    assert!(
        hostname
            .all_aliases
            .contains(&"hostnamestatuses.net.talos".to_owned())
    );
    assert_eq!(hostname.sensitivity(), Sensitivity::NonSensitive);
    let config = of(apid::machine::MACHINE_CONFIG);
    assert_eq!(config.sensitivity(), Sensitivity::Sensitive);
    assert_eq!(config.default_namespace, "config");

    let secret = apid::proto::cosi::resource::ListRequest {
        namespace: "config".to_owned(),
        r#type: apid::machine::MACHINE_CONFIG.to_owned(),
        options: None,
    };
    let refused = state(&channel).list(as_operator(secret.clone())).await;
    assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
    let stream = state(&channel).list(claiming("os:admin", secret)).await;
    assert_eq!(all(stream.unwrap().into_inner()).await.len(), 1);
}

#[tokio::test]
async fn a_stream_is_cut_in_the_middle_where_it_is_scripted() {
    let (_directory, apid, channel) = machined().await;
    apid.set_file("/big", FileKind::Endless);
    let mut count = 0;
    apid.on_step(move |step| match step {
        Step::Message(Method::Read, _) => {
            count += 1;
            (count == 3).then_some(Trouble::Status(Code::Internal))
        }
        _ => None,
    });
    let path = "/big".to_owned();
    let request = claiming("os:admin", ReadRequest { path });
    let mut stream = machine(&channel).read(request).await.unwrap().into_inner();
    for _ in 0..2 {
        message(&mut stream).await;
    }
    assert_eq!(stream.message().await.unwrap_err().code(), Code::Internal);
}
