//! What a container is doing: derived from records and the kernel, never stored (architecture D5).

use std::path::PathBuf;
use std::time::Duration;

use corten_monitor::exits::{self, ExitRecord};
use corten_monitor::state::{self, RunState};
use corten_sys::fs;
use rustix::fs::FlockOperation;

use super::record::ContainerRecord;
use super::spec::Restart;
use super::{adopt, pause};
use crate::{Engine, Error};

/// docker's words for a container's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Created,
    Running,
    /// Running, and frozen where it is.
    Paused,
    Restarting,
    Exited,
}

impl Status {
    /// As `inspect` and filters spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        }
    }
}

/// The state of a container at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerState {
    pub status: Status,
    /// While it runs, or waits for its restart.
    pub run: Option<RunState>,
    /// How the last run ended.
    pub exit: Option<ExitRecord>,
}

impl ContainerState {
    /// Says whether the container has processes, paused or not.
    pub fn is_running(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused)
    }
}

/// Reads the state. A run that is just ending is waited for (a few milliseconds), so that its code is known;
/// one whose keeper died gets a new one, or its end recorded and cleaned up after.
pub fn read(engine: &Engine, record: &ContainerRecord) -> Result<ContainerState, Error> {
    let run_dir = engine.run_dir(&record.id);
    let (mut adopted, mut settled, mut decided) = (false, false, false);
    loop {
        let run = RunState::read(&run_dir)?;
        let exit = exits::read(&exits_path(engine, record))?;
        let Some(run) = run else { return Ok(at_rest(exit)) };
        if run.restarting && run.keeper.is_alive() {
            return Ok(ContainerState { status: Status::Restarting, run: Some(run), exit });
        }
        if run.init.is_alive() {
            if !run.keeper.is_alive() && !adopted {
                adopted = true;
                adopt::take_over(engine, record, &run)?;
                continue;
            }
            let paused = pause::is_paused(engine, record)?;
            let status = if paused { Status::Paused } else { Status::Running };
            return Ok(ContainerState { status, run: Some(run), exit });
        }
        let recorded = exit.is_some_and(|exit| exit.generation >= run.generation);
        if !run.keeper.is_alive() && !settled {
            settled = true;
            // A keeper that has cleaned up and left meanwhile has taken the directory with it.
            if adopt::settle(engine, record, &run)? {
                continue;
            }
        }
        // Recorded before the keeper has decided whether it starts again: not at rest yet.
        let undecided = record.spec.restart != Restart::No && !decided;
        if recorded && !undecided || !run.keeper.is_alive() {
            return Ok(ContainerState { status: Status::Exited, run: None, exit });
        }
        wait_for_end(engine, &record.id)?;
        decided |= recorded;
    }
}

/// Reads the state of a container that is known to have no directory in the run root.
pub(crate) fn read_at_rest(engine: &Engine, record: &ContainerRecord) -> Result<ContainerState, Error> {
    Ok(at_rest(exits::read(&exits_path(engine, record))?))
}

fn at_rest(exit: Option<ExitRecord>) -> ContainerState {
    let status = if exit.is_some() { Status::Exited } else { Status::Created };
    ContainerState { status, run: None, exit }
}

/// Blocks until the keeper of the current run has written the exit record, or has died.
pub(crate) fn wait_for_end(engine: &Engine, id: &str) -> Result<(), Error> {
    let path = engine.run_dir(id).join(state::ALIVE);
    let Some(file) = fs::absent_is_none(fs::open(&path))? else { return Ok(()) };
    rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockShared))
        .map_err(|errno| Error::from(corten_sys::SysError::at("flock", &path, errno)))
}

/// Blocks until the keeper has gone altogether, with everything cleaned up; false when the time is over.
pub(crate) fn wait_for_keeper(run: &RunState, timeout: Duration) -> Result<bool, Error> {
    match run.keeper.open() {
        Some(pidfd) => Ok(corten_sys::clock::wait_readable(&pidfd, Some(timeout))?),
        None => Ok(true),
    }
}

/// Where a container's exits are recorded.
pub(crate) fn exits_path(engine: &Engine, record: &ContainerRecord) -> PathBuf {
    if record.spec.auto_remove {
        engine.run().join("exits").join(&record.id)
    } else {
        record.directory(engine).join("exits")
    }
}

/// Says whether the container with this id has no process left, neither its own nor a keeper's.
pub(crate) fn is_over(engine: &Engine, id: &str) -> bool {
    match RunState::read(&engine.run_dir(id)) {
        Ok(Some(run)) => !run.init.is_alive() && !run.keeper.is_alive(),
        // A start in progress has a directory but no record yet.
        Ok(None) => !fs::exists(engine.run_dir(id)),
        Err(_) => false,
    }
}

/// Says whether there is, or was, a run of the container whose keeper has not cleaned up.
pub(crate) fn has_run(engine: &Engine, id: &str) -> bool {
    matches!(RunState::read(&engine.run_dir(id)), Ok(Some(_)))
}

/// Says whether the run directory names a process of the container, or a keeper, that lives.
pub(crate) fn has_processes(engine: &Engine, id: &str) -> bool {
    match RunState::read(&engine.run_dir(id)) {
        Ok(Some(run)) => run.init.is_alive() || run.keeper.is_alive(),
        Ok(None) => false,
        Err(_) => true,
    }
}
