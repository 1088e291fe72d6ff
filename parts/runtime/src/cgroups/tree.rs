//! Walking and removing a cgroup directory with whatever a container made below it, by descriptors.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use corten_sys::{Errno, SysError, fs};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);

/// Opens a cgroup directory.
pub(super) fn open(path: &Path) -> Result<OwnedFd, SysError> {
    rustix::fs::open(path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| SysError::at("open", path, errno))
}

fn subdirectories(directory: BorrowedFd<'_>) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if entry.file_type() == FileType::Directory && !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// The directory or a file in it went away meanwhile (kernfs answers ENODEV once it is being removed).
fn gone(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NODEV)
}

/// Lists the processes in `root` and below; a directory that is not there has none.
pub(super) fn pids(root: &Path) -> Result<Vec<i32>, SysError> {
    let failed = |errno| SysError::at("read processes of", root, errno);
    let mut pids = Vec::new();
    let mut stack: Vec<(OwnedFd, Vec<CString>)> = Vec::new();
    match open(root) {
        Ok(fd) => stack.push(enter(fd, &mut pids).map_err(failed)?),
        Err(error) if gone(error.errno()) => return Ok(pids),
        Err(error) => return Err(error),
    }
    while let Some((directory, children)) = stack.last_mut() {
        let Some(child) = children.pop() else {
            stack.pop();
            continue;
        };
        match rustix::fs::openat(&*directory, &child, DIRECTORY, Mode::empty()) {
            Ok(fd) => stack.push(enter(fd, &mut pids).map_err(failed)?),
            Err(errno) if gone(errno) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
    Ok(pids)
}

/// Reads the processes of one directory and lists what is below it.
fn enter(directory: OwnedFd, pids: &mut Vec<i32>) -> Result<(OwnedFd, Vec<CString>), Errno> {
    match read_file(directory.as_fd(), "cgroup.procs") {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text).into_owned();
            // 0 is a process outside the reader's pid namespace.
            pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
        }
        // cgroups(7): a threaded cgroup; its threads' processes are listed by the domain above.
        Err(Errno::OPNOTSUPP) => {}
        Err(errno) if gone(errno) => return Ok((directory, Vec::new())),
        Err(errno) => return Err(errno),
    }
    let children = match subdirectories(directory.as_fd()) {
        Err(errno) if gone(errno) => Vec::new(),
        other => other?,
    };
    Ok((directory, children))
}

fn read_file(directory: BorrowedFd<'_>, name: &str) -> Result<Vec<u8>, Errno> {
    let fd = rustix::fs::openat(directory, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    fs::read_fd(&fd, name).map_err(|error| error.errno())
}

/// Removes a cgroup directory and everything below it, deepest first; one that is not there is no error.
///
/// EBUSY means that a process is inside, or exited so recently that the kernel still counts it.
pub(super) fn remove(root: &Path) -> Result<(), SysError> {
    match rustix::fs::unlinkat(CWD, root, AtFlags::REMOVEDIR) {
        Ok(()) => return Ok(()),
        Err(errno) if gone(errno) => return Ok(()),
        // Directories below count as busy.
        Err(Errno::BUSY | Errno::NOTEMPTY) => {}
        Err(errno) => return Err(SysError::at("rmdir", root, errno)),
    }
    remove_below(root).map_err(|errno| SysError::at("rmdir below", root, errno))?;
    match rustix::fs::unlinkat(CWD, root, AtFlags::REMOVEDIR) {
        Err(errno) if !gone(errno) => Err(SysError::at("rmdir", root, errno)),
        _ => Ok(()),
    }
}

/// Descends into the first child as far as it goes, removes that leaf, steps back: two descriptors at any depth.
fn remove_below(root: &Path) -> Result<(), Errno> {
    let mut names: Vec<CString> = Vec::new();
    let mut current = rustix::fs::open(root, DIRECTORY, Mode::empty())?;
    loop {
        if let Some(child) = subdirectories(current.as_fd())?.pop() {
            current = rustix::fs::openat(&current, &child, DIRECTORY, Mode::empty())?;
            names.push(child);
            continue;
        }
        let Some(name) = names.pop() else { return Ok(()) };
        current = rustix::fs::openat(&current, c"..", DIRECTORY, Mode::empty())?;
        match rustix::fs::unlinkat(&current, &name, AtFlags::REMOVEDIR) {
            Err(errno) if !gone(errno) => return Err(errno),
            _ => {}
        }
    }
}
