//! Layers: unpacked trees keyed by diff ID, each with the recipe that regenerates its tar.
//!
//! `layers/<algorithm>-<hex>/{fs/, layer.json, recipe, kept/}`. A directory there is complete: it was synced
//! before it got its name.

pub(crate) mod attributes;
pub(crate) mod chunks;
pub(crate) mod ingest;
mod kept;
pub(crate) mod parents;
pub(crate) mod recipe;
mod unpack;

use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::thread;

use corten_spec::{DiffId, Digest, digest};
use corten_sys::{Errno, fs};
use serde::{Deserialize, Serialize};

use crate::ingest::Lease;
use crate::{Store, StoreError, record};

use chunks::{ChunkReader, ChunkSender, ChunkWriter, chunks};
pub use recipe::RecipeError;
pub use unpack::ApplyError;
pub(crate) use unpack::{OPAQUE, WHITEOUT};

/// The tree's name in a layer's directory.
pub(crate) const TREE: &str = "fs";
const RECORD: &str = "layer.json";
/// Chunks that wait between two threads.
const DEPTH: usize = 32;

/// What is known of a layer without walking it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    pub version: u32,
    pub diff_id: DiffId,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
    pub contents: Contents,
}

/// What an archive contained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Bytes of all regular files, as docker counts an image's size.
    pub size: u64,
    pub files: u64,
    pub directories: u64,
    pub symlinks: u64,
    pub hard_links: u64,
    pub devices: u64,
    pub whiteouts: u64,
    pub highest_uid: u32,
    pub highest_gid: u32,
}

/// A layer in a lease, complete but not yet visible.
#[derive(Debug)]
pub(crate) struct PendingLayer {
    pub(crate) path: PathBuf,
    pub(crate) layer: Layer,
}

impl PendingLayer {
    /// Writes the record of what was unpacked at `path`.
    pub(crate) fn new(
        path: PathBuf,
        diff_id: DiffId,
        tar_size: u64,
        contents: Contents,
    ) -> Result<Self, StoreError> {
        let layer = Layer { version: 1, diff_id, tar_size, contents };
        fs::write_atomic(path.join(RECORD), &record::render(&layer))?;
        Ok(Self { path, layer })
    }
}

impl Store {
    /// The directory of a layer, whether or not it is there.
    pub fn layer_path(&self, diff_id: &DiffId) -> PathBuf {
        self.path("layers").join(diff_id.0.file_name())
    }

    /// The tree of a layer: a lower directory for overlayfs.
    pub fn layer_tree(&self, diff_id: &DiffId) -> PathBuf {
        self.layer_path(diff_id).join(TREE)
    }

    /// Reads a layer's record, or `None` where there is no such layer.
    pub fn layer(&self, diff_id: &DiffId) -> Result<Option<Layer>, StoreError> {
        record::load(&self.layer_path(diff_id).join(RECORD))
    }

    /// Lists the diff IDs of all layers, unordered.
    pub fn layers(&self) -> Result<Vec<DiffId>, StoreError> {
        let names = fs::list(self.path("layers"))?;
        Ok(names.iter().filter_map(|name| Digest::from_file_name(name).ok()).map(DiffId).collect())
    }

    /// Writes a layer's exact uncompressed tar to `output` and verifies its digest at the end. Blocking.
    ///
    /// On an error `output` may have got a part of the bytes.
    pub fn write_layer_tar(&self, diff_id: &DiffId, output: &mut dyn Write) -> Result<u64, StoreError> {
        let failed = |source| StoreError::Regenerate { diff_id: diff_id.clone(), source };
        let (sender, mut reader) = chunks(DEPTH);
        thread::scope(|scope| {
            // The tree is read, the tar written and hashed, each beside the others.
            let replaying = scope.spawn(move || {
                let mut writer = ChunkWriter::new(sender);
                let result = recipe::replay(&self.layer_path(diff_id), TREE, &mut writer);
                match &result {
                    Ok(()) => writer.finish(),
                    Err(error) => writer.fail(io::Error::other(error.to_string())),
                }
                result
            });
            let (written, to_hash) = chunks(DEPTH);
            let hashing = scope.spawn(move || hash(to_hash, diff_id.0.algorithm()));
            let copied = copy(&mut reader, output, &written);
            drop(reader);
            written.finish();
            let replayed = replaying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let (found, size) = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            copied.map_err(StoreError::Output)?;
            replayed.map_err(failed)?;
            if found != diff_id.0 {
                return Err(StoreError::LayerChanged { diff_id: diff_id.clone(), found });
            }
            Ok(size)
        })
    }

    /// Gives complete, synced layers their names. One that is already there wins.
    ///
    /// The caller holds the images lock, so that none is collected before its image's record is there.
    pub(crate) fn commit_layers(&self, lease: &Lease, layers: &[PendingLayer]) -> Result<(), StoreError> {
        debug_assert!(layers.iter().all(|layer| layer.path.starts_with(lease.path())));
        for pending in layers {
            let target = self.layer_path(&pending.layer.diff_id);
            match fs::rename_new(&pending.path, &target) {
                Err(error) if error.errno() == Errno::EXIST => {}
                other => other?,
            }
        }
        if !layers.is_empty() {
            fs::sync_parent(self.path("layers/x"))?;
        }
        Ok(())
    }
}

/// Writes what comes out of `reader` and passes it on. How the reader's other end failed is told there.
fn copy(reader: &mut ChunkReader, output: &mut dyn Write, written: &ChunkSender) -> io::Result<()> {
    while let Ok(Some(chunk)) = reader.take() {
        output.write_all(&chunk)?;
        written.send(chunk);
        if let Some(used) = written.returned() {
            reader.give_back(used);
        }
    }
    Ok(())
}

/// The digest and the number of bytes of a stream.
fn hash(mut reader: ChunkReader, algorithm: digest::Algorithm) -> (Digest, u64) {
    let (mut hasher, mut size) = (digest::Hasher::new(algorithm), 0);
    while let Ok(bytes @ [_, ..]) = reader.fill_buf() {
        hasher.update(bytes);
        size += bytes.len() as u64;
        let count = bytes.len();
        reader.consume(count);
    }
    (hasher.finish(), size)
}

/// Makes the directory in which a layer is unpacked.
pub(crate) fn prepare(path: &Path) -> Result<(), StoreError> {
    fs::create_dir(path, 0o700)?;
    fs::create_dir(path.join(TREE), 0o755)?;
    Ok(())
}
