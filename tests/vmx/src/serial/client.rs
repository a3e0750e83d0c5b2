//! The host's end of the port: a client of the hypervisor's socket.

use std::time::Duration;

use super::SerialPort;

/// A client; it leaves when it is dropped.
#[derive(Debug)]
pub struct Client {
    port: SerialPort,
}

impl Client {
    pub(super) fn new(port: SerialPort) -> Self {
        Self { port }
    }

    /// Sends bytes, in one piece.
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        self.port.host(|line| line.send(bytes.as_ref()));
    }

    /// From now on it reads nothing, or again.
    pub fn read_nothing(&self, nothing: bool) {
        self.port.host(|line| line.set_unread(nothing));
    }

    /// What has come so far, which is thereby taken.
    pub fn take(&self) -> Vec<u8> {
        self.port.host(|line| std::mem::take(line.received()))
    }

    /// Waits for the next line and takes it, without its line end.
    ///
    /// # Errors
    /// When none comes within the time.
    pub fn line(&self, within: Duration) -> Result<Vec<u8>, String> {
        self.port.wait("a line from the guest", within, |state| {
            let received = state.line.received();
            let end = received.iter().position(|&byte| byte == b'\n')?;
            let mut line: Vec<u8> = received.drain(..=end).collect();
            line.pop();
            Some(line)
        })
    }

    /// Waits for so many bytes and takes them.
    ///
    /// # Errors
    /// When they do not come within the time.
    pub fn bytes(&self, count: usize, within: Duration) -> Result<Vec<u8>, String> {
        let what = format!("{count} bytes from the guest");
        self.port.wait(&what, within, |state| {
            let received = state.line.received();
            (received.len() >= count).then(|| received.drain(..count).collect())
        })
    }

    /// Leaves.
    pub fn leave(self) {}
}

impl Drop for Client {
    fn drop(&mut self) {
        self.port.leave();
    }
}
