//! One scenario per test, on virtual time: a scripted host, and a trace of what the machine did.

use proptest::prelude::*;

use super::Transport::{Backdoor, Vsock};
use super::*;

#[test]
fn a_quiet_host_is_polled_after_10_20_40_80_and_then_every_100_ms() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.run_until(500);
    assert_eq!(
        guest.trace(),
        "0 open backdoor|0 poll|0 connected backdoor|10 poll|30 poll|70 poll|150 poll|250 poll|350 poll|450 poll"
    );
}

#[test]
fn an_hour_of_silence_is_three_polls_a_second_and_nothing_else() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.run_until(3_600_000);
    let polls = guest.trace.len() - 2;
    assert!((10_285..=10_310).contains(&polls), "{polls}");
}

#[test]
fn after_two_seconds_of_silence_the_host_is_polled_every_350_ms_until_it_asks() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.run_until(1_900);
    guest.trace.clear();
    guest.run_until(2_800);
    assert_eq!(guest.trace(), "1950 poll|2050 poll|2400 poll|2750 poll");
    guest.host.requests = vec![b"ping".to_vec()];
    guest.run_until(3_100);
    guest.trace.clear();
    guest.reply(b"OK ");
    guest.run_until(3_500);
    assert_eq!(guest.trace(), "3100 poll OK |3110 poll|3130 poll|3170 poll");
}

#[test]
fn a_lone_request_out_of_silence_starts_no_burst_and_a_second_one_does() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    let ask = |guest: &mut Guest| {
        guest.host.requests = vec![b"ping".to_vec()];
        guest.run_for(350);
        guest.reply(b"OK ");
        guest.trace.clear();
    };
    guest.run_until(10_000);
    ask(&mut guest);
    guest.run_for(1_200);
    assert_eq!(guest.count("poll"), 3 + 3, "{}", guest.trace());
    ask(&mut guest);
    guest.run_for(1_200);
    assert_eq!(guest.count("poll"), 4 + 10, "{}", guest.trace());
}

#[test]
fn a_host_that_pings_every_15_seconds_costs_hardly_more_than_a_silent_one() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.run_until(10_000);
    guest.trace.clear();
    for _ in 0..240 {
        guest.host.requests = vec![b"ping".to_vec()];
        guest.run_for(350);
        guest.reply(b"OK ");
        guest.run_for(14_650);
    }
    let polls = guest.count("poll");
    assert!(polls <= 240 * (43 + 4), "{polls}");
}

#[test]
fn nothing_is_polled_while_a_reply_is_owed_and_the_reply_goes_out_at_once() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.host.requests = vec![b"reset".to_vec(), b"ping".to_vec()];
    guest.run_until(5_000);
    assert_eq!(
        guest.trace(),
        "0 open backdoor|0 poll|0 connected backdoor|0 request reset"
    );
    assert_eq!(guest.tclo.poll_timeout(), None);
    guest.trace.clear();
    guest.reply(b"OK ATR toolbox");
    assert_eq!(guest.trace(), "5000 poll OK ATR toolbox|5000 request ping");
    guest.trace.clear();
    guest.reply(b"OK ");
    guest.run_until(5_035);
    assert_eq!(guest.trace(), "5000 poll OK |5010 poll|5030 poll");
}

#[test]
fn after_a_request_the_pauses_start_again_from_10_ms() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.run_until(1_000);
    guest.host.requests = vec![b"ping".to_vec()];
    guest.run_until(1_100);
    guest.trace.clear();
    guest.reply(b"OK ");
    guest.run_until(1_150);
    assert_eq!(guest.trace(), "1100 poll OK |1110 poll|1130 poll");
}

#[test]
fn an_empty_message_is_no_request() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.host.requests = vec![Vec::new()];
    guest.run_until(5);
    assert_eq!(guest.trace(), "0 open backdoor|0 poll|0 connected backdoor");
}

#[test]
fn after_days_in_which_nothing_ran_one_poll_is_made_up_for() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.run_until(60_000);
    guest.trace.clear();
    guest.millis = 300_000_000;
    guest.run_for(750);
    assert_eq!(
        guest.trace(),
        "300000000 poll|300000350 poll|300000700 poll"
    );
}

#[test]
fn after_days_in_which_nothing_ran_one_ping_is_made_up_for() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    guest.run_until(0);
    guest.send(b"reset");
    guest.reply(b"OK ATR toolbox");
    guest.run_until(10_500);
    guest.trace.clear();
    guest.millis = 300_000_000;
    guest.run_for(1_500);
    assert_eq!(guest.trace(), "300000000 write ping|300001000 write ping");
}

#[test]
fn after_days_in_which_nothing_ran_a_dead_host_is_tried_at_once_and_at_its_pace() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.host.backdoor = false;
    guest.run_until(20_000);
    guest.trace.clear();
    guest.millis = 300_000_000;
    guest.run_for(12_000);
    assert_eq!(
        guest.trace(),
        "300000000 open backdoor|300005000 open backdoor|300010000 open backdoor"
    );
    guest.host.backdoor = true;
    guest.run_for(5_000);
    assert_eq!(guest.count("connected"), 1);
}

#[test]
fn a_lost_channel_is_open_again_after_a_tenth_of_a_second() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.run_until(2_000);
    guest.trace.clear();
    guest.host.polls_work = false;
    guest.run_until(2_060);
    guest.host.polls_work = true;
    guest.run_until(2_155);
    assert_eq!(
        guest.trace(),
        "2050 poll|2050 close|2050 lost backdoor|2150 open backdoor|2150 poll|2150 connected backdoor"
    );
}

#[test]
fn a_dead_host_is_tried_at_doubling_intervals_up_to_5_seconds_for_ever() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.host.backdoor = false;
    guest.run_until(20_000);
    assert_eq!(
        guest.trace(),
        "0 open backdoor|100 open backdoor|300 open backdoor|700 open backdoor|1500 open backdoor|\
         3100 open backdoor|6300 open backdoor|11300 open backdoor|16300 open backdoor"
    );
    guest.run_until(86_400_000);
    guest.host.backdoor = true;
    guest.trace.clear();
    guest.run_until(86_405_000);
    assert!(guest.trace().contains("connected backdoor"));
}

#[test]
fn a_channel_that_opens_but_dies_at_once_does_not_shorten_the_pauses() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.host.polls_work = false;
    guest.run_until(60_000);
    assert_eq!(guest.count("open backdoor"), 17);
    assert_eq!(guest.count("connected"), 0);
    assert_eq!(guest.count("lost"), 0);
}

/// Plays sessions that the host ends after so long, and gives the pauses between them.
fn pauses(policy: Policy, lives: &[u64]) -> Vec<u64> {
    let mut guest = Guest::new(policy);
    guest.host.vsock = policy == Policy::Only(Vsock);
    let mut pauses = Vec::new();
    for life in lives {
        guest.run_for(0);
        if guest.host.vsock {
            guest.send(b"reset");
            guest.reply(b"OK ATR toolbox");
        }
        guest.run_for(*life);
        guest.tclo.handle_broken(guest.now());
        guest.trace.clear();
        let lost = guest.millis;
        while guest.count("open") == 0 {
            guest.run_for(10);
        }
        pauses.push(guest.millis - lost);
    }
    pauses
}

#[test]
fn a_host_that_takes_the_channel_after_a_few_seconds_each_time_is_left_alone_for_longer_and_longer()
{
    for policy in [Policy::Only(Backdoor), Policy::Only(Vsock)] {
        for life in [10, 3_000, 50_000] {
            assert_eq!(
                pauses(policy, &[life; 8]),
                [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000],
                "{policy:?}, {life} ms"
            );
        }
    }
}

#[test]
fn after_a_session_of_a_minute_the_next_attempt_comes_soon_again() {
    for policy in [Policy::Only(Backdoor), Policy::Only(Vsock)] {
        let lives = [3_000, 3_000, 3_000, 60_000, 3_000];
        assert_eq!(pauses(policy, &lives), [100, 200, 400, 100, 100]);
    }
}

/// A host that restarts while the guest does: each is an outage of its own.
#[test]
fn attempts_that_failed_do_not_make_the_pause_after_the_next_session_longer() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.host.backdoor = false;
    guest.run_until(20_000);
    assert!(guest.count("open backdoor") > 6, "{}", guest.trace());
    guest.host.backdoor = true;
    guest.run_for(6_000);
    assert_eq!(guest.count("connected backdoor"), 1);
    guest.tclo.handle_broken(guest.now());
    guest.trace.clear();
    guest.run_for(150);
    assert_eq!(guest.count("connected backdoor"), 1, "{}", guest.trace());
}

#[test]
fn short_sessions_are_counted_until_one_has_lasted() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    for count in 1..=7 {
        guest.run_for(6_000);
        guest.tclo.handle_broken(guest.now());
        assert_eq!(guest.tclo.short_sessions(), count);
    }
    // It is known while the session goes on.
    guest.run_for(70_000);
    assert_eq!(guest.tclo.short_sessions(), 0);
    assert_eq!(guest.count("lost"), 7);
}

#[test]
fn a_vsock_that_is_not_read_gets_no_more_and_is_left_after_five_seconds() {
    let mut guest = Guest::new(Policy::Only(Vsock));
    guest.host.vsock = true;
    guest.run_until(0);
    guest.send(b"reset");
    guest.reply(b"OK ATR toolbox");
    guest.run_until(500);
    guest.tclo.handle_unwritten(80, guest.now()).unwrap();
    assert!(!guest.tclo.wants_bytes());
    guest.run_until(3_000);
    assert_eq!(guest.count("ping"), 0);
    // It reads a little.
    guest.tclo.handle_unwritten(40, guest.now()).unwrap();
    guest.run_until(7_900);
    // Nobody has read anything since.
    guest.tclo.handle_unwritten(40, guest.now()).unwrap();
    assert_eq!(guest.count("lost"), 0);
    guest.millis = 8_000;
    let unread = Duration::from_secs(5);
    let outcome = guest.tclo.handle_timeout(guest.now());
    assert_eq!(outcome, Err(GivenUp::Unread { unread }));
    guest.drain();
    assert_eq!(guest.count("8000 lost vsock"), 1);
}

#[test]
fn a_vsock_that_is_read_at_last_goes_on_with_what_was_asked_meanwhile() {
    let mut guest = Guest::new(Policy::Only(Vsock));
    guest.host.vsock = true;
    guest.run_until(0);
    let both = [b"reset".as_slice(), b"ping"].map(|request| Packet::data(request).encode());
    guest.bytes(&both.concat()).unwrap();
    guest.tclo.handle_unwritten(32, guest.now()).unwrap();
    guest.reply(b"OK ATR toolbox");
    assert_eq!(guest.count("request ping"), 0);
    guest.tclo.handle_unwritten(0, guest.now()).unwrap();
    guest.drain();
    assert_eq!(guest.count("request ping"), 1);
}

#[test]
fn a_reply_to_a_lost_request_is_void() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.host.requests = vec![b"reset".to_vec()];
    guest.run_until(10);
    guest.tclo.handle_broken(guest.now());
    guest.run_until(300);
    guest.trace.clear();
    assert_eq!(guest.tclo.reply(b"OK ".to_vec(), guest.now()), Ok(false));
    assert_eq!(guest.tclo.poll_output(), None);
}

#[test]
fn vsock_listens_and_pings_every_second_after_the_first_reply() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    guest.run_until(100);
    guest.send(b"reset");
    guest.run_until(400);
    guest.reply(b"OK ATR toolbox");
    guest.run_until(3_500);
    assert_eq!(
        guest.trace(),
        "0 open vsock|100 connected vsock|100 request reset|400 write OK ATR toolbox|\
         1400 write ping|2400 write ping|3400 write ping"
    );
}

#[test]
fn vsock_pings_although_a_reply_is_owed_but_reads_no_further() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    assert!(!guest.tclo.wants_bytes());
    guest.run_until(0);
    assert!(guest.tclo.wants_bytes());
    guest.send(b"reset");
    guest.reply(b"OK ATR toolbox");
    assert!(guest.tclo.wants_bytes());
    guest.send(b"slow");
    guest.trace.clear();
    assert!(!guest.tclo.wants_bytes());
    guest.run_until(2_000);
    assert_eq!(guest.trace(), "1000 write ping|2000 write ping");
}

#[test]
fn requests_in_one_read_are_answered_in_order() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    guest.run_until(0);
    let both = [
        Packet::data(b"reset").encode(),
        Packet::ping().encode(),
        Packet::data(b"ping").encode(),
    ]
    .concat();
    guest.trace.clear();
    let (first, rest) = both.split_at(50);
    guest.bytes(first).unwrap();
    guest.bytes(rest).unwrap();
    assert_eq!(guest.trace(), "0 connected vsock|0 request reset");
    guest.trace.clear();
    guest.reply(b"a");
    guest.reply(b"b");
    assert_eq!(guest.trace(), "0 write a|0 request ping|0 write b");
}

#[test]
fn a_packet_without_payload_is_a_sign_of_life() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    guest.run_until(0);
    guest.bytes(&Packet::ping().encode()).unwrap();
    guest.run_until(100_000);
    assert_eq!(guest.trace(), "0 open vsock|0 connected vsock");
}

#[test]
fn garbage_breaks_the_connection() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    guest.run_until(0);
    guest.send(b"reset");
    guest.reply(b"OK ");
    guest.run_until(2_500);
    guest.trace.clear();
    assert_eq!(
        guest.bytes(&[0xff; 16]),
        Err(PacketError::TooLong { length: u32::MAX })
    );
    guest.run_until(2_700);
    assert_eq!(guest.trace(), "2500 close|2500 lost vsock|2600 open vsock");
}

#[test]
fn garbage_behind_a_request_breaks_the_connection_after_the_reply() {
    let mut guest = Guest::new(Policy::Only(Vsock));
    guest.host.vsock = true;
    guest.run_until(0);
    let bytes = [&Packet::data(b"reset").encode()[..], &[0xff; 4]].concat();
    guest.bytes(&bytes).unwrap();
    assert_eq!(
        guest.tclo.reply(b"OK ".to_vec(), guest.now()),
        Err(PacketError::TooLong { length: u32::MAX })
    );
    guest.trace.clear();
    guest.drain();
    assert_eq!(guest.trace(), "0 write OK |0 close|0 lost vsock");
}

#[test]
fn a_refused_vsock_falls_back_in_no_time_and_the_backdoor_is_kept() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.run_until(0);
    assert_eq!(
        guest.trace(),
        "0 open vsock|0 open backdoor|0 poll|0 connected backdoor"
    );
    guest.run_until(3_600_000);
    assert_eq!(guest.count("open"), 2);
}

#[test]
fn an_absent_vsock_is_never_tried_again() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock_failure = OpenFailure::Absent;
    for _ in 0..5 {
        guest.run_for(400_000);
        guest.tclo.handle_broken(guest.now());
    }
    assert_eq!(guest.count("open vsock"), 1);
}

#[test]
fn a_silent_vsock_is_left_within_a_second() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    guest.run_until(900);
    assert_eq!(
        guest.trace(),
        "0 open vsock|900 close|900 open backdoor|900 poll|900 connected backdoor"
    );
}

#[test]
fn a_silent_vsock_beside_a_dead_backdoor_is_given_twice_the_time_each_time_up_to_30_s() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    guest.host.backdoor = false;
    guest.run_until(600_000);
    let times = |what: &str| -> Vec<u64> {
        let lines = guest.trace.iter().filter(|line| line.ends_with(what));
        lines
            .map(|line| line.split(' ').next().unwrap().parse().unwrap())
            .collect()
    };
    let closes = times(" close");
    let opens = times(" open vsock");
    let silent: Vec<u64> = opens.iter().zip(&closes).map(|(o, c)| c - o).collect();
    assert_eq!(
        silent[..8],
        [900, 1800, 3600, 7200, 14_400, 28_800, 30_000, 30_000],
        "{}",
        guest.trace()
    );
}

#[test]
fn a_silent_vsock_is_waited_for_when_there_is_nothing_else() {
    let mut guest = Guest::new(Policy::Only(Vsock));
    guest.host.vsock = true;
    guest.run_until(100_000);
    assert_eq!(guest.trace(), "0 open vsock");
    // In auto, too, a slow host is met in the end: the time it is given doubles.
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    guest.host.backdoor = false;
    guest.run_until(300_000);
    assert!(guest.now() > Duration::ZERO && guest.count("open vsock") >= 5);
    guest.trace.clear();
    guest.run_for(60_000);
    assert!(guest.count("open vsock") <= 3, "{}", guest.trace());
}

#[test]
fn a_vsock_closed_without_a_word_falls_back_at_once() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    guest.run_until(5);
    guest.tclo.handle_broken(guest.now());
    guest.run_until(5);
    assert_eq!(
        guest.trace(),
        "0 open vsock|5 close|5 open backdoor|5 poll|5 connected backdoor"
    );
}

#[test]
fn vsock_alone_never_touches_the_backdoor() {
    let mut guest = Guest::new(Policy::Only(Vsock));
    guest.host.vsock_failure = OpenFailure::Absent;
    guest.run_until(60_000);
    assert_eq!(guest.count("backdoor"), 0);
    assert!(guest.count("open vsock") > 10);
}

#[test]
fn a_vsock_that_had_worked_is_tried_first_again() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    guest.run_until(0);
    guest.send(b"reset");
    guest.reply(b"OK ");
    guest.run_until(1_500);
    guest.tclo.handle_broken(guest.now());
    guest.host.vsock = false;
    guest.trace.clear();
    guest.run_until(1_600);
    assert_eq!(
        guest.trace(),
        "1500 close|1500 lost vsock|1600 open vsock|1600 open backdoor|1600 poll|1600 connected backdoor"
    );
}

#[test]
fn a_vsock_that_dies_young_twice_makes_room_for_the_backdoor() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    for _ in 0..2 {
        guest.run_for(250);
        guest.send(b"reset");
        guest.tclo.handle_broken(guest.now());
    }
    guest.trace.clear();
    guest.run_for(200);
    assert_eq!(
        guest.trace(),
        "500 close|500 lost vsock|700 open backdoor|700 poll|700 connected backdoor"
    );
}

#[test]
fn a_connection_that_lived_for_a_second_did_not_die_young() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.vsock = true;
    guest.run_until(0);
    for millis in [1_000, 250] {
        guest.send(b"reset");
        guest.run_for(millis);
        guest.tclo.handle_broken(guest.now());
        guest.trace.clear();
        guest.run_for(200);
        assert!(guest.trace().contains("open vsock"), "{}", guest.trace());
    }
}

#[test]
fn without_any_way_to_the_host_each_is_tried_once_and_then_paused() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.host.backdoor = false;
    guest.run_until(300);
    assert_eq!(
        guest.trace(),
        "0 open vsock|0 open backdoor|100 open backdoor|100 open vsock|300 open backdoor|300 open vsock"
    );
}

#[test]
fn a_failing_backdoor_turns_to_vsock_again() {
    let mut guest = Guest::new(Policy::VsockFirst);
    guest.run_until(2_000);
    guest.host.backdoor = false;
    guest.host.polls_work = false;
    guest.host.vsock = true;
    guest.trace.clear();
    guest.run_until(2_200);
    assert_eq!(
        guest.trace(),
        "2050 poll|2050 close|2050 lost backdoor|2150 open backdoor|2150 open vsock"
    );
}

/// Whoever drives the machine may have one timer for everything.
#[test]
fn a_timeout_before_its_time_changes_nothing() {
    let quiet_vsock = |guest: &mut Guest| guest.host.vsock = true;
    let nobody = |guest: &mut Guest| guest.host.backdoor = false;
    let pinging = |guest: &mut Guest| {
        guest.host.vsock = true;
        guest.run_until(0);
        guest.send(b"reset");
        guest.reply(b"OK ATR toolbox");
    };
    for prepare in [
        &quiet_vsock as &dyn Fn(&mut Guest),
        &nobody,
        &pinging,
        &|_| {},
    ] {
        let mut guest = Guest::new(Policy::VsockFirst);
        prepare(&mut guest);
        guest.run_until(5);
        guest.trace.clear();
        let due = guest.tclo.poll_timeout();
        assert!(due > Some(guest.now()));
        assert_eq!(guest.tclo.handle_timeout(guest.now()), Ok(()));
        guest.drain();
        assert_eq!(guest.trace(), "");
        assert_eq!(guest.tclo.poll_timeout(), due);
    }
}

#[test]
fn a_late_poll_counts_from_when_it_was_made() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.run_until(1_900);
    guest.trace.clear();
    // Due at 1950.
    guest.millis = 2_000;
    guest.run_until(2_400);
    assert_eq!(guest.trace(), "2000 poll|2350 poll");
}

#[test]
fn closing_is_final() {
    let mut guest = Guest::new(Policy::Only(Backdoor));
    guest.run_until(100);
    guest.trace.clear();
    guest.tclo.close();
    guest.run_until(10_000);
    assert_eq!(guest.trace(), "100 close");
    assert_eq!(guest.tclo.poll_timeout(), None);
}

/// What the machine waits for.
#[derive(Clone, Copy, Debug)]
enum Awaited {
    Nothing,
    Open(Transport),
    Poll,
    Reply,
    Bytes,
}

proptest! {
    /// Whatever the host does: the machine never stalls. It wants to be called again, or it waits for the
    /// outcome of what it put out, for a reply, or for the host on vsock.
    #[test]
    fn no_host_makes_it_stall(
        policy in prop_oneof![Just(Policy::VsockFirst), Just(Policy::Only(Backdoor)), Just(Policy::Only(Vsock))],
        events in proptest::collection::vec(0u8..6, 0..120),
    ) {
        let mut tclo = Tclo::new(policy);
        let mut now = Duration::ZERO;
        let mut awaited = Awaited::Nothing;
        for event in events {
            let ping = Packet::data(b"ping").encode();
            match (awaited, event) {
                (Awaited::Open(_), 0..=2) => tclo.handle_opened(now),
                (Awaited::Open(_), 3) => tclo.handle_open_failed(OpenFailure::Absent, now),
                (Awaited::Open(_), _) => tclo.handle_open_failed(OpenFailure::Failed, now),
                (Awaited::Poll, 0 | 1) => tclo.handle_polled(Some(b"ping".to_vec()), now),
                (Awaited::Poll, 2 | 3) => tclo.handle_polled(None, now),
                (Awaited::Poll, _) => tclo.handle_broken(now),
                (Awaited::Reply, 0..=2) => drop(tclo.reply(b"OK ".to_vec(), now)),
                (Awaited::Bytes, 0) => drop(tclo.handle_bytes(&ping, now)),
                (Awaited::Bytes, 1) => drop(tclo.handle_bytes(&[ping.clone(), ping].concat(), now)),
                (Awaited::Bytes, 2) => drop(tclo.handle_bytes(&[0xff; 4], now)),
                (Awaited::Bytes, 3) | (Awaited::Reply, 3) => tclo.handle_broken(now),
                (Awaited::Nothing | Awaited::Bytes | Awaited::Reply, _) => {
                    now = tclo.poll_timeout().unwrap_or(now).max(now);
                    let _ = tclo.handle_timeout(now);
                }
            }
            let opened = match (awaited, event) {
                (Awaited::Open(Vsock), 0..=2) => Some(Awaited::Bytes),
                _ => None,
            };
            awaited = match awaited {
                Awaited::Reply | Awaited::Bytes => awaited,
                Awaited::Nothing | Awaited::Open(_) | Awaited::Poll => opened.unwrap_or(Awaited::Nothing),
            };
            while let Some(output) = tclo.poll_output() {
                awaited = match output {
                    Output::Close | Output::Lost(_) => Awaited::Nothing,
                    Output::Open(transport) => Awaited::Open(transport),
                    Output::Poll(_) => Awaited::Poll,
                    Output::Request(_) => Awaited::Reply,
                    Output::Write(_) if tclo.wants_bytes() => Awaited::Bytes,
                    Output::Write(_) | Output::Connected(_) => awaited,
                };
            }
            prop_assert!(
                !matches!(awaited, Awaited::Nothing) || tclo.poll_timeout().is_some(),
                "{:?}", tclo
            );
        }
    }
}

use crate::vmware::wire::guest_rpc_packet::Packet;

/// What the host does.
struct Host {
    backdoor: bool,
    polls_work: bool,
    vsock: bool,
    vsock_failure: OpenFailure,
    /// Handed out one per poll.
    requests: Vec<Vec<u8>>,
}

/// The machine, its host, and the time.
struct Guest {
    tclo: Tclo,
    host: Host,
    millis: u64,
    trace: Vec<String>,
}

impl Guest {
    fn new(policy: Policy) -> Self {
        Self {
            tclo: Tclo::new(policy),
            host: Host {
                backdoor: true,
                polls_work: true,
                vsock: false,
                vsock_failure: OpenFailure::Failed,
                requests: Vec::new(),
            },
            millis: 0,
            trace: Vec::new(),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.millis)
    }

    fn run_for(&mut self, millis: u64) {
        self.run_until(self.millis + millis);
    }

    /// Lets the time jump from deadline to deadline.
    fn run_until(&mut self, millis: u64) {
        self.drain();
        while let Some(due) = self.tclo.poll_timeout() {
            let due = due.as_millis() as u64;
            if due > millis {
                break;
            }
            self.millis = self.millis.max(due);
            let _ = self.tclo.handle_timeout(self.now());
            self.drain();
        }
        self.millis = millis;
    }

    fn send(&mut self, request: &[u8]) {
        self.bytes(&Packet::data(request).encode()).unwrap();
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), PacketError> {
        let result = self.tclo.handle_bytes(bytes, self.now());
        self.drain();
        result
    }

    fn reply(&mut self, reply: &[u8]) {
        assert_eq!(self.tclo.reply(reply.to_vec(), self.now()), Ok(true));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.tclo.poll_output() {
            let now = self.now();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let line = match &output {
                Output::Close => "close".to_owned(),
                Output::Open(transport) => format!("open {transport}"),
                Output::Poll(bytes) if bytes.is_empty() => "poll".to_owned(),
                Output::Poll(bytes) => format!("poll {}", text(bytes)),
                Output::Write(bytes) if *bytes == Packet::ping().encode() => {
                    "write ping".to_owned()
                }
                Output::Write(bytes) => format!("write {}", text(&bytes[32..])),
                Output::Connected(transport) => format!("connected {transport}"),
                Output::Request(bytes) => format!("request {}", text(bytes)),
                Output::Lost(transport) => format!("lost {transport}"),
            };
            self.trace.push(format!("{} {line}", self.millis));
            match output {
                Output::Open(Backdoor) if self.host.backdoor => self.tclo.handle_opened(now),
                Output::Open(Vsock) if self.host.vsock => self.tclo.handle_opened(now),
                Output::Open(Backdoor) => self.tclo.handle_open_failed(OpenFailure::Failed, now),
                Output::Open(Vsock) => self.tclo.handle_open_failed(self.host.vsock_failure, now),
                Output::Poll(_) if !self.host.polls_work => self.tclo.handle_broken(now),
                Output::Poll(_) if self.host.requests.is_empty() => {
                    self.tclo.handle_polled(None, now);
                }
                Output::Poll(_) => {
                    let request = self.host.requests.remove(0);
                    self.tclo.handle_polled(Some(request), now);
                }
                _ => {}
            }
        }
    }

    fn trace(&self) -> String {
        self.trace.join("|")
    }

    fn count(&self, what: &str) -> usize {
        self.trace.iter().filter(|line| line.contains(what)).count()
    }
}
