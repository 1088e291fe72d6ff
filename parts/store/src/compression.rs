//! Compressed streams: told apart by their first bytes, unpacked with a limit on how far they expand.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    /// Recognised so that it can be refused by name.
    Bzip2,
    Xz,
}

/// Output beyond this is measured against the input.
const FREE_OUTPUT: u64 = 1 << 30;
/// How often larger than its input a stream may get. Deflate reaches 1032, on zeros only.
const RATIO: u64 = 250;
/// 128 MiB: the largest window zstd's own tool takes without being told.
const ZSTD_WINDOW_LOG: u32 = 27;

impl Compression {
    /// Tells the format by the first bytes of a stream.
    pub fn sniff(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame: how zstd streams with extra data may begin.
            [low, 0x2a, 0x4d, 0x18, ..] if low & 0xf0 == 0x50 => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0x00, ..] => Self::Xz,
            _ => Self::None,
        }
    }

    /// The format's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    /// Unpacks `input`; the formats that corten refuses are ErrorKind::Unsupported.
    pub(crate) fn decoder<'a, R: BufRead + Send + 'a>(
        self,
        input: R,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let counted = Counted { inner: input, count: Arc::default() };
        let count = Arc::clone(&counted.count);
        let inner: Box<dyn Read + Send + 'a> = match self {
            Self::None => return Ok(Box::new(counted.inner)),
            Self::Gzip => Box::new(MultiGzDecoder::new(counted)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(counted)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
            Self::Bzip2 | Self::Xz => {
                let text = format!("{} compression is not supported: use gzip, zstd or none", self.name());
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        };
        Ok(Box::new(Bounded { inner, input: count, output: 0 }))
    }
}

/// Counts the bytes that are taken from a stream.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        self.inner.consume(count);
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Stops a decompression bomb.
struct Bounded<'a> {
    inner: Box<dyn Read + Send + 'a>,
    input: Arc<AtomicU64>,
    output: u64,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.output += count as u64;
        let input = self.input.load(Ordering::Relaxed);
        if is_bomb(input, self.output) {
            let text = format!("stream expands to more than {RATIO} times its size");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(count)
    }
}

fn is_bomb(input: u64, output: u64) -> bool {
    output > FREE_OUTPUT && output / RATIO > input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sniffs() {
        let check = |bytes: &[u8], expected| assert_eq!(Compression::sniff(bytes), expected);
        check(b"\x1f\x8b\x08\x00", Compression::Gzip);
        check(b"\x28\xb5\x2f\xfd", Compression::Zstd);
        check(b"\x50\x2a\x4d\x18", Compression::Zstd);
        check(b"BZh91AY", Compression::Bzip2);
        check(b"\xfd7zXZ\0", Compression::Xz);
        check(b"", Compression::None);
        check(b"./", Compression::None);
    }

    #[test]
    fn bombs() {
        let zeros = zstd::stream::encode_all(&vec![0; 64 << 20][..], 1).unwrap();
        let bomb = zeros.repeat(24);
        let mut decoder = Compression::Zstd.decoder(&bomb[..]).unwrap();
        let error = io::copy(&mut decoder, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("expands to more than 250 times"), "{error}");
        assert!(!is_bomb(1, FREE_OUTPUT));
        assert!(is_bomb(1 << 20, FREE_OUTPUT + 1));
        assert!(!is_bomb(FREE_OUTPUT / RATIO + 1, FREE_OUTPUT + 1));
    }
}
