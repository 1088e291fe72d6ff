//! The payload's standard descriptors.

use std::os::fd::OwnedFd;

use corten_sys::{Errno, SysError, pty};

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
