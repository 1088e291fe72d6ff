//! Deleting: a rename that makes the object disappear at once, then an unlink that may be interrupted.

use std::path::{Path, PathBuf};

use corten_sys::{Errno, fs, tree};

use crate::{Store, StoreError};

impl Store {
    /// Moves `path` into the trash and returns whether it was there. The bytes go with [`Store::empty_trash`].
    pub fn discard(&self, path: &Path) -> Result<bool, StoreError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut serial = 0_u32;
        loop {
            let pid = rustix::process::getpid().as_raw_nonzero();
            match fs::rename_new(path, self.path(format!("trash/{name}.{pid}.{serial}"))) {
                Ok(()) => return Ok(true),
                Err(error) if error.errno() == Errno::NOENT => return Ok(false),
                Err(error) if error.errno() == Errno::EXIST => serial += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes a directory in the trash, for something to be built in that is moved to its place when it is whole.
    pub(crate) fn draft(&self, name: &str) -> Result<PathBuf, StoreError> {
        let pid = rustix::process::getpid().as_raw_nonzero();
        let mut serial = 0_u32;
        loop {
            let path = self.path(format!("trash/{name}.{pid}.{serial}"));
            match fs::create_dir(&path, 0o700) {
                Ok(()) => return Ok(path),
                Err(error) if error.errno() == Errno::EXIST => serial += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Unlinks what this process has put into the trash, and what processes that are gone have left there; blocking.
    ///
    /// What another process has just discarded is that one's to unlink: two at one tree only get in each other's way.
    pub fn empty_trash(&self) -> Result<(), StoreError> {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let mut first = Ok(());
        for name in fs::list(self.path("trash"))? {
            let others =
                discarded_by(&name).is_some_and(|pid| pid != own && fs::exists(format!("/proc/{pid}")));
            if !others {
                // One that resists must not keep the others.
                first = first.and(tree::remove(&self.path("trash").join(name)));
            }
        }
        Ok(first?)
    }
}

/// The pid in a name that [`Store::discard`] or [`Store::draft`] gave.
fn discarded_by(name: &str) -> Option<i32> {
    name.rsplit('.').nth(1)?.parse().ok()
}
