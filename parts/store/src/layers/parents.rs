//! Parent directories inside a layer, resolved without escape and kept open while they are likely to be
//! asked for again.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use corten_sys::error::Context;
use corten_sys::{Dir, Errno, SysError};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid};

use super::attributes;
use crate::trees::path::{as_path, join};

/// An open directory of the layer, and its path there without symlinks.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    fd: Rc<OwnedFd>,
    real: Rc<[u8]>,
}

impl Parent {
    /// The path of a name in this directory, without symlinks.
    pub(crate) fn join(&self, name: &[u8]) -> Vec<u8> {
        join(&self.real, name)
    }
}

impl AsFd for Parent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// How many directories are kept open. Times the number of unpacking threads it must stay below the 1,024
/// descriptors that are the usual limit.
const CACHE: usize = 64;
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Resolves directories of one layer.
pub(crate) struct Parents {
    root: Dir,
    root_parent: Parent,
    /// The host path of the root, where a symlink made it necessary.
    root_path: Option<Vec<u8>>,
    cache: HashMap<Vec<u8>, Parent>,
}

impl Parents {
    pub(crate) fn new(root: Dir) -> Result<Self, SysError> {
        let fd = Rc::new(root.open_at(".", DIRECTORY, 0)?);
        let root_parent = Parent { fd, real: Rc::from(&b""[..]) };
        Ok(Self { root, root_parent, root_path: None, cache: HashMap::new() })
    }

    /// Forgets what is open: a directory was moved or removed.
    pub(crate) fn forget(&mut self) {
        self.cache.clear();
    }

    pub(crate) fn root(&self) -> &Parent {
        &self.root_parent
    }

    /// Opens the directory `path` (clean, relative), making what is missing as root's with mode 0755.
    pub(crate) fn create(&mut self, path: &[u8]) -> Result<Parent, SysError> {
        self.resolve(path, true)
    }

    /// Opens the directory `path` (clean, relative).
    pub(crate) fn open(&mut self, path: &[u8]) -> Result<Parent, SysError> {
        self.resolve(path, false)
    }

    fn resolve(&mut self, path: &[u8], create: bool) -> Result<Parent, SysError> {
        if path.is_empty() {
            return Ok(self.root_parent.clone());
        }
        if let Some(parent) = self.cache.get(path) {
            return Ok(parent.clone());
        }
        let (mut current, mut done) = self.nearest(path);
        while done < path.len() {
            let start = if done == 0 { 0 } else { done + 1 };
            let end = path[start..].iter().position(|b| *b == b'/').map_or(path.len(), |at| start + at);
            current = self.step(&current, &path[..end], &path[start..end], create)?;
            done = end;
        }
        if self.cache.len() >= CACHE {
            self.cache.clear();
        }
        self.cache.insert(path.to_vec(), current.clone());
        Ok(current)
    }

    /// The longest leading part of `path` that is open, and its length.
    fn nearest(&self, path: &[u8]) -> (Parent, usize) {
        let mut end = path.len();
        while let Some(slash) = path[..end].iter().rposition(|b| *b == b'/') {
            if let Some(parent) = self.cache.get(&path[..slash]) {
                return (parent.clone(), slash);
            }
            end = slash;
        }
        (self.root_parent.clone(), 0)
    }

    /// Opens `name` in `current`; `path` is where that is from the root.
    fn step(&mut self, current: &Parent, path: &[u8], name: &[u8], create: bool) -> Result<Parent, SysError> {
        match open_plain(current, name) {
            Ok(fd) => Ok(Parent { fd: Rc::new(fd), real: current.join(name).into() }),
            Err(Errno::LOOP) => self.follow(path),
            Err(Errno::NOENT) if create => make(current, path, name),
            // What the same layer makes is not hidden by its whiteout, which then hides only what is below.
            Err(Errno::NOTDIR) if create && is_whiteout(current, name) => {
                rustix::fs::unlinkat(current, name, AtFlags::empty()).on("unlink", as_path(path))?;
                let made = make(current, path, name)?;
                attributes::set_opaque(&made).on("setxattr", as_path(path))?;
                Ok(made)
            }
            Err(errno) => Err(SysError::at("open", as_path(path), errno)),
        }
    }

    /// Opens a path whose last component is a symlink, which counts as if the layer were the root.
    fn follow(&mut self, path: &[u8]) -> Result<Parent, SysError> {
        let fd = self.root.open_at(as_path(path), DIRECTORY, 0)?;
        if self.root_path.is_none() {
            self.root_path = Some(host_path(self.root.as_fd())?);
        }
        let root = self.root_path.as_deref().unwrap_or_default();
        let real = host_path(fd.as_fd())?;
        let inside =
            real.strip_prefix(root).ok_or_else(|| SysError::at("open", as_path(path), Errno::XDEV))?;
        let inside = inside.strip_prefix(b"/").unwrap_or(inside);
        Ok(Parent { fd: Rc::new(fd), real: inside.into() })
    }
}

/// Makes a directory that is not in the archive: root's, mode 0755.
fn make(current: &Parent, path: &[u8], name: &[u8]) -> Result<Parent, SysError> {
    let mode = Mode::from_raw_mode(0o755);
    rustix::fs::mkdirat(current, name, mode).on("mkdir", as_path(path))?;
    // Neither the umask nor a set-group-id parent decides what a layer contains.
    rustix::fs::chownat(current, name, Some(Uid::ROOT), Some(Gid::ROOT), AtFlags::SYMLINK_NOFOLLOW)
        .on("chown", as_path(path))?;
    rustix::fs::chmodat(current, name, mode, AtFlags::empty()).on("chmod", as_path(path))?;
    let fd = open_plain(current, name).on("open", as_path(path))?;
    Ok(Parent { fd: Rc::new(fd), real: current.join(name).into() })
}

fn is_whiteout(parent: &Parent, name: &[u8]) -> bool {
    let Ok(stat) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn open_plain(parent: &Parent, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(parent, name, DIRECTORY, Mode::empty(), flags) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

fn host_path(fd: BorrowedFd<'_>) -> Result<Vec<u8>, SysError> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let path = rustix::fs::readlink(&link, Vec::new()).on("readlink", &link)?;
    Ok(path.into_bytes())
}
