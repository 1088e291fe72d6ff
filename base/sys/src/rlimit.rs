//! Resource limits by docker's names.

use crate::error::SysError;
use crate::process::last_errno;

/// The value for "no limit".
pub const INFINITY: u64 = u64::MAX;

/// docker's and the shell's names of the limits with the kernel's numbers (asm-generic/resource.h).
const NAMES: [(&str, i32); 16] = [
    ("cpu", 0),
    ("fsize", 1),
    ("data", 2),
    ("stack", 3),
    ("core", 4),
    ("rss", 5),
    ("nproc", 6),
    ("nofile", 7),
    ("memlock", 8),
    ("as", 9),
    ("locks", 10),
    ("sigpending", 11),
    ("msgqueue", 12),
    ("nice", 13),
    ("rtprio", 14),
    ("rttime", 15),
];

/// The kernel's number of a limit.
pub fn number(name: &str) -> Option<i32> {
    NAMES.iter().find(|(known, _)| *known == name).map(|&(_, number)| number)
}

/// The current soft and hard value.
pub fn current(resource: i32) -> Result<(u64, u64), SysError> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a live rlimit the kernel fills.
    let rc = unsafe { libc::getrlimit(resource, &raw mut limit) };
    if rc == 0 { Ok((limit.rlim_cur, limit.rlim_max)) } else { Err(error("getrlimit", resource)) }
}

/// Sets the soft and hard value of the calling process.
pub fn set(resource: i32, soft: u64, hard: u64) -> Result<(), SysError> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is a live rlimit the kernel only reads.
    let rc = unsafe { libc::setrlimit(resource, &raw const limit) };
    if rc == 0 { Ok(()) } else { Err(error("setrlimit", resource)) }
}

fn error(call: &'static str, resource: i32) -> SysError {
    let name = NAMES.iter().find(|(_, number)| *number == resource).map_or("?", |(name, _)| *name);
    SysError::new(call, name, last_errno())
}

/// Sets the soft and hard value of another process (prlimit(2)).
pub fn set_of(pid: crate::process::Pid, resource: i32, soft: u64, hard: u64) -> Result<(), SysError> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    let pid = pid.as_raw_nonzero().get();
    // SAFETY: `limit` is a live rlimit the kernel only reads; the old value is not asked for.
    let rc = unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const limit, 0) };
    if rc == 0 { Ok(()) } else { Err(error("prlimit", resource)) }
}
