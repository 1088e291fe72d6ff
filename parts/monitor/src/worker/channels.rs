//! The payload's standard streams, seen from outside: FIFOs in the run directory, or a terminal's master.
//!
//! The payload holds its outputs open for reading and writing, so that it gets no SIGPIPE and loses no byte
//! while nobody reads (architecture D12); a new worker opens the same FIFOs and goes on.

use std::cell::OnceCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use corten_sys::error::Context;
use corten_sys::{Errno, SysError, fs, label, socket};
use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid};

use crate::log_file::Stream;
use crate::order::Order;
use crate::state;

/// Everyone may write, only the owner read: a payload that is not root reopens /dev/stdout to write.
const FIFO_MODE: u32 = 0o622;

/// The keeper's hold on the streams.
#[derive(Debug)]
pub(crate) struct Channels {
    run_dir: PathBuf,
    terminal: Option<OwnedFd>,
    /// The writing end of the payload's input, while that is open.
    stdin: Option<OwnedFd>,
    /// Reading ends of both outputs: a FIFO that nobody holds open forgets what is in it, and the payload may end
    /// before its worker, or the next one, has opened it.
    outputs: Vec<OwnedFd>,
    /// Where clients come; made once, so that a worker that is respawned has nothing to make that could fail.
    listener: OnceCell<UnixListener>,
}

/// The worker's own descriptors: what to read, and where input goes.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) outputs: Vec<(OwnedFd, Stream)>,
    pub(crate) stdin: Option<OwnedFd>,
}

impl Channels {
    /// Makes the streams: the payload's three descriptors (none with a terminal) and the keeper's hold.
    pub(crate) fn new(order: &Order) -> Result<(Vec<OwnedFd>, Self), SysError> {
        let mut channels = Self::empty(order);
        if order.terminal {
            return Ok((Vec::new(), channels));
        }
        let stdin = if order.stdin {
            let path = order.run_dir.join("stdin");
            make_fifo(&path, order)?;
            // Open both ways first: opening one way alone waits for the other (fifo(7)).
            let both = open(&path, OFlags::RDWR)?;
            let reader = open(&path, OFlags::RDONLY)?;
            channels.stdin = Some(open(&path, OFlags::WRONLY | OFlags::NONBLOCK)?);
            drop(both);
            reader
        } else {
            open(Path::new("/dev/null"), OFlags::RDONLY)?
        };
        let mut payload = vec![stdin];
        for name in ["stdout", "stderr"] {
            let path = order.run_dir.join(name);
            make_fifo(&path, order)?;
            payload.push(open(&path, OFlags::RDWR)?);
            channels.outputs.push(open(&path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        }
        Ok((payload, channels))
    }

    /// The streams of a container whose keeper died: opened anew, or the terminal that its worker handed over.
    pub(crate) fn reopen(order: &Order, terminal: Option<OwnedFd>) -> Self {
        let path = order.run_dir.join("stdin");
        let wanted = order.stdin && !order.terminal;
        // ENXIO: the payload has closed its input.
        let stdin = if wanted { open(&path, OFlags::WRONLY | OFlags::NONBLOCK).ok() } else { None };
        let output = |name| open(&order.run_dir.join(name), OFlags::RDONLY | OFlags::NONBLOCK).ok();
        let outputs = if order.terminal {
            Vec::new()
        } else {
            ["stdout", "stderr"].into_iter().filter_map(output).collect()
        };
        Self { terminal, stdin, outputs, ..Self::empty(order) }
    }

    fn empty(order: &Order) -> Self {
        Self {
            run_dir: order.run_dir.clone(),
            terminal: None,
            stdin: None,
            outputs: Vec::new(),
            listener: OnceCell::new(),
        }
    }

    /// Listens for clients, the first time it is asked.
    pub(crate) fn listener(&self) -> Result<BorrowedFd<'_>, SysError> {
        if self.listener.get().is_none() {
            let path = self.run_dir.join(state::SOCKET);
            let made = socket::listen(&path)?;
            made.set_nonblocking(true).map_err(|error| SysError::io("listen", &path, &error))?;
            // There is none yet: that was just asked.
            self.listener.set(made).unwrap_or_default();
        }
        let closed = || SysError::at("listen", &self.run_dir, Errno::BADF);
        Ok(self.listener.get().ok_or_else(closed)?.as_fd())
    }

    /// Takes the terminal's master, which only exists once init has opened it.
    pub(crate) fn set_terminal(&mut self, master: Option<OwnedFd>) {
        self.terminal = master;
    }

    /// Lets go of the payload's input; its end of file comes when the worker has done so as well.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// What goes to a worker by descriptor: the writing end of the input, or the terminal's master.
    pub(crate) fn stream(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().or(self.stdin.as_ref()).map(AsFd::as_fd)
    }
}

impl Ends {
    /// Opens the rest by name: see [`Channels::stream`].
    pub(crate) fn open(order: &Order, stream: Option<OwnedFd>) -> Result<Self, SysError> {
        match stream {
            Some(master) if order.terminal => {
                rustix::io::ioctl_fionbio(&master, true).on("ioctl", "FIONBIO")?;
                let reading = master.try_clone().on("dup", "terminal")?;
                Ok(Self { outputs: vec![(reading, Stream::Stdout)], stdin: Some(master) })
            }
            stdin => {
                let reader = |name: &str| open(&order.run_dir.join(name), OFlags::RDONLY | OFlags::NONBLOCK);
                let outputs = vec![(reader("stdout")?, Stream::Stdout), (reader("stderr")?, Stream::Stderr)];
                Ok(Self { outputs, stdin })
            }
        }
    }
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, SysError> {
    rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty()).on("open", path)
}

fn make_fifo(path: &Path, order: &Order) -> Result<(), SysError> {
    // One left by an earlier run may hold that run's last bytes.
    fs::remove_file(path)?;
    let mode = Mode::from_bits_truncate(FIFO_MODE);
    rustix::fs::mknodat(CWD, path, FileType::Fifo, mode, 0).on("mkfifo", path)?;
    rustix::fs::chmod(path, mode).on("chmod", path)?;
    let (uid, gid) = (Uid::from_raw(order.owner.0), Gid::from_raw(order.owner.1));
    rustix::fs::chown(path, Some(uid), Some(gid)).on("chown", path)?;
    if order.label.is_empty() { Ok(()) } else { label::set(path, &order.label) }
}
