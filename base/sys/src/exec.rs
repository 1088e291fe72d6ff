//! Becoming another program.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::error::{Context, Errno, SysError};
use crate::mount::{self, Attributes, Depth, MountAttrFlags};
use crate::process::last_errno;

/// Replaces this process; returns only the reason why not.
pub fn replace(path: &str, arguments: &[String], environment: &[String]) -> SysError {
    let (Some(name), Some(argv), Some(envp)) = (c_string(path), c_strings(arguments), c_strings(environment))
    else {
        return SysError::new("exec", path, Errno::INVAL);
    };
    let argv = pointers(&argv);
    let envp = pointers(&envp);
    // SAFETY: name is a C string, argv and envp are null-terminated arrays of them, all live over the call.
    unsafe { libc::execve(name.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    SysError::new("exec", path, last_errno())
}

/// As [`replace`] for the program behind a descriptor.
pub fn replace_with(program: impl AsFd, arguments: &[String], environment: &[String]) -> SysError {
    let (Some(argv), Some(envp)) = (c_strings(arguments), c_strings(environment)) else {
        return SysError::new("exec", "", Errno::INVAL);
    };
    let argv = pointers(&argv);
    let envp = pointers(&envp);
    let fd = program.as_fd().as_raw_fd();
    // SAFETY: the descriptor is live, argv and envp are null-terminated arrays of live C strings.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd,
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    SysError::new("execveat", "", last_errno())
}

/// This very program as a read-only mount of its own that is attached nowhere: what enters a container can
/// not be written through /proc/PID/exe (CVE-2019-5736).
pub fn detached_self() -> Result<OwnedFd, SysError> {
    let tree = mount::clone_tree("/proc/self/exe", Depth::One)?;
    let attributes = Attributes { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Attributes::default() };
    mount::set_attributes(&tree, "/proc/self/exe", Depth::One, attributes)?;
    Ok(tree)
}

/// Says whether this program can be written through /proc/self/exe by somebody with the rights to.
pub fn is_exposed() -> Result<bool, SysError> {
    let stat = rustix::fs::statvfs("/proc/self/exe").on("statvfs", "/proc/self/exe")?;
    Ok(!stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

fn c_string(text: &str) -> Option<CString> {
    CString::new(text).ok()
}

fn c_strings(texts: &[String]) -> Option<Vec<CString>> {
    texts.iter().map(|text| c_string(text)).collect()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}
