//! A directory as overlayfs shows it: those of several layers, merged. Nothing is mounted for it.
//!
//! overlayfs.rst: the topmost entry of a name wins; a character device 0/0 hides what is below it; directories merge
//! down to the first that is opaque, or up to the first entry that is no directory.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use corten_sys::error::Context;
use corten_sys::{Errno, SysError};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use super::walk::Node;
use crate::layers::attributes;

/// A directory of a merged tree, or of a plain one.
#[derive(Debug)]
pub(crate) struct Layered {
    /// The directories that make it up, topmost first.
    parts: Vec<OwnedFd>,
    overlay: bool,
}

/// An entry of a [`Layered`].
pub(crate) struct Item {
    pub(crate) name: CString,
    pub(crate) stat: Stat,
    part: usize,
}

impl Item {
    pub(crate) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Layered {
    /// Merges trees, topmost first, by their trusted host paths.
    pub(crate) fn open<P: AsRef<Path>>(trees: &[P]) -> Result<Self, SysError> {
        let open =
            |path: &P| rustix::fs::openat(CWD, path.as_ref(), DIRECTORY, Mode::empty()).on("open", path);
        Ok(Self { parts: trees.iter().map(open).collect::<Result<_, _>>()?, overlay: true })
    }

    /// A directory as it is, of any file system.
    pub(crate) fn plain(directory: OwnedFd) -> Self {
        Self { parts: vec![directory], overlay: false }
    }

    /// No directory: what is below one that nothing is below.
    pub(crate) fn nothing() -> Self {
        Self { parts: Vec::new(), overlay: true }
    }

    /// The entry of a name.
    pub(crate) fn get(&self, name: &CStr) -> Result<Option<Item>, Errno> {
        for (part, directory) in self.parts.iter().enumerate() {
            match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if self.overlay && is_whiteout(&stat) => return Ok(None),
                Ok(stat) => return Ok(Some(Item { name: name.to_owned(), stat, part })),
                Err(Errno::NOENT | Errno::NAMETOOLONG) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(None)
    }

    /// The directory that really holds an entry.
    pub(crate) fn holder(&self, item: &Item) -> BorrowedFd<'_> {
        self.parts[item.part].as_fd()
    }

    /// Says whether there is a directory at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

/// What hides an entry of a lower layer.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Opens a directory directly in another, or `None` where there is no such directory.
pub(crate) fn open_below(directory: BorrowedFd<'_>, name: &CStr) -> Result<Option<OwnedFd>, Errno> {
    match rustix::fs::openat(directory, name, DIRECTORY, Mode::empty()) {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The names in a directory, without `.` and `..`.
pub(crate) fn names(directory: BorrowedFd<'_>) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            found.push((entry.file_name().to_owned(), entry.file_type()));
        }
    }
    Ok(found)
}

impl Node for Layered {
    type Item = Item;

    fn items(&self) -> Result<Vec<Item>, Errno> {
        // A name that is there twice belongs to the upper one.
        let mut found = BTreeMap::<CString, usize>::new();
        for (part, directory) in self.parts.iter().enumerate() {
            for (name, _) in names(directory.as_fd())? {
                found.entry(name).or_insert(part);
            }
        }
        let mut items = Vec::with_capacity(found.len());
        for (name, part) in found {
            match rustix::fs::statat(&self.parts[part], &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if self.overlay && is_whiteout(&stat) => {}
                Ok(stat) => items.push(Item { name, stat, part }),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(items)
    }

    fn name(item: &Item) -> &CStr {
        &item.name
    }

    fn enter(&self, name: &CStr) -> Result<Option<Self>, Errno> {
        let mut parts = Vec::new();
        for directory in &self.parts {
            match rustix::fs::openat(directory, name, DIRECTORY, Mode::empty()) {
                Ok(opened) => {
                    let is_last = self.overlay && attributes::is_opaque(&opened)?;
                    parts.push(opened);
                    if is_last {
                        break;
                    }
                }
                Err(Errno::NOENT | Errno::NAMETOOLONG) => {}
                // What is no directory, a whiteout for one, ends the merge.
                Err(Errno::NOTDIR | Errno::LOOP) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok((!parts.is_empty()).then_some(Self { parts, overlay: self.overlay }))
    }
}
