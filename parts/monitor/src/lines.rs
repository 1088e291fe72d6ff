//! What a stream wrote, as the lines that a server is told.

use crate::log_file::{Stream, line_length};

/// The unfinished lines of both streams.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: [Vec<u8>; 2],
}

/// A line without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) stream: Stream,
    pub(crate) text: &'a [u8],
    /// It goes on in the next line of this stream.
    pub(crate) is_part: bool,
}

impl Lines {
    /// Tells the lines that these bytes complete; the rest waits for its own.
    pub(crate) fn split(&mut self, stream: Stream, bytes: &[u8], mut tell: impl FnMut(Line<'_>)) {
        let mut joined = std::mem::take(&mut self.pending[stream as usize]);
        joined.extend_from_slice(bytes);
        let mut rest = joined.as_slice();
        while let Some(length) = line_length(rest) {
            let (line, after) = rest.split_at(length);
            let whole = line.strip_suffix(b"\n");
            tell(Line { stream, text: whole.unwrap_or(line), is_part: whole.is_none() });
            rest = after;
        }
        self.pending[stream as usize] = rest.to_vec();
    }

    /// Tells what is left.
    pub(crate) fn finish(&mut self, mut tell: impl FnMut(Line<'_>)) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let text = std::mem::take(&mut self.pending[stream as usize]);
            if !text.is_empty() {
                tell(Line { stream, text: &text, is_part: false });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_by_stream() {
        let mut lines = Lines::default();
        let mut told = Vec::new();
        let mut tell = |line: Line<'_>| {
            let text = String::from_utf8_lossy(line.text);
            let text = if text.len() > 9 { text.len().to_string() } else { text.into_owned() };
            told.push(format!("{} {text}{}", line.stream.name(), if line.is_part { "+" } else { "" }));
        };
        lines.split(Stream::Stdout, b"one\n\ntw", &mut tell);
        lines.split(Stream::Stderr, b"err", &mut tell);
        lines.split(Stream::Stdout, b"o\nrest", &mut tell);
        lines.split(Stream::Stdout, &[b'x'; 20_000], &mut tell);
        lines.finish(&mut tell);
        assert_eq!(
            told,
            ["stdout one", "stdout ", "stdout two", "stdout 16384+", "stdout 3620", "stderr err"]
        );
    }
}
