//! A container that stands still for a moment, and goes on whatever becomes of the command that asked for it.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use corten_sys::process::{self, Cloned};
use corten_sys::socket;

use super::record::ContainerRecord;
use super::state::{self, Status};
use super::{pause, unpause};
use crate::error::ErrorKind;
use crate::{Engine, Error};

/// A container that is paused until [`Stillness::end`], or this process's end, even by SIGKILL: a child out of the
/// reach of the terminal's signals waits for it.
pub(super) struct Stillness {
    guardian: OwnedFd,
    socket: UnixStream,
}

impl Stillness {
    /// Pauses the container, or returns `None` where there is nothing to pause: it does not run, or somebody else has
    /// paused it and will let it go on. The process must have one thread.
    pub(super) fn hold(engine: &Engine, record: &ContainerRecord) -> Result<Option<Self>, Error> {
        if state::read(engine, record)?.status != Status::Running {
            return Ok(None);
        }
        let (ours, theirs) = socket::pair()?;
        let guardian = match process::clone(0, None)? {
            Cloned::Child => {
                drop(ours);
                process::exit_now(i32::from(!wait_and_release(engine, record, theirs)))
            }
            Cloned::Parent { pidfd, .. } => pidfd,
        };
        drop(theirs);
        let stillness = Self { guardian, socket: ours };
        match stillness.announce().and_then(|()| pause(engine, record)) {
            Ok(()) => Ok(Some(stillness)),
            // It has ended, or somebody else was faster.
            Err(error) if error.kind() == ErrorKind::Conflict => stillness.end().map(|()| None),
            Err(error) => {
                // The first failure is what is told.
                stillness.end().unwrap_or_default();
                Err(error)
            }
        }
    }

    /// From here on the guardian has something to do.
    fn announce(&self) -> Result<(), Error> {
        let written = (&self.socket).write_all(b"p");
        written.map_err(|error| corten_sys::SysError::io("write", "the guardian's socket", &error).into())
    }

    /// Lets the container go on.
    pub(super) fn end(self) -> Result<(), Error> {
        drop(self.socket);
        match process::wait(&self.guardian)? {
            process::Exit::Code(0) => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Internal,
                "the container stays paused: 'corten unpause' lets it go on",
            )),
        }
    }
}

/// Waits for the end of the other side, then lets the container go on; says whether that went well.
fn wait_and_release(engine: &Engine, record: &ContainerRecord, mut socket: UnixStream) -> bool {
    // Only a leader of a process group already cannot; a clone is none.
    rustix::process::setsid().map(drop).unwrap_or_default();
    let mut said = Vec::new();
    // However the other side ended.
    socket.read_to_end(&mut said).map(drop).unwrap_or_default();
    if said.is_empty() {
        return true;
    }
    match unpause(engine, record) {
        // It has ended meanwhile, or somebody else has let it go on.
        Err(error) => matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound),
        Ok(()) => true,
    }
}
