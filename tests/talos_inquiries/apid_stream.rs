//! The bytes of a connection to apid.

use std::net::SocketAddr;

use talos_vmtoolsd::inquiry::{Answer, Inquiry, Step, TroubleKind, WINDOW};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::asker::{Asker, LONG};

/// A port that stands for apid's, and whoever asks.
async fn listener() -> (TcpListener, Asker) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let asker = Asker::of_apid(listener.local_addr().unwrap());
    (listener, asker)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    let accepted = timeout(LONG, listener.accept()).await;
    accepted.unwrap().unwrap().0
}

#[tokio::test]
async fn bytes_go_both_ways_until_apid_ends() {
    let (listener, mut asker) = listener().await;
    let id = asker.begin(Inquiry::Apid);
    let mut apid = accept(&listener).await;
    asker.step(id, Step::Feed(b"hello ".to_vec()));
    asker.step(id, Step::Feed(b"apid".to_vec()));
    let mut heard = [0; 10];
    apid.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello apid");
    apid.write_all(b"hello").await.unwrap();
    assert_eq!(asker.bytes(id).await, b"hello");

    apid.write_all(b"and goodbye").await.unwrap();
    drop(apid);
    let (bytes, result) = asker.rest(id).await;
    assert_eq!(
        (bytes.as_slice(), result),
        (b"and goodbye".as_slice(), Ok(()))
    );
    assert_eq!(asker.inquiries.count(), 0);
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_says_why() {
    let (listener, mut asker) = listener().await;
    let address: SocketAddr = listener.local_addr().unwrap();
    drop(listener);
    let trouble = asker.trouble(Inquiry::Apid).await;
    assert_eq!((trouble.kind, trouble.status), (TroubleKind::Away, 14));
    let words = format!("cannot connect to apid at {address}: Connection refused");
    assert!(trouble.text.starts_with(&words), "{trouble}");
}

#[tokio::test]
async fn a_forgotten_connection_is_closed() {
    let (listener, mut asker) = listener().await;
    let id = asker.begin(Inquiry::Apid);
    let mut apid = accept(&listener).await;
    asker.step(id, Step::Forget);
    let read = timeout(LONG, apid.read(&mut [0; 1])).await.unwrap();
    assert_eq!(read.unwrap(), 0);
}

#[tokio::test]
async fn what_apid_sends_waits_for_room() {
    let (listener, mut asker) = listener().await;
    let id = asker.begin(Inquiry::Apid);
    let apid = accept(&listener).await;
    let sent: Vec<u8> = (0..20_000_000_u32).map(|number| number as u8).collect();
    let sending = {
        let sent = sent.clone();
        tokio::spawn(async move {
            let mut apid = apid;
            apid.write_all(&sent).await.unwrap();
        })
    };
    let first = asker.next(id).await;
    let Answer::Bytes(first) = first else {
        panic!("{first:?}")
    };
    // Buffers of sockets hold a few MB, not twenty.
    while asker.waiting() < WINDOW - 1 {
        tokio::task::yield_now().await;
    }
    assert!(!sending.is_finished());
    assert_eq!(asker.waiting(), WINDOW - 1);
    asker.step(id, Step::More);
    let (rest, result) = asker.rest(id).await;
    assert_eq!(result, Ok(()));
    assert!([first, rest].concat() == sent);
    sending.await.unwrap();
}

#[tokio::test]
async fn what_apid_does_not_take_is_kept_to_a_bound_and_then_it_ends() {
    let (listener, mut asker) = listener().await;
    let id = asker.begin(Inquiry::Apid);
    let _apid = accept(&listener).await;
    let trouble = async {
        loop {
            asker.step(id, Step::Feed(vec![7; 32 << 10]));
            tokio::task::yield_now().await;
            if asker.waiting() > 0 {
                break asker.next(id).await;
            }
        }
    };
    match timeout(LONG, trouble).await.unwrap() {
        Answer::End(Err(trouble)) => assert_eq!(trouble.kind, TroubleKind::TooLong),
        other => panic!("{other:?}"),
    }
}
