//! One line of a log file, as `corten_monitor::log_file` writes it. No other JSON is understood.
//!
//! A line is taken apart without looking at its text: what stands around that has a fixed width, but for the attributes
//! of log options, which begin where no text can look so.

use std::collections::BTreeMap;

use corten_monitor::LogFormat;
use corten_monitor::log_file::Stream;
use memchr::memchr;
use memchr::memmem;

const HEAD: &[u8] = b"{\"log\":\"";
const STREAM: &[u8] = b"\",\"stream\":\"";
const TIME: &[u8] = b"\",\"time\":\"";
/// Before and behind the attributes, where there are any.
const ATTRIBUTES: &[u8] = b"\",\"attrs\":{";
const ATTRIBUTES_TIME: &[u8] = b"},\"time\":\"";
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
    text: Text<'a>,
    /// Members of a JSON object.
    attributes: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text<'a> {
    /// The inside of a JSON string.
    Escaped(&'a [u8]),
    /// As it was written, without the newline that it has.
    Line(&'a [u8]),
    /// As it was written: it goes on in another line.
    Part(&'a [u8]),
}

impl<'a> LogEntry<'a> {
    /// Takes a line without its newline apart; `None` where a writer that died has left it torn.
    pub(super) fn parse(format: LogFormat, line: &'a [u8]) -> Option<Self> {
        match format {
            LogFormat::Json => Self::parse_json(line),
            LogFormat::Local => Self::parse_local(line),
        }
    }

    fn parse_local(line: &'a [u8]) -> Option<Self> {
        let (&letter, rest) = line.split_first()?;
        let (time, rest) = rest.split_at_checked(TIME_WIDTH)?;
        let text = rest.strip_prefix(b" ")?;
        let stream = if letter.eq_ignore_ascii_case(&b'o') { Stream::Stdout } else { Stream::Stderr };
        let text = match letter {
            b'o' | b'e' => Text::Line(text),
            b'O' | b'E' => Text::Part(text),
            _ => return None,
        };
        (time.last() == Some(&b'Z')).then_some(Self { stream, time, text, attributes: &[] })
    }

    fn parse_json(line: &'a [u8]) -> Option<Self> {
        let body = line.strip_prefix(HEAD)?;
        if body.len() > TAIL && body.get(..body.len() - END.len() - TIME_WIDTH)?.ends_with(ATTRIBUTES_TIME) {
            return Self::parse_with_attributes(body);
        }
        let (escaped, tail) = body.split_at_checked(body.len().checked_sub(TAIL)?)?;
        let (stream, rest) = tail.strip_prefix(STREAM)?.split_at_checked(STREAM_WIDTH)?;
        let stream = match stream {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        let (time, rest) = rest.strip_prefix(TIME)?.split_at_checked(TIME_WIDTH)?;
        (rest == END).then_some(Self { stream, time, text: Text::Escaped(escaped), attributes: &[] })
    }

    fn parse_with_attributes(body: &'a [u8]) -> Option<Self> {
        let (head, tail) = body.split_at_checked(body.len().checked_sub(END.len() + TIME_WIDTH)?)?;
        let (time, rest) = tail.split_at_checked(TIME_WIDTH)?;
        let head = head.strip_suffix(ATTRIBUTES_TIME)?;
        // Quotes in text and values are escaped: this is no part of either.
        let at = memmem::rfind(head, STREAM)?;
        let (escaped, described) = head.split_at_checked(at)?;
        let (stream, attributes) = described.strip_prefix(STREAM)?.split_at_checked(STREAM_WIDTH)?;
        let stream = if stream == b"stdout" { Stream::Stdout } else { Stream::Stderr };
        let attributes = attributes.strip_prefix(ATTRIBUTES)?;
        (rest == END).then_some(Self { stream, time, text: Text::Escaped(escaped), attributes })
    }

    /// Appends the attributes in docker's form for people, and a space.
    pub fn append_attributes_to(&self, out: &mut Vec<u8>) {
        let text = [b"{", self.attributes, b"}"].concat();
        let attributes: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap_or_default();
        for (index, (name, value)) in attributes.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            query_escape(out, name);
            out.push(b'=');
            query_escape(out, value);
        }
        out.push(b' ');
    }

    /// Appends the text as the payload wrote it, with its newline where it had one.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let mut rest = match self.text {
            Text::Escaped(escaped) => escaped,
            Text::Line(text) => {
                out.extend_from_slice(text);
                out.push(b'\n');
                return;
            }
            Text::Part(text) => return out.extend_from_slice(text),
        };
        while let Some(at) = memchr(b'\\', rest) {
            let (clean, escape) = rest.split_at(at);
            out.extend_from_slice(clean);
            let length = unescape(escape, out);
            rest = escape.get(length..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
    }
}

/// As Go's url.QueryEscape.
fn query_escape(out: &mut Vec<u8>, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
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
        let entry = LogEntry::parse(LogFormat::Json, line.as_bytes())?;
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

    const TIME: &str = "2026-11-20T23:59:59.000000001Z";

    fn whole(format: LogFormat, line: &str) -> String {
        let entry = LogEntry::parse(format, line.as_bytes()).unwrap();
        assert_eq!(entry.time, TIME.as_bytes());
        let mut out = Vec::new();
        entry.append_attributes_to(&mut out);
        out.extend_from_slice(entry.stream.name().as_bytes());
        out.push(b' ');
        entry.append_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn attributes() {
        let line = |text: &str, attributes: &str| {
            format!(
                "{{\"log\":\"{text}\",\"stream\":\"stdout\",\"attrs\":{{{attributes}}},\"time\":\"{TIME}\"}}"
            )
        };
        let json = |text: &str, attributes: &str| whole(LogFormat::Json, &line(text, attributes));
        assert_eq!(json("a\\n", "\"k\":\"v\",\"b c\":\"/\""), "b+c=%2F,k=v stdout a\n");
        let forged = "x\\\",\\\"stream\\\":\\\"stderr";
        assert_eq!(json(forged, &format!("\"k\":\"{forged}\"")).split(' ').nth(1), Some("stdout"));
        let plain = format!("{{\"log\":\"x}},\",\"stream\":\"stderr\",\"time\":\"{TIME}\"}}");
        assert_eq!(whole(LogFormat::Json, &plain), " stderr x},");
    }

    #[test]
    fn lines_of_the_local_format() {
        let local = |letter: char, text: &str| whole(LogFormat::Local, &format!("{letter}{TIME} {text}"));
        assert_eq!(local('o', "a \"b\""), " stdout a \"b\"\n");
        assert_eq!([local('E', "part"), local('e', "")], [" stderr part", " stderr \n"]);
    }

    #[test]
    fn torn_and_foreign_lines_are_none() {
        for line in
            ["", "{", "{\"log\":\"half", "{\"log\":\"a\",\"stream\":\"stdxxx\",\"time\":\"x\"}", "text"]
        {
            assert_eq!(LogEntry::parse(LogFormat::Json, line.as_bytes()), None, "{line}");
            assert_eq!(LogEntry::parse(LogFormat::Local, line.as_bytes()), None, "{line}");
        }
    }
}
