//! A layer on its way in: the caller pushes bytes, threads behind it decompress, hash, parse and write.

use std::io::{self, Read};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use corten_spec::digest::{Algorithm, Hasher};
use corten_spec::{DiffId, Digest};

use super::chunks::{CHUNK, ChunkReader, ChunkSender, chunks};
use super::unpack::{ApplyError, unpack};
use super::{Contents, DEPTH, PendingLayer, prepare};
use crate::StoreError;
use crate::compression::Compression;
use crate::ingest::Lease;
use crate::tar::TarError;

/// A layer being unpacked.
pub(crate) struct LayerIngest {
    what: String,
    path: PathBuf,
    input: Option<ChunkSender>,
    buffer: Vec<u8>,
    tar: Tar,
    unpacking: JoinHandle<Result<Contents, ApplyError>>,
}

/// Who hashes the uncompressed tar.
enum Tar {
    /// The caller's thread, as the bytes come.
    Plain {
        hasher: Box<Hasher>,
        size: u64,
    },
    Compressed(JoinHandle<io::Result<(Digest, u64)>>),
}

impl LayerIngest {
    /// Starts to unpack into the directory `name` of `lease`; `what` is the layer in error messages.
    pub(crate) fn start(
        lease: &Lease,
        name: &str,
        what: &str,
        compression: Compression,
        algorithm: Algorithm,
    ) -> Result<Self, StoreError> {
        let path = lease.path().join(name);
        prepare(&path)?;
        let (input, reader) = chunks(DEPTH);
        let (tar, reader) = match compression {
            Compression::None => (Tar::Plain { hasher: Box::new(Hasher::new(algorithm)), size: 0 }, reader),
            _ => {
                let (output, unpacked) = chunks(DEPTH);
                let thread = spawn("inflate", move || inflate(compression, reader, output, algorithm))?;
                (Tar::Compressed(thread), unpacked)
            }
        };
        let target = path.clone();
        let unpacking = spawn("unpack", move || unpack(reader, &target))?;
        Ok(Self { what: what.to_owned(), buffer: input.buffer(), path, input: Some(input), tar, unpacking })
    }

    /// Appends bytes. What went wrong behind is told by [`LayerIngest::finish`].
    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        if let Tar::Plain { hasher, size } = &mut self.tar {
            hasher.update(bytes);
            *size += bytes.len() as u64;
        }
        while !bytes.is_empty() {
            let part = bytes.len().min(CHUNK - self.buffer.len());
            self.buffer.extend_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            if self.buffer.len() == CHUNK {
                self.flush();
            }
        }
    }

    /// The digest of what was written so far, where that is the tar itself.
    pub(crate) fn plain_digest(&self) -> Option<Digest> {
        match &self.tar {
            Tar::Plain { hasher, .. } => Some(hasher.as_ref().clone().finish()),
            Tar::Compressed(_) => None,
        }
    }

    /// Says whether the threads behind have given up, so that more bytes are of no use.
    pub(crate) fn has_failed(&self) -> bool {
        self.input.is_none()
    }

    fn flush(&mut self) {
        if let Some(input) = &self.input {
            let next = input.buffer();
            if !input.send(std::mem::replace(&mut self.buffer, next)) {
                self.input = None;
            }
        }
        self.buffer.clear();
    }

    /// Ends the input without waiting.
    pub(crate) fn end(&mut self) {
        self.flush();
        if let Some(input) = self.input.take() {
            input.finish();
        }
    }

    /// Makes everything behind stop with an error.
    pub(crate) fn abort(mut self) {
        if let Some(input) = self.input.take() {
            input.fail(io::Error::other("the archive could not be read"));
        }
        drop(self.finish());
    }

    /// Waits for the threads and writes the layer's record. [`LayerIngest::end`] comes first.
    pub(crate) fn finish(mut self) -> Result<PendingLayer, StoreError> {
        self.end();
        let unpacked = join(self.unpacking);
        let what = self.what;
        let input = |source| StoreError::Input { what: what.clone(), source };
        let (digest, size) = match self.tar {
            Tar::Plain { hasher, size } => (hasher.finish(), size),
            Tar::Compressed(thread) => {
                // If both failed, a stream error is the cause unless it only says that nobody listens.
                match join(thread) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe && unpacked.is_err() => {
                        (Digest::of(b""), 0)
                    }
                    other => other.map_err(input)?,
                }
            }
        };
        let contents = match unpacked {
            Ok(contents) => contents,
            Err(ApplyError::Tar(TarError::Read(source))) => {
                return Err(StoreError::Input { what: what.clone(), source });
            }
            Err(source) => return Err(StoreError::Apply { what, source }),
        };
        PendingLayer::new(self.path, DiffId(digest), size, contents)
    }
}

/// Decompresses `reader` into `output`, hashing what comes out.
fn inflate(
    compression: Compression,
    reader: ChunkReader,
    output: ChunkSender,
    algorithm: Algorithm,
) -> io::Result<(Digest, u64)> {
    let result = pump(compression, reader, &output, algorithm);
    match &result {
        Ok(_) => output.finish(),
        Err(error) => output.fail(io::Error::new(error.kind(), error.to_string())),
    }
    result
}

fn pump(
    compression: Compression,
    reader: ChunkReader,
    output: &ChunkSender,
    algorithm: Algorithm,
) -> io::Result<(Digest, u64)> {
    let mut decoder = compression.decoder(reader)?;
    let (mut hasher, mut size) = (Hasher::new(algorithm), 0);
    loop {
        let mut chunk = output.buffer();
        let count = decoder.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
        if count == 0 {
            return Ok((hasher.finish(), size));
        }
        hasher.update(&chunk);
        size += count as u64;
        if !output.send(chunk) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StoreError> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|source| StoreError::Input { what: format!("thread {name}"), source })
}

/// A panic of a thread is one of its owner.
fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
