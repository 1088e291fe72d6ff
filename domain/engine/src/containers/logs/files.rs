//! The files of a rotated log, oldest first, read while the worker may be renaming them.
//!
//! A file is known by its inode: an open descriptor keeps the number from being used again.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use corten_monitor::log_file::numbered;
use corten_sys::error::Context;
use corten_sys::{SysError, fs};
use memchr::memrchr_iter;

/// Read at once when counting lines from the end.
const CHUNK: u64 = 128 << 10;

/// A place in the chain of files: one of them, open, and how far it was read.
#[derive(Debug)]
pub(super) struct Files {
    base: PathBuf,
    kept: u64,
    file: File,
    inode: u64,
    offset: u64,
}

impl Files {
    /// Opens the oldest file; `None` where there is no log yet.
    pub(super) fn oldest(base: &Path, kept: u64) -> Result<Option<Self>, SysError> {
        let kept = kept.max(1);
        'again: loop {
            for number in (0..kept).rev() {
                let Some(file) = fs::absent_is_none(fs::open(path(base, number)))? else { continue };
                if number + 1 < kept && fs::exists(path(base, number + 1)) {
                    // Rotated between the two looks: what was the oldest has moved up.
                    continue 'again;
                }
                return Self::at(base, kept, file, 0).map(Some);
            }
            return Ok(None);
        }
    }

    /// Opens the file with the `lines`th line from the end, at that line.
    pub(super) fn tail(base: &Path, kept: u64, lines: u64) -> Result<Option<Self>, SysError> {
        let mut found: Option<Self> = None;
        let mut wanted = lines;
        for number in 0..kept.max(1) {
            let Some(file) = fs::absent_is_none(fs::open(path(base, number)))? else { continue };
            let mut files = Self::at(base, kept.max(1), file, 0)?;
            if found.as_ref().is_some_and(|newer| newer.inode == files.inode) {
                continue;
            }
            let whole = files.seek_back(wanted)?;
            found = Some(files);
            match whole {
                None => break,
                Some(counted) => wanted -= counted,
            }
        }
        Ok(found)
    }

    fn at(base: &Path, kept: u64, file: File, offset: u64) -> Result<Self, SysError> {
        let inode = file.metadata().on("stat", base)?.ino();
        Ok(Self { base: base.to_owned(), kept, file, inode, offset })
    }

    /// Reads on; 0 at the end of this file.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, SysError> {
        let length = self.file.read_at(buffer, self.offset).on("read", &self.base)?;
        self.offset += length as u64;
        Ok(length)
    }

    /// Says whether the worker writes to another file by now: this one will not grow any more.
    pub(super) fn is_superseded(&self) -> Result<bool, SysError> {
        Ok(self.number()? != Some(0))
    }

    /// Goes on to the file written after this one; false where there is none (yet).
    pub(super) fn advance(&mut self) -> Result<bool, SysError> {
        loop {
            let Some(number) = self.number()? else {
                // Rotated away altogether while it was read.
                let Some(oldest) = Self::oldest(&self.base, self.kept)? else { return Ok(false) };
                *self = oldest;
                return Ok(true);
            };
            let mut newer = None;
            for candidate in (0..number).rev() {
                newer = fs::absent_is_none(fs::open(path(&self.base, candidate)))?;
                if newer.is_some() {
                    break;
                }
            }
            // The older of two neighbours is renamed first: where this one has not moved, neither had the other.
            if self.number()? != Some(number) {
                continue;
            }
            let Some(newer) = newer else { return Ok(false) };
            *self = Self::at(&self.base, self.kept, newer, 0)?;
            return Ok(true);
        }
    }

    /// This file's place in the rotation, 0 being the one that is written.
    fn number(&self) -> Result<Option<u64>, SysError> {
        for number in 0..self.kept {
            let path = path(&self.base, number);
            match rustix::fs::stat(&path) {
                Ok(stat) if stat.st_ino == self.inode => return Ok(Some(number)),
                Ok(_) | Err(rustix::io::Errno::NOENT) => {}
                Err(errno) => return Err(SysError::at("stat", path, errno)),
            }
        }
        Ok(None)
    }

    /// Goes to the `lines`th whole line from the end, or to the start where there are at most that many: then
    /// returns how many there are.
    fn seek_back(&mut self, lines: u64) -> Result<Option<u64>, SysError> {
        let mut end = self.file.metadata().on("stat", &self.base)?.len();
        let mut newlines = 0;
        let mut buffer = Vec::new();
        while end > 0 {
            let start = end.saturating_sub(CHUNK);
            buffer.resize(usize::try_from(end - start).unwrap_or_default(), 0);
            self.file.read_exact_at(&mut buffer, start).on("read", &self.base)?;
            for at in memrchr_iter(b'\n', &buffer) {
                if newlines == lines {
                    self.offset = start + at as u64 + 1;
                    return Ok(None);
                }
                newlines += 1;
            }
            end = start;
        }
        self.offset = 0;
        Ok(Some(newlines))
    }
}

fn path(base: &Path, number: u64) -> PathBuf {
    let base = base.to_owned();
    if number == 0 { base } else { numbered(&base, number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(files: &mut Files) -> String {
        let mut text = String::new();
        let mut buffer = [0; 3];
        loop {
            let length = files.read(&mut buffer).unwrap();
            text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
            if length == 0 && !files.advance().unwrap() {
                return text;
            }
        }
    }

    #[test]
    fn files_are_read_oldest_first_from_a_line_and_through_a_rotation() {
        let directory = std::env::temp_dir().join(format!("corten-log-files-{}", std::process::id()));
        fs::create_dir_all(&directory, 0o700).unwrap();
        let base = directory.join("log");
        assert!(Files::oldest(&base, 3).unwrap().is_none() && Files::tail(&base, 3, 1).unwrap().is_none());
        for (number, text) in [(2, "1\n2\n"), (1, "3\n4\n"), (0, "5\n6\nunfinished")] {
            fs::write_atomic(path(&base, number), text.as_bytes()).unwrap();
        }
        let all = "1\n2\n3\n4\n5\n6\nunfinished";
        assert_eq!(rest(&mut Files::oldest(&base, 3).unwrap().unwrap()), all);
        let cases = [(0, "unfinished"), (1, "6\nunfinished"), (2, &all[8..]), (3, &all[6..]), (9, all)];
        for (lines, expected) in cases {
            assert_eq!(rest(&mut Files::tail(&base, 3, lines).unwrap().unwrap()), expected, "{lines}");
        }

        let mut reader = Files::tail(&base, 3, 3).unwrap().unwrap();
        assert!(reader.is_superseded().unwrap());
        fs::rename(path(&base, 1), path(&base, 2)).unwrap();
        fs::rename(path(&base, 0), path(&base, 1)).unwrap();
        assert_eq!(rest(&mut reader), &all[6..], "the newest file is not there yet");
        assert!(reader.is_superseded().unwrap());
        fs::write_atomic(path(&base, 0), b"7\n").unwrap();
        assert_eq!(rest(&mut reader), "7\n");
        assert!(!reader.is_superseded().unwrap());
        for number in 0..3 {
            fs::remove_file(path(&base, number)).unwrap();
        }
        fs::write_atomic(path(&base, 0), b"8\n").unwrap();
        assert_eq!(rest(&mut reader), "8\n", "its own file is gone");
        fs::remove_dir_all(&directory).unwrap();
    }
}
