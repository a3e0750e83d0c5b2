//! When things are told: of a burst its end alone, and nothing that costs anything while nobody listens. Periods
//! are tested by virtual time, in `src/services/tests/`.

use std::time::{Duration, Instant};

use apid::Method;

use crate::support::{Run, SOON, Talos, pass};

/// The middle one of what several rounds have shown: the machine that runs the tests may be busy for a moment.
fn median<T: Ord>(mut of: Vec<T>) -> T {
    of.sort();
    of.swap_remove(of.len() / 2)
}

#[test]
fn a_burst_is_one_message_and_its_end_is_on_the_host_within_200_ms() {
    let talos = Talos::new();
    let run = talos.run();
    let (mut delays, mut messages) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let before = run.sent("SetGuestInfo  10 ").len();
        let address = |number: u32| format!("10.5.{}.{number}", round + 1);
        for number in 1..=10 {
            talos.set_address("eth0", &format!("{}/24", address(number)));
            pass(&run, Duration::from_millis(3));
        }
        let ended = Instant::now();
        delays.push(run.until("the end of the burst", SOON, |host, now| {
            let addresses = host.vcenter(now).addresses();
            addresses.contains(&address(10)).then(|| now - ended)
        }));
        // Time for a second message, which there must not be.
        pass(&run, Duration::from_millis(200));
        messages.push(run.sent("SetGuestInfo  10 ").len() - before);
    }
    let seen = format!("{messages:?} messages, after {delays:?}");
    assert_eq!(median(messages), 1, "{seen}");
    assert!(median(delays) < Duration::from_millis(200), "{seen}");
}

#[test]
fn while_the_host_is_away_talos_is_not_asked_and_no_time_is_spent() {
    let talos = Talos::new();
    talos.set_esxi_storage();
    let config = talos.folder.write(
        "config.yaml",
        "guestinfo:\n  disk_interval: 1s\n  stats_interval: 1s\n",
    );
    let run = Run::start(talos.agent().args(["--config"]).args([config]));
    run.informed();
    let asked = || talos.calls_of(Method::Mounts).len();
    // It is asked while the host listens.
    let first = asked();
    talos.wait_calls(Method::Mounts, first + 1, SOON).unwrap();

    run.host(|host, now| host.dead_port(true, now));
    // The loss is seen on the one channel at once, on the other with the next message.
    run.logs(&["cannot reach the host", "channel=rpci", "backdoor"], SOON);
    pass(&run, Duration::from_secs(1));
    let (before, time) = (talos.call_count(), run.cpu_time().unwrap());
    let began = Instant::now();
    pass(&run, Duration::from_secs(4));
    let time = run.cpu_time().unwrap().saturating_sub(time);
    assert_eq!(talos.call_count(), before, "{:#?}", talos.calls());
    let share = time.as_secs_f64() / began.elapsed().as_secs_f64();
    assert!(share < 0.02, "{share} of a processor");

    run.host(|host, now| host.dead_port(false, now));
    talos.wait_calls(Method::Mounts, asked() + 1, SOON).unwrap();
    run.until_sent("SetGuestInfo  8 ", 1, SOON);
}
