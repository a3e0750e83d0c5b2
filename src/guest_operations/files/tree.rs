//! The tree of files, as a caller sees it: what a path names, and what is in the folders that are always there.
//!
//! ```text
//! /talos    what Talos says, as files
//! /tmp      the caller's own temporary files
//! /proc     the caller's own programs by their number; beside them what node_files has of the kernel's
//! /…        node_files, and the folders that lead there
//! ```

use super::node_files::{Allowed, Standing, is_secret};
use super::{Attributes, Kind, Listed};
use crate::guest_operations::Failure;
use crate::guest_operations::programs::Stdio;

/// `st_mode` of a folder that is made up.
pub(super) const FOLDER_MODE: u32 = 0o40_555;
/// `st_mode` of a file that is made up.
pub(super) const FILE_MODE: u32 = 0o100_444;
/// `st_mode` of a file that is the caller's own.
pub(super) const OWN_FILE_MODE: u32 = 0o100_600;
/// What a service's log ends in.
const LOG: &str = ".log";
/// What resources end in.
const YAML: &str = ".yaml";

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A folder that is always there.
    Folder(Folder),
    /// The folder of an own program.
    Process(u64),
    /// What an own program reads or writes.
    Stdio(u64, Stdio),
    /// A file that is made up.
    Document(Document),
    /// An own temporary file, by its name.
    Temporary(String),
    /// Something of the node, or a folder that leads there.
    Node(Vec<String>),
}

/// The folders that are always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Folder {
    /// `/`
    Root,
    /// `/talos`
    Talos,
    /// `/talos/services`
    Services,
    /// `/talos/resources`
    Resources,
    /// `/tmp`
    Tmp,
    /// `/proc`
    Proc,
}

/// The files of `/talos`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Document {
    /// What all this is.
    Readme,
    /// The kernel's log.
    Dmesg,
    /// The agent's checks.
    Checks,
    /// All others in one archive.
    Support,
    /// The log of a service, by its id.
    Log(String),
    /// All resources of a type, by the first part of its name in lower case.
    Resources(String),
}

/// The documents directly in `/talos`.
const DOCUMENTS: [(&str, Document); 4] = [
    ("README.txt", Document::Readme),
    ("check.json", Document::Checks),
    ("dmesg.log", Document::Dmesg),
    ("support.tgz", Document::Support),
];

/// What a path names. `is_own` says whether the caller has a program with this number.
///
/// # Errors
/// [`Failure::NotFound`] when there can be nothing, [`Failure::NotAllowed`] for what is never shown.
pub(super) fn place(
    components: &[String],
    allowed: &Allowed,
    is_own: impl Fn(u64) -> bool,
) -> Result<Place, Failure> {
    let names: Vec<&str> = components.iter().map(String::as_str).collect();
    let place = match *names.as_slice() {
        [] => Some(Place::Folder(Folder::Root)),
        ["talos", ref rest @ ..] => Some(in_talos(rest).ok_or(Failure::NotFound)?),
        ["tmp"] => Some(Place::Folder(Folder::Tmp)),
        ["tmp", name] => Some(Place::Temporary(name.to_owned())),
        ["tmp", ..] => return Err(Failure::NotFound),
        ["proc"] => Some(Place::Folder(Folder::Proc)),
        ["proc", pid, ref rest @ ..] => match number(pid).filter(|pid| is_own(*pid)) {
            Some(pid) => Some(in_process(pid, rest).ok_or(Failure::NotFound)?),
            None => None,
        },
        _ => None,
    };
    if let Some(place) = place {
        return Ok(place);
    }
    if allowed.standing(components) == Standing::Outside {
        return Err(Failure::NotFound);
    }
    if is_secret(components) {
        return Err(Failure::NotAllowed);
    }
    Ok(Place::Node(components.to_vec()))
}

fn in_talos(names: &[&str]) -> Option<Place> {
    match names {
        [] => Some(Place::Folder(Folder::Talos)),
        ["services"] => Some(Place::Folder(Folder::Services)),
        ["resources"] => Some(Place::Folder(Folder::Resources)),
        ["services", name] => {
            let id = name.strip_suffix(LOG).filter(|id| is_id(id))?;
            Some(Place::Document(Document::Log(id.to_owned())))
        }
        ["resources", name] => {
            let stem = name.strip_suffix(YAML).filter(|stem| is_id(stem))?;
            Some(Place::Document(Document::Resources(stem.to_owned())))
        }
        [name] => {
            let mut all = DOCUMENTS.iter();
            let (_, document) = all.find(|(of, _)| of == name)?;
            Some(Place::Document(document.clone()))
        }
        _ => None,
    }
}

fn in_process(pid: u64, names: &[&str]) -> Option<Place> {
    match names {
        [] => Some(Place::Process(pid)),
        [name] => {
            let (_, of) = STDIO.iter().find(|(of, _)| of == name)?;
            Some(Place::Stdio(pid, *of))
        }
        _ => None,
    }
}

/// The files of a program.
const STDIO: [(&str, Stdio); 3] = [
    ("stderr", Stdio::Stderr),
    ("stdin", Stdio::Stdin),
    ("stdout", Stdio::Stdout),
];

/// The number of a process, as it is written in `/proc`.
fn number(name: &str) -> Option<u64> {
    let pid: u64 = name.parse().ok()?;
    (pid.to_string() == name).then_some(pid)
}

/// Whether Talos could have a service or a type of this name.
fn is_id(name: &str) -> bool {
    let is_sign =
        |sign: u8| sign.is_ascii_alphanumeric() || matches!(sign, b'-' | b'_' | b'.' | b':');
    name.bytes().all(is_sign) && !name.is_empty() && !name.starts_with('.')
}

/// The file of a service's log.
pub(super) fn log_name(service: &str) -> Option<String> {
    is_id(service).then(|| format!("{service}{LOG}"))
}

/// The file of a type's resources.
pub(super) fn resources_name(kind: &str) -> Option<String> {
    let stem = stem(kind);
    is_id(&stem).then(|| format!("{stem}{YAML}"))
}

/// The first part of a type's name, in lower case.
pub(super) fn stem(kind: &str) -> String {
    let (first, _) = kind.split_once('.').unwrap_or((kind, ""));
    first.to_ascii_lowercase()
}

/// What is in a folder without asking anyone.
pub(super) fn fixed(folder: Folder, now: i64) -> Vec<Listed> {
    let folders: &[&str] = match folder {
        Folder::Root => &["proc", "talos", "tmp"],
        Folder::Talos => &["resources", "services"],
        Folder::Services | Folder::Resources | Folder::Tmp | Folder::Proc => &[],
    };
    let mut all: Vec<_> = folders
        .iter()
        .map(|name| listed(*name, folder_attributes(now)))
        .collect();
    if folder == Folder::Talos {
        all.extend(DOCUMENTS.map(|(name, document)| {
            let size = match document {
                Document::Readme => u64::try_from(super::readme::TEXT.len()).unwrap_or_default(),
                _ => 0,
            };
            listed(name, file_attributes(FILE_MODE, size, now))
        }));
    }
    all
}

/// The files of a program.
pub(super) fn in_process_folder(now: i64) -> Vec<Listed> {
    STDIO
        .map(|(name, _)| listed(name, file_attributes(OWN_FILE_MODE, 0, now)))
        .into()
}

/// An entry.
pub(super) fn listed(name: impl Into<String>, attributes: Attributes) -> Listed {
    Listed {
        name: name.into(),
        attributes,
    }
}

/// The attributes of a folder that is made up.
pub(super) const fn folder_attributes(now: i64) -> Attributes {
    Attributes {
        kind: Kind::Folder,
        size: 0,
        times: (now, now),
        mode: FOLDER_MODE,
        owner: (0, 0),
    }
}

/// The attributes of a file that is made up.
pub(super) const fn file_attributes(mode: u32, size: u64, now: i64) -> Attributes {
    Attributes {
        kind: Kind::File,
        size,
        times: (now, now),
        mode,
        owner: (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, node_files: &[&str]) -> Result<Place, Failure> {
        let paths: Vec<_> = node_files.iter().map(|path| (*path).to_owned()).collect();
        let components: Vec<_> = path
            .split('/')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        place(&components, &Allowed::new(&paths), |pid| pid == 70_000)
    }

    fn node(path: &str) -> Result<Place, Failure> {
        let components = path.split('/').skip(1).map(str::to_owned).collect();
        Ok(Place::Node(components))
    }

    #[test]
    fn a_path_names_what_is_made_up_before_what_the_node_has() {
        let everything = &["/"];
        assert_eq!(of("/", everything), Ok(Place::Folder(Folder::Root)));
        assert_eq!(
            of("/talos/dmesg.log", everything),
            Ok(Place::Document(Document::Dmesg))
        );
        assert_eq!(of("/talos/nothing", everything), Err(Failure::NotFound));
        assert_eq!(
            of("/tmp/x", everything),
            Ok(Place::Temporary("x".to_owned()))
        );
        assert_eq!(of("/tmp/x/y", everything), Err(Failure::NotFound));
        assert_eq!(of("/proc", everything), Ok(Place::Folder(Folder::Proc)));
        assert_eq!(of("/proc/meminfo", everything), node("/proc/meminfo"));
        assert_eq!(of("/proc/70000", everything), Ok(Place::Process(70_000)));
        assert_eq!(
            of("/proc/70000/stdout", everything),
            Ok(Place::Stdio(70_000, Stdio::Stdout))
        );
        assert_eq!(of("/proc/70000/status", everything), Err(Failure::NotFound));
        assert_eq!(of("/proc/070000", everything), node("/proc/070000"));
        assert_eq!(of("/proc/1/status", everything), node("/proc/1/status"));
    }

    #[test]
    fn what_is_not_allowed_is_not_there_but_for_the_way_to_it() {
        let logs = &["/var/log/", "/proc/meminfo"];
        assert_eq!(of("/var", logs), node("/var"));
        assert_eq!(of("/var/log/x/y", logs), node("/var/log/x/y"));
        assert_eq!(of("/proc/meminfo", logs), node("/proc/meminfo"));
        for path in ["/etc", "/var/logs", "/var/lib", "/proc/cpuinfo", "/proc/1"] {
            assert_eq!(of(path, logs), Err(Failure::NotFound), "{path}");
        }
        assert_eq!(of("/etc/hosts", &[]), Err(Failure::NotFound));
    }

    #[test]
    fn keys_passwords_and_memory_are_never_shown() {
        for path in [
            "/system/state/config.yaml",
            "/system/secrets",
            "/system/overlays/extensions/talos-vmtoolsd/config.yaml",
            "/system/run/containerd/io.containerd.runtime.v2.task/system/x/config.json",
            "/var/system/overlays/etc-kubernetes-diff/kubeconfig-kubelet",
            "/etc/cni/net.d/calico-kubeconfig",
            "/sys/firmware/qemu_fw_cfg/by_name/opt/config/raw",
            "/var/lib/etcd/member",
            "/var/lib/kubelet/pki/kubelet.key",
            "/proc/1/environ",
            "/proc/1/root/etc",
            "/proc/kcore",
        ] {
            assert_eq!(of(path, &["/"]), Err(Failure::NotAllowed), "{path}");
        }
        assert_eq!(of("/systems", &["/"]), node("/systems"));
        assert_eq!(of("/proc/1/status", &["/"]), node("/proc/1/status"));
    }

    #[test]
    fn names_of_services_and_types_are_names_of_files() {
        assert_eq!(
            log_name("ext-talos-vmtoolsd").as_deref(),
            Some("ext-talos-vmtoolsd.log")
        );
        assert_eq!(log_name("../x"), None);
        assert_eq!(
            resources_name("Hostnames.net.talos.dev").as_deref(),
            Some("hostnames.yaml")
        );
        assert_eq!(resources_name(".net"), None);
    }
}
