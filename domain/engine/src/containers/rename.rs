//! Renaming: the new name is claimed, then recorded, then the old one is given up. Killed in between, the container
//! answers to both, and whoever wants the spare one gets it.

use corten_monitor::state as run_state;
use corten_store::containers::NameOwner;
use corten_sys::{fs, process};

use super::record::ContainerRecord;
use super::{Beginning, load, lock, names};
use crate::{Engine, Error, events};

/// Gives a container another name, whatever its state.
pub fn rename(engine: &Engine, record: &ContainerRecord, name: &str) -> Result<(), Error> {
    let _guard = lock(engine, record)?;
    let old = load(engine, &record.id)?;
    let name = name.strip_prefix('/').unwrap_or(name);
    if old.name == name {
        return Err(Error::invalid("Renaming a container with the same name as its current name"));
    }
    let within = |error: Error| Error::new(error.kind(), format!("Error when allocating new name: {error}"));
    // docker shows it as it keeps it.
    names::validate(name).map_err(|_| within(names::invalid(&format!("/{name}"))))?;
    let creator = process::own_identity();
    let owner = NameOwner { id: old.id.clone(), boot: engine.boot().to_owned(), creator };
    // Killed from here on, it leaves a name too many, which the next sweep finds by this.
    let _mark = Beginning::again(engine, &old.id)?;
    if let Some(holder) = names::claim(engine, name, &owner)? {
        return Err(within(names::taken(name, &holder)));
    }
    let renamed = record_name(engine, &old, name).inspect_err(|_| {
        // The error that led here is the one to report; a name that stays is given away when somebody wants it.
        engine.store().release_name(name, &old.id).unwrap_or_default();
    })?;
    engine.store().release_name(&old.name, &old.id)?;
    events::container(engine, &renamed, "rename", &[("oldName", &format!("/{}", old.name))]);
    Ok(())
}

fn record_name(engine: &Engine, old: &ContainerRecord, name: &str) -> Result<ContainerRecord, Error> {
    // For its keeper, which tells of its end and, with `--rm`, gives the name up.
    let run_dir = engine.run_dir(&old.id);
    fs::absent_is_none(fs::write_atomic(run_dir.join(run_state::NAME), name.as_bytes()))?;
    let renamed = ContainerRecord { name: name.to_owned(), ..old.clone() };
    renamed.save(engine)?;
    renamed.sync(engine)?;
    if ContainerRecord::exists(engine, &old.id)? && fs::exists(old.directory(engine)) {
        return Ok(renamed);
    }
    // It went with its end while it was renamed.
    super::forget(engine, &renamed);
    Err(Error::not_found(format!("No such container: {}", old.name)))
}
