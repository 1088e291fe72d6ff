//! Volumes: `volumes/<name>/{volume.json,_data}`. Removed only by name, never because nothing points to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corten_sys::{Errno, SysError, fs, tree};
use serde::{Deserialize, Serialize};

use crate::{Store, StoreError, record};

/// What is known of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    pub version: u32,
    pub name: String,
    /// Nanoseconds since 1970.
    pub created: i64,
    pub driver: String,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
    /// Made for one container, by docker's rules for a volume without a name.
    pub anonymous: bool,
    /// The container (by id) that an anonymous volume goes with, if that is removed with its end.
    pub owner: Option<String>,
}

impl Store {
    /// The directory whose contents a container sees.
    pub fn volume_data(&self, name: &str) -> PathBuf {
        self.volume_dir(name).join("_data")
    }

    /// The directory of a volume.
    pub fn volume_dir(&self, name: &str) -> PathBuf {
        self.path("volumes").join(name)
    }

    /// Reads a volume's record.
    pub fn volume(&self, name: &str) -> Result<Option<Volume>, StoreError> {
        record::load(&self.volume_dir(name).join("volume.json"))
    }

    /// Lists all volumes by name.
    pub fn volumes(&self) -> Result<Vec<Volume>, StoreError> {
        let mut names = fs::list(self.path("volumes"))?;
        names.sort_unstable();
        let mut volumes = Vec::with_capacity(names.len());
        for name in names {
            volumes.extend(self.volume(&name)?);
        }
        Ok(volumes)
    }

    /// Makes a volume; false where one of that name is there already, which is left as it is.
    pub fn create_volume(&self, volume: &Volume) -> Result<bool, StoreError> {
        let directory = self.volume_dir(&volume.name);
        if fs::exists(directory.join("volume.json")) {
            return Ok(false);
        }
        // Built where what a killed command leaves is cleared away, and moved to its place whole.
        let draft = self.draft(&volume.name)?;
        let moved = fill(&draft, volume).and_then(|()| fs::rename_new(&draft, &directory));
        if moved.is_err() {
            // What stays goes with the trash.
            tree::remove(&draft).unwrap_or_default();
        }
        match moved {
            Err(error) if error.errno() == Errno::EXIST && fs::exists(directory.join("volume.json")) => {
                Ok(false)
            }
            // A directory without a record, as a restored backup may have: it becomes the volume's, with what is in it.
            Err(error) if error.errno() == Errno::EXIST => Ok(fill(&directory, volume).map(|()| true)?),
            other => {
                other?;
                Ok(fs::sync_parent(&directory).map(|()| true)?)
            }
        }
    }

    /// Removes a volume and what is in it; false where there is none.
    pub fn remove_volume(&self, name: &str) -> Result<bool, StoreError> {
        self.discard(&self.volume_dir(name))
    }
}

fn fill(directory: &Path, volume: &Volume) -> Result<(), SysError> {
    match fs::create_dir(directory.join("_data"), 0o755) {
        Err(error) if error.errno() == Errno::EXIST => {}
        other => other?,
    }
    fs::write_durable(directory.join("volume.json"), &record::render(volume))
}
