//! What a command does for a container whose keeper was killed (architecture D12): a new keeper while it runs,
//! its exit record and the clean-up where it has ended.

use std::time::Duration;

use corten_monitor::events;
use corten_monitor::exits::{self, ExitRecord};
use corten_monitor::restart::wants_restart;
use corten_monitor::state::RunState;
use corten_sys::{clock, process};

use super::record::ContainerRecord;
use super::{start, state};
use crate::launch::{self, Keeper};
use crate::{Engine, Error};

/// Gives a running container a new keeper; returns when that has taken over, or somebody else's has.
pub(super) fn take_over(engine: &Engine, record: &ContainerRecord, run: &RunState) -> Result<(), Error> {
    let order = start::adoption_order(engine, record, run)?;
    Keeper::spawn()?.adopt(&order)
}

/// Records the end of a container that ended without a keeper, or whose keeper died before it had cleaned up, and
/// cleans up after it; starts it again where its policy wants that.
///
/// False where somebody else is at it. The code is exact while the process is a zombie, and where an orphaned worker
/// could ask the kernel (Linux 6.15); else nobody can know it, and it is recorded as unknown.
pub(super) fn settle(engine: &Engine, record: &ContainerRecord, run: &RunState) -> Result<bool, Error> {
    wait_for_worker(engine, record);
    let restart = match record_end(engine, record, run)? {
        End::Busy => return Ok(false),
        End::Recorded => false,
        End::WantsRestart => true,
    };
    if restart {
        // At once: the time since its end is longer than any pause would have been.
        let options = start::StartOptions { by_policy: true, ..start::StartOptions::default() };
        let started = Keeper::spawn().map_err(Error::from);
        let started = started.and_then(|keeper| start::start(engine, record, keeper, options));
        if let Err(error) = started {
            // Who looks at many containers sees the others all the same.
            log::warn!("container {} is not restarted: {error}", record.id);
        }
    }
    Ok(true)
}

/// How long an orphaned worker may take to write the rest of the log and the exit record.
const WORKER_PATIENCE: Duration = Duration::from_secs(2);

/// An orphaned worker has seen the end as well, and leaves when the log is complete.
fn wait_for_worker(engine: &Engine, record: &ContainerRecord) {
    // Without a worker, or with one that hangs, what is known is known without it.
    if let Ok(worker) = super::worker(engine, record) {
        clock::wait_readable(&worker, Some(WORKER_PATIENCE)).unwrap_or_default();
    }
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
    let order = start::adoption_order(engine, record, run)?;
    let path = state::exits_path(engine, record);
    let recorded = exits::read(&path)?.filter(|exit| exit.generation >= run.generation);
    let known = recorded.unwrap_or_else(|| run.ended(process::zombie_exit(run.init), clock::wall_nanos()));
    let exit = ExitRecord { oom_killed: known.oom_killed || launch::oom_killed(&order), ..known };
    if recorded != Some(exit) {
        exits::write(&path, &exit, !record.spec.auto_remove)?;
    }
    // An orphaned worker that has recorded it tells nobody.
    events::tell_end(&order, &exit);
    if exit.code.is_none() {
        log::warn!("container {} ended while it had no keeper: its exit code is not known", record.id);
    }
    let restart = wants_restart(&order, &exit);
    launch::clean_up(&order);
    // What could not be removed would be settled again and again.
    Ok(if restart && !state::has_run(engine, &record.id) { End::WantsRestart } else { End::Recorded })
}
