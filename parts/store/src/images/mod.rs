//! Images: records that hold all that `run` needs, and the references that name them.
//!
//! `images/<algorithm>-<hex>.json` is a record, keyed by image ID. Readers take no lock; whatever changes
//! records, references or the set of layers holds `images/lock`.

mod archive;
mod child;
mod commit;
mod import;
mod layout;
mod load;
mod references;
mod remove;
mod resolve;
mod save;

use corten_spec::reference::ReferenceError;
use corten_spec::{DiffId, Digest, ImageConfig, ImageId, Reference};
use corten_sys::fs;
use serde::{Deserialize, Serialize};

use crate::{Store, StoreError, record};

pub use child::ChildOptions;
pub use import::ImportOptions;
pub use load::{LoadOptions, LoadedImage};
pub use references::Tagged;
pub use remove::Removed;
pub use save::SaveItem;

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    pub version: u32,
    pub id: ImageId,
    /// The image it was made of here, by a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<ImageId>,
    /// The manifests by which it came, verbatim in the blobs.
    pub manifests: Vec<Digest>,
    /// Lowest first.
    pub layers: Vec<ImageLayer>,
    /// Bytes of all regular files in all layers, as docker counts.
    pub size: u64,
    pub highest_uid: u32,
    pub highest_gid: u32,
    /// Every blob that is kept for this image: config, manifests, compressed layers.
    pub blobs: Vec<Digest>,
    pub config: ImageConfig,
}

/// A layer as part of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLayer {
    pub diff_id: DiffId,
    /// Bytes of its regular files.
    pub size: u64,
}

/// Why something asked of images cannot be had. The wording is docker's where docker has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    #[error("No such image: {0}")]
    NotFound(String),
    #[error("multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error("refusing to create a tag with a digest reference: {0}")]
    TagWithDigest(String),
    #[error("archive is empty")]
    EmptyArchive,
    #[error("no image for platform {wanted} in the archive, which has {available}")]
    Platform { wanted: String, available: String },
    #[error("archive has no image")]
    NoImage,
}

/// An image with everything that names it.
#[derive(Debug, Clone)]
pub struct ImageSummary {
    pub image: Image,
    pub references: Vec<Reference>,
}

impl Store {
    /// Where the record of an image is.
    pub fn image_path(&self, id: &ImageId) -> std::path::PathBuf {
        self.path("images").join(format!("{}.json", id.0.file_name()))
    }

    /// Reads an image's record, or `None` where there is no such image.
    pub fn image(&self, id: &ImageId) -> Result<Option<Image>, StoreError> {
        record::load(&self.image_path(id))
    }

    /// Says whether there is such an image, without reading its record.
    pub fn has_image(&self, id: &ImageId) -> bool {
        fs::exists(self.image_path(id))
    }

    /// Lists the IDs of all images, unordered.
    pub fn image_ids(&self) -> Result<Vec<ImageId>, StoreError> {
        let names = fs::list(self.path("images"))?;
        let id = |name: &String| Digest::from_file_name(name.strip_suffix(".json")?).ok().map(ImageId);
        Ok(names.iter().filter_map(id).collect())
    }

    /// Lists all images with their references, tags before digests. Newest first by `created`, as docker lists.
    pub fn images(&self) -> Result<Vec<ImageSummary>, StoreError> {
        let mut by_image = std::collections::HashMap::<ImageId, Vec<Reference>>::new();
        for tagged in self.references()? {
            by_image.entry(tagged.image).or_default().push(tagged.reference);
        }
        let mut images = Vec::new();
        for id in self.image_ids()? {
            // One that was removed meanwhile is simply not listed.
            if let Some(image) = self.image(&id)? {
                let mut references = by_image.remove(&id).unwrap_or_default();
                references.sort_by_key(|reference| (reference.digest().is_some(), reference.clone()));
                images.push(ImageSummary { image, references });
            }
        }
        images.sort_by(|a, b| {
            let key = |summary: &ImageSummary| summary.image.config.created.clone().unwrap_or_default();
            key(b).cmp(&key(a)).then_with(|| a.image.id.cmp(&b.image.id))
        });
        Ok(images)
    }
}
