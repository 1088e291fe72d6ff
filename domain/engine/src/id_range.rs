//! Leases of host id ranges for user namespaces: one symbolic link a slot of 65,536 ids, made exclusively. Its text
//! is the container's id and the process that leases for it, `<id> <pid> <start>`.

use std::path::{Path, PathBuf};

use corten_runtime::plan::IdRange;
use corten_sys::process::{self, Identity};
use corten_sys::{Errno, fs};

use crate::containers::state;
use crate::error::{Error, ErrorKind};
use crate::{Engine, containers};

/// The first id that is leased: above what distributions hand to users in /etc/subuid.
const FIRST: u32 = 0x1000_0000;
const SLOT: u32 = 65_536;
/// Slots up to 0xf000_0000; beyond are ids that some file systems and systemd reserve.
const SLOTS: u32 = 0xe000;

/// A leased range; its slots are given back when it is dropped, until [`Lease::hand_over`].
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) range: IdRange,
    claims: Vec<PathBuf>,
    ours: bool,
}

impl Lease {
    /// The slots, to be given back by [`release`] when the container has ended.
    pub(crate) fn claims(&self) -> &[PathBuf] {
        &self.claims
    }

    /// Leaves the slots to the keeper, which gives them back when there is no container any more.
    pub(crate) fn hand_over(&mut self) {
        self.ours = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.ours {
            release(&self.claims);
        }
    }
}

/// The range that a container with ids up to `highest` could have on an empty machine.
pub(crate) fn example(highest: u32) -> IdRange {
    IdRange { base: FIRST, size: ((highest.max(SLOT - 1) / SLOT) + 1) * SLOT }
}

/// Leases a range that holds ids up to `highest` for the container.
pub(crate) fn lease(engine: &Engine, id: &str, highest: u32) -> Result<Lease, Error> {
    let slots = (highest.max(SLOT - 1) / SLOT) + 1;
    let directory = engine.run().join("ids");
    let creator = process::own_identity();
    let owner = format!("{id} {} {}", creator.pid, creator.start);
    let mut start = containers::random_number()? % SLOTS;
    for _ in 0..SLOTS {
        if start + slots > SLOTS {
            start = 0;
        }
        if let Some(claims) = claim(engine, &directory, &owner, start, slots)? {
            return Ok(Lease {
                range: IdRange { base: FIRST + start * SLOT, size: slots * SLOT },
                claims,
                ours: true,
            });
        }
        start = (start + 1) % SLOTS;
    }
    Err(Error::new(ErrorKind::Unavailable, "every id range for user namespaces is in use"))
}

fn claim(
    engine: &Engine,
    directory: &Path,
    owner: &str,
    start: u32,
    slots: u32,
) -> Result<Option<Vec<PathBuf>>, Error> {
    let mut claims = Vec::new();
    for slot in start..start + slots {
        let path = directory.join(slot.to_string());
        let mut made = fs::symlink(owner, &path);
        if made.as_ref().is_err_and(|error| error.errno() == Errno::EXIST) && is_stale(engine, &path) {
            fs::remove_file(&path)?;
            made = fs::symlink(owner, &path);
        }
        match made {
            Ok(()) => claims.push(path),
            Err(error) => {
                release(&claims);
                return if error.errno() == Errno::EXIST { Ok(None) } else { Err(error.into()) };
            }
        }
    }
    Ok(Some(claims))
}

/// A claim whose maker is gone and whose container has no run directory and no process any more.
fn is_stale(engine: &Engine, path: &Path) -> bool {
    let Ok(text) = fs::read_link(path) else { return false };
    let text = text.to_string_lossy();
    let mut fields = text.split(' ');
    let id = fields.next().unwrap_or_default();
    let creator =
        (fields.next().and_then(|pid| pid.parse().ok()), fields.next().and_then(|start| start.parse().ok()));
    let creating = matches!(creator, (Some(pid), Some(start)) if (Identity { pid, start }).is_alive());
    !creating && state::is_over(engine, id)
}

/// Gives back the slots of commands that were killed before they had made their container.
pub(crate) fn release_stale(engine: &Engine) -> Result<(), Error> {
    let directory = engine.run().join("ids");
    for slot in fs::list(&directory)? {
        let path = directory.join(slot);
        if is_stale(engine, &path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Gives slots back.
pub(crate) fn release(claims: &[PathBuf]) {
    for path in claims {
        // A claim that cannot be removed is found stale by who needs it.
        fs::remove_file(path).unwrap_or_default();
    }
}

/// Lists the slots that a container has: for when whoever leased them has died.
pub(crate) fn claims_of(engine: &Engine, id: &str) -> Result<Vec<PathBuf>, Error> {
    let directory = engine.run().join("ids");
    let paths = fs::list(&directory)?.into_iter().map(|name| directory.join(name));
    let is_its = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|owner| owner.to_string_lossy().split(' ').next() == Some(id))
    };
    Ok(paths.filter(is_its).collect())
}
