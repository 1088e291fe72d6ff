//! A container's output on its way to the caller.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use corten_sys::{Errno, SysError, clock, process, signal};
use rustix::event::{PollFd, PollFlags};

const SIGPIPE: i32 = 13;

/// Which way an output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Stdout,
    Stderr,
}

/// Writes all of it. Where nobody reads any more this process ends by SIGPIPE, as every filter does; where it cannot
/// be written it ends with the reason. The container goes on without it, as docker's would.
pub(super) fn write(to: To, data: &[u8]) {
    let (written, name) = match to {
        To::Stdout => (write_all(std::io::stdout().as_fd(), data), "stdout"),
        To::Stderr => (write_all(std::io::stderr().as_fd(), data), "stderr"),
    };
    match written {
        Ok(()) => {}
        Err(Errno::PIPE) => {
            signal::die_of(SIGPIPE);
        }
        // A terminal that is gone: there is nobody to tell.
        Err(Errno::IO) => {}
        Err(errno) => {
            // Nothing is left to do where that fails too.
            writeln!(std::io::stderr(), "corten: {}", SysError::new("write", format!("/dev/{name}"), errno))
                .unwrap_or_default();
            process::exit_now(1)
        }
    }
}

fn write_all(out: BorrowedFd<'_>, mut data: &[u8]) -> Result<(), Errno> {
    while !data.is_empty() {
        match rustix::io::write(out, data) {
            Ok(length) => data = data.get(length..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Somebody else who has it open made it non-blocking.
            Err(Errno::AGAIN) => {
                let writable = &mut [PollFd::from_borrowed_fd(out, PollFlags::OUT)];
                clock::poll(writable, None).map_err(|error| error.errno())?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
