//! Leases of host id ranges for user namespaces: one file a slot of 65,536 ids, made exclusively.

use std::path::PathBuf;

use corten_runtime::plan::IdRange;
use corten_sys::{Errno, fs};

use crate::containers::state;
use crate::error::{Error, ErrorKind};
use crate::{Engine, containers};

/// The first id that is leased: above what distributions hand to users in /etc/subuid.
const FIRST: u32 = 0x1000_0000;
const SLOT: u32 = 65_536;
/// Slots up to 0xf000_0000; beyond are ids that some file systems and systemd reserve.
const SLOTS: u32 = 0xe000;

/// A leased range; the slots are given back by [`release`].
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) range: IdRange,
    pub(crate) claims: Vec<PathBuf>,
}

/// Leases a range that holds ids up to `highest` for the container.
pub(crate) fn lease(engine: &Engine, id: &str, highest: u32) -> Result<Lease, Error> {
    let slots = (highest.max(SLOT - 1) / SLOT) + 1;
    let directory = engine.run().join("ids");
    let mut start = containers::random_number()? % SLOTS;
    for _ in 0..SLOTS {
        if start + slots > SLOTS {
            start = 0;
        }
        if let Some(claims) = claim(engine, &directory, id, start, slots)? {
            let range = IdRange { base: FIRST + start * SLOT, size: slots * SLOT };
            return Ok(Lease { range, claims });
        }
        start = (start + 1) % SLOTS;
    }
    Err(Error::new(ErrorKind::Unavailable, "every id range for user namespaces is in use"))
}

fn claim(
    engine: &Engine,
    directory: &std::path::Path,
    id: &str,
    start: u32,
    slots: u32,
) -> Result<Option<Vec<PathBuf>>, Error> {
    let mut claims = Vec::new();
    for slot in start..start + slots {
        let path = directory.join(slot.to_string());
        let mut made = fs::symlink(id, &path);
        if made.as_ref().is_err_and(|error| error.errno() == Errno::EXIST) && is_stale(engine, &path) {
            fs::remove_file(&path)?;
            made = fs::symlink(id, &path);
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

/// A claim whose container has no run directory and no process any more.
fn is_stale(engine: &Engine, path: &std::path::Path) -> bool {
    let Ok(owner) = fs::read_link(path) else { return false };
    state::is_over(engine, &owner.to_string_lossy())
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
    let is_its = |path: &PathBuf| fs::read_link(path).is_ok_and(|owner| owner.as_os_str() == id);
    Ok(paths.filter(is_its).collect())
}
