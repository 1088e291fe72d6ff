//! What a command and the keeper that it started say to each other.

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

use corten_sys::{Errno, SysError, socket};

use crate::order::Order;

/// Why a container could not be started, with docker's exit code for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub message: String,
    pub code: u8,
}

impl From<SysError> for Failure {
    fn from(error: SysError) -> Self {
        Self { message: error.to_string(), code: 125 }
    }
}

/// What the keeper says to the command that started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Started {
        pid: i32,
    },
    Failed(Failure),
    /// The container has ended and everything the command waits for is written.
    Exited {
        code: i32,
        oom_killed: bool,
    },
}

impl Reply {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Started { pid } => [b"S".as_slice(), &pid.to_le_bytes()].concat(),
            Self::Failed(failure) => [b"F", [failure.code].as_slice(), failure.message.as_bytes()].concat(),
            Self::Exited { code, oom_killed } => {
                [b"E".as_slice(), &[u8::from(*oom_killed)], &code.to_le_bytes()].concat()
            }
        }
    }

    /// Receives the next reply; `None` where the keeper is gone.
    pub fn receive(socket: &UnixStream) -> Result<Option<Self>, SysError> {
        let Some(message) = fs_none_on_reset(socket::receive(socket))? else { return Ok(None) };
        Ok(match message.bytes.as_slice() {
            [b'S', a, b, c, d] => Some(Self::Started { pid: i32::from_le_bytes([*a, *b, *c, *d]) }),
            [b'F', code, text @ ..] => Some(Self::Failed(Failure {
                message: String::from_utf8_lossy(text).into_owned(),
                code: *code,
            })),
            [b'E', oom, a, b, c, d] => {
                Some(Self::Exited { code: i32::from_le_bytes([*a, *b, *c, *d]), oom_killed: *oom == 1 })
            }
            _ => None,
        })
    }
}

fn fs_none_on_reset(
    result: Result<Option<socket::Message>, SysError>,
) -> Result<Option<socket::Message>, SysError> {
    match result {
        Err(error) if error.errno() == Errno::CONNRESET => Ok(None),
        other => other,
    }
}

/// The first byte of a message to the keeper: a request for [`Hooks::clone_early`](crate::launching::Hooks::clone_early), or an order.
pub(crate) const EARLY: u8 = b'e';
pub(crate) const ORDER: u8 = b'o';

/// Later: undo the start, whose command cannot go through with it.
pub(crate) const ABORT: &[u8] = b"a";

/// Asks the keeper for an init that waits for its plan; `request` is for [`Hooks::clone_early`](crate::launching::Hooks::clone_early).
pub fn send_early(keeper: &UnixStream, request: &[u8]) -> Result<(), SysError> {
    socket::send(keeper, &[[EARLY].as_slice(), request].concat(), &[])
}

/// Sends the keeper its order with the descriptors that go with it.
pub fn send_order(keeper: &UnixStream, order: &Order, fds: &[BorrowedFd<'_>]) -> Result<(), SysError> {
    socket::send(keeper, &[[ORDER].as_slice(), &order.encode()].concat(), fds)
}

/// Has the keeper end what it started and clean up, as if the start had failed; returns when it has.
pub fn abort(keeper: &UnixStream) -> Result<(), SysError> {
    socket::send(keeper, ABORT, &[])?;
    while Reply::receive(keeper)?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_survive_the_socket() {
        let (a, b) = socket::pair().unwrap();
        let replies = [
            Reply::Started { pid: 77 },
            Reply::Failed(Failure { message: "no".to_owned(), code: 127 }),
            Reply::Exited { code: 137, oom_killed: true },
        ];
        for reply in replies {
            socket::send(&a, &reply.encode(), &[]).unwrap();
            assert_eq!(Reply::receive(&b).unwrap(), Some(reply));
        }
        drop(a);
        assert_eq!(Reply::receive(&b).unwrap(), None);
    }
}
