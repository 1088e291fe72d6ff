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
    let own = tree(&record.directory(engine).join("rw/upper"), Measure::Files)?;
    let image = engine.store().image(&record.image)?.map_or(0, |image| image.size);
    Ok(ContainerSize { own, virtual_: own + image })
}

/// What is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    /// The lengths of regular files and links.
    Files,
    /// The blocks of everything, as `du` counts.
    Occupied,
}

/// Sums what is below `root`, a hard-linked file once. The container shapes this tree: nothing leads out of it.
pub(crate) fn tree(root: &Path, measure: Measure) -> Result<u64, SysError> {
    let path = root;
    let root = match corten_sys::Dir::open(root) {
        // Removed meanwhile.
        Err(error) if error.errno() == Errno::NOENT => return Ok(0),
        Err(error) if error.errno() == Errno::NOTDIR => return own_blocks(path),
        other => other?,
    };
    let mut bytes = if measure == Measure::Occupied { own_blocks(path)? } else { 0 };
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
            let length = match measure {
                Measure::Files => stat.st_size.unsigned_abs(),
                Measure::Occupied => blocks(&stat),
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    if measure == Measure::Occupied {
                        bytes += length;
                    }
                    waiting.push(path.join(OsStr::from_bytes(entry.file_name().to_bytes())));
                }
                FileType::RegularFile | FileType::Symlink
                    if stat.st_nlink < 2 || links.insert(stat.st_ino) =>
                {
                    bytes += length;
                }
                _ => {}
            }
        }
    }
    Ok(bytes)
}

/// Bytes on the disk of what is at `path` itself; nothing where there is nothing.
pub(crate) fn own_blocks(path: &Path) -> Result<u64, SysError> {
    match rustix::fs::lstat(path) {
        Ok(stat) => Ok(blocks(&stat)),
        Err(Errno::NOENT) => Ok(0),
        Err(errno) => Err(SysError::at("stat", path, errno)),
    }
}

/// stat(2): in units of 512 bytes, whatever the file system's.
fn blocks(stat: &rustix::fs::Stat) -> u64 {
    stat.st_blocks.unsigned_abs() * 512
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
        assert_eq!(tree(&root.join("upper"), Measure::Files).unwrap(), 110);
        assert_eq!(tree(&root.join("absent"), Measure::Occupied).unwrap(), 0);
        let du = std::process::Command::new("du").arg("-sB1").arg(&root).output().unwrap().stdout;
        let du: u64 = String::from_utf8_lossy(&du).split_whitespace().next().unwrap().parse().unwrap();
        assert_eq!(tree(&root, Measure::Occupied).unwrap(), du);
        fs::remove_dir_all(&root).unwrap();
    }
}
