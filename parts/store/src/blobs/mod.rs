//! Blobs: bytes addressed by digest, kept verbatim. Manifests, configs, compressed layers.
//!
//! `blobs/<algorithm>/<hex>`. A blob there is complete and durable; its digest was verified when it came.

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use corten_spec::digest::Hasher;
use corten_spec::{Digest, digest};
use corten_sys::error::Context;
use corten_sys::{Errno, fs};

use crate::ingest::Lease;
use crate::{Store, StoreError};

/// A blob being written in a lease, hashed on the way.
#[derive(Debug)]
pub struct BlobWriter {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
}

/// A blob in a lease, complete but not yet visible.
#[derive(Debug, Clone)]
pub struct PendingBlob {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl PendingBlob {
    /// The digest of what was written.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The number of bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl BlobWriter {
    /// Starts a blob in `lease`; `name` is any file name that is free there.
    pub fn create(lease: &Lease, name: &str, algorithm: digest::Algorithm) -> Result<Self, StoreError> {
        let path = lease.path().join(name);
        let file = fs::create_new(&path)?;
        Ok(Self { path, file, hasher: Hasher::new(algorithm), size: 0 })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).on("write", &self.path)?;
        Ok(())
    }

    /// Ends the blob.
    pub fn finish(self) -> PendingBlob {
        PendingBlob { path: self.path, digest: self.hasher.finish(), size: self.size }
    }
}

impl Store {
    /// The path of a blob, whether or not it is there.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Says whether a blob is there.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        fs::exists(self.blob_path(digest))
    }

    /// Reads a small blob and verifies its digest.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        let file =
            fs::absent_is_none(fs::open(&path))?.ok_or_else(|| StoreError::BlobMissing(digest.clone()))?;
        let mut bytes = Vec::new();
        file.take(limit + 1).read_to_end(&mut bytes).on("read", &path)?;
        if bytes.len() as u64 > limit {
            return Err(corten_sys::SysError::at("read", &path, Errno::FBIG).into());
        }
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        let found = hasher.finish();
        if found == *digest {
            Ok(bytes)
        } else {
            Err(StoreError::DigestMismatch { expected: digest.clone(), found })
        }
    }

    /// Lists the digests of all blobs, unordered.
    pub fn blobs(&self) -> Result<Vec<Digest>, StoreError> {
        let mut blobs = Vec::new();
        for algorithm in fs::list(self.path("blobs"))? {
            for hex in fs::list(self.path("blobs").join(&algorithm))? {
                blobs.extend(Digest::parse(&format!("{algorithm}:{hex}")));
            }
        }
        Ok(blobs)
    }

    /// Reads a blob of any size and verifies its digest.
    pub fn verify_blob(&self, digest: &Digest) -> Result<(), StoreError> {
        let mut file = self.open_blob(digest)?;
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; 1 << 20];
        loop {
            let length = file.read(&mut buffer).on("read", self.blob_path(digest))?;
            if length == 0 {
                break;
            }
            hasher.update(buffer.get(..length).unwrap_or_default());
        }
        let found = hasher.finish();
        if found == *digest {
            Ok(())
        } else {
            Err(StoreError::DigestMismatch { expected: digest.clone(), found })
        }
    }

    /// Opens a blob for streaming. The reader verifies.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, StoreError> {
        let file = fs::absent_is_none(fs::open(self.blob_path(digest)))?;
        file.ok_or_else(|| StoreError::BlobMissing(digest.clone()))
    }

    /// Gives complete, synced blobs their names. One that is already there wins.
    ///
    /// The caller holds the images lock, so that none is collected before its image's record is there.
    pub(crate) fn commit_blobs(&self, blobs: &[PendingBlob]) -> Result<(), StoreError> {
        for blob in blobs {
            let target = self.blob_path(&blob.digest);
            if blob.digest.algorithm() != digest::Algorithm::Sha256 {
                fs::create_dir_all(target.parent().unwrap_or(self.root()), 0o700)?;
            }
            match fs::rename_new(&blob.path, &target) {
                Err(error) if error.errno() == Errno::EXIST => {}
                other => other?,
            }
        }
        let mut synced = Vec::new();
        for blob in blobs {
            if !synced.contains(&blob.digest.algorithm()) {
                fs::sync_parent(self.blob_path(&blob.digest))?;
                synced.push(blob.digest.algorithm());
            }
        }
        Ok(())
    }
}
