//! Removing images: the record first, then what no other image, lease or container refers to.

use std::collections::HashSet;

use corten_spec::{DiffId, Digest, ImageId, Reference};
use corten_sys::fs;

use super::{Image, ImageError};
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
        self.remove_image_with(&lock, id, held, |image, _| self.erase_image(&image.id))
    }

    /// Takes an image's record away for good, durably. The caller holds the images lock.
    pub fn erase_image(&self, id: &ImageId) -> Result<(), StoreError> {
        let path = self.image_path(id);
        fs::remove_file(&path)?;
        Ok(fs::sync_parent(&path)?)
    }

    /// As [`Store::remove_image`] for a caller who holds the images lock: it decides and removes in one. `erase` takes
    /// the record away, having been told which layers nothing else needs.
    pub fn remove_image_with(
        &self,
        _lock: &Lock,
        id: &ImageId,
        held: HashSet<DiffId>,
        erase: impl FnOnce(&Image, &[DiffId]) -> Result<(), StoreError>,
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
        let layers: HashSet<DiffId> = image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let unused = self.unused(layers, image.blobs.iter().cloned().collect(), &held, Some(id))?;
        let mut layers: Vec<DiffId> = unused.layers.iter().cloned().collect();
        layers.sort();
        erase(&image, &layers)?;
        self.discard_unless_removed(unused)?;
        removed.layers = layers;
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
        let blobs = self.blobs()?.into_iter().collect();
        let layers = self.layers()?.into_iter().collect();
        let unused = self.unused(layers, blobs, &held, None)?;
        self.discard_unless_removed(unused)
    }

    /// Those of `layers` and `blobs` that nothing needs but `leaving`. The caller holds the images lock.
    fn unused(
        &self,
        mut layers: HashSet<DiffId>,
        mut blobs: HashSet<Digest>,
        held: &HashSet<DiffId>,
        leaving: Option<&ImageId>,
    ) -> Result<Unused, StoreError> {
        layers.retain(|layer| !held.contains(layer));
        for layer in self.held_layers()? {
            layers.remove(&layer);
        }
        for id in self.image_ids()? {
            let Some(image) = self.image(&id)?.filter(|image| Some(&image.id) != leaving) else { continue };
            for layer in &image.layers {
                layers.remove(&layer.diff_id);
            }
            for blob in &image.blobs {
                blobs.remove(blob);
            }
        }
        Ok(Unused { layers, blobs })
    }

    /// Discards what is unused, but for what something removed would need again; returns the layers.
    fn discard_unless_removed(&self, mut unused: Unused) -> Result<Vec<DiffId>, StoreError> {
        let (layers, blobs) = self.removed_roots()?;
        unused.layers.retain(|layer| !layers.contains(layer));
        unused.blobs.retain(|blob| !blobs.contains(blob));
        for layer in &unused.layers {
            self.discard(&self.layer_path(layer))?;
        }
        for blob in &unused.blobs {
            self.discard(&self.blob_path(blob))?;
        }
        let mut layers: Vec<DiffId> = unused.layers.into_iter().collect();
        layers.sort();
        Ok(layers)
    }
}

/// What nothing refers to.
struct Unused {
    layers: HashSet<DiffId>,
    blobs: HashSet<Digest>,
}
