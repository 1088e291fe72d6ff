//! An attached client's connection: a queue of frames out, whole frames in, never blocking.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use corten_sys::SysError;
use corten_sys::pty::Size;

use crate::attach::{self, Kind, Want};

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Input(Vec<u8>),
    EndInput,
    Resize(Size),
    Leave,
}

#[derive(Debug)]
pub(super) struct Client {
    socket: UnixStream,
    want: Want,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    gone: bool,
    leave: bool,
}

impl Client {
    pub(super) fn new(socket: UnixStream) -> Result<Self, SysError> {
        socket.set_nonblocking(true).map_err(|error| SysError::io("fcntl", "client", &error))?;
        Ok(Self {
            socket,
            want: Want::default(),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            gone: false,
            leave: false,
        })
    }

    pub(super) fn socket(&self) -> &UnixStream {
        &self.socket
    }

    pub(super) fn wants(&self) -> Want {
        self.want
    }

    /// This client is a new keeper.
    pub(super) fn asked_to_leave(&self) -> bool {
        self.leave
    }

    /// Bytes that the client has not taken yet.
    pub(super) fn queued(&self) -> usize {
        self.outgoing.len()
    }

    /// Reads what the client says; the second value tells that it has left.
    pub(super) fn requests(&mut self) -> (Vec<Request>, bool) {
        let mut buffer = vec![0; 16 << 10];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.gone = true,
                Ok(length) => {
                    self.incoming.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    if length == buffer.len() && self.incoming.len() < attach::MAX_FRAME {
                        continue;
                    }
                }
                Err(error) if matches!(error.kind(), std::io::ErrorKind::Interrupted) => continue,
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {}
                Err(_) => self.gone = true,
            }
            break;
        }
        let requests = self.take_frames();
        (requests, self.gone)
    }

    fn take_frames(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        let mut taken = 0;
        loop {
            let rest = self.incoming.get(taken..).unwrap_or_default();
            let (kind, data, length) = match attach::split(rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(()) => {
                    self.gone = true;
                    break;
                }
            };
            match (kind, data) {
                (Kind::Leave, _) => {
                    self.leave = true;
                    requests.push(Request::Leave);
                }
                (Kind::Hello, [flags, ..]) => {
                    self.want = Want::from_byte(*flags);
                    // What was logged between the client's connecting and this moment was announced to nobody.
                    self.announce_log();
                }
                (Kind::Stdin, []) => requests.push(Request::EndInput),
                (Kind::Stdin, data) => requests.push(Request::Input(data.to_vec())),
                (Kind::Resize, &[a, b, c, d]) => {
                    let size = Size { rows: u16::from_le_bytes([a, b]), columns: u16::from_le_bytes([c, d]) };
                    requests.push(Request::Resize(size));
                }
                _ => {}
            }
            taken += length;
        }
        self.incoming.drain(..taken);
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        requests
    }

    /// Queues output for the client if it wants it, and writes what goes at once.
    pub(super) fn send(&mut self, kind: Kind, data: &[u8]) {
        let wanted = match kind {
            Kind::Stdout => self.want.stdout,
            Kind::Stderr => self.want.stderr,
            _ => false,
        };
        if wanted {
            for chunk in data.chunks(attach::MAX_FRAME) {
                self.outgoing.extend_from_slice(&attach::header(kind, chunk.len()));
                self.outgoing.extend_from_slice(chunk);
            }
        }
        self.announce_log();
        self.flush();
    }

    /// Queues the word that the log has grown, unless one waits already: who reads it reads to the end.
    fn announce_log(&mut self) {
        if self.want.log && self.outgoing.is_empty() {
            self.outgoing.extend_from_slice(&attach::header(Kind::LogGrew, 0));
        }
    }

    /// Writes from the queue; false where the client is gone.
    pub(super) fn flush(&mut self) -> bool {
        while !self.outgoing.is_empty() && !self.gone {
            match self.socket.write(&self.outgoing) {
                Ok(0) => self.gone = true,
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(error) if matches!(error.kind(), std::io::ErrorKind::Interrupted) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => return true,
                Err(_) => self.gone = true,
            }
        }
        if self.outgoing.is_empty() {
            self.outgoing = Vec::new();
        }
        !self.gone
    }
}
