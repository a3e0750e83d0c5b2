//! Memory and processor statistics, every 20 s [perfMonLinux.c, guestInfoServer.c].
//!
//! ```text
//! 20 s ──► ReadLoad ──► counters ──► SetGuestInfo 8     rates need the counters of the time before
//! ```
//!
//! The ids, their order, types and units are open-vm-tools'. The same numbers twice are sent twice, for the host
//! takes them for the moment. A message that gets lost is not repeated.

use std::time::Duration;

use crate::facts::{DiskLoad, KernelPart, Load};
use crate::front_end::Order;
use crate::vmware::wire::guest_stats::{GuestStats, Stat, Value, id, statistics, unit};

use super::publications::Publications;
use super::topic::Topic;
use super::{Context, Service};

/// guestinfo.stats-interval of open-vm-tools, unless set. The first time comes after it, too.
const INTERVAL: Duration = Duration::from_secs(20);
/// The part of the memory that is kept for surges: one in so many.
const RESERVED: u64 = 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Statistics {
    interval: Duration,
    next: Option<Duration>,
    /// The counters of the time before, and when that was.
    previous: Option<(Duration, Load)>,
}

impl Statistics {
    /// Nothing read yet.
    pub(super) fn new() -> Self {
        Self {
            interval: INTERVAL,
            next: None,
            previous: None,
        }
    }

    /// Sends at this interval from the next time on.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// The counters have been read.
    pub(super) fn read(&mut self, load: &Load, publications: &mut Publications, now: Duration) {
        let stats = evaluate(load, self.previous.as_ref(), now);
        self.previous = Some((now, load.clone()));
        // The host takes the same numbers for other ones: those of this moment.
        publications.renew(Topic::Statistics, statistics(&stats));
    }
}

impl Service for Statistics {
    fn connected(&mut self, cx: &mut Context<'_>) {
        cx.publications.retire([Topic::Statistics]);
        self.next
            .get_or_insert(cx.now.saturating_add(self.interval));
    }

    fn due(&mut self, cx: &mut Context<'_>) {
        if self.next.is_some_and(|next| next <= cx.now) {
            self.next = Some(cx.now.saturating_add(self.interval));
            if !cx.publications.is_in_flight(Topic::Statistics) {
                cx.outbox.order(Order::Read(KernelPart::Load));
            }
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.next
    }
}

/// What the counters mean, in open-vm-tools' order. Without a time before there are no rates.
fn evaluate(load: &Load, previous: Option<&(Duration, Load)>, now: Duration) -> GuestStats {
    let before = previous.map(|(_, load)| load);
    let seconds = previous
        .map(|(then, _)| now.saturating_sub(*then).as_secs_f64())
        .filter(|seconds| *seconds > 0.0);
    let kib = |id, value| whole(id, unit::KIB, value);
    let rate = |id, unit, counter: fn(&Load) -> Option<u64>| Stat {
        id,
        unit,
        value: Value::Double(
            seconds
                .zip(counter(load))
                .zip(before.and_then(counter))
                .map(|((seconds, new), old)| difference(new, old) / seconds),
        ),
    };
    let memory = &load.memory;
    let usable = load
        .present_pages
        .map(|pages| pages.saturating_mul(load.page_bytes / 1024))
        .or(memory.total);
    let reservation = usable.map(|usable| usable / RESERVED);
    let needed = usable.zip(memory.available).map(|(usable, available)| {
        usable.saturating_sub(available.saturating_sub(usable / RESERVED))
    });
    let queue = load.disks.as_deref().zip(
        before
            .and_then(|load| load.disks.as_deref())
            .filter(|before| same_disks(before, load.disks.as_deref().unwrap_or_default())),
    );
    let requests = queue.map(|(disks, _)| {
        disks
            .iter()
            .fold(0_u64, |sum, disk| sum.saturating_add(disk.in_flight))
    });
    // 1000 ms of waiting in a second are a queue of one; the host wants a hundred times that.
    let average = queue.zip(seconds).map(|((disks, before), seconds)| {
        let spent: f64 = disks
            .iter()
            .zip(before)
            .map(|(new, old)| f64::from(new.weighted_ms.wrapping_sub(old.weighted_ms)))
            .sum();
        spent / 10.0 / seconds
    });
    GuestStats {
        mem_total_kib: usable,
        huge_pages_total: memory.huge_pages,
        stats: vec![
            kib(id::HUGE_PAGE_SIZE, memory.huge_page_size),
            kib(id::MEM_PHYS_USABLE, usable),
            kib(id::MEM_FREE, memory.free),
            kib(id::MEM_ACTIVE_FILE_CACHE, memory.active_file),
            kib(id::SWAP_SPACE_REMAINING, memory.swap_free),
            whole(id::HUGE_PAGES_TOTAL, unit::HUGE_PAGES, memory.huge_pages),
            rate(id::PAGE_IN_RATE, unit::PAGES_PER_SECOND, |load| {
                load.paged_in
            }),
            rate(id::PAGE_OUT_RATE, unit::PAGES_PER_SECOND, |load| {
                load.paged_out
            }),
            rate(id::CONTEXT_SWAP_RATE, unit::NUMBER_PER_SECOND, |load| {
                load.context_switches
            }),
            whole(id::PHYSICAL_PAGE_SIZE, unit::BYTES, Some(load.page_bytes)),
            kib(id::MEM_NEEDED, needed),
            kib(id::MEM_NEEDED_RESERVATION, reservation),
            kib(id::MEM_AVAILABLE, memory.available),
            kib(id::MEM_SLAB_RECLAIM, memory.slab_reclaimable),
            kib(id::MEM_BUFFERS, memory.buffers),
            kib(id::MEM_CACHED, memory.cached),
            kib(id::MEM_TOTAL, memory.total),
            // We are running at this moment, and do not count.
            whole(
                id::CPU_RUN_QUEUE,
                unit::NUMBER,
                load.running.map(|running| running.saturating_sub(1)),
            ),
            whole(id::DISK_REQUEST_QUEUE, unit::NUMBER, requests),
            Stat {
                id: id::DISK_REQUEST_QUEUE_AVG,
                unit: unit::NUMBER,
                value: Value::Double(average),
            },
        ],
    }
}

fn whole(id: u32, unit: u32, value: Option<u64>) -> Stat {
    Stat {
        id,
        unit,
        value: Value::Unsigned(value),
    }
}

/// How far a counter has gone. Some of the kernel's counters have 32 bits and wrap.
fn difference(new: u64, old: u64) -> f64 {
    let difference = match new.checked_sub(old) {
        Some(difference) => difference,
        None if old <= u64::from(u32::MAX) => new.wrapping_sub(old) & u64::from(u32::MAX),
        None => 0,
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "nobody looks at the 53rd bit of a rate"
    )]
    let difference = difference as f64;
    difference
}

/// Whether no disk has come or gone: the sums would jump.
fn same_disks(before: &[DiskLoad], now: &[DiskLoad]) -> bool {
    let names = |disks: &[DiskLoad]| disks.iter().map(|disk| disk.name.clone()).collect();
    let (before, now): (Vec<String>, Vec<String>) = (names(before), names(now));
    !now.is_empty() && before == now
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::facts::Memory;
    use crate::vmware::wire::guest_stats::tests::{as_the_host_reads, on_host};

    const SECOND: Duration = Duration::from_secs(1);

    /// A machine of 24 GiB without swap or huge pages.
    fn load() -> Load {
        Load {
            page_bytes: 4096,
            present_pages: Some(0x005f_ff9e),
            memory: Memory {
                total: Some(24_600_000),
                free: Some(10_000_000),
                available: Some(20_000_000),
                buffers: Some(100_000),
                cached: Some(9_000_000),
                active_file: Some(4_000_000),
                slab_reclaimable: Some(500_000),
                swap_free: Some(0),
                huge_pages: Some(0),
                huge_page_size: Some(2048),
            },
            paged_in: Some(1000),
            paged_out: Some(2000),
            context_switches: Some(1_000_000),
            running: Some(1),
            disks: Some(vec![disk("sda", 3, 100), disk("sdb", 1, u32::MAX)]),
        }
    }

    fn disk(name: &str, in_flight: u64, weighted_ms: u32) -> DiskLoad {
        DiskLoad {
            name: name.into(),
            in_flight,
            weighted_ms,
        }
    }

    fn later() -> Load {
        Load {
            paged_in: Some(1050),
            paged_out: Some(2000),
            context_switches: Some(1_025_000),
            running: Some(4),
            disks: Some(vec![disk("sda", 2, 40_100), disk("sdb", 0, 9_999)]),
            ..load()
        }
    }

    fn value(stats: &GuestStats, id: u32) -> Value {
        stats.stats.iter().find(|stat| stat.id == id).unwrap().value
    }

    #[test]
    fn ids_units_and_types_come_in_open_vm_tools_order() {
        let stats = evaluate(&load(), None, SECOND);
        let told: Vec<(u32, u32, bool)> = stats
            .stats
            .iter()
            .map(|stat| {
                let is_double = matches!(stat.value, Value::Double(_));
                (stat.id, stat.unit, is_double)
            })
            .collect();
        // guestInfoQuerySpecTable, its published part.
        assert_eq!(
            told,
            [
                (11, 0x0803, false),
                (6, 0x0803, false),
                (4, 0x0803, false),
                (3, 0x0803, false),
                (9, 0x0803, false),
                (12, 0x8803, false),
                (7, 0x8043, true),
                (8, 0x8043, true),
                (2, 0x0042, true),
                (10, 0x0003, false),
                (5, 0x0803, false),
                (13, 0x0803, false),
                (25, 0x0803, false),
                (34, 0x0803, false),
                (26, 0x0803, false),
                (27, 0x0803, false),
                (60, 0x0803, false),
                (61, 0x0002, false),
                (62, 0x0002, false),
                (63, 0x0002, true),
            ]
        );
    }

    #[test]
    fn the_first_message_has_the_size_that_was_observed() {
        // vmtoolsd 12.2.0 on a machine of 24 GiB without swap: 489 bytes, beginning with these.
        let message = statistics(&evaluate(&load(), None, SECOND));
        assert_eq!(message.len(), 489);
        assert!(
            message.starts_with(b"SetGuestInfo  8 \x05\x00\x00\x00\x01\x04\x00\x00x\xfe\x7f\x01")
        );
        let tail = b"\xae\x00\x00\x00\x0a\x00_tools/v1\x00\x01\x00\x0b\x01\x00\x09\x02\x00\x03\x08\x02\x00\x00\x08\
                     \xac\x00\x00\x00\x01\x00\x06\x01\x00\x09\x02";
        assert_eq!(message[128..128 + tail.len()], *tail);
    }

    #[test]
    fn without_a_time_before_there_are_no_rates() {
        let stats = evaluate(&load(), None, SECOND);
        for id in [7, 8, 2, 63] {
            assert_eq!(value(&stats, id), Value::Double(None), "{id}");
        }
        assert_eq!(value(&stats, 62), Value::Unsigned(None));
        assert_eq!(value(&stats, 61), Value::Unsigned(Some(0)));
    }

    #[test]
    fn rates_are_what_has_happened_since_by_the_time_that_took() {
        let before = (10 * SECOND, load());
        let stats = evaluate(&later(), Some(&before), 30 * SECOND);
        assert_eq!(value(&stats, 7), Value::Double(Some(2.5)));
        assert_eq!(value(&stats, 8), Value::Double(Some(0.0)));
        assert_eq!(value(&stats, 2), Value::Double(Some(1250.0)));
        assert_eq!(value(&stats, 61), Value::Unsigned(Some(3)));
        assert_eq!(value(&stats, 62), Value::Unsigned(Some(2)));
        // 40 s and 10 s of waiting within 20 s, the second counter having wrapped: 2.5, times 100.
        assert_eq!(value(&stats, 63), Value::Double(Some(250.0)));
        let same_moment = evaluate(&later(), Some(&before), 10 * SECOND);
        assert_eq!(value(&same_moment, 7), Value::Double(None));
    }

    #[test]
    fn over_a_suspend_rates_are_means_and_after_it_they_are_as_before() {
        // Three days, in which the counters moved as in any other 20 s.
        let asleep = Duration::from_secs(3 * 86_400);
        let before = (10 * SECOND, load());
        let stats = evaluate(&later(), Some(&before), 30 * SECOND + asleep);
        let expected = 25_000.0 / (20.0 + 3.0 * 86_400.0);
        assert_eq!(value(&stats, 2), Value::Double(Some(expected)));
        let woken = (30 * SECOND + asleep, later());
        let mut next = later();
        next.context_switches = Some(1_050_000);
        let stats = evaluate(&next, Some(&woken), 50 * SECOND + asleep);
        assert_eq!(value(&stats, 2), Value::Double(Some(1250.0)));
    }

    #[test]
    fn disks_that_come_or_go_make_no_figures() {
        let before = (10 * SECOND, load());
        let mut more = later();
        more.disks.as_mut().unwrap().push(disk("sdc", 1, 1));
        for disks in [more.disks, Some(Vec::new()), None] {
            let load = Load { disks, ..later() };
            let stats = evaluate(&load, Some(&before), 30 * SECOND);
            assert_eq!(value(&stats, 62), Value::Unsigned(None));
            assert_eq!(value(&stats, 63), Value::Double(None));
        }
    }

    #[test]
    fn needed_memory_keeps_a_twentieth_for_surges() {
        let of = |present_kib: u64, available| {
            let mut load = load();
            load.present_pages = Some(present_kib / 4);
            load.memory.available = available;
            let stats = evaluate(&load, None, SECOND);
            (
                value(&stats, id::MEM_NEEDED),
                value(&stats, id::MEM_NEEDED_RESERVATION),
            )
        };
        let whole = |value| Value::Unsigned(Some(value));
        assert_eq!(of(20_000, Some(15_000)), (whole(6_000), whole(1_000)));
        assert_eq!(of(20_000, Some(500)), (whole(20_000), whole(1_000)));
        assert_eq!(of(20_000, None), (Value::Unsigned(None), whole(1_000)));
    }

    #[test]
    fn without_zones_all_of_the_memory_is_usable() {
        let load = Load {
            present_pages: None,
            ..load()
        };
        let stats = evaluate(&load, None, SECOND);
        assert_eq!(stats.mem_total_kib, Some(24_600_000));
        assert_eq!(evaluate(&Load::default(), None, SECOND).mem_total_kib, None);
    }

    proptest! {
        #[test]
        fn any_counters_make_a_message(
            numbers in proptest::collection::vec(proptest::option::of(any::<u64>()), 14),
            disks in proptest::collection::vec(("[ab]", any::<u64>(), any::<u32>()), 0..3),
            seconds in 0_u64..100,
        ) {
            let load = Load {
                page_bytes: numbers[0].unwrap_or(0),
                present_pages: numbers[1],
                memory: Memory {
                    total: numbers[2], free: numbers[3], available: numbers[4], buffers: numbers[5],
                    cached: numbers[6], active_file: numbers[7], slab_reclaimable: numbers[8],
                    swap_free: numbers[9], huge_pages: numbers[10], huge_page_size: numbers[11],
                },
                paged_in: numbers[12], paged_out: numbers[13], context_switches: numbers[2],
                running: numbers[3],
                disks: Some(disks.iter().map(|(name, in_flight, ms)| disk(name, *in_flight, *ms)).collect()),
            };
            let before = (SECOND, self::load());
            for previous in [None, Some(&before)] {
                let stats = evaluate(&load, previous, Duration::from_secs(seconds));
                prop_assert_eq!(on_host(&statistics(&stats)), as_the_host_reads(&stats));
            }
        }
    }
}
