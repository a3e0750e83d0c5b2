use proptest::collection::vec;
use proptest::prelude::*;
use vmx::codec::guest_info::{self as host, GuestInfo, Quantity, decode_guest_info};

use super::*;

/// The example of the protocol reference, §5.7, made by a script independent of this code.
const EXAMPLE: &str = "ae000000 0a00 5f746f6f6c732f763100 0100 0b 0100 09 0200 0308 0200 0008
    ac000000 0100 04 0100 09 0200 0308 0400 00001800
    ac000000 0100 0c 0100 09 0200 0388 0000
    ac000000 0100 0a 0100 09 0100 03 0200 0010
    ac000000 0100 02 0100 0b 0100 42 0400 00409c44";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap())
        .collect()
}

fn stat(id: u32, unit: u32, value: u64) -> Stat {
    Stat {
        id,
        unit,
        value: Value::Unsigned(Some(value)),
    }
}

fn example() -> GuestStats {
    GuestStats {
        mem_total_kib: Some(4_046_848),
        huge_pages_total: Some(0),
        stats: vec![
            stat(id::HUGE_PAGE_SIZE, unit::KIB, 2048),
            stat(id::MEM_FREE, unit::KIB, 1_572_864),
            stat(id::HUGE_PAGES_TOTAL, unit::HUGE_PAGES, 0),
            stat(id::PHYSICAL_PAGE_SIZE, unit::BYTES, 4096),
            Stat {
                id: id::CONTEXT_SWAP_RATE,
                unit: unit::NUMBER_PER_SECOND,
                value: Value::Double(Some(1250.0)),
            },
        ],
    }
}

#[test]
fn the_example_of_the_reference_is_written_and_read() {
    let message = statistics(&example());
    let start =
        bytes("53 65 74 47 75 65 73 74 49 6e 66 6f 20 20 38 20 05000000 01040000 00c03d0000000000");
    assert_eq!(message[..32], start);
    assert!(message[32..128].iter().all(|&byte| byte == 0));
    let golden = bytes(EXAMPLE);
    assert_eq!(golden.len(), 102);
    assert_eq!(message[128..], golden);
    assert_eq!(on_host(&message), as_the_host_reads(&example()));
}

#[test]
fn a_value_that_could_not_be_read_is_missing() {
    let stats = GuestStats {
        stats: vec![
            Stat {
                id: id::PAGE_IN_RATE,
                unit: unit::PAGES_PER_SECOND,
                value: Value::Double(None),
            },
            Stat {
                id: id::MEM_AVAILABLE,
                unit: unit::KIB,
                value: Value::Unsigned(None),
            },
        ],
        ..GuestStats::default()
    };
    let encoded = stats.encode();
    // 0x2c: id, type and unit; the first has the namespace, too.
    let golden = bytes(
        "2e000000 0a00 5f746f6f6c732f763100 0100 07 0100 0b 0200 4380
         2c000000 0100 19 0100 09 0200 0308",
    );
    assert_eq!(encoded[112..], golden);
    assert_eq!(encoded[4..8], [0; 4]);
    assert_eq!(on_host(&statistics(&stats)), as_the_host_reads(&stats));
}

#[test]
fn rates_are_floats_where_that_is_exact() {
    for (rate, len) in [(0.0, 0), (0.5, 4), (0.1, 8), (16_777_217.0, 8), (-2.0, 4)] {
        assert_eq!(double(rate).len(), len, "{rate}");
    }
}

fn stats() -> impl Strategy<Value = GuestStats> {
    let value = prop_oneof![
        proptest::option::of(any::<u64>()).prop_map(Value::Unsigned),
        proptest::option::of(0_u64..70_000).prop_map(Value::Unsigned),
        proptest::option::of(prop::num::f64::NORMAL | prop::num::f64::ZERO).prop_map(Value::Double),
        proptest::option::of(0.0_f32..1e9).prop_map(|rate| Value::Double(rate.map(f64::from))),
    ];
    let stat = (any::<u32>(), any::<u32>(), value);
    let stat = stat.prop_map(|(id, unit, value)| Stat { id, unit, value });
    let totals = (
        proptest::option::of(any::<u64>()),
        proptest::option::of(any::<u64>()),
    );
    (totals, vec(stat, 0..25)).prop_map(|((mem_total_kib, huge_pages_total), stats)| GuestStats {
        mem_total_kib,
        huge_pages_total,
        stats,
    })
}

proptest! {
    #[test]
    fn the_host_reads_what_is_written(stats in stats()) {
        prop_assert_eq!(on_host(&statistics(&stats)), as_the_host_reads(&stats));
        let encoded = stats.encode();
        let total = |valid: u32, at: usize| {
            let flags = u32::from_le_bytes(*encoded[4..].first_chunk().unwrap());
            let total = u64::from_le_bytes(*encoded[at..].first_chunk().unwrap());
            (flags & valid != 0).then_some(total)
        };
        prop_assert_eq!(total(1, 8), stats.mem_total_kib);
        prop_assert_eq!(total(1 << 10, 88), stats.huge_pages_total);
    }

    #[test]
    fn a_message_cut_inside_a_stat_is_refused(stats in stats(), cut in any::<prop::sample::Index>()) {
        let encoded = statistics(&stats);
        let cut = COMMAND.len() + cut.index(encoded.len() - COMMAND.len());
        // Between two stats a message may end.
        match decode_guest_info(&encoded[COMMAND.len()..cut]) {
            Ok(GuestInfo::Stats(read)) => {
                prop_assert!(as_the_host_reads(&stats).starts_with(&read));
                prop_assert!(cut >= 16 + LEGACY_LEN);
            }
            Ok(other) => prop_assert!(false, "{other:?}"),
            Err(_) => {}
        }
    }
}

/// What stands before the part that the simulated host reads.
const COMMAND: &[u8] = b"SetGuestInfo";

/// The stats of a message as the simulated host, which has a reader of its own, finds them.
pub(crate) fn on_host(message: &[u8]) -> Vec<host::Stat> {
    match decode_guest_info(message.strip_prefix(COMMAND).unwrap()) {
        Ok(GuestInfo::Stats(stats)) => stats,
        other => panic!("{other:?}"),
    }
}

/// What it must find.
pub(crate) fn as_the_host_reads(stats: &GuestStats) -> Vec<host::Stat> {
    stats
        .stats
        .iter()
        .map(|stat| host::Stat {
            id: stat.id,
            units: stat.unit,
            value: match stat.value {
                Value::Unsigned(value) => Quantity::Whole(value),
                Value::Double(value) => Quantity::Rate(value),
            },
        })
        .collect()
}
