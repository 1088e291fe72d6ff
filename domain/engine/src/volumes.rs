//! Volumes: named directories that outlive containers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corten_store::volumes::Volume;
use corten_sys::clock;

use crate::containers::{self, random_id};
use crate::{Engine, Error};

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
    if let Some(option) = options.options.keys().next() {
        return Err(Error::unsupported(format!(
            "volume {name}: the option {option} of the local driver is not supported yet"
        ))
        .hint("a bind mount (--mount type=bind) or --tmpfs may do"));
    }
    let volume = Volume {
        version: 1,
        name: name.to_owned(),
        created: clock::wall_nanos(),
        driver: "local".to_owned(),
        labels: options.labels,
        options: options.options,
        anonymous: options.anonymous,
        owner: options.owner,
    };
    Ok(engine.store().create_volume(&volume)?)
}

/// The directory that a container sees of a volume.
pub fn source(engine: &Engine, name: &str, subpath: Option<&str>) -> Result<PathBuf, Error> {
    below(&engine.store().volume_data(name), subpath)
}

/// A directory below `root`, which may not leave it.
pub(crate) fn below(root: &Path, subpath: Option<&str>) -> Result<PathBuf, Error> {
    let Some(subpath) = subpath else { return Ok(root.to_owned()) };
    let refused = |reason: &str| Error::invalid(format!("subpath {subpath}: {reason}"));
    if Path::new(subpath).is_absolute() || subpath.split('/').any(|part| part == "..") {
        return Err(refused("must be relative and stay inside"));
    }
    let inside = corten_sys::Dir::open(root)?;
    inside.open_dir(subpath).map_err(|error| refused(&corten_sys::error::reason(error.errno())))?;
    Ok(root.join(subpath))
}

fn validate(name: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if first && rest && name.len() >= 2 {
        return Ok(());
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

/// Finds a volume.
pub fn find(engine: &Engine, name: &str) -> Result<Volume, Error> {
    let missing = || Error::not_found(format!("get {name}: no such volume"));
    validate(name).map_err(|_| missing())?;
    engine.store().volume(name)?.ok_or_else(missing)
}

/// Removes a volume that no container uses.
pub fn remove(engine: &Engine, name: &str) -> Result<(), Error> {
    find(engine, name)?;
    let users: Vec<String> = containers::list(engine)?
        .into_iter()
        .filter(|record| record.uses_volume(name))
        .map(|record| record.id)
        .collect();
    if !users.is_empty() {
        return Err(Error::conflict(format!("remove {name}: volume is in use - [{}]", users.join(", "))));
    }
    engine.store().remove_volume(name)?;
    Ok(engine.store().empty_trash()?)
}
