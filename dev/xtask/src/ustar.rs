//! A writer for small ustar archives: directories, files and symbolic links owned by root.

use crate::failure::{Failure, Result};

const BLOCK: usize = 512;

/// An archive being written to memory.
#[derive(Debug, Default)]
pub(crate) struct Archive(Vec<u8>);

impl Archive {
    pub(crate) fn dir(&mut self, path: &str, mode: u32) -> Result<()> {
        self.header(&format!("{path}/"), mode, b'5', "", 0)
    }

    pub(crate) fn file(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        self.header(path, mode, b'0', "", content.len())?;
        self.0.extend_from_slice(content);
        self.pad();
        Ok(())
    }

    pub(crate) fn symlink(&mut self, path: &str, target: &str) -> Result<()> {
        self.header(path, 0o777, b'2', target, 0)
    }

    /// Ends the archive with its two zero blocks.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
    }

    fn header(&mut self, path: &str, mode: u32, kind: u8, target: &str, size: usize) -> Result<()> {
        if path.len() > 100 || target.len() > 100 {
            return Err(Failure::new(format!("{path}: a name of this archive has at most 100 bytes")));
        }
        let mut block = [0u8; BLOCK];
        let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, path);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{size:011o}"));
        put(136, "00000000000");
        // The checksum is taken with its own field as spaces.
        put(148, "        ");
        put(157, target);
        put(257, "ustar\x0000");
        put(265, "root");
        put(297, "root");
        block[156] = kind;
        let sum: u32 = block.iter().copied().map(u32::from).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Archive, BLOCK};

    #[test]
    fn entries_are_whole_blocks_with_a_valid_checksum() {
        let mut archive = Archive::default();
        archive.dir("bin", 0o755).unwrap();
        archive.file("bin/a", 0o755, &[7; 513]).unwrap();
        archive.symlink("bin/b", "a").unwrap();
        let bytes = archive.finish();
        assert_eq!(bytes.len(), (3 + 2 + 2) * BLOCK);
        let header = &bytes[BLOCK..2 * BLOCK];
        assert_eq!(
            (&header[..6], &header[124..136], header[156]),
            (&b"bin/a\0"[..], &b"00000001001\0"[..], b'0')
        );
        let stored = u32::from_str_radix(std::str::from_utf8(&header[148..154]).unwrap(), 8).unwrap();
        let field: u32 = header[148..156].iter().copied().map(u32::from).sum();
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        assert_eq!(stored, sum - field + 8 * 32);
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        assert!(Archive::default().dir(&"x".repeat(100), 0o755).is_err());
    }
}
