//! A tree into a directory that others may be changing: a container's, or the caller's.
//!
//! No name is followed that was not made to be: a parent is opened component by component without symlinks, or, where
//! the destination is a container's, with symlinks that count as if its root were `/`. What is there already is
//! replaced as docker does: a directory takes more in, anything else gives way.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use corten_sys::error::Context;
use corten_sys::{Dir, Errno, SysError};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, SeekFrom, Timespec, Timestamps, Uid};

use super::path::{as_path, clean, join, shown, split};
use super::{Content, Sink, TreeEntry, TreeError};
use crate::layers::attributes;
use crate::tar::sparse::Segment;
use crate::tar::{Entry, Kind};

/// Whose the copies are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The ids of the tree, counted from `base` on. Ids from `count` on have no name there: those are an error where
    /// the copy is to be exact, and else count as root's.
    Kept { base: u32, count: u32, exact: bool },
    /// The one who copies.
    Caller,
}

/// A directory that takes a tree.
#[derive(Debug)]
pub struct Place {
    directory: Rc<OwnedFd>,
    /// Where symlinks in the names of an archive lead, and where the destination is from there.
    root: Option<(Dir, Vec<u8>)>,
    /// The destination for messages.
    shown: String,
    owner: Owner,
    open: HashMap<Vec<u8>, Rc<OwnedFd>>,
    /// Modification times of directories, set when nothing is made in them any more.
    times: Vec<(Vec<u8>, (i64, u32))>,
}

/// How many parents are kept open.
const CACHE: usize = 16;
const PARENT: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Place {
    /// Takes a tree into `directory`, which messages call `shown`.
    pub fn new(directory: &Dir, shown: &str, owner: Owner) -> Result<Self, SysError> {
        let fd = directory.open_at(".", PARENT, 0)?;
        Ok(Self {
            directory: Rc::new(fd),
            root: None,
            shown: shown.to_owned(),
            owner,
            open: HashMap::new(),
            times: Vec::new(),
        })
    }

    /// Lets symlinks on the way to an entry be followed below `root`, in which the destination is `path`.
    #[must_use]
    pub fn following(mut self, root: Dir, path: &[u8]) -> Self {
        self.root = Some((root, path.to_vec()));
        self
    }

    /// Opens the directory `path` of the copy, making what is missing.
    fn parent(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>, SysError> {
        let (mut current, mut done) = (Rc::clone(&self.directory), 0);
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let ends: Vec<usize> = slashes.chain((!path.is_empty()).then_some(path.len())).collect();
        if let Some((end, open)) =
            ends.iter().rev().find_map(|end| Some((*end, self.open.get(&path[..*end])?)))
        {
            (current, done) = (Rc::clone(open), end);
        }
        for end in ends.into_iter().filter(|end| *end > done) {
            let name = split(&path[..end]).1;
            current = Rc::new(self.step(&current, &path[..end], name)?);
            if self.open.len() >= CACHE {
                self.open.clear();
            }
            self.open.insert(path[..end].to_vec(), Rc::clone(&current));
        }
        Ok(current)
    }

    fn step(&self, at: &OwnedFd, path: &[u8], name: &[u8]) -> Result<OwnedFd, SysError> {
        match open_plain(at, name) {
            Err(Errno::NOENT) => {
                rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755)).on("mkdir", as_path(path))?;
                if let Owner::Kept { base, .. } = self.owner {
                    own(at, name, (base, base)).on("chown", as_path(path))?;
                }
                open_plain(at, name).on("open", as_path(path))
            }
            Err(Errno::LOOP) if let Some((root, prefix)) = &self.root => {
                root.open_at(as_path(&join(prefix, path)), PARENT, 0)
            }
            Err(Errno::LOOP) => Err(SysError::at("open", as_path(path), Errno::NOTDIR)),
            other => other.on("open", as_path(path)),
        }
    }

    /// Makes room for an entry, and says whether its directory is there already.
    fn make_room(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        entry: &Entry,
        path: &[u8],
    ) -> Result<bool, TreeError> {
        let stat = match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            other => other.on("stat", as_path(path))?,
        };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let full = || format!("{}/{}", self.shown.trim_end_matches('/'), shown(path));
        match (is_directory, entry.kind == Kind::Directory) {
            (true, true) => Ok(true),
            (true, false) => Err(TreeError::OverDirectory(full(), self.shown.clone())),
            (false, true) => Err(TreeError::OverFile(full(), self.shown.clone())),
            (false, false) => match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(false),
                Err(errno) => Err(SysError::new("unlinkat", full(), errno).into()),
            },
        }
    }

    fn ids(&self, entry: &Entry) -> Result<Option<(u32, u32)>, TreeError> {
        let Owner::Kept { base, count, exact } = self.owner else { return Ok(None) };
        let named = |id: u64| u32::try_from(id).ok().filter(|id| *id < count);
        let id = |id: u64| named(id).or((!exact).then_some(0))?.checked_add(base);
        match (id(entry.uid), id(entry.gid)) {
            (Some(uid), Some(gid)) => Ok(Some((uid, gid))),
            _ => Err(TreeError::Owner(shown(&entry.path))),
        }
    }

    fn hard_link(&mut self, at: (&OwnedFd, &[u8]), entry: &Entry, path: &[u8]) -> Result<(), TreeError> {
        let missing = || TreeError::LinkTarget { path: shown(path), target: shown(&entry.link) };
        let target = clean(&entry.link).filter(|target| !target.is_empty()).ok_or_else(missing)?;
        let (directory, name) = split(&target);
        let parent = self.parent(directory)?;
        match rustix::fs::linkat(&parent, name, at.0, at.1, AtFlags::empty()) {
            Err(Errno::NOENT) => Err(missing()),
            other => Ok(other.on("link", as_path(path))?),
        }
    }
}

impl Sink for Place {
    fn put(&mut self, TreeEntry(entry): &TreeEntry, content: Content<'_>) -> Result<(), TreeError> {
        let outside = || TreeError::Outside(shown(&entry.path), self.shown.clone());
        let path = clean(&entry.path).ok_or_else(outside)?;
        if path.is_empty() {
            // The destination itself is there, and stays as it is.
            return Ok(());
        }
        let ids = self.ids(entry)?;
        let (directory, name) = split(&path);
        let parent = self.parent(directory)?;
        let exists = self.make_room(&parent, name, entry, &path)?;
        let failed = |call: &'static str| move |errno: Errno| (call, errno);
        let made: Result<(), (&'static str, Errno)> = match entry.kind {
            Kind::HardLink => return self.hard_link((&parent, name), entry, &path),
            Kind::File => return file(&parent, name, entry, content, ids).map_err(|error| error.at(&path)),
            Kind::Directory if exists => Ok(()),
            Kind::Directory => {
                rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)).map_err(failed("mkdir"))
            }
            Kind::Symlink => {
                rustix::fs::symlinkat(as_path(&entry.link), &parent, name).map_err(failed("symlink"))
            }
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => {
                node(&parent, name, entry).map_err(failed("mknod"))
            }
        };
        made.and_then(|()| finish_entry(&parent, name, entry, ids))
            .map_err(|(call, errno)| SysError::at(call, as_path(&path), errno))?;
        if entry.kind == Kind::Directory {
            self.times.push((path, entry.mtime));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), TreeError> {
        for (path, mtime) in std::mem::take(&mut self.times).into_iter().rev() {
            let (directory, name) = split(&path);
            let parent = self.parent(directory)?;
            match rustix::fs::utimensat(&parent, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW) {
                // Somebody has taken it away again.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(SysError::at("utimens", as_path(&path), errno).into()),
            }
        }
        Ok(())
    }
}

fn open_plain(at: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(at, name, PARENT, Mode::empty(), flags) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

fn own(at: &OwnedFd, name: &[u8], (uid, gid): (u32, u32)) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    rustix::fs::chownat(at, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

fn node(parent: &OwnedFd, name: &[u8], entry: &Entry) -> Result<(), Errno> {
    let kind = match entry.kind {
        Kind::CharDevice => FileType::CharacterDevice,
        Kind::BlockDevice => FileType::BlockDevice,
        _ => FileType::Fifo,
    };
    let device = rustix::fs::makedev(entry.device.0, entry.device.1);
    rustix::fs::mknodat(parent, name, kind, Mode::from_raw_mode(entry.mode), device)
}

/// Owner, mode, attributes and time of what has no content.
fn finish_entry(
    parent: &OwnedFd,
    name: &[u8],
    entry: &Entry,
    ids: Option<(u32, u32)>,
) -> Result<(), (&'static str, Errno)> {
    if let Some(ids) = ids {
        own(parent, name, ids).map_err(|errno| ("chown", errno))?;
    }
    match entry.kind {
        Kind::Directory => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened =
                rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(|errno| ("open", errno))?;
            mode_and_attributes(&opened, entry)
        }
        Kind::Symlink => rustix::fs::utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| ("utimens", errno)),
        _ => {
            // By a descriptor: somebody may have put a symlink in its place.
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened =
                rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(|errno| ("open", errno))?;
            let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
            rustix::fs::chmod(&link, Mode::from_raw_mode(entry.mode)).map_err(|errno| ("chmod", errno))?;
            rustix::fs::utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|errno| ("utimens", errno))
        }
    }
}

fn mode_and_attributes(file: impl AsFd, entry: &Entry) -> Result<(), (&'static str, Errno)> {
    // After the owner, whose change takes the set-id bits and the capabilities away.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode)).map_err(|errno| ("chmod", errno))?;
    for (name, value) in &entry.xattrs {
        if attributes::judge(name, value) == attributes::Verdict::Keep {
            attributes::set(&file, name, value).map_err(|errno| ("setxattr", errno))?;
        }
    }
    Ok(())
}

fn file(
    parent: &OwnedFd,
    name: &[u8],
    entry: &Entry,
    content: Content<'_>,
    ids: Option<(u32, u32)>,
) -> Result<(), Failure> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600));
    let mut target = File::from(opened.map_err(|errno| Failure::Call("create", errno))?);
    match content {
        Content::None => {}
        Content::File(source) => copy_ranges(source, &target, entry.size)?,
        Content::Stream(stream) => match &entry.sparse {
            None => stream_into(stream, &mut target, entry.stored)?,
            Some(segments) => {
                for Segment { offset, length } in segments {
                    rustix::fs::seek(&target, SeekFrom::Start(*offset))
                        .map_err(|errno| Failure::Call("seek", errno))?;
                    stream_into(stream, &mut target, *length)?;
                }
            }
        },
    }
    let call = |call: &'static str| move |errno: Errno| Failure::Call(call, errno);
    rustix::fs::ftruncate(&target, entry.size).map_err(call("truncate"))?;
    if let Some((uid, gid)) = ids {
        rustix::fs::fchown(&target, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(call("chown"))?;
    }
    mode_and_attributes(&target, entry).map_err(|(name, errno)| Failure::Call(name, errno))?;
    rustix::fs::futimens(&target, &times(entry.mtime)).map_err(call("utimens"))
}

/// Why a file could not be copied.
enum Failure {
    Call(&'static str, Errno),
    Input(std::io::Error),
}

impl Failure {
    fn at(self, path: &[u8]) -> TreeError {
        match self {
            Self::Call(call, errno) => SysError::at(call, as_path(path), errno).into(),
            Self::Input(error) => TreeError::Input(error),
        }
    }
}

fn stream_into(stream: &mut dyn Read, target: &mut File, length: u64) -> Result<(), Failure> {
    let mut buffer = vec![0; 128 << 10];
    let mut left = length;
    while left > 0 {
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = match stream.read(&mut buffer[..room]) {
            Ok(0) => return Err(Failure::Input(std::io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Input(error)),
        };
        let failed = |error: &std::io::Error| Errno::from_io_error(error).unwrap_or(Errno::IO);
        target.write_all(&buffer[..count]).map_err(|error| Failure::Call("write", failed(&error)))?;
        left -= count as u64;
    }
    Ok(())
}

/// Copies what is not a hole.
fn copy_ranges(source: &File, target: &File, size: u64) -> Result<(), Failure> {
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(source, SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole is left, or the file has been cut.
            Err(Errno::NXIO) => return Ok(()),
            // The file system knows no holes.
            Err(_) => at,
        };
        let end = rustix::fs::seek(source, SeekFrom::Hole(start)).unwrap_or(size).min(size);
        if !copy_range(source, target, start, end)? {
            return Ok(());
        }
        at = end.max(start + 1);
    }
    Ok(())
}

/// Copies bytes without taking them through this process; false where the source has ended.
fn copy_range(source: &File, target: &File, start: u64, end: u64) -> Result<bool, Failure> {
    /// Not too much at once, so that Ctrl-C is heard.
    const STEP: u64 = 64 << 20;
    let (mut at, mut whole_files) = (start, true);
    rustix::fs::seek(target, SeekFrom::Start(start)).map_err(|errno| Failure::Call("seek", errno))?;
    while at < end {
        let length = usize::try_from((end - at).min(STEP)).unwrap_or(usize::MAX);
        let mut offset = at;
        let copied = if whole_files {
            rustix::fs::copy_file_range(source, Some(&mut offset), target, None, length)
        } else {
            rustix::fs::sendfile(target, source, Some(&mut offset), length)
        };
        match copied {
            Ok(0) => return Ok(false),
            Ok(count) => at += count as u64,
            Err(Errno::INTR) => {}
            // Two file systems that have nothing in common: the kernel copies page by page.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if whole_files => {
                whole_files = false;
            }
            Err(errno) => return Err(Failure::Call("copy", errno)),
        }
    }
    Ok(true)
}

fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}
