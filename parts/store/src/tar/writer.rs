//! Headers of the archives that corten makes: plain ustar, root's, epoch times, so that equal contents make
//! equal bytes.

use std::io::{self, Write};

use super::BLOCK;

/// Writes entries with ASCII names, as `save` needs them.
pub(crate) struct Writer<W> {
    sink: W,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { sink }
    }

    pub(crate) fn directory(&mut self, name: &str) -> io::Result<()> {
        self.sink.write_all(&headers(name, b'5', 0o755, 0))
    }

    pub(crate) fn file(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.begin_file(name, bytes.len() as u64)?;
        self.sink.write_all(bytes)?;
        self.end_file(bytes.len() as u64)
    }

    /// Starts a file whose `size` bytes the caller then writes to [`Writer::sink`].
    pub(crate) fn begin_file(&mut self, name: &str, size: u64) -> io::Result<()> {
        self.sink.write_all(&headers(name, b'0', 0o644, size))
    }

    /// A whole file that can be executed.
    pub(crate) fn program(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.sink.write_all(&headers(name, b'0', 0o755, bytes.len() as u64))?;
        self.sink.write_all(bytes)?;
        self.end_file(bytes.len() as u64)
    }

    pub(crate) fn sink(&mut self) -> &mut W {
        &mut self.sink
    }

    /// Pads a file of `size` bytes.
    pub(crate) fn end_file(&mut self, size: u64) -> io::Result<()> {
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        self.sink.write_all(&[0; BLOCK][..usize::try_from(padding).unwrap_or(0)])
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

/// The header of an entry, behind a PAX one where the name (that of a SHA-512 blob) does not fit.
fn headers(name: &str, flag: u8, mode: u32, size: u64) -> Vec<u8> {
    if name.len() <= 100 {
        return header(name, flag, mode, size).to_vec();
    }
    let mut length = name.len() + " path=\n".len();
    length += (length + 3).to_string().len();
    let record = format!("{length} path={name}\n");
    let mut bytes = header("pax", b'x', 0o644, record.len() as u64).to_vec();
    bytes.extend_from_slice(record.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes.extend_from_slice(&header(&name[..100], flag, mode, size));
    bytes
}

fn header(name: &str, flag: u8, mode: u32, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size < 1 << 33 {
        put(124, format!("{size:011o}\0").as_bytes());
    } else {
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[flag]);
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
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
