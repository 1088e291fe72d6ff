//! eBPF programs that decide a cgroup's device accesses: load, attach, replace, list (bpf(2)).

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::error::{Errno, SysError};

// linux/bpf.h: enum bpf_cmd, bpf_prog_type, bpf_attach_type, attach flags.
const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_GET_FD_BY_ID: libc::c_int = 13;
const PROG_QUERY: libc::c_int = 16;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
const REPLACE: u32 = 4;

/// The prefix of `union bpf_attr` that BPF_PROG_LOAD reads.
#[repr(C)]
#[derive(Default)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The prefix of `union bpf_attr` that BPF_PROG_ATTACH and BPF_PROG_DETACH read.
#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

/// The prefix of `union bpf_attr` that BPF_PROG_QUERY reads and writes.
#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

/// The prefix of `union bpf_attr` that BPF_PROG_GET_FD_BY_ID reads.
#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// The attribute structures above, whose pointers the wrappers keep alive over the call.
trait Attribute {}
impl Attribute for Load {}
impl Attribute for Attach {}
impl Attribute for Query {}
impl Attribute for ById {}

fn bpf<A: Attribute>(command: libc::c_int, attribute: &mut A) -> Result<RawFd, Errno> {
    let pointer: *mut A = attribute;
    // SAFETY: `pointer` is a live, exclusively borrowed attribute whose exact size is passed; every pointer inside
    // it was taken from a slice that the calling wrapper holds borrowed, with that slice's length beside it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, pointer, size_of::<A>()) };
    if result < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    RawFd::try_from(result).map_err(|_| Errno::OVERFLOW)
}

fn owned(fd: RawFd) -> OwnedFd {
    // SAFETY: bpf(2) has just returned this descriptor as a new one (close-on-exec), and nobody else has seen it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is never negative.
    fd.as_raw_fd().cast_unsigned()
}

/// Loads a BPF_PROG_TYPE_CGROUP_DEVICE program given as packed `struct bpf_insn`s.
///
/// Where the verifier refuses it, the error carries the verifier's last words.
pub fn load_cgroup_device(instructions: &[u64]) -> Result<OwnedFd, SysError> {
    let license: &CStr = c"Apache-2.0";
    let mut attribute = Load {
        program_type: TYPE_CGROUP_DEVICE,
        instruction_count: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
        instructions: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        name: *b"corten_devices\0\0",
        ..Load::default()
    };
    let subject = format!("device program of {} instructions", instructions.len());
    match bpf(PROG_LOAD, &mut attribute) {
        Ok(fd) => Ok(owned(fd)),
        Err(errno @ (Errno::INVAL | Errno::ACCESS)) => {
            let mut log = vec![0u8; 64 * 1024];
            attribute.log_level = 1;
            attribute.log_size = u32::try_from(log.len()).unwrap_or(0);
            attribute.log_buffer = log.as_mut_ptr() as u64;
            match bpf(PROG_LOAD, &mut attribute) {
                Ok(fd) => Ok(owned(fd)),
                Err(_) => {
                    let text = String::from_utf8_lossy(&log);
                    let text = text.trim_end_matches('\0').trim_end();
                    let words =
                        text.lines().rfind(|line| !line.starts_with("processed ")).unwrap_or_default();
                    Err(SysError::new("bpf load", format!("{subject} ({words})"), errno))
                }
            }
        }
        Err(errno) => Err(SysError::new("bpf load", subject, errno)),
    }
}

/// Attaches a device program to a cgroup v2 directory, atomically in place of `replaced` where given.
pub fn attach_cgroup_device(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> Result<(), SysError> {
    let mut attribute = Attach {
        target: number(cgroup),
        program: number(program),
        attach_type: ATTACH_CGROUP_DEVICE,
        flags: if replaced.is_some() { ALLOW_MULTI | REPLACE } else { ALLOW_MULTI },
        replaced: replaced.map_or(0, number),
    };
    match bpf(PROG_ATTACH, &mut attribute) {
        Ok(_) => Ok(()),
        Err(errno) => Err(SysError::new("bpf attach", "device program", errno)),
    }
}

/// Detaches a device program from a cgroup v2 directory.
pub fn detach_cgroup_device(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), SysError> {
    let mut attribute = Attach {
        target: number(cgroup),
        program: number(program),
        attach_type: ATTACH_CGROUP_DEVICE,
        ..Attach::default()
    };
    match bpf(PROG_DETACH, &mut attribute) {
        Ok(_) => Ok(()),
        Err(errno) => Err(SysError::new("bpf detach", "device program", errno)),
    }
}

/// Lists the ids of the device programs attached to this very cgroup v2 directory (at most 64, the kernel's limit).
pub fn query_cgroup_device(cgroup: BorrowedFd<'_>) -> Result<Vec<u32>, SysError> {
    let mut ids = vec![0u32; 64];
    let mut attribute = Query {
        target: number(cgroup),
        attach_type: ATTACH_CGROUP_DEVICE,
        ids: ids.as_mut_ptr() as u64,
        count: 64,
        ..Query::default()
    };
    match bpf(PROG_QUERY, &mut attribute) {
        Ok(_) => {
            ids.truncate(usize::try_from(attribute.count).unwrap_or(0));
            Ok(ids)
        }
        Err(errno) => Err(SysError::new("bpf query", "device programs", errno)),
    }
}

/// Opens a loaded program by its id.
pub fn program_by_id(id: u32) -> Result<OwnedFd, SysError> {
    let mut attribute = ById { id, ..ById::default() };
    match bpf(PROG_GET_FD_BY_ID, &mut attribute) {
        Ok(fd) => Ok(owned(fd)),
        Err(errno) => Err(SysError::new("bpf open program", id.to_string(), errno)),
    }
}
