//! Finding containers: by name, id or the start of an id.

use std::cmp::Reverse;

use corten_sys::fs;

use super::record::ContainerRecord;
use crate::{Engine, Error};

/// Reads a container's record by its whole id.
pub fn load(engine: &Engine, id: &str) -> Result<ContainerRecord, Error> {
    ContainerRecord::load(engine, id)?.ok_or_else(|| missing(id))
}

/// Finds a container as docker does: an id first, then a name, then the start of an id.
pub fn find(engine: &Engine, name: &str) -> Result<ContainerRecord, Error> {
    let plain = name.strip_prefix('/').unwrap_or(name);
    if plain.is_empty() || plain.contains(['/', '.']) && plain.starts_with('.') {
        return Err(missing(name));
    }
    let is_hex = plain.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hex && plain.len() == 64 {
        return load(engine, plain);
    }
    if !plain.contains('/')
        && let Some(owner) = engine.store().name_owner(plain)?
        && let Some(record) = ContainerRecord::load(engine, &owner.id)?
    {
        return Ok(record);
    }
    if !is_hex {
        return Err(missing(name));
    }
    let mut ids = ids(engine)?;
    ids.retain(|id| id.starts_with(plain));
    match ids.as_slice() {
        [id] => load(engine, id),
        [] => Err(missing(name)),
        _ => Err(Error::invalid(format!("multiple IDs found with provided prefix: {plain}"))),
    }
}

fn missing(name: &str) -> Error {
    Error::not_found(format!("No such container: {name}"))
}

/// Lists all containers, the newest first.
pub fn list(engine: &Engine) -> Result<Vec<ContainerRecord>, Error> {
    list_of(engine, ids(engine)?)
}

/// Reads the records of these containers, the newest first.
pub(super) fn list_of(engine: &Engine, ids: Vec<String>) -> Result<Vec<ContainerRecord>, Error> {
    let mut records = Vec::new();
    for id in ids {
        // One that was removed since the listing, or is just being made, is not there.
        // One that cannot be read must not hide the others; it is told of by whoever names it.
        match ContainerRecord::load(engine, &id) {
            Ok(record) => records.extend(record),
            Err(error) => log::warn!("leaving container {id} out: {error}"),
        }
    }
    // By key: a record is large, and this moves each only once.
    records.sort_by_cached_key(|record| (Reverse(record.created), record.id.clone()));
    Ok(records)
}

fn ids(engine: &Engine) -> Result<Vec<String>, Error> {
    let mut ids = engine.store().container_ids()?;
    ids.extend(fs::list(engine.store().path("scratch").join(engine.boot()))?);
    Ok(ids)
}
