//! A program at a serial port, for the simulator's own tests: it waits as tokio does, edge-triggered, sends back
//! what it reads, and prints each thing that happens.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::process::ExitCode;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

fn outcome(result: &io::Result<usize>) -> String {
    match result {
        Ok(len) => len.to_string(),
        Err(error) => nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)).to_string(),
    }
}

/// Until nothing is left. True when the port is gone.
fn drain(mut port: &File) -> bool {
    let mut bytes = [0; 65536];
    loop {
        let read = port.read(&mut bytes);
        println!("read {}", outcome(&read));
        match read {
            Ok(0) => return false,
            Ok(len) => println!("write {}", outcome(&port.write(&bytes[..len]))),
            Err(error) => return error.raw_os_error() == Some(libc::ENODEV),
        }
    }
}

fn serve(path: &str) -> io::Result<()> {
    let node = std::fs::metadata(path)?.file_type();
    println!("device {}", node.is_char_device());
    let mut options = File::options();
    options.read(true).write(true);
    let port = options.custom_flags(libc::O_NONBLOCK).open(path)?;
    println!("device {}", port.metadata()?.file_type().is_char_device());
    println!("second {}", outcome(&options.open(path).map(|_| 0)));
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP;
    let event = EpollEvent::new(interest | EpollFlags::EPOLLET, 42);
    epoll.add(&port, event)?;
    assert_eq!(event.events(), interest | EpollFlags::EPOLLET);
    let mut events = [EpollEvent::empty(); 4];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            assert_eq!(event.data(), 42);
            println!("events {:#x}", event.events().bits());
            if drain(&port) {
                epoll.delete(&port)?;
                return Ok(());
            }
        }
    }
}

fn main() -> ExitCode {
    let path = std::env::args().nth(1).unwrap_or_default();
    if let Err(error) = serve(&path) {
        println!("ended {}", outcome(&Err(error)));
        return ExitCode::FAILURE;
    }
    println!("unplugged");
    ExitCode::SUCCESS
}
