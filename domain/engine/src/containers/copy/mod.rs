//! `cp`: between the host, containers and archives, by docker's rules for paths.

mod find;
mod paths;
mod root;

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use corten_store::trees::{self, ArchiveWriter, Owner, Place, Sink, TreeError};
use corten_sys::error::reason;
use corten_sys::process;
use corten_sys::{Dir, Errno, SysError};
use rustix::fs::{AtFlags, FileType, OFlags, StatVfsMountFlags, StatxFlags};

use super::record::ContainerRecord;
use crate::{Engine, Error, events};
use find::{Found, Names, is_within};
use paths::{There, absolute, base, place};
use root::{Access, Root, absent_mount};

/// One end of a copy.
#[derive(Debug)]
pub enum CopyEnd {
    /// An absolute path, or one from a directory on.
    Host { directory: PathBuf, path: String },
    /// The container as the user named it, for messages.
    Container { record: Box<ContainerRecord>, name: String, path: String },
    /// An archive: from the caller's input, or to the caller's output.
    Archive,
}

/// How to copy.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyOptions {
    /// Keep the ids, all of them.
    pub archive: bool,
    /// Copy what a symlink leads to.
    pub follow: bool,
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOutcome {
    /// Bytes of a tar of it, as docker counts.
    pub bytes: u64,
    /// Where to, as docker says it.
    pub target: String,
}

/// Why nothing, or not everything, was copied.
#[derive(Debug)]
pub enum CopyFailure {
    /// What docker's client would say.
    Client(String),
    /// What its daemon would.
    Daemon(Error),
}

impl<E: Into<Error>> From<E> for CopyFailure {
    fn from(error: E) -> Self {
        Self::Daemon(error.into())
    }
}

/// Copies. Blocking, in a process of one thread, which may leave its mount namespace for a copy and does not come back.
pub fn copy(
    engine: &Engine,
    from: &CopyEnd,
    to: &CopyEnd,
    options: CopyOptions,
    input: &mut (dyn Read + Send),
    output: &mut dyn Write,
) -> Result<CopyOutcome, CopyFailure> {
    let (from_root, to_root) = roots(engine, from, to)?;
    let source = Source::find(from, from_root.as_deref(), options)?;
    let copied = match to {
        CopyEnd::Archive => {
            let source = source.ok_or_else(|| client("source can not be an archive"))?;
            let mut writer = ArchiveWriter::new(output);
            Ok(CopyOutcome { bytes: source.copy(&source.name, &mut writer)?, target: String::new() })
        }
        CopyEnd::Host { directory, path } => to_host(directory, path, source.as_ref(), options),
        CopyEnd::Container { record, name, path } => {
            let root = to_root.ok_or_else(|| client("the destination has no root"))?;
            if root.base != 0 {
                process::create_as(root.base, root.base)?;
            }
            let target = ContainerTarget { record, name, root: &root };
            target.put(path, source.as_ref(), options, input)
        }
    };
    if copied.is_ok() {
        for (end, action) in [(from, "archive-path"), (to, "extract-to-dir")] {
            if let CopyEnd::Container { record, .. } = end {
                events::container(engine, record, action, &[]);
            }
        }
    }
    copied.map_err(|failure| match failure {
        CopyFailure::Daemon(error) if matches!(to, CopyEnd::Host { .. }) => {
            CopyFailure::Client(error.to_string())
        }
        other => other,
    })
}

type SharedRoot = Option<Rc<Root>>;

/// Opens the roots of the containers at both ends; one container's, once.
fn roots(engine: &Engine, from: &CopyEnd, to: &CopyEnd) -> Result<(SharedRoot, SharedRoot), CopyFailure> {
    let to_root = match to {
        CopyEnd::Container { record, .. } => Some(Rc::new(Root::open(engine, record, Access::Write)?)),
        _ => None,
    };
    let from_root = match (from, to) {
        (CopyEnd::Container { record, .. }, CopyEnd::Container { record: other, .. })
            if record.id == other.id =>
        {
            to_root.clone()
        }
        (CopyEnd::Container { record, .. }, _) => Some(Rc::new(Root::open(engine, record, Access::Read)?)),
        _ => None,
    };
    Ok((from_root, to_root))
}

fn client(text: impl Into<String>) -> CopyFailure {
    CopyFailure::Client(text.into())
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// docker's words for a path that is not there.
fn missing(path: &[u8], container: &str) -> CopyFailure {
    let text = format!("Could not find the file {} in container {container}", shown(path));
    Error::not_found(text).into()
}

/// What is copied.
struct Source {
    found: Found,
    /// What the copy is called where its destination does not say.
    name: Vec<u8>,
    /// What the ids of its tree begin at.
    base: u32,
}

impl Source {
    /// Finds the source; `None` for an archive.
    fn find(end: &CopyEnd, root: Option<&Root>, options: CopyOptions) -> Result<Option<Self>, CopyFailure> {
        let (names, path, base_id) = match (end, root) {
            (CopyEnd::Host { directory, path }, _) => {
                let path = absolute(directory.as_os_str().as_bytes(), path.as_bytes());
                (Names::Host, path, 0)
            }
            (CopyEnd::Container { path, .. }, Some(root)) => {
                (Names::Container(&root.dir), absolute(b"/", path.as_bytes()), root.base)
            }
            _ => return Ok(None),
        };
        let given = path.clone();
        let absent = |path: &[u8], errno: Errno| match end {
            CopyEnd::Container { name, path: given_path, .. } if errno == Errno::NOENT => {
                // As it was given, unless a symlink has led elsewhere.
                let path = if path == given { given_path.as_bytes() } else { path };
                missing(path, name)
            }
            CopyEnd::Container { .. } => {
                Error::invalid(format!("lstat {}: {}", shown(path), reason(errno))).into()
            }
            _ => client(format!("lstat {}: {}", shown(path), reason(errno))),
        };
        let found = if options.follow {
            match names.end_of_links(&path) {
                Ok((_, Some(found))) => found,
                Ok((end, None)) => return Err(absent(&end, Errno::NOENT)),
                Err(error) => return Err(absent(&path, error.errno())),
            }
        } else {
            names.find(&path).map_err(|error| absent(&path, error.errno()))?
        };
        Ok(Some(Self { found, name: base(&path).to_vec(), base: base_id }))
    }

    fn is_directory(&self) -> bool {
        self.found.kind == FileType::Directory
    }

    /// Copies it under a name into a sink, and returns the bytes that its tar has.
    fn copy(&self, name: &[u8], sink: &mut dyn Sink) -> Result<u64, TreeError> {
        let name = if name == b"/" { b"." } else { name };
        let names = trees::Names { source: &self.found.name, target: name };
        Ok(trees::copy(&self.found.directory, &names, self.base, sink)?.tar_size())
    }

    /// Copies it into a directory, which must not be below it.
    fn copy_into(&self, directory: &Dir, name: &[u8], mut sink: Place) -> Result<u64, CopyFailure> {
        if self.is_directory() && is_within(directory, &self.found)? {
            return Err(client("cannot copy a directory into itself"));
        }
        Ok(self.copy(name, &mut sink)?)
    }
}

fn to_host(
    directory: &Path,
    path: &str,
    source: Option<&Source>,
    options: CopyOptions,
) -> Result<CopyOutcome, CopyFailure> {
    let source = source.ok_or_else(|| client("must specify at least one container source"))?;
    let path = absolute(directory.as_os_str().as_bytes(), path.as_bytes());
    check_output(&path)?;
    let plain = |error: &SysError| client(error.to_string());
    let (end, found) = Names::Host.end_of_links(&path).map_err(|error| plain(&error))?;
    let there = there(found.as_ref());
    let (into, name) = place(&source.name, source.is_directory(), &end, there).map_err(client)?;
    let opened = Names::Host.open_directory(&into).map_err(|error| plain(&error))?;
    let owner = match options.archive {
        true => Owner::Kept { base: 0, count: u32::MAX, exact: true },
        false => Owner::Caller,
    };
    let sink = Place::new(&opened, &shown(&into), owner)?;
    Ok(CopyOutcome { bytes: source.copy_into(&opened, &name, sink)?, target: shown(&path) })
}

fn there(found: Option<&Found>) -> There {
    match found {
        None => There::Nothing,
        Some(found) if found.kind == FileType::Directory => There::Directory,
        Some(_) => There::File,
    }
}

/// docker's ValidateOutputPath: the destination's directory is there, and it itself is nothing special.
fn check_output(path: &[u8]) -> Result<(), CopyFailure> {
    let as_path = |path: &[u8]| PathBuf::from(OsStr::from_bytes(path));
    let cleaned = paths::clean(path);
    let directory = as_path(&paths::split(&cleaned).0);
    let directory = directory.components().as_path();
    if let Err(Errno::NOENT) = rustix::fs::stat(directory) {
        let text = format!("invalid output path: directory \"{}\" does not exist", directory.display());
        return Err(client(text));
    }
    match rustix::fs::stat(as_path(path)) {
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(client(format!("stat {}: {}", shown(path), reason(errno)))),
        Ok(stat) => special(FileType::from_raw_mode(stat.st_mode)).map_err(|what| {
            client(format!(
                "invalid output path: \"{}\" must be a directory or a regular file: {what}",
                shown(path)
            ))
        }),
    }
}

fn special(kind: FileType) -> Result<(), &'static str> {
    match kind {
        FileType::CharacterDevice | FileType::BlockDevice => Err("got a device"),
        _ => Ok(()),
    }
}

/// A container that takes a copy.
struct ContainerTarget<'a> {
    record: &'a ContainerRecord,
    name: &'a str,
    root: &'a Root,
}

impl ContainerTarget<'_> {
    fn put(
        &self,
        path: &str,
        source: Option<&Source>,
        options: CopyOptions,
        input: &mut (dyn Read + Send),
    ) -> Result<CopyOutcome, CopyFailure> {
        let names = Names::Container(&self.root.dir);
        let wanted = absolute(b"/", path.as_bytes());
        let (end, found) = match names.end_of_links(&wanted) {
            // Its parent is no directory: told when that is to be opened.
            Err(error) if error.errno() == Errno::NOTDIR => (wanted.clone(), None),
            other => other?,
        };
        let shown_target = || format!("{}:{path}", self.name);
        if let Some(found) = &found {
            special(found.kind).map_err(|what| {
                client(format!(
                    "destination \"{}\" must be a directory or a regular file: {what}",
                    shown_target()
                ))
            })?;
        }
        let there = there(found.as_ref());
        let owner = self.root.owner(options.archive);
        let Some(source) = source else {
            if there != There::Directory {
                return Err(client(format!("destination \"{}\" must be a directory", shown_target())));
            }
            let directory = self.open(&end)?;
            let mut sink = Place::new(&directory, &shown(&end), owner)?.following(
                Dir::from_fd(self.root.dir.open_at(".", OFlags::PATH | OFlags::DIRECTORY, 0)?),
                &end,
            );
            let copied = trees::extract(input, &mut sink)?;
            return Ok(CopyOutcome { bytes: copied.tar_size(), target: shown_target() });
        };
        let (into, name) = place(&source.name, source.is_directory(), &end, there).map_err(client)?;
        let directory = self.open(&into)?;
        let sink = Place::new(&directory, &shown(&into), owner)?;
        let bytes = source.copy_into(&directory, &name, sink)?;
        let target = if end == wanted { shown_target() } else { format!("{}:{}", self.name, shown(&end)) };
        Ok(CopyOutcome { bytes, target })
    }

    /// Opens the directory that takes the copy.
    fn open(&self, path: &[u8]) -> Result<Dir, CopyFailure> {
        if self.root.is_standing()
            && let Some(mount) = absent_mount(self.record, path)
        {
            return Err(Error::unsupported(format!(
                "{mount} of container {} is mounted only while it runs: start it first",
                self.name
            ))
            .into());
        }
        let opened = match Names::Container(&self.root.dir).open_directory(path) {
            Err(error) if error.errno() == Errno::NOENT => {
                let path = if path.len() > 1 { path.strip_suffix(b"/").unwrap_or(path) } else { path };
                return Err(missing(path, self.name));
            }
            Err(error) if error.errno() == Errno::NOTDIR => {
                return Err(Error::invalid("extraction point is not a directory").into());
            }
            other => other?,
        };
        let failed = |errno| SysError::new("statvfs", shown(path), errno);
        let flags = rustix::fs::fstatvfs(&opened).map_err(failed)?.f_flag;
        if flags.contains(StatVfsMountFlags::RDONLY) {
            let mount = |dir: &Dir| rustix::fs::statx(dir, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
            let same = mount(&opened).map_err(failed)?.stx_mnt_id
                == mount(&self.root.dir).map_err(failed)?.stx_mnt_id;
            let text = if same {
                "container rootfs is marked read-only"
            } else {
                "mounted volume is marked read-only"
            };
            return Err(Error::invalid(text).into());
        }
        Ok(opened)
    }
}
