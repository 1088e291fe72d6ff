//! Removing containers: their layer, record and name, and the volumes made for them alone.

use super::record::ContainerRecord;
use super::state::{self, Status};
use super::{anonymous_volumes, lock, stop};
use crate::{Engine, Error, images};

/// How a removal is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Kill it first if it runs.
    pub force: bool,
    /// Remove its anonymous volumes as well.
    pub volumes: bool,
}

/// Removes a container. Its named volumes and binds are never touched.
pub fn remove(engine: &Engine, record: &ContainerRecord, options: RemoveOptions) -> Result<(), Error> {
    let current = state::read(engine, record)?;
    match current.status {
        Status::Running | Status::Restarting if !options.force => {
            return Err(Error::conflict(format!(
                "cannot remove container \"{}\": container is {}: stop the container before removing or force remove",
                record.name,
                current.status.name()
            )));
        }
        _ => stop::end(engine, record)?,
    }
    if record.spec.auto_remove {
        // Its keeper has removed it; what it could not is left to this.
        super::forget(engine, record);
        return Ok(());
    }
    let guard = lock(engine, record)?;
    let store = engine.store();
    let discarded = store.discard(&record.directory(engine))?;
    store.release_name(&record.name, &record.id)?;
    drop(guard);
    if options.volumes {
        for volume in anonymous_volumes(record) {
            store.remove_volume(&volume)?;
        }
    }
    if !store.has_image(&record.image) {
        // Removed by force from under the container, which kept the layers until now.
        images::collect(engine)?;
    }
    if !discarded {
        return Err(Error::not_found(format!("No such container: {}", record.name)));
    }
    store.empty_trash()?;
    Ok(())
}
