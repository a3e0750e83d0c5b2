//! Talos slow, silent, away, cut off: an inquiry always comes to its end.

use std::time::Duration;

use apid::{Apid, FileKind, Method, Status, Step, Trouble};
use talos_vmtoolsd::inquiry::{Answer, Form, Inquiry, Show, TroubleKind};
use tokio::time::Instant;

use crate::asker::Asker;

/// Every one that ends by itself.
fn all() -> Vec<Inquiry> {
    let path = "/etc/hostname".to_owned();
    let logs = Inquiry::Logs {
        service: "apid".to_owned(),
        tail: None,
        follow: false,
    };
    let resources = Inquiry::Resources {
        kind: "links".to_owned(),
        id: None,
        form: Form::Table,
    };
    let call = Inquiry::Call {
        method: "/machine.MachineService/Version".to_owned(),
        message: Vec::new(),
    };
    vec![
        Inquiry::Processes,
        Inquiry::Services,
        Inquiry::Software,
        Inquiry::ResourceTypes,
        Inquiry::List { path: path.clone() },
        Inquiry::Read {
            path,
            most: u64::MAX,
        },
        Inquiry::Dmesg { follow: false },
        logs,
        resources,
        call,
        Inquiry::Show(Show::Events),
        Inquiry::Show(Show::Containers),
        Inquiry::Show(Show::Version),
    ]
}

fn read() -> Inquiry {
    Inquiry::Read {
        path: "/long".to_owned(),
        most: u64::MAX,
    }
}

/// An administrator, and a file of some ten messages.
fn long() -> (Apid, Asker) {
    let (api, asker) = Asker::with_role("os:admin");
    api.set_file("/long", FileKind::Regular(vec![7; 300 << 10]));
    (api, asker)
}

/// What goes wrong at the n-th message of a file.
fn at_message(api: &Apid, number: usize, trouble: Trouble) {
    let mut count = 0;
    api.on_step(move |step| match step {
        Step::Message(Method::Read, _) => {
            count += 1;
            (count == number).then_some(trouble)
        }
        _ => None,
    });
}

#[tokio::test(start_paused = true)]
async fn a_silent_talos_is_away_after_3_s_and_a_relayed_call_after_10() {
    let (api, mut asker) = Asker::with_role("os:admin");
    // A connection is there already.
    asker.one(Inquiry::Services).await;
    api.hang();
    for inquiry in all() {
        let begun = Instant::now();
        let trouble = asker.trouble(inquiry.clone()).await;
        assert_eq!(
            (trouble.kind, trouble.status),
            (TroubleKind::Away, 4),
            "{inquiry:?}"
        );
        let seconds = match inquiry {
            Inquiry::Call { .. } => 10,
            // Both places of containers.
            Inquiry::Show(Show::Containers) => 6,
            _ => 3,
        };
        assert_eq!(begun.elapsed().as_secs(), seconds, "{inquiry:?}");
    }
    assert_eq!(asker.inquiries.count(), 0);
    api.resume();
    asker.one(Inquiry::Services).await;
}

#[tokio::test]
async fn a_talos_that_is_not_there_is_away_at_once() {
    let directory = std::env::temp_dir().join("talos-inquiries-nowhere");
    let client = talos_vmtoolsd::talos::Client::machined(directory.join("none"), "os:operator");
    let mut asker = Asker::new(client, talos_vmtoolsd::talos::Inquiries::default());
    for inquiry in all() {
        let trouble = asker.trouble(inquiry.clone()).await;
        assert_eq!(
            (trouble.kind, trouble.status),
            (TroubleKind::Away, 14),
            "{inquiry:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_in_the_middle_has_the_bytes_before_and_the_reason() {
    for (trouble, kind, status) in [
        (Trouble::Reset, TroubleKind::Away, 14),
        (Trouble::Silent, TroubleKind::Away, 4),
        (
            Trouble::Status(apid::Code::Unavailable),
            TroubleKind::Away,
            14,
        ),
        (
            Trouble::Status(apid::Code::Internal),
            TroubleKind::Failed,
            13,
        ),
    ] {
        let (api, mut asker) = long();
        at_message(&api, 4, trouble);
        let id = asker.begin(read());
        let (bytes, result) = asker.rest(id).await;
        let said = result.unwrap_err();
        assert_eq!((said.kind, said.status), (kind, status), "{trouble:?}");
        let before = 3 * (32 << 10);
        if trouble == Trouble::Reset {
            // What was on its way is lost.
            assert!((1..=before).contains(&bytes.len()));
        } else {
            assert_eq!(bytes.len(), before, "{trouble:?}");
        }
    }
    // That is Talos' word that it is over.
    let (api, mut asker) = long();
    at_message(&api, 4, Trouble::End);
    assert_eq!(asker.whole(read()).await.unwrap().len(), 3 * (32 << 10));
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_comes_and_one_that_takes_a_minute_does_not() {
    let (api, mut asker) = long();
    api.on_step(|step| match step {
        Step::Message(Method::Read | Method::Logs, _) => {
            Some(Trouble::Slow(Duration::from_secs(2)))
        }
        _ => None,
    });
    assert_eq!(asker.whole(read()).await.unwrap().len(), 300 << 10);

    let begun = Instant::now();
    let id = asker.begin(Inquiry::Logs {
        service: "etcd".to_owned(),
        tail: None,
        follow: false,
    });
    let (bytes, result) = asker.rest(id).await;
    assert_eq!(begun.elapsed().as_secs(), 60);
    let trouble = result.unwrap_err();
    assert_eq!((trouble.kind, trouble.status), (TroubleKind::Away, 4));
    assert!(bytes.len() > 20 * 30, "{}", bytes.len());
}

#[tokio::test(start_paused = true)]
async fn what_talos_refuses_is_refused() {
    let (api, mut asker) = Asker::operator();
    for (method, inquiry) in [
        (Method::Processes, Inquiry::Processes),
        (Method::ListResources, Inquiry::ResourceTypes),
        (Method::Dmesg, Inquiry::Dmesg { follow: true }),
        (Method::Events, Inquiry::Show(Show::Events)),
    ] {
        api.allow(method, &[]);
        let trouble = asker.trouble(inquiry).await;
        assert_eq!((trouble.kind, trouble.status), (TroubleKind::Denied, 7));
    }
    let busy = Status::resource_exhausted("too much");
    api.fail_next(Method::ServiceList, &busy, 1);
    let trouble = asker.trouble(Inquiry::Services).await;
    assert_eq!((trouble.kind, trouble.status), (TroubleKind::Failed, 8));
    let answer = asker.one(Inquiry::Services).await;
    assert!(matches!(answer, Answer::Services(_)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_followed_ends_when_talos_goes() {
    let (api, mut asker) = Asker::operator();
    let id = asker.begin(Inquiry::Dmesg { follow: true });
    asker.bytes(id).await;
    api.drop_connections();
    let (_, result) = asker.rest(id).await;
    assert_eq!(result.unwrap_err().kind, TroubleKind::Away);
}

/// As the daemon does when its settings or the talosconfig change.
#[tokio::test(start_paused = true)]
async fn an_inquiry_goes_on_when_another_way_is_taken() {
    let (api, mut asker) = long();
    let id = asker.begin(read());
    asker.bytes(id).await;
    let (_other_api, other) = Asker::operator();
    let Asker { client, .. } = other;
    asker.client = client;
    let (bytes, result) = asker.rest(id).await;
    assert_eq!((bytes.len(), result), ((300 << 10) - (32 << 10), Ok(())));
    drop(api);
}
