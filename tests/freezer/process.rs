//! What the kernel says of the process, and what is done to it.

use std::path::Path;
use std::process::Command;

use crate::support::program;

/// CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN, CAP_MKNOD.
const RIGHTS: u64 = 1 << 2 | 1 << 21 | 1 << 27;
/// More than this it must not take.
const MOST_KIB: u64 = 2048;

pub(crate) fn signal(id: u32, signal: &str) {
    run(Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(id.to_string()));
}

pub(crate) fn is_there(id: u32) -> bool {
    Path::new(&format!("/proc/{id}")).exists()
}

/// Gives the root of the file system on a device to another user, who closes it.
pub(crate) fn close_root(device: &str, kind: &str) {
    assert!(device.starts_with("/dev/loop"));
    let folder = std::env::temp_dir().join(format!("root-of-{}", device.replace('/', "-")));
    std::fs::create_dir_all(&folder).unwrap();
    run(Command::new("unshare")
        .args(["--mount", "sh", "-ec"])
        .arg(format!(
            "mount -t {kind} {device} {0}; chown 999:999 {0}; chmod 700 {0}",
            folder.display()
        )));
    std::fs::remove_dir(folder).unwrap();
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Its descriptors, mounts, folder and anonymous memory.
pub(crate) fn held(id: u32) -> (Vec<String>, String, Option<u64>) {
    let folder = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    let mut descriptors: Vec<_> = folder
        .map(|entry| {
            let path = entry.unwrap().path();
            let target = std::fs::read_link(&path).unwrap();
            format!("{} {}", path.display(), target.display())
        })
        .collect();
    descriptors.sort();
    let mounts = std::fs::read_to_string(format!("/proc/{id}/mountinfo")).unwrap();
    // Of other tests, which come and go.
    let mounts = mounts.lines().filter(|line| line.contains("/dev/loop"));
    let content = std::fs::read_dir(format!("/proc/{id}/cwd")).unwrap();
    assert_eq!(content.count(), 0, "a node of a device is left");
    (descriptors, mounts.collect(), number(id, "RssAnon"))
}

fn line(id: u32, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

fn number(id: u32, name: &str) -> Option<u64> {
    line(id, name)?.trim_end_matches(" kB").parse().ok()
}

pub(crate) fn assert_confined(id: u32) {
    for (name, expected) in [
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Name", "talos-freezer"),
    ] {
        assert_eq!(line(id, name).as_deref(), Some(expected), "{name}");
    }
    for name in ["CapEff", "CapPrm"] {
        let rights = line(id, name).unwrap();
        assert_eq!(u64::from_str_radix(&rights, 16), Ok(RIGHTS), "{name}");
    }
    for name in ["CapInh", "CapAmb"] {
        let rights = line(id, name).unwrap();
        assert_eq!(u64::from_str_radix(&rights, 16), Ok(0), "{name}");
    }
    assert!(number(id, "VmLck").unwrap() > 0, "its memory is not locked");
    let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap();
    assert_eq!(environment, b"");
}

/// Of the shipped program: others are larger than what is measured.
pub(crate) fn assert_small(id: u32) {
    let resident = number(id, "VmRSS").unwrap();
    let anonymous = number(id, "RssAnon").unwrap();
    eprintln!("the freezer takes {resident} KiB, {anonymous} KiB of them its own");
    if !program()
        .components()
        .any(|part| part.as_os_str() == "debug")
    {
        assert!(resident <= MOST_KIB, "{resident} KiB");
    }
}
