//! The store's error: what was tried, on what, and the cause.

use std::path::PathBuf;

use corten_sys::SysError;

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
}
