//! A libvirtd of the test's own, which starts the guest and keeps the agent's socket.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::{Agent, BOOT, PORT, Parts};

/// In a mount namespace, so that this machine's own libvirt and its files are left alone. The user is one that
/// libvirt looks up though it is not to be used.
const START: &str = r#"
set -e
for place in run etc/libvirt var/lib var/log var/cache; do
    mkdir -p "$1/$place" "/$place"
    mount --bind "$1/$place" "/$place"
done
for file in passwd group; do
    cp "/etc/$file" "$1/$file"
    mount --bind "$1/$file" "/etc/$file"
done
echo 'libvirt-qemu:x:64055:64055::/:/bin/false' >>/etc/passwd
printf '%s\n' 'libvirt-qemu:x:64055:' 'kvm:x:64056:' >>/etc/group
cp "$1/qemu.conf" /etc/libvirt/
echo 'auth_unix_rw = "none"' >/etc/libvirt/libvirtd.conf
mkdir -p /var/lib/libvirt/qemu /var/log/libvirt/qemu
exec libvirtd
"#;

const QEMU_CONF: &str = r#"
user = "root"
group = "root"
security_driver = "none"
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
remember_owner = 0
"#;

/// The name of the domain.
const DOMAIN: &str = "talos";

/// libvirtd with one domain.
#[derive(Debug)]
pub struct Libvirt {
    /// The guest's parts.
    pub parts: Parts,
    daemon: Child,
}

impl Libvirt {
    /// Starts libvirtd, and the guest in it, and waits for the agent.
    ///
    /// # Panics
    ///
    /// When the agent does not come.
    pub fn start(parts: Parts, agent: Agent) -> io::Result<Self> {
        fs::write(parts.path("qemu.conf"), QEMU_CONF)?;
        let daemon = Command::new("unshare")
            .args(["--mount", "sh", "-c", START, "sh"])
            .arg(&parts.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(parts.path("libvirtd.log"))?)
            .spawn()?;
        let libvirt = Self { parts, daemon };
        libvirt.until("libvirtd", || libvirt.virsh(&["version"]).status.success());
        fs::write(libvirt.parts.path("domain.xml"), libvirt.domain(agent))?;
        libvirt.boot();
        Ok(libvirt)
    }

    /// Starts the domain and waits until libvirt holds the agent connected.
    ///
    /// # Panics
    ///
    /// When it does not come to that.
    pub fn boot(&self) {
        self.says(&[
            "create",
            &self.parts.path("domain.xml").display().to_string(),
        ]);
        self.until("the agent", || {
            self.says(&["dumpxml", DOMAIN])
                .contains("state='connected'")
        });
    }

    /// Ends the guest at once.
    pub fn destroy(&self) {
        self.says(&["destroy", DOMAIN]);
    }

    /// What virsh says of the domain, and how long it took: `asks("domhostname", &["--source", "agent"])`.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn asks(&self, command: &str, options: &[&str]) -> (String, Duration) {
        let started = Instant::now();
        let words: Vec<&str> = [command, DOMAIN].iter().chain(options).copied().collect();
        let text = self.says(&words);
        (text, started.elapsed())
    }

    /// What a program prints that is called with libvirtd's address, the domain's name and these words.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn shows_to(&self, program: &Path, words: &[&str]) -> String {
        let output = Command::new(program)
            .args([&self.address(), DOMAIN])
            .args(words)
            .output()
            .expect("the program runs");
        printed(&program.display().to_string(), &output)
    }

    /// What virsh complains of when a command about the domain fails.
    ///
    /// # Panics
    ///
    /// When it succeeds.
    pub fn refuses(&self, command: &str, options: &[&str]) -> String {
        let words: Vec<&str> = [command, DOMAIN].iter().chain(options).copied().collect();
        let output = self.virsh(&words);
        assert!(!output.status.success(), "virsh {words:?} succeeds");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Waits until the guest has ended.
    ///
    /// # Panics
    ///
    /// When it has not.
    pub fn ends(&self) {
        self.until("the end of the guest", || {
            !self.virsh(&["domstate", DOMAIN]).status.success()
        });
    }

    fn says(&self, words: &[&str]) -> String {
        printed(&format!("virsh {words:?}"), &self.virsh(words))
    }

    /// As clients of libvirt want it.
    fn address(&self) -> String {
        let socket = self.parts.path("run/libvirt/libvirt-sock");
        format!("qemu+unix:///system?socket={}", socket.display())
    }

    fn virsh(&self, words: &[&str]) -> Output {
        Command::new("virsh")
            .args(["--connect", &self.address()])
            .args(words)
            .output()
            .expect("virsh runs")
    }

    fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let until = Instant::now() + BOOT;
        while !is_so() {
            let log = || fs::read_to_string(self.parts.path("libvirtd.log")).unwrap_or_default();
            assert!(
                Instant::now() < until,
                "{what} did not come:\n{}\n{}",
                log(),
                self.parts.console()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn domain(&self, agent: Agent) -> String {
        let parts = &self.parts;
        let path = |name: &str| parts.path(name).display().to_string();
        let arguments: String = parts
            .devices()
            .iter()
            .map(|word| format!("<qemu:arg value='{word}'/>"))
            .collect();
        let volume = parts.image.volume.as_ref();
        let volume = volume.map_or_else(String::new, |path| {
            format!(
                "<disk type='file' device='disk'>
                   <driver name='qemu' type='raw'/><source file='{}'/><target dev='vdb' bus='virtio'/>
                   <serial>talos-volume</serial><address type='pci' slot='0x07'/>
                 </disk>",
                path.display()
            )
        });
        format!(
            "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
               <name>{DOMAIN}</name><memory unit='MiB'>256</memory><vcpu>1</vcpu>
               <os>
                 <type arch='x86_64' machine='pc'>hvm</type>
                 <kernel>{}</kernel><initrd>{}</initrd><cmdline>{}</cmdline>
               </os>
               <features><acpi/></features>
               <devices>
                 <controller type='usb' model='none'/><memballoon model='none'/>
                 <controller type='virtio-serial' index='0'><address type='pci' slot='0x06'/></controller>
                 <serial type='file'><source path='{}'/></serial>
                 <disk type='file' device='disk'>
                   <driver name='qemu' type='raw'/><source file='{}'/><target dev='vda' bus='virtio'/>
                   <serial>talos-disk</serial><address type='pci' slot='0x04'/>
                 </disk>
                 {volume}
                 <channel type='unix'>
                   <source mode='bind' path='{}'/><target type='virtio' name='{PORT}'/>
                 </channel>
               </devices>
               <qemu:commandline>{arguments}</qemu:commandline>
             </domain>",
            parts.image.kernel.display(),
            parts.image.initramfs.display(),
            parts.command_line(agent),
            path("console"),
            parts.image.disk.display(),
            path("agent.sock"),
        )
    }
}

/// What a program that has succeeded has printed.
fn printed(what: &str, output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let errors = text(&output.stderr);
    assert!(output.status.success(), "{what}: {errors}");
    text(&output.stdout)
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        drop(self.virsh(&["destroy", DOMAIN]));
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}
