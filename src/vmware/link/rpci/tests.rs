use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::io::AsyncWriteExt;

use super::*;
use crate::config::TransportChoice;
use crate::vmware::link::fake_peer::{Backdoor, Dialed, FakeVsock, Mode};
use crate::vmware::rpc::message_channel::Bandwidth;
use crate::vmware::transport::backdoor::fake::Fault;

fn link(
    transport: TransportChoice,
    backdoor: &Backdoor,
    vsock: &FakeVsock,
) -> RpciLink<Backdoor, FakeVsock> {
    let settings = LinkSettings {
        transport,
        access: Some(backdoor.clone()),
        bandwidth: Bandwidth::High,
    };
    RpciLink::with_dialer(settings, vsock.clone())
}

fn accepted(text: &[u8]) -> Reply {
    Reply::Accepted(text.to_vec())
}

/// What the host got over the backdoor's RPCI.
fn commands(backdoor: &Backdoor) -> Vec<Vec<u8>> {
    let received = backdoor.host.received().into_iter();
    received
        .filter(|(protocol, _)| *protocol == Protocol::Rpci)
        .map(|(_, message)| message)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn over_the_backdoor_an_exchange_does_not_suspend() {
    let backdoor = Backdoor::new();
    backdoor.host.answer_with(|_| b"0 No value found".to_vec());
    let mut link = link(TransportChoice::Backdoor, &backdoor, &FakeVsock::default());
    let exchange = pin!(link.exchange(b"info-get guestinfo.x"));
    match exchange.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Reply::Refused(text))) => assert_eq!(text, b"No value found"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_backdoor_alone_never_dials_and_vsock_alone_never_knocks() {
    let (backdoor, vsock) = (Backdoor::new(), FakeVsock::default());
    backdoor.mode.set(Mode::Dead);
    let mut only_backdoor = link(TransportChoice::Backdoor, &backdoor, &vsock);
    only_backdoor.exchange(b"log x").await.unwrap_err();
    assert_eq!(vsock.dials(), []);
    let before = backdoor.accesses.get();
    let mut only_vsock = link(TransportChoice::Vsock, &backdoor, &vsock);
    only_vsock.exchange(b"log x").await.unwrap_err();
    assert_eq!(vsock.dials(), [(976, SourcePort::PreferPrivileged)]);
    assert_eq!(backdoor.accesses.get(), before);
}

#[tokio::test(start_paused = true)]
async fn a_channel_gone_after_a_resume_is_opened_again_and_the_command_sent_again() {
    let backdoor = Backdoor::new();
    let mut link = link(TransportChoice::Backdoor, &backdoor, &FakeVsock::default());
    link.exchange(b"log a").await.unwrap();
    backdoor.host.fault_after(0, Fault::ChannelsGone);
    assert_eq!(link.exchange(b"log b").await.unwrap(), accepted(b""));
    assert_eq!(commands(&backdoor), [b"log a", b"log b"]);
    assert_eq!(backdoor.host.open_channels(), 1);
    link.close();
    assert_eq!(backdoor.host.open_channels(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_answers_is_asked_twice() {
    let backdoor = Backdoor::new();
    backdoor.host.answer_with(|_| Vec::new());
    let mut link = link(TransportChoice::Backdoor, &backdoor, &FakeVsock::default());
    let error = link.exchange(b"log a").await.unwrap_err();
    assert!(matches!(error, RpciError::Broken { .. }), "{error:?}");
    assert_eq!(commands(&backdoor), [b"log a", b"log a"]);
    backdoor.host.answer_with(|_| b"1 ok".to_vec());
    assert_eq!(link.exchange(b"log b").await.unwrap(), accepted(b"ok"));
}

#[tokio::test(start_paused = true)]
async fn what_must_not_arrive_twice_is_sent_again_only_if_it_cannot_have_arrived() {
    let backdoor = Backdoor::new();
    let mut link = link(TransportChoice::Backdoor, &backdoor, &FakeVsock::default());
    link.exchange(b"log a").await.unwrap();
    backdoor.host.fault_after(0, Fault::ChannelsGone);
    let reply = link.exchange_with(b"log b", Attempts::One).await;
    assert_eq!(reply.unwrap(), accepted(b""));
    backdoor.host.answer_with(|_| Vec::new());
    let start = Instant::now();
    let error = link.exchange_with(b"log c", Attempts::One).await;
    let error = error.unwrap_err();
    assert!(matches!(error, RpciError::Broken { .. }), "{error:?}");
    assert!(start.elapsed() <= REPLY_TIMEOUT, "{:?}", start.elapsed());
    backdoor.host.answer_with(|_| b"no status".to_vec());
    let error = link.exchange_with(b"log d", Attempts::One).await;
    let error = error.unwrap_err();
    assert!(matches!(error, RpciError::Broken { .. }), "{error:?}");
    let expected = [b"log a", b"log b", b"log c", b"log d"];
    assert_eq!(commands(&backdoor), expected);
    // The link stays usable, and what comes next has its own reply.
    backdoor.host.answer_with(|_| b"1 ok".to_vec());
    assert_eq!(link.exchange(b"log e").await.unwrap(), accepted(b"ok"));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_comes_back_is_reached_by_the_next_exchange() {
    let backdoor = Backdoor::new();
    let mut link = link(TransportChoice::Backdoor, &backdoor, &FakeVsock::default());
    for gone in [Mode::Dead, Mode::Faulting] {
        backdoor.mode.set(gone);
        link.exchange(b"log a").await.unwrap_err();
        let before = backdoor.accesses.get();
        let error = link.exchange(b"log a").await.unwrap_err();
        assert!(matches!(error, RpciError::Unreachable { .. }), "{error:?}");
        assert!(backdoor.accesses.get() - before <= 2);
        backdoor.mode.set(Mode::Served);
        link.exchange(b"log b").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_beyond_64_kib_is_refused_and_one_of_64_kib_is_not() {
    let backdoor = Backdoor::new();
    let mut link = link(TransportChoice::Backdoor, &backdoor, &FakeVsock::default());
    let error = link.exchange(&vec![b'x'; 65_537]).await.unwrap_err();
    assert!(matches!(error, RpciError::TooLong { len: 65_537 }));
    assert_eq!(backdoor.accesses.get(), 0);
    link.exchange(&vec![b'x'; 65_536]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn vsock_is_preferred_and_used_again() {
    let (backdoor, vsock) = (Backdoor::new(), FakeVsock::default());
    let mut link = link(TransportChoice::Auto, &backdoor, &vsock);
    let host = async {
        vsock.listen().echo().await;
    };
    let guest = async {
        let long = vec![b'y'; 60_000];
        assert_eq!(link.exchange(b"one").await.unwrap(), accepted(b"one"));
        assert_eq!(link.exchange(&long).await.unwrap(), accepted(&long));
        assert_eq!(link.transport(), Some(Transport::Vsock));
        link.close();
    };
    tokio::join!(host, guest);
    assert_eq!(vsock.dials(), [(976, SourcePort::PreferPrivileged)]);
    assert_eq!(backdoor.accesses.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_on_vsock_the_backdoor_answers_within_two_seconds() {
    let accepting = FakeVsock::default();
    let silent = accepting.listen();
    let closing = FakeVsock::default();
    drop(closing.listen());
    let garbling = FakeVsock::default();
    let mut garbler = garbling.listen();
    let garble = async {
        garbler.receive().await;
        garbler.stream.try_write(&[0xff; 8]).unwrap();
    };
    let cases = [
        FakeVsock::new([Dialed::Absent]),
        FakeVsock::new([Dialed::Reset]),
        FakeVsock::new([Dialed::Hang]),
        accepting,
        closing,
    ];
    for vsock in cases {
        falls_back(&vsock).await;
    }
    tokio::join!(falls_back(&garbling), garble);
    drop(silent);
}

async fn falls_back(vsock: &FakeVsock) {
    let backdoor = Backdoor::new();
    let mut link = link(TransportChoice::Auto, &backdoor, vsock);
    let start = Instant::now();
    assert_eq!(link.exchange(b"log a").await.unwrap(), accepted(b""));
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(commands(&backdoor), [b"log a"]);
    assert_eq!(vsock.dials().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn vsock_is_tried_again_after_4_seconds_but_never_where_it_is_absent() {
    for (dialed, dials) in [(Dialed::Reset, 2), (Dialed::Absent, 1)] {
        let (backdoor, vsock) = (Backdoor::new(), FakeVsock::new([dialed]));
        let mut link = link(TransportChoice::Auto, &backdoor, &vsock);
        link.exchange(b"log a").await.unwrap();
        tokio::time::advance(Duration::from_secs(4)).await;
        link.exchange(b"log b").await.unwrap();
        link.exchange(b"log c").await.unwrap();
        assert_eq!(vsock.dials().len(), dials);
        assert_eq!(commands(&backdoor), [b"log a", b"log b", b"log c"]);
    }
}

/// The host has shut its side down but would still take the command.
#[tokio::test(start_paused = true)]
async fn a_vsock_closed_while_idle_is_opened_again_and_the_command_sent_once() {
    let (backdoor, vsock) = (Backdoor::new(), FakeVsock::default());
    let mut link = link(TransportChoice::Auto, &backdoor, &vsock);
    let mut first = vsock.listen();
    let host = async {
        let packet = first.receive().await.unwrap();
        assert_eq!(packet.payload, b"one");
        first.send(b"1 ").await;
        first.stream.shutdown().await.unwrap();
        vsock.listen().echo().await;
        assert_eq!(first.receive().await, None);
    };
    let guest = async {
        link.exchange(b"one").await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(link.exchange(b"two").await.unwrap(), accepted(b"two"));
        link.close();
    };
    tokio::join!(host, guest);
    assert_eq!(vsock.dials().len(), 2);
    assert_eq!(backdoor.accesses.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stray_packet_does_not_pass_for_the_next_reply() {
    let (backdoor, vsock) = (Backdoor::new(), FakeVsock::default());
    let mut link = link(TransportChoice::Auto, &backdoor, &vsock);
    let mut first = vsock.listen();
    let host = async {
        first.receive().await.unwrap();
        let both = [
            Packet::data(b"1 right").encode(),
            Packet::data(b"1 stray").encode(),
        ];
        first.stream.write_all(&both.concat()).await.unwrap();
        vsock.listen().echo().await;
        assert_eq!(first.receive().await, None);
    };
    let guest = async {
        assert_eq!(link.exchange(b"one").await.unwrap(), accepted(b"right"));
        tokio::task::yield_now().await;
        assert_eq!(link.exchange(b"two").await.unwrap(), accepted(b"two"));
        link.close();
    };
    tokio::join!(host, guest);
}

#[tokio::test(start_paused = true)]
async fn a_proven_host_that_goes_silent_costs_5_seconds_and_then_the_short_time() {
    let (backdoor, vsock) = (Backdoor::new(), FakeVsock::default());
    let mut link = link(TransportChoice::Auto, &backdoor, &vsock);
    let mut first = vsock.listen();
    let _second = vsock.listen();
    let host = async {
        first.receive().await.unwrap();
        first.send(b"1 ").await;
        while first.receive().await.is_some() {}
    };
    let guest = async {
        link.exchange(b"one").await.unwrap();
        let start = Instant::now();
        link.exchange(b"two").await.unwrap();
        let elapsed = start.elapsed();
        assert!(elapsed >= Duration::from_millis(5_900), "{elapsed:?}");
        assert!(elapsed < Duration::from_millis(6_000), "{elapsed:?}");
    };
    tokio::join!(host, guest);
    assert_eq!(commands(&backdoor), [b"two"]);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_dropped_halfway_leaves_no_reply_behind() {
    let (backdoor, vsock) = (Backdoor::new(), FakeVsock::default());
    let mut link = link(TransportChoice::Auto, &backdoor, &vsock);
    let mut first = vsock.listen();
    {
        let exchange = pin!(link.exchange(b"one"));
        let poll = exchange.poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending());
    }
    first.send(b"1 one").await;
    let host = async { vsock.listen().echo().await };
    let guest = async {
        assert_eq!(link.exchange(b"two").await.unwrap(), accepted(b"two"));
        link.close();
    };
    tokio::join!(host, guest);
}

/// Replies can be machine configs: at no level and by no error does one reach a log.
#[tokio::test(start_paused = true)]
async fn no_reply_is_logged_whatever_happens_to_it() {
    const SECRET: &[u8] = b"1 SECRET-MARKER-SECRET-MARKER-SECRET-MARKER";
    let logged = crate::log::logged::Logged::new();
    let mut said = String::new();
    let mut note = |outcome: Result<Reply, RpciError>| {
        said.push_str(&format!("{outcome:?}\n"));
        if let Err(error) = outcome {
            said.push_str(&format!("{}\n", Chain(&error)));
        }
    };
    for bandwidth in [Bandwidth::High, Bandwidth::Low] {
        for fault in [
            Fault::ChannelsGone,
            Fault::Checkpoint,
            Fault::Status(0),
            Fault::Trap,
        ] {
            for step in 0..20 {
                let backdoor = Backdoor::new();
                backdoor.host.answer_with(|_| SECRET.to_vec());
                let mut link = RpciLink::with_dialer(
                    LinkSettings {
                        transport: TransportChoice::Backdoor,
                        access: Some(backdoor.clone()),
                        bandwidth,
                    },
                    FakeVsock::default(),
                );
                backdoor.host.fault_after(step, fault);
                note(link.exchange(b"info-get guestinfo.talos.config").await);
                // Without a status it is malformed.
                backdoor.host.answer_with(|_| SECRET[2..].to_vec());
                note(link.exchange(b"info-get guestinfo.talos.config").await);
            }
        }
    }
    let packet = Packet::data(SECRET).encode();
    let statusless = Packet::data(&SECRET[2..]).encode();
    let twice = [&packet[..], &packet[..]].concat();
    for bytes in [
        &packet[..],
        &packet[..20],
        &packet[9..],
        &statusless[..],
        &twice[..],
    ] {
        let (backdoor, vsock) = (Backdoor::new(), FakeVsock::default());
        backdoor.host.answer_with(|_| SECRET.to_vec());
        let mut peer = vsock.listen();
        let mut link = link(TransportChoice::Auto, &backdoor, &vsock);
        let host = async {
            peer.receive().await;
            peer.stream.try_write(bytes).unwrap();
            drop(peer);
        };
        let guest = async {
            note(link.exchange(b"info-get guestinfo.talos.config").await);
            note(link.exchange(b"info-get guestinfo.talos.config").await);
        };
        tokio::join!(host, guest);
    }
    assert!(
        said.contains("Accepted(41 bytes)") && said.contains("broke"),
        "{said}"
    );
    assert!(!said.contains("SECRET"), "{said}");
    let lines = logged.take();
    assert!(lines.len() > 10);
    assert_eq!(lines.iter().find(|(_, line)| line.contains("SECRET")), None);
}
