use std::time::Duration;

use super::node::{There, World, at, caller, file};
use crate::config::Rights;
use crate::guest_operations::files::{Kind, readme};
use crate::guest_operations::{Caller, Failure};
use crate::inquiry::TroubleKind;

#[test]
fn the_tree_has_what_talos_has_to_say() {
    let mut world = World::new(&[]);
    assert_eq!(world.names("ops", "/"), [".", "..", "proc", "talos", "tmp"]);
    let talos = [
        ".",
        "..",
        "README.txt",
        "check.json",
        "dmesg.log",
        "resources",
        "services",
        "support.tgz",
    ];
    assert_eq!(world.names("ops", "/talos"), talos);
    assert_eq!(world.names("ops", "/talos/"), talos);
    assert_eq!(
        world.names("ops", "/talos/services"),
        [".", "..", "apid.log", "kubelet.log"]
    );
    assert_eq!(
        world.names("ops", "/talos/resources"),
        [".", "..", "hostnames.yaml", "members.yaml"]
    );
    assert_eq!(world.names("ops", "/tmp"), [".", ".."]);
    assert_eq!(world.names("ops", "/proc"), [".", ".."]);
    assert_eq!(world.list("ops", "/etc"), Err(Failure::NotFound));
    assert_eq!(world.list("ops", "/talos/x"), Err(Failure::NotFound));
}

#[test]
fn a_file_is_listed_by_its_path_and_only_if_it_is_there() {
    let mut world = World::with_logs();
    assert_eq!(
        world.names("ops", "/talos/README.txt"),
        ["/talos/README.txt"]
    );
    let log = "/talos/services/apid.log";
    let listed = world.list("ops", log).unwrap();
    assert_eq!(listed[0].name, log);
    assert_eq!(listed[0].attributes.kind, Kind::File);
    assert_eq!(
        world.list("ops", "/talos/services/no.log"),
        Err(Failure::NotFound)
    );
    let listed = world.list("ops", "/var/log/x.log").unwrap();
    assert_eq!(listed[0].name, "/var/log/x.log");
    assert_eq!(listed[0].attributes.size, 6);
    assert_eq!(listed[0].attributes.mode, 0o100_640);
    assert_eq!(listed[0].attributes.owner, (1, 2));
    assert_eq!(world.list("ops", "/var/log/none"), Err(Failure::NotFound));
}

#[test]
fn a_log_has_no_size_until_somebody_asks_for_it() {
    let mut world = World::new(&[]);
    let size = |world: &mut World, path: &str| world.list("ops", path).unwrap()[0].attributes.size;
    let log = "/talos/services/apid.log";
    assert_eq!(size(&mut world, log), 0);
    let announced = world.begin("ops", log).unwrap().size;
    assert_eq!(announced, 12);
    assert_eq!(size(&mut world, log), announced);
    let readme = u64::try_from(readme::TEXT.len()).unwrap();
    assert_eq!(size(&mut world, "/talos/README.txt"), readme);
}

#[test]
fn folders_above_what_may_be_seen_show_the_way_there_alone() {
    let mut world = World::with_logs();
    assert_eq!(
        world.names("ops", "/"),
        [".", "..", "proc", "talos", "tmp", "var"]
    );
    assert_eq!(world.names("ops", "/var"), [".", "..", "log"]);
    assert_eq!(world.names("ops", "/proc"), [".", "..", "meminfo"]);
    let logs = ["audit", "out", "shadow", "socket", "x.log"];
    assert_eq!(world.names("ops", "/var/log")[2..], logs);
    for path in ["/var/lib", "/proc/1", "/etc/shadow"] {
        assert_eq!(world.list("ops", path), Err(Failure::NotFound), "{path}");
    }
}

#[test]
fn what_is_made_up_hides_what_the_node_has() {
    let mut world = World::new(&["/"]);
    for (path, there) in [
        ("/talos", There::Folder),
        ("/talos/key", file("secret")),
        ("/tmp", There::Folder),
        ("/tmp/x", file("secret")),
        ("/usr", There::Folder),
    ] {
        world.node.insert(path.to_owned(), there);
    }
    assert_eq!(
        world.names("ops", "/"),
        [".", "..", "proc", "talos", "tmp", "usr"]
    );
    assert_eq!(world.names("ops", "/tmp"), [".", ".."]);
    assert_eq!(world.download("ops", "/tmp/x"), Err(Failure::NotFound));
    assert_eq!(world.download("ops", "/talos/key"), Err(Failure::NotFound));
}

#[test]
fn the_root_is_shown_when_talos_is_away() {
    let mut world = World::with_logs();
    world.is_deaf = |_| true;
    let start = world.now;
    assert_eq!(
        world.names("ops", "/"),
        [".", "..", "proc", "talos", "tmp", "var"]
    );
    assert!(world.now - start <= Duration::from_secs(2));
    assert_eq!(world.list("ops", "/var"), Err(Failure::NotNow));
    assert_eq!(world.list("ops", "/talos/services"), Err(Failure::NotNow));
    world.is_deaf = |_| false;
    assert_eq!(world.names("ops", "/var"), [".", "..", "log"]);
}

#[test]
fn talos_is_asked_once_for_a_listing_however_often_the_caller_asks_again() {
    let mut world = World::with_logs();
    world.names("ops", "/var/log");
    assert_eq!(world.asked.len(), 3, "{:?}", world.asked);
}

#[test]
fn a_user_without_the_right_sees_nothing_and_makes_nothing() {
    let mut world = World::with_logs();
    let rights = Rights {
        files: false,
        programs: false,
        ..Rights::default()
    };
    let other = Caller {
        rights,
        ..caller("ops")
    };
    let now = world.now;
    for path in ["/", "/talos", "/tmp", "/var/log/x.log", "/proc/1/stdout"] {
        let location = at(path);
        let mut files = world.ops.files();
        let denied = std::task::Poll::Ready(Err(Failure::NotAllowed));
        assert_eq!(files.list(&other, &location, now), denied, "{path}");
        let begun = files.begin_transfer(&other, &location, now);
        assert_eq!(begun, std::task::Poll::Ready(Err(Failure::NotAllowed)));
        let opened = files.open(&other, &location, true, now);
        assert!(matches!(
            opened,
            std::task::Poll::Ready(Err(Failure::NotAllowed))
        ));
        assert_eq!(files.delete(&other, &location), Err(Failure::NotAllowed));
    }
    let made = world.ops.files().make_temporary(&other, "", "", "", now);
    assert_eq!(made, Err(Failure::NotAllowed));
    assert!(world.asked.is_empty());
}

#[test]
fn nothing_but_ones_own_temporary_files_is_written_or_deleted() {
    let mut world = World::with_logs();
    let (ops, now) = (caller("ops"), world.now);
    let mut files = world.ops.files();
    for path in [
        "/talos/README.txt",
        "/var/log/x.log",
        "/var/log",
        "/new",
        "/etc/shadow",
    ] {
        let location = at(path);
        assert_eq!(
            files.begin_upload(&ops, &location),
            Err(Failure::Disabled),
            "{path}"
        );
        let opened = files.open(&ops, &location, true, now);
        assert!(matches!(
            opened,
            std::task::Poll::Ready(Err(Failure::Disabled))
        ));
        let deleted = files.delete(&ops, &location);
        let refused = [Failure::Disabled, Failure::NotFound].map(Err);
        assert!(refused.contains(&deleted), "{path}: {deleted:?}");
    }
    for folder in ["/var/log", "/talos", "/"] {
        let made = files.make_temporary(&ops, "a", "b", folder, now);
        assert_eq!(made, Err(Failure::Disabled), "{folder}");
    }
    let path = files
        .make_temporary(&ops, "a-", ".txt", "/tmp/", now)
        .unwrap();
    assert_eq!(path, "/tmp/a-vmware1.txt");
    assert_eq!(files.begin_upload(&ops, &at(&path)), Err(Failure::Disabled));
    assert_eq!(
        files.delete(&caller("dev"), &at(&path)),
        Err(Failure::NotFound)
    );
    assert_eq!(files.delete(&ops, &at(&path)), Ok(()));
    assert_eq!(files.delete(&ops, &at(&path)), Err(Failure::NotFound));
}

#[test]
fn a_temporary_file_is_seen_by_its_owner_alone_and_as_it_is_now() {
    let mut world = World::new(&[]);
    let now = world.now;
    let path = world
        .ops
        .files()
        .make_temporary(&caller("ops"), "", "", "", now);
    let path = path.unwrap();
    let append = |world: &mut World, text: &str| {
        let temporaries = &mut world.ops.files().rooms.temporaries;
        temporaries
            .append("ops", &path, text.as_bytes(), now)
            .unwrap();
    };
    append(&mut world, "one");
    assert_eq!(world.download("ops", &path), Ok(b"one".to_vec()));
    append(&mut world, " two");
    assert_eq!(world.attributes("ops", &path).unwrap().size, 7);
    append(&mut world, " three");
    let opened = world.open("ops", &path).unwrap();
    assert_eq!(
        world.read_all(&opened),
        Ok(b"one two".to_vec()),
        "as its size was announced"
    );
    assert_eq!(world.download("ops", &path), Ok(b"one two three".to_vec()));
    assert_eq!(world.list("ops", &path).unwrap()[0].attributes.size, 13);
    assert_eq!(world.names("dev", "/tmp"), [".", ".."]);
    assert_eq!(world.list("dev", &path), Err(Failure::NotFound));
    assert_eq!(world.download("dev", &path), Err(Failure::NotFound));
}

#[test]
fn what_talos_refuses_may_come_later() {
    let mut world = World::with_logs();
    world.trouble = Some(TroubleKind::Denied);
    assert_eq!(world.begin("ops", "/var/log/x.log"), Err(Failure::NotNow));
    assert_eq!(
        world.open("ops", "/var/log/x.log").unwrap_err(),
        Failure::NotNow
    );
    world.trouble = None;
    assert_eq!(
        world.download("ops", "/var/log/x.log"),
        Ok(b"lines\n".to_vec())
    );
}
