//! From a directory, or an archive, into a sink.

use std::ffi::{CStr, CString};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd};

use corten_sys::error::Context;
use corten_sys::{Dir, Errno, SysError};
use rustix::fs::{FileType, Mode, OFlags};

use super::describe::{Described, describe};
use super::layered::Layered;
use super::path::as_path;
use super::snapshot::Links;
use super::walk::{Step, walk};
use super::{Content, Sink, TreeEntry, TreeError};
use crate::tar::reader::Reader;
use crate::tar::{BLOCK, Kind, encode};

/// How much was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Bytes that a tar of it has, without its end.
    pub bytes: u64,
    pub entries: u64,
}

impl Copied {
    /// Bytes of the whole tar, as docker counts a copy.
    pub fn tar_size(self) -> u64 {
        self.bytes + 2 * BLOCK as u64
    }
}

/// Where in the copy something goes.
#[derive(Debug, Clone)]
pub struct Names<'a> {
    /// The name in the source's directory; `.` for that directory itself.
    pub source: &'a [u8],
    /// The name it gets; `.` for what is in it, without a directory of its own.
    pub target: &'a [u8],
}

/// Copies one name of a directory, with everything below it, into a sink, and ends that. Ids of the tree begin at
/// `base`. Whoever else changes the tree meanwhile can make things be left out, nothing from outside come in.
pub fn copy(directory: &Dir, names: &Names<'_>, base: u32, sink: &mut dyn Sink) -> Result<Copied, TreeError> {
    let name =
        CString::new(names.source).map_err(|_| SysError::at("copy", as_path(names.source), Errno::INVAL))?;
    let mut carrier = Carrier::new(sink, base);
    if carrier.carry(directory.as_fd(), &name, names.target)? {
        let opened = rustix::fs::openat(
            directory,
            &name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .on("open", as_path(names.source))?;
        carrier = walk_into(Layered::plain(opened), names.target, carrier)?;
    }
    let copied = carrier.copied;
    sink.finish()?;
    Ok(copied)
}

/// Copies what is in `tree`; `path` is what stands before every name.
pub(crate) fn walk_into<'a>(
    tree: Layered,
    path: &[u8],
    mut carrier: Carrier<'a>,
) -> Result<Carrier<'a>, TreeError> {
    walk(tree, path, &mut |step: Step<'_, Layered>| match step {
        Step::Into { .. } => Ok::<bool, TreeError>(true),
        Step::Item { at, path, item } => {
            let carried = carrier.carry(at.holder(item), &item.name, path)?;
            Ok(carried && item.kind() == FileType::Directory)
        }
    })?;
    Ok(carrier)
}

/// Hands entries to a sink, a file's second name as a hard link.
pub(crate) struct Carrier<'a> {
    sink: &'a mut dyn Sink,
    base: u32,
    links: Links,
    pub(crate) copied: Copied,
}

impl<'a> Carrier<'a> {
    pub(crate) fn new(sink: &'a mut dyn Sink, base: u32) -> Self {
        Self { sink, base, links: Links::new(), copied: Copied::default() }
    }

    /// Copies what is called `name` in `directory`, without what is in it; says whether that is a directory.
    pub(crate) fn carry(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        path: &[u8],
    ) -> Result<bool, TreeError> {
        let found = describe(directory, name, path, self.base).on("read", as_path(path))?;
        let Some(Described { mut entry, file, stat }) = found else { return Ok(false) };
        let is_directory = entry.kind == Kind::Directory;
        if !is_directory && stat.st_nlink > 1 {
            match self.links.get(&(stat.st_dev, stat.st_ino)) {
                Some(first) => {
                    entry.kind = Kind::HardLink;
                    entry.link.clone_from(first);
                    (entry.size, entry.stored) = (0, 0);
                    entry.xattrs.clear();
                    self.put(&TreeEntry(entry), Content::None)?;
                    return Ok(false);
                }
                None => drop(self.links.insert((stat.st_dev, stat.st_ino), path.to_vec())),
            }
        }
        let content = file.as_ref().map_or(Content::None, Content::File);
        self.put(&TreeEntry(entry), content)?;
        Ok(is_directory)
    }

    pub(crate) fn put(&mut self, entry: &TreeEntry, content: Content<'_>) -> Result<(), TreeError> {
        let stored = entry.0.stored;
        self.copied.bytes += encode::headers(&entry.0).len() as u64 + stored + encode::padding(stored) as u64;
        self.copied.entries += 1;
        self.sink.put(entry, content)
    }
}

/// Copies a tar, plain or compressed, into a sink, and ends that.
pub fn extract(input: &mut (dyn Read + Send), sink: &mut dyn Sink) -> Result<Copied, TreeError> {
    let mut input = BufReader::with_capacity(256 << 10, input);
    let compression = crate::compression::Compression::sniff(input.fill_buf().map_err(TreeError::Input)?);
    let decoder = compression.decoder(input).map_err(TreeError::Input)?;
    let mut reader = Reader::new(BufReader::with_capacity(256 << 10, decoder));
    let mut carrier = Carrier::new(sink, 0);
    while let Some(entry) = reader.next()? {
        let entry = TreeEntry(entry);
        match entry.0.kind {
            Kind::File => carrier.put(&entry, Content::Stream(&mut Stored { reader: &mut reader }))?,
            _ => carrier.put(&entry, Content::None)?,
        }
    }
    let copied = carrier.copied;
    sink.finish()?;
    Ok(copied)
}

/// The content of an archive's entry.
struct Stored<'a, R> {
    reader: &'a mut Reader<R>,
}

impl<R: BufRead> Read for Stored<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.reader.data().map_err(std::io::Error::other)?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.reader.consume(count);
        Ok(count)
    }
}
