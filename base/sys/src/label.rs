//! SELinux labels of files: the attribute `security.selinux`. Where a file system takes none, its mount has one for all
//! its files: setting one there is no error, and does nothing.
//!
//! Trees are walked by descriptors, with a number of them that does not grow with the tree, and no symlink is followed:
//! whoever shares the tree may change it meanwhile.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, XattrFlags};

use crate::error::{Errno, SysError};

const ATTRIBUTE: &str = "security.selinux";

/// Labels a file, not what a symlink leads to.
pub fn set(path: impl AsRef<Path>, label: &str) -> Result<(), SysError> {
    let path = path.as_ref();
    possible(rustix::fs::lsetxattr(path, ATTRIBUTE, label.as_bytes(), XattrFlags::empty()))
        .map_err(|errno| SysError::at("label", path, errno))
}

/// Labels what is behind a descriptor, which is not of the O_PATH kind; `name` is for the error.
pub fn set_on(fd: impl AsFd, name: &str, label: &str) -> Result<(), SysError> {
    possible(rustix::fs::fsetxattr(fd, ATTRIBUTE, label.as_bytes(), XattrFlags::empty()))
        .map_err(|errno| SysError::at("label", name, errno))
}

/// The label of a file, without the NUL that some write behind it; `None` where its file system has none.
pub fn get(path: impl AsRef<Path>) -> Option<String> {
    let mut buffer = [0_u8; 4096];
    let length = rustix::fs::lgetxattr(path.as_ref(), ATTRIBUTE, &mut buffer).ok()?;
    let text = String::from_utf8_lossy(buffer.get(..length)?).into_owned();
    Some(text.trim_end_matches('\0').to_owned())
}

/// Labels a file, or a directory with everything below it. What goes away meanwhile is no error.
pub fn set_tree(path: impl AsRef<Path>, label: &str) -> Result<(), SysError> {
    let path = path.as_ref();
    set(path, label)?;
    match open(CWD, path) {
        Ok(root) => walk(root, label).map_err(|errno| SysError::at("label what is in", path, errno)),
        Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
        Err(errno) => Err(SysError::at("open", path, errno)),
    }
}

/// A directory on the way down: which it is, and what is still to be walked in it.
struct Level {
    identity: (u64, u64),
    below: Vec<CString>,
}

fn walk(root: OwnedFd, label: &str) -> Result<(), Errno> {
    let mut here = root;
    let mut way = vec![enter(&here, label)?];
    while let Some(level) = way.last_mut() {
        if let Some(name) = level.below.pop() {
            match open(&here, name.as_c_str()) {
                Ok(directory) => {
                    here = directory;
                    way.push(enter(&here, label)?);
                }
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(errno),
            }
            continue;
        }
        way.pop();
        let Some(above) = way.last() else { break };
        here = open(&here, "..")?;
        // Others may have moved the directory somewhere else.
        if identity(&here)? != above.identity {
            return Err(Errno::AGAIN);
        }
    }
    Ok(())
}

/// Labels everything right in a directory and lists the directories among it.
fn enter(directory: &OwnedFd, label: &str) -> Result<Level, Errno> {
    let mut below = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match set_in(directory, name, label) {
            Err(Errno::NOENT) => continue,
            other => other?,
        }
        if matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
            below.push(name.to_owned());
        }
    }
    Ok(Level { identity: identity(directory)?, below })
}

/// There is no setxattrat(2) before Linux 6.13; the descriptor's link leads to the directory itself.
fn set_in(directory: &OwnedFd, name: &CStr, label: &str) -> Result<(), Errno> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    possible(rustix::fs::lsetxattr(path, ATTRIBUTE, label.as_bytes(), XattrFlags::empty()))
}

fn possible(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::OPNOTSUPP) => Ok(()),
        other => other,
    }
}

fn identity(directory: &OwnedFd) -> Result<(u64, u64), Errno> {
    let stat = rustix::fs::fstat(directory)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn open<P: rustix::path::Arg>(at: impl AsFd, name: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}
