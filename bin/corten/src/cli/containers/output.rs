//! A container's output on its way to the caller.

use std::io::{ErrorKind, Write};

use corten_sys::signal;

const SIGPIPE: i32 = 13;

/// Which way an output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Stdout,
    Stderr,
}

/// Writes all of it. Where nobody reads any more this process ends by SIGPIPE, as every filter does; the container
/// goes on without it, as docker's would.
pub(super) fn write(to: To, data: &[u8]) {
    let written = match to {
        To::Stdout => {
            let mut out = std::io::stdout().lock();
            out.write_all(data).and_then(|()| out.flush())
        }
        To::Stderr => std::io::stderr().write_all(data),
    };
    if written.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        signal::die_of(SIGPIPE);
    }
}
