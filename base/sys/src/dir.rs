//! A directory handle below which every path is resolved by the kernel without escape.
//!
//! For anything a container or an image can shape: no component may leave the directory, whether by
//! `..`, by an absolute symlink (read as relative to the handle) or by a magic link of procfs.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};

use crate::error::{Context, Errno, SysError};

/// An open directory that confines the paths resolved through it.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
}

const CONFINED: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

impl Dir {
    /// Opens a directory by its trusted host path.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, SysError> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path.as_ref(), flags, Mode::empty()).on("open", path)?;
        Ok(Self { fd })
    }

    /// Takes over an open directory descriptor.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Opens `path` below this directory, symlinks resolved as if this were `/`. `mode` counts only with O_CREAT.
    pub fn open_at(&self, path: impl AsRef<Path>, flags: OFlags, mode: u32) -> Result<OwnedFd, SysError> {
        let mode =
            if flags.contains(OFlags::CREATE) { Mode::from_bits_truncate(mode) } else { Mode::empty() };
        loop {
            match rustix::fs::openat2(&self.fd, path.as_ref(), flags | OFlags::CLOEXEC, mode, CONFINED) {
                // openat2(2): a rename raced with the resolution of `..`; trying again is the documented answer.
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return other.on("open", path),
            }
        }
    }

    /// Opens a directory below this one.
    pub fn open_dir(&self, path: impl AsRef<Path>) -> Result<Self, SysError> {
        Ok(Self { fd: self.open_at(path, OFlags::DIRECTORY, 0)? })
    }

    /// Creates every missing directory of `path` (mode `mode`) and opens the last.
    pub fn create_dir_all(&self, path: impl AsRef<Path>, mode: u32) -> Result<Self, SysError> {
        let path = path.as_ref();
        match self.open_dir(path) {
            Ok(dir) => return Ok(dir),
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) => return Err(error),
        }
        let parent = match path.parent() {
            Some(parent) if !matches!(parent.as_os_str().as_encoded_bytes(), b"" | b"/") => {
                self.create_dir_all(parent, mode)?
            }
            _ => Self { fd: self.open_at(".", OFlags::DIRECTORY, 0)? },
        };
        let name = path.file_name().ok_or_else(|| SysError::at("mkdir", path, Errno::INVAL))?;
        match rustix::fs::mkdirat(&parent.fd, name, Mode::from_bits_truncate(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(SysError::at("mkdir", path, errno)),
        }
        parent.open_dir(name)
    }

    /// Reads a regular file below this directory, at most `limit` bytes (EFBIG beyond).
    pub fn read(&self, path: impl AsRef<Path>, limit: u64) -> Result<Vec<u8>, SysError> {
        let path = path.as_ref();
        // O_NONBLOCK: a FIFO planted under the name must not hang the reader.
        let file = File::from(self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK, 0)?);
        if !file.metadata().on("stat", path)?.is_file() {
            return Err(SysError::at("read", path, Errno::INVAL));
        }
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).on("read", path)?;
        if bytes.len() as u64 > limit { Err(SysError::at("read", path, Errno::FBIG)) } else { Ok(bytes) }
    }

    /// Creates or truncates a regular file below this directory.
    pub fn write(&self, path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), SysError> {
        let path = path.as_ref();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NONBLOCK;
        let mut file = File::from(self.open_at(path, flags, mode)?);
        file.write_all(bytes).on("write", path)
    }

    /// Says whether the name exists below this directory, without following a final symlink.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW, 0).is_ok()
    }

    /// Removes a name directly in this directory.
    pub fn unlink(&self, name: &str) -> Result<(), SysError> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()).on("unlink", name)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Dir> for OwnedFd {
    fn from(dir: Dir) -> Self {
        dir.fd
    }
}
