//! Copy-up: a new volume begins with what the image has at its mount point.
//!
//! Runs inside the container's user namespace on both sides, so ids stay as they are. Overwrites what an
//! interrupted earlier copy left; never removes anything.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use corten_sys::{Errno, SysError};
use rustix::fs::{AtFlags, Dir as Entries, FileType, Gid, Mode, OFlags, Stat, Timestamps, Uid};

/// Copies the directory `from` (in the image) into the directory `to` (the volume), with ids, modes and times.
pub(crate) fn copy(from: impl AsFd, to: impl AsFd, name: &str) -> Result<(), SysError> {
    let path = Path::new(name);
    let failed = |errno| SysError::at("open", path, errno);
    let from = directory(from.as_fd(), ".").map_err(failed)?;
    let to = directory(to.as_fd(), ".").map_err(failed)?;
    let stat = rustix::fs::fstat(&from).map_err(|errno| SysError::at("stat", path, errno))?;
    let mut stack = vec![(from, to, path.to_owned(), stat)];
    while let Some((from, to, path, stat)) = stack.pop() {
        entries(&from, &to, &path, &mut stack)?;
        attributes(&to, &stat).map_err(|errno| SysError::at("copy", &path, errno))?;
    }
    Ok(())
}

type Pending = (OwnedFd, OwnedFd, PathBuf, Stat);

fn entries(from: &OwnedFd, to: &OwnedFd, path: &Path, stack: &mut Vec<Pending>) -> Result<(), SysError> {
    let listing = Entries::read_from(from).map_err(|errno| SysError::at("readdir", path, errno))?;
    for entry in listing {
        let entry = entry.map_err(|errno| SysError::at("readdir", path, errno))?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let path = path.join(name.to_string_lossy().as_ref());
        let on = |errno| SysError::at("copy", &path, errno);
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(on)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                allow_existing(rustix::fs::mkdirat(to, name, Mode::from_bits_truncate(0o700))).map_err(on)?;
                let child = directory(from.as_fd(), name).map_err(on)?;
                stack.push((child, directory(to.as_fd(), name).map_err(on)?, path, stat));
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new()).map_err(on)?;
                allow_existing(rustix::fs::symlinkat(target, to, name)).map_err(on)?;
                owner_of_link(to, name, &stat).map_err(on)?;
            }
            FileType::RegularFile => file(from, to, name, &stat).map_err(on)?,
            FileType::Fifo => {
                let mode = Mode::from_raw_mode(stat.st_mode);
                allow_existing(rustix::fs::mknodat(to, name, FileType::Fifo, mode, 0)).map_err(on)?;
                owner_of_link(to, name, &stat).map_err(on)?;
            }
            // Devices cannot be made here, sockets mean nothing without their process.
            _ => {}
        }
    }
    Ok(())
}

fn allow_existing(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn directory<P: rustix::path::Arg>(at: BorrowedFd<'_>, name: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

fn file(from: &OwnedFd, to: &OwnedFd, name: &std::ffi::CStr, stat: &Stat) -> Result<(), Errno> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, OFlags::RDONLY | OFlags::NONBLOCK | flags, Mode::empty())?;
    let create = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | flags;
    let target = rustix::fs::openat(to, name, create, Mode::from_bits_truncate(0o600))?;
    let (mut source, mut target) = (File::from(source), File::from(target));
    io::copy(&mut source, &mut target).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    attributes(&target, stat)
}

fn attributes(fd: impl AsFd, stat: &Stat) -> Result<(), Errno> {
    rustix::fs::fchown(&fd, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(stat.st_mode))?;
    let at = |sec, nsec: u64| rustix::fs::Timespec { tv_sec: sec, tv_nsec: nsec.cast_signed() };
    let times = Timestamps {
        last_access: at(stat.st_atime, stat.st_atime_nsec),
        last_modification: at(stat.st_mtime, stat.st_mtime_nsec),
    };
    rustix::fs::futimens(&fd, &times)
}

fn owner_of_link(to: &OwnedFd, name: &std::ffi::CStr, stat: &Stat) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}
