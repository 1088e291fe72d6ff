//! Collecting what a command leaves that is killed while it creates a container: directories without a record, names
//! and claims without a container. Never a volume, never an upper directory whose container has a record.

use std::collections::HashSet;

use corten_store::containers::NameOwner;
use corten_sys::fs;

use super::record::ContainerRecord;
use super::{beginning, start, state};
use crate::{Engine, Error, id_range, launch};

/// Collects what commands of this boot have left that were killed: one readdir of an empty directory where there is
/// nothing to collect, however many containers there are.
pub fn sweep(engine: &Engine) -> Result<(), Error> {
    let abandoned = beginning::abandoned(engine)?;
    if abandoned.is_empty() {
        return Ok(());
    }
    let store = engine.store();
    for (id, mark) in abandoned {
        let record = ContainerRecord::load(engine, &id)?;
        if record.is_none() && state::is_over(engine, &id) {
            for directory in [store.scratch_dir(engine.boot(), &id), store.container_dir(&id)] {
                store.discard(&directory)?;
            }
        }
        // Of a container that was being renamed, every name but its own.
        if record.is_some() || state::is_over(engine, &id) {
            let own = record.as_ref().map(|record| &record.name);
            for (name, owner) in names(engine)? {
                if owner.id == id && Some(&name) != own {
                    store.release_name(&name, &id)?;
                }
            }
        }
        settle(engine, &id)?;
        id_range::release_stale(engine)?;
        fs::remove_file(mark)?;
    }
    Ok(store.empty_trash()?)
}

/// As [`sweep`], but looks at everything: for the first command of a boot, whose predecessors' marks are gone, and where
/// something is missed.
pub fn sweep_all(engine: &Engine) -> Result<(), Error> {
    sweep(engine)?;
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
    for id in fs::list(engine.run().join("containers"))? {
        settle(engine, &id)?;
    }
    id_range::release_stale(engine)?;
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

/// Gives back the cgroup, id range and run directory of a container that nobody starts, runs or cleans up after.
fn settle(engine: &Engine, id: &str) -> Result<(), Error> {
    if state::has_processes(engine, id) || !fs::exists(engine.run_dir(id)) {
        return Ok(());
    }
    match ContainerRecord::load(engine, id)? {
        // Its end is recorded first, and its policy asked.
        Some(record) if state::has_run(engine, id) => {
            if let Err(error) = state::read(engine, &record) {
                log::warn!("leaving container {id} as it ended: {error}");
            }
        }
        Some(record) => {
            if let Some(_guard) = super::try_lock(engine, &record)? {
                launch::clean_up(&start::clean_up_order(engine, &record)?);
            }
        }
        // Its keeper died between the removal of the record and the clean-up.
        None if state::has_run(engine, id) => launch::clean_up(&start::orphan_order(engine, id)?),
        None => {}
    }
    Ok(())
}
