//! What a directory entry is, in the terms of archives.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::BorrowedFd;

use corten_sys::Errno;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, major, minor};

use crate::layers::attributes;
use crate::tar::{Entry, Kind};

/// An entry, and a regular file opened for reading.
pub(crate) struct Described {
    pub(crate) entry: Entry,
    pub(crate) file: Option<File>,
    pub(crate) stat: Stat,
}

/// Describes `name` in `directory` as `path`; `None` where it has gone, or is a socket, which no archive can hold.
/// `base` is what the ids of the tree begin at.
pub(crate) fn describe(
    directory: BorrowedFd<'_>,
    name: &CStr,
    path: &[u8],
    base: u32,
) -> Result<Option<Described>, Errno> {
    match attempt(directory, name, path, base) {
        Err(Errno::NOENT | Errno::NXIO) => Ok(None),
        other => other,
    }
}

fn attempt(
    directory: BorrowedFd<'_>,
    name: &CStr,
    path: &[u8],
    base: u32,
) -> Result<Option<Described>, Errno> {
    let mut stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let open = |flags: OFlags| {
        let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(directory, name, flags, Mode::empty())
    };
    let mut entry = Entry::new(path, Kind::File, 0);
    let mut file = None;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let opened = open(OFlags::empty())?;
            // What was opened counts, whatever was looked at.
            stat = rustix::fs::fstat(&opened)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Ok(None);
            }
            entry.size = u64::try_from(stat.st_size).unwrap_or(0);
            entry.stored = entry.size;
            entry.xattrs = attributes::read(&opened, base)?;
            file = Some(File::from(opened));
        }
        FileType::Directory => {
            let opened = open(OFlags::DIRECTORY)?;
            stat = rustix::fs::fstat(&opened)?;
            entry.xattrs = attributes::read(&opened, base)?;
            entry.kind = Kind::Directory;
            if !entry.path.ends_with(b"/") {
                entry.path.push(b'/');
            }
        }
        FileType::Symlink => {
            entry.kind = Kind::Symlink;
            entry.link = rustix::fs::readlinkat(directory, name, Vec::new())?.into_bytes();
        }
        FileType::CharacterDevice => entry.kind = Kind::CharDevice,
        FileType::BlockDevice => entry.kind = Kind::BlockDevice,
        FileType::Fifo => entry.kind = Kind::Fifo,
        _ => return Ok(None),
    }
    if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
        entry.device = (major(stat.st_rdev), minor(stat.st_rdev));
    }
    entry.mode = stat.st_mode & 0o7777;
    let id = |id: u32| u64::from(id.checked_sub(base).unwrap_or(id));
    (entry.uid, entry.gid) = (id(stat.st_uid), id(stat.st_gid));
    entry.mtime = (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
    Ok(Some(Described { entry, file, stat }))
}
