//! References on disk: one file per tag or digest, below the registry and the repository.
//!
//! `images/refs/docker.io/library/redis/:7` and `…/@sha256:<hex>`. The leading sign keeps a tag apart from a
//! repository of the same name (`a:b` and `a/b`).

use std::path::PathBuf;

use corten_spec::{Digest, ImageId, Reference};
use corten_sys::{Errno, SysError, fs};
use serde::{Deserialize, Serialize};

use super::ImageError;
use crate::lock::Lock;
use crate::{Store, StoreError, record};

#[derive(Serialize, Deserialize)]
struct Record {
    image: ImageId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest: Option<Digest>,
}

/// A reference and what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    pub reference: Reference,
    pub image: ImageId,
    /// The manifest by which the image came under this name.
    pub manifest: Option<Digest>,
}

impl Store {
    /// Lists all references, unordered.
    pub fn references(&self) -> Result<Vec<Tagged>, StoreError> {
        let mut found = Vec::new();
        for registry in fs::list(self.path("images/refs"))? {
            self.walk(&registry, "", &mut found)?;
        }
        Ok(found)
    }

    /// Lists the references of one repository, without those of repositories below it.
    pub fn references_of(&self, name: &Reference) -> Result<Vec<Tagged>, StoreError> {
        let mut found = Vec::new();
        for file in names(&self.repository_path(name))? {
            if file.starts_with([':', '@']) {
                found.extend(self.tagged(&format!("{}{file}", name.name()))?);
            }
        }
        Ok(found)
    }

    /// Reads what a reference with a tag or a digest names exactly.
    pub fn reference(&self, reference: &Reference) -> Result<Option<Tagged>, StoreError> {
        let record: Option<Record> = match self.reference_path(reference) {
            Some(path) => match record::load(&path) {
                // A component of the name is a reference's file: there is no such repository.
                Err(StoreError::Sys(error))
                    if matches!(error.errno(), Errno::NOTDIR | Errno::NAMETOOLONG) =>
                {
                    None
                }
                other => other?,
            },
            None => None,
        };
        Ok(record.map(|Record { image, manifest }| Tagged { reference: reference.clone(), image, manifest }))
    }

    /// Names an image, taking the name from whichever had it, and returns that one. Durable.
    pub fn tag_image(
        &self,
        reference: &Reference,
        image: &ImageId,
        manifest: Option<&Digest>,
    ) -> Result<Option<ImageId>, StoreError> {
        let _lock = self.lock_images()?;
        if !fs::exists(self.image_path(image)) {
            return Err(ImageError::NotFound(image.to_string()).into());
        }
        self.write_reference(reference, image, manifest)
    }

    /// Takes a name away and returns what it named. The image stays.
    pub fn untag_image(&self, reference: &Reference) -> Result<Option<ImageId>, StoreError> {
        let lock = self.lock_images()?;
        self.untag_image_locked(&lock, reference)
    }

    /// As [`Store::untag_image`] for a caller who holds the images lock.
    pub fn untag_image_locked(
        &self,
        _lock: &Lock,
        reference: &Reference,
    ) -> Result<Option<ImageId>, StoreError> {
        self.erase_reference(reference)
    }

    /// As [`Store::tag_image`] for a caller who holds the lock.
    pub(crate) fn write_reference(
        &self,
        reference: &Reference,
        image: &ImageId,
        manifest: Option<&Digest>,
    ) -> Result<Option<ImageId>, StoreError> {
        if reference.tag().is_some() && reference.digest().is_some() {
            return Err(ImageError::TagWithDigest(reference.familiar()).into());
        }
        let path = self
            .reference_path(reference)
            .ok_or_else(|| SysError::new("tag", reference.to_string(), Errno::INVAL))?;
        let before = self.reference(reference)?;
        fs::create_dir_all(self.repository_path(reference), 0o700)?;
        let record = Record { image: image.clone(), manifest: manifest.cloned() };
        fs::write_durable(&path, &record::render(&record))?;
        Ok(before.map(|tagged| tagged.image).filter(|before| before != image))
    }

    pub(crate) fn erase_reference(&self, reference: &Reference) -> Result<Option<ImageId>, StoreError> {
        let Some(tagged) = self.reference(reference)? else { return Ok(None) };
        if let Some(path) = self.reference_path(reference) {
            fs::remove_file(&path)?;
            fs::sync_parent(&path)?;
        }
        // Empty repositories go too; one that is not empty ends the climb.
        let top = self.path("images/refs");
        let mut directory = self.repository_path(reference);
        while directory != top && rustix::fs::rmdir(&directory).is_ok() {
            directory.pop();
        }
        Ok(Some(tagged.image))
    }

    fn repository_path(&self, reference: &Reference) -> PathBuf {
        self.path("images/refs").join(reference.registry()).join(reference.repository())
    }

    fn reference_path(&self, reference: &Reference) -> Option<PathBuf> {
        let file = match (reference.tag(), reference.digest()) {
            (_, Some(digest)) => format!("@{digest}"),
            (Some(tag), None) => format!(":{tag}"),
            (None, None) => return None,
        };
        Some(self.repository_path(reference).join(file))
    }

    fn walk(&self, registry: &str, repository: &str, found: &mut Vec<Tagged>) -> Result<(), StoreError> {
        let directory = self.path("images/refs").join(registry).join(repository);
        for file in names(&directory)? {
            if file.starts_with([':', '@']) {
                found.extend(self.tagged(&format!("{registry}/{repository}{file}"))?);
            } else if !file.starts_with('.') {
                let below = if repository.is_empty() { file } else { format!("{repository}/{file}") };
                self.walk(registry, &below, found)?;
            }
        }
        Ok(())
    }

    /// Reads a listed reference; one that went meanwhile, or a foreign file, is no reference.
    fn tagged(&self, text: &str) -> Result<Option<Tagged>, StoreError> {
        match Reference::parse_untagged(text) {
            Ok(reference) => self.reference(&reference),
            Err(_) => Ok(None),
        }
    }
}

fn names(directory: &std::path::Path) -> Result<Vec<String>, SysError> {
    match fs::list(directory) {
        Err(error) if matches!(error.errno(), Errno::NOTDIR | Errno::NAMETOOLONG) => Ok(Vec::new()),
        other => other,
    }
}
