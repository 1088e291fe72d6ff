//! Finding what a path of `cp` names: in a container's root, which nothing leads out of, or on the host.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use corten_sys::error::Context;
use corten_sys::{Dir, Errno, SysError};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use super::paths::{asserts_directory, follow, split};

/// Whose names a path consists of.
#[derive(Clone, Copy)]
pub(super) enum Names<'a> {
    /// The caller's own: any symlink leads where it leads.
    Host,
    /// A container's: its root is `/`, whatever it does meanwhile.
    Container(&'a Dir),
}

/// What a path names.
pub(super) struct Found {
    /// The directory that has it, or it itself where it can only be a directory.
    pub(super) directory: Dir,
    /// Its name there; `.` for the directory itself.
    pub(super) name: Vec<u8>,
    pub(super) kind: FileType,
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// As the kernel has it.
const LINKS: usize = 40;

impl Names<'_> {
    pub(super) fn open(self, path: &[u8], flags: OFlags) -> Result<OwnedFd, SysError> {
        let path = Path::new(OsStr::from_bytes(path));
        match self {
            Self::Host => {
                rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty()).on("stat", path)
            }
            Self::Container(root) => root.open_at(path, flags, 0),
        }
    }

    pub(super) fn open_directory(self, path: &[u8]) -> Result<Dir, SysError> {
        self.open(path, DIRECTORY).map(Dir::from_fd)
    }

    /// Finds what an absolute path names; a last symlink is that symlink.
    pub(super) fn find(self, path: &[u8]) -> Result<Found, SysError> {
        if asserts_directory(path) {
            let directory = self.open_directory(path)?;
            return Ok(Found { directory, name: b".".to_vec(), kind: FileType::Directory });
        }
        let (parent, name) = split(path);
        let cut = path.len() - name.len();
        // Only the last name is cut off: `..` in a path that a symlink gave is not ours to resolve.
        let parent = if path.ends_with(&name) { &path[..cut] } else { &parent };
        let directory = self.open_directory(parent)?;
        let shown = Path::new(OsStr::from_bytes(path));
        let stat = rustix::fs::statat(&directory, OsStr::from_bytes(&name), AtFlags::SYMLINK_NOFOLLOW);
        let kind = FileType::from_raw_mode(stat.on("lstat", shown)?.st_mode);
        Ok(Found { directory, name, kind })
    }

    /// Follows symlinks from `path` on, and returns the path they end at with what is there; nothing where there is
    /// nothing.
    pub(super) fn end_of_links(self, path: &[u8]) -> Result<(Vec<u8>, Option<Found>), SysError> {
        let mut path = path.to_vec();
        for _ in 0..=LINKS {
            let found = match self.find(&path) {
                Err(error) if error.errno() == Errno::NOENT => return Ok((path, None)),
                found => found?,
            };
            if found.kind != FileType::Symlink {
                return Ok((path, Some(found)));
            }
            let shown = Path::new(OsStr::from_bytes(&path));
            let name = OsStr::from_bytes(&found.name);
            let target = rustix::fs::readlinkat(&found.directory, name, Vec::new()).on("readlink", shown)?;
            path = follow(&path, target.to_bytes());
        }
        Err(SysError::at("lstat", Path::new(OsStr::from_bytes(&path)), Errno::LOOP))
    }
}

/// Says whether a directory is another, or below it.
pub(super) fn is_within(directory: &Dir, other: &Found) -> Result<bool, SysError> {
    let stat = |at: &OwnedFd, name: &OsStr| rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW);
    let failed = |errno| SysError::new("stat", "the destination", errno);
    let start = other.directory.open_at(".", DIRECTORY, 0)?;
    let source = stat(&start, OsStr::from_bytes(&other.name)).map_err(failed)?;
    let mut at = directory.open_at(".", DIRECTORY, 0)?;
    loop {
        let here = rustix::fs::fstat(&at).map_err(failed)?;
        if (here.st_dev, here.st_ino) == (source.st_dev, source.st_ino) {
            return Ok(true);
        }
        let above = rustix::fs::openat(&at, "..", DIRECTORY, Mode::empty()).map_err(failed)?;
        let parent = rustix::fs::fstat(&above).map_err(failed)?;
        if (here.st_dev, here.st_ino) == (parent.st_dev, parent.st_ino) {
            return Ok(false);
        }
        at = above;
    }
}
