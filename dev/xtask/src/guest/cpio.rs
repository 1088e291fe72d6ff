//! A writer for the kernel's initramfs format: cpio "newc" (kernel documentation, "initramfs buffer format").

use std::collections::BTreeSet;

const DIR: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHAR_DEVICE: u32 = 0o020_000;

/// An archive being written to memory. Parent directories are made as they are needed.
#[derive(Debug, Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    dirs: BTreeSet<String>,
}

impl Archive {
    pub(super) fn dir(&mut self, path: &str) {
        self.parents(path);
        if self.dirs.insert(path.to_owned()) {
            self.entry(path, DIR | 0o755, (0, 0), &[]);
        }
    }

    pub(super) fn file(&mut self, path: &str, permissions: u32, content: &[u8]) {
        self.parents(path);
        self.entry(path, FILE | permissions, (0, 0), content);
    }

    pub(super) fn symlink(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.entry(path, LINK | 0o777, (0, 0), target.as_bytes());
    }

    pub(super) fn char_device(&mut self, path: &str, major: u32, minor: u32) {
        self.parents(path);
        self.entry(path, CHAR_DEVICE | 0o600, (major, minor), &[]);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entries = 0;
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            let parent = &path[..at];
            if self.dirs.insert(parent.to_owned()) {
                self.entry(parent, DIR | 0o755, (0, 0), &[]);
            }
        }
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        // Fields after the magic: inode, mode, uid, gid, links, mtime, size, device of the file (2), device it
        // stands for (2), length of the name with its NUL, checksum (unused in this variant).
        let fields = [
            self.entries as usize,
            mode as usize,
            0,
            0,
            1,
            0,
            content.len(),
            0,
            0,
            device.0 as usize,
            device.1 as usize,
            path.len() + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn names_and_contents_are_padded_to_four_bytes() {
        let mut archive = Archive::default();
        archive.file("a/bc", 0o755, b"hello");
        let text = String::from_utf8(archive.finish()).unwrap();
        let dir = "070701\
                   00000001000041ed00000000000000000000000100000000000000000000000000000000000000000000000000000002000000\
                   00a\0";
        let file = "070701\
                    00000002000081ed00000000000000000000000100000000000000050000000000000000000000000000000000000005000000\
                    00a/bc\0\0hello\0\0\0";
        let (head, rest) = text.split_at(dir.len());
        assert_eq!(head, dir);
        assert!(rest.trim_start_matches('\0').starts_with(file.trim_end_matches('\0')), "{rest}");
        assert_eq!(text.len() % 4, 0);
    }

    #[test]
    fn a_directory_is_written_once() {
        let mut archive = Archive::default();
        archive.dir("a");
        archive.file("a/b", 0o644, b"");
        archive.file("a/c", 0o644, b"");
        let text = String::from_utf8(archive.finish()).unwrap();
        assert_eq!(text.matches("070701").count(), 4);
    }
}
