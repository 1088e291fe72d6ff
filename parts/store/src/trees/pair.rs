//! A snapshot's own directory beside what is below it: what a container changed, and from what.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use corten_sys::Errno;
use rustix::fs::{AtFlags, Stat};

use super::layered::{Layered, names, open_below};
use super::walk::Node;
use crate::layers::attributes;

/// A directory of an upper tree.
pub(crate) struct Pair {
    pub(crate) upper: OwnedFd,
    /// What the layers below have there, hidden or not; empty where they have no directory.
    pub(crate) lower: Layered,
    pub(crate) hiding: Hiding,
}

/// Whether a directory hides what the layers below have there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hiding {
    Nothing,
    /// It is opaque itself.
    Here,
    /// A directory above it is.
    Above,
}

/// An entry of an upper directory; a whiteout, too.
pub(crate) struct Item {
    pub(crate) name: CString,
    pub(crate) stat: Stat,
}

impl Node for Pair {
    type Item = Item;

    fn items(&self) -> Result<Vec<Item>, Errno> {
        let mut listed = names(self.upper.as_fd())?;
        listed.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut items = Vec::with_capacity(listed.len());
        for (name, _) in listed {
            match rustix::fs::statat(&self.upper, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => items.push(Item { name, stat }),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(items)
    }

    fn name(item: &Item) -> &CStr {
        &item.name
    }

    fn enter(&self, name: &CStr) -> Result<Option<Self>, Errno> {
        let Some(upper) = open_below(self.upper.as_fd(), name)? else { return Ok(None) };
        let hiding = match self.hiding {
            Hiding::Nothing if attributes::is_opaque(&upper)? => Hiding::Here,
            Hiding::Nothing => Hiding::Nothing,
            Hiding::Here | Hiding::Above => Hiding::Above,
        };
        let lower = self.lower.enter(name)?.unwrap_or_else(Layered::nothing);
        Ok(Some(Self { upper, lower, hiding }))
    }
}
