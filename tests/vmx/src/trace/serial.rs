//! Stands in for a virtio-serial port: the program's descriptor is the port's bell, under a number of ours, so
//! that the filter stops at calls on it and at no others.
//!
//! `openat` of the port's path becomes a copy of the bell; `read` and `write` are answered here; a wait sleeps in
//! the kernel until the bell rings, and what it then reports is the state of the port.

use libc::{c_long, pid_t, user_regs_struct};

use super::Tracer;
use super::sys::{self, Resume};

/// Where the program inherits the bell.
pub(crate) const BELL: i32 = 699;
/// The port's descriptor, once it is open: the first free number from here on.
pub(crate) const PORT: i32 = 700;
/// `struct epoll_event`, packed: events, then data.
const EPOLL_EVENT: usize = 12;
/// `struct pollfd`.
const POLL_FD: usize = 8;
/// Of the kernel's `epoll_event`: how to report, in place of what.
const HOW: u32 = (libc::EPOLLET | libc::EPOLLONESHOT) as u32;
/// Longest path that is looked at.
const PATH_MAX: usize = 4096;
/// Major number of the port's device; no driver has it.
const MAJOR: u32 = 511;

/// How the program waits for the port with epoll.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    epoll: i32,
    data: u64,
}

/// What is left to do when a call is done.
#[derive(Debug)]
pub(super) enum Pending {
    /// An open that became a copy of the bell: restore the registers.
    Opened(Box<user_regs_struct>),
    /// A registration for the bell: restore the program's own, and its registers.
    Registered {
        at: u64,
        original: Vec<u8>,
        rsi: u64,
    },
    /// `epoll_wait`: at most so many events there.
    EpollWaited { epoll: i32, at: u64 },
    /// `poll` of so many descriptors there.
    Polled { at: u64, count: usize },
    /// A look at the node, in one of the two forms.
    Looked { at: u64, form: Stat },
}

/// Which structure describes a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stat {
    Old,
    Statx,
}

fn fail(errno: i32) -> i64 {
    -i64::from(errno)
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

impl Tracer {
    /// A call that may concern the port. `None` when it does not.
    pub(super) fn serial_call(
        &mut self,
        pid: pid_t,
        number: c_long,
        user: user_regs_struct,
    ) -> Option<Resume> {
        let port = self.serial.clone()?;
        let result = match number {
            libc::SYS_open => return self.serial_open(pid, user.rdi, user.rsi, user),
            libc::SYS_openat => return self.serial_open(pid, user.rsi, user.rdx, user),
            libc::SYS_stat | libc::SYS_lstat if self.is_port(pid, user.rdi) => {
                return Some(self.look(pid, user.rsi, Stat::Old));
            }
            libc::SYS_newfstatat if user.rdi as i32 == PORT || self.is_port(pid, user.rsi) => {
                return Some(self.look(pid, user.rdx, Stat::Old));
            }
            libc::SYS_statx if user.rdi as i32 == PORT || self.is_port(pid, user.rsi) => {
                return Some(self.look(pid, user.r8, Stat::Statx));
            }
            libc::SYS_fstat if user.rdi as i32 == PORT => {
                return Some(self.look(pid, user.rsi, Stat::Old));
            }
            libc::SYS_read if user.rdi as i32 == PORT => {
                let read = port.read(user.rdx as usize);
                read.and_then(|bytes| {
                    self.put(pid, user.rsi, &bytes)?;
                    Ok(bytes.len())
                })
            }
            libc::SYS_write if user.rdi as i32 == PORT => {
                let bytes = self.take(pid, user.rsi, user.rdx as usize);
                bytes.and_then(|bytes| port.write(&bytes))
            }
            libc::SYS_close if user.rdi as i32 == PORT => {
                port.close();
                // The bell outlives the descriptor, and so does its place in the epoll.
                if let Some(watch) = self.watch.take() {
                    self.forgotten.push(watch.epoll);
                }
                return None;
            }
            libc::SYS_epoll_ctl if user.rdx as i32 == PORT => {
                return self.epoll_registers(pid, &user);
            }
            libc::SYS_epoll_wait | libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => {
                let epoll = user.rdi as i32;
                self.watch.filter(|watch| watch.epoll == epoll)?;
                let pending = Pending::EpollWaited {
                    epoll,
                    at: user.rsi,
                };
                return Some(self.follow(pid, super::syscalls::Pending::Serial(pending)));
            }
            libc::SYS_poll | libc::SYS_ppoll => return self.poll_entered(pid, &user),
            // Nothing of the kind is simulated; the test that needs it shows that.
            libc::SYS_readv | libc::SYS_writev | libc::SYS_pread64 | libc::SYS_pwrite64
                if user.rdi as i32 == PORT =>
            {
                Err(libc::ENOSYS)
            }
            _ => return None,
        };
        Some(Self::skip(
            pid,
            user,
            result.map_or_else(fail, |len| len as i64),
        ))
    }

    fn serial_open(
        &mut self,
        pid: pid_t,
        path: u64,
        flags: u64,
        mut user: user_regs_struct,
    ) -> Option<Resume> {
        // A handle for a rule of a sandbox, or the folder, is none for reading.
        if flags as i32 & (libc::O_PATH | libc::O_DIRECTORY) != 0 || !self.is_port(pid, path) {
            return None;
        }
        let port = self.serial.clone()?;
        if let Err(errno) = port.open() {
            return Some(Self::skip(pid, user, fail(errno)));
        }
        self.serial_process = Some(self.process_of(pid));
        let original = Box::new(user);
        user.orig_rax = libc::SYS_fcntl as u64;
        user.rdi = BELL as u64;
        user.rsi = libc::F_DUPFD_CLOEXEC as u64;
        user.rdx = PORT as u64;
        let _gone = sys::set_registers(pid, user);
        Some(self.follow(
            pid,
            super::syscalls::Pending::Serial(Pending::Opened(original)),
        ))
    }

    /// Whether the path there is the port's.
    fn is_port(&mut self, pid: pid_t, address: u64) -> bool {
        let Some(port) = self.serial.clone() else {
            return false;
        };
        let wanted = port.path().as_os_str().as_encoded_bytes();
        let len = wanted.len() + 1;
        // A shorter path may end at the end of a mapping: then it is not the port's.
        len <= PATH_MAX
            && self
                .take(pid, address, len)
                .is_ok_and(|bytes| bytes.strip_suffix(&[0]) == Some(wanted))
    }

    fn look(&mut self, pid: pid_t, at: u64, form: Stat) -> Resume {
        let pending = Pending::Looked { at, form };
        self.follow(pid, super::syscalls::Pending::Serial(pending))
    }

    fn epoll_registers(&mut self, pid: pid_t, user: &user_regs_struct) -> Option<Resume> {
        let port = self.serial.clone()?;
        if user.rsi as i32 == libc::EPOLL_CTL_DEL {
            self.watch = None;
            port.watch(0);
            return None;
        }
        let (epoll, at) = (user.rdi as i32, user.r10);
        let original = self.take(pid, at, EPOLL_EVENT).ok()?;
        let events = word(&original);
        let data: [u8; 8] = original[4..].try_into().ok()?;
        self.watch = Some(Watch {
            epoll,
            data: u64::from_ne_bytes(data),
        });
        port.watch(events & !HOW);
        let bell = (libc::EPOLLIN as u32 | (events & HOW)).to_ne_bytes();
        self.put(pid, at, &bell).ok()?;
        if let Some(place) = self.forgotten.iter().position(|of| *of == epoll) {
            self.forgotten.remove(place);
            let mut user = *user;
            user.rsi = libc::EPOLL_CTL_MOD as u64;
            sys::set_registers(pid, user).ok()?;
        }
        let rsi = user.rsi;
        let pending = Pending::Registered { at, original, rsi };
        Some(self.follow(pid, super::syscalls::Pending::Serial(pending)))
    }

    fn poll_entered(&mut self, pid: pid_t, user: &user_regs_struct) -> Option<Resume> {
        let (at, count) = (user.rdi, user.rsi as usize);
        let bytes = self.take(pid, at, count.checked_mul(POLL_FD)?).ok()?;
        let entry = bytes
            .chunks_exact(POLL_FD)
            .position(|entry| word(entry) as i32 == PORT)?;
        let entry = &bytes[entry * POLL_FD..];
        let interest = u16::from_ne_bytes([entry[4], entry[5]]);
        self.serial.clone()?.asked(u32::from(interest));
        // The bell is only ever readable.
        let mut asked = bytes.clone();
        for entry in asked.chunks_exact_mut(POLL_FD) {
            if word(entry) as i32 == PORT {
                entry[4..6].copy_from_slice(&(libc::POLLIN as u16).to_ne_bytes());
            }
        }
        self.put(pid, at, &asked).ok()?;
        let pending = Pending::Polled { at, count };
        Some(self.follow(pid, super::syscalls::Pending::Serial(pending)))
    }

    pub(super) fn serial_call_left(
        &mut self,
        pid: pid_t,
        pending: Pending,
        mut user: user_regs_struct,
    ) {
        let result = user.rax as i64;
        match pending {
            Pending::Opened(original) => {
                user.rdi = original.rdi;
                user.rsi = original.rsi;
                user.rdx = original.rdx;
                if let (true, Some(port)) = (result != i64::from(PORT), &self.serial) {
                    let text = format!("the port's descriptor is {result}, not {PORT}");
                    port.close();
                    let now = std::time::Instant::now();
                    self.shared.lock().violation(now, text);
                }
            }
            Pending::Registered { at, original, rsi } => {
                // It was written to a moment ago.
                let _gone = self.put(pid, at, &original);
                user.rsi = rsi;
            }
            Pending::EpollWaited { epoll, at } => {
                let Some(left) = self.epoll_left(pid, epoll, at, result) else {
                    return;
                };
                user.rax = left as u64;
            }
            Pending::Polled { at, count } => {
                let Some(left) = self.poll_left(pid, at, count, result) else {
                    return;
                };
                user.rax = left as u64;
            }
            Pending::Looked { at, form } => {
                if result == 0 {
                    self.make_device(pid, at, form);
                }
                return;
            }
        }
        let _gone = sys::set_registers(pid, user);
    }

    /// Puts the port's events into the report, or takes the port out of it. How many are left.
    fn epoll_left(&mut self, pid: pid_t, epoll: i32, at: u64, count: i64) -> Option<i64> {
        let count = usize::try_from(count).ok().filter(|count| *count > 0)?;
        let watch = self.watch.filter(|watch| watch.epoll == epoll)?;
        let bytes = self.take(pid, at, count * EPOLL_EVENT).ok()?;
        let data = watch.data.to_ne_bytes();
        let mut report = Vec::new();
        for entry in bytes.chunks_exact(EPOLL_EVENT) {
            if entry[4..] != data {
                report.extend_from_slice(entry);
                continue;
            }
            let events = self.serial.as_ref()?.reported();
            if events != 0 {
                report.extend(events.to_ne_bytes());
                report.extend_from_slice(&entry[4..]);
            }
        }
        self.put(pid, at, &report).ok()?;
        Some((report.len() / EPOLL_EVENT) as i64)
    }

    /// As [`Self::epoll_left`]; the interest is put back as well.
    fn poll_left(&mut self, pid: pid_t, at: u64, count: usize, result: i64) -> Option<i64> {
        let (events, asked) = self.serial.as_ref()?.polled();
        let mut bytes = self.take(pid, at, count * POLL_FD).ok()?;
        let mut left = result;
        for entry in bytes.chunks_exact_mut(POLL_FD) {
            if word(entry) as i32 != PORT {
                continue;
            }
            entry[4..6].copy_from_slice(&(asked as u16).to_ne_bytes());
            if result < 0 {
                continue;
            }
            left += i64::from(events != 0) - i64::from(entry[6..8] != [0, 0]);
            entry[6..8].copy_from_slice(&(events as u16).to_ne_bytes());
        }
        self.put(pid, at, &bytes).ok()?;
        Some(left)
    }

    /// Turns the file that stands for the node into a character device of mode 0600.
    fn make_device(&mut self, pid: pid_t, at: u64, form: Stat) {
        const MODE: u32 = libc::S_IFCHR | 0o600;
        let parts: &[(u64, Vec<u8>)] = &match form {
            // st_mode, st_rdev, st_size
            Stat::Old => [
                (24, MODE.to_ne_bytes().to_vec()),
                (40, libc::makedev(MAJOR, 1).to_ne_bytes().to_vec()),
                (48, vec![0; 8]),
            ],
            // stx_mode, stx_rdev_major and stx_rdev_minor, stx_size
            Stat::Statx => [
                (28, (MODE as u16).to_ne_bytes().to_vec()),
                (128, [MAJOR.to_ne_bytes(), 1u32.to_ne_bytes()].concat()),
                (40, vec![0; 8]),
            ],
        };
        for (offset, bytes) in parts {
            // The kernel has just written there.
            let _gone = self.put(pid, at + offset, bytes);
        }
    }

    /// A process is gone, and its descriptor with it.
    pub(super) fn serial_ended(&mut self, process: pid_t) {
        if self.serial_process == Some(process)
            && let Some(port) = self.serial.as_ref().filter(|port| port.is_open())
        {
            port.close();
            self.watch = None;
            self.forgotten.clear();
        }
    }
}
