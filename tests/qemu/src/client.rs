//! A client of the agent's port: what libvirt, Proxmox and people with socat do.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::SOON;

/// One connection.
#[derive(Debug)]
pub struct Client {
    socket: UnixStream,
    unread: Vec<u8>,
}

impl Client {
    /// Connects to the socket of the port; QEMU serves one client at a time.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixStream::connect(path)?;
        Ok(Self {
            socket,
            unread: Vec::new(),
        })
    }

    /// Sends bytes as they are, in one write.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// The next line without its end; [`None`] when none comes in time.
    pub fn line(&mut self, within: Duration) -> Option<Vec<u8>> {
        let until = Instant::now() + within;
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.unread.drain(..=end).collect();
                line.pop();
                return Some(line);
            }
            let left = until.checked_duration_since(Instant::now())?;
            self.socket
                .set_read_timeout(Some(left.max(Duration::from_millis(1))))
                .ok()?;
            let mut buffer = vec![0; 65536];
            match self.socket.read(&mut buffer) {
                Ok(0) => return None,
                Ok(len) => self.unread.extend_from_slice(buffer.get(..len)?),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(_) => {}
            }
        }
    }

    /// The next line as JSON.
    ///
    /// # Panics
    ///
    /// When none comes, or another thing.
    pub fn reply(&mut self) -> Value {
        let line = self.line(SOON).expect("a reply");
        serde_json::from_slice(&line)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&line)))
    }

    /// Sends a command with these arguments, and gives the whole reply.
    pub fn ask(&mut self, command: &str, arguments: Value) -> Value {
        let mut request = json!({"execute": command});
        if !arguments.is_null() {
            request["arguments"] = arguments;
        }
        self.send(format!("{request}\n").as_bytes())
            .expect("the port takes the request");
        self.reply()
    }

    /// What a command without arguments returns.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn returns(&mut self, command: &str) -> Value {
        let reply = self.ask(command, Value::Null);
        assert!(reply.get("return").is_some(), "{command}: {reply}");
        reply["return"].clone()
    }
}
