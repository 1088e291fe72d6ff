//! Removing images: the record first, then what no other image, lease or container refers to.

use std::collections::HashSet;

use corten_spec::{DiffId, Digest, ImageId, Reference};
use corten_sys::fs;

use super::ImageError;
use crate::lock::Lock;
use crate::{Store, StoreError};

/// What a removal took away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    pub references: Vec<Reference>,
    pub image: Option<ImageId>,
    pub layers: Vec<DiffId>,
}

impl Store {
    /// Removes an image with all its references; layers and blobs that nothing else needs go to the trash.
    ///
    /// `held` says which layers containers stand on. It is asked under the images lock; a command that makes a
    /// container writes its record under that lock too, or it may find its layers gone.
    /// Whether the image may go at all (names left, containers running) is the caller's decision.
    pub fn remove_image(
        &self,
        id: &ImageId,
        held: impl FnOnce() -> Result<HashSet<DiffId>, StoreError>,
    ) -> Result<Removed, StoreError> {
        let lock = self.lock_images()?;
        let held = held()?;
        self.remove_image_locked(&lock, id, held)
    }

    /// As [`Store::remove_image`] for a caller who holds the images lock: it decides and removes in one.
    pub fn remove_image_locked(
        &self,
        _lock: &Lock,
        id: &ImageId,
        held: HashSet<DiffId>,
    ) -> Result<Removed, StoreError> {
        let image = self.image(id)?.ok_or_else(|| ImageError::NotFound(id.to_string()))?;
        let mut removed = Removed { image: Some(id.clone()), ..Removed::default() };
        for tagged in self.references()? {
            if tagged.image == *id {
                self.erase_reference(&tagged.reference)?;
                removed.references.push(tagged.reference);
            }
        }
        removed.references.sort();
        let path = self.image_path(id);
        fs::remove_file(&path)?;
        fs::sync_parent(&path)?;
        let layers: HashSet<DiffId> = image.layers.into_iter().map(|layer| layer.diff_id).collect();
        removed.layers = self.discard_unused(layers, image.blobs.into_iter().collect(), held)?;
        Ok(removed)
    }

    /// Moves every layer that no image, lease or container (`held`) refers to into the trash, and the blobs
    /// that no image refers to. For what crashes and removed containers left.
    pub fn collect_unused(
        &self,
        held: impl FnOnce() -> Result<HashSet<DiffId>, StoreError>,
    ) -> Result<Vec<DiffId>, StoreError> {
        let lock = self.lock_images()?;
        let held = held()?;
        self.collect_unused_locked(&lock, held)
    }

    /// As [`Store::collect_unused`] for a caller who holds the images lock.
    pub fn collect_unused_locked(
        &self,
        _lock: &Lock,
        held: HashSet<DiffId>,
    ) -> Result<Vec<DiffId>, StoreError> {
        let mut blobs = HashSet::new();
        for algorithm in fs::list(self.path("blobs"))? {
            for hex in fs::list(self.path("blobs").join(&algorithm))? {
                blobs.extend(Digest::parse(&format!("{algorithm}:{hex}")));
            }
        }
        let layers = self.layers()?.into_iter().collect();
        self.discard_unused(layers, blobs, held)
    }

    /// Discards those of `layers` and `blobs` that are not needed. The caller holds the images lock.
    fn discard_unused(
        &self,
        mut layers: HashSet<DiffId>,
        mut blobs: HashSet<Digest>,
        held: HashSet<DiffId>,
    ) -> Result<Vec<DiffId>, StoreError> {
        layers.retain(|layer| !held.contains(layer));
        for layer in self.held_layers()? {
            layers.remove(&layer);
        }
        for id in self.image_ids()? {
            let Some(image) = self.image(&id)? else { continue };
            for layer in &image.layers {
                layers.remove(&layer.diff_id);
            }
            for blob in &image.blobs {
                blobs.remove(blob);
            }
        }
        for layer in &layers {
            self.discard(&self.layer_path(layer))?;
        }
        for blob in &blobs {
            self.discard(&self.blob_path(blob))?;
        }
        let mut layers: Vec<DiffId> = layers.into_iter().collect();
        layers.sort();
        Ok(layers)
    }
}
