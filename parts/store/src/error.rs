//! The store's error: what was tried, on what, and the cause.

use std::io;
use std::path::PathBuf;

use corten_spec::image_config::ImageConfigError;
use corten_spec::manifest::ManifestError;
use corten_spec::{DiffId, Digest, ImageId};
use corten_sys::{Errno, SysError};

use crate::images::ImageError;
use crate::layers::{ApplyError, RecipeError};
use crate::tar::TarError;
use crate::trees::TreeError;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A system call failed; it names itself.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// The directory was written by another version of corten.
    #[error("store {} has the format '{found}', which this corten does not know", root.display())]
    Format { root: PathBuf, found: String },
    /// A record on disk is not what corten writes.
    #[error("record {}: {source}", path.display())]
    Record { path: PathBuf, source: serde_json::Error },
    /// What was asked of images and their references cannot be had.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An archive is no layer.
    #[error("unpack {what}: {source}")]
    Apply { what: String, source: ApplyError },
    /// A stream could not be read or decompressed.
    #[error("read {what}: {source}")]
    Input { what: String, source: io::Error },
    /// Writing to the caller's stream failed.
    #[error("write the archive: {}", reason(.0))]
    Output(io::Error),
    /// A blob's bytes are not what its name says.
    #[error("blob {expected} has content with the digest {found}")]
    DigestMismatch { expected: Digest, found: Digest },
    /// A blob has another size than its descriptor says.
    #[error("blob {digest} has {found} bytes instead of {expected}")]
    SizeMismatch { digest: Digest, expected: u64, found: u64 },
    /// A layer's uncompressed tar is not what the config says.
    #[error("layer {expected} has content with the diff id {found}")]
    DiffIdMismatch { expected: DiffId, found: DiffId },
    /// A layer's tree is not what was once unpacked.
    #[error("layer {diff_id} was changed on disk: its tar now has the digest {found}")]
    LayerChanged { diff_id: DiffId, found: Digest },
    /// A layer's tar could not be regenerated.
    #[error("regenerate layer {diff_id}: {source}")]
    Regenerate { diff_id: DiffId, source: RecipeError },
    /// A blob that a record refers to is gone.
    #[error("blob {0} is missing from the store")]
    BlobMissing(Digest),
    /// A layer that a record refers to is gone.
    #[error("layer {0} is missing from the store")]
    LayerMissing(DiffId),
    /// The archive as a whole is not what `load` reads.
    #[error("archive: {0}")]
    Archive(String),
    /// The archive's own tar is malformed.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A manifest or an index is malformed.
    #[error("{what}: {source}")]
    Manifest { what: String, source: ManifestError },
    /// An image config is malformed.
    #[error("{what}: {source}")]
    Config { what: String, source: ImageConfigError },
    /// A tree could not be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An image and its archive do not agree.
    #[error("image {image}: {reason}")]
    Inconsistent { image: ImageId, reason: String },
}

impl StoreError {
    /// What the kernel answered, where that is why.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Sys(error) => Some(error.errno()),
            Self::Apply { source, .. } => source.errno(),
            Self::Output(error) | Self::Input { source: error, .. } => Errno::from_io_error(error),
            Self::Regenerate { source, .. } => source.errno(),
            Self::Tree(error) => error.errno(),
            _ => None,
        }
    }
}

fn reason(error: &io::Error) -> String {
    Errno::from_io_error(error).map_or_else(|| error.to_string(), corten_sys::error::reason)
}
