//! The log of a container in files, rotated by size: docker's json-file lines, or the shorter ones of `local`.
//!
//! json-file: one line a JSON object `{"log":…,"stream":…,"time":…}`, with the options' attributes before the time where
//! there are any. local: a letter (`o`, `e`; a capital where the text goes on in the next line of that stream), the time,
//! a space, and the text as it is. Text that is longer than 16 KiB without a newline is cut into several lines. Written
//! by the worker only.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use corten_sys::error::Context;
use corten_sys::{Errno, SysError, clock, fs};
use memchr::memchr;

use crate::order::{LogFormat, LogOrder};

/// docker's size of the longest piece of a line.
const LONGEST_LINE: usize = 16 << 10;

/// Which of the payload's outputs a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// docker's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The log, open while it can be.
///
/// A payload does not stop for its log: what cannot be written (the disk is full) is left out, and the log says so as
/// soon as it can be written again.
#[derive(Debug)]
pub struct LogFile {
    order: LogOrder,
    /// Absent until it can be opened, or until there is something to write where that was asked for.
    file: Option<File>,
    size: u64,
    /// What each stream wrote behind its last newline.
    pending: [Vec<u8>; 2],
    /// Why output is missing here, if any is.
    gap: Option<SysError>,
    /// Room for rendered lines.
    out: Vec<u8>,
}

impl LogFile {
    /// Opens the log for appending; one that cannot be opened now is tried again with each write.
    pub fn open(order: LogOrder) -> Self {
        let mut log = Self::unopened(order);
        // Nothing is lost yet: the first write tells.
        log.reopen().unwrap_or_default();
        log
    }

    /// As [`LogFile::open`], but makes the file only for the first line.
    pub fn when_needed(order: LogOrder) -> Self {
        if fs::exists(&order.path) { Self::open(order) } else { Self::unopened(order) }
    }

    fn unopened(order: LogOrder) -> Self {
        Self { order, file: None, size: 0, pending: [Vec::new(), Vec::new()], gap: None, out: Vec::new() }
    }

    /// Appends what a stream wrote; an unfinished line waits for its rest.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), SysError> {
        let pending = &mut self.pending[stream as usize];
        let joined;
        let mut rest = if pending.is_empty() {
            bytes
        } else {
            pending.extend_from_slice(bytes);
            joined = std::mem::take(pending);
            joined.as_slice()
        };
        let frame = Frame::new(&self.order, stream);
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        while let Some(length) = line_length(rest) {
            let (line, after) = rest.split_at(length);
            frame.render(&mut out, line);
            rest = after;
            if self.order.max_size > 0 && self.size + out.len() as u64 >= self.order.max_size {
                self.append(&out)?;
                out.clear();
            }
        }
        self.pending[stream as usize] = rest.to_vec();
        let appended = self.append(&out);
        self.out = out;
        appended
    }

    /// Gives back the memory that a burst of output took.
    pub fn release(&mut self) {
        self.out = Vec::new();
    }

    /// Writes the unfinished lines and syncs the file.
    pub fn finish(&mut self, durable: bool) -> Result<(), SysError> {
        let mut out = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = std::mem::take(&mut self.pending[stream as usize]);
            if !rest.is_empty() {
                Frame::new(&self.order, stream).render(&mut out, &rest);
            }
        }
        if !out.is_empty() || self.gap.is_some() {
            self.append_with_gap(&out)?;
        }
        match &self.file {
            Some(file) if durable => rustix::fs::fdatasync(file).on("fdatasync", &self.order.path),
            _ => Ok(()),
        }
    }

    fn append(&mut self, out: &[u8]) -> Result<(), SysError> {
        if out.is_empty() { Ok(()) } else { self.append_with_gap(out) }
    }

    /// Says first what is missing, if anything is.
    fn append_with_gap(&mut self, out: &[u8]) -> Result<(), SysError> {
        let mut note = Vec::new();
        if let Some(error) = &self.gap {
            let text = format!("corten: output is missing here: {error}\n");
            Frame::new(&self.order, Stream::Stderr).render(&mut note, text.as_bytes());
            note.extend_from_slice(out);
        }
        let written = self.append_whole(if note.is_empty() { out } else { &note });
        self.gap = match &written {
            Ok(()) => None,
            Err(error) => self.gap.take().or(Some(error.clone())),
        };
        written
    }

    /// Appends all of it or nothing, so that no line is ever cut.
    fn append_whole(&mut self, out: &[u8]) -> Result<(), SysError> {
        let limit = self.order.max_size;
        if self.file.is_none() {
            self.reopen()?;
        } else if limit > 0 && self.size > 0 && self.size + out.len() as u64 > limit {
            self.rotate()?;
        }
        let path = &self.order.path;
        let Some(file) = &mut self.file else { return Err(SysError::at("open", path, Errno::NOENT)) };
        if let Err(error) = file.write_all(out).on("write", path) {
            file.set_len(self.size).on("truncate", path)?;
            return Err(error);
        }
        self.size += out.len() as u64;
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), SysError> {
        let path = &self.order.path;
        let (mut file, mut size) = open(path)?;
        if size > 0 && !ends_in_newline(path, size)? {
            // A worker died in the middle of a line: the next one must not run into it.
            file.write_all(b"\n").on("write", path)?;
            size += 1;
        }
        (self.file, self.size) = (Some(file), size);
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), SysError> {
        let path = &self.order.path;
        let kept = self.order.max_files.max(1);
        for number in (1..kept).rev() {
            let from = if number == 1 { path.clone() } else { numbered(path, number - 1) };
            fs::absent_is_none(fs::rename(&from, numbered(path, number)))?;
        }
        if kept == 1 {
            fs::remove_file(path)?;
        }
        self.file = None;
        self.reopen()
    }
}

fn open(path: &Path) -> Result<(File, u64), SysError> {
    let file = fs::open_with(path, OpenOptions::new().append(true).create(true).mode(0o640))?;
    let size = file.metadata().on("stat", path)?.len();
    Ok((file, size))
}

fn ends_in_newline(path: &Path, size: u64) -> Result<bool, SysError> {
    let mut last = [0];
    fs::open(path)?.read_exact_at(&mut last, size - 1).on("read", path)?;
    Ok(last == *b"\n")
}

/// The path of the `number`th rotated file.
pub fn numbered(path: &Path, number: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// The length of the first line with its newline, or of a piece of one that is too long.
pub(crate) fn line_length(bytes: &[u8]) -> Option<usize> {
    match memchr(b'\n', bytes) {
        Some(end) if end < LONGEST_LINE => Some(end + 1),
        _ if bytes.len() >= LONGEST_LINE => Some(whole_characters(bytes)),
        _ => None,
    }
}

/// At most [`LONGEST_LINE`] bytes, cut between two characters where the text is UTF-8.
fn whole_characters(bytes: &[u8]) -> usize {
    let continues = |byte: &u8| byte & 0xc0 == 0x80;
    let mut length = LONGEST_LINE;
    while length > LONGEST_LINE - 4 && bytes.get(length).is_some_and(continues) {
        length -= 1;
    }
    length
}

/// What is around the text: the same for all lines that were read at once.
enum Frame {
    Json { tail: Vec<u8> },
    Local { whole: Vec<u8>, part: Vec<u8> },
}

impl Frame {
    fn new(order: &LogOrder, stream: Stream) -> Self {
        let (time, name) = (timestamp(clock::wall_nanos()), stream.name());
        match order.format {
            LogFormat::Json => {
                let attributes = &order.attributes;
                let attributes = if attributes.is_empty() {
                    String::new()
                } else {
                    format!("\"attrs\":{{{attributes}}},")
                };
                let tail = format!("\",\"stream\":\"{name}\",{attributes}\"time\":\"{time}\"}}\n");
                Self::Json { tail: tail.into_bytes() }
            }
            LogFormat::Local => {
                let (whole, part) = if stream == Stream::Stdout { ('o', 'O') } else { ('e', 'E') };
                let head = |letter: char| format!("{letter}{time} ").into_bytes();
                Self::Local { whole: head(whole), part: head(part) }
            }
        }
    }

    fn render(&self, out: &mut Vec<u8>, line: &[u8]) {
        match (self, line.strip_suffix(b"\n")) {
            (Self::Json { tail }, _) => {
                out.extend_from_slice(b"{\"log\":\"");
                escape(out, line);
                out.extend_from_slice(tail);
            }
            (Self::Local { whole, .. }, Some(_)) => {
                out.extend_from_slice(whole);
                out.extend_from_slice(line);
            }
            (Self::Local { part, .. }, None) => {
                out.extend_from_slice(part);
                out.extend_from_slice(line);
                out.push(b'\n');
            }
        }
    }
}

/// Appends a JSON string's inside. Bytes that are no UTF-8 become U+FFFD, as docker's.
pub fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let run = plain_length(rest);
        let (clean, odd) = rest.split_at(run);
        out.extend_from_slice(clean);
        let Some(&byte) = odd.first() else { return };
        let length = if byte < 0x80 { 1 } else { character_length(odd) };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x80 => {
                let hex = b"0123456789abcdef";
                let digit = |value: u8| hex.get(usize::from(value)).copied().unwrap_or(b'0');
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            }
            _ if length == 0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            _ => out.extend_from_slice(odd.get(..length).unwrap_or_default()),
        }
        rest = odd.get(length.max(1)..).unwrap_or_default();
    }
}

/// How many bytes at the start need no escape.
fn plain_length(bytes: &[u8]) -> usize {
    // Without branches, so that it is done with vectors: most lines are plain up to their newline.
    const AT_ONCE: usize = 16;
    let plain = |byte: &u8| (0x20..0x7f).contains(byte) & (*byte != b'"') & (*byte != b'\\');
    let (blocks, _) = bytes.as_chunks::<AT_ONCE>();
    let all = |block: &&[u8; AT_ONCE]| block.iter().fold(true, |all, byte| all & plain(byte));
    let start = blocks.iter().take_while(all).count() * AT_ONCE;
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len())
}

/// The length of the valid UTF-8 character that begins here, or 0.
fn character_length(bytes: &[u8]) -> usize {
    let longest = bytes.get(..bytes.len().min(4)).unwrap_or_default();
    (2..=longest.len())
        .find(|&length| std::str::from_utf8(longest.get(..length).unwrap_or_default()).is_ok())
        .unwrap_or(0)
}

/// RFC 3339 with nanoseconds, UTC.
pub fn timestamp(nanos: i64) -> String {
    let (seconds, fraction) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a civil date in the proleptic Gregorian calendar, years counted from March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps() {
        let cases = [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
            (1_795_219_199_999_999_999, "2026-11-20T23:59:59.999999999Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
        ];
        for (nanos, expected) in cases {
            assert_eq!(timestamp(nanos), expected);
        }
    }

    fn escaped(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes() {
        assert_eq!(escaped(b"a\"b\\c\n\r\t\x01\x7f"), "a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f");
        assert_eq!(escaped("é漢🙂".as_bytes()), "é漢🙂");
        for before in 0..40 {
            let text = "x".repeat(before);
            for (odd, expected) in [("\n", "\\n"), ("\"", "\\\""), ("é", "é"), ("\x1f", "\\u001f")] {
                let bytes = format!("{text}{odd}{text}");
                assert_eq!(escaped(bytes.as_bytes()), format!("{text}{expected}{text}"));
            }
        }
        assert_eq!(escaped(b"a\xffb\xc3"), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn what_could_not_be_written_is_said() {
        let directory = std::env::temp_dir().join(format!("corten-gap-{}", std::process::id()));
        let path = directory.join("log");
        let mut log = LogFile::open(LogOrder { path: path.clone(), max_files: 1, ..LogOrder::default() });
        assert!(log.write(Stream::Stdout, b"lost\n").is_err(), "there is no such directory");
        fs::create_dir_all(&directory, 0o700).unwrap();
        log.write(Stream::Stdout, b"kept\n").unwrap();
        log.finish(true).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let logged: Vec<_> = text.lines().map(|line| line.split('"').nth(3).unwrap().to_owned()).collect();
        let gap =
            format!("corten: output is missing here: open {}: no such file or directory\\n", path.display());
        assert_eq!(logged, [gap, "kept\\n".to_owned()]);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn both_formats() {
        let check = |format, attributes: &str, line: &[u8], expected: &str| {
            let order = LogOrder { format, attributes: attributes.to_owned(), ..LogOrder::default() };
            let mut out = Vec::new();
            Frame::new(&order, Stream::Stderr).render(&mut out, line);
            let text = String::from_utf8(out).unwrap();
            let (head, rest) = expected.split_once("TIME").unwrap();
            let after = text.strip_prefix(head).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(after.get(30..), Some(rest), "{text}");
        };
        check(LogFormat::Json, "", b"a\n", "{\"log\":\"a\\n\",\"stream\":\"stderr\",\"time\":\"TIME\"}\n");
        check(
            LogFormat::Json,
            "\"k\":\"v\"",
            b"a",
            "{\"log\":\"a\",\"stream\":\"stderr\",\"attrs\":{\"k\":\"v\"},\"time\":\"TIME\"}\n",
        );
        check(LogFormat::Local, "", b"a \"b\"\n", "eTIME a \"b\"\n");
        check(LogFormat::Local, "", b"a", "ETIME a\n");
    }

    #[test]
    fn lines_partial_lines_and_rotation() {
        let directory = std::env::temp_dir().join(format!("corten-log-{}", std::process::id()));
        fs::create_dir_all(&directory, 0o700).unwrap();
        let path = directory.join("log");
        let order = LogOrder { path: path.clone(), max_size: 400, max_files: 2, ..LogOrder::default() };
        let mut log = LogFile::open(order);
        log.write(Stream::Stdout, b"one\ntw").unwrap();
        log.write(Stream::Stderr, b"err\n").unwrap();
        log.write(Stream::Stdout, b"o\nrest").unwrap();
        log.finish(true).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let logged: Vec<_> = text.lines().map(|line| line.split('"').nth(3).unwrap().to_owned()).collect();
        assert_eq!(logged, ["one\\n", "err\\n", "two\\n", "rest"]);
        log.write(Stream::Stdout, &[b'x'; 100]).unwrap();
        log.finish(false).unwrap();
        assert_eq!(fs::read_to_string(numbered(&path, 1)).unwrap(), text);
        log.write(Stream::Stdout, &vec![b'y'; LONGEST_LINE + 5]).unwrap();
        log.finish(false).unwrap();
        let pieces = fs::read_to_string(&path).unwrap();
        assert_eq!(pieces.lines().count(), 1, "the rest of the long line opened a new file");
        fs::remove_dir_all(&directory).unwrap();
    }
}
