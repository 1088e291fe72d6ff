//! Removing containers: their layer, record and name, and the volumes made for them alone.

use corten_sys::fs;

use super::record::ContainerRecord;
use super::state::{self, Status};
use super::{anonymous_volumes, lock, start, stop};
use crate::pins::{self, Pinnable};
use crate::{Engine, Error, events, images, launch, undo, volumes};

/// How a removal is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Kill it first if it runs.
    pub force: bool,
    /// Remove its anonymous volumes as well.
    pub volumes: bool,
    /// Keep it for an undo.
    pub keep: bool,
}

/// Removes a container. Its named volumes and binds are never touched. A command that removes calls [`super::sweep()`]
/// when it is done.
pub fn remove(engine: &Engine, record: &ContainerRecord, options: RemoveOptions) -> Result<(), Error> {
    pins::check(engine, &Pinnable::Container(record.id.clone()), &record.name)?;
    let guard = loop {
        end_or_refuse(engine, record, options)?;
        if record.spec.auto_remove && !fs::exists(record.directory(engine)) {
            // Its keeper has removed it with its end.
            super::forget(engine, record);
            return Ok(());
        }
        let guard = lock(engine, record)?;
        // Whoever had the lock may have started it, and its keeper may be about to.
        let current = state::read(engine, record)?;
        if !current.is_running() && current.status != Status::Restarting {
            break guard;
        }
    };
    // It may have another name since the caller read the record.
    let newest = ContainerRecord::load(engine, &record.id)?;
    let record = newest.as_ref().unwrap_or(record);
    leave_no_start(engine, record)?;
    if record.spec.auto_remove {
        // Its keeper has removed it, unless it never had one.
        super::forget(engine, record);
        return Ok(());
    }
    let store = engine.store();
    let discarded = match options.keep {
        true => undo::keep_container(engine, record)?,
        false => store.discard(&record.directory(engine))?,
    };
    store.release_name(&record.name, &record.id)?;
    if discarded {
        events::container(engine, record, "destroy", &[]);
    }
    drop(guard);
    if options.volumes {
        volumes::remove_unused(engine, &anonymous_volumes(record), options.keep)?;
    }
    if !store.has_image(&record.image) {
        // Removed by force from under the container, which kept the layers until now.
        images::collect(engine)?;
    }
    if !discarded {
        return Err(Error::not_found(format!("No such container: {}", record.name)));
    }
    if let Err(error) = store.empty_trash() {
        // The container is gone; what is left of its bytes is tried again by the next command.
        log::warn!("leaving trash: {error}");
    }
    Ok(())
}

fn end_or_refuse(engine: &Engine, record: &ContainerRecord, options: RemoveOptions) -> Result<(), Error> {
    let current = state::read(engine, record)?;
    match current.status {
        Status::Paused if !options.force => Err(Error::conflict(format!(
            "cannot remove container \"{}\": container is paused and must be unpaused first",
            record.name
        ))),
        Status::Running | Status::Restarting if !options.force => Err(Error::conflict(format!(
            "cannot remove container \"{}\": container is {}: stop the container before removing or force remove",
            record.name,
            current.status.name()
        ))),
        _ => stop::end(engine, record),
    }
}

/// Gives back what a start or a run has claimed that has neither a process nor a keeper any more. The caller has the
/// lock.
fn leave_no_start(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    if fs::exists(engine.run_dir(&record.id)) && !state::has_processes(engine, &record.id) {
        launch::clean_up(&start::clean_up_order(engine, record)?);
    }
    Ok(())
}
