//! What a container changed in its root file system, as docker tells it: added, changed, deleted.
//!
//! docker compares what can be seen: something that was touched and is as it was is no change; a directory is one if
//! something in it is; below what was added, or deleted, everything was, but only what was added is told.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use corten_sys::{Errno, SysError};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use super::layered::{Layered, is_whiteout};
use super::pair::{Hiding, Pair};
use super::path::as_path;
use super::walk::{Node, Step, walk};
use crate::StoreError;
use crate::layers::attributes;

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Changed,
    Added,
    Deleted,
}

/// One changed path, absolute in the container; not necessarily text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    pub path: PathBuf,
}

/// Compares an upper tree with the layers it stands on, topmost first. Parents come before their children.
pub(crate) fn changes(upper: &Path, lowers: &[PathBuf]) -> Result<Vec<Change>, StoreError> {
    let root = Pair {
        upper: corten_sys::Dir::open(upper)?.into(),
        lower: Layered::open(lowers)?,
        hiding: Hiding::Nothing,
    };
    let mut found = Found::default();
    walk(root, b"", &mut |step| found.step(&step).map_err(StoreError::from))?;
    found.changes.sort_by(|a, b| a.path.components().cmp(b.path.components()));
    Ok(found.changes)
}

#[derive(Default)]
struct Found {
    changes: Vec<Change>,
    /// Directories on the way down that are not told of yet, because nothing below them was.
    silent: Vec<Vec<u8>>,
}

impl Found {
    fn step(&mut self, step: &Step<'_, Pair>) -> Result<bool, SysError> {
        let (Step::Item { path, .. } | Step::Into { path, .. }) = step;
        let failed = |errno| SysError::at("compare", as_path(path), errno);
        match step {
            Step::Item { at, path, item } => self.item(at, path, item).map_err(failed),
            Step::Into { at, path } if at.hiding != Hiding::Nothing => {
                self.hidden(at, path).map(|()| true).map_err(failed)
            }
            Step::Into { .. } => Ok(true),
        }
    }

    fn item(&mut self, at: &Pair, path: &[u8], item: &super::pair::Item) -> Result<bool, Errno> {
        let before = at.lower.get(&item.name)?;
        if is_whiteout(&item.stat) {
            if before.is_some() {
                self.add(ChangeKind::Deleted, path);
            }
            return Ok(false);
        }
        let is_directory = FileType::from_raw_mode(item.stat.st_mode) == FileType::Directory;
        match &before {
            None => self.add(ChangeKind::Added, path),
            Some(before) => {
                let differs = differ(&before.stat, &item.stat)
                    || capability(at.lower.holder(before), &item.name, &before.stat)?
                        != capability(at.upper.as_fd(), &item.name, &item.stat)?;
                match () {
                    () if differs => self.add(ChangeKind::Changed, path),
                    () if is_directory => self.silent.push(path.to_vec()),
                    () => {}
                }
            }
        }
        Ok(is_directory)
    }

    /// Tells of what an opaque directory, or one in it, hides.
    fn hidden(&mut self, at: &Pair, path: &[u8]) -> Result<(), Errno> {
        for before in at.lower.items()? {
            match rustix::fs::statat(&at.upper, &before.name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {
                    self.add(ChangeKind::Deleted, &super::path::join(path, before.name.to_bytes()));
                }
                Err(errno) => return Err(errno),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, kind: ChangeKind, path: &[u8]) {
        let change = |kind, path: &[u8]| Change { kind, path: Path::new("/").join(as_path(path)) };
        for directory in std::mem::take(&mut self.silent) {
            if path.strip_prefix(directory.as_slice()).is_some_and(|rest| rest.starts_with(b"/")) {
                self.changes.push(change(ChangeKind::Changed, &directory));
            }
        }
        self.changes.push(change(kind, path));
    }
}

/// docker's `statDifferent`: a directory's size and time say nothing about it.
fn differ(before: &Stat, now: &Stat) -> bool {
    let same_time = before.st_mtime == now.st_mtime
        && (before.st_mtime_nsec == now.st_mtime_nsec || before.st_mtime_nsec == 0 || now.st_mtime_nsec == 0);
    let is_directory = FileType::from_raw_mode(now.st_mode) == FileType::Directory;
    before.st_mode != now.st_mode
        || before.st_uid != now.st_uid
        || before.st_gid != now.st_gid
        || before.st_rdev != now.st_rdev
        || !is_directory && (!same_time || before.st_size != now.st_size)
}

fn capability(directory: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<Option<Vec<u8>>, Errno> {
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Ok(file) => attributes::capability(&file),
        // It has gone, or has become something else.
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno),
    }
}
