//! What an archive says of its images: the OCI layout's index, and docker's `manifest.json`.

use corten_spec::descriptor::{Descriptor, media_type};
use corten_spec::manifest::{Document, Index};
use corten_spec::{Digest, Platform, Reference};
use serde::Deserialize;

use super::ImageError;
use super::archive::{Archive, Member};
use crate::StoreError;

/// An image as described, nothing of it verified.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The member with the config.
    pub(crate) config: String,
    /// Digest and size of the config, where a manifest gives them.
    pub(crate) described: Option<Descriptor>,
    pub(crate) manifest: Option<Digest>,
    pub(crate) layers: Vec<CandidateLayer>,
    pub(crate) references: Vec<Reference>,
}

#[derive(Debug)]
pub(crate) struct CandidateLayer {
    pub(crate) member: String,
    pub(crate) described: Option<Descriptor>,
}

/// How deep indexes may nest.
const NESTING: usize = 4;

const CONTAINERD_NAME: &str = "io.containerd.image.name";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Lists the images of an archive; those of the layout first, since they know their manifests.
pub(crate) fn candidates(
    archive: &Archive,
    platform: Option<&Platform>,
) -> Result<Vec<Candidate>, StoreError> {
    let (index, manifest) = (archive.document("index.json")?, archive.document("manifest.json")?);
    if index.is_none() && manifest.is_none() {
        return Err(StoreError::Archive("neither index.json nor manifest.json is in it".to_owned()));
    }
    let mut found = Vec::new();
    if let Some(bytes) = index {
        let what = || "index.json".to_owned();
        let document =
            Document::parse(&bytes, None).map_err(|source| StoreError::Manifest { what: what(), source })?;
        let Document::Index(index) = document else {
            return Err(StoreError::Archive("index.json is a manifest".to_owned()));
        };
        let mut walk = Walk { archive, platform, found: &mut found, absent: None };
        for descriptor in &index.manifests {
            walk.descriptor(descriptor, &name_of(descriptor)?, 0)?;
        }
        // An archive may leave out platforms, but not everything.
        if let (Some(digest), true, true) = (walk.absent, found.is_empty(), manifest.is_none()) {
            return Err(StoreError::Archive(format!("blob {digest} is not in it")));
        }
    }
    if let Some(bytes) = manifest {
        found.extend(docker(&bytes)?);
    }
    Ok(found)
}

struct Walk<'a> {
    archive: &'a Archive,
    platform: Option<&'a Platform>,
    found: &'a mut Vec<Candidate>,
    absent: Option<Digest>,
}

impl Walk<'_> {
    fn descriptor(
        &mut self,
        descriptor: &Descriptor,
        names: &[Reference],
        depth: usize,
    ) -> Result<(), StoreError> {
        let Some(member) = self.archive.blob(&descriptor.digest) else {
            self.absent.get_or_insert_with(|| descriptor.digest.clone());
            return Ok(());
        };
        let what = || format!("blob {}", descriptor.digest);
        let Member::Document(blob) = member else {
            return Err(StoreError::Archive(format!("{} is no manifest", what())));
        };
        check_size(descriptor, blob.size)?;
        let bytes = corten_sys::fs::read(&blob.path)?;
        let document = Document::parse(&bytes, Some(&descriptor.media_type))
            .map_err(|source| StoreError::Manifest { what: what(), source })?;
        match document {
            Document::Index(index) if depth < NESTING => self.index(&index, names, depth + 1),
            Document::Index(_) => Err(StoreError::Archive(format!("{} is nested too deeply", what()))),
            // A signature, an attestation, a chart: nothing to run.
            Document::Manifest(manifest) if !media_type::is_config(&manifest.config.media_type) => Ok(()),
            Document::Manifest(manifest) => {
                if let Some(layer) =
                    manifest.layers.iter().find(|layer| !media_type::is_layer(&layer.media_type))
                {
                    let text =
                        format!("{} has a layer of the unsupported type '{}'", what(), layer.media_type);
                    return Err(StoreError::Archive(text));
                }
                let layers = manifest.layers.iter();
                self.found.push(Candidate {
                    config: member_name(&manifest.config.digest),
                    manifest: Some(descriptor.digest.clone()),
                    layers: layers
                        .map(|layer| CandidateLayer {
                            member: member_name(&layer.digest),
                            described: Some(layer.clone()),
                        })
                        .collect(),
                    described: Some(manifest.config),
                    references: names.to_vec(),
                });
                Ok(())
            }
        }
    }

    /// Takes the manifest for the platform out of an image for several.
    fn index(&mut self, index: &Index, names: &[Reference], depth: usize) -> Result<(), StoreError> {
        let host = Platform::host();
        let wanted = self.platform.unwrap_or(&host);
        let is_image = |descriptor: &&Descriptor| {
            !descriptor.annotations.contains_key("vnd.docker.reference.type")
                && descriptor.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
        };
        let images: Vec<&Descriptor> = index.manifests.iter().filter(is_image).collect();
        let runs = |descriptor: &&&Descriptor| {
            self.archive.blob(&descriptor.digest).is_some()
                && descriptor.platform.as_ref().is_none_or(|platform| wanted.runs(platform))
        };
        if let Some(descriptor) = images.iter().find(runs) {
            return self.descriptor(descriptor, names, depth);
        }
        let available: Vec<String> = images
            .iter()
            .filter(|descriptor| self.archive.blob(&descriptor.digest).is_some())
            .filter_map(|descriptor| descriptor.platform.as_ref().map(Platform::to_string))
            .collect();
        let available = if available.is_empty() { "none".to_owned() } else { available.join(", ") };
        Err(ImageError::Platform { wanted: wanted.to_string(), available }.into())
    }
}

/// Says whether a blob has the size that its descriptor promises.
pub(crate) fn check_size(descriptor: &Descriptor, found: u64) -> Result<(), StoreError> {
    if descriptor.size == found {
        return Ok(());
    }
    Err(StoreError::SizeMismatch { digest: descriptor.digest.clone(), expected: descriptor.size, found })
}

fn member_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The name that an entry of the layout's index gives: containerd's full one, else a ref name that is full.
fn name_of(descriptor: &Descriptor) -> Result<Vec<Reference>, StoreError> {
    let full = |name: &&String| name.contains([':', '/']);
    let name = descriptor.annotations.get(CONTAINERD_NAME);
    match name.or_else(|| descriptor.annotations.get(REF_NAME).filter(full)) {
        Some(name) => Ok(vec![tag(name)?]),
        None => Ok(Vec::new()),
    }
}

fn tag(name: &str) -> Result<Reference, StoreError> {
    let reference = Reference::parse(name)
        .map_err(|error| StoreError::Archive(format!("image name '{name}': {error}")))?;
    // `name:tag@digest` keeps its tag.
    match (reference.tag(), reference.digest()) {
        (Some(tag), Some(_)) => Ok(reference.with_tag(tag).map_err(ImageError::from)?),
        _ => Ok(reference),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

fn docker(bytes: &[u8]) -> Result<Vec<Candidate>, StoreError> {
    let entries: Vec<DockerEntry> = serde_json::from_slice(bytes)
        .map_err(|error| StoreError::Archive(format!("manifest.json: {error}")))?;
    let candidate = |entry: DockerEntry| {
        let layers = entry.layers.unwrap_or_default().into_iter();
        Ok(Candidate {
            config: entry.config,
            described: None,
            manifest: None,
            layers: layers.map(|member| CandidateLayer { member, described: None }).collect(),
            references: entry
                .repo_tags
                .unwrap_or_default()
                .iter()
                .map(|name| tag(name))
                .collect::<Result<_, _>>()?,
        })
    };
    entries.into_iter().map(candidate).collect()
}
