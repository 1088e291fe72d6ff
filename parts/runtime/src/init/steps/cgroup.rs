//! Joining cgroup v1 hierarchies through `tasks` descriptors that the host side opened.
//!
//! Writing `0` to `tasks` moves the one thread there is and waits for no grace period; cgroup.procs stalls for
//! more than 10 ms after an idle spell.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;

use corten_sys::{SysError, socket};

use crate::launch::StartFailure;

/// Waits for the descriptors and joins each.
pub(crate) fn join(channel: &UnixStream) -> Result<(), StartFailure> {
    let message = socket::receive(channel)?
        .ok_or_else(|| StartFailure::platform("join cgroups: the command that prepares them died"))?;
    if !message.bytes.is_empty() {
        return Err(StartFailure::platform(String::from_utf8_lossy(&message.bytes)));
    }
    for fd in message.fds {
        File::from(fd).write_all(b"0").map_err(|error| SysError::io("join cgroup", "tasks", &error))?;
    }
    Ok(())
}
