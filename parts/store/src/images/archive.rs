//! The outer archive of `load`, read once from front to back: layers are unpacked as they come by, before it
//! is known whether anything refers to them; documents are kept in the lease.

use std::collections::HashMap;
use std::io::BufRead;

use corten_spec::digest::{Algorithm, Hasher};
use corten_spec::{DiffId, Digest};
use corten_sys::fs;

use crate::blobs::{BlobWriter, PendingBlob};
use crate::compression::Compression;
use crate::ingest::Lease;
use crate::layers::PendingLayer;
use crate::layers::ingest::LayerIngest;
use crate::tar::header::Header;
use crate::tar::reader::Reader;
use crate::tar::{BLOCK, Entry, Kind};
use crate::{StoreError, tar::TarError};

/// Documents above this are no manifests and no configs.
const DOCUMENT_LIMIT: u64 = 8 << 20;
/// More members than this is no image archive.
const MEMBER_LIMIT: usize = 1 << 16;
/// How often a link may lead to a link.
const LINK_LIMIT: usize = 8;

/// One member.
pub(crate) enum Member {
    /// Neither compressed nor a tar: a JSON document, we hope.
    Document(PendingBlob),
    /// The number in [`Archive::layers`].
    Layer(usize),
    /// An uncompressed layer that the store has.
    Known(DiffId),
    /// Too large for a document: only its digest was verified.
    Unusable,
    Link(String),
}

/// A layer of the archive. One that nothing refers to may have failed without harm.
pub(crate) struct ArchivedLayer {
    pub(crate) blob: Digest,
    pub(crate) size: u64,
    /// The compressed bytes, where a manifest could refer to them.
    pub(crate) kept: Option<PendingBlob>,
    job: Option<LayerIngest>,
    outcome: Option<Result<PendingLayer, StoreError>>,
}

/// All members of an archive.
#[derive(Default)]
pub(crate) struct Archive {
    members: HashMap<String, Member>,
    layers: Vec<ArchivedLayer>,
    /// The first layer that may still be at work.
    oldest: usize,
}

impl Archive {
    /// Reads a whole archive. Blocking.
    pub(crate) fn read(lease: &Lease, input: impl BufRead) -> Result<Self, StoreError> {
        let mut archive = Self::default();
        let result = archive.read_members(lease, input);
        for layer in &mut archive.layers {
            match (&result, layer.job.take()) {
                (Ok(()), Some(job)) => layer.outcome = Some(job.finish()),
                (Err(_), Some(job)) => job.abort(),
                (_, None) => {}
            }
        }
        result.map(|()| archive)
    }

    /// The member of this name, links followed.
    pub(crate) fn member(&self, name: &str) -> Option<&Member> {
        let mut name = clean(name)?;
        for _ in 0..LINK_LIMIT {
            match self.members.get(&name)? {
                Member::Link(target) => name.clone_from(target),
                member => return Some(member),
            }
        }
        None
    }

    /// The blob of an OCI layout.
    pub(crate) fn blob(&self, digest: &Digest) -> Option<&Member> {
        self.member(&format!("blobs/{}/{}", digest.algorithm().name(), digest.hex()))
    }

    /// A document's bytes, or `None` where there is no such document.
    pub(crate) fn document(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.member(name) {
            Some(Member::Document(blob)) => Ok(Some(fs::read(&blob.path)?)),
            _ => Ok(None),
        }
    }

    pub(crate) fn layer(&self, number: usize) -> &ArchivedLayer {
        &self.layers[number]
    }

    /// Takes a layer's outcome; the second time there is none.
    pub(crate) fn take_layer(&mut self, number: usize) -> Option<Result<PendingLayer, StoreError>> {
        self.layers[number].outcome.take()
    }

    fn read_members(&mut self, lease: &Lease, input: impl BufRead) -> Result<(), StoreError> {
        let mut reader = Reader::new(input);
        while let Some(entry) = reader.next()? {
            if self.members.len() >= MEMBER_LIMIT {
                return Err(StoreError::Archive(format!("more than {MEMBER_LIMIT} members")));
            }
            let shown = String::from_utf8_lossy(&entry.path).into_owned();
            let name =
                clean(&shown).ok_or_else(|| StoreError::Archive(format!("member '{shown}' leaves it")))?;
            let member = match entry.kind {
                Kind::File if entry.sparse.is_none() => self.file(lease, &name, &entry, &mut reader)?,
                // A symlink is relative to its directory, a hard link to the archive.
                Kind::Symlink | Kind::HardLink => {
                    let target = String::from_utf8_lossy(&entry.link).into_owned();
                    let target = match (entry.kind, name.rsplit_once('/')) {
                        (Kind::Symlink, Some((directory, _))) => format!("{directory}/{target}"),
                        _ => target,
                    };
                    let bad = || StoreError::Archive(format!("member '{name}' is a link that leaves it"));
                    Member::Link(clean(&target).ok_or_else(bad)?)
                }
                _ => continue,
            };
            self.members.insert(name, member);
        }
        Ok(())
    }

    fn file<R: BufRead>(
        &mut self,
        lease: &Lease,
        name: &str,
        entry: &Entry,
        reader: &mut Reader<R>,
    ) -> Result<Member, StoreError> {
        let expected = blob_name(name)?;
        let algorithm = expected.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
        let head = read_head(reader)?;
        let compression = Compression::sniff(&head);
        let number = self.members.len();
        let (member, found) = if compression == Compression::None && !is_tar(&head) {
            if entry.size > DOCUMENT_LIMIT {
                (Member::Unusable, hash(&head, reader, algorithm)?)
            } else {
                let mut blob = BlobWriter::create(lease, &format!("document.{number}"), algorithm)?;
                blob.write(&head)?;
                copy(reader, |bytes| blob.write(bytes))?;
                let blob = blob.finish();
                let digest = blob.digest.clone();
                (Member::Document(blob), digest)
            }
        } else {
            match expected.clone().filter(|_| compression == Compression::None).map(DiffId) {
                Some(diff_id) if lease.hold(&diff_id)? => {
                    (Member::Known(diff_id), hash(&head, reader, algorithm)?)
                }
                _ => self.unpack(lease, name, (compression, algorithm), &head, reader)?,
            }
        };
        match expected {
            Some(expected) if expected != found => Err(StoreError::DigestMismatch { expected, found }),
            _ => Ok(member),
        }
    }

    /// Feeds a layer to threads of its own and returns the blob's digest; they may lag behind.
    fn unpack<R: BufRead>(
        &mut self,
        lease: &Lease,
        name: &str,
        (compression, algorithm): (Compression, Algorithm),
        head: &[u8],
        reader: &mut Reader<R>,
    ) -> Result<(Member, Digest), StoreError> {
        self.make_room();
        let number = self.layers.len();
        let mut job =
            LayerIngest::start(lease, &format!("layer.{number}"), name, compression, Algorithm::Sha256)?;
        // An uncompressed blob's digest is its diff ID, which the job computes; a kept blob hashes itself.
        let is_diff_id = compression == Compression::None && algorithm == Algorithm::Sha256;
        let mut hasher = Hasher::new(algorithm);
        let mut kept = match compression != Compression::None && name.starts_with("blobs/") {
            true => Some(BlobWriter::create(lease, &format!("blob.{number}"), algorithm)?),
            false => None,
        };
        let mut size = 0;
        let mut take = |bytes: &[u8]| {
            size += bytes.len() as u64;
            job.write(bytes);
            match &mut kept {
                Some(blob) => blob.write(bytes)?,
                None if is_diff_id => {}
                None => hasher.update(bytes),
            }
            Ok(())
        };
        let copied = take(head).and_then(|()| copy(reader, take));
        if let Err(error) = copied {
            job.abort();
            return Err(error);
        }
        job.end();
        let kept = kept.map(BlobWriter::finish);
        let blob = match &kept {
            Some(kept) => kept.digest.clone(),
            None => job.plain_digest().filter(|_| is_diff_id).unwrap_or_else(|| hasher.finish()),
        };
        self.layers.push(ArchivedLayer { blob: blob.clone(), size, kept, job: Some(job), outcome: None });
        Ok((Member::Layer(number), blob))
    }

    /// Waits until fewer layers are at work than there are cores.
    fn make_room(&mut self) {
        let cores = std::thread::available_parallelism().map_or(2, usize::from).min(8);
        while self.layers.len() - self.oldest >= cores {
            let layer = &mut self.layers[self.oldest];
            if let Some(job) = layer.job.take() {
                layer.outcome = Some(job.finish());
            }
            self.oldest += 1;
        }
    }
}

/// The digest that a name below `blobs/` promises.
fn blob_name(name: &str) -> Result<Option<Digest>, StoreError> {
    let Some(rest) = name.strip_prefix("blobs/") else { return Ok(None) };
    let digest = Digest::parse(&rest.replacen('/', ":", 1));
    digest.map(Some).map_err(|error| StoreError::Archive(format!("member '{name}': {error}")))
}

/// Reads the first block of a member, or less where it is shorter.
fn read_head<R: BufRead>(reader: &mut Reader<R>) -> Result<Vec<u8>, TarError> {
    let mut head = Vec::with_capacity(BLOCK);
    while head.len() < BLOCK {
        let bytes = reader.data()?;
        if bytes.is_empty() {
            break;
        }
        let count = bytes.len().min(BLOCK - head.len());
        head.extend_from_slice(&bytes[..count]);
        reader.consume(count);
    }
    Ok(head)
}

fn copy<R: BufRead>(
    reader: &mut Reader<R>,
    mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    loop {
        let bytes = reader.data()?;
        if bytes.is_empty() {
            return Ok(());
        }
        take(bytes)?;
        let count = bytes.len();
        reader.consume(count);
    }
}

fn hash<R: BufRead>(head: &[u8], reader: &mut Reader<R>, algorithm: Algorithm) -> Result<Digest, StoreError> {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(head);
    copy(reader, |bytes| {
        hasher.update(bytes);
        Ok(())
    })?;
    Ok(hasher.finish())
}

/// A valid header, or the zeros of an archive without members.
fn is_tar(head: &[u8]) -> bool {
    let Ok(block) = <&[u8; BLOCK]>::try_from(head) else { return false };
    *block == [0; BLOCK] || Header(block).is_valid()
}

/// Drops empty and `.` components and what `..` takes back; `None` where `..` would leave.
fn clean(name: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check =
            |name: &str, expected: Option<&str>| assert_eq!(clean(name).as_deref(), expected, "{name}");
        check("./manifest.json", Some("manifest.json"));
        check("/a//b", Some("a/b"));
        check("a/../b", Some("b"));
        check("../b", None);
        assert!(blob_name("blobs/sha256/../x").is_err());
        assert!(blob_name("blobs/sha256/abc").is_err());
        assert_eq!(blob_name("manifest.json").unwrap(), None);
    }
}
