//! What a program writes: kept until it is read, or put into temporary files of the caller.

use std::sync::Arc;
use std::time::Duration;

use super::Stdio;
use super::command_line::{Outputs, Redirection};
use crate::guest_operations::Failure;
use crate::guest_operations::temporaries::Temporaries;

/// Bytes of output that are kept of a program, and of all together.
pub(super) const MOST: usize = 4 << 20;
/// Room beyond that for the reason why a program ends.
const LAST_WORDS: usize = 4 << 10;

/// What to do about output that is too long.
const ELSEWHERE: &str = "shorten a log with --tail, or download it from /talos";

/// The outputs of one program.
#[derive(Debug)]
pub(super) struct Output {
    owner: Arc<str>,
    stdout: Sink,
    stderr: Sink,
    kept_stdout: Kept,
    kept_stderr: Kept,
}

/// Where output goes.
#[derive(Clone, Debug)]
enum Sink {
    /// It is kept as one of the two.
    Kept(Stdio),
    /// A temporary file.
    File(Arc<str>),
    /// `/dev/null`
    Nowhere,
}

/// Output that is kept.
#[derive(Debug)]
enum Kept {
    /// More may come.
    Open(Vec<u8>),
    /// It has been read.
    Shared(Arc<[u8]>),
    /// It has made room for others.
    Dropped,
}

impl Output {
    /// Both are kept.
    pub(super) const fn new(owner: Arc<str>) -> Self {
        Self {
            owner,
            stdout: Sink::Kept(Stdio::Stdout),
            stderr: Sink::Kept(Stdio::Stderr),
            kept_stdout: Kept::Open(Vec::new()),
            kept_stderr: Kept::Open(Vec::new()),
        }
    }

    /// Redirects outputs, in this order; files begin empty.
    ///
    /// # Errors
    /// The first file that cannot be written, and why; later ones are opened all the same.
    pub(super) fn redirect(
        &mut self,
        redirections: &[Redirection],
        temporaries: &mut Temporaries,
        now: Duration,
    ) -> Result<(), String> {
        let mut result = Ok(());
        for redirection in redirections {
            match redirection {
                Redirection::Join { of, to } => {
                    let sink = self.sink(*to).clone();
                    *self.sink(*of) = sink;
                }
                Redirection::Open { of, path } => match self.open(path, temporaries, now) {
                    Err(error) => result = result.and(Err(error)),
                    Ok(sink) => match of {
                        Outputs::One(of) => *self.sink(*of) = sink,
                        Outputs::Both => {
                            self.stdout = sink.clone();
                            self.stderr = sink;
                        }
                    },
                },
            }
        }
        result
    }

    fn open(
        &self,
        path: &str,
        temporaries: &mut Temporaries,
        now: Duration,
    ) -> Result<Sink, String> {
        if path == "/dev/null" {
            return Ok(Sink::Nowhere);
        }
        if !temporaries.has(&self.owner, path) || temporaries.clear(&self.owner, path, now).is_err()
        {
            return Err(format!(
                "{path:.256}: cannot be written; output goes to temporary files of your own and to /dev/null"
            ));
        }
        Ok(Sink::File(path.into()))
    }

    const fn sink(&mut self, of: Stdio) -> &mut Sink {
        match of {
            Stdio::Stderr => &mut self.stderr,
            Stdio::Stdin | Stdio::Stdout => &mut self.stdout,
        }
    }

    const fn kept(&mut self, of: Stdio) -> &mut Kept {
        match of {
            Stdio::Stderr => &mut self.kept_stderr,
            Stdio::Stdin | Stdio::Stdout => &mut self.kept_stdout,
        }
    }

    /// Writes to stdout: all of it or nothing.
    ///
    /// # Errors
    /// Why there is no room.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        temporaries: &mut Temporaries,
        now: Duration,
    ) -> Result<(), String> {
        self.put(Stdio::Stdout, bytes, MOST, temporaries, now)
    }

    /// Writes to stdout what ends it: there is room for it beyond the bound.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn write_last(
        &mut self,
        bytes: &[u8],
        temporaries: &mut Temporaries,
        now: Duration,
    ) -> Result<(), String> {
        self.put(Stdio::Stdout, bytes, MOST + LAST_WORDS, temporaries, now)
    }

    /// Writes a reason to stderr, or keeps it as such where that has no room.
    pub(super) fn complain(&mut self, text: &str, temporaries: &mut Temporaries, now: Duration) {
        let (bytes, most) = (text.as_bytes(), MOST + LAST_WORDS);
        if self
            .put(Stdio::Stderr, bytes, most, temporaries, now)
            .is_err()
            && let Kept::Open(kept) = &mut self.kept_stderr
            && kept.len() < LAST_WORDS
        {
            kept.extend(bytes);
        }
    }

    fn put(
        &mut self,
        of: Stdio,
        bytes: &[u8],
        most: usize,
        temporaries: &mut Temporaries,
        now: Duration,
    ) -> Result<(), String> {
        match self.sink(of).clone() {
            Sink::Nowhere => Ok(()),
            Sink::File(path) => temporaries
                .append(&self.owner, &path, bytes, now)
                .map_err(|error| format!("{path} takes no more: {error}; {ELSEWHERE}")),
            Sink::Kept(of) => {
                let has = self.len();
                let Kept::Open(kept) = self.kept(of) else {
                    return Ok(());
                };
                if has + bytes.len() > most {
                    return Err(format!(
                        "it has more output than {} MiB; {ELSEWHERE}",
                        MOST >> 20
                    ));
                }
                kept.extend(bytes);
                Ok(())
            }
        }
    }

    /// Bytes that are kept.
    pub(super) fn len(&self) -> usize {
        self.kept_stdout.len() + self.kept_stderr.len()
    }

    /// Bytes of stdout that are kept.
    pub(super) fn stdout_len(&self) -> usize {
        self.kept_stdout.len()
    }

    /// Whether something is kept.
    pub(super) fn has_some(&self, of: Stdio) -> bool {
        match of {
            Stdio::Stdin => false,
            Stdio::Stdout => self.kept_stdout.len() > 0,
            Stdio::Stderr => self.kept_stderr.len() > 0,
        }
    }

    /// What is kept so far.
    pub(super) fn so_far(&self, of: Stdio) -> Result<Arc<[u8]>, Failure> {
        let kept = match of {
            Stdio::Stdin => return Ok(Arc::default()),
            Stdio::Stdout => &self.kept_stdout,
            Stdio::Stderr => &self.kept_stderr,
        };
        match kept {
            Kept::Open(bytes) => Ok(bytes.as_slice().into()),
            Kept::Shared(bytes) => Ok(Arc::clone(bytes)),
            Kept::Dropped => Err(Failure::NotFound),
        }
    }

    /// What was kept, of a program that has ended: once for all readers.
    pub(super) fn whole(&mut self, of: Stdio) -> Result<Arc<[u8]>, Failure> {
        if of != Stdio::Stdin
            && let kept = self.kept(of)
            && let Kept::Open(bytes) = kept
        {
            *kept = Kept::Shared(std::mem::take(bytes).into());
        }
        self.so_far(of)
    }

    /// Drops the first bytes of what is kept.
    pub(super) fn take(&mut self, of: Stdio, len: usize) {
        let kept = self.kept(of);
        match kept {
            Kept::Open(bytes) => {
                bytes.drain(..len.min(bytes.len()));
                bytes.shrink_to(bytes.len());
            }
            Kept::Shared(bytes) => {
                *kept = Kept::Open(bytes.get(len..).unwrap_or_default().to_vec())
            }
            Kept::Dropped => {}
        }
    }

    /// Makes room for others.
    pub(super) fn drop_kept(&mut self) {
        self.kept_stdout = Kept::Dropped;
        self.kept_stderr = Kept::Dropped;
    }
}

impl Kept {
    fn len(&self) -> usize {
        match self {
            Self::Open(bytes) => bytes.len(),
            Self::Shared(bytes) => bytes.len(),
            Self::Dropped => 0,
        }
    }
}
