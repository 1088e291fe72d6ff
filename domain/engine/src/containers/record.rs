//! The record of a container: what it was asked to be and what that came to, fixed when it is created.

use std::path::PathBuf;

use corten_spec::ImageId;
use corten_spec::digest::DiffId;
use corten_spec::image_config::Healthcheck;
use corten_sys::{SysError, fs};
use serde::{Deserialize, Serialize};

use super::spec::{ContainerSpec, MountKind, Relabel, Share};
use crate::{Engine, Error};

/// The name of the record in a container's directory.
const FILE: &str = "container.json";

/// Everything a start needs, in one read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    pub version: u32,
    pub id: String,
    pub name: String,
    /// Nanoseconds since 1970.
    pub created: i64,
    pub image: ImageId,
    pub spec: ContainerSpec,
    /// Topmost first.
    pub layers: Vec<DiffId>,
    /// The highest id that a layer's file belongs to.
    pub highest_id: u32,
    pub process: ProcessRecord,
    /// All mounts: the user's, then the image's volumes.
    pub mounts: Vec<MountRecord>,
    pub hostname: String,
    pub stop_signal: i32,
    /// Labels of the image and the user's.
    pub labels: std::collections::BTreeMap<String, String>,
    pub exposed_ports: Vec<String>,
    /// Started by a boot or a restart policy only while this is false.
    pub stopped_by_user: bool,
    /// Image and flags taken together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// What a check of the kind `CMD-SHELL` is run by; empty without a health check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
    /// The SELinux label of its processes; empty leaves them as they are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub process_label: String,
    /// The SELinux label of its files; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mount_label: String,
}

/// The process, image and flags taken together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub env: Vec<String>,
    pub workdir: String,
    pub user: String,
}

/// A mount with everything decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRecord {
    pub target: String,
    pub read_only: bool,
    /// Label the source for SELinux at every start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relabel: Option<Relabel>,
    pub source: MountKind,
    /// The path on the host; empty for a tmpfs.
    pub path: PathBuf,
    /// Mount only this below the path, resolved without leaving it.
    #[serde(default)]
    pub below: Option<String>,
    /// The lower directories of an image mount, topmost first.
    pub layers: Vec<DiffId>,
    /// A volume made for this container alone.
    pub anonymous: bool,
    /// The image's content is copied into it at the first start.
    pub populate: bool,
}

impl ProcessRecord {
    /// The arguments, program first.
    pub fn args(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.command).cloned().collect()
    }
}

impl ContainerRecord {
    /// The container's directory: kept, or gone with the boot.
    pub fn directory(&self, engine: &Engine) -> PathBuf {
        if self.spec.auto_remove {
            engine.store().scratch_dir(engine.boot(), &self.id)
        } else {
            engine.store().container_dir(&self.id)
        }
    }

    /// The ids of containers whose namespaces it joins.
    pub fn joins(&self) -> Vec<&str> {
        let modes = &self.spec.namespaces;
        [&modes.pid, &modes.ipc]
            .into_iter()
            .filter_map(|share| match share {
                Share::Container(id) => Some(id.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Says whether a mount of it is the volume of that name.
    pub fn uses_volume(&self, volume: &str) -> bool {
        let is = |mount: &MountRecord| matches!(&mount.source, MountKind::Volume { name: Some(name), .. } if name == volume);
        self.mounts.iter().any(is)
    }

    /// Writes the record, visible whole but not yet durable ([`ContainerRecord::sync`]).
    pub(crate) fn save(&self, engine: &Engine) -> Result<(), Error> {
        Ok(fs::write_atomic(self.path(engine), &corten_store::record::render(self))?)
    }

    /// Changes the record as it is now, under the container's lock, which the caller does not have; returns what it
    /// has become. Nothing is written where `change` changes nothing.
    pub(crate) fn change(
        &self,
        engine: &Engine,
        change: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let _guard = super::lock(engine, self)?;
        let current = super::load(engine, &self.id)?;
        let mut changed = current.clone();
        change(&mut changed)?;
        if changed != current {
            changed.save(engine)?;
            changed.sync(engine)?;
        }
        Ok(changed)
    }

    /// Makes the record and its name durable, where it is to outlive the boot.
    pub(crate) fn sync(&self, engine: &Engine) -> Result<(), Error> {
        if self.spec.auto_remove {
            return Ok(());
        }
        let directory = self.directory(engine);
        fs::sync_file(directory.join(FILE))?;
        for path in [directory.join(FILE), directory, engine.store().path("containers/names/-")] {
            fs::sync_parent(path)?;
        }
        Ok(())
    }

    /// Reads a container's record by its whole id.
    pub(crate) fn load(engine: &Engine, id: &str) -> Result<Option<Self>, Error> {
        for path in [engine.store().container_dir(id).join(FILE), volatile_path(engine, id)] {
            if let Some(record) = corten_store::record::load(&path)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Says whether there is a container with this whole id.
    ///
    /// A record that cannot be looked at is an error, not a container less.
    pub(crate) fn exists(engine: &Engine, id: &str) -> Result<bool, Error> {
        for path in [engine.store().container_dir(id).join(FILE), volatile_path(engine, id)] {
            let found = rustix::fs::lstat(&path).map_err(|errno| SysError::at("stat", &path, errno));
            if fs::absent_is_none(found)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the record is: with its container, or in the run root where that goes with the boot.
    fn path(&self, engine: &Engine) -> PathBuf {
        if self.spec.auto_remove {
            volatile_path(engine, &self.id)
        } else {
            self.directory(engine).join(FILE)
        }
    }
}

/// The record of a container that goes with its end.
pub(crate) fn volatile_path(engine: &Engine, id: &str) -> PathBuf {
    engine.run().join("records").join(id)
}
