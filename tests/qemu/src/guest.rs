//! A running guest: QEMU, its monitor, the agent's socket, a shell in it, and its Talos.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use apid::{Apid, scene};
use serde_json::{Value, json};

use crate::image::{Agent, Image};
use crate::qmp::{Monitor, connect};
use crate::{BOOT, Client, PORT, SOON, relay};

/// The guest's parts that are no QEMU process: folder, image, Talos. libvirt starts a QEMU of its own.
#[derive(Debug)]
pub struct Parts {
    /// For sockets and files; goes away with the guest.
    pub folder: PathBuf,
    /// What is booted.
    pub image: Image,
    /// The guest's Talos. It does not know more of the guest than a real one.
    pub talos: Apid,
    talos_port: u16,
}

impl Parts {
    /// Makes them for our agent's `binary` and this package's `relay`.
    pub fn new(binary: &Path, relay: &Path) -> io::Result<Self> {
        Self::make(binary, relay, None)
    }

    /// The same with a second file system, an XFS for a user volume below /var, for agents that freeze. Ours has these
    /// options.
    pub fn quiesced(binary: &Path, relay: &Path, options: &[&str]) -> io::Result<Self> {
        let parts = Self::make(binary, relay, Some(options))?;
        let talos = &parts.talos;
        talos.set_disk("vdb", "/pci0000:00/0000:00:07.0/virtio2");
        talos.set_volume("u-data", "/dev/vdb", "/dev/vdb", "/var/mnt/data");
        Ok(parts)
    }

    fn make(binary: &Path, relay: &Path, quiesce: Option<&[&str]>) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("qemu-{}-{}", std::process::id(), number()));
        fs::create_dir_all(&folder)?;
        let image = Image::make(&folder, binary, relay, quiesce)?;
        let socket = folder.join("machine.sock");
        let talos = Apid::machined(&socket)?;
        scene::single_nic(&talos);
        talos.set_disk("vda", "/pci0000:00/0000:00:04.0/virtio1");
        talos.set_volume("EPHEMERAL", "/dev/vda", "/dev/vda", "/var");
        talos.set_space("/dev/vda", "/var", 15 << 20, 14 << 20);
        Ok(Self {
            folder,
            image,
            talos,
            talos_port: relay::serve(socket)?,
        })
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The kernel's command line: who serves the port, and where Talos is.
    pub fn command_line(&self, agent: Agent) -> String {
        format!(
            "console=ttyS0 quiet panic=-1 agent={} talos={}",
            agent.word(),
            self.talos_port
        )
    }

    /// QEMU's arguments for the network and the shell.
    pub fn devices(&self) -> Vec<String> {
        let control = self.path("control.sock");
        words(&[
            "-netdev user,id=net,net=10.5.0.0/24,host=10.5.0.1,dns=10.5.0.3".to_owned(),
            "-device virtio-net-pci,addr=3,netdev=net,mac=00:50:56:ab:cd:ef,romfile=".to_owned(),
            "-device virtio-serial-pci,addr=5,id=control".to_owned(),
            format!(
                "-chardev socket,id=control,server=on,wait=off,path={}",
                control.display()
            ),
            "-device virtserialport,bus=control.0,nr=1,chardev=control,name=control".to_owned(),
        ])
    }

    /// And for the second disk, if there is one.
    fn volume(&self) -> Vec<String> {
        let volume = self.image.volume.as_ref();
        volume.map_or_else(Vec::new, |path| {
            words(&[
                format!(
                    "-drive if=none,id=volume,format=raw,file={}",
                    path.display()
                ),
                "-device virtio-blk-pci,addr=7,drive=volume,serial=talos-volume".to_owned(),
            ])
        })
    }

    /// What the guest has printed: kernel, init, and the agent's log.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("console")).unwrap_or_default()).into_owned()
    }

    /// The shell in the guest, when it is up.
    pub fn shell(&self) -> io::Result<Shell> {
        connect(&self.path("control.sock"), SOON).map(|socket| Shell(Mutex::new(socket)))
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Runs commands in the guest.
#[derive(Debug)]
pub struct Shell(Mutex<UnixStream>);

impl Shell {
    /// What a command of busybox' sh prints.
    ///
    /// # Panics
    ///
    /// When it fails or does not end in time.
    pub fn run(&self, command: &str) -> String {
        let (code, output) = self
            .try_run(command, BOOT)
            .expect("the guest's shell answers");
        assert_eq!(code, "0", "{command}: {output}");
        output
    }

    fn try_run(&self, command: &str, within: Duration) -> io::Result<(String, String)> {
        let mut socket = self
            .0
            .lock()
            .map_err(|_| io::Error::other("broken before"))?;
        socket.set_read_timeout(Some(within))?;
        socket.write_all(format!("{command}\n").as_bytes())?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let len = socket.read(&mut buffer)?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.extend_from_slice(&buffer[..len]);
            let text = String::from_utf8_lossy(&bytes);
            if let Some((output, code)) = text
                .strip_suffix('\n')
                .and_then(|text| text.split_once('\u{1}'))
            {
                return Ok((code.to_owned(), output.to_owned()));
            }
        }
    }
}

/// A guest whose QEMU is ours.
#[derive(Debug)]
pub struct Guest {
    /// Folder, image, Talos.
    pub parts: Parts,
    /// Which agent is in it.
    pub agent: Agent,
    /// QEMU's monitor.
    pub monitor: Monitor,
    qemu: Child,
}

impl Guest {
    /// Starts QEMU; nothing is waited for.
    pub fn start(parts: Parts, agent: Agent) -> io::Result<Self> {
        let socket = parts.path("agent.sock");
        let monitor = parts.path("monitor.sock");
        let qemu = Command::new("qemu-system-x86_64")
            .args([
                "-nodefaults",
                "-no-user-config",
                "-machine",
                "pc,accel=tcg",
                "-m",
                "256",
                "-display",
                "none",
            ])
            .args([
                "-no-reboot",
                "-serial",
                &format!("file:{}", parts.path("console").display()),
            ])
            .arg("-kernel")
            .arg(&parts.image.kernel)
            .arg("-initrd")
            .arg(&parts.image.initramfs)
            .args(["-append", &parts.command_line(agent)])
            .args([
                "-qmp",
                &format!("unix:{},server=on,wait=off", monitor.display()),
            ])
            .args(parts.devices())
            .args([
                "-drive",
                &format!(
                    "if=none,id=disk,format=raw,file={}",
                    parts.image.disk.display()
                ),
            ])
            .args([
                "-device",
                "virtio-blk-pci,addr=4,drive=disk,serial=talos-disk",
            ])
            .args(parts.volume())
            .args(["-device", "virtio-serial-pci,addr=6,id=serial"])
            .args([
                "-chardev",
                &format!(
                    "socket,id=agent,server=on,wait=off,path={}",
                    socket.display()
                ),
            ])
            .args([
                "-device",
                &format!("virtserialport,bus=serial.0,nr=1,id=agent,chardev=agent,name={PORT}"),
            ])
            .stdin(Stdio::null())
            .spawn()?;
        let monitor = Monitor::connect(&monitor)?;
        Ok(Self {
            parts,
            agent,
            monitor,
            qemu,
        })
    }

    /// Waits until the agent opens its port.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn opens_since(&self, since: usize) {
        let opened = self.monitor.event(since, "VSERPORT_CHANGE", BOOT, |data| {
            data["id"] == "agent" && data["open"] == true
        });
        assert!(
            opened.is_some(),
            "{:?} did not open the port:\n{}",
            self.agent,
            self.parts.console()
        );
    }

    /// Waits until the agent closes its port.
    pub fn closes_since(&self, since: usize) -> bool {
        self.monitor
            .event(since, "VSERPORT_CHANGE", SOON, |data| {
                data["id"] == "agent" && data["open"] == false
            })
            .is_some()
    }

    /// A new client of the agent.
    ///
    /// # Panics
    ///
    /// When QEMU does not serve its socket.
    pub fn client(&self) -> Client {
        Client::connect(&self.parts.path("agent.sock")).expect("the socket of the port")
    }

    /// Waits for text on the console.
    pub fn prints(&self, text: &str, within: Duration) -> bool {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if self.parts.console().contains(text) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Takes the port out of the guest, and waits until it is gone.
    ///
    /// # Panics
    ///
    /// When it stays.
    pub fn unplug(&self) {
        let since = self.monitor.count();
        self.execute("device_del", json!({"id": "agent"}));
        let gone = self.monitor.event(since, "DEVICE_DELETED", SOON, |data| {
            data["device"] == "agent"
        });
        assert!(gone.is_some(), "the port stays");
    }

    /// Puts it back.
    pub fn plug(&self) {
        self.execute(
            "device_add",
            json!({"driver": "virtserialport", "bus": "serial.0", "nr": 1, "id": "agent", "chardev": "agent", "name": PORT}),
        );
    }

    /// Gives the guest one more port, with a socket of its own.
    ///
    /// # Panics
    ///
    /// When QEMU refuses it.
    pub fn add_port(&self, nr: u32, id: &str, name: &str, socket: &Path) {
        let address = json!({"type": "unix", "data": {"path": socket}});
        let backend =
            json!({"type": "socket", "data": {"addr": address, "server": true, "wait": false}});
        self.execute("chardev-add", json!({"id": id, "backend": backend}));
        self.execute(
            "device_add",
            json!({"driver": "virtserialport", "bus": "serial.0", "nr": nr, "id": id, "chardev": id, "name": name}),
        );
    }

    /// A command of the monitor.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn execute(&self, command: &str, arguments: Value) -> Value {
        self.monitor
            .execute(command, arguments)
            .unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let console = self.parts.console();
            let lines: Vec<&str> = console.lines().collect();
            eprintln!(
                "--- console\n{}",
                lines[lines.len().saturating_sub(60)..].join("\n")
            );
        }
        drop(self.qemu.kill());
        drop(self.qemu.wait());
    }
}

fn words(arguments: &[String]) -> Vec<String> {
    let words = arguments.iter().flat_map(|it| it.split_whitespace());
    words.map(str::to_owned).collect()
}

fn number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}
