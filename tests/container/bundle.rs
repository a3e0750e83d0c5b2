//! OCI bundles: the spec for a Talos version, a root file system, and crun.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use vmx::{Sandbox, Vmx, VmxBuilder};

use crate::support::{Folder, Run, SOON, copy_binary};

/// Where machined's socket is, on the node and in the container.
pub(super) const SOCKET: &str = "/system/run/machined/machine.sock";

const RUNTIME: &str = "crun";

/// Whose the socket is (constants.ApidUserID): root connects by virtue of CAP_DAC_OVERRIDE alone.
const APID_USER: u32 = 50;

/// The spec of a Talos version.
#[derive(Debug)]
pub(super) struct Spec {
    /// Such as `v1.14`.
    pub(super) talos: String,
    config: Value,
}

/// The specs that were made of our service file, oldest Talos first.
pub(super) fn specs() -> Vec<Spec> {
    named("")
}

/// Those of the service file that runs qemu-ga.
pub(super) fn specs_of_qemu_ga() -> Vec<Spec> {
    named("qemu-ga-")
}

/// Files are named by service and Talos: `v1.14.json` is ours.
fn named(service: &str) -> Vec<Spec> {
    let folder = std::env::var_os("CONTAINER_SPECS")
        .expect("CONTAINER_SPECS does not name the folder with the specs; run `make container`");
    let mut specs: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let talos = name.strip_prefix(service)?;
            talos.starts_with('v').then(|| Spec {
                talos: talos.to_owned(),
                config: serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap(),
            })
        })
        .collect();
    assert!(specs.len() >= 2, "{} specs in {folder:?}", specs.len());
    specs.sort_by(|one, other| one.talos.cmp(&other.talos));
    specs
}

/// A container that has not been started.
#[derive(Debug)]
pub(super) struct Bundle {
    folder: Folder,
    config: Value,
}

impl Bundle {
    /// A container of this spec, with machined's socket at `socket`. As on a node, that belongs to apid's user, and
    /// where it is missing a folder is made for the mount.
    pub(super) fn new(spec: &Spec, socket: &Path) -> Self {
        if !socket.exists() {
            std::fs::create_dir_all(socket).unwrap();
        } else if !socket.is_dir() {
            chown(socket, Some(APID_USER), Some(APID_USER)).unwrap();
            std::fs::set_permissions(socket, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let folder = Folder::new();
        let root = folder.path("rootfs");
        std::fs::create_dir(&root).unwrap();
        let mut config = spec.config.clone();
        let program = config["process"]["args"][0].as_str().unwrap();
        copy_binary(&root.join(program));
        config["root"]["path"] = json!(root);
        let mounts = config["mounts"].as_array_mut().unwrap();
        let mount = mounts
            .iter_mut()
            .find(|mount| mount["destination"] == SOCKET)
            .expect("the service file mounts machined's socket");
        mount["source"] = json!(socket);
        lend_nothing(mounts, &folder);
        what_this_machine_cannot(&mut config);
        Self { folder, config }
    }

    /// Another subcommand in the place of `vmtoolsd`, with the service's flags.
    pub(super) fn subcommand(mut self, words: &[&str]) -> Self {
        let args = self.config["process"]["args"].as_array_mut().unwrap();
        assert_eq!(args[1], "vmtoolsd");
        args.splice(1..2, words.iter().map(|word| json!(word)));
        self
    }

    /// Variables, as an ExtensionServiceConfig sets them.
    pub(super) fn env(mut self, variables: &[&str]) -> Self {
        self.config["process"]["env"] = json!(variables);
        self
    }

    /// The container under the simulated VMX.
    pub(super) fn under_vmx(&self) -> VmxBuilder {
        let sandbox = Sandbox {
            binds: unified_cgroups().into_iter().collect(),
            ..Sandbox::default()
        };
        Vmx::builder(RUNTIME)
            .args(self.args())
            .inherit_env()
            .sandbox(sandbox)
    }

    /// The container under the processor that is there.
    pub(super) fn alone(&self) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec"]);
        command.arg(match unified_cgroups() {
            Some((from, to)) => format!(
                r#"mount --bind {} {}; exec "$@""#,
                from.display(),
                to.display()
            ),
            None => r#"exec "$@""#.to_owned(),
        });
        command.args(["sh", RUNTIME]).args(self.args());
        command
    }

    fn args(&self) -> Vec<String> {
        std::fs::write(self.folder.path("config.json"), self.config.to_string()).unwrap();
        let path = |name: &str| self.folder.path(name).display().to_string();
        let (state, bundle, pid) = (path("state"), path(""), path("pid"));
        let words = [
            "--root",
            &state,
            "--cgroup-manager=disabled",
            "run",
            "--bundle",
            &bundle,
            "--pid-file",
            &pid,
            "ext-talos-vmtoolsd",
        ];
        words.map(str::to_owned).to_vec()
    }

    /// What the container may not see of /proc and /sys.
    pub(super) fn masked_paths(&self) -> Vec<String> {
        let paths = &self.config["linux"]["maskedPaths"];
        serde_json::from_value(paths.clone()).unwrap()
    }

    /// The process id of the daemon, as seen from here. crun may tell it a moment after the daemon's first words.
    pub(super) fn pid(&self) -> i32 {
        let asked = Instant::now();
        loop {
            let text = std::fs::read_to_string(self.folder.path("pid")).unwrap_or_default();
            if let Ok(pid) = text.trim().parse() {
                return pid;
            }
            assert!(asked.elapsed() < SOON, "crun does not tell the process id");
            std::thread::yield_now();
        }
    }

    /// A file of the daemon's folder in /proc.
    pub(super) fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid()))
    }

    /// Stops the service as machined does: SIGTERM to the process, and SIGKILL if it is there ten seconds later,
    /// which must not come to pass.
    pub(super) fn stop(&self, run: &Run) -> Duration {
        let asked = Instant::now();
        kill(Pid::from_raw(self.pid()), Signal::SIGTERM).unwrap();
        let status = run
            .wait_exit(SOON)
            .unwrap_or_else(|error| panic!("{error}"));
        let took = asked.elapsed();
        assert!(status.success(), "ended with {status}");
        assert!(took < Duration::from_secs(10), "{took:?}");
        took
    }
}

/// The service file that runs qemu-ga mounts the node's `/dev`, `/run` and init. Here they are folders and a file of
/// the test's own, with the one device that crun needs: it must not change this machine's.
fn lend_nothing(mounts: &mut [Value], folder: &Folder) {
    for mount in mounts {
        let destination = mount["destination"].as_str().unwrap();
        let place = folder.path(&destination.replace('/', "-"));
        match destination {
            "/dev" if mount["type"] == "bind" => {
                std::fs::create_dir(&place).unwrap();
                let copied = Command::new("cp")
                    .args(["--archive", "/dev/null"])
                    .arg(&place)
                    .status();
                assert!(copied.unwrap().success());
            }
            "/var/run" => std::fs::create_dir(&place).unwrap(),
            "/sbin/shutdown" => copy_binary(&place),
            _ => continue,
        }
        mount["source"] = json!(place);
    }
}

/// Takes out what a machine for tests may not have. None of it is seen by the daemon.
fn what_this_machine_cannot(config: &mut Value) {
    // Debian's crun refuses numbers of specs that came after it.
    config["ociVersion"] = json!("1.0.2");
    // The memory killer's score goes down with CAP_SYS_RESOURCE alone, which a machine in a container may lack.
    let granted = config["process"]["capabilities"]["bounding"]
        .as_array()
        .unwrap();
    if !granted.contains(&json!("CAP_SYS_RESOURCE")) {
        config["process"]
            .as_object_mut()
            .unwrap()
            .remove("oomScoreAdj");
    }
    // Control groups are the machine's own affair: `--cgroup-manager=disabled`.
    config["linux"]
        .as_object_mut()
        .unwrap()
        .remove("cgroupsPath");
    config["linux"].as_object_mut().unwrap().remove("resources");
}

/// crun stops at the sight of both kinds of control groups; it is shown the newer one.
fn unified_cgroups() -> Option<(PathBuf, PathBuf)> {
    let unified = PathBuf::from("/sys/fs/cgroup/unified");
    unified.is_dir().then(|| (unified, "/sys/fs/cgroup".into()))
}
