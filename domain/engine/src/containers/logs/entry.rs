//! One line of a json-file log, as `corten_monitor::log_file` writes it. No other JSON is understood.
//!
//! Behind the text everything has a fixed width, so a line is taken apart without looking at its text.

use corten_monitor::log_file::Stream;
use memchr::memchr;

const HEAD: &[u8] = b"{\"log\":\"";
const STREAM: &[u8] = b"\",\"stream\":\"";
const TIME: &[u8] = b"\",\"time\":\"";
const END: &[u8] = b"\"}";
const STREAM_WIDTH: usize = 6;
const TIME_WIDTH: usize = 30;
const TAIL: usize = STREAM.len() + STREAM_WIDTH + TIME.len() + TIME_WIDTH + END.len();

/// A logged line, or a piece of one that was too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEntry<'a> {
    pub stream: Stream,
    /// RFC 3339 in UTC with nine decimals: comparing the bytes compares the times.
    pub time: &'a [u8],
    escaped: &'a [u8],
}

impl<'a> LogEntry<'a> {
    /// Takes a line without its newline apart; `None` where a writer that died has left it torn.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let body = line.strip_prefix(HEAD)?;
        let (escaped, tail) = body.split_at_checked(body.len().checked_sub(TAIL)?)?;
        let (stream, rest) = tail.strip_prefix(STREAM)?.split_at_checked(STREAM_WIDTH)?;
        let stream = match stream {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let (time, rest) = rest.strip_prefix(TIME)?.split_at_checked(TIME_WIDTH)?;
        (rest == END).then_some(Self { stream, time, escaped })
    }

    /// Appends the text as the payload wrote it, with its newline where it had one.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let mut rest = self.escaped;
        while let Some(at) = memchr(b'\\', rest) {
            let (clean, escape) = rest.split_at(at);
            out.extend_from_slice(clean);
            let length = unescape(escape, out);
            rest = escape.get(length..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
    }
}

/// Appends what the escape at the start of `text` stands for, and returns its length.
fn unescape(text: &[u8], out: &mut Vec<u8>) -> usize {
    let byte = match text.get(1) {
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'b') => 8,
        Some(b'f') => 12,
        Some(b'u') => return unescape_unit(text, out),
        Some(&byte) => byte,
        None => b'\\',
    };
    out.push(byte);
    2
}

/// `\uXXXX`, or two of them for a character beyond the basic plane. A lone surrogate becomes U+FFFD.
fn unescape_unit(text: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(first) = unit(text) else {
        out.push(b'u');
        return 2;
    };
    let second = text.get(6..).and_then(unit);
    let pair = char::decode_utf16([first].into_iter().chain(second)).next().and_then(Result::ok);
    let character = pair.unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    if character.len_utf16() == 2 { 12 } else { 6 }
}

fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(escaped: &str) -> Option<String> {
        let line = format!(
            "{{\"log\":\"{escaped}\",\"stream\":\"stderr\",\"time\":\"2026-11-20T23:59:59.000000001Z\"}}"
        );
        let entry = LogEntry::parse(line.as_bytes())?;
        assert_eq!(
            (entry.stream, entry.time),
            (Stream::Stderr, b"2026-11-20T23:59:59.000000001Z".as_slice())
        );
        let mut out = Vec::new();
        entry.append_to(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_escape_of_json() {
        let cases = [
            ("", ""),
            ("plain\\n", "plain\n"),
            ("a\\\"b\\\\c\\/\\t\\r\\b\\f", "a\"b\\c/\t\r\u{8}\u{c}"),
            ("\\u0001\\u00e9\\u6f22\\ud83d\\ude42é🙂", "\u{1}é漢🙂é🙂"),
            ("\\ud83dx\\ude42", "\u{fffd}x\u{fffd}"),
            ("\\ud83d\\u0041", "\u{fffd}A"),
            ("\\\",\\\"stream\\\":\\\"stdout", "\",\"stream\":\"stdout"),
        ];
        for (escaped, expected) in cases {
            assert_eq!(text(escaped).as_deref(), Some(expected), "{escaped}");
        }
    }

    #[test]
    fn torn_and_foreign_lines_are_none() {
        for line in
            ["", "{", "{\"log\":\"half", "{\"log\":\"a\",\"stream\":\"stdxxx\",\"time\":\"x\"}", "text"]
        {
            assert_eq!(LogEntry::parse(line.as_bytes()), None, "{line}");
        }
    }
}
