//! A mount namespace of its own, and a thread that lives in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

type Job = Box<dyn FnOnce() + Send>;

/// What is mounted in it is mounted nowhere else. Threads and programs that are started in it belong to it.
#[derive(Debug)]
pub(crate) struct Namespace {
    root: PathBuf,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Namespace {
    pub(crate) fn new() -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("disks-{}-{number}", std::process::id()));
        fs::create_dir_all(&root)?;
        let (jobs, orders) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new()
            .name("namespace".to_owned())
            .spawn(move || orders.into_iter().for_each(|job| job()))?;
        let namespace = Self {
            root,
            jobs: Some(jobs),
            thread: Some(thread),
        };
        let root = namespace.root.clone();
        namespace.run(move || enter(&root))?;
        Ok(namespace)
    }

    /// Where everything is, by paths that only the namespace has.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Does it in the namespace.
    ///
    /// # Panics
    ///
    /// When it panics.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, result) = mpsc::channel();
        let job = move || drop(sender.send(job()));
        if let Some(jobs) = &self.jobs {
            drop(jobs.send(Box::new(job)));
        }
        result.recv().expect("the job is done")
    }

    /// Runs a program in the namespace, and gives what it prints.
    pub(crate) fn program(&self, name: &'static str, args: &[&str]) -> io::Result<String> {
        let mut command = Command::new(name);
        command.args(args).stdin(Stdio::null());
        self.run(move || {
            let output = command.output()?;
            if output.status.success() {
                Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            } else {
                let error = String::from_utf8_lossy(&output.stderr).into_owned();
                Err(io::Error::other(format!("{command:?}: {error}")))
            }
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
        drop(fs::remove_dir(&self.root));
    }
}

/// Only for this thread, and what it starts.
fn enter(root: &Path) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount::<str, str, str, str>(None, "/", None, private, None)?;
    // Backing files in memory: how fast a write is does not hang on the disk of this machine.
    mount(
        Some("tmpfs"),
        root,
        Some("tmpfs"),
        MsFlags::empty(),
        None::<&str>,
    )?;
    Ok(())
}
