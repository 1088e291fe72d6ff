//! Trees of files: walked, merged as overlayfs merges them, compared, and copied from one form into another.
//!
//! A tree comes from a directory, several layers or an archive (`source`), and goes into an archive or a directory
//! (`sink`). None of it mounts anything.

mod archive;
mod changes;
mod copy;
mod describe;
mod layered;
mod pair;
pub(crate) mod path;
mod place;
mod snapshot;
mod walk;

use std::fs::File;
use std::io::{self, Read};

use corten_sys::{Errno, SysError};

use crate::tar::{Entry, TarError};

pub use archive::ArchiveWriter;
pub use changes::{Change, ChangeKind};
pub use copy::{Copied, Names, copy, extract};
pub use place::{Owner, Place};
pub use snapshot::Snapshot;

/// Takes the entries of a tree, parents before their children.
pub trait Sink {
    /// Takes one entry; `content` belongs to files only.
    fn put(&mut self, item: &TreeEntry, content: Content<'_>) -> Result<(), TreeError>;

    /// Takes the end of the tree.
    fn finish(&mut self) -> Result<(), TreeError>;
}

/// An entry on its way from one form of a tree to another.
#[derive(Debug)]
pub struct TreeEntry(pub(crate) Entry);

/// Where the bytes of a file come from: exactly as many as its entry says.
#[expect(missing_debug_implementations, reason = "a stream has nothing to show")]
pub enum Content<'a> {
    None,
    /// A file open for reading. One that is shorter by now is filled up with zeros.
    File(&'a File),
    Stream(&'a mut dyn Read),
}

/// Why a tree could not be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    #[error(transparent)]
    Sys(#[from] SysError),
    #[error(transparent)]
    Tar(#[from] TarError),
    #[error("write the archive: {}", Errno::from_io_error(.0).map_or_else(|| .0.to_string(), corten_sys::error::reason))]
    Output(io::Error),
    #[error("read the archive: {0}")]
    Input(#[source] io::Error),
    /// The wording is docker's.
    #[error("cannot overwrite directory \"{0}\" with non-directory \"{1}\"")]
    OverDirectory(String, String),
    #[error("cannot overwrite non-directory \"{0}\" with directory \"{1}\"")]
    OverFile(String, String),
    #[error("\"{0}\" is outside of \"{1}\"")]
    Outside(String, String),
    #[error("'{path}' is a hard link to '{target}', which is not there")]
    LinkTarget { path: String, target: String },
    #[error("'{0}' has an owner that the container does not know")]
    Owner(String),
}

impl TreeError {
    /// What the kernel answered, where that is why.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Sys(error) => Some(error.errno()),
            Self::Output(error) | Self::Input(error) => Errno::from_io_error(error),
            _ => None,
        }
    }
}
