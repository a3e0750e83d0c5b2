//! Where the lines go: a file descriptor that others may share, written without ever blocking on its reader.
//!
//! | stderr is | a line is written | a reader that hangs |
//! |---|---|---|
//! | a pipe, a FIFO, a terminal | through a description of our own, opened again, non-blocking | costs lines |
//! | one of them that cannot be opened again | in pieces that poll says fit | costs lines |
//! | a socket | with MSG_DONTWAIT | costs lines |
//! | a file | as it is: the kernel has no way that does not wait | stops us |
//!
//! O_NONBLOCK belongs to the open file description, which is shared with whoever else writes there; so it is not
//! set on what we were given. A line is there as a whole or not at all: what a pipe has taken in part is finished
//! before anything else is written. Lines that do not fit are counted, and the count goes before the next one that
//! does.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::fs::OpenOptionsExt as _;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{SFlag, fstat};

/// What a pipe that is writable takes at once [limits.h]: of more, poll promises nothing.
const PIPE_BUF: usize = 4096;

/// A destination for lines that is never waited for.
#[derive(Debug)]
pub(super) struct Sink<F> {
    given: F,
    way: Way,
    /// The end of what was written in part.
    rest: Vec<u8>,
    /// Lines that did not fit since the last one that did.
    dropped: u64,
}

/// How it is written to.
#[derive(Debug)]
enum Way {
    /// A non-blocking description of our own.
    Own(File),
    /// By asking poll before each piece.
    Polled,
    /// By calls that do not wait, although the socket does.
    Socket,
    /// As it is.
    Waiting,
}

impl<F: AsFd> Sink<F> {
    /// Looks at what was given. To be called before the sandbox takes the right to open files for writing.
    pub(super) fn new(given: F) -> Self {
        let kind = fstat(given.as_fd()).map(|stat| {
            let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
            (
                kind == SFlag::S_IFIFO || kind == SFlag::S_IFCHR,
                kind == SFlag::S_IFSOCK,
            )
        });
        let way = match kind {
            Ok((true, _)) => reopened(&given).map_or(Way::Polled, Way::Own),
            Ok((_, true)) => Way::Socket,
            _ => Way::Waiting,
        };
        Self {
            given,
            way,
            rest: Vec::new(),
            dropped: 0,
        }
    }

    /// Writes a line, or counts it if there is no room. `notice` is the line that says how many were dropped.
    pub(super) fn write(&mut self, line: &str, notice: impl FnOnce(u64) -> String) {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            let written = self.push(&rest);
            self.rest = rest.get(written..).unwrap_or_default().to_vec();
        }
        if !self.rest.is_empty() {
            self.dropped += 1;
            return;
        }
        let mut lines = match self.dropped {
            0 => String::new(),
            dropped => notice(dropped),
        };
        lines.push_str(line);
        match self.push(lines.as_bytes()) {
            0 => self.dropped += 1,
            written => {
                self.dropped = 0;
                self.rest = lines.as_bytes().get(written..).unwrap_or_default().to_vec();
            }
        }
    }

    /// Writes as much as fits without waiting, and returns how much that was.
    fn push(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while let Some(left) = bytes.get(written..).filter(|left| !left.is_empty()) {
            match self.once(left) {
                Ok(0) => break,
                Ok(length) => written += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // No room, no reader or no disk: whatever it is, there is nowhere to say it.
                Err(_) => break,
            }
        }
        written
    }

    fn once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let given = self.given.as_fd();
        match &mut self.way {
            Way::Own(own) => own.write(bytes),
            Way::Polled => {
                let mut asked = [PollFd::new(given, PollFlags::POLLOUT)];
                if poll(&mut asked, PollTimeout::ZERO)? == 0 {
                    return Err(Errno::EAGAIN.into());
                }
                let piece = bytes.get(..PIPE_BUF).unwrap_or(bytes);
                Ok(nix::unistd::write(given, piece)?)
            }
            Way::Socket => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                Ok(send(given.as_raw_fd(), bytes, flags)?)
            }
            Way::Waiting => Ok(nix::unistd::write(given, bytes)?),
        }
    }
}

/// The same pipe or terminal, with a description of our own. Fails without /proc, without the right to write to
/// the file, and without a reader.
fn reopened(given: &impl AsFd) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(format!("/proc/self/fd/{}", given.as_fd().as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, fcntl};
    use std::io::{PipeReader, Read as _};
    use std::os::unix::net::UnixStream;

    /// Bytes of a page, the least that a pipe holds.
    const ROOM: usize = 4096;

    /// A pipe of one page.
    fn pipe() -> (PipeReader, io::PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        let room = i32::try_from(ROOM).unwrap();
        fcntl(&writer, FcntlArg::F_SETPIPE_SZ(room)).unwrap();
        (reader, writer)
    }

    fn polled<F: AsFd>(given: F) -> Sink<F> {
        Sink {
            way: Way::Polled,
            ..Sink::new(given)
        }
    }

    fn notice(dropped: u64) -> String {
        format!("dropped={dropped}\n")
    }

    /// What the sink has written, and the reader's end.
    fn read(reader: &mut (impl io::Read + AsFd)) -> String {
        let mut text = String::new();
        let mut buffer = [0; 1 << 16];
        loop {
            let mut asked = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
            if poll(&mut asked, PollTimeout::ZERO).unwrap() == 0 {
                return text;
            }
            let length = reader.read(&mut buffer).unwrap();
            text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
        }
    }

    /// Fills it with lines until some are dropped, has it drained, and returns all that a reader sees.
    fn fill_and_drain<F: AsFd>(mut sink: Sink<F>, reader: &mut (impl io::Read + AsFd)) -> String {
        let line = format!("{}\n", "x".repeat(99));
        while sink.dropped < 3 {
            sink.write(&line, notice);
        }
        let mut text = read(reader);
        sink.write("last\n", notice);
        text.push_str(&read(reader));
        text
    }

    fn is_whole(text: &str) {
        let (lines, end) = text.split_at(text.len() - "dropped=3\nlast\n".len());
        assert_eq!(end, "dropped=3\nlast\n");
        assert!(lines.lines().all(|line| line.len() == 99), "{text}");
    }

    #[test]
    fn a_full_pipe_costs_lines_which_are_counted_and_no_wait() {
        let (mut reader, writer) = pipe();
        let sink = Sink::new(writer);
        assert!(matches!(sink.way, Way::Own(_)), "{sink:?}");
        is_whole(&fill_and_drain(sink, &mut reader));
    }

    #[test]
    fn a_full_pipe_that_cannot_be_opened_anew_costs_lines_as_well() {
        let (mut reader, writer) = pipe();
        is_whole(&fill_and_drain(polled(writer), &mut reader));
    }

    #[test]
    fn a_full_socket_costs_lines_as_well() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let sink = Sink::new(writer);
        assert!(matches!(sink.way, Way::Socket), "{sink:?}");
        is_whole(&fill_and_drain(sink, &mut reader));
    }

    #[test]
    fn a_pipe_that_we_share_stays_as_it_was_for_the_others() {
        let (_reader, writer) = pipe();
        let sink = Sink::new(writer.try_clone().unwrap());
        assert!(matches!(sink.way, Way::Own(_)));
        let flags = fcntl(&writer, FcntlArg::F_GETFL).unwrap();
        assert_eq!(flags & libc::O_NONBLOCK, 0);
    }

    #[test]
    fn what_is_taken_in_part_is_finished_before_the_next_line() {
        let long = format!("{}\n", "y".repeat(3 * ROOM));
        for polled in [false, true] {
            let (mut reader, writer) = pipe();
            let mut sink = Sink::new(writer);
            if polled {
                sink.way = Way::Polled;
            }
            sink.write(&long, notice);
            let mut text = read(&mut reader);
            assert_eq!(text.len(), ROOM, "the pipe holds no more");
            while text.len() < long.len() {
                sink.write("short\n", notice);
                text.push_str(&read(&mut reader));
            }
            sink.write("last\n", notice);
            text.push_str(&read(&mut reader));
            let (first, others) = text.split_once('\n').unwrap();
            assert_eq!(first.len() + 1, long.len());
            assert!(others.contains("dropped="), "{others}");
            assert!(others.ends_with("last\n"), "{others}");
            let known =
                |line: &str| ["short", "last"].contains(&line) || line.starts_with("dropped=");
            assert!(others.lines().all(known), "{others}");
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_survived() {
        let (reader, writer) = pipe();
        let mut sink = Sink::new(writer);
        drop(reader);
        sink.write("nobody\n", notice);
        assert_eq!(sink.dropped, 1);
    }

    #[test]
    fn a_file_gets_every_line() {
        let path = std::env::temp_dir().join(format!("log-sink-{}", std::process::id()));
        let mut sink = Sink::new(File::create(&path).unwrap());
        sink.write("one\n", notice);
        sink.write("two\n", notice);
        let mut text = String::new();
        File::open(&path)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text, "one\ntwo\n");
    }
}
