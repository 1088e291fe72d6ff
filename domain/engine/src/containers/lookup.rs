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
    Ok(read_all(engine, &ids).into_iter().map(|record| *record).collect())
}

/// As [`list_of`], without moving what is large: for many.
#[allow(
    clippy::vec_box,
    reason = "a record is as large as a hundred pointers, and sorting moves what is in the list"
)]
pub(super) fn read_all(engine: &Engine, ids: &[String]) -> Vec<Box<ContainerRecord>> {
    let mut records: Vec<_> = ids.iter().filter_map(|id| load_or_warn(engine, id)).collect();
    records.sort_by(|a, b| (Reverse(a.created), &a.id).cmp(&(Reverse(b.created), &b.id)));
    records
}

/// One that was removed since the listing, or is just being made, is not there. One that cannot be read must not hide
/// the others; it is told of by whoever names it.
fn load_or_warn(engine: &Engine, id: &str) -> Option<Box<ContainerRecord>> {
    let loaded = ContainerRecord::load(engine, id);
    loaded.inspect_err(|error| log::warn!("leaving container {id} out: {error}")).ok().flatten().map(Box::new)
}

pub(super) fn ids(engine: &Engine) -> Result<Vec<String>, Error> {
    let mut ids = engine.store().container_ids()?;
    ids.extend(fs::list(engine.store().path("scratch").join(engine.boot()))?);
    Ok(ids)
}
