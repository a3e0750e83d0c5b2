use std::task::{Context, Poll, Waker};

use tokio::time::timeout;

use super::*;
use crate::config::TransportChoice;
use crate::vmware::link::fake_peer::{Backdoor, CountLines, Dialed, FakeVsock, Mode, Peer};
use crate::vmware::rpc::message_channel::Bandwidth;
use crate::vmware::transport::backdoor::fake::Fault;
use crate::vmware::wire::guest_rpc_packet::{Kind, Packet};

type Link = TcloLink<Backdoor, FakeVsock>;

const CONNECTED_VSOCK: TcloEvent = TcloEvent::Connected {
    transport: Transport::Vsock,
};
const CONNECTED_BACKDOOR: TcloEvent = TcloEvent::Connected {
    transport: Transport::Backdoor,
};

fn link(transport: TransportChoice, backdoor: &Backdoor, vsock: &FakeVsock) -> Link {
    let settings = LinkSettings {
        transport,
        access: Some(backdoor.clone()),
        bandwidth: Bandwidth::High,
    };
    TcloLink::with_dialer(settings, vsock.clone(), Alarm::on_tokio())
}

fn request(text: &[u8]) -> TcloEvent {
    TcloEvent::Request(text.to_vec())
}

/// What the host got that was more than a sign of life.
fn replies(backdoor: &Backdoor) -> Vec<Vec<u8>> {
    let received = backdoor.host.received().into_iter();
    received
        .filter(|(protocol, message)| *protocol == Protocol::Tclo && !message.is_empty())
        .map(|(_, message)| message)
        .collect()
}

/// Lets the link run for a while, during which nothing may happen.
async fn quiet(link: &mut Link, duration: Duration) {
    if let Ok(event) = timeout(duration, link.next()).await {
        panic!("{event:?}");
    }
}

/// Polls `next` once and drops it.
fn poll_once(link: &mut Link) -> Option<TcloEvent> {
    let next = std::pin::pin!(link.next());
    match next.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(event) => Some(event),
        Poll::Pending => None,
    }
}

#[tokio::test(start_paused = true)]
async fn over_the_backdoor_a_reset_is_handed_out_and_answered() {
    let backdoor = Backdoor::new();
    backdoor.host.request(b"reset");
    backdoor.host.request(b"ping");
    let mut link = link(TransportChoice::Backdoor, &backdoor, &FakeVsock::default());
    assert_eq!(link.next().await, CONNECTED_BACKDOOR);
    assert_eq!(link.next().await, request(b"reset"));
    quiet(&mut link, Duration::from_secs(10)).await;
    link.reply(b"OK ATR toolbox".to_vec());
    let start = Instant::now();
    assert_eq!(link.next().await, request(b"ping"));
    link.reply(b"OK ".to_vec());
    assert_eq!(poll_once(&mut link), None);
    assert_eq!(start.elapsed(), Duration::ZERO);
    let expected: [&[u8]; 2] = [b"OK ATR toolbox", b"OK "];
    assert_eq!(replies(&backdoor), expected);
    link.close();
    assert_eq!(backdoor.host.open_channels(), 0);
    quiet(&mut link, Duration::from_secs(10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_stops_asking_does_not_keep_others_from_running() {
    let backdoor = Backdoor::new();
    for _ in 0..1_000 {
        backdoor.host.request(b"ping");
    }
    let mut link = link(TransportChoice::Backdoor, &backdoor, &FakeVsock::default());
    assert_eq!(link.next().await, CONNECTED_BACKDOOR);
    let other = tokio::spawn(std::future::ready(()));
    for _ in 0..1_000 {
        assert_eq!(link.next().await, request(b"ping"));
        link.reply(b"OK ".to_vec());
    }
    assert!(other.is_finished());
}

/// A poll without anything to say is SENDSIZE and RECVSIZE.
#[tokio::test(start_paused = true)]
async fn idle_on_the_backdoor_is_three_polls_a_second() {
    let backdoor = Backdoor::new();
    let mut link = link(TransportChoice::Backdoor, &backdoor, &FakeVsock::default());
    assert_eq!(link.next().await, CONNECTED_BACKDOOR);
    quiet(&mut link, Duration::from_secs(3)).await;
    let before = backdoor.accesses.get();
    quiet(&mut link, Duration::from_secs(100)).await;
    let polls = (backdoor.accesses.get() - before) / 2;
    assert!((283..=287).contains(&polls), "{polls}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_channel_is_green_again_within_a_second_and_a_half() {
    for fault in [Fault::ChannelsGone, Fault::Trap, Fault::Status(0)] {
        let backdoor = Backdoor::new();
        let mut link = link(TransportChoice::Backdoor, &backdoor, &FakeVsock::default());
        assert_eq!(link.next().await, CONNECTED_BACKDOOR);
        quiet(&mut link, Duration::from_secs(60)).await;
        backdoor.host.fault_after(0, fault);
        let start = Instant::now();
        assert_eq!(link.next().await, TcloEvent::Lost);
        backdoor.host.request(b"reset");
        assert_eq!(link.next().await, CONNECTED_BACKDOOR);
        assert_eq!(link.next().await, request(b"reset"));
        link.reply(b"OK ATR toolbox".to_vec());
        assert_eq!(poll_once(&mut link), None);
        assert_eq!(replies(&backdoor), [b"OK ATR toolbox"]);
        assert!(start.elapsed() < Duration::from_millis(500));
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_backdoor_is_gone_little_is_tried_and_less_is_said() {
    for gone in [Mode::Dead, Mode::Faulting] {
        let backdoor = Backdoor::new();
        let mut link = link(TransportChoice::Auto, &backdoor, &FakeVsock::default());
        let lines = CountLines::default();
        let _guard = tracing::subscriber::set_default(lines.clone());
        assert_eq!(link.next().await, CONNECTED_BACKDOOR);
        quiet(&mut link, Duration::from_secs(10)).await;
        lines.take();
        backdoor.mode.set(gone);
        assert_eq!(link.next().await, TcloEvent::Lost);
        let before = backdoor.accesses.get();
        quiet(&mut link, Duration::from_secs(3600)).await;
        let accesses = backdoor.accesses.get() - before;
        assert!(accesses <= 2 * 3600, "{accesses}");
        let told = lines.take();
        assert!((1..=4).contains(&told), "{told}");
        backdoor.mode.set(Mode::Served);
        assert_eq!(link.next().await, CONNECTED_BACKDOOR);
        assert_eq!(lines.take(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_on_vsock_the_backdoor_is_there_within_two_seconds() {
    let silent = FakeVsock::default();
    let _peer = silent.listen();
    let closing = FakeVsock::default();
    drop(closing.listen());
    let garbling = FakeVsock::default();
    let garbler = garbling.listen();
    garbler.stream.writable().await.unwrap();
    garbler.stream.try_write(&[0xff; 8]).unwrap();
    let cases = [
        FakeVsock::new([Dialed::Absent]),
        FakeVsock::new([Dialed::Reset]),
        FakeVsock::new([Dialed::Hang]),
        silent,
        closing,
        garbling,
    ];
    for vsock in cases {
        let backdoor = Backdoor::new();
        let mut link = link(TransportChoice::Auto, &backdoor, &vsock);
        let start = Instant::now();
        assert_eq!(link.next().await, CONNECTED_BACKDOOR);
        assert!(start.elapsed() < Duration::from_secs(2));
        assert_eq!(vsock.dials(), [(975, SourcePort::Any)]);
    }
}

#[tokio::test(start_paused = true)]
async fn over_vsock_requests_are_answered_and_pings_follow_each_second() {
    let (backdoor, vsock) = (Backdoor::new(), FakeVsock::default());
    let mut peer = vsock.listen();
    let mut link = link(TransportChoice::Auto, &backdoor, &vsock);
    peer.send(b"reset").await;
    assert_eq!(link.next().await, CONNECTED_VSOCK);
    assert_eq!(link.next().await, request(b"reset"));
    link.reply(b"OK ATR toolbox".to_vec());
    let host = async {
        assert_eq!(
            peer.receive().await.unwrap(),
            Packet::data(b"OK ATR toolbox")
        );
        let start = Instant::now();
        for second in 1..=20 {
            assert_eq!(peer.receive().await.unwrap().kind, Kind::Ping);
            assert_eq!(start.elapsed().as_secs(), second);
        }
        peer
    };
    let peer = tokio::select! {
        event = link.next() => panic!("{event:?}"),
        peer = host => peer,
    };
    assert_eq!(backdoor.accesses.get(), 0);
    drop(peer);
    assert_eq!(link.next().await, TcloEvent::Lost);
    let mut peer = vsock.listen();
    peer.send(b"reset").await;
    assert_eq!(link.next().await, CONNECTED_VSOCK);
    assert_eq!(vsock.dials().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_reads_slowly_gets_the_whole_reply() {
    let vsock = FakeVsock::default();
    let mut peer = vsock.listen();
    let mut link = link(TransportChoice::Vsock, &Backdoor::new(), &vsock);
    peer.send(b"big").await;
    assert_eq!(link.next().await, CONNECTED_VSOCK);
    assert_eq!(link.next().await, request(b"big"));
    let reply: Vec<u8> = (0..1_000_000u32).map(|at| at as u8).collect();
    let packet = Packet::data(&reply).encode();
    link.reply(reply);
    assert_eq!(poll_once(&mut link), None);
    let start = Instant::now();
    let host = async {
        let mut got = vec![0; packet.len()];
        tokio::io::AsyncReadExt::read_exact(&mut peer.stream, &mut got)
            .await
            .unwrap();
        assert!(got == packet);
        // Sooner than the first PING could carry it on.
        assert!(start.elapsed() < Duration::from_secs(1));
    };
    tokio::select! {
        event = link.next() => panic!("{event:?}"),
        () = host => {}
    }
}

/// `next` is dropped after every single poll, while dialing and in the middle of packets.
#[tokio::test(start_paused = true)]
async fn nothing_is_lost_when_next_is_dropped() {
    let vsock = FakeVsock::default();
    let peer = vsock.listen();
    let mut link = link(TransportChoice::Vsock, &Backdoor::new(), &vsock);
    let mut events = Vec::new();
    let sent = [
        Packet::data(b"reset").encode(),
        Packet::data(b"ping").encode(),
    ]
    .concat();
    for byte in sent {
        peer.stream.writable().await.unwrap();
        peer.stream.try_write(&[byte]).unwrap();
        for _ in 0..3 {
            // The socket's readiness is learnt between polls.
            tokio::task::yield_now().await;
            if let Some(event) = poll_once(&mut link) {
                if let TcloEvent::Request(_) = event {
                    link.reply(b"OK ".to_vec());
                }
                events.push(event);
            }
        }
    }
    assert_eq!(
        events,
        [CONNECTED_VSOCK, request(b"reset"), request(b"ping")]
    );
    assert_eq!(receive_all(peer).await, [b"OK ", b"OK "]);
}

async fn receive_all(mut peer: Peer) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    while let Ok(Some(packet)) = timeout(Duration::from_millis(1), peer.receive()).await {
        payloads.push(packet.payload);
    }
    payloads
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_does_not_put_off_the_next_poll() {
    let backdoor = Backdoor::new();
    let mut link = link(TransportChoice::Backdoor, &backdoor, &FakeVsock::default());
    assert_eq!(link.next().await, CONNECTED_BACKDOOR);
    quiet(&mut link, Duration::from_secs(3)).await;
    let before = backdoor.accesses.get();
    for _ in 0..1_000 {
        quiet(&mut link, Duration::from_millis(7)).await;
    }
    let polls = (backdoor.accesses.get() - before) / 2;
    assert!((19..=20).contains(&polls), "{polls}");
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_a_request_of_a_lost_connection_is_dropped() {
    let (backdoor, vsock) = (Backdoor::new(), FakeVsock::default());
    let mut peer = vsock.listen();
    let mut link = link(TransportChoice::Auto, &backdoor, &vsock);
    peer.send(b"reset").await;
    assert_eq!(link.next().await, CONNECTED_VSOCK);
    assert_eq!(link.next().await, request(b"reset"));
    drop(peer);
    link.reply(b"OK ATR toolbox".to_vec());
    assert_eq!(link.next().await, TcloEvent::Lost);
    link.reply(b"OK late".to_vec());
    assert_eq!(link.next().await, CONNECTED_BACKDOOR);
    assert_eq!(replies(&backdoor), Vec::<Vec<u8>>::new());
}
