//! Calls whose answers are shown as text, and those that are lists.

use apid::Method;
use apid::proto::machine::SequenceEvent;
use talos_vmtoolsd::inquiry::{Answer, Inquiry, Show, TroubleKind};

use crate::asker::Asker;

#[tokio::test(start_paused = true)]
async fn processes_come_with_their_command_lines() {
    let (_api, mut asker) = Asker::operator();
    let Answer::Processes(processes) = asker.one(Inquiry::Processes).await else {
        panic!("no processes")
    };
    assert_eq!(processes.len(), 303);
    let of = |pid| processes.iter().find(|process| process.pid == pid).unwrap();
    assert_eq!(
        (of(1).command.as_str(), of(1).line.as_str()),
        ("init", "/sbin/init")
    );
    assert_eq!(of(2).line, "kthreadd");
    assert_eq!(
        of(900).line,
        "/usr/bin/containerd --address /system/run/a.sock"
    );
}

#[tokio::test(start_paused = true)]
async fn services_come_by_their_ids() {
    let (_api, mut asker) = Asker::operator();
    let Answer::Services(services) = asker.one(Inquiry::Services).await else {
        panic!("no services")
    };
    assert_eq!(services.len(), 8);
    assert!(services.contains(&"etcd".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn each_call_is_shown_as_text() {
    let (api, mut asker) = Asker::operator();
    for (show, method, words) in [
        (Show::Version, Method::Version, "Tag:          v1.13.0\n"),
        (
            Show::Services,
            Method::ServiceList,
            "\nkubelet      Running   OK",
        ),
        (
            Show::Service("etcd".to_owned()),
            Method::ServiceList,
            "EVENTS   [Running]: Started",
        ),
        (
            Show::Processes,
            Method::Processes,
            "/usr/local/bin/etcd --name=cp-1",
        ),
        (Show::Mounts, Method::Mounts, "/dev/sda6"),
        (Show::Memory, Method::Memory, "\n8192    2047"),
        (Show::Netstat, Method::Netstat, "10.5.0.3:41234"),
        (
            Show::EtcdStatus,
            Method::EtcdStatus,
            "1122334455667788   20 MB",
        ),
        (
            Show::EtcdMembers,
            Method::EtcdMemberList,
            "https://10.5.0.2:2380",
        ),
        (
            Show::Containers,
            Method::Containers,
            "└─ kube-system/coredns-6d7:coredns:1a2b",
        ),
        (Show::Stats, Method::Stats, "\nk8s.io"),
    ] {
        let text = asker.text(Inquiry::Show(show.clone())).await;
        assert!(text.contains(words), "{show:?}: {text}");
        assert!(text.ends_with('\n'));
        assert!(!api.calls_of(method).is_empty());
    }
    assert_eq!(
        api.calls_of(Method::Containers)[0].request,
        "system CONTAINERD"
    );
    assert_eq!(api.calls_of(Method::Containers)[1].request, "k8s.io CRI");
}

#[tokio::test(start_paused = true)]
async fn events_are_those_of_the_past_and_then_it_is_over() {
    let (api, mut asker) = Asker::operator();
    let none = asker.text(Inquiry::Show(Show::Events)).await;
    assert_eq!(none, "ID   EVENT   ACTOR   SOURCE   MESSAGE\n");
    for sequence in ["boot", "upgrade"] {
        let sequence = sequence.to_owned();
        api.publish(
            "actor",
            &SequenceEvent {
                sequence,
                ..SequenceEvent::default()
            },
        );
    }
    let text = asker.text(Inquiry::Show(Show::Events)).await;
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.contains("machine.SequenceEvent   actor   boot"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_says_so() {
    let (api, mut asker) = Asker::operator();
    let trouble = asker
        .trouble(Inquiry::Show(Show::Service("no".to_owned())))
        .await;
    assert_eq!(trouble.kind, TroubleKind::NotFound);
    api.update_node(|node| node.contents.etcd = None);
    for show in [Show::EtcdStatus, Show::EtcdMembers] {
        let trouble = asker.trouble(Inquiry::Show(show)).await;
        assert_eq!(
            (trouble.kind, trouble.status),
            (TroubleKind::NotSupported, 12)
        );
    }
    api.fail_next(Method::Containers, &apid::Status::unavailable("no CRI"), 1);
    let text = asker.text(Inquiry::Show(Show::Containers)).await;
    assert!(
        text.contains("coredns") && text.contains("\nsystem: "),
        "{text}"
    );
    api.allow(Method::Stats, &[]);
    let trouble = asker.trouble(Inquiry::Show(Show::Stats)).await;
    assert_eq!(trouble.kind, TroubleKind::Denied);
}
