//! Pseudo-terminals and the caller's own terminal.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, Termios, Winsize};

use crate::Dir;
use crate::error::{Context, SysError};
use crate::process::last_errno;

/// A size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// Opens a new pseudo-terminal in the devpts instance whose directory is given: master and slave.
///
/// The slave comes from the master itself (TIOCGPTPEER), so no path can be swapped under it (CVE-2025-52565).
pub fn open_in(devpts: &Dir) -> Result<(OwnedFd, OwnedFd), SysError> {
    let master = devpts.open_at("ptmx", OFlags::RDWR | OFlags::NOCTTY, 0)?;
    rustix::pty::unlockpt(&master).on("unlockpt", "")?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).on("open", "pts")?;
    Ok((master, slave))
}

/// Makes the terminal this session's controlling terminal; the caller is a session leader.
pub fn make_controlling(terminal: impl AsFd) -> Result<(), SysError> {
    // SAFETY: the ioctl takes an integer argument and touches no memory.
    let rc = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) };
    if rc == 0 { Ok(()) } else { Err(SysError::new("ioctl", "TIOCSCTTY", last_errno())) }
}

/// Says whether the descriptor is a terminal.
pub fn is_terminal(fd: impl AsFd) -> bool {
    rustix::termios::isatty(fd)
}

/// The size of a terminal, where it is one and has one.
pub fn size(terminal: impl AsFd) -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(terminal).ok()?;
    Some(Size { rows: size.ws_row, columns: size.ws_col })
}

/// Sets the size of a terminal; its foreground processes get SIGWINCH.
pub fn set_size(terminal: impl AsFd, size: Size) -> Result<(), SysError> {
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(terminal, size).on("ioctl", "TIOCSWINSZ")
}

/// A terminal in raw mode until dropped.
#[derive(Debug)]
pub struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Switches a terminal to raw mode.
    pub fn enter(terminal: impl AsFd) -> Result<Self, SysError> {
        let terminal = terminal.as_fd().try_clone_to_owned().on("dup", "terminal")?;
        let before = rustix::termios::tcgetattr(&terminal).on("tcgetattr", "")?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(&terminal, OptionalActions::Now, &raw).on("tcsetattr", "")?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        rustix::termios::tcsetattr(&self.terminal, OptionalActions::Now, &self.before).unwrap_or_default();
    }
}
