//! What corten keeps on disk: blobs, layers, images and their references, containers' directories,
//! volumes; and the locks and the trash that keep them whole.
//!
//! The layout is the database (architecture §3). Everything below [`Store::root`] is on one file system,
//! mode 0700, written by rename or link, readable with `cat`.

pub mod blobs;
pub mod compression;
pub mod containers;
pub mod error;
pub mod images;
pub mod ingest;
pub mod layers;
pub mod lock;
pub mod record;
pub mod removed;
mod tar;
pub mod trash;
pub mod trees;
pub mod volumes;

use std::path::{Path, PathBuf};

use corten_sys::fs;

pub use error::StoreError;
pub use images::{ChildOptions, Image, ImageError, ImportOptions, LoadOptions, SaveItem};
pub use ingest::Lease;
pub use layers::Layer;
pub use tar::TarError;
pub use tar::writer::program_tar;

/// The directories of a store, relative to its root, made when it is first opened.
const LAYOUT: [&str; 10] = [
    "blobs/sha256",
    "layers",
    "images/refs",
    "containers/names",
    "scratch",
    "volumes",
    "ingest",
    "intents",
    "events",
    "trash",
];

/// The version of the layout; a store of another version is refused, never guessed at.
const FORMAT: &str = "corten store 1\n";

/// A store on disk.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store at `root`, creating it where there is none. Two syscalls where it exists.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let store = Self { root: root.to_owned() };
        let format = root.join("format");
        match fs::read_if_exists(&format)? {
            Some(text) if text == FORMAT.as_bytes() => return Ok(store),
            Some(text) => {
                let found = String::from_utf8_lossy(&text).trim().to_owned();
                return Err(StoreError::Format { root: root.to_owned(), found });
            }
            None => {}
        }
        fs::create_dir_all(root, 0o700)?;
        for directory in LAYOUT {
            fs::create_dir_all(root.join(directory), 0o700)?;
        }
        // Layers are made here, and nothing to each other. Beside trees that were removed a moment ago an ext4 without
        // a journal looks at each of their inodes for each file it makes, for minutes (`recently_deleted`).
        fs::keep_trees_apart(root.join("ingest"))?;
        fs::write_durable(&format, FORMAT.as_bytes())?;
        Ok(store)
    }

    /// The directory that holds everything.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the root.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }
}
