//! Collecting what a command leaves that is killed while it creates a container: directories without a record, names
//! and claims without a container. Never a volume, never an upper directory whose container has a record.

use std::collections::HashSet;

use corten_store::containers::NameOwner;
use corten_sys::fs;

use super::record::ContainerRecord;
use super::state;
use crate::{Engine, Error, id_range};

/// Sweeps. One readdir of each place where there is nothing to collect.
pub fn sweep(engine: &Engine) -> Result<(), Error> {
    let store = engine.store();
    let mut orphans = Vec::new();
    for (directory, ids) in [
        (store.path("scratch").join(engine.boot()), fs::list(store.path("scratch").join(engine.boot()))?),
        (store.path("containers"), store.container_ids()?),
    ] {
        for id in ids {
            if !ContainerRecord::exists(engine, &id) && state::is_over(engine, &id) {
                orphans.push((directory.join(&id), id));
            }
        }
    }
    let names = names(engine)?;
    let creating: HashSet<&str> = names
        .iter()
        .filter(|(_, owner)| owner.creator.is_alive())
        .map(|(_, owner)| owner.id.as_str())
        .collect();
    let mut found = false;
    for (directory, id) in &orphans {
        if !creating.contains(id.as_str()) {
            found |= store.discard(directory)?;
        }
    }
    for (name, owner) in &names {
        let abandoned = !owner.creator.is_alive() && !ContainerRecord::exists(engine, &owner.id);
        if abandoned && state::is_over(engine, &owner.id) {
            store.release_name(name, &owner.id)?;
        }
    }
    claims(engine)?;
    if found { Ok(store.empty_trash()?) } else { Ok(()) }
}

fn names(engine: &Engine) -> Result<Vec<(String, NameOwner)>, Error> {
    let mut names = Vec::new();
    for name in fs::list(engine.store().path("containers/names"))? {
        if let Some(owner) = engine.store().name_owner(&name)? {
            names.push((name, owner));
        }
    }
    Ok(names)
}

/// Id ranges and run directories of containers that nobody starts, runs or cleans up after.
fn claims(engine: &Engine) -> Result<(), Error> {
    for id in fs::list(engine.run().join("containers"))? {
        let Some(record) = ContainerRecord::load(engine, &id)? else { continue };
        if !state::has_processes(engine, &id) && super::try_lock(engine, &record)?.is_some() {
            id_range::release(&id_range::claims_of(engine, &id)?);
            fs::remove_dir_all(engine.run_dir(&id))?;
        }
    }
    Ok(())
}
