//! A tree into a tar, as it is read: nothing is gathered first.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use corten_sys::SysError;

use super::path::as_path;
use super::{Content, Sink, TreeEntry, TreeError};
use crate::tar::{BLOCK, Entry, encode};

const CHUNK: usize = 256 << 10;

/// Writes the canonical tar: names in byte order if they come so, root file system ids, whole seconds, no holes.
pub struct ArchiveWriter<W> {
    output: W,
    buffer: Vec<u8>,
}

impl<W: Write> ArchiveWriter<W> {
    pub fn new(output: W) -> Self {
        Self { output, buffer: vec![0; CHUNK] }
    }

    fn header(&mut self, entry: &Entry) -> Result<(), TreeError> {
        self.output.write_all(&encode::headers(entry)).map_err(TreeError::Output)
    }

    fn file(&mut self, entry: &Entry, file: &File) -> Result<(), TreeError> {
        let mut offset = 0;
        while offset < entry.size {
            let room = self.buffer.len().min(usize::try_from(entry.size - offset).unwrap_or(usize::MAX));
            let count = match file.read_at(&mut self.buffer[..room], offset) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(SysError::io("read", as_path(&entry.path), &error).into()),
            };
            self.output.write_all(&self.buffer[..count]).map_err(TreeError::Output)?;
            offset += count as u64;
        }
        // It has been cut since its header was written, which promised more.
        io::copy(&mut io::repeat(0).take(entry.size - offset), &mut self.output)
            .map_err(TreeError::Output)?;
        Ok(())
    }
}

impl<W: Write> Sink for ArchiveWriter<W> {
    fn put(&mut self, TreeEntry(entry): &TreeEntry, content: Content<'_>) -> Result<(), TreeError> {
        self.header(entry)?;
        match content {
            Content::None => return Ok(()),
            Content::File(file) => self.file(entry, file)?,
            Content::Stream(stream) => {
                io::copy(&mut stream.take(entry.size), &mut self.output).map_err(TreeError::Output)?;
            }
        }
        self.output.write_all(&[0; BLOCK][..encode::padding(entry.size)]).map_err(TreeError::Output)
    }

    fn finish(&mut self) -> Result<(), TreeError> {
        self.output.write_all(&[0; 2 * BLOCK]).and_then(|()| self.output.flush()).map_err(TreeError::Output)
    }
}

impl<W> std::fmt::Debug for ArchiveWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArchiveWriter")
    }
}
