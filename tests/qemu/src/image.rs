//! The guest's kernel, initramfs and disk.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The guest's modules, below kernel/ of the package, in the order in which they are loaded.
const MODULES: [&str; 12] = [
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci",
    "drivers/char/virtio_console",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/block/virtio_blk",
    // ext4 is in the kernel.
    "lib/libcrc32c",
    "fs/xfs/xfs",
];

/// What of the machine the guest has beside the modules; with crun and qemu-ga as they are needed.
const BUSYBOX: &str = "/bin/busybox";

/// Which agent serves the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// Ours, in the container that Talos makes.
    Vmtoolsd,
    /// Debian's qemu-ga, on the guest's own root file system, as on a common Linux.
    QemuGa,
}

impl Agent {
    /// As the guest's init knows it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Vmtoolsd => "vmtoolsd",
            Self::QemuGa => "qemu-ga",
        }
    }
}

/// Whether guests can run here: QEMU and the kernel's package are there (`.ci/provision`).
pub fn installed() -> bool {
    let programs = [
        "qemu-system-x86_64",
        "busybox",
        "crun",
        "qemu-ga",
        "mke2fs",
        "dpkg-deb",
    ];
    are_here(&programs, kernel_package().err())
}

/// Whether libvirt is here too.
pub fn libvirt_installed() -> bool {
    are_here(&["libvirtd", "virsh"], None)
}

/// Whether the file systems of guests that freeze can be made here.
pub fn file_systems_installed() -> bool {
    are_here(&["mkfs.xfs", "dumpe2fs"], None)
}

/// If something is missing, says so loudly; in CI that is a failure.
fn are_here(programs: &[&str], besides: Option<String>) -> bool {
    let missing = programs.iter().find(|program| which(program).is_none());
    let Some(missing) = missing.map(|program| (*program).to_owned()).or(besides) else {
        return true;
    };
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{missing} is missing, and this is CI"
    );
    eprintln!("\n*** SKIP: {missing} is missing; `make qemu` installs it where it can ***\n");
    false
}

/// The place of a program.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.exists())
}

/// The kernel's .deb, in the folder GUEST_KERNEL.
fn kernel_package() -> Result<PathBuf, String> {
    let folder = std::env::var_os("GUEST_KERNEL").ok_or("GUEST_KERNEL (run `make qemu`)")?;
    fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or(format!("a kernel in {}", folder.display()))
}

/// What a guest boots from.
#[derive(Debug)]
pub struct Image {
    /// The kernel.
    pub kernel: PathBuf,
    /// The initramfs.
    pub initramfs: PathBuf,
    /// A raw disk with an ext4.
    pub disk: PathBuf,
    /// A raw disk with an XFS, where file systems are to be frozen.
    pub volume: Option<PathBuf>,
}

/// No XFS is smaller.
const SMALLEST_XFS: u64 = 300 << 20;

impl Image {
    /// Makes one in this folder. `binary` is our agent, `relay` the program of this package. With `quiesce`, options of our
    /// agent, there is a second disk.
    pub fn make(
        folder: &Path,
        binary: &Path,
        relay: &Path,
        quiesce: Option<&[&str]>,
    ) -> io::Result<Self> {
        let package = folder.join("package");
        run(Command::new("dpkg-deb")
            .arg("-x")
            .arg(kernel_package().map_err(io::Error::other)?)
            .arg(&package))?;
        let kernel = the_only(&package.join("boot"), "vmlinuz")?;
        let modules = the_only(&package.join("lib/modules"), "")?.join("kernel");

        let root = Root(folder.join("root"));
        for place in [
            "proc",
            "sys",
            "dev",
            "run",
            "etc",
            "var",
            "tmp",
            "sbin",
            "system/run/machined",
            "container/rootfs",
        ] {
            fs::create_dir_all(root.path(place))?;
        }
        fs::write(root.path("etc/hosts"), "127.0.0.1 localhost\n")?;
        fs::write(root.path("etc/resolv.conf"), "")?;
        let mut order = String::new();
        for module in MODULES {
            let name = module.rsplit('/').next().unwrap_or(module);
            root.copy(
                &modules.join(format!("{module}.ko")),
                &format!("lib/modules/{name}.ko"),
            )?;
            order.push_str(name);
            order.push('\n');
        }
        fs::write(root.path("lib/modules/order"), order)?;
        root.program(Path::new(BUSYBOX), "", "bin/busybox")?;
        root.program(relay, "", "bin/relay")?;
        for name in ["crun", "qemu-ga"] {
            let path = which(name).ok_or_else(|| io::Error::other(format!("{name} is missing")))?;
            root.program(&path, "", &format!("bin/{name}"))?;
        }
        root.script("init", include_str!("../guest/init"))?;
        root.script("sbin/shutdown", include_str!("../guest/shutdown"))?;
        root.script("bin/writer", include_str!("../guest/writer"))?;
        root.program(binary, "container/rootfs/", "talos-vmtoolsd")?;
        fs::write(
            root.path("container/config.json"),
            container(quiesce.unwrap_or_default())?,
        )?;

        let initramfs = folder.join("initramfs");
        run(Command::new("sh")
            .args(["-c", &format!("find . | {BUSYBOX} cpio -o -H newc")])
            .current_dir(&root.0)
            .stderr(Stdio::null())
            .stdout(fs::File::create(&initramfs)?))?;
        let disk = folder.join("disk");
        run(Command::new("mke2fs")
            .args(["-q", "-t", "ext4"])
            .arg(&disk)
            .arg("16M")
            .stdout(Stdio::null()))?;
        let volume = quiesce.map(|_| folder.join("volume"));
        if let Some(volume) = &volume {
            fs::File::create(volume)?.set_len(SMALLEST_XFS)?;
            run(Command::new("mkfs.xfs").arg("-q").arg(volume))?;
        }
        fs::remove_dir_all(&root.0)?;
        Ok(Self {
            kernel,
            initramfs,
            disk,
            volume,
        })
    }
}

/// The container's specification: the one that Talos' own code makes (`make qemu`, with the seccomp filter), or
/// else one with the same mounts and namespaces. The agent has these options beside those of Talos' service.
fn container(options: &[&str]) -> io::Result<String> {
    let text = match std::env::var_os("CONTAINER_SPECS") {
        Some(specs) => fs::read_to_string(Path::new(&specs).join("v1.14.json"))?,
        None => include_str!("../guest/config.json").to_owned(),
    };
    let mut config: serde_json::Value = serde_json::from_str(&text)?;
    if let Some(words) = config["process"]["args"].as_array_mut() {
        words.extend(options.iter().map(|&option| option.into()));
    }
    // Debian's crun refuses numbers of specs that came after it, and control groups are left alone.
    config["ociVersion"] = "1.0.2".into();
    config["root"]["path"] = "rootfs".into();
    if let Some(linux) = config["linux"].as_object_mut() {
        linux.remove("cgroupsPath");
        linux.remove("resources");
    }
    Ok(config.to_string())
}

/// The guest's root file system while it is put together.
struct Root(PathBuf);

impl Root {
    fn path(&self, inside: &str) -> PathBuf {
        self.0.join(inside)
    }

    fn copy(&self, from: &Path, inside: &str) -> io::Result<()> {
        let to = self.path(inside);
        fs::create_dir_all(to.parent().unwrap_or(&self.0))?;
        fs::copy(from, to)?;
        Ok(())
    }

    fn script(&self, inside: &str, text: &str) -> io::Result<()> {
        fs::write(self.path(inside), text)?;
        fs::set_permissions(self.path(inside), PermissionsExt::from_mode(0o755))
    }

    /// A program with the libraries that it is linked with, into this root in the root.
    fn program(&self, from: &Path, root: &str, inside: &str) -> io::Result<()> {
        self.copy(from, &format!("{root}{inside}"))?;
        let output = Command::new("ldd").arg(from).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for path in text.split_whitespace().filter(|word| word.starts_with('/')) {
            self.copy(
                Path::new(path),
                &format!("{root}{}", path.trim_start_matches('/')),
            )?;
        }
        Ok(())
    }
}

/// The entry of a folder whose name starts so.
fn the_only(folder: &Path, start: &str) -> io::Result<PathBuf> {
    fs::read_dir(folder)?
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path())
        .ok_or_else(|| io::Error::other(format!("no {start}… in {}", folder.display())))
}

fn run(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{command:?}: {status}")))
    }
}
