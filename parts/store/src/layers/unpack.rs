//! Unpacking a layer's tar into a directory, converted for overlayfs, while writing its recipe.

use std::fs::File;
use std::io::BufRead;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use corten_sys::{Dir, Errno, SysError, fs};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};

use super::attributes::{self, Verdict};
use super::kept::{self, Kept};
use super::parents::{Parent, Parents};
use super::recipe::{RecipeError, RecipeWriter};
use super::{Contents, TREE};
use crate::tar::reader::Reader;
use crate::tar::{Entry, Kind, TarError};
use crate::trees::path::{as_path, clean, shown};

/// Why an archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Tar(#[from] TarError),
    #[error("entry '{path}': {source}")]
    Entry { path: String, source: SysError },
    #[error("entry '{0}' leaves the layer")]
    Escapes(String),
    #[error("entry '{0}' has no name")]
    Nameless(String),
    #[error("entry '{0}' is a whiteout of nothing")]
    Whiteout(String),
    #[error("entry '{path}' is a hard link to '{target}', which is not in the layer")]
    LinkTarget { path: String, target: String },
    #[error("entry '{0}' has an owner that no Linux file can have")]
    Owner(String),
    #[error("entry '{0}' has an invalid security.capability attribute")]
    Capability(String),
    #[error("fewer than 5 % of the file system's inodes are free")]
    Inodes,
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    #[error(transparent)]
    Sys(#[from] SysError),
}

impl ApplyError {
    /// What the kernel answered, where that is why.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Entry { source, .. } | Self::Sys(source) => Some(source.errno()),
            Self::Inodes => Some(Errno::NOSPC),
            Self::Recipe(error) => error.errno(),
            _ => None,
        }
    }
}

/// How often the free inodes are looked at, in entries.
const INODE_CHECK: u64 = 4096;
/// Files from this size on go to the disk while the next ones are unpacked: few files, most of the bytes.
const LARGE: u64 = 128 << 10;
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";
const META: &[u8] = b".wh..wh.";
pub(crate) const WHITEOUT: &[u8] = b".wh.";

/// Unpacks the tar `input` into `layer/fs` and writes `layer/recipe`. Reads `input` to its end. Blocking.
pub(crate) fn unpack(input: impl BufRead, layer: &Path) -> Result<Contents, ApplyError> {
    let mut unpacker = Unpacker::new(layer)?;
    let mut reader = Reader::new(input);
    while let Some(entry) = reader.next()? {
        unpacker.recipe.literal(reader.literal())?;
        unpacker.apply(&entry, &mut reader)?;
    }
    unpacker.recipe.literal(reader.literal())?;
    let mut rest = reader.into_source();
    loop {
        let bytes = rest.fill_buf().map_err(TarError::Read)?;
        if bytes.is_empty() {
            break;
        }
        unpacker.recipe.literal(bytes)?;
        let count = bytes.len();
        rest.consume(count);
    }
    unpacker.finish()
}

struct Unpacker {
    tree: Dir,
    kept: Kept,
    parents: Parents,
    recipe: RecipeWriter,
    contents: Contents,
    entries: u64,
    /// Modification times of directories, set when nothing is made in them any more.
    times: Vec<(Vec<u8>, (i64, u32))>,
}

impl Unpacker {
    fn new(layer: &Path) -> Result<Self, ApplyError> {
        let tree = Dir::open(layer.join(TREE))?;
        Ok(Self {
            parents: Parents::new(Dir::open(layer.join(TREE))?)?,
            tree,
            kept: Kept::new(Dir::open(layer)?),
            recipe: RecipeWriter::create(layer)?,
            contents: Contents::default(),
            entries: 0,
            times: Vec::new(),
        })
    }

    fn apply<R: BufRead>(&mut self, entry: &Entry, reader: &mut Reader<R>) -> Result<(), ApplyError> {
        if self.entries.is_multiple_of(INODE_CHECK) {
            self.check_inodes()?;
        }
        self.entries += 1;
        let path = clean(&entry.path).ok_or_else(|| ApplyError::Escapes(shown(&entry.path)))?;
        let owner = self.owner(entry)?;
        let result = self.place(&path, entry, owner, reader);
        // Content of what is not a file (a whiteout's, say) belongs to the recipe all the same.
        result?;
        loop {
            let bytes = reader.data()?;
            if bytes.is_empty() {
                return Ok(());
            }
            self.recipe.literal(bytes)?;
            let count = bytes.len();
            reader.consume(count);
        }
    }

    fn place<R: BufRead>(
        &mut self,
        path: &[u8],
        entry: &Entry,
        owner: (Uid, Gid),
        reader: &mut Reader<R>,
    ) -> Result<(), ApplyError> {
        let on = |source: SysError| ApplyError::Entry { path: shown(path), source };
        let Some(name) = path.rsplit(|b| *b == b'/').next().filter(|name| !name.is_empty()) else {
            return self.root(entry, owner);
        };
        let directory = &path[..path.len() - name.len()];
        let directory = directory.strip_suffix(b"/").unwrap_or(directory);
        match directory.split(|b| *b == b'/').find(|part| part.starts_with(WHITEOUT)) {
            // What aufs kept for itself.
            Some(part) if part.starts_with(META) => return Ok(()),
            Some(_) => return Err(ApplyError::Whiteout(shown(path))),
            None => {}
        }
        let parent = self.parents.create(directory).map_err(on)?;
        if name.starts_with(WHITEOUT) {
            return self.whiteout(&parent, name, path);
        }
        let place = Place { parent: &parent, name, path };
        match entry.kind {
            Kind::File => self.file(&place, entry, owner, reader),
            Kind::Directory => self.directory(&place, entry, owner),
            Kind::HardLink => self.hard_link(&place, entry),
            Kind::Symlink => self.symlink(&place, entry, owner),
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => self.node(&place, entry, owner),
        }
    }

    fn owner(&mut self, entry: &Entry) -> Result<(Uid, Gid), ApplyError> {
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        let (Some(uid), Some(gid)) = (id(entry.uid), id(entry.gid)) else {
            return Err(ApplyError::Owner(shown(&entry.path)));
        };
        self.contents.highest_uid = self.contents.highest_uid.max(uid);
        self.contents.highest_gid = self.contents.highest_gid.max(gid);
        Ok((Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    fn check_inodes(&self) -> Result<(), ApplyError> {
        let stat = rustix::fs::fstatvfs(&self.tree).map_err(|errno| SysError::new("statvfs", "", errno))?;
        // Some file systems count no inodes.
        if stat.f_files > 0 && stat.f_favail.saturating_mul(20) < stat.f_files {
            return Err(ApplyError::Inodes);
        }
        Ok(())
    }

    fn root(&mut self, entry: &Entry, owner: (Uid, Gid)) -> Result<(), ApplyError> {
        if entry.kind != Kind::Directory {
            return Err(ApplyError::Nameless(shown(&entry.path)));
        }
        let root = self.parents.root().clone();
        let place = Place { parent: &root, name: b".", path: b"." };
        self.contents.directories += 1;
        self.times.push((Vec::new(), entry.mtime));
        set_directory(&place, entry, owner)
    }

    fn file<R: BufRead>(
        &mut self,
        place: &Place<'_>,
        entry: &Entry,
        owner: (Uid, Gid),
        reader: &mut Reader<R>,
    ) -> Result<(), ApplyError> {
        let file = File::from(self.create_file(place, entry.mode)?);
        let stat = rustix::fs::fstat(&file).map_err(place.on("stat"))?;
        if entry.stored > 0 {
            let path = place.parent.join(place.name);
            match &entry.sparse {
                None => {
                    let number = self.recipe.file(&path, 0, entry.stored)?;
                    self.kept.note(&stat, number);
                    write_range(&file, 0, entry.stored, reader, place)?;
                }
                Some(segments) => {
                    let mut first = true;
                    for segment in segments.iter().filter(|segment| segment.length > 0) {
                        if first {
                            let number = self.recipe.file(&path, segment.offset, segment.length)?;
                            self.kept.note(&stat, number);
                        } else {
                            self.recipe.more(segment.offset, segment.length)?;
                        }
                        first = false;
                        write_range(&file, segment.offset, segment.length, reader, place)?;
                    }
                }
            }
        }
        if entry.sparse.is_some() {
            rustix::fs::ftruncate(&file, entry.size).map_err(place.on("truncate"))?;
        }
        set_owner_and_mode(&file, &stat, entry, owner, place)?;
        set_attributes(&file, entry, place)?;
        rustix::fs::futimens(&file, &times(entry.mtime)).map_err(place.on("utimens"))?;
        if entry.stored >= LARGE {
            fs::begin_writeback(&file);
        }
        self.contents.files += 1;
        self.contents.size += entry.size;
        Ok(())
    }

    /// Creates a file with the permissions it will have, as far as the umask and the missing content allow.
    fn create_file(&mut self, place: &Place<'_>, mode: u32) -> Result<OwnedFd, ApplyError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode & 0o777);
        match rustix::fs::openat(place.parent, place.name, flags, mode) {
            Err(Errno::EXIST) => {
                self.replace(place)?;
                rustix::fs::openat(place.parent, place.name, flags, mode)
            }
            other => other,
        }
        .map_err(place.on("create"))
    }

    fn directory(&mut self, place: &Place<'_>, entry: &Entry, owner: (Uid, Gid)) -> Result<(), ApplyError> {
        let make = || rustix::fs::mkdirat(place.parent, place.name, Mode::from_raw_mode(0o700));
        match make() {
            Err(Errno::EXIST) => {
                let stat = place.stat()?;
                let kind = FileType::from_raw_mode(stat.st_mode);
                if kind != FileType::Directory {
                    self.replace(place)?;
                    make().map_err(place.on("mkdir"))?;
                }
                // The same layer removes the directory below and makes a new one.
                if kind == FileType::CharacterDevice && stat.st_rdev == 0 {
                    self.opaque(place)?;
                }
            }
            other => other.map_err(place.on("mkdir"))?,
        }
        set_directory(place, entry, owner)?;
        self.times.push((place.parent.join(place.name), entry.mtime));
        self.contents.directories += 1;
        Ok(())
    }

    fn opaque(&self, place: &Place<'_>) -> Result<(), ApplyError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory =
            rustix::fs::openat(place.parent, place.name, flags, Mode::empty()).map_err(place.on("open"))?;
        attributes::set_opaque(&directory).map_err(place.on("setxattr"))
    }

    fn hard_link(&mut self, place: &Place<'_>, entry: &Entry) -> Result<(), ApplyError> {
        let missing = || ApplyError::LinkTarget { path: shown(place.path), target: shown(&entry.link) };
        let target = clean(&entry.link).ok_or_else(missing)?;
        let name =
            target.rsplit(|b| *b == b'/').next().filter(|name| !name.is_empty()).ok_or_else(missing)?;
        let directory = &target[..target.len() - name.len()];
        let directory = directory.strip_suffix(b"/").unwrap_or(directory);
        let source = match self.parents.open(directory) {
            Ok(parent) => parent,
            Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR) => return Err(missing()),
            Err(source) => return Err(ApplyError::Entry { path: shown(place.path), source }),
        };
        let stat = match rustix::fs::statat(&source, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err(missing()),
            Err(errno) => return Err(place.on("stat")(errno)),
        };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            return Err(place.on("link")(Errno::PERM));
        }
        let link = || rustix::fs::linkat(&source, name, place.parent, place.name, AtFlags::empty());
        match link() {
            Err(Errno::EXIST) => {
                let existing = place.stat()?;
                // Already this very file: nothing to replace, and its own target must not go.
                if (existing.st_dev, existing.st_ino) != (stat.st_dev, stat.st_ino) {
                    self.replace(place)?;
                    link().map_err(place.on("link"))?;
                }
            }
            other => other.map_err(place.on("link"))?,
        }
        self.contents.hard_links += 1;
        Ok(())
    }

    fn symlink(&mut self, place: &Place<'_>, entry: &Entry, owner: (Uid, Gid)) -> Result<(), ApplyError> {
        let make = || rustix::fs::symlinkat(as_path(&entry.link), place.parent, place.name);
        self.make(place, make, "symlink")?;
        self.own(place, owner)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(place.parent, place.name, &times(entry.mtime), flags)
            .map_err(place.on("utimens"))?;
        self.contents.symlinks += 1;
        Ok(())
    }

    /// Makes a device or a FIFO, which is never opened: its mode is set by name.
    fn node(&mut self, place: &Place<'_>, entry: &Entry, owner: (Uid, Gid)) -> Result<(), ApplyError> {
        let kind = match entry.kind {
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = rustix::fs::makedev(entry.device.0, entry.device.1);
        let mode = Mode::from_raw_mode(entry.mode);
        let make = || rustix::fs::mknodat(place.parent, place.name, kind, mode, device);
        self.make(place, make, "mknod")?;
        self.own(place, owner)?;
        // The name was made just now in a tree that nobody else can reach: it is no symlink.
        rustix::fs::chmodat(place.parent, place.name, mode, AtFlags::empty()).map_err(place.on("chmod"))?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(place.parent, place.name, &times(entry.mtime), flags)
            .map_err(place.on("utimens"))?;
        self.contents.devices += 1;
        Ok(())
    }

    fn make(
        &mut self,
        place: &Place<'_>,
        make: impl Fn() -> Result<(), Errno>,
        call: &'static str,
    ) -> Result<(), ApplyError> {
        match make() {
            Err(Errno::EXIST) => {
                self.replace(place)?;
                make().map_err(place.on(call))
            }
            other => other.map_err(place.on(call)),
        }
    }

    fn own(&self, place: &Place<'_>, owner: (Uid, Gid)) -> Result<(), ApplyError> {
        rustix::fs::chownat(place.parent, place.name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(place.on("chown"))
    }

    /// Converts `.wh.name` and `.wh..wh..opq` in `parent`.
    fn whiteout(&mut self, parent: &Parent, name: &[u8], path: &[u8]) -> Result<(), ApplyError> {
        self.contents.whiteouts += u64::from(name == OPAQUE || !name.starts_with(META));
        if name == OPAQUE {
            let place = Place { parent, name: b".", path };
            return attributes::set_opaque(parent).map_err(place.on("setxattr"));
        }
        if name.starts_with(META) {
            // What aufs kept for itself.
            return Ok(());
        }
        let hidden = &name[WHITEOUT.len()..];
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(ApplyError::Whiteout(shown(path)));
        }
        let place = Place { parent, name: hidden, path };
        let node = rustix::fs::mknodat(parent, hidden, FileType::CharacterDevice, Mode::empty(), 0);
        match node {
            // image-spec, Whiteouts: what the same layer adds is not hidden, whatever the order.
            Err(Errno::EXIST) => {
                if FileType::from_raw_mode(place.stat()?.st_mode) == FileType::Directory {
                    self.opaque(&place)?;
                }
                Ok(())
            }
            other => other.map_err(place.on("mknod")),
        }
    }

    /// Makes room for an entry whose name is taken.
    fn replace(&mut self, place: &Place<'_>) -> Result<(), ApplyError> {
        let stat = place.stat()?;
        if matches!(FileType::from_raw_mode(stat.st_mode), FileType::Directory | FileType::Symlink) {
            self.parents.forget();
        }
        self.kept.take(place.parent, place.name, &stat).map_err(place.on("replace"))
    }

    fn finish(mut self) -> Result<Contents, ApplyError> {
        let directories = std::mem::take(&mut self.times);
        for (path, mtime) in directories {
            let (directory, name) = match path.iter().rposition(|b| *b == b'/') {
                Some(slash) => (&path[..slash], &path[slash + 1..]),
                None if path.is_empty() => (&b""[..], &b"."[..]),
                None => (&b""[..], &path[..]),
            };
            // A later entry may have put something else there.
            let Ok(parent) = self.parents.open(directory) else { continue };
            match rustix::fs::utimensat(&parent, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(SysError::at("utimens", as_path(&path), errno).into()),
            }
        }
        self.kept.sort().map_err(|errno| SysError::new("sort", kept::DIRECTORY, errno))?;
        self.recipe.finish()?;
        Ok(self.contents)
    }
}

/// Where an entry goes.
struct Place<'a> {
    parent: &'a Parent,
    name: &'a [u8],
    path: &'a [u8],
}

impl Place<'_> {
    fn stat(&self) -> Result<rustix::fs::Stat, ApplyError> {
        rustix::fs::statat(self.parent, self.name, AtFlags::SYMLINK_NOFOLLOW).map_err(self.on("stat"))
    }

    fn on(&self, call: &'static str) -> impl Fn(Errno) -> ApplyError {
        let path = self.path;
        move |errno| ApplyError::Entry { path: shown(path), source: SysError::new(call, "", errno) }
    }
}

fn set_directory(place: &Place<'_>, entry: &Entry, owner: (Uid, Gid)) -> Result<(), ApplyError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory =
        rustix::fs::openat(place.parent, place.name, flags, Mode::empty()).map_err(place.on("open"))?;
    let stat = rustix::fs::fstat(&directory).map_err(place.on("stat"))?;
    set_owner_and_mode(&directory, &stat, entry, owner, place)?;
    set_attributes(&directory, entry, place)
}

/// Sets what is not as it should be: mostly nothing, and each call would have the inode written.
fn set_owner_and_mode(
    file: impl AsFd,
    stat: &Stat,
    entry: &Entry,
    owner: (Uid, Gid),
    place: &Place<'_>,
) -> Result<(), ApplyError> {
    let owned = (stat.st_uid, stat.st_gid) == (owner.0.as_raw(), owner.1.as_raw());
    if !owned {
        rustix::fs::fchown(&file, Some(owner.0), Some(owner.1)).map_err(place.on("chown"))?;
    }
    if owned && stat.st_mode & 0o7777 == entry.mode {
        return Ok(());
    }
    // After the owner, whose change takes the set-id bits away.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode)).map_err(place.on("chmod"))
}

fn set_attributes(file: impl AsFd, entry: &Entry, place: &Place<'_>) -> Result<(), ApplyError> {
    for (name, value) in &entry.xattrs {
        match attributes::judge(name, value) {
            Verdict::Keep => attributes::set(&file, name, value).map_err(place.on("setxattr"))?,
            Verdict::Drop => {}
            Verdict::Invalid => return Err(ApplyError::Capability(shown(place.path))),
        }
    }
    Ok(())
}

fn write_range<R: BufRead>(
    file: &File,
    offset: u64,
    length: u64,
    reader: &mut Reader<R>,
    place: &Place<'_>,
) -> Result<(), ApplyError> {
    let (mut offset, mut left) = (offset, length);
    while left > 0 {
        let bytes = reader.data()?;
        let part = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        if part.is_empty() {
            return Err(TarError::Truncated("a file").into());
        }
        let count = match rustix::io::pwrite(file, part, offset) {
            Ok(0) => return Err(place.on("write")(Errno::IO)),
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(place.on("write")(errno)),
        };
        reader.consume(count);
        offset += count as u64;
        left -= count as u64;
    }
    Ok(())
}

/// Access and modification time; the kernel clamps to what the file system can hold.
fn times((seconds, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}
