//! Volumes with a file system of their own: mounted with their first user, unmounted with the last.
//!
//! A user is a file `volumes/<volume>/<container>` in the run root of the boot, which counts as long as that container
//! has a run directory. The directory of the users is the lock.

use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;

use corten_store::lock::Lock;
use corten_sys::{Errno, SysError, fs, mount};

use super::options::{self, BIND, MountOptions};
use crate::containers::record::ContainerRecord;
use crate::containers::spec::MountKind;
use crate::{Engine, Error};

/// The names of a container's volumes that have something to be mounted.
pub(crate) fn of(record: &ContainerRecord) -> Vec<String> {
    let name = |kind: &MountKind| match kind {
        MountKind::Volume { name: Some(name), options, .. } if !options.is_empty() => Some(name.clone()),
        _ => None,
    };
    record.mounts.iter().filter_map(|mount| name(&mount.source)).collect()
}

/// Mounts what is not mounted yet, with the container as a user. After a failure the caller calls [`release`].
pub(crate) fn acquire(engine: &Engine, container: &str, names: &[String]) -> Result<(), Error> {
    for name in names {
        let Some(wanted) = engine.store().volume(name)?.and_then(|volume| options::read(&volume.options))
        else {
            continue;
        };
        let _lock = enter(engine, name, container)?;
        let target = engine.store().volume_data(name);
        if !mount::is_mount_point(&target)? {
            mount(&wanted, &target)?;
        }
    }
    Ok(())
}

/// Makes the container a user, under the lock that is returned.
fn enter(engine: &Engine, name: &str, container: &str) -> Result<Lock, Error> {
    let users = users(engine, name);
    loop {
        fs::create_dir_all(&users, 0o700)?;
        let lock = match Lock::directory(&users) {
            Err(error) if error.errno() == Errno::NOENT => continue,
            lock => lock?,
        };
        match fs::create_new(users.join(container)) {
            // The last user has left meanwhile, with the directory.
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) if error.errno() != Errno::EXIST => return Err(error.into()),
            _ => return Ok(lock),
        }
    }
}

/// Ends a container's use of the volumes; what has no user any more is unmounted.
pub(crate) fn release(engine: &Engine, container: &str, names: &[String]) {
    for name in names {
        if let Err(error) = leave(engine, name, Some(container)) {
            log::warn!("leaving volume {name} mounted: {error}");
        }
    }
}

/// Ends the use of volumes by containers that are gone without having said so.
pub(crate) fn settle(engine: &Engine) -> Result<(), Error> {
    for name in fs::list(engine.run().join("volumes"))? {
        leave(engine, &name, None)?;
    }
    Ok(())
}

fn leave(engine: &Engine, name: &str, container: Option<&str>) -> Result<(), SysError> {
    let users = users(engine, name);
    let _lock = match Lock::directory(&users) {
        Err(error) if error.errno() == Errno::NOENT => return Ok(()),
        lock => lock?,
    };
    let mut used = false;
    for user in fs::list(&users)? {
        if Some(user.as_str()) == container || !fs::exists(engine.run_dir(&user)) {
            fs::remove_file(users.join(user))?;
        } else {
            used = true;
        }
    }
    if used {
        return Ok(());
    }
    let target = engine.store().volume_data(name);
    // A volume that was removed while its last user was leaving has nothing mounted any more.
    while fs::absent_is_none(mount::is_mount_point(&target))?.unwrap_or(false) {
        mount::unmount(&target)?;
    }
    fs::remove_dir_all(users)
}

/// Unmounts what a volume that is to be removed has mounted. One that has not is left alone: what somebody else has
/// mounted there is theirs.
pub(super) fn detach(engine: &Engine, name: &str) -> Result<(), Error> {
    let target = engine.store().volume_data(name);
    if engine.store().volume(name)?.is_some_and(|volume| !volume.options.is_empty()) {
        leave(engine, name, None)?;
        while mount::is_mount_point(&target)? {
            mount::unmount(&target)?;
        }
    }
    match mount::is_mount_point(&target) {
        Ok(true) => Err(Error::conflict(format!(
            "remove {name}: something is mounted on {}: unmount it first",
            target.display()
        ))),
        Err(error) if error.errno() != Errno::NOENT => Err(error.into()),
        _ => Ok(()),
    }
}

fn users(engine: &Engine, name: &str) -> PathBuf {
    engine.run().join("volumes").join(name)
}

fn mount(wanted: &MountOptions, target: &std::path::Path) -> Result<(), Error> {
    let text = target.display();
    let failed = |reason: String| format!("error while mounting volume '{text}': {reason}");
    let resolved = match wanted.host() {
        Some(host) => {
            let address = resolve(host).map_err(|reason| {
                let reason = format!("error resolving passed in network volume address: {host}: {reason}");
                Error::invalid(failed(reason))
            })?;
            wanted.with_address(&address.to_string())
        }
        None => wanted.clone(),
    };
    let made = mount::mount(&resolved.device, target, &resolved.kind, resolved.flags, &resolved.data);
    made.and_then(|()| match resolved.flags.difference(options::RECURSIVE_BIND) {
        // A bind takes its other flags only afterwards (mount(2)).
        rest if resolved.flags.contains(BIND) && !rest.is_empty() => {
            let again = mount::remount_bind(target, rest);
            again.inspect_err(|_| mount::unmount(target).unwrap_or_default())
        }
        _ => Ok(()),
    })
    .map_err(|error| {
        let what = wanted.describe(&text.to_string());
        let reason = corten_sys::error::reason(error.errno());
        // docker: what is missing is a command's 127.
        let code = if error.errno() == Errno::NOENT { 127 } else { 125 };
        Error::not_started(code, failed(format!("failed to mount local volume: {what}: {reason}")))
    })
}

fn resolve(host: &str) -> Result<IpAddr, String> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let mut found = (host, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    found.next().map(|address| address.ip()).ok_or_else(|| "no address".to_owned())
}
