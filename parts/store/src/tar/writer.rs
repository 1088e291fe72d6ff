//! Headers of the archives that corten makes: plain ustar, root's, epoch times, so that equal contents make
//! equal bytes.

use std::io::{self, Write};

use super::{BLOCK, Entry, Kind, encode};

/// Writes entries with ASCII names, as `save` needs them.
pub(crate) struct Writer<W> {
    sink: W,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { sink }
    }

    pub(crate) fn directory(&mut self, name: &str) -> io::Result<()> {
        self.sink.write_all(&headers(name, Kind::Directory, 0o755, 0))
    }

    pub(crate) fn file(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.begin_file(name, bytes.len() as u64)?;
        self.sink.write_all(bytes)?;
        self.end_file(bytes.len() as u64)
    }

    /// Starts a file whose `size` bytes the caller then writes to [`Writer::sink`].
    pub(crate) fn begin_file(&mut self, name: &str, size: u64) -> io::Result<()> {
        self.sink.write_all(&headers(name, Kind::File, 0o644, size))
    }

    /// A whole file that can be executed.
    pub(crate) fn program(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(&headers(name, Kind::File, 0o755, bytes.len() as u64))?;
        self.sink.write_all(bytes)?;
        self.end_file(bytes.len() as u64)
    }

    pub(crate) fn sink(&mut self) -> &mut W {
        &mut self.sink
    }

    /// Pads a file of `size` bytes.
    pub(crate) fn end_file(&mut self, size: u64) -> io::Result<()> {
        self.sink.write_all(&[0; BLOCK][..encode::padding(size)])
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.sink.write_all(&[0; 2 * BLOCK])?;
        Ok(self.sink)
    }
}

/// A tar of one program at the top: the layer of a built-in image.
pub fn program_tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::with_capacity(bytes.len() + 4 * BLOCK));
    // A vector takes whatever is written to it.
    let written = writer.program(name, bytes).and_then(|()| writer.finish());
    written.unwrap_or_default()
}

/// The header of an entry of root's.
fn headers(name: &str, kind: Kind, mode: u32, size: u64) -> Vec<u8> {
    encode::headers(&Entry { size, ..Entry::new(name.as_bytes(), kind, mode) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::reader::Reader;

    #[test]
    fn what_it_writes_is_read_back() {
        let long = format!("blobs/sha512/{}", "a".repeat(128));
        let mut writer = Writer::new(Vec::new());
        writer.directory("blobs/").unwrap();
        writer.file(&long, b"abc").unwrap();
        writer.file("x", b"").unwrap();
        let bytes = writer.finish().unwrap();
        let mut reader = Reader::new(&bytes[..]);
        let mut names = Vec::new();
        while let Some(entry) = reader.next().unwrap() {
            names.push((String::from_utf8(entry.path).unwrap(), entry.size, entry.mode));
        }
        assert_eq!(names, [("blobs/".into(), 0, 0o755), (long, 3, 0o644), ("x".into(), 0, 0o644)]);
    }
}
