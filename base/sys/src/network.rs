//! The one thing about links that needs no netlink: switching the loopback on.

use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::error::{Context, SysError};
use crate::process::last_errno;

/// Switches the loopback interface of the current network namespace on (netdevice(7)).
pub fn loopback_up() -> Result<(), SysError> {
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .on("socket", "AF_INET")?;
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, &byte) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        // A C char is signed on x86_64 and unsigned on aarch64; the name is ASCII.
        *slot = libc::c_char::try_from(byte).unwrap_or_default();
    }
    let flags = libc::IFF_UP | libc::IFF_RUNNING;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).unwrap_or_default();
    // SAFETY: `request` is a live ifreq that the kernel only reads.
    let rc = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if rc == 0 { Ok(()) } else { Err(SysError::new("ioctl", "SIOCSIFFLAGS lo", last_errno())) }
}
