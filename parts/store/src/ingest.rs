//! Leases: directories in which objects are made before they are visible.
//!
//! A lease is `ingest/<random>/`, flocked by its owner for as long as it lives. What a dead owner left is
//! collected by whoever comes next; nothing in a lease was ever visible.

use std::fs::File;
use std::path::{Path, PathBuf};

use corten_spec::DiffId;
use corten_sys::error::Context;
use corten_sys::{Errno, SysError, fs, tree};
use rustix::fs::FlockOperation;

use crate::lock::Lock;
use crate::{Store, StoreError};

/// A private directory of one command; its contents go when it is dropped.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    path: PathBuf,
    /// Holds the flock.
    directory: File,
}

impl Lease {
    /// Makes a lease.
    pub fn new(store: &Store) -> Result<Self, StoreError> {
        loop {
            let path = store.path("ingest").join(random_name()?);
            fs::create_dir(&path, 0o700)?;
            // A collector may take it before it is locked: then another.
            let Some(directory) = fs::absent_is_none(fs::open(&path))? else { continue };
            rustix::fs::flock(&directory, FlockOperation::LockExclusive).on("flock", &path)?;
            if fs::exists(&path) {
                return Ok(Self { store: store.clone(), path, directory });
            }
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The store it belongs to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Makes everything in the store durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        rustix::fs::syncfs(&self.directory).on("syncfs", &self.path)?;
        Ok(())
    }

    /// Protects a layer from removal for as long as the lease lives, and says whether it is there.
    ///
    /// Takes the images lock for a moment, so that no removal is between its decision and its deed.
    pub(crate) fn hold(&self, diff_id: &DiffId) -> Result<bool, StoreError> {
        let _lock = self.store.lock_images()?;
        let holds = self.path.join(HOLDS);
        fs::create_dir_all(&holds, 0o700)?;
        match fs::create_new(holds.join(diff_id.0.file_name())) {
            Err(error) if error.errno() != Errno::EXIST => return Err(error.into()),
            _ => {}
        }
        Ok(fs::exists(self.store.layer_path(diff_id)))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next collector, as after a crash.
        drop(tree::remove(&self.path));
    }
}

const HOLDS: &str = "holds";

impl Store {
    /// Removes the leases whose owners are dead, and returns how many there were. Blocking; safe at any time.
    pub fn collect_stale_ingests(&self) -> Result<usize, StoreError> {
        let mut collected = 0;
        for name in fs::list(self.path("ingest"))? {
            let path = self.path("ingest").join(name);
            if let Some(directory) = fs::absent_is_none(fs::open(&path))? {
                match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                    Ok(()) => {
                        tree::remove(&path)?;
                        collected += 1;
                    }
                    Err(Errno::WOULDBLOCK) => {}
                    Err(errno) => return Err(SysError::at("flock", &path, errno).into()),
                }
            }
        }
        Ok(collected)
    }

    /// The layers that leases protect. The caller holds the images lock.
    pub(crate) fn held_layers(&self) -> Result<Vec<DiffId>, StoreError> {
        let mut held = Vec::new();
        for lease in fs::list(self.path("ingest"))? {
            for name in fs::list(self.path("ingest").join(lease).join(HOLDS))? {
                held.extend(corten_spec::Digest::from_file_name(&name).map(DiffId));
            }
        }
        Ok(held)
    }

    /// Takes the lock under which image records, references and the set of layers change.
    pub fn lock_images(&self) -> Result<Lock, StoreError> {
        Ok(Lock::exclusive(&self.path("images/lock"))?)
    }

    /// Keeps images, references and layers as they are while a container is made of them, beside others.
    pub fn share_images(&self) -> Result<Lock, StoreError> {
        Ok(Lock::shared(&self.path("images/lock"))?)
    }
}

fn random_name() -> Result<String, SysError> {
    let number = getrandom::u64().map_err(|_| SysError::new("getrandom", "", Errno::IO))?;
    Ok(format!("{number:016x}"))
}
