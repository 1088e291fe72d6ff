//! Ending containers: stop and kill.

use std::os::fd::OwnedFd;
use std::time::Duration;

use corten_monitor::state::{self as run_state, RunState};
use corten_sys::{Errno, clock, fs, process};

use super::record::ContainerRecord;
use super::spec::Restart;
use super::state::{self, Status};
use super::{oci_spec, pause};
use crate::error::{Error, ErrorKind};
use crate::{Engine, events, launch};

const KILL: i32 = 9;
const TERM: i32 = 15;

/// docker's time between the stop signal and the kill.
const DEFAULT_TIMEOUT: i64 = 10;

/// How a stop is made.
#[derive(Debug, Clone, Default)]
pub struct StopOptions {
    /// Instead of the container's stop signal.
    pub signal: Option<i32>,
    /// Seconds until the kill; negative waits for ever.
    pub timeout: Option<i64>,
}

/// Stops a container and waits until its end is recorded. One that does not run is stopped already.
///
/// Holds no lock while it waits: the marker in the run directory keeps the restart policy from acting.
pub fn stop(engine: &Engine, record: &ContainerRecord, options: &StopOptions) -> Result<(), Error> {
    wind_up(engine, record, options, || mark_stopping(engine, record))
}

/// Ends whatever runs and calls restarts off, and waits until that is recorded; `mark` tells the keeper that no restart
/// is wanted, before every attempt.
pub(super) fn wind_up(
    engine: &Engine,
    record: &ContainerRecord,
    options: &StopOptions,
    mark: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    loop {
        let current = state::read(engine, record)?;
        let Some(run) = current.run else { return Ok(()) };
        mark()?;
        let after = if current.status == Status::Restarting {
            cancel_restart(engine, record, &run)?
        } else {
            end_in_time(engine, record, &run, options)?;
            wait_for_end(engine, record)?
        };
        if after == After::Ended {
            events::container(engine, record, "stop", &[]);
            return Ok(());
        }
    }
}

/// Asks a run to end, and makes it when its time is over.
fn end_in_time(
    engine: &Engine,
    record: &ContainerRecord,
    run: &RunState,
    options: &StopOptions,
) -> Result<(), Error> {
    let timeout = options.timeout.or(record.spec.stop_timeout).unwrap_or(DEFAULT_TIMEOUT);
    let Some(init) = run.init.open() else { return Ok(()) };
    send(engine, record, &init, options.signal.unwrap_or(record.stop_signal))?;
    pause::thaw(engine, record)?;
    let patience = u64::try_from(timeout).ok().map(Duration::from_secs);
    if !clock::wait_readable(&init, patience)? {
        send(engine, record, &init, KILL)?;
        pause::thaw(engine, record)?;
        clock::wait_readable(&init, None)?;
    }
    Ok(())
}

/// Sends a signal to a container's first process, and tells of it.
fn send(engine: &Engine, record: &ContainerRecord, init: &OwnedFd, signal: i32) -> Result<(), Error> {
    // First: what comes of it is told of by others.
    events::container(engine, record, "kill", &[("signal", &signal.to_string())]);
    process::send_signal(init, signal)?;
    Ok(())
}

/// What there is after a run was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Ended,
    /// Its keeper had started it again before it could be told not to.
    RunsAgain,
}

/// Waits for the end of the current run, and calls off the restart that its keeper had decided on before it saw that
/// the container is to stop.
fn wait_for_end(engine: &Engine, record: &ContainerRecord) -> Result<After, Error> {
    state::wait_for_end(engine, &record.id)?;
    match RunState::read(&engine.run_dir(&record.id))? {
        Some(run) if run.restarting && run.keeper.is_alive() => cancel_restart(engine, record, &run),
        _ => Ok(After::Ended),
    }
}

/// Sends a signal to a running container's first process.
///
/// SIGKILL and the container's own stop signal count as the user's wish that it end: no restart follows, and a paused
/// container goes on to hear them. Any other signal waits for the end of the pause.
pub fn kill(engine: &Engine, record: &ContainerRecord, signal: i32) -> Result<(), Error> {
    let current = state::read(engine, record)?;
    let init = current.run.as_ref().filter(|_| current.is_running()).and_then(|run| run.init.open());
    let Some(init) = init else {
        return Err(Error::conflict(format!("container {} is not running", record.id)));
    };
    let ends = signal == KILL || signal == record.stop_signal;
    if ends {
        mark_stopping(engine, record)?;
    }
    send(engine, record, &init, signal)?;
    if ends { pause::thaw(engine, record) } else { Ok(()) }
}

/// Kills a running container's first process as a stranger could: its restart policy acts.
pub(super) fn kill_as_from_outside(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    let current = state::read(engine, record)?;
    match current.run.as_ref().filter(|_| current.is_running()).and_then(|run| run.init.open()) {
        Some(init) => send(engine, record, &init, KILL),
        None => Ok(()),
    }
}

/// Kills a container, whatever its state, and waits until everything it had is given back.
pub(super) fn end(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    loop {
        let current = state::read(engine, record)?;
        let Some(run) = current.run else { return wait_for_clean_up(engine, record) };
        tell_keeper(engine, record)?;
        let after = if current.status == Status::Restarting {
            cancel_restart(engine, record, &run)?
        } else {
            if let Some(init) = run.init.open() {
                send(engine, record, &init, KILL)?;
                pause::thaw(engine, record)?;
                clock::wait_readable(&init, None)?;
            }
            // Until everything is given back; the keeper itself may go on serving a slow client.
            wait_for_end(engine, record)?
        };
        if after == After::Ended {
            return Ok(());
        }
    }
}

/// A keeper that is cleaning up after an end has its run directory until it is done. Without one there may be a start
/// under way, which holds the container's lock.
fn wait_for_clean_up(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    match RunState::read(&engine.run_dir(&record.id))? {
        Some(_) => state::wait_for_end(engine, &record.id),
        None => Ok(()),
    }
}

/// Calls off the restart that a keeper waits for; the marker is there already.
fn cancel_restart(engine: &Engine, record: &ContainerRecord, run: &RunState) -> Result<After, Error> {
    if let Some(keeper) = run.keeper.open() {
        process::send_signal(&keeper, TERM)?;
    }
    // A start that looked for the marker before it was there has this lock until the container runs.
    match super::lock(engine, record) {
        Ok(lock) => drop(lock),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    match RunState::read(&engine.run_dir(&record.id))? {
        Some(now) if !now.restarting && now.init.is_alive() => Ok(After::RunsAgain),
        _ => wait_for_keeper(run).map(|()| After::Ended),
    }
}

fn wait_for_keeper(run: &RunState) -> Result<(), Error> {
    if state::wait_for_keeper(run, launch::PATIENCE)? {
        return Ok(());
    }
    let message =
        format!("keeper {} has not cleaned up within {} s", run.keeper.pid, launch::PATIENCE.as_secs());
    Err(Error::new(ErrorKind::Unavailable, message))
}

/// Tells the keeper, and the next boot, that the user wants the container to stay stopped.
fn mark_stopping(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    tell_keeper(engine, record)?;
    if record.spec.restart != Restart::No && !record.stopped_by_user {
        record.change(engine, |record| {
            record.stopped_by_user = true;
            Ok(())
        })?;
    }
    Ok(())
}

/// Tells the keeper that no restart is wanted. A run directory that is gone belongs to a container that has ended.
pub(super) fn tell_keeper(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    let run_dir = engine.run_dir(&record.id);
    let marker = run_dir.join(run_state::STOPPING);
    match fs::absent_is_none(fs::write_atomic(&marker, b"")) {
        // Making room must not need room: this file is the container's by its mount, not by its name.
        Err(error) if matches!(error.errno(), Errno::NOSPC | Errno::DQUOT) => {
            let spare = run_dir.join(oci_spec::files::SPARE);
            if fs::exists(&marker) { Ok(()) } else { Ok(fs::rename(spare, marker)?) }
        }
        other => Ok(other.map(drop)?),
    }
}
