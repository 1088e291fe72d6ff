//! Containers: from what a user asks for to a running process and back.

mod adopt;
mod beginning;
pub mod boot;
mod commit;
pub mod copy;
mod create;
mod exec;
pub mod health;
pub mod inspect;
pub mod list;
pub mod log_driver;
pub mod logs;
mod lookup;
pub(crate) mod names;
pub(crate) mod oci_spec;
mod pattern;
mod pause;
mod prune;
pub mod record;
mod relabel;
mod remove;
mod rename;
mod restart;
mod seccomp_cache;
pub mod size;
mod snapshot;
pub mod spec;
pub mod start;
pub mod state;
pub mod stats;
mod stillness;
mod stop;
mod sweep;
mod top;
mod update;
mod wait;
pub mod why;

use std::os::unix::net::UnixStream;
use std::path::Path;

use corten_store::StoreError;
use corten_store::lock::Lock;
use corten_sys::{Errno, SysError, fs, process, socket};

pub use beginning::Beginning;
pub use commit::{CommitOptions, commit};
pub use corten_store::trees::{Change, ChangeKind};
pub use create::{create, create_as};
pub use exec::{ExecOptions, ExecProcess, exec, has_host_ids};
pub use lookup::{find, list, load};
pub use oci_spec::oci_config;
pub use pause::{pause, unpause};
pub use prune::{PruneFilters, Pruned, prune};
pub use record::ContainerRecord;
pub use remove::{RemoveOptions, remove};
pub use rename::rename;
pub use restart::restart;
pub use snapshot::{changes, export};
pub use spec::ContainerSpec;
pub use start::{StartOptions, restart_by_policy, start};
pub use state::{ContainerState, Status};
pub use stop::{StopOptions, kill, stop};
pub use sweep::{sweep, sweep_all};
pub use top::{ProcessTable, top};
pub use update::{UpdateOptions, update};
pub use wait::{last_exit, signal_process, wait, wait_for};

use crate::{Engine, Error, events, volumes};

/// Takes the container's lock; whoever changes what it is holds it. It goes with the directory.
///
/// A directory that is gone is a container that is gone.
pub(crate) fn lock(engine: &Engine, record: &ContainerRecord) -> Result<Lock, Error> {
    Lock::directory(&record.directory(engine)).map_err(|error| match error.errno() {
        Errno::NOENT => Error::not_found(format!("No such container: {}", record.name)),
        _ => error.into(),
    })
}

/// As [`lock`], or `None` where somebody has it.
fn try_lock(engine: &Engine, record: &ContainerRecord) -> Result<Option<Lock>, Error> {
    Ok(Lock::try_directory(&record.directory(engine))?)
}

/// Makes a container that was just created survive a power cut; a start does this by itself.
pub fn make_durable(engine: &Engine, record: &ContainerRecord) -> Result<(), Error> {
    record.sync(engine)
}

/// Connects to the worker of a running container, as an attaching client.
pub fn connect(engine: &Engine, record: &ContainerRecord) -> Result<UnixStream, Error> {
    let socket = worker(engine, record)?;
    events::container(engine, record, "attach", &[]);
    Ok(socket)
}

/// Connects to the worker of a running container.
fn worker(engine: &Engine, record: &ContainerRecord) -> Result<UnixStream, SysError> {
    socket::connect(&engine.run_dir(&record.id).join(corten_monitor::state::SOCKET))
}

/// Removes a container's run directory, at one moment for everybody else: a start that comes meanwhile makes its own.
pub(crate) fn remove_run_dir(run_dir: &Path) -> Result<(), SysError> {
    let name = run_dir.file_name().unwrap_or_default().to_string_lossy();
    // <run root>/<boot>/containers/<id>
    let Some(run) = run_dir.parent().and_then(Path::parent) else { return Ok(()) };
    let gone = run.join(GONE).join(format!("{name}.{}", process::own_pid()));
    match fs::rename(run_dir, &gone) {
        Err(error) if error.errno() == Errno::NOENT && !fs::exists(run_dir) => Ok(()),
        // Nothing is left of an earlier one of the same name but a directory that could not be removed.
        Err(error) if matches!(error.errno(), Errno::NOTEMPTY | Errno::EXIST) => fs::remove_dir_all(run_dir),
        other => other.and_then(|()| fs::remove_dir_all(gone)),
    }
}

/// Where run directories go to be removed.
pub(crate) const GONE: &str = "gone";

/// Removes what is left of a container that was to go with its end and has not started.
pub fn forget(engine: &Engine, record: &ContainerRecord) {
    let store = engine.store();
    let volatile = record::volatile_path(engine, &record.id);
    if fs::exists(&volatile) {
        events::container(engine, record, "destroy", &[]);
    }
    let mut results = vec![store.release_name(&record.name, &record.id).map(|()| true)];
    results.push(store.discard(&record.directory(engine)));
    results.push(fs::remove_file(volatile).map(|()| true).map_err(StoreError::from));
    if let Err(error) = volumes::remove_unused(engine, &anonymous_volumes(record), false) {
        log::warn!("removing volumes of container {}: {error}", record.id);
    }
    results.push(store.empty_trash().map(|()| true));
    for error in results.into_iter().filter_map(Result::err) {
        log::warn!("removing container {}: {error}", record.id);
    }
}

/// Names of the volumes that were made for this container alone.
pub(crate) fn anonymous_volumes(record: &ContainerRecord) -> Vec<String> {
    let name = |mount: &record::MountRecord| match &mount.source {
        spec::MountKind::Volume { name: Some(name), .. } if mount.anonymous => Some(name.clone()),
        _ => None,
    };
    record.mounts.iter().filter_map(name).collect()
}

/// A number nobody can foresee.
pub(crate) fn random_number() -> Result<u32, Error> {
    let mut bytes = [0; 4];
    fill_random(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// A new id: 256 random bits in hex.
pub(crate) fn random_id() -> Result<String, Error> {
    let mut bytes = [0; 32];
    fill_random(&mut bytes)?;
    Ok(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(hex_digit).collect())
}

fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).unwrap_or('0')
}

fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    use rustix::rand::{GetRandomFlags, getrandom};
    let length = getrandom(&mut *bytes, GetRandomFlags::empty())
        .map_err(|errno| Error::from(SysError::new("getrandom", "", errno)))?;
    // getrandom(2): up to 256 bytes come whole.
    debug_assert_eq!(length, bytes.len(), "getrandom was cut short");
    Ok(())
}
