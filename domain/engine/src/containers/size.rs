//! How much a container occupies: its own layer, and the image below it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use corten_sys::error::Context;
use corten_sys::{Errno, SysError};
use rustix::fs::{AtFlags, FileType};

use super::record::ContainerRecord;
use crate::{Engine, Error};

/// Bytes of regular files and links, as docker counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContainerSize {
    /// Of the container's own layer.
    pub own: u64,
    /// Of everything it sees: its own layer and the image.
    pub virtual_: u64,
}

/// Walks the container's own layer, which may be changing.
pub fn size(engine: &Engine, record: &ContainerRecord) -> Result<ContainerSize, Error> {
    let own = tree(&record.directory(engine).join("rw/upper"))?;
    let image = engine.store().image(&record.image)?.map_or(0, |image| image.size);
    Ok(ContainerSize { own, virtual_: own + image })
}

/// Sums the files below `root`, a hard-linked one once. The container shapes this tree: nothing leads out of it.
pub(crate) fn tree(root: &Path) -> Result<u64, SysError> {
    let root = match corten_sys::Dir::open(root) {
        // Removed meanwhile.
        Err(error) if error.errno() == Errno::NOENT => return Ok(0),
        other => other?,
    };
    let mut bytes = 0;
    let mut links = HashSet::new();
    let mut waiting = vec![PathBuf::from(".")];
    while let Some(path) = waiting.pop() {
        let Ok(directory) = root.open_dir(&path) else { continue };
        for entry in rustix::fs::Dir::read_from(&directory).on("readdir", &path)? {
            let entry = entry.on("readdir", &path)?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            else {
                continue;
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    waiting.push(path.join(OsStr::from_bytes(entry.file_name().to_bytes())));
                }
                FileType::RegularFile | FileType::Symlink
                    if stat.st_nlink < 2 || links.insert(stat.st_ino) =>
                {
                    bytes += stat.st_size.unsigned_abs();
                }
                _ => {}
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_sys::fs;

    #[test]
    fn files_are_counted_once_and_nothing_outside() {
        let root = std::env::temp_dir().join(format!("corten-size-{}", std::process::id()));
        fs::create_dir_all(root.join("upper/a/b"), 0o700).unwrap();
        fs::write_atomic(root.join("outside"), &[0; 5000]).unwrap();
        fs::write_atomic(root.join("upper/a/b/file"), &[0; 100]).unwrap();
        std::fs::hard_link(root.join("upper/a/b/file"), root.join("upper/link")).unwrap();
        fs::symlink("../outside", root.join("upper/out")).unwrap();
        assert_eq!(tree(&root.join("upper")).unwrap(), 110);
        assert_eq!(tree(&root.join("absent")).unwrap(), 0);
        fs::remove_dir_all(&root).unwrap();
    }
}
