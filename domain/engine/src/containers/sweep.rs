//! Collecting what a command leaves that is killed while it creates a container: what it has marked and not finished,
//! names and claims without a container. Never a volume, and never an upper directory but of a marked container that
//! has no record yet.

use corten_store::containers::NameOwner;
use corten_sys::fs;

use super::record::ContainerRecord;
use super::{beginning, start, state};
use crate::{Engine, Error, id_range, launch, volumes};

/// Collects what commands of this boot have left that were killed: one readdir of an empty directory where there is
/// nothing to collect, however many containers there are.
pub fn sweep(engine: &Engine) -> Result<(), Error> {
    let abandoned = beginning::abandoned(engine)?;
    if abandoned.is_empty() {
        return Ok(());
    }
    let store = engine.store();
    for (id, mark) in abandoned {
        let exists = ContainerRecord::exists(engine, &id)?;
        if !exists && state::is_over(engine, &id) {
            for directory in [store.scratch_dir(engine.boot(), &id), store.container_dir(&id)] {
                store.discard(&directory)?;
            }
        }
        // Of a container that was being renamed, every name but its own; where that cannot be read, none.
        let own = ContainerRecord::load(engine, &id).ok().flatten().map(|record| record.name);
        if own.is_some() || !exists && state::is_over(engine, &id) {
            for (name, owner) in names(engine)? {
                if owner.id == id && Some(&name) != own.as_ref() {
                    store.release_name(&name, &id)?;
                }
            }
        }
        settle(engine, &id)?;
        forget_unstarted(engine, &id)?;
        id_range::release_stale(engine)?;
        fs::remove_file(mark)?;
    }
    Ok(store.empty_trash()?)
}

/// As [`sweep`], but looks at every name, run directory and id range: for the first command of a boot, whose
/// predecessors' marks are gone, and where something is missed. A directory without a record is left and warned of: that
/// a record is missing is no wish that the data be deleted (architecture D10).
pub fn sweep_all(engine: &Engine) -> Result<(), Error> {
    sweep(engine)?;
    let store = engine.store();
    for (name, owner) in names(engine)? {
        let abandoned = !owner.creator.is_alive() && !ContainerRecord::exists(engine, &owner.id)?;
        // With its directory there, its record is missing: that is for its owner to mend.
        let kept = fs::exists(store.container_dir(&owner.id));
        if abandoned && !kept && state::is_over(engine, &owner.id) {
            store.release_name(&name, &owner.id)?;
        }
    }
    for id in store.container_ids()? {
        if !ContainerRecord::exists(engine, &id)? {
            log::warn!(
                "{} has no record of its container and is left as it is",
                store.container_dir(&id).display()
            );
        }
    }
    for id in fs::list(engine.run().join("containers"))? {
        settle(engine, &id)?;
    }
    let gone = engine.run().join(super::GONE);
    for name in fs::list(&gone)? {
        // Where its remover lives, it is faster.
        fs::remove_dir_all(gone.join(name)).unwrap_or_default();
    }
    volumes::mounted::settle(engine)?;
    id_range::release_stale(engine)
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
        // Its keeper died between the removal of the record, of the kind that goes with its end, and the clean-up.
        None if state::has_run(engine, id) => {
            launch::clean_up(&start::orphan_order(engine, id)?);
            engine.store().discard(&engine.store().scratch_dir(engine.boot(), id))?;
            engine.store().empty_trash()?;
        }
        None => {}
    }
    Ok(())
}

/// Removes a container of the kind that goes with its end, where its command was killed before the start.
fn forget_unstarted(engine: &Engine, id: &str) -> Result<(), Error> {
    let Some(record) = ContainerRecord::load(engine, id)? else { return Ok(()) };
    if record.spec.auto_remove && state::is_over(engine, id) && state::read(engine, &record)?.exit.is_none() {
        super::forget(engine, &record);
    }
    Ok(())
}
