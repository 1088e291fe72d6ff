//! Walking a tree depth first: any width, any depth, any names, with a bounded number of descriptors.
//!
//! Names come in byte order, a directory before what is in it. The tree may change meanwhile: what has gone is left out.

use std::ffi::{CStr, CString};

use corten_sys::{Errno, SysError};

use super::path::{as_path, join};

/// A directory of the walked tree.
pub(crate) trait Node: Sized {
    /// Something in it.
    type Item;

    /// Everything in it, in byte order.
    fn items(&self) -> Result<Vec<Self::Item>, Errno>;

    fn name(item: &Self::Item) -> &CStr;

    /// The directory of that name, or `None` where there is none (any more).
    fn enter(&self, name: &CStr) -> Result<Option<Self>, Errno>;
}

/// What a walk comes to.
pub(crate) enum Step<'a, N: Node> {
    /// Something in the directory `at`. The answer says whether to go into it.
    Item { at: &'a N, path: &'a [u8], item: &'a N::Item },
    /// The directory just opened, before anything in it. The answer does not matter.
    Into { at: &'a N, path: &'a [u8] },
}

/// How many directories stay open; those above are opened again on the way back.
const OPEN: usize = 8;

struct Level<N: Node> {
    node: Option<N>,
    name: CString,
    items: std::vec::IntoIter<N::Item>,
    /// The length of its path.
    length: usize,
}

/// Walks what is in `root`; `path` is the root's own, put before all others.
pub(crate) fn walk<N: Node, E: From<SysError>>(
    root: N,
    path: &[u8],
    visit: &mut impl FnMut(Step<'_, N>) -> Result<bool, E>,
) -> Result<(), E> {
    let mut path = path.to_vec();
    let failed = |path: &[u8], errno| SysError::at("read", as_path(path), errno);
    visit(Step::Into { at: &root, path: &path })?;
    let items = root.items().map_err(|errno| failed(&path, errno))?.into_iter();
    let mut way = vec![Level { node: Some(root), name: CString::default(), items, length: path.len() }];
    while let Some(level) = way.last_mut() {
        path.truncate(level.length);
        let Some(item) = level.items.next() else {
            way.pop();
            continue;
        };
        if level.node.is_none() {
            let found = reopen(&way).map_err(|errno| failed(&path, errno))?;
            match (found, way.last_mut()) {
                (Some(node), Some(level)) => level.node = Some(node),
                _ => {
                    way.pop();
                    continue;
                }
            }
        }
        let Some(node) = way.last().and_then(|level| level.node.as_ref()) else { continue };
        path = join(&path, N::name(&item).to_bytes());
        if !visit(Step::Item { at: node, path: &path, item: &item })? {
            continue;
        }
        let entered = node.enter(N::name(&item)).map_err(|errno| failed(&path, errno))?;
        let Some(child) = entered else { continue };
        visit(Step::Into { at: &child, path: &path })?;
        let items = child.items().map_err(|errno| failed(&path, errno))?.into_iter();
        let name = N::name(&item).to_owned();
        way.push(Level { node: Some(child), name, items, length: path.len() });
        // The root stays open: from there the others are found again.
        if let Some(level) =
            way.len().checked_sub(OPEN + 1).filter(|at| *at > 0).and_then(|at| way.get_mut(at))
        {
            level.node = None;
        }
    }
    Ok(())
}

/// Opens the last directory of the way again, or nothing where it has gone.
fn reopen<N: Node>(way: &[Level<N>]) -> Result<Option<N>, Errno> {
    let mut found: Option<N> = None;
    for level in way.get(1..).unwrap_or_default() {
        let parent = found.as_ref().or(way.first().and_then(|root| root.node.as_ref()));
        let Some(parent) = parent else { return Ok(None) };
        match parent.enter(&level.name)? {
            Some(node) => found = Some(node),
            None => return Ok(None),
        }
    }
    Ok(found)
}
