//! The agent under QEMU: a machine that is not VMware, with a virtio-serial port.

use std::ops::Deref;
use std::time::Duration;

use serde_json::{Value, json};
use vmx::{Client, Profile, SerialPort, VmxBuilder};

use crate::support::{Run, SOON, Talos, pass};

/// How long a host waits for what needs no Talos, at most; the rule is a second, the machine may be loaded.
pub(crate) const FAST: Duration = Duration::from_secs(3);

/// A run of the agent at its port. What a test may look at of the run is as under VMware.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) port: SerialPort,
    run: Run,
}

impl Deref for Guest {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.port);
        }
    }
}

/// The port of this node's machine, plugged in.
pub(crate) fn port_of(talos: &Talos) -> SerialPort {
    SerialPort::new(talos.folder.path("port")).unwrap()
}

/// The agent of this node at this port.
pub(crate) fn agent_at(talos: &Talos, port: &SerialPort) -> VmxBuilder {
    talos
        .agent()
        .profile(Profile::Kvm)
        .serial_port(port)
        .args(["--qga-port"])
        .args([port.path()])
}

impl Guest {
    /// The agent of this node, with the port open.
    pub(crate) fn start(talos: &Talos) -> Self {
        let guest = Self::begin(talos, &port_of(talos));
        guest.opens();
        guest
    }

    /// The agent of this node at this port, just started.
    pub(crate) fn begin(talos: &Talos, port: &SerialPort) -> Self {
        Self::of(agent_at(talos, port), port)
    }

    pub(crate) fn of(builder: VmxBuilder, port: &SerialPort) -> Self {
        Self {
            port: port.clone(),
            run: Run::start(builder),
        }
    }

    /// Waits for the port to be opened.
    pub(crate) fn opens(&self) {
        let opened = self.port.wait_open(SOON);
        opened.unwrap_or_else(|late| panic!("{late}"));
    }

    /// Asks as Proxmox does, by a client of its own; the news of it comes after its bytes.
    pub(crate) fn ask(&self, request: &str) -> Value {
        let client = self.port.connect_sending(format!("{request}\n"));
        reply(&client)
    }

    /// What a command without arguments returns.
    pub(crate) fn value(&self, command: &str) -> Value {
        let reply = self.ask(&json!({ "execute": command }).to_string());
        let value = reply.get("return").cloned();
        value.unwrap_or_else(|| panic!("{command}: {reply}"))
    }

    /// The error that a request gets: its class and its text.
    pub(crate) fn error(&self, request: &str) -> (String, String) {
        error_of(&self.ask(request))
    }

    /// A new client is served, and nothing of another's comes to it.
    pub(crate) fn serves(&self) {
        let client = self.port.connect_sending(sync(4711));
        assert_eq!(reply(&client), json!({ "return": 4711 }));
        assert!(client.take().is_empty());
    }

    /// Lets time pass in which something must not happen.
    pub(crate) fn pass(&self, time: Duration) {
        pass(&self.run, time);
    }
}

/// `guest-sync` with this id, and its line end.
pub(crate) fn sync(id: i64) -> String {
    let request = json!({ "execute": "guest-sync", "arguments": { "id": id } });
    format!("{request}\n")
}

/// The next line, as it is.
pub(crate) fn line(client: &Client) -> Vec<u8> {
    let line = client.line(SOON);
    line.unwrap_or_else(|late| panic!("{late}"))
}

/// The next reply.
pub(crate) fn reply(client: &Client) -> Value {
    parsed(&line(client))
}

/// A reply as an object; 0xFF may stand before it.
pub(crate) fn parsed(line: &[u8]) -> Value {
    let text = line.strip_prefix(&[0xff]).unwrap_or(line);
    let reply = serde_json::from_slice(text);
    reply.unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(line)))
}

/// Class and text of an error reply.
pub(crate) fn error_of(reply: &Value) -> (String, String) {
    let part = |name: &str| reply["error"][name].as_str().map(str::to_owned);
    let parts = part("class").zip(part("desc"));
    parts.unwrap_or_else(|| panic!("no error: {reply}"))
}
