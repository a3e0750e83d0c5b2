//! A program at a serial port, for the simulator's own tests: it waits edge-triggered, sends back what it reads,
//! and prints each thing that happens. A second argument has it take the port again once it was unplugged.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::process::ExitCode;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
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

fn serve(epoll: &Epoll, path: &str) -> io::Result<()> {
    let node = std::fs::metadata(path)?.file_type();
    println!("device {}", node.is_char_device());
    let mut options = File::options();
    options.read(true).write(true);
    let port = options.custom_flags(libc::O_NONBLOCK).open(path)?;
    println!("device {}", port.metadata()?.file_type().is_char_device());
    println!("second {}", outcome(&options.open(path).map(|_| 0)));
    let interest = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP;
    let event = EpollEvent::new(interest | EpollFlags::EPOLLET, 42);
    epoll.add(&port, event)?;
    assert_eq!(event.events(), interest | EpollFlags::EPOLLET);
    let mut events = [EpollEvent::empty(); 4];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for event in &events[..count] {
            assert_eq!(event.data(), 42);
            // A look in between is no event, whatever it sees.
            let mut look = [PollFd::new(port.as_fd(), PollFlags::POLLIN)];
            let looked = poll(&mut look, PollTimeout::ZERO)?;
            assert_eq!(look[0].events(), PollFlags::POLLIN);
            let seen = look[0].revents().map_or(0, |seen| seen.bits());
            assert_eq!(looked, i32::from(seen != 0));
            println!("events {:#x}, poll {seen:#x}", event.events().bits());
            if drain(&port) {
                // With its descriptor a port leaves the epoll.
                return Ok(());
            }
        }
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_default();
    let again = arguments.next().is_some();
    let served = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
        .map_err(io::Error::from)
        .and_then(|epoll| {
            serve(&epoll, &path)?;
            println!("unplugged");
            if again {
                // The port is gone a moment before its node, so the node alone says nothing.
                while let Err(error) = serve(&epoll, &path) {
                    if error.kind() != io::ErrorKind::NotFound {
                        return Err(error);
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            Ok(())
        });
    if let Err(error) = served {
        println!("ended {}", outcome(&Err(error)));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
