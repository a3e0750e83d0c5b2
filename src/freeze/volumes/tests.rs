use std::collections::BTreeMap;

use super::*;
use crate::facts::{Mount, Space, TalosVersion, Volume as Known};

fn volume(id: &str, location: &str, file_system: &'static str) -> Known {
    Known {
        id: id.into(),
        location: location.into(),
        mount_location: location.into(),
        file_system,
        ..Known::default()
    }
}

fn mount(volume: &str, target: &str, source: &str) -> Mount {
    Mount {
        volume: volume.into(),
        target: target.into(),
        source: source.into(),
        read_only: false,
    }
}

/// A node with all kinds of volumes.
fn node() -> Facts {
    let volumes = vec![
        volume("EFI", "/dev/xda1", "vfat"),
        volume("EPHEMERAL", "/dev/xda6", "xfs"),
        volume("STATE", "/dev/xda5", "xfs"),
        volume("u-btrfs", "/dev/xdb3", "btrfs"),
        volume("u-data", "/dev/xdb1", "ext4"),
        volume("u-read", "/dev/xdb2", "ext4"),
        volume("u-spare", "/dev/xdb4", "ext4"),
    ];
    let read_only = Mount {
        read_only: true,
        ..mount("u-read", "/var/mnt/read", "/dev/xdb2")
    };
    let mounts = [
        mount("EFI", "/boot", "/dev/xda1"),
        mount("EPHEMERAL", "/var", "/dev/xda6"),
        mount("STATE", "/system/state", "/dev/xda5"),
        mount("u-btrfs", "/var/mnt/btrfs", "/dev/xdb3"),
        mount("u-data", "/var/mnt/data", "/dev/xdb1"),
        mount("directory", "/var/lib/x", "/dev/xda6"),
        read_only,
    ];
    let mut facts = Facts::default();
    facts.storage.volumes = Some(volumes);
    facts.storage.mounts = Some(mounts.into());
    facts
}

fn tag(tag: &str) -> Option<TalosVersion> {
    Some(TalosVersion {
        tag: tag.into(),
        ..TalosVersion::default()
    })
}

/// `id mount point device` of each.
fn listed(facts: &Facts, exclude: &[&str]) -> Vec<String> {
    let exclude: Vec<Glob> = exclude.iter().map(|it| Glob::new(it)).collect();
    let volumes = volumes(facts, &exclude).unwrap();
    volumes
        .iter()
        .map(|it| format!("{} {} {}", it.id, it.mount_point, it.device.as_str()))
        .collect()
}

#[test]
fn mounted_volumes_that_can_be_frozen_are_listed_nested_ones_first() {
    let expected = [
        "u-data /var/mnt/data xdb1",
        "STATE /system/state xda5",
        "EPHEMERAL /var xda6",
    ];
    assert_eq!(listed(&node(), &[]), expected);
}

#[test]
fn those_of_one_depth_come_in_the_reverse_order_of_the_listing() {
    let mut facts = node();
    let storage = &mut facts.storage;
    let volumes = storage.volumes.as_mut().unwrap();
    volumes.push(volume("u-zeal", "/dev/xdc1", "xfs"));
    let mounts = storage.mounts.as_mut().unwrap();
    mounts.insert(mount("u-zeal", "/var/mnt/zeal", "/dev/xdc1"));
    assert_eq!(
        listed(&facts, &["STATE", "/var"]),
        ["u-zeal /var/mnt/zeal xdc1", "u-data /var/mnt/data xdb1"]
    );
}

#[test]
fn a_volume_is_excluded_by_its_id_or_mount_point() {
    for exclude in ["u-data", "u-*", "/var/mnt/data", "/var/mnt/*"] {
        let expected = ["STATE /system/state xda5", "EPHEMERAL /var xda6"];
        assert_eq!(listed(&node(), &[exclude]), expected, "{exclude}");
    }
    assert_eq!(listed(&node(), &["nothing"]).len(), 3);
    assert!(listed(&node(), &["*"]).is_empty());
}

#[test]
fn a_device_is_listed_once_at_its_outermost_mount_point() {
    let mut facts = node();
    let mounts = facts.storage.mounts.as_mut().unwrap();
    mounts.insert(mount("EPHEMERAL", "/var/lib/again", "/dev/xda6"));
    assert_eq!(listed(&facts, &[]), listed(&node(), &[]));
}

#[test]
fn the_device_is_what_is_mounted_and_has_the_kernels_name() {
    let mut facts = node();
    facts.storage.mapped = BTreeMap::from([
        ("/dev/mapper/luks2-STATE".into(), "/dev/dm-7".into()),
        ("/dev/mapper/luks2-u-data".into(), "/dev/dm-8".into()),
    ]);
    for volume in facts.storage.volumes.as_mut().unwrap() {
        match volume.id.as_str() {
            "STATE" => volume.mount_location = "/dev/mapper/luks2-STATE".into(),
            // What is mounted counts more.
            "EPHEMERAL" => volume.mount_location = "/dev/xdz".into(),
            _ => {}
        }
    }
    facts.storage.mounts = Some(
        [
            mount("EPHEMERAL", "/var", "/dev/dm-6"),
            mount("STATE", "/system/state", ""),
            mount("u-data", "/var/mnt/data", "/dev/mapper/luks2-u-data"),
        ]
        .into(),
    );
    let expected = [
        "u-data /var/mnt/data dm-8",
        "STATE /system/state dm-7",
        "EPHEMERAL /var dm-6",
    ];
    assert_eq!(listed(&facts, &[]), expected);
    facts.storage.mapped.clear();
    let unknown = volumes(&facts, &[]).unwrap_err();
    assert!(matches!(unknown, Unlisted::NoDevice(_)), "{unknown}");
}

#[test]
fn nothing_is_listed_before_talos_has_said_what_is_mounted() {
    for known in [false, true] {
        let mut facts = node();
        facts.talos = tag("v1.10.0");
        match known {
            false => facts.storage.mounts = None,
            true => facts.storage.volumes = None,
        }
        assert_eq!(volumes(&facts, &[]), Err(Unlisted::NotYet));
    }
    let mut facts = node();
    facts.storage.mounts = None;
    assert_eq!(volumes(&facts, &[]), Err(Unlisted::NotYet), "which Talos");
}

#[test]
fn an_older_talos_mounts_at_known_places() {
    let space = |device: &str, mount_point: &str| Space {
        device: device.into(),
        mount_point: mount_point.into(),
        total: 1,
        free: 1,
    };
    let mut facts = node();
    facts.storage.mounts = None;
    facts.talos = tag("v1.9.5");
    let own = ["STATE /system/state xda5", "EPHEMERAL /var xda6"];
    assert_eq!(listed(&facts, &[]), own);
    facts.storage.spaces = Some(vec![
        space("overlay", "/"),
        space("/dev/xda5", "/system/state"),
        space("/dev/xda6", "/var"),
        space("/dev/xda6", "/opt"),
        space("/dev/xdb1", "/var/mnt/data"),
        space("/dev/xdz", "/var/lib/kubelet/pods/1/volumes/csi"),
    ]);
    let disk = "/var/mnt/data /var/mnt/data xdb1";
    assert_eq!(listed(&facts, &[]), [disk, own[0], own[1]]);
    facts.talos = tag("v1.7.0");
    facts.storage.volumes = None;
    assert_eq!(
        listed(&facts, &[]),
        [disk, "/system/state /system/state xda5", "/var /var xda6"]
    );
    facts.storage.spaces = None;
    assert_eq!(volumes(&facts, &[]), Err(Unlisted::NotYet));
}

#[test]
fn more_than_fit_into_a_command_are_too_many() {
    let mut facts = Facts::default();
    let ids = |count| (0..count).map(|number| format!("u-{number}"));
    for (count, fits) in [(MOST_DEVICES, true), (MOST_DEVICES + 1, false)] {
        let known = ids(count).map(|id| volume(&id, &format!("/dev/{id}"), "xfs"));
        facts.storage.volumes = Some(known.collect());
        let mounts =
            ids(count).map(|id| mount(&id, &format!("/var/mnt/{id}"), &format!("/dev/{id}")));
        facts.storage.mounts = Some(mounts.collect());
        let found = volumes(&facts, &[]).unwrap();
        assert_eq!(found.len(), count);
        assert_eq!(devices(&found).is_ok(), fits);
    }
}
