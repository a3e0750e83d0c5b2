//! Finds open-vm-tools' programs and runs vmtoolsd where it can do no harm.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use vmx::{Sandbox, Vmx, VmxBuilder};

/// Deadline for what takes a second or two on an idle machine.
#[allow(dead_code)]
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Where a program of open-vm-tools is; `None` (said loudly) when it is not installed. In CI that is a
/// failure.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/bin").join(program);
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{program} is not installed, and this is CI: install open-vm-tools"
    );
    eprintln!("\n*** SKIP: {program} is not installed (package open-vm-tools) ***\n");
    None
}

const TOOLS_CONF: &str = "\
[logging]
log=true
vmtoolsd.level=warning
vmtoolsd.handler=std
vmsvc.level=warning
vmsvc.handler=std
[vmbackup]
enableSyncDriver=false
[guestinfo]
poll-interval=1
stats-interval=2
";

/// Says what it was called as, and does nothing.
const STUB: &str = "#!/bin/sh\necho \"stub: $0 $*\"\n";

/// vmtoolsd's main service, to be spawned. In its namespaces everything that could stop the machine is a
/// stub.
#[allow(dead_code)]
pub(crate) fn vmtoolsd() -> Option<VmxBuilder> {
    vmtoolsd_in(Sandbox::default())
}

/// As [`vmtoolsd`], kept apart from this machine in these ways too.
#[allow(dead_code)]
pub(crate) fn vmtoolsd_in(sandbox: Sandbox) -> Option<VmxBuilder> {
    static FILES: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    let program = installed("vmtoolsd")?;
    let (conf, stub) = FILES.get_or_init(|| {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("vmtoolsd-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (conf, stub) = (folder.join("tools.conf"), folder.join("stub"));
        std::fs::write(&conf, TOOLS_CONF).unwrap();
        std::fs::write(&stub, STUB).unwrap();
        std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
        (conf, stub)
    });
    let mut targets: Vec<PathBuf> = [
        "shutdown",
        "reboot",
        "poweroff",
        "halt",
        "telinit",
        "init",
        "systemctl",
    ]
    .iter()
    .flat_map(|name| {
        ["/sbin", "/usr/sbin", "/bin", "/usr/bin"].map(|dir| Path::new(dir).join(name))
    })
    .filter_map(|path| path.canonicalize().ok())
    .collect();
    targets.sort();
    targets.dedup();
    let stubs = targets.into_iter().map(|target| (stub.clone(), target));
    let sandbox = Sandbox {
        pid_namespace: true,
        binds: stubs.chain(sandbox.binds).collect(),
        ..sandbox
    };
    let args = [
        "-n".into(),
        "vmsvc".into(),
        "-c".into(),
        conf.clone().into_os_string(),
    ];
    Some(
        Vmx::builder(program)
            .args(args)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .sandbox(sandbox),
    )
}
