//! Advisory locks as flock files: they die with their holder and need no clean-up after a crash.
//!
//! Order: format < pull key < object < network (architecture D9). Readers take none, and no lock is held
//! while waiting for anything but another lock.
//!
//! A lock is exclusive, or shared among commands that only need that nothing is taken away meanwhile.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use corten_sys::error::Context;
use corten_sys::{Errno, SysError, fs};
use rustix::fs::FlockOperation;

/// A lock, released when dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock at `path`, waiting for its holder.
    pub fn exclusive(path: &Path) -> Result<Self, SysError> {
        let file = open(path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive).on("flock", path)?;
        Ok(Self { file })
    }

    /// Takes the lock at `path` together with others who share it, waiting for an exclusive holder.
    pub fn shared(path: &Path) -> Result<Self, SysError> {
        let file = open(path)?;
        rustix::fs::flock(&file, FlockOperation::LockShared).on("flock", path)?;
        Ok(Self { file })
    }

    /// Takes the lock at `path`, or returns `None` where somebody holds it.
    pub fn try_exclusive(path: &Path) -> Result<Option<Self>, SysError> {
        Self::unless_held(open(path)?, path)
    }

    fn unless_held(file: File, path: &Path) -> Result<Option<Self>, SysError> {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(SysError::at("flock", path, errno)),
        }
    }

    /// As [`Lock::exclusive`] on a directory itself: that needs no room on the disk, and goes with the directory.
    pub fn directory(path: &Path) -> Result<Self, SysError> {
        let file = fs::open(path)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive).on("flock", path)?;
        Ok(Self { file })
    }

    /// As [`Lock::directory`], or `None` where somebody holds it.
    pub fn try_directory(path: &Path) -> Result<Option<Self>, SysError> {
        Self::unless_held(fs::open(path)?, path)
    }
}

/// For passing the lock on: it lasts until the last duplicate of the descriptor is closed.
impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open(path: &Path) -> Result<File, SysError> {
    fs::open_with(path, OpenOptions::new().create(true).truncate(false).write(true).mode(0o600))
}
