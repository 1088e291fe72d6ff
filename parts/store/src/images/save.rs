//! `save`: images into one archive that both docker's `load` and readers of OCI layouts take.
//!
//! The same images in the same order make the same bytes. A manifest by which an image came is written
//! verbatim where all its blobs can be had again; else one is made over the uncompressed layers.

use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};

use corten_spec::descriptor::{Descriptor, media_type};
use corten_spec::digest::Hasher;
use corten_spec::manifest::{Document, Index, MANIFEST_LIMIT, Manifest};
use corten_spec::{DiffId, Digest, ImageConfig, ImageId, Reference};
use corten_sys::error::Context;
use serde::Serialize;

use super::{Image, ImageError};
use crate::layers::chunks::CHUNK;
use crate::tar::writer::Writer;
use crate::{Store, StoreError};

/// An image to save, and under which names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaveItem {
    pub image: ImageId,
    pub references: Vec<Reference>,
}

/// Where a blob of the archive comes from.
enum Source {
    Bytes(Vec<u8>),
    Blob,
    Layer(DiffId),
}

type Blobs = BTreeMap<Digest, (u64, Source)>;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl Store {
    /// What `docker save NAME` means: a bare repository is all its tags, an ID has no names.
    pub fn save_item(&self, name: &str) -> Result<Vec<SaveItem>, StoreError> {
        if let Ok(reference) = Reference::parse_untagged(name)
            && reference.tag().is_none()
            && reference.digest().is_none()
        {
            let mut items: Vec<SaveItem> = Vec::new();
            let mut tags = self.references_of(&reference)?;
            tags.retain(|tagged| tagged.reference.tag().is_some());
            tags.sort_by(|a, b| a.reference.cmp(&b.reference));
            for tagged in tags {
                add(&mut items, tagged.image, Some(tagged.reference));
            }
            if !items.is_empty() {
                return Ok(items);
            }
        }
        let image = self.resolve_image(name)?;
        let named = Reference::parse(name).ok().filter(|reference| reference.digest().is_none());
        let named = match named {
            Some(reference) => self.reference(&reference)?.filter(|tagged| tagged.image == image.id),
            None => None,
        };
        Ok(vec![SaveItem {
            image: image.id,
            references: named.map(|tagged| tagged.reference).into_iter().collect(),
        }])
    }

    /// Writes images into `output`: `blobs/`, `index.json`, `manifest.json`, `oci-layout`, `repositories`.
    ///
    /// Blocking; takes no lock. Every digest is verified while writing, so an error may come late.
    pub fn save_images(&self, items: &[SaveItem], output: &mut dyn Write) -> Result<(), StoreError> {
        let mut merged: Vec<SaveItem> = Vec::new();
        for item in items {
            match item.references.is_empty() {
                true => add(&mut merged, item.image.clone(), None),
                false => item
                    .references
                    .iter()
                    .for_each(|reference| add(&mut merged, item.image.clone(), Some(reference.clone()))),
            }
        }
        let mut blobs = Blobs::new();
        let (mut manifests, mut entries) = (Vec::new(), Vec::new());
        let mut repositories = BTreeMap::<String, BTreeMap<String, String>>::new();
        for item in &merged {
            let image =
                self.image(&item.image)?.ok_or_else(|| ImageError::NotFound(item.image.to_string()))?;
            let (descriptor, layers) = self.collect(&image, item, &mut blobs)?;
            entries.push(DockerEntry {
                config: member(&image.id.0),
                repo_tags: item.references.iter().map(Reference::familiar).collect(),
                layers: layers.iter().map(member).collect(),
            });
            if item.references.is_empty() {
                manifests.push(descriptor.clone());
            }
            for reference in &item.references {
                let mut named = descriptor.clone();
                let tag = reference.tag().unwrap_or_default();
                named.annotations.insert("io.containerd.image.name".to_owned(), reference.to_string());
                named.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag.to_owned());
                manifests.push(named);
                if let Some(top) = layers.last() {
                    let tags = repositories.entry(reference.familiar_name()).or_default();
                    tags.insert(tag.to_owned(), top.hex().to_owned());
                }
            }
        }
        let index = Index {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        };
        let mut archive = Writer::new(BufWriter::with_capacity(CHUNK, output));
        self.write_blobs(&blobs, &mut archive)?;
        let mut write = |name: &str, bytes: &[u8]| archive.file(name, bytes).map_err(StoreError::Output);
        write("index.json", &json(&index))?;
        write("manifest.json", &json(&entries))?;
        write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        if !repositories.is_empty() {
            write("repositories", &json(&repositories))?;
        }
        archive.finish().and_then(|mut output| output.flush()).map_err(StoreError::Output)
    }

    /// Adds an image's blobs; returns its manifest's descriptor and its layers' digests in the archive.
    fn collect(
        &self,
        image: &Image,
        item: &SaveItem,
        blobs: &mut Blobs,
    ) -> Result<(Descriptor, Vec<Digest>), StoreError> {
        let config = self.read_blob(&image.id.0, ImageConfig::LIMIT as u64)?;
        let config_size = config.len() as u64;
        blobs.insert(image.id.0.clone(), (config_size, Source::Bytes(config)));
        let mut preferred = Vec::new();
        for reference in &item.references {
            preferred.extend(self.reference(reference)?.and_then(|tagged| tagged.manifest));
        }
        preferred.extend(image.manifests.iter().cloned());
        for digest in preferred {
            if !self.has_blob(&digest) {
                continue;
            }
            let bytes = self.read_blob(&digest, MANIFEST_LIMIT as u64)?;
            let document = Document::parse(&bytes, None)
                .map_err(|source| StoreError::Manifest { what: format!("blob {digest}"), source })?;
            if let Document::Manifest(manifest) = document
                && manifest.config.digest == image.id.0
                && let Some(layers) = self.reproduce(image, &manifest)
            {
                let kind = manifest.media_type.unwrap_or_else(|| media_type::OCI_MANIFEST.to_owned());
                let descriptor = Descriptor::new(&kind, digest.clone(), bytes.len() as u64);
                blobs.insert(digest, (descriptor.size, Source::Bytes(bytes)));
                let digests = layers.iter().map(|(digest, _)| digest.clone()).collect();
                blobs.extend(layers);
                return Ok((descriptor, digests));
            }
        }
        self.describe(image, config_size, blobs)
    }

    /// The sources of a manifest's layers, or `None` where one of its blobs cannot be had any more.
    fn reproduce(&self, image: &Image, manifest: &Manifest) -> Option<Vec<(Digest, (u64, Source))>> {
        if manifest.layers.len() != image.layers.len() {
            return None;
        }
        let source = |(blob, layer): (&Descriptor, &super::ImageLayer)| {
            if blob.digest == layer.diff_id.0 {
                return Some((blob.digest.clone(), (blob.size, Source::Layer(layer.diff_id.clone()))));
            }
            self.has_blob(&blob.digest).then(|| (blob.digest.clone(), (blob.size, Source::Blob)))
        };
        manifest.layers.iter().zip(&image.layers).map(source).collect()
    }

    /// Makes a manifest over the uncompressed layers.
    fn describe(
        &self,
        image: &Image,
        config_size: u64,
        blobs: &mut Blobs,
    ) -> Result<(Descriptor, Vec<Digest>), StoreError> {
        let mut manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            artifact_type: None,
            config: Descriptor::new(media_type::OCI_CONFIG, image.id.0.clone(), config_size),
            layers: Vec::new(),
            subject: None,
            annotations: BTreeMap::new(),
        };
        for layer in &image.layers {
            let diff_id = &layer.diff_id;
            let record = self.layer(diff_id)?.ok_or_else(|| StoreError::LayerMissing(diff_id.clone()))?;
            manifest.layers.push(Descriptor::new(media_type::OCI_LAYER, diff_id.0.clone(), record.tar_size));
            blobs.insert(diff_id.0.clone(), (record.tar_size, Source::Layer(diff_id.clone())));
        }
        let bytes = json(&manifest);
        let descriptor = Descriptor::new(media_type::OCI_MANIFEST, Digest::of(&bytes), bytes.len() as u64);
        blobs.insert(descriptor.digest.clone(), (descriptor.size, Source::Bytes(bytes)));
        Ok((descriptor, manifest.layers.into_iter().map(|layer| layer.digest).collect()))
    }

    fn write_blobs<W: Write>(&self, blobs: &Blobs, archive: &mut Writer<W>) -> Result<(), StoreError> {
        archive.directory("blobs/").map_err(StoreError::Output)?;
        let mut directory = None;
        for (digest, (size, source)) in blobs {
            if directory != Some(digest.algorithm()) {
                archive
                    .directory(&format!("blobs/{}/", digest.algorithm().name()))
                    .map_err(StoreError::Output)?;
                directory = Some(digest.algorithm());
            }
            archive.begin_file(&member(digest), *size).map_err(StoreError::Output)?;
            let written = match source {
                Source::Bytes(bytes) => {
                    archive.sink().write_all(bytes).map_err(StoreError::Output)?;
                    *size
                }
                Source::Blob => self.copy_blob(digest, archive.sink())?,
                Source::Layer(diff_id) => self.write_layer_tar(diff_id, archive.sink())?,
            };
            if written != *size {
                return Err(StoreError::SizeMismatch {
                    digest: digest.clone(),
                    expected: *size,
                    found: written,
                });
            }
            archive.end_file(*size).map_err(StoreError::Output)?;
        }
        Ok(())
    }

    fn copy_blob(&self, digest: &Digest, output: &mut dyn Write) -> Result<u64, StoreError> {
        let mut file = self.open_blob(digest)?;
        let (mut hasher, mut size, mut buffer) = (Hasher::new(digest.algorithm()), 0, vec![0; CHUNK]);
        loop {
            let count = file.read(&mut buffer).on("read", self.blob_path(digest))?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            size += count as u64;
            output.write_all(&buffer[..count]).map_err(StoreError::Output)?;
        }
        let found = hasher.finish();
        if found == *digest {
            Ok(size)
        } else {
            Err(StoreError::DigestMismatch { expected: digest.clone(), found })
        }
    }
}

/// Adds a name to an image's item, making one where there is none.
fn add(items: &mut Vec<SaveItem>, image: ImageId, reference: Option<Reference>) {
    let at = items.iter().position(|item| item.image == image).unwrap_or_else(|| {
        items.push(SaveItem { image, references: Vec::new() });
        items.len() - 1
    });
    if let Some(reference) = reference
        && !items[at].references.contains(&reference)
    {
        items[at].references.push(reference);
    }
}

fn member(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and string-keyed maps only: serde_json has nothing to refuse.
    serde_json::to_vec(value).unwrap_or_default()
}
