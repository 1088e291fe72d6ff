//! A log that goes to systemd's journal: one datagram an entry, in the journal's native protocol
//! (systemd.io, "Native Journal Protocol").

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;

use corten_sys::{clock, fs};

use crate::lines::{Line, Lines};
use crate::log_file::Stream;
use crate::order::JournaldOrder;
use crate::syslog::PATIENCE;

const SOCKET: &str = "/run/systemd/journal/socket";

/// Says whether this host has a journal.
pub fn is_there() -> bool {
    fs::exists(SOCKET)
}

/// Appends a field of an entry. A value with a newline goes with its length.
pub fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[derive(Debug)]
pub(crate) struct Journald {
    order: JournaldOrder,
    lines: Lines,
    socket: Option<UnixDatagram>,
    /// Something was lost, and said to be.
    complained: bool,
}

impl Journald {
    pub(crate) fn new(order: JournaldOrder) -> Self {
        Self { order, lines: Lines::default(), socket: None, complained: false }
    }

    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.split(stream, bytes, |line| self.tell(line));
        self.lines = lines;
    }

    pub(crate) fn finish(&mut self) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.finish(|line| self.tell(line));
    }

    fn tell(&mut self, line: Line<'_>) {
        let mut entry = self.order.fields.clone();
        render(&mut entry, line, clock::wall_nanos());
        match self.send(&entry) {
            Ok(()) => self.complained = false,
            Err(error) => {
                // The journal may have been started anew, with a socket of its own.
                self.socket = None;
                if !std::mem::replace(&mut self.complained, true) {
                    log::warn!("output is lost: send to {SOCKET}: {error}");
                }
            }
        }
    }

    fn send(&mut self, entry: &[u8]) -> std::io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => connect(self.order.waits)?,
        };
        let sent = match socket.send(entry) {
            // Started anew since the last entry.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotConnected) => {
                let again = connect(self.order.waits)?;
                let sent = again.send(entry);
                self.socket = Some(again);
                sent
            }
            sent => {
                self.socket = Some(socket);
                sent
            }
        };
        sent.map(drop)
    }
}

fn connect(waits: bool) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(SOCKET)?;
    socket.set_nonblocking(!waits)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// What is of this one entry.
fn render(out: &mut Vec<u8>, line: Line<'_>, now: i64) {
    let priority = if line.stream == Stream::Stderr { "3" } else { "6" };
    field(out, "PRIORITY", priority.as_bytes());
    field(out, "SYSLOG_TIMESTAMP", crate::log_file::timestamp(now).as_bytes());
    if line.is_part {
        field(out, "CONTAINER_PARTIAL_MESSAGE", b"true");
    }
    field(out, "MESSAGE", line.text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let mut out = Vec::new();
        field(&mut out, "A", b"b=c");
        render(&mut out, Line { stream: Stream::Stderr, text: b"hi", is_part: true }, 0);
        let text = "A=b=c\nPRIORITY=3\nSYSLOG_TIMESTAMP=1970-01-01T00:00:00.000000000Z\n\
                    CONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=hi\n";
        assert_eq!(String::from_utf8(out).unwrap(), text);
        let mut out = Vec::new();
        field(&mut out, "MESSAGE", b"a\nb");
        assert_eq!(out, b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n");
    }
}
