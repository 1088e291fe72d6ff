//! Deleting: a rename that makes the object disappear at once, then an unlink that may be interrupted.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use corten_sys::error::Context;
use corten_sys::{Errno, SysError, fs};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use crate::{Store, StoreError};

impl Store {
    /// Moves `path` into the trash and returns whether it was there. The bytes go with [`Store::empty_trash`].
    pub fn discard(&self, path: &Path) -> Result<bool, StoreError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut serial = 0_u32;
        loop {
            let pid = rustix::process::getpid().as_raw_nonzero();
            match fs::rename_new(path, self.path(format!("trash/{name}.{pid}.{serial}"))) {
                Ok(()) => return Ok(true),
                Err(error) if error.errno() == Errno::NOENT => return Ok(false),
                Err(error) if error.errno() == Errno::EXIST => serial += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Unlinks what this process has put into the trash, and what processes that are gone have left there; blocking.
    ///
    /// What another process has just discarded is that one's to unlink: two at one tree only get in each other's way.
    pub fn empty_trash(&self) -> Result<(), StoreError> {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let mut first = Ok(());
        for name in fs::list(self.path("trash"))? {
            let others =
                discarded_by(&name).is_some_and(|pid| pid != own && fs::exists(format!("/proc/{pid}")));
            if !others {
                // One that resists must not keep the others.
                first = first.and(remove_tree(&self.path("trash").join(name)));
            }
        }
        Ok(first?)
    }
}

/// The pid in a name that [`Store::discard`] gave.
fn discarded_by(name: &str) -> Option<i32> {
    name.rsplit('.').nth(1)?.parse().ok()
}

/// Removes a tree of any depth with a bounded number of descriptors; a missing one is no error.
///
/// Never follows a symlink. Several processes may remove the same tree at once.
pub(crate) fn remove_tree(path: &Path) -> Result<(), SysError> {
    let root = match open_directory(CWD, path) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return fs::remove_file(path),
        Err(errno) => return Err(SysError::at("open", path, errno)),
    };
    let mut removal = Removal { root: root.as_fd(), moved: 0 };
    loop {
        let moved = removal.moved;
        removal.empty(root.as_fd(), 0).on("remove", path)?;
        if removal.moved == moved {
            break;
        }
    }
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(SysError::at("rmdir", path, errno)),
    }
}

/// How many directories are open at once; what is deeper is moved up to the top first.
const DEPTH: usize = 32;

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
