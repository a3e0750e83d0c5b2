//! Files of the node.

use apid::FileKind;
use talos_vmtoolsd::inquiry::{Answer, Entry, EntryKind, Inquiry, TroubleKind};

use crate::asker::Asker;

fn read(path: &str) -> Inquiry {
    Inquiry::Read {
        path: path.to_owned(),
        most: u64::MAX,
    }
}

async fn list(asker: &mut Asker, path: &str) -> Vec<Entry> {
    let path = path.to_owned();
    match asker.one(Inquiry::List { path }).await {
        Answer::Entries(entries) => entries,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_comes_whole_also_one_of_the_kernel() {
    let (api, mut asker) = Asker::with_role("os:admin");
    let long: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    api.set_file("/var/log/long", FileKind::Regular(long.clone()));
    assert_eq!(asker.whole(read("/var/log/long")).await.unwrap(), long);
    let memory = asker.text(read("/proc/meminfo")).await;
    assert!(memory.starts_with("MemTotal:"), "{memory}");
    api.set_file("/var/log/empty", FileKind::Regular(Vec::new()));
    assert_eq!(asker.text(read("/var/log/empty")).await, "");
    assert_eq!(asker.inquiries.count(), 0, "nothing is kept");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_says_why() {
    let (_api, mut asker) = Asker::with_role("os:admin");
    for (path, kind) in [
        ("/var/log/nothing", TroubleKind::NotFound),
        ("/var/log", TroubleKind::NotAFile),
        ("/dev/null", TroubleKind::NotAFile),
        ("/var/log/dangling", TroubleKind::NotFound),
    ] {
        assert_eq!(asker.trouble(read(path)).await.kind, kind, "{path}");
    }
    let (api, mut asker) = Asker::operator();
    let trouble = asker.trouble(read("/etc/hostname")).await;
    assert_eq!((trouble.kind, trouble.status), (TroubleKind::Denied, 7));
    assert!(trouble.text.contains("os:admin"), "{trouble}");
    let checks = asker.client.checks();
    assert!(
        !format!("{:?}", checks.borrow()).contains("Read"),
        "that is said to whoever asks, and is no missing part"
    );
    assert_eq!(api.calls()[0].metadata("talos-role"), ["os:operator"]);
}

#[tokio::test(start_paused = true)]
async fn a_folder_is_listed_with_what_is_directly_in_it() {
    let (_api, mut asker) = Asker::operator();
    let entries = list(&mut asker, "/var/log").await;
    let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, [".", "audit", "containers", "dangling", "pods"]);
    assert_eq!(entries[0].mode, 0o040_755);
    assert_eq!(entries[3].kind, EntryKind::Link("/nowhere".to_owned()));

    for path in ["/", "/var/log/"] {
        assert_eq!(list(&mut asker, path).await[0].kind, EntryKind::Folder);
    }
    let file = list(&mut asker, "/proc/uptime").await;
    assert_eq!(file.len(), 1);
    let expected = (".", &EntryKind::File, 0, 0o100_644);
    let Entry {
        name,
        kind,
        size,
        mode,
        ..
    } = &file[0];
    assert_eq!((name.as_str(), kind, *size, *mode), expected);

    // Talos follows a link at the end of the path; it is shown as one.
    let link = list(&mut asker, "/var/run").await;
    assert_eq!(link.len(), 1);
    assert_eq!(link[0].kind, EntryKind::Link("/run".to_owned()));

    for path in ["/var/log/nothing", "/etc/hostname/below"] {
        let path = path.to_owned();
        let trouble = asker.trouble(Inquiry::List { path }).await;
        assert_eq!(trouble.kind, TroubleKind::NotFound);
    }
}
