//! Guest operations: the tree of files, as a host lists and downloads it.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use apid::{FileKind, Method, OPERATOR};
use vmx::guest_operations::hgfs;
use vmx::guest_operations::{FileInfo, GuestClient, Refused};

use crate::support::{Folder, PASSWORD, Run, Talos, guest_operations};

/// Follows an archive, whose announced size is none.
const TRAILER: [u8; 3] = [0x1f, 0x8b, 0x08];
/// How long any request may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// What Talos' os:operator may not do.
const MAY_READ: [&str; 2] = ["os:admin", OPERATOR];

/// The agent of a node with two users, who see these files of it.
fn run(talos: &Talos, node_files: &str) -> Run {
    let users = guest_operations(&[("ops", ""), ("dev", ""), ("lister", "processes")]);
    let text = format!("{users}  node_files: [{node_files}]\n");
    let file = talos.folder.write("files.yaml", &text);
    let run = Run::start(talos.agent().args(["--config"]).args([file]));
    run.informed();
    run
}

fn ops(run: &Run) -> GuestClient<'_> {
    GuestClient::new(&**run, "ops", PASSWORD)
}

/// A file as ListFiles shows it by itself.
fn shown(client: &GuestClient<'_>, path: &str) -> FileInfo {
    let listing = client.list_files(path, "", 0, 10).unwrap();
    assert_eq!(listing.files.len(), 1, "{path}");
    listing.files[0].clone()
}

/// Unpacked by the system's own tar: names, with what is in the files.
fn untar(packed: &[u8], gzip: bool) -> BTreeMap<String, String> {
    let packed = packed.strip_suffix(&TRAILER[..]).unwrap_or(packed);
    let packed = packed.to_vec();
    let folder = Folder::new();
    let mut tar = Command::new("tar")
        .args(["--no-same-owner", "-x", "-v", "-f", "-", "-C"])
        .arg(folder.path(""))
        .args(gzip.then_some("-z"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = tar.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&packed));
    let mut names = String::new();
    tar.stdout
        .take()
        .unwrap()
        .read_to_string(&mut names)
        .unwrap();
    assert!(tar.wait().unwrap().success(), "{names}");
    writer.join().unwrap().unwrap();
    let read = |name: &str| {
        let path = folder.path(name);
        match std::fs::read_link(&path) {
            Ok(target) => format!("-> {}", target.display()),
            Err(_) => std::fs::read_to_string(path).unwrap_or_default(),
        }
    };
    names
        .lines()
        .map(|name| (name.to_owned(), read(name)))
        .collect()
}

#[test]
fn every_file_of_the_tree_is_listed_and_comes_with_the_size_that_was_announced() {
    let talos = Talos::new();
    let names = ("Nodenames.kubernetes.talos.dev", "k8s", "nodename");
    talos.put_yaml(names.0, names.1, names.2, "nodename: talos-cp-1");
    let run = run(&talos, "");
    let client = ops(&run);
    assert_eq!(
        client.names("/").unwrap(),
        [".", "..", "proc", "talos", "tmp"]
    );
    let mut files = Vec::new();
    let mut folders = vec!["/talos".to_owned()];
    while let Some(folder) = folders.pop() {
        let listing = client.list_files(&folder, "", 0, 1000).unwrap();
        for entry in &listing.files[2..] {
            let path = format!("{folder}/{}", entry.name);
            match entry.kind {
                1 => folders.push(path),
                _ => files.push(path),
            }
        }
    }
    assert!(files.len() > 30, "{files:?}");
    for path in &files {
        let announced = client.initiate_download(path).unwrap();
        assert_eq!(&announced.name, path);
        // The session's getattr says the same, or the transfer fails.
        let bytes = client.fetch(path).unwrap();
        assert_eq!(bytes.len() as u64, announced.size, "{path}");
    }
    let text = |path: &str| String::from_utf8(client.download(path).unwrap()).unwrap();
    assert!(text("/talos/README.txt").contains("/talos/support.tgz"));
    assert_eq!(text("/talos/dmesg.log").lines().count(), 400);
    assert_eq!(text("/talos/services/etcd.log").lines().count(), 2000);
    assert!(text("/talos/check.json").contains("\"check\": \"transport\""));
    assert!(text("/talos/resources/nodenames.yaml").contains("talos-cp-1"));
    assert!(!files.iter().any(|path| path.contains("machineconfig")));
    run.stop();
}

#[test]
fn a_log_that_grows_in_a_transfer_comes_as_it_was_when_it_began() {
    let talos = Talos::new();
    let run = run(&talos, "");
    let client = ops(&run);
    let path = "/talos/services/apid.log";
    talos.set_log("apid", vec!["one".to_owned()]);
    let announced = client.initiate_download(path).unwrap();
    talos.set_log("apid", vec!["one".to_owned(), "two".to_owned()]);
    let bytes = client.fetch(path).unwrap();
    assert_eq!(bytes.len() as u64, announced.size);
    assert_eq!(bytes, b"one\n");
    assert_eq!(client.download(path), Ok(b"one\ntwo\n".to_vec()));
    run.stop();
}

#[test]
fn files_of_the_node_are_read_where_the_operator_lets_them_be_and_through_no_link() {
    let talos = Talos::new();
    talos.allow(Method::Read, &MAY_READ);
    talos.set_file("/etc/shadow", FileKind::Regular(b"secret".to_vec()));
    talos.set_file("/var/log/etc", FileKind::Link("/etc".to_owned()));
    let run = run(&talos, "/var/log, /proc/meminfo, /var/run/log");
    let client = ops(&run);
    assert_eq!(
        client.names("/").unwrap(),
        [".", "..", "proc", "talos", "tmp", "var"]
    );
    assert_eq!(client.names("/var").unwrap(), [".", "..", "log", "run"]);
    assert_eq!(client.names("/proc").unwrap(), [".", "..", "meminfo"]);
    let log = client
        .download("/var/log/audit/kube/kube-apiserver.log")
        .unwrap();
    assert!(log.ends_with(b"second\n"));
    // Size 0 in the kernel's listing; whole all the same.
    assert_eq!(shown(&client, "/proc/meminfo").size, 0);
    let memory = client.download("/proc/meminfo").unwrap();
    assert!(memory.starts_with(b"MemTotal:") && memory.ends_with(b"kB\n"));
    let link = shown(&client, "/var/log/etc");
    assert_eq!((link.kind, link.target.as_str()), (2, "/etc"));
    for path in ["/var/log/etc", "/var/log/etc/shadow", "/var/run/log/x"] {
        assert_eq!(
            client.initiate_download(path),
            Err(Refused::Vix(3)),
            "{path}"
        );
        assert!(client.fetch(path).is_err(), "{path}");
    }
    for path in ["/etc/shadow", "/var/lib", "/proc/uptime", "/proc/1", "/etc"] {
        assert_eq!(
            client.initiate_download(path),
            Err(Refused::Vix(4)),
            "{path}"
        );
        assert_eq!(client.fetch(path), Err(Refused::Hgfs(1)), "{path}");
        assert_eq!(client.names(path), Err(Refused::Vix(4)), "{path}");
    }
    for path in [
        "/var/log/../../etc/shadow",
        "/var/log/.",
        "/var//log",
        "var/log",
    ] {
        assert_eq!(
            client.initiate_download(path),
            Err(Refused::Vix(22)),
            "{path}"
        );
    }
    assert_eq!(
        client.initiate_download("/var/log"),
        Err(Refused::Vix(20001))
    );
    run.stop();
}

#[test]
fn what_talos_refuses_to_the_role_may_come_later_and_lists_all_the_same() {
    let talos = Talos::new();
    let run = run(&talos, "/var/log");
    let client = ops(&run);
    let path = "/var/log/audit/kube/kube-apiserver.log";
    assert_eq!(shown(&client, path).kind, 0);
    assert_eq!(client.initiate_download(path), Err(Refused::Vix(13)));
    talos.allow(Method::Read, &MAY_READ);
    assert!(client.download(path).unwrap().ends_with(b"second\n"));
    run.stop();
}

#[test]
fn folders_come_as_archives_that_real_tar_unpacks() {
    let talos = Talos::new();
    talos.allow(Method::Read, &MAY_READ);
    talos.set_file("/var/log/big", FileKind::Regular(vec![b'x'; 3 << 20]));
    let run = run(&talos, "/var/log");
    let client = ops(&run);
    for (path, gzip, prefix) in [
        ("/var/log/", false, ""),
        ("/var/log?format=tgz&prefix=node%2F", true, "node/"),
        ("/archive:/var/log", false, ""),
        ("/archive/var/log?format=tgz", true, ""),
    ] {
        let announced = client.initiate_download(path).unwrap();
        assert_eq!(
            (announced.size, announced.kind),
            (i64::MAX as u64, 0),
            "{path}"
        );
        let packed = client.fetch(path).unwrap();
        assert!(packed.ends_with(&TRAILER), "{path}");
        let files = untar(&packed, gzip);
        let of = |name: &str| files[&format!("{prefix}{name}")].as_str();
        assert_eq!(of("big").len(), 3 << 20, "{path}");
        assert_eq!(of("dangling"), "-> /nowhere", "{path}");
        assert!(
            of("audit/kube/kube-apiserver.log").ends_with("second\n"),
            "{path}"
        );
        assert!(
            files.contains_key(&format!("{prefix}pods/")),
            "{path}: {:?}",
            files.keys()
        );
    }
    let services = untar(
        &client.download("/talos/services?format=tgz").unwrap(),
        true,
    );
    assert_eq!(services["etcd.log"].lines().count(), 2000);
    // The slash at the end is lost on the way through a real host.
    let packed = client.fetch("/talos/services").unwrap();
    assert_eq!(untar(&packed, false), services);
    let zip = client.initiate_download("/talos?format=zip");
    assert_eq!(zip, Err(Refused::Vix(3)));
    run.stop();
}

#[test]
fn support_is_one_archive_of_everything_and_is_there_in_time_when_talos_is_slow() {
    let talos = Talos::new();
    let run = run(&talos, "");
    let client = ops(&run);
    let whole = untar(&client.download("/talos/support.tgz").unwrap(), true);
    for name in [
        "README.txt",
        "check.json",
        "dmesg.log",
        "services/etcd.log",
        "resources/nodenames.yaml",
    ] {
        assert!(!whole[name].is_empty(), "{name}");
    }
    assert!(
        !whole.contains_key("MISSING.txt"),
        "{}",
        whole["MISSING.txt"]
    );
    talos.delay(Method::Dmesg, Duration::from_secs(30));
    run.tolerate(" took ");
    let start = Instant::now();
    client.initiate_download("/talos/support.tgz").unwrap();
    assert!(start.elapsed() < PATIENCE);
    let part = untar(&client.fetch("/talos/support.tgz").unwrap(), true);
    assert!(
        part["MISSING.txt"].starts_with("dmesg.log: "),
        "{}",
        part["MISSING.txt"]
    );
    assert_eq!(part["services/etcd.log"], whole["services/etcd.log"]);
    run.stop();
}

#[test]
fn every_answer_comes_in_time_while_talos_is_silent_and_the_tree_is_shown_all_the_same() {
    let talos = Talos::new();
    let run = run(&talos, "/var/log");
    let client = ops(&run);
    talos.hang();
    run.tolerate(" took ");
    let timed = |what: &str, ask: &dyn Fn() -> Result<(), Refused>| {
        let start = Instant::now();
        let result = ask();
        assert!(start.elapsed() < PATIENCE, "{what}: {:?}", start.elapsed());
        result
    };
    let listed = timed("root", &|| client.names("/").map(drop));
    assert_eq!(listed, Ok(()));
    for path in [
        "/talos/dmesg.log",
        "/talos/services/apid.log",
        "/var/log/dangling",
    ] {
        let begun = timed(path, &|| client.initiate_download(path).map(drop));
        assert_eq!(begun, Err(Refused::Vix(13)), "{path}");
    }
    talos.resume();
    assert_eq!(
        client
            .download("/talos/services/udevd.log")
            .unwrap()
            .iter()
            .filter(|sign| **sign == b'\n')
            .count(),
        3
    );
    run.stop();
}

#[test]
fn temporary_files_are_the_users_own_and_all_other_writing_is_switched_off() {
    let talos = Talos::new();
    let run = run(&talos, "/var/log");
    let client = ops(&run);
    let dev = GuestClient::new(&*run, "dev", PASSWORD);
    let path = client.make_temporary("govmomi-", ".txt", "").unwrap();
    assert!(path.starts_with("/tmp/govmomi-vmware") && path.ends_with(".txt"));
    assert_ne!(
        client.make_temporary("govmomi-", ".txt", "/tmp").unwrap(),
        path
    );
    assert_eq!(client.names("/tmp").unwrap().len(), 4);
    assert_eq!(client.download(&path), Ok(Vec::new()));
    assert_eq!(dev.names("/tmp").unwrap(), [".", ".."]);
    assert_eq!(dev.initiate_download(&path), Err(Refused::Vix(4)));
    assert_eq!(dev.fetch(&path), Err(Refused::Hgfs(1)));
    assert_eq!(dev.delete(&path), Err(Refused::Vix(4)));
    assert_eq!(client.delete(&path), Ok(()));
    assert_eq!(client.delete(&path), Err(Refused::Vix(4)));
    for folder in ["/var/log", "/talos", "/"] {
        let made = client.make_temporary("a", "b", folder);
        assert_eq!(made, Err(Refused::Vix(20005)), "{folder}");
    }
    for path in ["/talos/README.txt", "/var/log/new", "/tmp/new"] {
        assert_eq!(
            client.initiate_upload(path, true),
            Err(Refused::Vix(20005)),
            "{path}"
        );
    }
    assert_eq!(client.delete("/talos/README.txt"), Err(Refused::Vix(20005)));
    run.stop();
}

#[test]
fn a_user_without_the_right_to_files_gets_none() {
    let talos = Talos::new();
    let run = run(&talos, "/var/log");
    let lister = GuestClient::new(&*run, "lister", PASSWORD);
    for path in ["/", "/talos/README.txt", "/tmp", "/var/log"] {
        assert_eq!(lister.names(path), Err(Refused::Vix(3015)), "{path}");
        let begun = lister.initiate_download(path);
        assert_eq!(begun, Err(Refused::Vix(3015)), "{path}");
        assert!(lister.fetch(path).is_err(), "{path}");
    }
    assert_eq!(lister.make_temporary("a", "b", ""), Err(Refused::Vix(3015)));
    run.stop();
}

#[test]
fn a_file_that_is_too_long_is_refused_and_the_agent_serves_on() {
    let talos = Talos::new();
    talos.allow(Method::Read, &MAY_READ);
    talos.set_file("/var/log/endless", FileKind::Endless);
    let run = run(&talos, "/var/log");
    let client = ops(&run);
    let begun = client.initiate_download("/var/log/endless");
    assert!(matches!(begun, Err(Refused::Vix(8 | 13))), "{begun:?}");
    // Of an archive it is a file that never ends: its reader stops.
    let session = client.session().unwrap();
    let handle = session.open_file("/var/log", false).unwrap();
    let piece = session.read(handle, 0, hgfs::MOST_DATA).unwrap();
    assert_eq!(piece.len(), hgfs::MOST_DATA as usize);
    session.close_file(handle).unwrap();
    session.close().unwrap();
    assert!(client.download("/talos/README.txt").is_ok());
    run.stop();
}
