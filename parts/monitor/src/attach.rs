//! The protocol between a worker and an attached client: frames of a kind byte, a length and data.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use corten_sys::error::Context;
use corten_sys::pty::Size;
use corten_sys::{SysError, clock};

/// Larger frames are not sent and not accepted.
pub(crate) const MAX_FRAME: usize = 128 << 10;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Client → worker, first: a byte of [`Want`] flags.
    Hello,
    /// Client → worker: input. Empty means end of input.
    Stdin,
    /// Client → worker: rows and columns, 16 bits each.
    Resize,
    /// New keeper → worker whose keeper died: leave, after handing over the terminal.
    Leave,
    /// Worker → client.
    Stdout,
    Stderr,
    /// Worker → client that wants it: the log has grown.
    LogGrew,
}

/// What a client wants of the worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Want {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Only to be told when the log has grown.
    pub log: bool,
}

impl Want {
    fn to_byte(self) -> u8 {
        u8::from(self.stdin)
            | u8::from(self.stdout) << 1
            | u8::from(self.stderr) << 2
            | u8::from(self.log) << 3
    }

    pub(crate) fn from_byte(byte: u8) -> Self {
        let has = |bit: u8| byte & (1 << bit) != 0;
        Self { stdin: has(0), stdout: has(1), stderr: has(2), log: has(3) }
    }
}

impl Kind {
    fn to_byte(self) -> u8 {
        match self {
            Self::Hello => b'h',
            Self::Stdin => b'i',
            Self::Resize => b'r',
            Self::Leave => b'q',
            Self::Stdout => b'o',
            Self::Stderr => b'e',
            Self::LogGrew => b'l',
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b'h' => Self::Hello,
            b'i' => Self::Stdin,
            b'r' => Self::Resize,
            b'q' => Self::Leave,
            b'o' => Self::Stdout,
            b'e' => Self::Stderr,
            b'l' => Self::LogGrew,
            _ => return None,
        })
    }
}

/// The five bytes before a frame's data.
pub(crate) fn header(kind: Kind, length: usize) -> [u8; 5] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    [kind.to_byte(), a, b, c, d]
}

/// A frame's kind, its data and its length with the header.
type Frame<'a> = (Kind, &'a [u8], usize);

/// Splits the first whole frame off `bytes`.
///
/// `Ok(None)` where more bytes are needed, `Err` where the stream is no frame stream.
pub(crate) fn split(bytes: &[u8]) -> Result<Option<Frame<'_>>, ()> {
    let Some((&[kind, a, b, c, d], rest)) = bytes.split_first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let kind = Kind::from_byte(kind).filter(|_| length <= MAX_FRAME).ok_or(())?;
    Ok(rest.get(..length).map(|data| (kind, data, 5 + length)))
}

/// A client's end.
#[derive(Debug)]
pub struct Client {
    socket: UnixStream,
}

/// What the worker sent.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    Output {
        kind: Kind,
        data: Vec<u8>,
    },
    /// The container has ended, or its worker is gone.
    Closed,
}

/// Why [`Client::wait_log`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogWait {
    Grew,
    /// The container has ended, or its worker is gone.
    Closed,
    TimedOut,
}

impl Client {
    /// Says what is wanted and takes over the connection.
    pub fn new(socket: UnixStream, want: Want) -> Result<Self, SysError> {
        let client = Self { socket };
        client.send(Kind::Hello, &[want.to_byte()])?;
        Ok(client)
    }

    /// The descriptor to wait on.
    pub fn socket(&self) -> &UnixStream {
        &self.socket
    }

    /// Passes input on; blocks while the payload does not read.
    pub fn input(&self, data: &[u8]) -> Result<(), SysError> {
        data.chunks(MAX_FRAME).try_for_each(|chunk| self.send(Kind::Stdin, chunk))
    }

    /// Ends the input.
    pub fn end_input(&self) -> Result<(), SysError> {
        self.send(Kind::Stdin, &[])
    }

    /// Tells the terminal's size.
    pub fn resize(&self, size: Size) -> Result<(), SysError> {
        let [a, b] = size.rows.to_le_bytes();
        let [c, d] = size.columns.to_le_bytes();
        self.send(Kind::Resize, &[a, b, c, d])
    }

    /// Asks the worker to leave; returns the terminal's master where it had one, once it has let go of everything.
    pub(crate) fn dismiss(&self) -> Result<Option<OwnedFd>, SysError> {
        self.send(Kind::Leave, &[])?;
        let left = corten_sys::socket::receive(&self.socket)?;
        let terminal = left.and_then(|message| message.fds.into_iter().next());
        // Its end of the connection closes when it has exited.
        let mut rest = [0_u8; 64];
        while (&self.socket).read(&mut rest).is_ok_and(|length| length > 0) {}
        Ok(terminal)
    }

    fn send(&self, kind: Kind, data: &[u8]) -> Result<(), SysError> {
        let mut frame = Vec::with_capacity(5 + data.len());
        frame.extend_from_slice(&header(kind, data.len()));
        frame.extend_from_slice(data);
        (&self.socket).write_all(&frame).on("send to", "worker")
    }

    /// Waits until the log may have grown, at most so long; takes all such words that have come at once.
    ///
    /// Only for a client that wants nothing but the log.
    pub fn wait_log(&self, timeout: Option<Duration>) -> Result<LogWait, SysError> {
        if !clock::wait_readable(&self.socket, timeout)? {
            return Ok(LogWait::TimedOut);
        }
        let mut words = [0_u8; 4096];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.socket, &mut words)) {
            Ok(0) | Err(_) => Ok(LogWait::Closed),
            Ok(_) => Ok(LogWait::Grew),
        }
    }

    /// Reads the next event; blocks.
    pub fn next_event(&self) -> Result<Event, SysError> {
        let mut head = [0_u8; 5];
        if (&self.socket).read_exact(&mut head).is_err() {
            return Ok(Event::Closed);
        }
        let [kind, a, b, c, d] = head;
        let mut data = vec![0; (u32::from_le_bytes([a, b, c, d]) as usize).min(MAX_FRAME)];
        match (Kind::from_byte(kind), (&self.socket).read_exact(&mut data)) {
            (Some(kind), Ok(())) => Ok(Event::Output { kind, data }),
            _ => Ok(Event::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_split_where_they_are_whole() {
        let mut bytes = header(Kind::Stdin, 3).to_vec();
        bytes.extend_from_slice(b"abcX");
        assert_eq!(split(&bytes), Ok(Some((Kind::Stdin, b"abc".as_slice(), 8))));
        assert_eq!(split(bytes.get(..7).unwrap()), Ok(None));
        assert_eq!(split(b"?\x01\0\0\0a"), Err(()));
        assert_eq!(split(&header(Kind::Stdin, MAX_FRAME + 1)), Err(()));
    }

    #[test]
    fn wants_survive_a_byte() {
        let want = Want { stdin: true, stderr: true, ..Want::default() };
        assert_eq!(Want::from_byte(want.to_byte()), want);
    }
}
