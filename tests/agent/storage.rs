//! File systems with their disks, and the statistics, as vCenter shows them.

use std::time::Duration;

use apid::{Method, scene, storage};
use vmx::codec::guest_info::{Disk, GuestInfo, Quantity, decode_guest_info};
use vmx::{RpciEntry, Stream};

use crate::open_vm_tools::vmtoolsd;
use crate::support::{Run, SOON, Talos, pass};

const GIB: u64 = 1 << 30;

/// A node on ESXi with pods: STATE and EPHEMERAL on one disk, a user volume on another.
fn node() -> Talos {
    Talos::with(|apid| {
        scene::single_nic(apid);
        apid.set_esxi_storage();
    })
}

/// Mount point, free, size, type, devices.
fn lines(disks: &[Disk]) -> Vec<String> {
    let line = |disk: &Disk| {
        let kind = disk.fstype.as_deref().unwrap_or("-");
        let devices = disk.devices.join(",");
        format!(
            "{} {}/{} {kind} {devices}",
            disk.name,
            disk.free / (1 << 20),
            disk.size / (1 << 20)
        )
    };
    disks.iter().map(line).collect()
}

#[test]
fn volumes_are_shown_with_their_virtual_disks_and_pods_mounts_are_not() {
    let talos = node();
    let run = talos.run();
    let view = run.sees("disks", SOON, |view| !view.disks.is_empty());
    assert_eq!(
        lines(&view.disks),
        [
            "/system/state 90/100 xfs scsi0:0",
            "/var 5120/8192 xfs scsi0:0",
            "/var/mnt/data 19456/20480 xfs scsi0:1",
        ]
    );
    run.stop();
}

#[test]
fn a_volume_that_is_mounted_later_is_shown_within_a_second() {
    let talos = node();
    let run = talos.run();
    run.sees("disks", SOON, |view| view.disks.len() == 3);
    talos.set_space("/dev/sdb2", "/var/mnt/more", 4 * GIB, 3 * GIB);
    talos.set_volume("u-more", "/dev/sdb", "/dev/sdb2", "/var/mnt/more");
    let view = run.sees("the new volume", Duration::from_secs(1), |view| {
        view.disks.len() == 4
    });
    assert_eq!(lines(&view.disks)[3], "/var/mnt/more 3072/4096 xfs scsi0:1");
    talos.update_node(|node| {
        node.mounts
            .retain(|mount| mount.mounted_on != "/var/mnt/more");
    });
    talos.remove_mount("u-more");
    run.sees("it to be gone", Duration::from_secs(1), |view| {
        view.disks.len() == 3
    });
}

#[test]
fn free_space_is_asked_for_at_its_interval_and_at_no_other_time() {
    let talos = node();
    let config = talos
        .folder
        .write("config.yaml", "guestinfo: {disk_interval: 2s}\n");
    let run = Run::start(talos.agent().args(["--config"]).args([config]));
    run.informed();
    run.sees("disks", SOON, |view| view.disks.len() == 3);
    talos.set_space("/dev/sda6", "/var", 8 * GIB, GIB);
    run.sees("less free space", SOON, |view| {
        view.disks
            .iter()
            .any(|disk| disk.name == "/var" && disk.free == GIB)
    });

    let talos = node();
    let run = talos.run();
    run.sees("disks", SOON, |view| view.disks.len() == 3);
    let calls = talos.calls_of(Method::Mounts).len();
    assert!((1..=2).contains(&calls), "{calls}");
    let before = talos.call_count();
    pass(&run, Duration::from_secs(5));
    assert_eq!(talos.call_count(), before, "nothing has changed");
}

#[test]
fn a_host_without_json_gets_the_binary_form() {
    let talos = node();
    let run = Run::start(talos.agent().host(|host| host.refuse("SetGuestDiskInfo")));
    run.informed();
    let view = run.sees("disks", SOON, |view| view.disks.len() == 3);
    assert_eq!(lines(&view.disks)[0], "/var 5120/8192 - ");
    assert_eq!(run.sent("SetGuestDiskInfo").len(), 1);
}

#[test]
fn a_talos_without_volume_resources_has_var_and_state() {
    let talos = Talos::with(|apid| {
        scene::single_nic(apid);
        apid.update_node(|node| node.version.tag = "v1.7.6".into());
        for kind in [storage::DISK, storage::MOUNT_STATUS, storage::VOLUME_STATUS] {
            apid.drop_type(kind);
        }
    });
    let run = talos.run();
    let view = run.sees("disks", SOON, |view| !view.disks.is_empty());
    assert_eq!(
        lines(&view.disks),
        ["/var 5120/8192 - ", "/system/state 90/100 - "]
    );
    // A Talos too old for something is no reason to complain.
    assert!(run.log_lines(&["WARN"]).is_empty(), "{:#?}", run.log());
}

#[test]
fn the_last_known_file_systems_stand_while_talos_is_away() {
    let talos = node();
    let run = talos.run();
    let view = run.sees("disks", SOON, |view| view.disks.len() == 3);
    talos.stop();
    assert_eq!(run.reply("reset"), "OK ATR toolbox");
    run.until_sent("SetGuestDiskInfo", 2, SOON);
    assert_eq!(lines(&run.vcenter().disks), lines(&view.disks));
}

/// Id, unit, whether a rate, whether there is a value.
type Shape = Vec<(u32, u32, bool, bool)>;

fn shape(entry: &RpciEntry) -> Shape {
    let info = entry.message.strip_prefix(b"SetGuestInfo").unwrap();
    let Ok(GuestInfo::Stats(stats)) = decode_guest_info(info) else {
        panic!("{}", info.escape_ascii());
    };
    stats
        .iter()
        .map(|stat| match stat.value {
            Quantity::Whole(value) => (stat.id, stat.units, false, value.is_some()),
            Quantity::Rate(value) => (stat.id, stat.units, true, value.is_some()),
        })
        .collect()
}

fn without_values(shape: &Shape) -> Vec<(u32, u32, bool)> {
    shape
        .iter()
        .map(|&(id, unit, rate, _)| (id, unit, rate))
        .collect()
}

#[test]
fn statistics_are_those_of_vmtoolsd() {
    let Some(theirs) = vmtoolsd() else { return };
    let talos = node();
    let config = talos
        .folder
        .write("config.yaml", "guestinfo: {stats_interval: 2s}\n");
    let ours = Run::start(talos.agent().args(["--config"]).args([config]));
    // The third time there is everything, averages of vmtoolsd included.
    let ours = ours.until_sent("SetGuestInfo  8 ", 3, SOON);
    let theirs = Run::start(theirs);
    let theirs = theirs.until_sent("SetGuestInfo  8 ", 3, 2 * SOON);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(without_values(&shape(ours)), without_values(&shape(theirs)));
    }
    assert_eq!(shape(&ours[0]), shape(&theirs[0]), "the first time");
    assert_eq!(shape(&ours[2]), shape(&theirs[2]), "the third time");
    let legacy = |entry: &RpciEntry| entry.message[16..128].to_vec();
    assert_eq!(legacy(&ours[2]), legacy(&theirs[2]), "the same machine");
}

#[test]
fn statistics_tell_the_machines_memory() {
    let talos = node();
    let config = talos
        .folder
        .write("config.yaml", "guestinfo: {stats_interval: 1s}\n");
    let run = Run::start(talos.agent().args(["--config"]).args([config]));
    let view = run.sees("rates", SOON, |view| {
        let rate = view.stats.iter().find(|stat| stat.id == 2);
        rate.is_some_and(|stat| stat.number().is_some())
    });
    let value = |id: u32| {
        let stat = view.stats.iter().find(|stat| stat.id == id);
        stat.and_then(|stat| stat.number()).unwrap()
    };
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.lines().find_map(|line| {
        let rest = line.strip_prefix("MemTotal:")?;
        rest.trim().strip_suffix(" kB")?.parse::<f64>().ok()
    });
    assert_eq!(Some(value(60)), total);
    assert!(
        value(6) >= value(60),
        "present includes what the kernel took"
    );
    assert!(value(5) > 0.0 && value(5) <= value(6), "needed memory");
    assert_eq!(value(10), 4096.0);
    assert!(value(2) > 0.0, "context switches");
    assert!(
        !run.output(Stream::Stderr)
            .iter()
            .any(|line| line.contains("WARN"))
    );
}

#[test]
fn statistics_wait_for_their_time() {
    let talos = node();
    let run = talos.run();
    pass(&run, Duration::from_secs(3));
    assert!(run.sent("SetGuestInfo  8 ").is_empty());
}
