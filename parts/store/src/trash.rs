//! Deleting: a rename that makes the object disappear at once, then an unlink that may be interrupted.

use std::path::{Path, PathBuf};

use corten_sys::{Errno, SysError, fs, tree};

use crate::{Store, StoreError};

impl Store {
    /// Moves `path` into the trash and returns whether it was there. The bytes go with [`Store::empty_trash`].
    pub fn discard(&self, path: &Path) -> Result<bool, StoreError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match self.enter_trash(&name, |place| fs::rename_new(path, place)) {
            Ok(_) => Ok(true),
            Err(error) if error.errno() == Errno::NOENT => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a directory in the trash, for something to be built in that is moved to its place when it is whole.
    pub(crate) fn draft(&self, name: &str) -> Result<PathBuf, StoreError> {
        Ok(self.enter_trash(name, |place| fs::create_dir(place, 0o700))?)
    }

    /// Lets `enter` make something in the trash at a place of this process's own, and returns the place.
    fn enter_trash(
        &self,
        name: &str,
        enter: impl Fn(&Path) -> Result<(), SysError>,
    ) -> Result<PathBuf, SysError> {
        let pid = rustix::process::getpid().as_raw_nonzero();
        let mut serial = 0_u32;
        loop {
            let place = self.path(format!("trash/{name}.{pid}.{serial}"));
            match enter(&place) {
                Err(error) if error.errno() == Errno::EXIST => serial += 1,
                other => return other.map(|()| place),
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

/// The pid in a name that [`Store::enter_trash`] gave.
fn discarded_by(name: &str) -> Option<i32> {
    name.rsplit('.').nth(1)?.parse().ok()
}
