//! QEMU's monitor (QMP): commands and events.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::SOON;

/// A connection to the monitor of one QEMU.
#[derive(Debug)]
pub struct Monitor {
    socket: Mutex<UnixStream>,
    heard: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl Monitor {
    /// Connects, and waits for QEMU to open the socket.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = connect(path, SOON)?;
        let heard: Arc<(Mutex<Vec<Value>>, Condvar)> = Arc::default();
        let (reader, writer) = (BufReader::new(socket.try_clone()?), Arc::clone(&heard));
        thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::Null);
                writer
                    .0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(value);
                writer.1.notify_all();
            }
        });
        let monitor = Self {
            socket: Mutex::new(socket),
            heard,
        };
        monitor.execute("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    /// Runs a command and gives what it returns.
    pub fn execute(&self, command: &str, arguments: Value) -> io::Result<Value> {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.count();
        let request = json!({"execute": command, "arguments": arguments});
        socket.write_all(format!("{request}\n").as_bytes())?;
        let reply = self.wait(before, SOON, |message| {
            (message.get("return").is_some() || message.get("error").is_some())
                .then(|| message.clone())
        });
        match reply {
            Some(reply) if reply.get("return").is_some() => Ok(reply["return"].clone()),
            Some(reply) => Err(io::Error::other(format!("{command}: {reply}"))),
            None => Err(io::Error::other(format!("{command}: no reply"))),
        }
    }

    /// How many messages have come so far: where [`Self::event`] starts.
    pub fn count(&self) -> usize {
        self.heard
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// The first event of this name, with data that fits, among the messages from number `since` on.
    pub fn event(
        &self,
        since: usize,
        name: &str,
        within: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Option<Value> {
        self.wait(since, within, |message| {
            (message["event"] == name && fits(&message["data"])).then(|| message["data"].clone())
        })
    }

    fn wait<T>(
        &self,
        since: usize,
        within: Duration,
        find: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + within;
        let mut heard = self.heard.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = heard.iter().skip(since).find_map(&find) {
                return Some(found);
            }
            let left = until.checked_duration_since(Instant::now())?;
            heard = self
                .heard
                .1
                .wait_timeout(heard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Connects to a socket that QEMU is about to open.
pub(crate) fn connect(path: &Path, within: Duration) -> io::Result<UnixStream> {
    let until = Instant::now() + within;
    loop {
        match UnixStream::connect(path) {
            Err(_) if Instant::now() < until => thread::sleep(Duration::from_millis(10)),
            result => return result,
        }
    }
}
