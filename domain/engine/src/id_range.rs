//! Leases of host id ranges for user namespaces: one symbolic link a slot of 65,536 ids, made exclusively.
//!
//! Its text names who has the slot, `<id> <pid> <start>`: the container and the process that leases for it; several of
//! them, with semicolons, where containers share a user namespace. Taking a free slot needs no lock. Everything else
//! (sharing one, giving one back, taking one over from a command that died) is done under a lock on the directory, so
//! that nobody unlinks another's.

use std::path::{Path, PathBuf};

use corten_runtime::plan::IdRange;
use corten_store::lock::Lock;
use corten_sys::process::{self, Identity};
use corten_sys::{Errno, SysError, fs};

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
    id: String,
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
            release(&self.claims, &self.id);
        }
    }
}

/// Who has a slot.
struct Holder {
    id: String,
    creator: Identity,
}

impl Holder {
    fn new(id: &str) -> Self {
        Self { id: id.to_owned(), creator: process::own_identity() }
    }

    fn render(&self) -> String {
        format!("{} {}", self.id, self.creator)
    }

    fn parse_all(text: &str) -> Vec<Self> {
        let holder = |part: &str| {
            let (id, creator) = part.split_once(' ')?;
            Some(Self { id: id.to_owned(), creator: creator.parse().ok()? })
        };
        text.split(';').filter_map(holder).collect()
    }

    /// Neither its maker nor anything of its container is there any more.
    fn is_gone(&self, engine: &Engine) -> bool {
        !self.creator.is_alive() && state::is_over(engine, &self.id)
    }
}

/// The range that a container with ids up to `highest` could have on an empty machine.
pub(crate) fn example(highest: u32) -> IdRange {
    IdRange { base: FIRST, size: ((highest.max(SLOT - 1) / SLOT) + 1) * SLOT }
}

/// Leases a range that holds ids up to `highest` for the container.
pub(crate) fn lease(engine: &Engine, id: &str, highest: u32) -> Result<Lease, Error> {
    let slots = (highest.max(SLOT - 1) / SLOT) + 1;
    let mut start = containers::random_number()? % SLOTS;
    for _ in 0..SLOTS {
        if start + slots > SLOTS {
            start = 0;
        }
        let range = IdRange { base: FIRST + start * SLOT, size: slots * SLOT };
        let mut lease = Lease { range, id: id.to_owned(), claims: Vec::new(), ours: true };
        if claim(engine, &mut lease)? {
            return Ok(lease);
        }
        start = (start + 1) % SLOTS;
    }
    Err(Error::new(ErrorKind::Unavailable, "every id range for user namespaces is in use"))
}

/// Claims every slot of the range; false where somebody has one.
fn claim(engine: &Engine, lease: &mut Lease) -> Result<bool, Error> {
    let owner = Holder::new(&lease.id).render();
    for path in paths(engine, lease.range) {
        match fs::symlink(&owner, &path) {
            Err(error) if error.errno() == Errno::EXIST => {
                if !take_over(engine, &path, &owner)? {
                    return Ok(false);
                }
            }
            other => other?,
        }
        lease.claims.push(path);
    }
    Ok(true)
}

fn paths(engine: &Engine, range: IdRange) -> impl Iterator<Item = PathBuf> {
    let directory = engine.run().join("ids");
    let first = (range.base - FIRST) / SLOT;
    (first..first + range.size / SLOT).map(move |slot| directory.join(slot.to_string()))
}

/// Takes a slot whose holders are all gone; false where one is not.
fn take_over(engine: &Engine, path: &Path, owner: &str) -> Result<bool, Error> {
    let _guard = guard(path)?;
    let held = holders(path)?;
    if held.iter().any(|holder| !holder.is_gone(engine)) {
        return Ok(false);
    }
    if held.is_empty() {
        // It was given back meanwhile, and may be taken by now: there are others.
        return Ok(false);
    }
    write(path, &Holder::parse_all(owner))?;
    Ok(true)
}

/// Holds the slots of a running container's range as well, for one that joins its user namespace.
pub(crate) fn share(engine: &Engine, id: &str, range: IdRange) -> Result<Lease, Error> {
    let mut lease = Lease { range, id: id.to_owned(), claims: Vec::new(), ours: true };
    for path in paths(engine, range) {
        let _guard = guard(&path)?;
        let mut held = holders(&path)?;
        held.push(Holder::new(id));
        write(&path, &held)?;
        lease.claims.push(path);
    }
    Ok(lease)
}

/// Gives back what the container has of the slots.
pub(crate) fn release(claims: &[PathBuf], id: &str) {
    for path in claims {
        // A claim that cannot be given up is found stale by who needs it.
        give_up(path, |holder| holder.id == id).unwrap_or_default();
    }
}

/// Gives back the slots of commands that were killed before they had made their container.
pub(crate) fn release_stale(engine: &Engine) -> Result<(), Error> {
    let directory = engine.run().join("ids");
    for slot in fs::list(&directory)? {
        give_up(&directory.join(slot), |holder| holder.is_gone(engine))?;
    }
    Ok(())
}

fn give_up(path: &Path, is_leaving: impl Fn(&Holder) -> bool) -> Result<(), SysError> {
    let _guard = guard(path)?;
    let mut held = holders(path)?;
    let before = held.len();
    held.retain(|holder| !is_leaving(holder));
    if held.len() == before { Ok(()) } else { write(path, &held) }
}

/// Excludes everybody else who changes slots that are taken.
fn guard(path: &Path) -> Result<Lock, SysError> {
    Lock::directory(path.parent().unwrap_or(Path::new("/")))
}

fn holders(path: &Path) -> Result<Vec<Holder>, SysError> {
    let text = fs::absent_is_none(fs::read_link(path))?.unwrap_or_default();
    Ok(Holder::parse_all(&text.to_string_lossy()))
}

/// Replaces who has a slot, at one moment: whoever finds it free takes it without the lock. The caller has that.
fn write(path: &Path, held: &[Holder]) -> Result<(), SysError> {
    if held.is_empty() {
        return fs::remove_file(path);
    }
    let text: Vec<_> = held.iter().map(Holder::render).collect();
    let new = path.with_extension("new");
    fs::remove_file(&new)?;
    fs::symlink(text.join(";"), &new)?;
    fs::rename(&new, path)
}

/// Lists the slots that a container has: for when whoever leased them has died.
pub(crate) fn claims_of(engine: &Engine, id: &str) -> Result<Vec<PathBuf>, Error> {
    let directory = engine.run().join("ids");
    let paths = fs::list(&directory)?.into_iter().map(|name| directory.join(name));
    let is_its = |path: &PathBuf| holders(path).is_ok_and(|held| held.iter().any(|holder| holder.id == id));
    Ok(paths.filter(is_its).collect())
}

#[cfg(test)]
mod tests {
    use super::Holder;

    #[test]
    fn holders_survive_their_text() {
        let check = |text: &str| {
            let held: Vec<_> = Holder::parse_all(text).iter().map(Holder::render).collect();
            assert_eq!(held.join(";"), text);
        };
        check("abc 17 42");
        check("abc 17 42;def 18 43");
        check("");
        assert_eq!(Holder::parse_all("abc;def 1 2").len(), 1);
    }
}
