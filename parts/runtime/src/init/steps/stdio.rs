//! The payload's standard descriptors.

use std::os::fd::OwnedFd;

use corten_sys::{Dir, Errno, SysError, pty};
use rustix::fs::{FileType, OFlags};

/// Opens the container's own null device where the input is the host's, which is no business of the container's. One
/// that has none in its /dev keeps that.
pub(crate) fn own_null(stdin: OwnedFd) -> Result<OwnedFd, SysError> {
    let is_null = |fd: &OwnedFd| -> Result<bool, SysError> {
        let stat = rustix::fs::fstat(fd).map_err(|errno| SysError::new("stat", "stdin", errno))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        Ok(kind == FileType::CharacterDevice && stat.st_rdev == rustix::fs::makedev(1, 3))
    };
    if !is_null(&stdin)? {
        return Ok(stdin);
    }
    // Seen first: opening whatever else has the name could block, or do something.
    let root = Dir::open("/")?;
    match root.open_at("/dev/null", OFlags::PATH, 0) {
        Ok(seen) if is_null(&seen)? => root.open_at("/dev/null", OFlags::RDONLY | OFlags::NOCTTY, 0),
        _ => Ok(stdin),
    }
}

/// Puts the FIFOs, or the terminal three times, at 0, 1 and 2.
pub(crate) fn install(fifos: Vec<OwnedFd>, terminal: Option<OwnedFd>) -> Result<(), SysError> {
    let failed = |errno| SysError::new("dup2", "stdio", errno);
    if let Some(terminal) = terminal {
        pty::make_controlling(&terminal)?;
        rustix::stdio::dup2_stdin(&terminal).map_err(failed)?;
        rustix::stdio::dup2_stdout(&terminal).map_err(failed)?;
        return rustix::stdio::dup2_stderr(&terminal).map_err(failed);
    }
    let [stdin, stdout, stderr]: [OwnedFd; 3] = fifos.try_into().map_err(|_| failed(Errno::BADF))?;
    rustix::stdio::dup2_stdin(&stdin).map_err(failed)?;
    rustix::stdio::dup2_stdout(&stdout).map_err(failed)?;
    rustix::stdio::dup2_stderr(&stderr).map_err(failed)
}
