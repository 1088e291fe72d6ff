//! Pausing: every process of a container stops where it is and does not notice.

use corten_monitor::state as run_state;
use corten_runtime::cgroups::{Cgroup, CgroupError};
use corten_sys::{Errno, fs};

use super::record::ContainerRecord;
use super::state::{self, Status};
use super::{lock, start};
use crate::{Engine, Error, events};

/// Freezes a running container; returns when every process has stopped.
pub fn pause(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    let _guard = lock(engine, record)?;
    match state::read(engine, record)?.status {
        Status::Running => {}
        Status::Paused => return Err(refused(record, "is already paused")),
        Status::Restarting => {
            return Err(refused(record, "is restarting, wait until the container is running"));
        }
        Status::Created | Status::Exited => return Err(refused(record, "is not running")),
    }
    let marker = engine.run_dir(&record.id).join(run_state::PAUSED);
    // Before the freezer: whoever ends the container meanwhile knows that there is something to thaw.
    fs::write_atomic(&marker, b"")?;
    cgroup(engine, record)?.freeze().map_err(|error| {
        fs::remove_file(&marker).unwrap_or_default();
        Error::conflict(format!("Cannot pause container {}: {error}", record.id))
    })?;
    events::container(engine, record, "pause", &[]);
    Ok(())
}

/// Lets a paused container go on.
pub fn unpause(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    let _guard = lock(engine, record)?;
    match state::read(engine, record)?.status {
        Status::Paused => {
            thaw(engine, record)?;
            events::container(engine, record, "unpause", &[]);
            Ok(())
        }
        _ => Err(refused(record, "is not paused")),
    }
}

fn refused(record: &ContainerRecord, why: &str) -> Error {
    Error::conflict(format!("Container {} {why}", record.id))
}

/// Says whether the container stands still. One `access` where nobody has asked it to.
pub(super) fn is_paused(engine: &Engine, record: &ContainerRecord) -> Result<bool, Error> {
    if !fs::exists(engine.run_dir(&record.id).join(run_state::PAUSED)) {
        return Ok(false);
    }
    match cgroup(engine, record)?.is_frozen() {
        // It is just ending.
        Err(CgroupError::Sys(error)) if matches!(error.errno(), Errno::NOENT | Errno::NODEV) => Ok(false),
        frozen => frozen.map_err(|error| Error::from_cause(&error)),
    }
}

/// Undoes a pause, if there is one: what is frozen neither hears a signal nor, on cgroup v1, dies of one.
pub(super) fn thaw(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    let marker = engine.run_dir(&record.id).join(run_state::PAUSED);
    if !fs::exists(&marker) {
        return Ok(());
    }
    match cgroup(engine, record)?.thaw() {
        Err(CgroupError::Sys(error)) if matches!(error.errno(), Errno::NOENT | Errno::NODEV) => {}
        thawed => thawed.map_err(|error| Error::from_cause(&error))?,
    }
    Ok(fs::remove_file(marker)?)
}

/// The cgroup of a container that runs.
pub(super) fn cgroup(engine: &Engine, record: &ContainerRecord) -> Result<Cgroup, Error> {
    Cgroup::open(engine.facts()?.cgroups.clone(), &start::cgroup_path(record))
        .map_err(|error| Error::from_cause(&error))
}
