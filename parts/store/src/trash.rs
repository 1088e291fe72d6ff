//! Deleting: a rename that makes the object disappear at once, then an unlink that may be interrupted.

use std::path::Path;

use corten_sys::{Errno, SysError, fs};

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

    /// Unlinks what is in the trash. Safe beside other commands doing the same; blocking.
    pub fn empty_trash(&self) -> Result<(), StoreError> {
        for name in fs::list(self.path("trash"))? {
            remove_tree(&self.path("trash").join(name))?;
        }
        Ok(())
    }
}

fn remove_tree(path: &Path) -> Result<(), SysError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.errno() == Errno::NOTDIR => fs::remove_file(path),
        other => other,
    }
}
