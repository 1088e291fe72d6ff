//! An image made of what a container changed: its image's layers and one more.

use std::io::{self, Write};

use corten_spec::digest::Algorithm;
use corten_spec::image_config::{ContainerConfig, History};
use corten_spec::{ImageConfig, ImageId, Reference};

use super::ImageError;
use crate::compression::Compression;
use crate::ingest::Lease;
use crate::layers::PendingLayer;
use crate::layers::ingest::LayerIngest;
use crate::trees::Snapshot;
use crate::{Store, StoreError};

/// What a commit makes.
#[derive(Debug, Clone)]
pub struct ChildOptions {
    /// The image the container was made of.
    pub parent: ImageId,
    /// Its changes; the trees below are the parent's layers.
    pub snapshot: Snapshot,
    pub config: ContainerConfig,
    pub author: String,
    pub message: String,
    pub created_by: String,
    /// RFC 3339; the caller reads the clock.
    pub created: String,
    pub reference: Option<Reference>,
}

impl Store {
    /// Reads a container's changes once and makes an image of them; `read` is called when they have been read, and no
    /// change counts any more. Blocking; leaves nothing on an error.
    ///
    /// Layer and image are durable when it returns.
    pub fn commit_container(
        &self,
        options: &ChildOptions,
        read: impl FnOnce(),
    ) -> Result<ImageId, StoreError> {
        let lease = Lease::new(self)?;
        let parent = &options.parent;
        let base = self.image(parent)?.ok_or_else(|| ImageError::NotFound(parent.to_string()))?;
        for layer in &base.layers {
            if !lease.hold(&layer.diff_id)? {
                return Err(StoreError::LayerMissing(layer.diff_id.clone()));
            }
        }
        let layer = read_changes(&lease, &options.snapshot)?;
        read();
        let config = config(options, base.config, layer.as_ref());
        let layers: Vec<PendingLayer> = layer.into_iter().collect();
        self.commit_own_image(&lease, &layers, config, Some(parent.clone()), options.reference.as_ref())
    }
}

/// Makes the layer, or none where nothing was changed: an empty layer is none.
fn read_changes(lease: &Lease, snapshot: &Snapshot) -> Result<Option<PendingLayer>, StoreError> {
    let what = "what the container changed";
    let mut ingest = LayerIngest::start(lease, "layer", what, Compression::None, Algorithm::Sha256)?;
    match snapshot.write_layer(&mut Into(&mut ingest)) {
        Ok(copied) => {
            let layer = ingest.finish()?;
            Ok((copied.entries > 0).then_some(layer))
        }
        // The threads behind say why they have given up.
        Err(_) if ingest.has_failed() => ingest.finish().map(Some),
        Err(error) => {
            ingest.abort();
            Err(error.into())
        }
    }
}

/// A layer as something to write to.
struct Into<'a>(&'a mut LayerIngest);

impl Write for Into<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.has_failed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The parent's config with one more step of history, and what the container ran as.
fn config(options: &ChildOptions, base: ImageConfig, layer: Option<&PendingLayer>) -> ImageConfig {
    let mut config = base;
    config.created = Some(options.created.clone());
    config.author.clone_from(&options.author);
    config.config = options.config.clone();
    config.history.push(History {
        created: Some(options.created.clone()),
        created_by: options.created_by.clone(),
        author: options.author.clone(),
        comment: options.message.clone(),
        empty_layer: layer.is_none(),
    });
    config.rootfs.diff_ids.extend(layer.map(|layer| layer.layer.diff_id.clone()));
    config
}
