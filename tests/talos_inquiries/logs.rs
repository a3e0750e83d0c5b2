//! Logs.

use talos_vmtoolsd::inquiry::{Inquiry, Step, TroubleKind};

use crate::asker::{Asker, LONG};

fn logs(service: &str, tail: Option<u32>, follow: bool) -> Inquiry {
    Inquiry::Logs {
        service: service.to_owned(),
        tail,
        follow,
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_service_comes_whole_or_its_last_lines() {
    let (api, mut asker) = Asker::operator();
    let whole = asker.text(logs("apid", None, false)).await;
    assert_eq!(whole.lines().count(), 120);
    let tail = asker.text(logs("apid", Some(3), false)).await;
    assert!(
        whole.ends_with(&tail) && tail.lines().count() == 3,
        "{tail}"
    );
    assert_eq!(asker.text(logs("trustd", None, false)).await, "");
    assert_eq!(asker.text(logs("apid", Some(0), false)).await, "");
    let asked = api.calls().pop().unwrap().request;
    assert_eq!(asked, "system CONTAINERD apid tail=0 follow=false");
}

#[tokio::test(start_paused = true)]
async fn the_log_of_a_container_is_that_of_kubernetes() {
    let (_api, mut asker) = Asker::operator();
    let id = "kube-system/coredns-6d7:coredns:1a2b";
    for service in [id.to_owned(), format!("k8s.io:{id}")] {
        let text = asker.text(logs(&service, None, false)).await;
        assert!(text.contains("[INFO] 10"), "{text}");
    }
    for service in ["nothing", "kube-system/nothing:a"] {
        let trouble = asker.trouble(logs(service, None, false)).await;
        assert_eq!(trouble.kind, TroubleKind::NotFound, "{trouble}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_followed_goes_on_until_it_is_forgotten() {
    let (api, mut asker) = Asker::operator();
    // Nothing is said at first, for longer than an answer may take otherwise.
    let id = asker.begin(logs("trustd", None, true));
    let following = |api: &apid::Apid| (api.follower_count() == 1).then_some(());
    api.until(LONG, following).await.unwrap();
    tokio::time::sleep(LONG).await;
    for line in ["one", "two"] {
        api.log("trustd", line);
        let bytes = asker.bytes(id).await;
        assert_eq!(bytes, format!("{line}\n").as_bytes());
    }
    asker.step(id, Step::Forget);
    let gone = |api: &apid::Apid| (api.follower_count() == 0).then_some(());
    api.until(LONG, gone).await.unwrap();
    assert_eq!((asker.inquiries.count(), asker.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_kernels_log_comes_and_goes_on() {
    let (api, mut asker) = Asker::operator();
    let text = asker.text(Inquiry::Dmesg { follow: false }).await;
    assert_eq!(text.lines().count(), 400);
    let id = asker.begin(Inquiry::Dmesg { follow: true });
    let mut seen = Vec::new();
    while seen.len() < text.len() {
        seen.extend(asker.bytes(id).await);
    }
    assert_eq!(seen, text.as_bytes());
    api.log_kernel("news");
    assert_eq!(asker.bytes(id).await, b"news\n");
}
