//! A writer of tar archives as hostile or as plain as a test needs them: ustar headers, nothing checked.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const BLOCK: usize = 512;

/// An archive being written to memory.
#[derive(Debug, Default)]
pub struct Archive(Vec<u8>);

/// What stands in a header besides the name.
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    kind: u8,
    mode: u32,
    owner: (u32, u32),
    target: &'a [u8],
    size: usize,
}

impl Archive {
    #[must_use]
    pub fn dir(self, path: &str, mode: u32) -> Self {
        self.dir_of(path, mode, (0, 0))
    }

    #[must_use]
    pub fn dir_of(mut self, path: &str, mode: u32, owner: (u32, u32)) -> Self {
        self.header(path.as_bytes(), Entry { kind: b'5', mode, owner, target: b"", size: 0 });
        self
    }

    #[must_use]
    pub fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.file_of(path.as_bytes(), mode, (0, 0), content)
    }

    #[must_use]
    pub fn file_of(mut self, path: &[u8], mode: u32, owner: (u32, u32), content: &[u8]) -> Self {
        self.header(path, Entry { kind: b'0', mode, owner, target: b"", size: content.len() });
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    #[must_use]
    pub fn symlink(mut self, path: &str, target: impl AsRef<Path>) -> Self {
        let target = target.as_ref().as_os_str().as_bytes();
        self.header(path.as_bytes(), Entry { kind: b'2', mode: 0o777, owner: (0, 0), target, size: 0 });
        self
    }

    #[must_use]
    pub fn hardlink(mut self, path: &str, target: &str) -> Self {
        let target = target.as_bytes();
        self.header(path.as_bytes(), Entry { kind: b'1', mode: 0o644, owner: (0, 0), target, size: 0 });
        self
    }

    #[must_use]
    pub fn fifo(mut self, path: &str) -> Self {
        self.header(path.as_bytes(), Entry { kind: b'6', mode: 0o644, owner: (0, 0), target: b"", size: 0 });
        self
    }

    /// Ends the archive with its two zero blocks.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }

    fn header(&mut self, path: &[u8], entry: Entry<'_>) {
        assert!(
            path.len() <= 100 && entry.target.len() <= 100,
            "a name of this archive has at most 100 bytes"
        );
        let mut block = [0u8; BLOCK];
        let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
        put(0, path);
        put(100, format!("{:07o}", entry.mode).as_bytes());
        put(108, format!("{:07o}", entry.owner.0).as_bytes());
        put(116, format!("{:07o}", entry.owner.1).as_bytes());
        put(124, format!("{:011o}", entry.size).as_bytes());
        put(136, b"00000000000");
        // The checksum is taken with its own field as spaces.
        put(148, b"        ");
        put(156, &[entry.kind]);
        put(157, entry.target);
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().copied().map(u32::from).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
    }
}
