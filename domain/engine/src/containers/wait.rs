//! Waiting for containers and signalling them.

use corten_monitor::exits;
use corten_monitor::state::RunState;
use corten_sys::clock;
use corten_sys::process::{self, Identity};

use super::lookup;
use super::record::ContainerRecord;
use super::state;
use crate::{Engine, Error};

/// Blocks until the container does not run and returns its last exit code; one that never ran has 0.
pub fn wait(engine: &Engine, record: &ContainerRecord) -> Result<i32, Error> {
    let before = state::read(engine, record)?;
    let running = before.is_running();
    if let Some(run) = before.run.filter(|_| running) {
        if let Some(pidfd) = run.init.open() {
            clock::wait_readable(&pidfd, None)?;
        }
        state::wait_for_end(engine, &record.id)?;
    }
    last_exit(engine, record)
}

/// As [`wait`] by name; a container that has gone with its end is remembered by its whole id for ten minutes.
pub fn wait_for(engine: &Engine, name: &str) -> Result<i32, Error> {
    let missing = match lookup::find(engine, name) {
        Ok(record) => return wait(engine, &record),
        Err(error) => error,
    };
    let known = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let exit = if known { exits::read(&engine.run().join("exits").join(name))? } else { None };
    exit.map(|exit| exit.code.unwrap_or(255)).ok_or(missing)
}

/// The code of the last run; 255 where nobody saw it.
pub fn last_exit(engine: &Engine, record: &ContainerRecord) -> Result<i32, Error> {
    let exit = exits::read(&state::exits_path(engine, record))?;
    Ok(exit.map_or(0, |exit| exit.code.unwrap_or(255)))
}

/// Sends a signal to the first process of a container for a session that was told its pid: to that very process, or to
/// nobody where it has ended. The number may be another process's by now.
pub fn signal_process(engine: &Engine, record: &ContainerRecord, pid: i32, signal: i32) -> Result<(), Error> {
    let run = RunState::read(&engine.run_dir(&record.id))?;
    let init = run.map(|run| run.init).filter(|init| init.pid == pid);
    if let Some(pidfd) = init.and_then(Identity::open) {
        process::send_signal(&pidfd, signal)?;
    }
    Ok(())
}
