//! Installing a seccomp filter (seccomp(2)).

use std::os::fd::{FromRawFd, OwnedFd};

use crate::error::{Errno, SysError};

const SET_MODE_FILTER: libc::c_uint = 1;
const NEW_LISTENER: u32 = 1 << 3;

/// Installs a filter of `struct sock_filter`s, eight bytes each, for this thread and all that it starts.
///
/// The thread needs CAP_SYS_ADMIN in its user namespace, or no_new_privs. `flags` are `SECCOMP_FILTER_FLAG_*`, but not
/// that for a listener.
pub fn set_mode_filter(instructions: &[u8], flags: u32) -> Result<(), SysError> {
    match install(instructions, flags & !NEW_LISTENER)? {
        0 => Ok(()),
        // TSYNC: the id of a thread that could not be synchronised.
        _ => Err(failed(instructions, Errno::BUSY)),
    }
}

/// As [`set_mode_filter`] for a filter that hands calls to a supervisor (SECCOMP_RET_USER_NOTIF, Linux 5.0), and
/// returns the supervisor's descriptor.
pub fn set_mode_filter_with_listener(instructions: &[u8]) -> Result<OwnedFd, SysError> {
    let fd = install(instructions, NEW_LISTENER)?;
    let fd = i32::try_from(fd).map_err(|_| failed(instructions, Errno::BADF))?;
    // SAFETY: NEW_LISTENER made the kernel open a descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn failed(instructions: &[u8], errno: Errno) -> SysError {
    SysError::new("seccomp", format!("filter of {} instructions", instructions.len() / 8), errno)
}

fn install(instructions: &[u8], flags: u32) -> Result<libc::c_long, SysError> {
    let mut filter: Vec<libc::sock_filter> = instructions
        .as_chunks::<8>()
        .0
        .iter()
        .map(|[code0, code1, jt, jf, k0, k1, k2, k3]| libc::sock_filter {
            code: u16::from_le_bytes([*code0, *code1]),
            jt: *jt,
            jf: *jf,
            k: u32::from_le_bytes([*k0, *k1, *k2, *k3]),
        })
        .collect();
    let length = u16::try_from(filter.len()).map_err(|_| failed(instructions, Errno::INVAL))?;
    let program = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
    let pointer: *const libc::sock_fprog = &raw const program;
    // SAFETY: `pointer` is a live sock_fprog whose `filter` points to `len` live instructions; the kernel copies them
    // before it returns and keeps neither pointer.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, pointer) };
    match result {
        -1 => Err(failed(
            instructions,
            Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO),
        )),
        result => Ok(result),
    }
}
