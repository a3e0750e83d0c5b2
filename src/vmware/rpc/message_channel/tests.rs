//! The machines against scripts of registers. Golden values: open-vm-tools' message.c, run against a host in
//! the same process.

use super::receive::MAX_FROM_HOST;
use super::*;
use crate::vmware::wire::registers::{ALL_ONES, halves};
use proptest::prelude::*;

const CHANNEL: ChannelAddress = ChannelAddress {
    id: 2,
    cookie_high: 0x1122_3344,
    cookie_low: 0x5566_7788,
};
const REQUEST: &[u8] = b"info-get guestinfo.ip";
const REPLY: &[u8] = b"1 10.5.0.2";

/// What a call looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Made {
    Low(Registers),
    Out(Registers, Vec<u8>),
    In(Registers, usize),
}

/// A host: is told each call, fills what is to be filled, and answers with registers.
fn play<O: Operation>(
    mut operation: O,
    mut host: impl FnMut(&Made, &mut [u8]) -> Registers,
) -> (Result<O::Output, ChannelError>, Vec<Made>) {
    let mut calls = Vec::new();
    loop {
        let (made, reply) = match operation.call() {
            Call::Low(registers) => {
                let made = Made::Low(registers);
                let reply = host(&made, &mut []);
                (made, reply)
            }
            Call::HighOut { registers, data } => {
                let made = Made::Out(registers, data.to_vec());
                let reply = host(&made, &mut []);
                (made, reply)
            }
            Call::HighIn { registers, data } => {
                let made = Made::In(registers, data.len());
                let reply = host(&made, data);
                (made, reply)
            }
        };
        calls.push(made);
        if let ControlFlow::Break(result) = operation.handle(&reply) {
            return (result, calls);
        }
    }
}

/// A reply that defines nothing but CX; the other registers hold what hosts leave behind.
fn status(status: u16) -> Registers {
    Registers {
        ax: 0x0BAD_0BAD,
        bx: 0x0BAD_F00D,
        cx: halves(status, 0xBAD0),
        dx: 0x0BAD_0BAD,
        si: 0x0BAD_0BAD,
        di: 0x0BAD_0BAD,
        bp: 0x0BAD_0BAD,
    }
}

fn high_status(status: u16) -> Registers {
    Registers {
        bx: halves(status, 0xBAD0),
        ..self::status(0xBAD0)
    }
}

/// A reply with a size or a piece in BX, named by DX.
fn piece(status: u16, kind: u16, bx: u32) -> Registers {
    Registers {
        bx,
        dx: halves(kind, 0xBAD0),
        ..self::status(status)
    }
}

/// Plays replies in turn; every reply must be used.
fn scripted<O: Operation>(
    operation: O,
    replies: &[Registers],
) -> (Result<O::Output, ChannelError>, Vec<Made>) {
    let mut left = replies.iter();
    let played = play(operation, |made, data| {
        data.copy_from_slice(REPLY.get(..data.len()).unwrap_or_default());
        *left
            .next()
            .unwrap_or_else(|| panic!("no reply left for {made:x?}"))
    });
    assert_eq!(left.len(), 0, "replies nobody asked for");
    played
}

/// The registers of a low-bandwidth step as the example writes them.
fn low(bx: u32, cx: u32) -> Made {
    Made::Low(Registers {
        ax: 0x564D_5868,
        bx,
        cx,
        dx: 0x0002_0000,
        si: 0x1122_3344,
        di: 0x5566_7788,
        bp: 0,
    })
}

fn send(message: &[u8]) -> Send<'_> {
    Send::new(CHANNEL, message, Bandwidth::High).unwrap()
}

fn receive() -> Receive {
    Receive::new(CHANNEL, Bandwidth::High)
}

#[test]
fn open_yields_id_and_cookie() {
    let reply = Registers {
        dx: 0x0002_BAD0,
        si: 0x1122_3344,
        di: 0x5566_7788,
        ..status(1)
    };
    let (result, calls) = scripted(Open::new(Protocol::Rpci), &[reply]);
    assert_eq!(result, Ok(CHANNEL));
    assert_eq!(
        calls,
        [Made::Low(Registers {
            ax: 0x564D_5868,
            bx: 0xC943_5052,
            cx: 0x0000_001E,
            ..Registers::default()
        })]
    );
}

#[test]
fn open_falls_back_to_no_cookie() {
    let reply = Registers {
        dx: 0x0007_BAD0,
        ..status(1)
    };
    let (result, calls) = scripted(Open::new(Protocol::Tclo), &[status(0), reply]);
    let address = result.unwrap();
    assert_eq!(
        (address.id, address.cookie_high, address.cookie_low),
        (7, 0, 0)
    );
    let numbers = calls.iter().map(|made| match made {
        Made::Low(registers) => (registers.bx, registers.cx),
        other => panic!("{other:?}"),
    });
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        [(0xCF4C_4354, 0x1E), (0x4F4C_4354, 0x1E)]
    );
}

#[test]
fn open_refused_twice_is_refused() {
    let (result, _) = scripted(Open::new(Protocol::Tclo), &[status(0), status(0x20)]);
    assert_eq!(result, Err(ChannelError::Refused { status: 0x20 }));
}

#[test]
fn send_with_high_bandwidth_as_in_the_example() {
    let (result, calls) = scripted(send(REQUEST), &[status(0x81), high_status(1)]);
    assert_eq!(result, Ok(()));
    let block = Registers {
        ax: 0x564D_5868,
        bx: 0x0001_0000,
        cx: 0x15,
        dx: 0x0002_0000,
        si: 0,
        di: 0x5566_7788,
        bp: 0x1122_3344,
    };
    assert_eq!(
        calls,
        [low(0x15, 0x0001_001E), Made::Out(block, REQUEST.to_vec())]
    );
}

#[test]
fn send_with_low_bandwidth_as_in_the_example() {
    let (result, calls) = scripted(send(REQUEST), &[status(1); 7]);
    assert_eq!(result, Ok(()));
    let mut expected = vec![low(0x15, 0x0001_001E)];
    let words = [
        0x6F66_6E69,
        0x7465_672D,
        0x6575_6720,
        0x6E69_7473,
        0x692E_6F66,
        0x0000_0070,
    ];
    expected.extend(words.map(|word| low(word, 0x0002_001E)));
    assert_eq!(calls, expected);
}

#[test]
fn receive_with_high_bandwidth_as_in_the_example() {
    let replies = [piece(0x83, 1, 10), high_status(1), status(1)];
    let (result, calls) = scripted(receive(), &replies);
    assert_eq!(result, Ok(Some(REPLY.to_vec())));
    let block = Registers {
        ax: 0x564D_5868,
        bx: 0x0001_0000,
        cx: 0x0A,
        dx: 0x0002_0000,
        si: 0x1122_3344,
        di: 0,
        bp: 0x5566_7788,
    };
    assert_eq!(
        calls,
        [
            low(0, 0x0003_001E),
            Made::In(block, 10),
            low(1, 0x0005_001E)
        ]
    );
}

#[test]
fn receive_with_low_bandwidth_as_in_the_example() {
    let replies = [
        piece(0x03, 1, 10),
        piece(1, 2, 0x3031_2031),
        piece(1, 2, 0x302E_352E),
        // Only two bytes of this one count.
        piece(1, 2, 0xEEEE_322E),
        status(1),
    ];
    let (result, calls) = scripted(receive(), &replies);
    assert_eq!(result, Ok(Some(REPLY.to_vec())));
    assert_eq!(
        calls,
        [
            low(0, 0x0003_001E),
            low(1, 0x0004_001E),
            low(1, 0x0004_001E),
            low(1, 0x0004_001E),
            low(1, 0x0005_001E),
        ]
    );
}

#[test]
fn close_as_in_the_example() {
    let (result, calls) = scripted(Close::new(CHANNEL), &[status(1)]);
    assert_eq!(result, Ok(()));
    assert_eq!(calls, [low(0, 0x0006_001E)]);
    let (result, _) = scripted(Close::new(CHANNEL), &[status(5)]);
    assert_eq!(result, Ok(()));
    let (result, _) = scripted(Close::new(CHANNEL), &[status(0)]);
    assert_eq!(result, Err(ChannelError::Refused { status: 0 }));
}

#[test]
fn low_bandwidth_can_be_forced() {
    let send = Send::new(CHANNEL, b"ping", Bandwidth::Low).unwrap();
    let (result, calls) = scripted(send, &[status(0x81), status(1)]);
    assert_eq!(result, Ok(()));
    assert_eq!(calls[1], low(0x676E_6970, 0x0002_001E));
    let receive = Receive::new(CHANNEL, Bandwidth::Low);
    let (result, _) = scripted(
        receive,
        &[piece(0x83, 1, 2), piece(1, 2, 0xEEEE_4B4F), status(1)],
    );
    assert_eq!(result, Ok(Some(b"OK".to_vec())));
}

#[test]
fn an_empty_message_has_no_payload() {
    for offered in [0x01, 0x81] {
        let (result, calls) = scripted(send(b""), &[status(offered)]);
        assert_eq!(result, Ok(()));
        assert_eq!(calls, [low(0, 0x0001_001E)]);
    }
    for offered in [0x03, 0x83] {
        let (result, calls) = scripted(receive(), &[piece(offered, 1, 0), status(1)]);
        assert_eq!(result, Ok(Some(Vec::new())));
        assert_eq!(calls[1], low(1, 0x0005_001E));
    }
}

#[test]
fn nothing_pending_is_none() {
    for quiet in [0x01, 0x81, 0x09] {
        let (result, _) = scripted(receive(), &[status(quiet)]);
        assert_eq!(result, Ok(None), "{quiet:#x}");
    }
}

#[test]
fn a_message_of_every_length_is_cut_into_padded_words() {
    for len in 0..9u8 {
        let message: Vec<u8> = (1..=len).collect();
        let (result, calls) = play(send(&message), |_, _| status(1));
        assert_eq!(result, Ok(()));
        let mut sent = Vec::new();
        for call in &calls[1..] {
            let Made::Low(registers) = call else {
                panic!("{call:?}")
            };
            sent.extend(registers.bx.to_le_bytes());
        }
        let mut padded = message;
        padded.resize(padded.len().next_multiple_of(4), 0);
        assert_eq!(sent, padded);
    }
}

#[test]
fn a_checkpoint_in_the_payload_begins_again_with_the_size() {
    // High bandwidth, out.
    let replies = [
        status(0x81),
        high_status(0x10),
        status(0x81),
        high_status(1),
    ];
    let (result, calls) = scripted(send(REQUEST), &replies);
    assert_eq!(result, Ok(()));
    assert_eq!(calls[..2], calls[2..]);
    // Low bandwidth, out, in the second word.
    let replies = [
        status(1),
        status(1),
        status(0x10),
        status(1),
        status(1),
        status(1),
    ];
    let (result, calls) = scripted(send(b"12345678"), &replies);
    assert_eq!(result, Ok(()));
    assert_eq!(calls[..3], calls[3..]);
    // High bandwidth, in: the host may have other news afterwards.
    let replies = [
        piece(0x83, 1, 3),
        high_status(0x10),
        piece(0x83, 1, 10),
        high_status(1),
        status(1),
    ];
    let (result, _) = scripted(receive(), &replies);
    assert_eq!(result, Ok(Some(REPLY.to_vec())));
    // Low bandwidth, in, after the first word.
    let replies = [
        piece(0x03, 1, 6),
        piece(1, 2, 0x3031_2031),
        piece(0x10, 2, 0),
        piece(0x03, 1, 4),
        piece(1, 2, 0x676E_6970),
        status(1),
    ];
    let (result, _) = scripted(receive(), &replies);
    assert_eq!(result, Ok(Some(b"ping".to_vec())));
    // In RECVSTATUS.
    let round = [piece(0x83, 1, 10), high_status(1)];
    let replies = [
        round[0],
        round[1],
        status(0x10),
        round[0],
        round[1],
        status(1),
    ];
    let (result, _) = scripted(receive(), &replies);
    assert_eq!(result, Ok(Some(REPLY.to_vec())));
}

#[test]
fn a_checkpoint_in_the_size_is_a_failure() {
    let refused = Err(ChannelError::Refused { status: 0x10 });
    assert_eq!(scripted(send(REQUEST), &[status(0x10)]).0, refused);
    let (result, _) = scripted(receive(), &[status(0x10)]);
    assert_eq!(result, Err(ChannelError::Refused { status: 0x10 }));
}

#[test]
fn endless_checkpoints_end() {
    let too_often = ChannelError::CheckpointedTooOften {
        restarts: MAX_RESTARTS,
    };
    let (result, calls) = play(send(REQUEST), |made, _| match made {
        Made::Low(_) => status(0x81),
        Made::Out(..) | Made::In(..) => high_status(0x10),
    });
    assert_eq!(result, Err(too_often));
    assert_eq!(calls.len(), 2 * (MAX_RESTARTS as usize + 1));
    let (result, calls) = play(receive(), |made, _| match made {
        Made::Low(_) => piece(0x83, 1, 10),
        Made::Out(..) | Made::In(..) => high_status(0x10),
    });
    assert_eq!(result, Err(too_often));
    // One more: the host is told.
    assert_eq!(calls.len(), 2 * (MAX_RESTARTS as usize + 1) + 1);
    assert_eq!(calls.last(), Some(&low(0, 0x0004_001E)));
}

/// A payload that is cut off is not sent again without its size.
#[test]
fn a_closed_channel_is_told_from_a_refusal() {
    let closed = [status(0x81), high_status(0x04)];
    assert_eq!(
        scripted(send(REQUEST), &closed).0,
        Err(ChannelError::Closed)
    );
    assert_eq!(
        scripted(send(REQUEST), &[status(0x04)]).0,
        Err(ChannelError::Closed)
    );
    let (result, _) = scripted(receive(), &[status(0x40)]);
    assert_eq!(result, Err(ChannelError::Refused { status: 0x40 }));
}

#[test]
fn a_message_too_long_is_not_begun() {
    let longest = vec![0; MAX_TO_HOST];
    assert!(Send::new(CHANNEL, &longest, Bandwidth::High).is_ok());
    let longer = vec![0; MAX_TO_HOST + 1];
    let error = Send::new(CHANNEL, &longer, Bandwidth::High).unwrap_err();
    assert_eq!(
        error,
        ChannelError::TooLong {
            len: 65_537,
            max: 65_536
        }
    );
}

#[test]
fn failing_to_receive_is_told_to_the_host() {
    // What goes wrong after the size, and what the host is told: RECVPAYLOAD while bytes are missing,
    // RECVSTATUS when none are; BX is 0.
    let payload = low(0, 0x0004_001E);
    let state = low(0, 0x0005_001E);
    let wrong_kind = ChannelError::HostMisbehaved {
        what: "a piece of a message is answered with something else",
    };
    let refused = ChannelError::Refused { status: 0 };
    let cases: [(&[Registers], ChannelError, &Made); 6] = [
        (&[piece(0x03, 1, 8), piece(1, 1, 0)], wrong_kind, &payload),
        (&[piece(0x03, 1, 8), status(0)], refused, &payload),
        (&[piece(0x83, 1, 8), high_status(0)], refused, &payload),
        (
            &[piece(0x83, 1, 8), high_status(1), status(0)],
            refused,
            &payload,
        ),
        (
            &[piece(0x03, 1, 3), piece(1, 2, 7), status(0)],
            refused,
            &state,
        ),
        (
            &[piece(0x03, 1, 0), status(4)],
            ChannelError::Closed,
            &state,
        ),
    ];
    for (replies, error, told) in cases {
        let mut replies = replies.to_vec();
        // Whatever the host says to that.
        replies.push(status(0xFFFF));
        let (result, calls) = scripted(receive(), &replies);
        assert_eq!(result, Err(error));
        assert_eq!(calls.last(), Some(told));
    }
}

#[test]
fn an_oversized_announcement_is_refused_before_memory_is_taken() {
    for len in [MAX_FROM_HOST as u32 + 1, u32::MAX - 3] {
        let (result, calls) = scripted(receive(), &[piece(0x83, 1, len), status(1)]);
        let max = MAX_FROM_HOST;
        let len = len as usize;
        assert_eq!(result, Err(ChannelError::TooLongToReceive { len, max }));
        assert_eq!(calls.last(), Some(&low(0, 0x0004_001E)));
    }
}

#[test]
fn the_longest_message_is_taken() {
    let size = piece(0x83, 1, MAX_FROM_HOST as u32);
    let replies = [size, high_status(1), status(1)];
    let mut left = replies.iter();
    let (result, _) = play(receive(), |_, _| *left.next().unwrap());
    assert_eq!(result.unwrap().unwrap().len(), MAX_FROM_HOST);
}

#[test]
fn a_size_of_the_wrong_kind_is_refused_without_a_word() {
    for kind in [0, 2, 3, 0xFFFF] {
        let (result, calls) = scripted(receive(), &[piece(0x83, kind, 10)]);
        assert!(matches!(result, Err(ChannelError::HostMisbehaved { .. })));
        assert_eq!(calls.len(), 1);
    }
}

/// All ones hold the bit for success.
#[test]
fn all_ones_are_not_believed() {
    let ones = Registers {
        ax: ALL_ONES,
        bx: ALL_ONES,
        cx: ALL_ONES,
        dx: ALL_ONES,
        si: ALL_ONES,
        di: ALL_ONES,
        bp: ALL_ONES,
    };
    fn failed<T: std::fmt::Debug>(result: Result<T, ChannelError>) {
        assert!(
            matches!(result, Err(ChannelError::HostMisbehaved { .. })),
            "{result:?}"
        );
    }
    failed(play(Open::new(Protocol::Rpci), |_, _| ones).0);
    failed(play(send(REQUEST), |_, _| ones).0);
    failed(play(receive(), |_, _| ones).0);
    failed(scripted(send(REQUEST), &[status(0x81), ones]).0);
    failed(scripted(receive(), &[piece(0x83, 1, 10), ones, status(1)]).0);
    failed(
        scripted(
            receive(),
            &[piece(0x83, 1, 10), high_status(1), ones, status(1)],
        )
        .0,
    );
    // A good status with an address of all ones.
    let half = Registers {
        cx: status(1).cx,
        ..ones
    };
    failed(play(Open::new(Protocol::Rpci), |_, _| half).0);
}

/// SENDSIZE is step 1 and success is bit 1: registers that nobody touched look like a reply.
#[test]
fn registers_that_nobody_touched_are_not_believed() {
    let untouched = |made: &Made, _: &mut [u8]| match made {
        Made::Low(registers) | Made::Out(registers, _) | Made::In(registers, _) => Registers {
            ax: ALL_ONES,
            ..*registers
        },
    };
    let unanswered = ChannelError::HostMisbehaved {
        what: "the call came back unanswered",
    };
    assert_eq!(play(send(REQUEST), untouched).0, Err(unanswered));
    assert_eq!(play(receive(), untouched).0, Err(unanswered));
    assert_eq!(
        play(Open::new(Protocol::Rpci), untouched).0,
        Err(unanswered)
    );
    assert_eq!(play(Close::new(CHANNEL), untouched).0, Err(unanswered));

    // QEMU's older machines leave AX alone as well. Then no channel opens, and nothing is ever received.
    let echo = |made: &Made, _: &mut [u8]| match made {
        Made::Low(registers) | Made::Out(registers, _) | Made::In(registers, _) => *registers,
    };
    assert_eq!(
        play(Open::new(Protocol::Rpci), echo).0,
        Err(ChannelError::Refused { status: 0 })
    );
    assert!(play(receive(), echo).0.is_err());
    let first = Receive::new(ChannelAddress { id: 1, ..CHANNEL }, Bandwidth::High);
    assert!(play(first, echo).0.is_err());
}

#[test]
fn bits_that_cannot_go_together_are_not_believed() {
    for contradiction in [0x05, 0x85, 0x41] {
        let (result, _) = scripted(send(REQUEST), &[status(contradiction)]);
        assert!(matches!(result, Err(ChannelError::HostMisbehaved { .. })));
    }
    let (result, _) = scripted(receive(), &[piece(0x8B, 1, 10)]);
    assert!(matches!(result, Err(ChannelError::HostMisbehaved { .. })));
}

fn any_registers() -> impl Strategy<Value = Registers> {
    // Garbage, but with statuses and kinds that get somewhere often enough.
    let status = prop_oneof![
        any::<u16>(),
        0u16..0x100,
        Just(0x83),
        Just(0x10),
        Just(0x01)
    ];
    let high = prop_oneof![any::<u16>(), 0u16..0x20, Just(1)];
    let kind = prop_oneof![any::<u16>(), 0u16..4];
    let low_bx = prop_oneof![any::<u16>(), 0u16..40];
    (any::<[u32; 4]>(), status, high, kind, low_bx).prop_map(
        |([ax, si, di, bp], status, high, kind, low_bx)| Registers {
            ax,
            bx: halves(high, low_bx),
            cx: halves(status, 0),
            dx: halves(kind, 0),
            si,
            di,
            bp,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever a host answers, every operation ends: its calls are bounded by its restarts and its length.
    #[test]
    fn any_host_is_survived_in_bounded_time(
        replies in proptest::collection::vec(any_registers(), 1..24),
        message in proptest::collection::vec(any::<u8>(), 0..64),
        low_bandwidth: bool,
        protocol in prop_oneof![Just(Protocol::Rpci), Just(Protocol::Tclo)],
    ) {
        let bandwidth = if low_bandwidth { Bandwidth::Low } else { Bandwidth::High };
        let restarts = MAX_RESTARTS as usize + 1;

        let mut host = replies.iter().cycle();
        let (_, calls) = play(Open::new(protocol), |_, _| *host.next().unwrap());
        prop_assert!(calls.len() <= 2);

        let send = Send::new(CHANNEL, &message, bandwidth).unwrap();
        let (_, calls) = play(send, |_, _| *host.next().unwrap());
        prop_assert!(calls.len() <= restarts * (1 + message.len().div_ceil(4)));

        let (result, calls) = play(Receive::new(CHANNEL, bandwidth), |_, _| *host.next().unwrap());
        prop_assert!(calls.len() <= restarts * (2 + MAX_FROM_HOST / 4) + 1);
        if let Ok(Some(received)) = result {
            prop_assert!(received.len() <= MAX_FROM_HOST);
        }
    }
}
