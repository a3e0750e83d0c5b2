//! `relay SOCKET HOST:PORT`: machined's socket in the guest, served by the host.

use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::Path;

/// Whose the socket is (constants.ApidUserID).
const APID_USER: u32 = 50;

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [socket, host] = words.as_slice() else {
        return Err(std::io::Error::other("usage: relay SOCKET HOST:PORT"));
    };
    let fresh = Path::new(socket).with_extension("new");
    let listener = UnixListener::bind(&fresh)?;
    chown(&fresh, Some(APID_USER), Some(APID_USER))?;
    std::fs::set_permissions(&fresh, PermissionsExt::from_mode(0o755))?;
    // Whoever waits for it finds it complete.
    std::fs::rename(&fresh, socket)?;
    for client in listener.incoming() {
        if let Ok(host) = TcpStream::connect(host) {
            qemu::relay::join(client?, host)?;
        }
    }
    Ok(())
}
