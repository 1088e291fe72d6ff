//! What a command does for a container whose keeper was killed (architecture D12): a new keeper while it runs,
//! its exit record and the clean-up where it has ended.

use corten_monitor::exits::{self, ExitRecord};
use corten_monitor::keeper::wants_restart;
use corten_monitor::state::RunState;
use corten_sys::clock;
use corten_sys::process::{self, Exit};

use super::record::ContainerRecord;
use super::{start, state};
use crate::launch::{self, Keeper};
use crate::{Engine, Error};

/// Gives a running container a new keeper; returns when that has taken over, or somebody else's has.
pub(super) fn take_over(engine: &Engine, record: &ContainerRecord, run: &RunState) -> Result<(), Error> {
    let order = start::adoption_order(engine, record, run)?;
    Keeper::spawn()?.adopt(&order)
}

/// Records the end of a container that ended without a keeper, and cleans up after it.
///
/// False where somebody else is at it. The code is exact while the process is a zombie; after that nobody can know it, and it is recorded as unknown.
pub(super) fn settle(engine: &Engine, record: &ContainerRecord, run: &RunState) -> Result<bool, Error> {
    let restart = match record_end(engine, record, run)? {
        End::Busy => return Ok(false),
        End::Recorded => false,
        End::WantsRestart => true,
    };
    if restart {
        // At once: the time since its end is longer than any pause would have been.
        let options = start::StartOptions { by_policy: true, ..start::StartOptions::default() };
        start::start(engine, record, Keeper::spawn()?, options)?;
    }
    Ok(true)
}

enum End {
    /// Somebody else has the lock.
    Busy,
    Recorded,
    WantsRestart,
}

fn record_end(engine: &Engine, record: &ContainerRecord, run: &RunState) -> Result<End, Error> {
    // Whoever holds the lock, this command perhaps, goes on from an ended container all the same.
    let Some(_guard) = super::try_lock(engine, record)? else { return Ok(End::Busy) };
    if RunState::read(&engine.run_dir(&record.id))?.as_ref() != Some(run) {
        return Ok(End::Recorded);
    }
    let exit = ExitRecord {
        generation: run.generation,
        code: process::zombie_exit(run.init).map(Exit::code),
        oom_killed: false,
        started: run.started,
        finished: clock::wall_nanos(),
        restarts: run.restarts,
        backoff_ms: run.backoff_ms,
    };
    exits::write(&state::exits_path(engine, record), &exit, !record.spec.auto_remove)?;
    let order = start::adoption_order(engine, record, run)?;
    let restart = wants_restart(&order, &exit);
    launch::clean_up(&order);
    Ok(if restart { End::WantsRestart } else { End::Recorded })
}
