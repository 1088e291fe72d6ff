//! The file that `save` and `export` write: in place when it is whole, or not at all.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use corten_sys::{SysError, fs};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::CliError;

/// Refuses what no archive can be put in place of, in docker's words.
pub(crate) fn check_target(path: &Path) -> Result<(), String> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if let Err(errno) = rustix::fs::stat(directory) {
        return Err(format!("invalid output path: {}", SysError::at("stat", directory, errno)));
    }
    let Ok(metadata) = path.metadata() else { return Ok(()) };
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => Ok(()),
        () if kind.is_dir() => Err("cannot write to a directory".to_owned()),
        () if kind.is_char_device() => Err("cannot write to a character device file".to_owned()),
        () if kind.is_block_device() => Err("cannot write to a block device file".to_owned()),
        () => Err("cannot write to an irregular file".to_owned()),
    }
}

/// A file that takes the target's place when it is whole. Until then it has no name, so that nothing is left of it
/// however the command ends; where the file system cannot do that, it has one beside the target.
#[derive(Debug)]
pub(crate) struct ArchiveFile {
    file: File,
    staged: PathBuf,
    named: bool,
    target: PathBuf,
}

impl ArchiveFile {
    pub(crate) fn create(path: &Path) -> Result<Self, CliError> {
        // A link stays, what it leads to is replaced.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let staged = target.with_file_name(format!(".{name}.{}", std::process::id()));
        let directory = target.parent().unwrap_or(Path::new("/"));
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        if let Ok(file) = rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
            return Ok(Self { file: file.into(), staged, named: false, target });
        }
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).to_owned();
        let file = fs::open_with(&staged, &options).map_err(CliError::plain)?;
        Ok(Self { file, staged, named: true, target })
    }

    /// What takes the archive.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts it in place.
    pub(crate) fn publish(mut self) -> Result<(), CliError> {
        self.file.flush().map_err(|error| CliError::plain(format!("write the archive: {error}")))?;
        if !self.named {
            // linkat(2): the way to name an O_TMPFILE file.
            let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            rustix::fs::linkat(CWD, unnamed, CWD, &self.staged, AtFlags::SYMLINK_FOLLOW)
                .map_err(|errno| CliError::plain(SysError::at("link", &self.staged, errno)))?;
            self.named = true;
        }
        fs::rename(&self.staged, &self.target).map_err(CliError::plain)?;
        self.named = false;
        Ok(())
    }
}

impl Drop for ArchiveFile {
    fn drop(&mut self) {
        if self.named {
            // The failure that brought us here is what the user is told.
            fs::remove_file(&self.staged).unwrap_or_default();
        }
    }
}
