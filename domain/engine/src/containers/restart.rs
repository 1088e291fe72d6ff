//! Restarting: a stop and a start in one, which is no wish that the container stay stopped.

use corten_monitor::state as run_state;
use corten_sys::fs;

use super::record::ContainerRecord;
use super::start::{self, StartOptions};
use super::state;
use super::stop::{self, StopOptions};
use crate::error::{Error, ErrorKind};
use crate::launch::Keeper;
use crate::{Engine, events};

/// Stops a container, if it runs, and starts it. One that would go with its end stays, and its restart policy does
/// not act in between.
pub fn restart(
    engine: &Engine,
    record: &ContainerRecord,
    keeper: Keeper,
    options: &StopOptions,
) -> Result<(), Error> {
    let keep = engine.run_dir(&record.id).join(run_state::KEEP);
    let stopped = stop::wind_up(engine, record, options, || {
        if record.spec.auto_remove {
            // A run directory that is gone belongs to a container that has gone with it.
            fs::absent_is_none(fs::write_atomic(&keep, b""))?;
        }
        stop::tell_keeper(engine, record)
    });
    if let Err(error) = stopped {
        fs::remove_file(keep).unwrap_or_default();
        return Err(error);
    }
    match start::start(engine, record, keeper, StartOptions::default()) {
        // Somebody else was faster.
        Err(error) if error.kind() == ErrorKind::Conflict && state::read(engine, record)?.is_running() => {
            Ok(())
        }
        started => started.map(|_| events::container(engine, record, "restart", &[])).inspect_err(|_| {
            if record.spec.auto_remove {
                // As after a run that did not come to life.
                super::forget(engine, record);
            }
        }),
    }
}
