//! The command line and environment that other users see in /proc: blanked in long-lived helpers, so that
//! neither a `-e PASSWORD=…` nor the caller's environment outlives the command.

use std::ffi::CString;

/// Overwrites this process's argument and environment strings with `title`, cut to the room there is.
///
/// After it, `std::env` returns garbage: only for a process that reads neither again.
pub fn replace(title: &str) {
    let arguments = std::env::args_os().count();
    // SAFETY: `environ` is the C library's pointer to the environment array, never null after start-up.
    let environment = unsafe { environ };
    if environment.is_null() || arguments == 0 {
        return;
    }
    // The kernel lays out argv, a null, then envp (System V ABI, process initialisation), and corten never
    // calls setenv, so `environ` is still envp; argv[0] is `arguments` + 1 slots before it.
    let slot = environment.wrapping_sub(arguments + 1);
    // SAFETY: see above; `slot` is argv's first element.
    let first = unsafe { *slot };
    // SAFETY: `first` is argv[0]; the strings of argv and envp follow one another up to `end`.
    let Some(length) = (unsafe { block_length(first, environment) }) else { return };
    // SAFETY: the block is writable memory of this process's own stack and nothing refers to it any more.
    let block = unsafe { std::slice::from_raw_parts_mut(first.cast::<u8>(), length) };
    block.fill(0);
    let cut = title.len().min(length.saturating_sub(1));
    if let (Some(to), Some(from)) = (block.get_mut(..cut), title.as_bytes().get(..cut)) {
        to.copy_from_slice(from);
    }
}

/// Names this process, cut to 15 bytes: what `ps` shows of a zombie as well. Children have it until they execute.
pub fn name(name: &str) {
    let cut = name.as_bytes().get(..15).unwrap_or(name.as_bytes());
    if let Ok(name) = CString::new(cut) {
        // A name that stays as it was harms nothing.
        rustix::thread::set_name(&name).unwrap_or_default();
    }
}

/// Length from `first` to the end of the last environment string, where that is contiguous.
///
/// # Safety
/// `first` is `argv[0]` and `environment` the envp array of this process.
unsafe fn block_length(first: *mut libc::c_char, environment: *const *mut libc::c_char) -> Option<usize> {
    let mut last = first;
    let mut index = 0;
    loop {
        let slot = environment.wrapping_add(index);
        // SAFETY: envp ends with a null pointer, which stops the loop before its end is passed.
        let string = unsafe { *slot };
        if string.is_null() {
            break;
        }
        last = string.max(last);
        index += 1;
    }
    if last == first && index == 0 {
        // SAFETY: argv[0] is a string.
        return Some(unsafe { libc::strlen(first) } + 1);
    }
    // SAFETY: `last` is a string of envp.
    let tail = unsafe { libc::strlen(last) } + 1;
    (last as usize).checked_sub(first as usize)?.checked_add(tail)
}

unsafe extern "C" {
    static environ: *mut *mut libc::c_char;
}
