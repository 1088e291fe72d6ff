//! Contents that a later entry of the same tar replaced: the recipe still needs them.
//!
//! They end up in `kept/<n>` beside the tree, n being the recipe's number of the file.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use corten_sys::{Dir, Errno};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

/// The directory's name in a layer's.
pub(crate) const DIRECTORY: &str = "kept";

/// Takes what is replaced.
pub(crate) struct Kept {
    layer: Dir,
    /// Which inode holds the content of which of the recipe's files.
    inodes: HashMap<u64, u32>,
    /// How many directories were taken: `kept/tree.1` and so on until they are sorted.
    trees: u64,
}

impl Kept {
    pub(crate) fn new(layer: Dir) -> Self {
        Self { layer, inodes: HashMap::new(), trees: 0 }
    }

    /// Remembers which file holds the content of the recipe's file `number`.
    pub(crate) fn note(&mut self, stat: &Stat, number: u32) {
        self.inodes.insert(stat.st_ino, number);
    }

    /// Takes `name` out of the tree, for good where the recipe does not need it.
    pub(crate) fn take(&mut self, parent: impl AsFd, name: &[u8], stat: &Stat) -> Result<(), Errno> {
        let target = match (FileType::from_raw_mode(stat.st_mode), self.inodes.get(&stat.st_ino)) {
            (FileType::Directory, _) => {
                self.trees += 1;
                tree_name(self.trees)
            }
            (FileType::RegularFile, Some(number)) => number.to_string(),
            _ => return rustix::fs::unlinkat(parent, name, AtFlags::empty()),
        };
        let kept = self.directory()?;
        rustix::fs::renameat(&parent, name, &kept, &target)?;
        remove_second_link(parent.as_fd(), name)
    }

    /// Empties the trees that were taken: contents that the recipe names get their numbers, the rest goes.
    pub(crate) fn sort(&mut self) -> Result<(), Errno> {
        let mut next = 0;
        // Directories met inside become trees of their own, so the depth does not matter.
        while next < self.trees {
            next += 1;
            let kept = self.directory()?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let tree = rustix::fs::openat(&kept, tree_name(next), flags, Mode::empty())?;
            for item in rustix::fs::Dir::read_from(&tree)? {
                let item = item?;
                if !matches!(item.file_name().to_bytes(), b"." | b"..") {
                    self.sort_item(tree.as_fd(), item.file_name(), &kept)?;
                }
            }
            rustix::fs::unlinkat(&kept, tree_name(next), AtFlags::REMOVEDIR)?;
        }
        Ok(())
    }

    fn sort_item(&mut self, tree: BorrowedFd<'_>, name: &CStr, kept: &Dir) -> Result<(), Errno> {
        let stat = rustix::fs::statat(tree, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match (FileType::from_raw_mode(stat.st_mode), self.inodes.get(&stat.st_ino)) {
            (FileType::Directory, _) => {
                self.trees += 1;
                rustix::fs::renameat(tree, name, kept, tree_name(self.trees))
            }
            (FileType::RegularFile, Some(number)) => {
                rustix::fs::renameat(tree, name, kept, number.to_string())?;
                remove_second_link(tree, name.to_bytes())
            }
            _ => rustix::fs::unlinkat(tree, name, AtFlags::empty()),
        }
    }

    fn directory(&self) -> Result<Dir, Errno> {
        self.layer.create_dir_all(DIRECTORY, 0o700).map_err(|error| error.errno())
    }
}

fn tree_name(number: u64) -> String {
    format!("tree.{number}")
}

/// rename(2) of one hard link over another of the same file does nothing and reports success.
fn remove_second_link(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}
