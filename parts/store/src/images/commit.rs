//! Making images visible: everything new is synced once, then named, then recorded.

use corten_spec::digest::Algorithm;
use corten_spec::{Digest, ImageConfig, ImageId, Reference};
use corten_sys::fs;

use super::{Image, ImageLayer};
use crate::blobs::{BlobWriter, PendingBlob};
use crate::ingest::Lease;
use crate::layers::PendingLayer;
use crate::{Store, StoreError, record};

/// An image whose parts are in a lease or in the store already.
pub(crate) struct PendingImage {
    pub(crate) id: ImageId,
    pub(crate) config: ImageConfig,
    pub(crate) parent: Option<ImageId>,
    pub(crate) manifest: Option<Digest>,
    /// Config, manifest, compressed layers.
    pub(crate) blobs: Vec<Digest>,
    pub(crate) references: Vec<Reference>,
}

impl Store {
    /// Commits layers, blobs and images of a lease; returns the references that named another image before.
    /// Durable when it returns. Takes the images lock.
    pub(crate) fn commit_images(
        &self,
        lease: &Lease,
        layers: &[PendingLayer],
        blobs: &[PendingBlob],
        images: &[PendingImage],
    ) -> Result<Vec<(Reference, ImageId)>, StoreError> {
        lease.sync()?;
        let _lock = self.lock_images()?;
        self.commit_layers(lease, layers)?;
        self.commit_blobs(blobs)?;
        let mut replaced = Vec::new();
        for pending in images {
            let image = self.merged(pending)?;
            fs::write_durable(self.image_path(&pending.id), &record::render(&image))?;
            for reference in &pending.references {
                let before = self.write_reference(reference, &pending.id, pending.manifest.as_ref())?;
                replaced.extend(before.map(|id| (reference.clone(), id)));
            }
        }
        Ok(replaced)
    }

    /// Commits an image that was made here: its config is written, and it came by no manifest.
    pub(crate) fn commit_own_image(
        &self,
        lease: &Lease,
        layers: &[PendingLayer],
        config: ImageConfig,
        parent: Option<ImageId>,
        reference: Option<&Reference>,
    ) -> Result<ImageId, StoreError> {
        let mut blob = BlobWriter::create(lease, "config", Algorithm::Sha256)?;
        blob.write(&config.render())?;
        let blob = blob.finish();
        let image = PendingImage {
            id: ImageId(blob.digest.clone()),
            config,
            parent,
            manifest: None,
            blobs: vec![blob.digest.clone()],
            references: reference.into_iter().cloned().collect(),
        };
        self.commit_images(lease, layers, std::slice::from_ref(&blob), std::slice::from_ref(&image))?;
        Ok(image.id)
    }

    /// The record of an image, with what an earlier one of the same ID had.
    fn merged(&self, pending: &PendingImage) -> Result<Image, StoreError> {
        let mut image = Image {
            version: 1,
            id: pending.id.clone(),
            parent: pending.parent.clone(),
            manifests: pending.manifest.iter().cloned().collect(),
            layers: Vec::new(),
            size: 0,
            highest_uid: 0,
            highest_gid: 0,
            blobs: pending.blobs.clone(),
            config: pending.config.clone(),
        };
        for diff_id in &pending.config.rootfs.diff_ids {
            let layer = self.layer(diff_id)?.ok_or_else(|| StoreError::LayerMissing(diff_id.clone()))?;
            image.size += layer.contents.size;
            image.highest_uid = image.highest_uid.max(layer.contents.highest_uid);
            image.highest_gid = image.highest_gid.max(layer.contents.highest_gid);
            image.layers.push(ImageLayer { diff_id: diff_id.clone(), size: layer.contents.size });
        }
        if let Some(before) = self.image(&pending.id)? {
            image.parent = image.parent.or(before.parent);
            image.manifests.extend(before.manifests);
            image.blobs.extend(before.blobs);
        }
        image.manifests.sort();
        image.manifests.dedup();
        image.blobs.sort();
        image.blobs.dedup();
        Ok(image)
    }
}
