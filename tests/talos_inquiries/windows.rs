//! Whoever asks takes as much as it wants, and no other waits for that.

use apid::{FileKind, Method};
use talos_vmtoolsd::inquiry::{Answer, Inquiry, MOST, MOST_IN_PIECE, Step, TroubleKind, WINDOW};

use crate::asker::{Asker, LONG};

/// What a reader wants at most.
const MOST_BYTES: u64 = 16 << 20;

fn read(path: &str) -> Inquiry {
    Inquiry::Read {
        path: path.to_owned(),
        most: MOST_BYTES,
    }
}

fn endless() -> (apid::Apid, Asker) {
    let (api, asker) = Asker::with_role("os:admin");
    api.set_file("/endless", FileKind::Endless);
    (api, asker)
}

#[tokio::test(start_paused = true)]
async fn no_more_comes_than_there_is_room_for() {
    let (_api, mut asker) = endless();
    let id = asker.begin(read("/endless"));
    tokio::time::sleep(LONG / 4).await;
    assert_eq!(asker.waiting(), WINDOW);
    for _ in 0..3 {
        assert_eq!(asker.bytes(id).await.len(), MOST_IN_PIECE);
    }
    tokio::time::sleep(LONG / 4 / 4).await;
    assert_eq!(asker.waiting(), WINDOW);
    asker.step(id, Step::Forget);
    tokio::task::yield_now().await;
    assert_eq!(asker.inquiries.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_long_comes_to_the_bound_and_says_so() {
    let (api, mut asker) = endless();
    let id = asker.begin(read("/endless"));
    let (bytes, result) = asker.rest(id).await;
    assert_eq!(bytes.len(), 16 << 20);
    assert_eq!(result.unwrap_err().kind, TroubleKind::TooLong);
    api.set_file("/whole", FileKind::Regular(vec![7; 16 << 20]));
    let id = asker.begin(read("/whole"));
    let (bytes, result) = asker.rest(id).await;
    assert_eq!((bytes.len(), result), (16 << 20, Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_followed_has_no_bound_and_small_lines_come_together() {
    let (api, mut asker) = Asker::operator();
    api.flood_log("apid", &"a line ".repeat(15));
    let id = asker.begin(Inquiry::Logs {
        service: "apid".to_owned(),
        tail: Some(0),
        follow: true,
    });
    let (mut total, mut pieces) = (0, 0);
    while total <= 17 << 20 {
        total += asker.bytes(id).await.len();
        pieces += 1;
    }
    assert!(pieces < 20_000, "{pieces} pieces for {total} bytes");
}

/// With windows of the connection that are the sum of those of its streams.
#[tokio::test(start_paused = true)]
async fn streams_that_nobody_takes_from_hold_up_no_other_call() {
    let (api, mut asker) = endless();
    for _ in 0..MOST {
        asker.begin(read("/endless"));
    }
    api.until_calls(Method::Read, MOST, LONG).await.unwrap();
    tokio::time::sleep(LONG / 4).await;
    assert_eq!(asker.waiting(), MOST * WINDOW);
    asker.client.version().await.unwrap();
    assert_eq!(asker.client.mounts().await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_more_than_there_may_be_is_refused_and_room_comes_back() {
    let (_api, mut asker) = endless();
    let ids: Vec<_> = (0..MOST).map(|_| asker.begin(read("/endless"))).collect();
    let trouble = asker.trouble(Inquiry::Services).await;
    assert_eq!(trouble.kind, TroubleKind::Away);
    asker.step(ids[5], Step::Forget);
    while asker.inquiries.count() == MOST {
        tokio::task::yield_now().await;
    }
    let answer = asker.one(Inquiry::Services).await;
    assert!(matches!(answer, Answer::Services(_)));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_called_while_nobody_asks() {
    let (api, mut asker) = Asker::operator();
    tokio::time::sleep(LONG).await;
    assert_eq!((api.call_count(), api.connections_accepted()), (0, 0));
    asker.one(Inquiry::Processes).await;
    tokio::time::sleep(LONG).await;
    assert_eq!(api.call_count(), 1);
}
