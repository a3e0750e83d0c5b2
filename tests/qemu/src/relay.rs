//! Bytes between a unix socket and TCP: the Talos API is on the host, where the test sees every call, and machined's
//! socket is in the guest.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

/// Serves the unix socket on a free port of 127.0.0.1, as long as this process lives.
pub fn serve(socket: PathBuf) -> io::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for guest in listener.incoming().flatten() {
            // Without Talos the guest is hung up on.
            if let Ok(talos) = UnixStream::connect(&socket) {
                drop(join(talos, guest));
            }
        }
    });
    Ok(port)
}

/// Copies both ways, on threads of their own, until one side ends; then ends the other.
pub fn join(socket: UnixStream, tcp: TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let (socket2, tcp2) = (socket.try_clone()?, tcp.try_clone()?);
    thread::spawn(move || {
        copy(&mut &socket, &mut &tcp);
        drop(tcp.shutdown(Shutdown::Both));
        drop(socket.shutdown(Shutdown::Both));
    });
    thread::spawn(move || {
        copy(&mut &tcp2, &mut &socket2);
        drop(socket2.shutdown(Shutdown::Both));
        drop(tcp2.shutdown(Shutdown::Both));
    });
    Ok(())
}

fn copy(from: &mut impl Read, to: &mut impl Write) {
    // How it ended is of no interest: the other side is ended too.
    drop(io::copy(from, to));
}
