//! Guest operations as vCenter's host asks for them: VIX commands and HGFS packets, by name and password.
//!
//! ```text
//! GuestClient ── Vix_1_Relayed_Command "…" ──► Vmx ── TCLO ──► guest
//!             ◄─ OK 0 0 … ─────────────────────────────────────┘
//! ```
//! [`bodies`] writes what goes, [`results`] reads what comes, [`hgfs`] has the packets of a file transfer; none of
//! them knows the guest's own codecs. [`GuestClient`] asks over anything that is a [`Relay`].

pub mod bodies;
pub mod hgfs;
pub mod results;

use std::time::{Duration, Instant};

use crate::Vmx;
use crate::codec::vix::{Message, Reply};
pub use bodies::{Credential, op};
pub use results::{FileInfo, Listing, Page, Process};

/// A file transfer ends after so long without an answer; nothing may come near it.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a program or a file that is not ready yet is waited for.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(30);

/// Carries a TCLO request to the guest and its reply back.
pub trait Relay {
    /// The whole reply.
    ///
    /// # Errors
    /// Why none came.
    fn relay(&self, request: Vec<u8>) -> Result<Vec<u8>, String>;
}

impl Relay for Vmx {
    fn relay(&self, request: Vec<u8>) -> Result<Vec<u8>, String> {
        let exchange = self
            .request(request, PATIENCE)
            .map_err(|error| error.to_string())?;
        exchange.reply.ok_or_else(|| "no reply".to_owned())
    }
}

impl<F: Fn(Vec<u8>) -> Result<Vec<u8>, String>> Relay for F {
    fn relay(&self, request: Vec<u8>) -> Result<Vec<u8>, String> {
        self(request)
    }
}

/// Why an operation came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A VixError other than 0.
    Vix(i64),
    /// An HGFS status other than 0.
    Hgfs(u32),
    /// What came cannot be read.
    Malformed(String),
    /// Nothing came.
    Silent(String),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vix(error) => write!(f, "VIX error {error}"),
            Self::Hgfs(status) => write!(f, "HGFS status {status}"),
            Self::Malformed(what) | Self::Silent(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Refused {}

/// A user of the host who asks a guest.
#[derive(Debug)]
pub struct GuestClient<'a, R: Relay + ?Sized = Vmx> {
    relay: &'a R,
    credential: Credential,
}

/// What a program left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code.
    pub code: i64,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl<'a, R: Relay + ?Sized> GuestClient<'a, R> {
    /// With a name and a password, as VIX type 1.
    pub fn new(relay: &'a R, name: &str, password: &str) -> Self {
        Self::with(relay, Credential::named(name, password))
    }

    /// With any credential.
    pub fn with(relay: &'a R, credential: Credential) -> Self {
        Self { relay, credential }
    }

    /// One operation: the reply, whatever its error.
    ///
    /// # Errors
    /// [`Refused::Malformed`] and [`Refused::Silent`].
    pub fn ask(&self, opcode: u32, body: &[u8]) -> Result<Reply, Refused> {
        self.send(opcode, body, false)
    }

    /// One operation that answers in binary.
    ///
    /// # Errors
    /// As [`GuestClient::ask`].
    pub fn ask_binary(&self, opcode: u32, body: &[u8]) -> Result<Reply, Refused> {
        self.send(opcode, body, true)
    }

    fn send(&self, opcode: u32, body: &[u8], binary: bool) -> Result<Reply, Refused> {
        let message = Message {
            binary,
            ..Message::new(opcode, body)
        };
        let message = message.with(self.credential.kind, &self.credential.blob);
        let reply = self
            .relay
            .relay(message.encode("guest"))
            .map_err(Refused::Silent)?;
        if reply.len() > 64 << 10 {
            let len = reply.len();
            return Err(Refused::Malformed(format!("a reply of {len} bytes")));
        }
        Reply::decode(&reply).map_err(|error| Refused::Malformed(error.0))
    }

    /// The text of an operation that succeeded.
    ///
    /// # Errors
    /// Also [`Refused::Vix`].
    pub fn text(&self, opcode: u32, body: &[u8]) -> Result<String, Refused> {
        let reply = self.ask(opcode, body)?;
        if reply.error != 0 {
            return Err(Refused::Vix(reply.error));
        }
        String::from_utf8(reply.result)
            .map_err(|_| Refused::Malformed("a result that is no UTF-8".to_owned()))
    }

    /// The error of an operation, 0 for success.
    ///
    /// # Errors
    /// As [`GuestClient::ask`].
    pub fn error(&self, opcode: u32, body: &[u8]) -> Result<i64, Refused> {
        Ok(self.ask(opcode, body)?.error)
    }

    /// ValidateCredentials.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn validate(&self) -> Result<(), Refused> {
        self.text(op::VALIDATE, &[]).map(drop)
    }

    /// ListProcesses in as many pages as it takes; all of them, or these.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn processes(&self, pids: &[u64]) -> Result<Vec<Process>, Refused> {
        let first = self.text(op::LIST_PROCESSES, &bodies::list_processes(0, 0, pids))?;
        let first = Page::read(&first)?;
        let mut whole = first.slice;
        let Some((key, total)) = first.begins else {
            return results::processes(&whole);
        };
        let mut left = first.left;
        while left > 0 {
            let offset = total
                .checked_sub(left)
                .ok_or_else(|| Refused::Malformed("more is left than there is".to_owned()))?;
            let body = bodies::list_processes(key, offset, pids);
            let page = Page::read(&self.text(op::LIST_PROCESSES, &body)?)?;
            if page.left >= left {
                return Err(Refused::Malformed("a page that brings nothing".to_owned()));
            }
            whole += &page.slice;
            left = page.left;
        }
        results::processes(&whole)
    }

    /// StartProgram: the number of the program.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn start(&self, path: &str, arguments: &str) -> Result<u64, Refused> {
        let pid = self.text(
            op::START_PROGRAM,
            &bodies::start_program(path, arguments, ""),
        )?;
        pid.parse()
            .map_err(|_| Refused::Malformed(format!("pid {pid:?}")))
    }

    /// TerminateProcess.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn terminate(&self, pid: u64) -> Result<(), Refused> {
        self.text(op::TERMINATE, &bodies::terminate(pid)).map(drop)
    }

    /// ReadEnvironmentVariable: these, or all.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn environment(&self, names: &[&str]) -> Result<Vec<(String, String)>, Refused> {
        results::environment(&self.text(op::READ_ENVIRONMENT, &bodies::read_environment(names))?)
    }

    /// ListFiles: one page as the client asks for it, put together of as many replies as it takes.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn list_files(
        &self,
        path: &str,
        pattern: &str,
        index: i32,
        most: i32,
    ) -> Result<Listing, Refused> {
        let mut all = Listing::default();
        loop {
            let offset = all.files.len() as u64;
            let body = bodies::list_files(path, pattern, index, most, offset);
            let page = Listing::read(&self.text(op::LIST_FILES, &body)?)?;
            let is_empty = page.files.is_empty();
            all.files.extend(page.files);
            all.remaining = page.remaining;
            if !page.truncated {
                return Ok(all);
            }
            if is_empty {
                return Err(Refused::Malformed("a page that brings nothing".to_owned()));
            }
        }
    }

    /// All names in a folder.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn names(&self, path: &str) -> Result<Vec<String>, Refused> {
        let listing = self.list_files(path, "", 0, i32::MAX)?;
        Ok(listing.files.into_iter().map(|file| file.name).collect())
    }

    /// InitiateFileTransferFromGuest.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn initiate_download(&self, path: &str) -> Result<FileInfo, Refused> {
        let text = self.text(op::TRANSFER_FROM, &bodies::transfer_from(path))?;
        let mut files = results::files(&text)?;
        match files.pop() {
            Some(file) if files.is_empty() => Ok(file),
            _ => Err(Refused::Malformed(format!("not one file: {text:?}"))),
        }
    }

    /// InitiateFileTransferToGuest.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn initiate_upload(&self, path: &str, overwrite: bool) -> Result<(), Refused> {
        let body = bodies::transfer_to(path, overwrite);
        self.text(op::TRANSFER_TO, &body).map(drop)
    }

    /// CreateTemporaryFile: its path.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn make_temporary(
        &self,
        prefix: &str,
        suffix: &str,
        folder: &str,
    ) -> Result<String, Refused> {
        self.text(
            op::MAKE_TEMPORARY,
            &bodies::make_temporary(prefix, suffix, folder),
        )
    }

    /// DeleteFile.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn delete(&self, path: &str) -> Result<(), Refused> {
        self.text(op::DELETE_FILE, &bodies::delete_file(path))
            .map(drop)
    }

    /// One HGFS packet there and the packet that comes back.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn packet(&self, packet: &[u8]) -> Result<Vec<u8>, Refused> {
        let reply = self.ask_binary(op::HGFS, &bodies::hgfs(packet))?;
        if reply.error != 0 {
            return Err(Refused::Vix(reply.error));
        }
        Ok(reply.result)
    }

    /// A session of HGFS.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn session(&self) -> Result<hgfs::Session<'_, 'a, R>, Refused> {
        hgfs::Session::open(self)
    }

    /// A whole download, as the host does it when the client gets the URL: asked again while the guest says 13.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn download(&self, path: &str) -> Result<Vec<u8>, Refused> {
        let until = Instant::now() + PROGRAM_PATIENCE;
        loop {
            match self.initiate_download(path) {
                Err(Refused::Vix(13)) if Instant::now() < until => {}
                Err(error) => return Err(error),
                Ok(_) => return self.fetch(path),
            }
        }
    }

    /// The HGFS part of a download.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn fetch(&self, path: &str) -> Result<Vec<u8>, Refused> {
        let session = self.session()?;
        let read = session.read_whole(path);
        session.close()?;
        read
    }

    /// A whole upload, as the host does it.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn upload(&self, path: &str, bytes: &[u8]) -> Result<(), Refused> {
        self.initiate_upload(path, true)?;
        let session = self.session()?;
        let written = session.write_whole(path, bytes);
        session.close()?;
        written
    }

    /// Waits for the end of a program: its exit code.
    ///
    /// # Errors
    /// See [`Refused`]; also when it does not end.
    pub fn wait(&self, pid: u64) -> Result<i64, Refused> {
        let until = Instant::now() + PROGRAM_PATIENCE;
        loop {
            let processes = self.processes(&[pid])?;
            match processes.first() {
                Some(process) if process.end > 0 => return Ok(process.code),
                Some(_) if Instant::now() < until => {}
                Some(_) => return Err(Refused::Silent(format!("{pid} does not end"))),
                None => return Err(Refused::Malformed(format!("there is no {pid}"))),
            }
        }
    }

    /// Starts a program, waits for its end, and fetches what it wrote by `/proc/PID/…`, as toolbox' clients do.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn run(&self, path: &str, arguments: &str) -> Result<Finished, Refused> {
        let pid = self.start(path, arguments)?;
        let code = self.wait(pid)?;
        Ok(Finished {
            code,
            stdout: self.download(&format!("/proc/{pid}/stdout"))?,
            stderr: self.download(&format!("/proc/{pid}/stderr"))?,
        })
    }

    /// Runs a command as `govc guest.run` does: by a shell, with what it writes in temporary files, which are
    /// fetched and deleted.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn run_as_govc(&self, command: &str) -> Result<Finished, Refused> {
        let out = self.make_temporary("govmomi-", "", "")?;
        let err = self.make_temporary("govmomi-", "", "")?;
        let arguments = format!("-c '{command} 1> {out} 2> {err}'");
        let pid = self.start("/bin/bash", &arguments)?;
        let code = self.wait(pid)?;
        let finished = Finished {
            code,
            stdout: self.download(&out)?,
            stderr: self.download(&err)?,
        };
        self.delete(&out)?;
        self.delete(&err)?;
        Ok(finished)
    }
}

#[cfg(test)]
mod tests;
