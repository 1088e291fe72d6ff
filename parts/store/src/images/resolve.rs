//! From what a user types to an image: a reference, or a prefix of an ID. A name wins over an ID.

use corten_spec::{Digest, ImageId, Reference};

use super::{Image, ImageError};
use crate::{Store, StoreError};

impl Store {
    /// Finds the image that `name` means: a reference (`redis`, `redis:7`, `redis@sha256:…`), else an image ID
    /// or the start of one, with or without `sha256:`.
    pub fn resolve_image(&self, name: &str) -> Result<Image, StoreError> {
        let not_found = || StoreError::from(ImageError::NotFound(name.to_owned()));
        if let Ok(digest) = Digest::parse(name) {
            return self.image(&ImageId(digest))?.ok_or_else(not_found);
        }
        let parsed = Reference::parse(name);
        if let Ok(reference) = &parsed
            && let Some(id) = self.referenced(reference)?
            && let Some(image) = self.image(&id)?
        {
            return Ok(image);
        }
        let prefix = name.strip_prefix("sha256:").unwrap_or(name);
        if !prefix.is_empty() && prefix.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            let mut matching = self.image_ids()?;
            matching.retain(|id| id.0.hex().starts_with(prefix));
            match matching.as_slice() {
                [] => return Err(not_found()),
                [id] => return self.image(id)?.ok_or_else(not_found),
                _ => return Err(ImageError::Ambiguous(name.to_owned()).into()),
            }
        }
        // The text is neither: what is wrong with it as a name says more than that it was not found.
        parsed.map_err(ImageError::from)?;
        Err(not_found())
    }

    /// The ID that a reference names. A digest decides, and may be that of a manifest or of a config.
    pub fn referenced(&self, reference: &Reference) -> Result<Option<ImageId>, StoreError> {
        if let Some(tagged) = self.reference(reference)? {
            return Ok(Some(tagged.image));
        }
        let Some(digest) = reference.digest() else { return Ok(None) };
        let tags = self.references_of(reference)?;
        let named =
            tags.into_iter().find(|tag| tag.manifest.as_ref() == Some(digest) || tag.image.0 == *digest);
        Ok(named.map(|tag| tag.image))
    }
}
