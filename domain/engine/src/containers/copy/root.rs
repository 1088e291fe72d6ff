//! The root file system of a container as `cp` reaches it: of one that runs by way of its init, of one that does not
//! put together for the occasion.

use std::cell::Cell;

use corten_runtime::standing::{self, StandingMount, StandingRoot};
use corten_store::lock::Lock;
use corten_store::trees::Owner;
use corten_sys::Dir;

use super::super::record::{ContainerRecord, MountRecord};
use super::super::spec::MountKind;
use super::super::{lock, start, state};
use crate::error::ErrorKind;
use crate::{Engine, Error, id_range};

/// What is to be done with a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// An open root, and what keeps it as it is.
pub(super) struct Root {
    pub(super) dir: Dir,
    /// What root's id is here.
    pub(super) base: u32,
    /// How many ids the container has names for.
    count: u32,
    standing: bool,
    /// Of a container that does not run and is written to: nobody starts it meanwhile.
    _lock: Option<Lock>,
}

thread_local! {
    /// Whether this process has left its caller's mounts.
    static LEFT: Cell<bool> = const { Cell::new(false) };
}

impl Root {
    /// Opens a container's root. One that does not run is read as it was when this was called.
    pub(super) fn open(engine: &Engine, record: &ContainerRecord, access: Access) -> Result<Self, Error> {
        if let Some(root) = Self::of_running(engine, record)? {
            return Ok(root);
        }
        let guard = match access {
            Access::Read => None,
            Access::Write => Some(lock(engine, record)?),
        };
        // A start that was faster has made it run.
        if access == Access::Write
            && let Some(root) = Self::of_running(engine, record)?
        {
            return Ok(root);
        }
        if !LEFT.replace(true) {
            standing::leave_callers_mounts()?;
        }
        let dir = standing::assemble(&plan(engine, record, access)?)?;
        let count = match record.spec.host_ids() {
            Some(_) => u32::MAX,
            None => id_range::example(record.highest_id).size,
        };
        Ok(Self { dir, base: 0, count, standing: true, _lock: guard })
    }

    fn of_running(engine: &Engine, record: &ContainerRecord) -> Result<Option<Self>, Error> {
        let state = state::read(engine, record)?;
        let Some(run) = state.run.as_ref().filter(|_| state.is_running()) else { return Ok(None) };
        let pid = run.init.pid;
        let dir = Dir::open(format!("/proc/{pid}/root"));
        let (base, count) = match record.spec.host_ids() {
            Some(_) => (0, u32::MAX),
            None => start::read_id_range(pid).map_or((0, 0), |range| (range.base, range.size)),
        };
        // It may have ended, and its pid be somebody else's by now: then what was opened is not used.
        if !run.init.is_alive() {
            return Self::of_running(engine, record);
        }
        if count == 0 {
            return Err(Error::new(ErrorKind::Internal, format!("container {} has no ids", record.id)));
        }
        Ok(Some(Self { dir: dir?, base, count, standing: false, _lock: None }))
    }

    /// Says whether it was put together for this, so that what a start mounts is not all there.
    pub(super) fn is_standing(&self) -> bool {
        self.standing
    }

    /// Whose copies into it are.
    pub(super) fn owner(&self, exact: bool) -> Owner {
        Owner::Kept { base: self.base, count: self.count, exact }
    }
}

fn plan(engine: &Engine, record: &ContainerRecord, access: Access) -> Result<StandingRoot, Error> {
    let mut lowers: Vec<_> = record.layers.iter().map(|layer| engine.store().layer_tree(layer)).collect();
    lowers.push(engine.skeleton()?);
    // One that is mounted in another comes after it.
    let mut mounts: Vec<StandingMount> = record.mounts.iter().filter_map(mount).collect();
    mounts.sort_by_key(|mount| mount.target.len());
    Ok(StandingRoot {
        lowers,
        own: record.directory(engine).join("rw"),
        writable: access == Access::Write,
        read_only: record.spec.read_only,
        mounts,
    })
}

/// A tmpfs has nothing in it before the start, a device of a volume's own is mounted by it.
fn mount(record: &MountRecord) -> Option<StandingMount> {
    let recursive = match &record.source {
        MountKind::Tmpfs { .. } => return None,
        MountKind::Volume { options, .. } if !options.is_empty() => return None,
        MountKind::Bind { recursive, .. } => *recursive,
        MountKind::Volume { .. } | MountKind::Image { .. } => false,
    };
    Some(StandingMount {
        source: record.path.clone(),
        below: record.below.clone(),
        target: record.target.clone(),
        read_only: record.read_only || matches!(record.source, MountKind::Image { .. }),
        recursive,
        populate: record.populate,
    })
}

/// The mount, if any, that only a start can make there.
pub(super) fn absent_mount<'a>(record: &'a ContainerRecord, path: &[u8]) -> Option<&'a str> {
    let is_absent = |mount: &&MountRecord| match &mount.source {
        MountKind::Tmpfs { .. } => true,
        MountKind::Volume { options, .. } => !options.is_empty(),
        _ => false,
    };
    let below = |target: &str| {
        let rest = path.strip_prefix(target.trim_end_matches('/').as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    record.mounts.iter().filter(is_absent).map(|mount| mount.target.as_str()).find(|target| below(target))
}
