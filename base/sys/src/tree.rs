//! Removing directory trees that somebody else has shaped: any depth, any names, no symlink followed, and a number of
//! descriptors that does not grow with the tree.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use crate::error::{Context, Errno, SysError};
use crate::fs;

/// Removes a tree of any depth with a bounded number of descriptors; a missing one is no error.
///
/// Never follows a symlink. Several processes may remove the same tree at once.
pub fn remove(path: &Path) -> Result<(), SysError> {
    let root = match open_directory(CWD, path) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return fs::remove_file(path),
        Err(errno) => return Err(SysError::at("open", path, errno)),
    };
    empty(&root).on("remove", path)?;
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(SysError::at("rmdir", path, errno)),
    }
}

/// Removes what is in a directory, as [`remove`] does, and leaves the directory.
fn empty(directory: impl AsFd) -> Result<(), Errno> {
    let mut removal = Removal { root: directory.as_fd(), moved: 0 };
    loop {
        let moved = removal.moved;
        removal.empty(directory.as_fd(), 0)?;
        if removal.moved == moved {
            return Ok(());
        }
    }
}

/// How many directories are open at once, each twice; what is deeper is moved up to the top first.
const DEPTH: usize = 16;

struct Removal<'a> {
    root: BorrowedFd<'a>,
    moved: u32,
}

impl Removal<'_> {
    /// Removes what is in `directory`, `depth` levels below the root.
    fn empty(&mut self, directory: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
        for entry in rustix::fs::Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if entry.file_type() != FileType::Directory {
                match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => continue,
                    // The file system does not tell types.
                    Err(Errno::ISDIR) => {}
                    Err(errno) => return Err(errno),
                }
            }
            match self.remove_directory(directory, name, depth) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn remove_directory(&mut self, parent: BorrowedFd<'_>, name: &CStr, depth: usize) -> Result<(), Errno> {
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            // POSIX allows either.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            other => return other,
        }
        if depth >= DEPTH {
            self.moved += 1;
            let pid = rustix::process::getpid().as_raw_nonzero();
            let flat = format!(".moved.{pid}.{}", self.moved);
            return rustix::fs::renameat(parent, name, self.root, flat);
        }
        let directory = open_directory(parent, name)?;
        loop {
            let moved = self.moved;
            self.empty(directory.as_fd(), depth + 1)?;
            match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
                // A name was added meanwhile, or the listing missed one while names went.
                Err(Errno::NOTEMPTY | Errno::EXIST) if self.moved == moved => {}
                other => return other,
            }
        }
    }
}

fn open_directory<P: rustix::path::Arg>(parent: impl AsFd, path: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, path, flags, Mode::empty())
}
