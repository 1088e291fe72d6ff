//! `load`: images from an archive, docker's or an OCI layout, everything verified before anything is visible.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read};

use corten_spec::descriptor::Descriptor;
use corten_spec::{DiffId, Digest, ImageConfig, ImageId, Platform, Reference};
use corten_sys::fs;

use super::ImageError;
use super::archive::{Archive, Member};
use super::commit::PendingImage;
use super::layout::{self, Candidate, CandidateLayer, check_size};
use crate::blobs::PendingBlob;
use crate::compression::Compression;
use crate::ingest::Lease;
use crate::layers::PendingLayer;
use crate::layers::chunks::CHUNK;
use crate::{Store, StoreError};

/// How to load.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Which image to take of one for several platforms; the host's by default. Other images are then refused.
    pub platform: Option<Platform>,
}

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedImage {
    pub id: ImageId,
    pub references: Vec<Reference>,
    /// References among them that named another image before.
    pub replaced: Vec<(Reference, ImageId)>,
}

impl Store {
    /// Loads every image of an archive, plain or compressed with gzip or zstd, in the archive's order.
    /// Blocking; either all of them are there afterwards or nothing is.
    pub fn load_images(
        &self,
        input: &mut (dyn Read + Send),
        options: &LoadOptions,
    ) -> Result<Vec<LoadedImage>, StoreError> {
        let failed = |source| StoreError::Input { what: "archive".to_owned(), source };
        let lease = Lease::new(self)?;
        let mut input = BufReader::with_capacity(CHUNK, input);
        let compression = match input.fill_buf().map_err(failed)? {
            [] => return Err(ImageError::EmptyArchive.into()),
            head => Compression::sniff(head),
        };
        let archive = match compression {
            Compression::None => Archive::read(&lease, input)?,
            _ => {
                let decoder = compression.decoder(input).map_err(failed)?;
                Archive::read(&lease, BufReader::with_capacity(CHUNK, decoder))?
            }
        };
        let candidates = layout::candidates(&archive, options.platform.as_ref())?;
        let mut load = Load {
            archive,
            lease: &lease,
            images: Vec::new(),
            layers: Vec::new(),
            blobs: Vec::new(),
            taken: HashMap::new(),
            present: HashSet::new(),
        };
        for candidate in candidates {
            load.add(candidate, options)?;
        }
        if load.images.is_empty() {
            return Err(ImageError::NoImage.into());
        }
        let replaced = self.commit_images(&lease, &load.layers, &load.blobs, &load.images)?;
        Ok(load.images.into_iter().map(|image| summary(image, &replaced)).collect())
    }
}

fn summary(image: PendingImage, replaced: &[(Reference, ImageId)]) -> LoadedImage {
    let ours = replaced.iter().filter(|(reference, _)| image.references.contains(reference));
    LoadedImage { replaced: ours.cloned().collect(), id: image.id, references: image.references }
}

struct Load<'a> {
    archive: Archive,
    lease: &'a Lease,
    images: Vec<PendingImage>,
    layers: Vec<PendingLayer>,
    blobs: Vec<PendingBlob>,
    /// The diff IDs of members that were taken.
    taken: HashMap<usize, DiffId>,
    present: HashSet<Digest>,
}

impl Load<'_> {
    fn add(&mut self, candidate: Candidate, options: &LoadOptions) -> Result<(), StoreError> {
        let missing = |name: &str| StoreError::Archive(format!("member '{name}' is missing"));
        let config_blob = match self.archive.member(&candidate.config) {
            Some(Member::Document(blob)) => blob.clone(),
            Some(_) => {
                return Err(StoreError::Archive(format!("member '{}' is no config", candidate.config)));
            }
            None => return Err(missing(&candidate.config)),
        };
        if let Some(described) = &candidate.described {
            check_size(described, config_blob.size)?;
        }
        let id = ImageId(config_blob.digest.clone());
        if let Some(known) = self.images.iter_mut().find(|image| image.id == id) {
            // The same image by its other description.
            for reference in candidate.references {
                if !known.references.contains(&reference) {
                    known.references.push(reference);
                }
            }
            return Ok(());
        }
        let config = ImageConfig::parse(&fs::read(&config_blob.path)?)
            .map_err(|source| StoreError::Config { what: format!("image {id}"), source })?;
        if let Some(wanted) = &options.platform
            && !wanted.runs(&config.platform())
        {
            let (wanted, available) = (wanted.to_string(), config.platform().to_string());
            return Err(ImageError::Platform { wanted, available }.into());
        }
        if config.rootfs.diff_ids.len() != candidate.layers.len() {
            let reason =
                format!("{} diff ids and {} layers", config.rootfs.diff_ids.len(), candidate.layers.len());
            return Err(StoreError::Inconsistent { image: id, reason });
        }
        let mut blobs = vec![id.0.clone()];
        self.keep(config_blob);
        for (diff_id, layer) in config.rootfs.diff_ids.iter().zip(&candidate.layers) {
            blobs.extend(self.layer(diff_id, layer, candidate.manifest.is_some())?);
        }
        if let Some(manifest) = &candidate.manifest {
            if let Some(Member::Document(blob)) = self.archive.blob(manifest) {
                let blob = blob.clone();
                self.keep(blob);
            }
            blobs.push(manifest.clone());
        }
        self.images.push(PendingImage {
            id,
            config,
            parent: None,
            manifest: candidate.manifest,
            blobs,
            references: candidate.references,
        });
        Ok(())
    }

    /// Verifies a layer and takes it; returns its compressed blob where that is kept.
    fn layer(
        &mut self,
        diff_id: &DiffId,
        candidate: &CandidateLayer,
        keep_blob: bool,
    ) -> Result<Option<Digest>, StoreError> {
        let mismatch =
            |found: &DiffId| StoreError::DiffIdMismatch { expected: diff_id.clone(), found: found.clone() };
        let number = match self.archive.member(&candidate.member) {
            Some(Member::Layer(number)) => *number,
            Some(Member::Known(found)) if found == diff_id => {
                if let Some(described) = &candidate.described {
                    self.check_known_size(diff_id, described)?;
                }
                return Ok(None);
            }
            Some(Member::Known(found)) => return Err(mismatch(found)),
            Some(_) => return Err(StoreError::Archive(format!("member '{}' is no layer", candidate.member))),
            None => return Err(StoreError::Archive(format!("member '{}' is missing", candidate.member))),
        };
        if let Some(described) = &candidate.described {
            check_size(described, self.archive.layer(number).size)?;
        }
        if let Some(outcome) = self.archive.take_layer(number) {
            let pending = outcome?;
            self.taken.insert(number, pending.layer.diff_id.clone());
            self.layers.push(pending);
        }
        match self.taken.get(&number) {
            Some(found) if found == diff_id => {}
            Some(found) => return Err(mismatch(found)),
            None => return Err(StoreError::Archive(format!("member '{}' is no layer", candidate.member))),
        }
        let archived = self.archive.layer(number);
        let (blob, kept) = (archived.blob.clone(), archived.kept.clone());
        match kept.filter(|_| keep_blob) {
            Some(kept) => {
                self.keep(kept);
                Ok(Some(blob))
            }
            None => Ok(None),
        }
    }

    fn check_known_size(&self, diff_id: &DiffId, described: &Descriptor) -> Result<(), StoreError> {
        match self.lease.store().layer(diff_id)? {
            Some(layer) => check_size(described, layer.tar_size),
            None => Err(StoreError::LayerMissing(diff_id.clone())),
        }
    }

    fn keep(&mut self, blob: PendingBlob) {
        if self.present.insert(blob.digest.clone()) {
            self.blobs.push(blob);
        }
    }
}
