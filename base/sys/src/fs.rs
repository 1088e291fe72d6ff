//! Whole-file operations on trusted host paths; every error names the path.
//!
//! Not for anything a container can touch: use [`crate::Dir`] there.

#![allow(clippy::disallowed_methods, reason = "this is the wrapper the lint points to")]

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, IFlags, RenameFlags};

use crate::error::{Context, Errno, SysError};

/// Reads a whole file.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, SysError> {
    fs::read(&path).on("read", path)
}

/// Reads a whole file as UTF-8; other bytes are EILSEQ.
pub fn read_to_string(path: impl AsRef<Path>) -> Result<String, SysError> {
    let bytes = read(&path)?;
    String::from_utf8(bytes).map_err(|_| SysError::at("read", path, Errno::ILSEQ))
}

/// Reads a whole file, or `None` where there is none.
pub fn read_if_exists(path: impl AsRef<Path>) -> Result<Option<Vec<u8>>, SysError> {
    absent_is_none(read(path))
}

/// As [`read_if_exists`] for a small regular file that is only ever replaced whole: its end is where a read is cut
/// short, which saves half of the calls.
pub fn read_record(path: impl AsRef<Path>) -> Result<Option<Vec<u8>>, SysError> {
    use rustix::fs::{Mode, OFlags};
    let path = path.as_ref();
    let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).on("open", path);
    let Some(file) = absent_is_none(opened)? else { return Ok(None) };
    // Most fit at once, on the stack: a list of containers reads two for each.
    let mut first = [0; 4096];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut first)).on("read", path)?;
    let mut bytes = first.get(..length).unwrap_or_default().to_vec();
    if length == first.len() {
        File::from(file).read_to_end(&mut bytes).on("read", path)?;
    }
    Ok(Some(bytes))
}

/// Turns a NotFound error into `None`.
pub fn absent_is_none<T>(result: Result<T, SysError>) -> Result<Option<T>, SysError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.errno() == Errno::NOENT => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens a file for reading, close-on-exec.
pub fn open(path: impl AsRef<Path>) -> Result<File, SysError> {
    File::open(&path).on("open", path)
}

/// Opens with explicit options, close-on-exec.
pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<File, SysError> {
    options.open(&path).on("open", path)
}

/// Creates a file that must not exist, mode 0600.
pub fn create_new(path: impl AsRef<Path>) -> Result<File, SysError> {
    let mut options = OpenOptions::new();
    open_with(path, options.write(true).create_new(true).mode(0o600))
}

/// Writes `bytes` into an existing kernel file (procfs, sysfs, cgroup) with one write call.
pub fn write_kernel_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), SysError> {
    let path = path.as_ref();
    let mut file = OpenOptions::new().write(true).open(path).on("open", path)?;
    file.write_all(bytes).on("write", path)
}

/// Replaces or creates a file: the contents are visible whole or not at all, but not yet durable.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), SysError> {
    let path = path.as_ref();
    let temporary = temporary_beside(path);
    // Every error names the file that was to be written: the other name is nobody's business.
    let mut file = create_new(&temporary).map_err(|error| SysError::at(error.call(), path, error.errno()))?;
    let written = file.write_all(bytes).on("write", path);
    written.and_then(|()| rename(&temporary, path)).inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// As [`write_atomic`], and durable: the data, then the name, are synced before it returns.
pub fn write_durable(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), SysError> {
    let path = path.as_ref();
    let temporary = temporary_beside(path);
    // Every error names the file that was to be written: the other name is nobody's business.
    let mut file = create_new(&temporary).map_err(|error| SysError::at(error.call(), path, error.errno()))?;
    let written = file
        .write_all(bytes)
        .on("write", path)
        .and_then(|()| rustix::fs::fdatasync(&file).on("fdatasync", path))
        .and_then(|()| rename(&temporary, path));
    written.inspect_err(|_| drop(fs::remove_file(&temporary)))?;
    sync_parent(path)
}

/// Syncs the directory that holds `path`, making its names durable.
pub fn sync_parent(path: impl AsRef<Path>) -> Result<(), SysError> {
    let parent = path.as_ref().parent().unwrap_or(Path::new("/"));
    let directory = File::open(parent).on("open", parent)?;
    rustix::fs::fsync(&directory).on("fsync", parent)
}

/// Makes a file's data durable.
pub fn sync_file(path: impl AsRef<Path>) -> Result<(), SysError> {
    let file = File::open(&path).on("open", &path)?;
    rustix::fs::fdatasync(&file).on("fdatasync", path)
}

/// Sets the permission bits of a file.
pub fn set_mode(path: impl AsRef<Path>, mode: u32) -> Result<(), SysError> {
    rustix::fs::chmod(path.as_ref(), rustix::fs::Mode::from_bits_truncate(mode)).on("chmod", path)
}

/// Renames within one file system, replacing the target.
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), SysError> {
    fs::rename(&from, to).on("rename", from)
}

/// Renames within one file system; EEXIST where the target exists.
pub fn rename_new(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), SysError> {
    rustix::fs::renameat_with(CWD, from.as_ref(), CWD, to.as_ref(), RenameFlags::NOREPLACE).on("rename", to)
}

/// Creates a directory that must not exist.
pub fn create_dir(path: impl AsRef<Path>, mode: u32) -> Result<(), SysError> {
    fs::DirBuilder::new().mode(mode).create(&path).on("mkdir", path)
}

/// Creates a directory and its missing parents.
pub fn create_dir_all(path: impl AsRef<Path>, mode: u32) -> Result<(), SysError> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(&path).on("mkdir", path)
}

/// Lets the kernel begin to write a file to the disk, so that a later sync has less to wait for. A hint: nothing is
/// durable by it, and a file system that cannot do it does not.
pub fn begin_writeback(file: impl AsFd) {
    // SAFETY: the call takes numbers only; the descriptor is borrowed, so it is open.
    unsafe { libc::sync_file_range(file.as_fd().as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Tells the file system that the trees in a directory have nothing to do with each other (chattr +T), so that ext4
/// puts each of them somewhere else on the disk. A hint: a file system without it is left as it is.
pub fn keep_trees_apart(directory: impl AsRef<Path>) -> Result<(), SysError> {
    let directory = open(directory)?;
    if let Ok(flags) = rustix::fs::ioctl_getflags(&directory) {
        rustix::fs::ioctl_setflags(&directory, flags | IFlags::TOPDIR).unwrap_or_default();
    }
    Ok(())
}

/// Removes a file; one that is not there is no error.
pub fn remove_file(path: impl AsRef<Path>) -> Result<(), SysError> {
    absent_is_none(fs::remove_file(&path).on("unlink", path)).map(drop)
}

/// Removes a directory tree of trusted names; one that is not there is no error.
pub fn remove_dir_all(path: impl AsRef<Path>) -> Result<(), SysError> {
    absent_is_none(fs::remove_dir_all(&path).on("remove", path)).map(drop)
}

/// Creates a symbolic link whose target is any text; EEXIST where the name is taken.
pub fn symlink(target: impl AsRef<Path>, path: impl AsRef<Path>) -> Result<(), SysError> {
    std::os::unix::fs::symlink(target, &path).on("symlink", path)
}

/// Reads a symbolic link's target.
pub fn read_link(path: impl AsRef<Path>) -> Result<PathBuf, SysError> {
    fs::read_link(&path).on("readlink", path)
}

/// Lists the names in a directory, unordered; a missing directory is empty.
pub fn list(path: impl AsRef<Path>) -> Result<Vec<String>, SysError> {
    let path = path.as_ref();
    let Some(entries) = absent_is_none(fs::read_dir(path).on("readdir", path))? else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.on("readdir", path)?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

/// Opens a path without following a final symlink and without access rights (O_PATH).
pub fn open_path(path: impl AsRef<Path>) -> Result<OwnedFd, SysError> {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::open(path.as_ref(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).on("open", path)
}

/// Says whether a name exists, without following a final symlink.
pub fn exists(path: impl AsRef<Path>) -> bool {
    rustix::fs::statat(CWD, path.as_ref(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Reads a descriptor to its end.
pub fn read_fd(fd: impl AsFd, name: &str) -> Result<Vec<u8>, SysError> {
    let mut file = File::from(fd.as_fd().try_clone_to_owned().on("dup", name)?);
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).on("read", name)?;
    Ok(bytes)
}

fn temporary_beside(path: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let serial = NEXT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{name}.{}.{serial}.tmp", rustix::process::getpid().as_raw_nonzero()))
}
