//! Volumes: named directories that outlive containers.

pub(crate) mod mounted;
mod options;
mod prune;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corten_store::volumes::Volume;
use corten_sys::clock;

use crate::containers::{self, random_id};
use crate::filter;
use crate::pins::{self, Pinnable};
use crate::{Engine, Error, events, undo};

pub use prune::{PruneFilters, Pruned, prune};

/// What a volume is made with.
#[derive(Debug, Clone, Default)]
pub struct VolumeOptions {
    pub labels: BTreeMap<String, String>,
    /// Of the local driver.
    pub options: BTreeMap<String, String>,
    pub anonymous: bool,
    /// The container that it goes with.
    pub owner: Option<String>,
}

/// A name for an anonymous volume.
pub fn random_name() -> Result<String, Error> {
    random_id()
}

/// Makes a volume where there is none of that name; says whether it did.
pub fn ensure(engine: &Engine, name: &str, options: VolumeOptions) -> Result<bool, Error> {
    validate(name)?;
    options::check(&options.options).map_err(|reason| Error::invalid(format!("create {name}: {reason}")))?;
    let mut labels = options.labels;
    if options.anonymous {
        // As docker marks it.
        labels.entry("com.docker.volume.anonymous".to_owned()).or_default();
    }
    let volume = Volume {
        version: 1,
        name: name.to_owned(),
        created: clock::wall_nanos(),
        driver: "local".to_owned(),
        labels,
        options: options.options,
        anonymous: options.anonymous,
        owner: options.owner,
    };
    let created = engine.store().create_volume(&volume)?;
    if created {
        events::volume(engine, name, "create", &[("driver", &volume.driver)]);
    }
    Ok(created)
}

/// The directory that a container sees of a volume.
pub fn mountpoint(engine: &Engine, name: &str) -> PathBuf {
    engine.store().volume_data(name)
}

/// Checks a subpath of a volume or an image: there, and inside. It is resolved anew, inside again, at every start:
/// what is in a volume belongs to its containers.
pub(crate) fn check_subpath(root: &Path, subpath: Option<&str>) -> Result<(), Error> {
    let Some(subpath) = subpath else { return Ok(()) };
    let refused = |reason: &str| Error::invalid(format!("subpath {subpath}: {reason}"));
    if Path::new(subpath).is_absolute() || subpath.split('/').any(|part| part == "..") {
        return Err(refused("must be relative and stay inside"));
    }
    let inside = corten_sys::Dir::open(root)?;
    inside.open_dir(subpath).map_err(|error| refused(&corten_sys::error::reason(error.errno())))?;
    Ok(())
}

fn validate(name: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if first && rest && name.len() >= 2 {
        return Ok(());
    }
    if name.len() < 2 {
        return Err(Error::invalid(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    Err(Error::invalid(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

/// Lists all volumes by name.
pub fn list(engine: &Engine) -> Result<Vec<Volume>, Error> {
    Ok(engine.store().volumes()?)
}

/// Which volumes: all members must match, any text of one (but every label).
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// Used by no container.
    pub dangling: Option<bool>,
    pub drivers: Vec<String>,
    /// `key` or `key=value`.
    pub labels: Vec<String>,
    /// Parts of names.
    pub names: Vec<String>,
}

impl Filters {
    /// Adds one `key=value`.
    pub fn add(&mut self, text: &str) -> Result<(), Error> {
        let (key, value) = filter::split(text)?;
        match key.as_str() {
            "dangling" => self.dangling = Some(filter::truth(&key, &value)?),
            "driver" => self.drivers.push(value),
            "label" => self.labels.push(value),
            "name" => self.names.push(value),
            other => return Err(Error::invalid(format!("invalid filter '{other}'"))),
        }
        Ok(())
    }

    fn matches(&self, volume: &Volume) -> bool {
        (self.drivers.is_empty() || self.drivers.contains(&volume.driver))
            && (self.names.is_empty() || self.names.iter().any(|name| volume.name.contains(name)))
            && self.labels.iter().all(|label| filter::has_label(&volume.labels, label))
    }
}

/// Lists the volumes that the filters leave, by name.
pub fn select(engine: &Engine, filters: &Filters) -> Result<Vec<Volume>, Error> {
    let mut volumes = list(engine)?;
    volumes.retain(|volume| filters.matches(volume));
    if let Some(dangling) = filters.dangling {
        let records = containers::list(engine)?;
        let used = |volume: &Volume| records.iter().any(|record| record.uses_volume(&volume.name));
        volumes.retain(|volume| used(volume) != dangling);
    }
    Ok(volumes)
}

/// Finds a volume.
pub fn find(engine: &Engine, name: &str) -> Result<Volume, Error> {
    let missing = || Error::not_found(format!("get {name}: no such volume"));
    validate(name).map_err(|_| missing())?;
    engine.store().volume(name)?.ok_or_else(missing)
}

/// Removes those of the volumes, made for one container that has gone, that no other container has taken over.
pub(crate) fn remove_unused(engine: &Engine, names: &[String], keep: bool) -> Result<(), Error> {
    let records = if names.is_empty() { Vec::new() } else { containers::list(engine)? };
    for name in names {
        if !records.iter().any(|record| record.uses_volume(name)) {
            destroy(engine, name, keep)?;
        }
    }
    Ok(())
}

/// Removes a volume that no container uses.
pub fn remove(engine: &Engine, name: &str) -> Result<(), Error> {
    find(engine, name)?;
    pins::check(engine, &Pinnable::Volume(name.to_owned()), name)?;
    let users: Vec<String> = containers::list(engine)?
        .into_iter()
        .filter(|record| record.uses_volume(name))
        .map(|record| record.id)
        .collect();
    if !users.is_empty() {
        return Err(Error::conflict(format!("remove {name}: volume is in use - [{}]", users.join(", "))));
    }
    destroy(engine, name, true)?;
    undo::tidy(engine)
}

fn destroy(engine: &Engine, name: &str, keep: bool) -> Result<(), Error> {
    mounted::detach(engine, name)?;
    let removed = if keep { undo::keep_volume(engine, name)? } else { engine.store().remove_volume(name)? };
    if removed {
        events::volume(engine, name, "destroy", &[("driver", "local")]);
    }
    Ok(())
}
