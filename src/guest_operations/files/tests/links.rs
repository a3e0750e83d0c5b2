use std::collections::BTreeMap;

use proptest::prelude::*;

use super::node::{There, World, at, caller, file};
use crate::guest_operations::Failure;
use crate::guest_operations::files::Kind;
use crate::inquiry::Inquiry;

#[test]
fn a_link_is_shown_with_its_target_and_never_followed() {
    let mut world = World::with_logs();
    let listed = world.list("ops", "/var/log/shadow").unwrap();
    assert_eq!(
        listed[0].attributes.kind,
        Kind::Link("/etc/shadow".to_owned())
    );
    let attributes = world.attributes("ops", "/var/log/shadow").unwrap();
    assert_eq!(attributes.kind, Kind::Link("/etc/shadow".to_owned()));
    for path in ["/var/log/shadow", "/var/log/out/shadow", "/var/log/out/"] {
        assert_eq!(world.begin("ops", path), Err(Failure::Invalid), "{path}");
        assert_eq!(
            world.open("ops", path).unwrap_err(),
            Failure::Invalid,
            "{path}"
        );
    }
    assert_eq!(
        world.list("ops", "/var/log/out/shadow"),
        Err(Failure::Invalid)
    );
    let reads = world
        .asked
        .iter()
        .filter(|of| matches!(of, Inquiry::Read { .. }));
    assert_eq!(reads.count(), 0);
}

#[test]
fn a_link_on_the_way_to_what_may_be_seen_ends_the_way() {
    let mut world = World::new(&["/var/run/log"]);
    for (path, there) in [
        ("/run", There::Folder),
        ("/run/log", There::Folder),
        ("/run/log/x", file("x")),
        ("/var", There::Folder),
        ("/var/run", There::Link("/run".to_owned())),
    ] {
        world.node.insert(path.to_owned(), there);
    }
    assert_eq!(world.begin("ops", "/var/run/log/x"), Err(Failure::Invalid));
    assert_eq!(world.list("ops", "/var/run/log"), Err(Failure::Invalid));
    let listed = world.list("ops", "/var").unwrap();
    assert_eq!(listed[2].attributes.kind, Kind::Link("/run".to_owned()));
}

#[test]
fn what_has_no_contents_is_no_file() {
    let mut world = World::with_logs();
    assert_eq!(
        world.begin("ops", "/var/log/socket"),
        Err(Failure::NotAFile)
    );
    assert_eq!(world.begin("ops", "/var/log"), Err(Failure::NotAFile));
    assert_eq!(world.begin("ops", "/var"), Err(Failure::NotAFile));
    assert_eq!(world.begin("ops", "/talos"), Err(Failure::NotAFile));
    assert_eq!(
        world.list("ops", "/var/log/x.log/y"),
        Err(Failure::NotAFolder)
    );
}

#[test]
fn a_file_of_the_kernel_comes_whole_although_its_size_is_not_known() {
    let mut world = World::with_logs();
    assert_eq!(
        world.list("ops", "/proc/meminfo").unwrap()[0]
            .attributes
            .size,
        0
    );
    assert_eq!(
        world.download("ops", "/proc/meminfo"),
        Ok(b"MemTotal: 1 kB\n".to_vec())
    );
}

#[test]
fn a_change_of_what_may_be_seen_counts_at_once() {
    let mut world = World::with_logs();
    world.begin("ops", "/var/log/x.log").unwrap();
    let archive = world.open("ops", "/var/log/").unwrap();
    world.ops.configure(&super::node::config(&[]));
    assert_eq!(
        world.open("ops", "/var/log/x.log").unwrap_err(),
        Failure::NotFound
    );
    assert_eq!(world.read(&archive, 0), Err(Failure::NotFound));
}

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "allowed", "secret", "proc", "talos"])
        .prop_map(str::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(names(), 1..5).prop_map(|names| format!("/{}", names.join("/")))
}

fn there() -> impl Strategy<Value = There> {
    prop_oneof![
        2 => Just(There::Folder),
        1 => path().prop_map(There::Link),
        1 => Just(There::Other),
    ]
}

proptest! {
    #[test]
    fn nothing_leaves_what_may_be_seen_whatever_links_there_are(
        extra in prop::collection::btree_map(path(), there(), 0..12),
        asked in prop::collection::vec(
            prop_oneof![path(), "/(allowed|a|\\.\\.|archive:)?(/(a|b|\\.|\\.\\.|c|))*(\\?format=tgz)?".prop_map(String::from)],
            1..8,
        ),
    ) {
        let mut world = World::new(&["/allowed/a", "/b"]);
        // Each folder has a file, which says whether it may be seen.
        let mut node = BTreeMap::from([
            ("/allowed".to_owned(), There::Folder),
            ("/allowed/a".to_owned(), There::Folder),
        ]);
        node.extend(extra);
        let folders: Vec<String> = node
            .iter()
            .filter(|(_, there)| matches!(there, There::Folder))
            .map(|(path, _)| path.clone())
            .chain([String::new()])
            .collect();
        for folder in folders {
            let visible = folder.starts_with("/allowed/a") || folder == "/b" || folder.starts_with("/b/");
            let text = if visible { "visible" } else { "hidden" };
            node.insert(format!("{folder}/file"), file(text));
        }
        world.node = node;
        for path in asked {
            for path in [path.clone(), format!("{path}/file"), format!("{path}/")] {
                let _ = world.list("ops", &path);
                let Ok(opened) = world.open("ops", &path) else { continue };
                let bytes = world.read_all(&opened).unwrap_or_default();
                world.close(&opened);
                prop_assert!(!contains(&bytes, b"hidden"), "{path}");
            }
        }
        for inquiry in &world.asked {
            let (path, may_lead) = match inquiry {
                Inquiry::Read { path, .. } => (path, false),
                Inquiry::List { path } => (path, true),
                _ => continue,
            };
            let within = ["/allowed/a", "/b"].iter().any(|allowed| {
                path == allowed || path.starts_with(&format!("{allowed}/"))
            });
            let leads = may_lead && ["/", "/allowed"].contains(&path.as_str());
            prop_assert!(within || leads, "{inquiry:?}");
            if path != "/" {
                prop_assert_eq!(&world.resolved(path), path, "a link was followed");
            }
        }
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[test]
fn a_folder_that_becomes_a_link_between_two_looks_is_none() {
    let mut world = World::with_logs();
    let (ops, location, now) = (caller("ops"), at("/var/log/audit/kube.log"), world.now);
    let _ = world.ops.files().begin_transfer(&ops, &location, now);
    // Until the listing of /var/log has said that it is a folder.
    while !world.asked.contains(&Inquiry::List {
        path: "/var/log/audit".to_owned(),
    }) {
        if world.asked.contains(&Inquiry::List {
            path: "/var/log".to_owned(),
        }) {
            let link = There::Link("/var/log".to_owned());
            world.node.insert("/var/log/audit".to_owned(), link);
        }
        world.pump();
    }
    let begun = world.request(|files, now| files.begin_transfer(&ops, &location, now));
    assert!(begun.is_err());
}
