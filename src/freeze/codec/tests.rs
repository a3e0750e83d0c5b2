use proptest::prelude::*;

use super::*;

fn devices(names: &[&str]) -> Devices {
    Devices::new(names.iter().map(|name| DeviceName::new(name).unwrap())).unwrap()
}

fn outcomes(outcomes: &[Outcome]) -> Outcomes {
    Outcomes::new(outcomes.iter().copied()).unwrap()
}

/// `bytes`, and zeros up to `length`.
fn padded(bytes: &[u8], length: usize) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(length, 0);
    padded
}

#[test]
fn commands_have_these_bytes() {
    let names = devices(&["sda6", "dm-1"]);
    let mut listed = padded(b"\x04sda6", 32);
    listed.extend(padded(b"\x04dm-1", 31 * 32));
    let with = |head: &[u8]| [head, &listed].concat();
    let freeze = Command::Freeze {
        run: 0x0403_0201,
        how: How::Freeze,
        limit: Duration::new(8, 5),
        devices: names,
    };
    for (command, bytes) in [
        (
            freeze,
            with(b"\x01\x01\x02\x03\x04\x01\x08\0\0\0\0\0\0\0\x05\0\0\0"),
        ),
        (Command::Thaw, vec![2]),
        (Command::Rescue(names), with(&[3])),
        (Command::Probe(names), with(&[4])),
    ] {
        let mut buffer = [0xff; LONGEST_MESSAGE];
        assert_eq!(command.encode(&mut buffer), bytes);
        assert_eq!(Command::decode(&bytes), Some(command));
    }
}

#[test]
fn reports_have_these_bytes() {
    let all = outcomes(&[
        Outcome::Done,
        Outcome::Left,
        Outcome::Skipped,
        Outcome::Failed(-2),
    ]);
    let listed = padded(
        b"\x01\0\0\0\0\x02\0\0\0\0\x03\0\0\0\0\x04\xfe\xff\xff\xff",
        160,
    );
    let with = |head: &[u8]| [head, &listed].concat();
    let (run, cause, lasted) = (7, Cause::Limit, Duration::new(3, 256));
    for (report, bytes) in [
        (Report::Ready(None), vec![1, 0, 0, 0, 0, 0]),
        (Report::Ready(Some(1)), vec![1, 1, 1, 0, 0, 0]),
        (
            Report::Frozen { run, outcomes: all },
            with(&[2, 7, 0, 0, 0]),
        ),
        (
            Report::Synced { run, outcomes: all },
            with(&[3, 7, 0, 0, 0]),
        ),
        (
            Report::Failed { run, outcomes: all },
            with(&[4, 7, 0, 0, 0]),
        ),
        (
            Report::Thawed { run, cause, lasted },
            b"\x05\x07\0\0\0\x01\x03\0\0\0\0\0\0\0\0\x01\0\0".to_vec(),
        ),
        (Report::Rescued(all), with(&[6])),
        (Report::Probed(all), with(&[7])),
        (Report::Gone, vec![8]),
    ] {
        let mut buffer = [0xff; LONGEST_MESSAGE];
        assert_eq!(report.encode(&mut buffer), bytes);
        assert_eq!(Report::decode(&bytes), Some(report));
    }
}

#[test]
fn a_message_that_is_cut_or_too_long_is_none() {
    let command = Command::Freeze {
        run: 1,
        how: How::Sync,
        limit: Duration::from_secs(8),
        devices: devices(&["sda6"]),
    };
    let mut buffer = [0; LONGEST_MESSAGE];
    let bytes = command.encode(&mut buffer).to_vec();
    assert_eq!(bytes.len(), LONGEST_MESSAGE);
    let mut reports = [0; LONGEST_MESSAGE];
    let report = Report::Probed(outcomes(&[Outcome::Done]));
    let report = report.encode(&mut reports).to_vec();
    for (bytes, reads) in [
        (
            &bytes,
            (|it| Command::decode(it).is_some()) as fn(&[u8]) -> bool,
        ),
        (&report, |it| Report::decode(it).is_some()),
    ] {
        assert!(reads(bytes));
        assert!((0..bytes.len()).all(|end| !reads(&bytes[..end])));
        assert!(!reads(&[&bytes[..], &[0]].concat()));
    }
}

#[test]
fn values_of_no_meaning_are_none() {
    let list = |at: usize, value: u8| {
        let mut bytes = padded(b"\x04\x04sda6", 1 + 1024);
        bytes[at] = value;
        Command::decode(&bytes).is_some()
    };
    assert!(list(5, b'7'), "another name");
    for (at, value) in [
        (1, 32),
        (1, 3),
        (1, 0),
        (2, b'/'),
        (2, 0),
        (2, 0xff),
        (6, 1),
        (65, 1),
    ] {
        assert!(!list(at, value), "{at} {value}");
    }
    for bytes in [
        &[][..],
        &[0],
        &[9],
        &[1, 2, 0, 0, 0, 0],
        &[1, 0, 1, 0, 0, 0],
        b"\x05\x07\0\0\0\x03\x03\0\0\0\0\0\0\0\0\x01\0\0",
        b"\x05\x07\0\0\0\x01\x03\0\0\0\0\0\0\0\x00\xca\x9a\x3b",
    ] {
        assert_eq!(Report::decode(bytes), None, "{bytes:?}");
    }
    let outcome = |bytes: &[u8]| Report::decode(&padded(bytes, 161)).is_some();
    assert!(outcome(&[7, 4, 5]));
    assert!(!outcome(&[7, 5]) && !outcome(&[7, 1, 1]) && !outcome(&[7, 0, 0, 0, 0, 0, 1]));
}

fn any_devices() -> impl Strategy<Value = Devices> {
    proptest::collection::vec("[a-z0-9!.-]{1,31}", 0..=MOST_DEVICES)
        .prop_map(|names| Devices::new(names.iter().filter_map(|it| DeviceName::new(it))).unwrap())
}

fn any_outcomes() -> impl Strategy<Value = Outcomes> {
    let one = prop_oneof![
        Just(Outcome::Done),
        Just(Outcome::Left),
        Just(Outcome::Skipped),
        any::<i32>().prop_map(Outcome::Failed),
    ];
    proptest::collection::vec(one, 0..=MOST_DEVICES)
        .prop_map(|outcomes| Outcomes::new(outcomes).unwrap())
}

proptest! {
    #[test]
    fn every_command_comes_back(
        (run, limit, devices, kind) in (any::<u32>(), any::<Duration>(), any_devices(), 0..5)
    ) {
        let command = match kind {
            0 => Command::Freeze { run, how: How::Sync, limit, devices },
            1 => Command::Freeze { run, how: How::Freeze, limit, devices },
            2 => Command::Rescue(devices),
            3 => Command::Probe(devices),
            _ => Command::Thaw,
        };
        let mut buffer = [0xff; LONGEST_MESSAGE];
        prop_assert_eq!(Command::decode(command.encode(&mut buffer)), Some(command));
    }

    #[test]
    fn every_report_comes_back(
        (run, lasted, outcomes, errno, kind) in
            (any::<u32>(), any::<Duration>(), any_outcomes(), any::<i32>(), 0..11)
    ) {
        let report = match kind {
            0 => Report::Ready(None),
            1 => Report::Ready(Some(errno)),
            2 => Report::Frozen { run, outcomes },
            3 => Report::Synced { run, outcomes },
            4 => Report::Failed { run, outcomes },
            5 => Report::Thawed { run, cause: Cause::Asked, lasted },
            6 => Report::Thawed { run, cause: Cause::Limit, lasted },
            7 => Report::Thawed { run, cause: Cause::Terminated, lasted },
            8 => Report::Rescued(outcomes),
            9 => Report::Probed(outcomes),
            _ => Report::Gone,
        };
        let mut buffer = [0xff; LONGEST_MESSAGE];
        prop_assert_eq!(Report::decode(report.encode(&mut buffer)), Some(report));
    }
}
