//! Giving back memory that a long-lived helper no longer touches.

/// Drops this process's clean pages (code and constants, read again from the file when needed) and the part of its
/// stack that earlier, deeper calls have dirtied.
///
/// For a process that has done its work and only waits from now on. Purely a matter of size: a failure changes nothing.
pub fn release() {
    for (start, length) in read_only_segments() {
        advise(start, length);
    }
    release_stack();
}

/// The program's segments that are never written, by its own program headers.
fn read_only_segments() -> Vec<(usize, usize)> {
    // SAFETY: getauxval only looks up a value the kernel gave this process.
    let headers = unsafe { libc::getauxval(libc::AT_PHDR) };
    // SAFETY: as above.
    let count = unsafe { libc::getauxval(libc::AT_PHNUM) };
    if headers == 0 {
        return Vec::new();
    }
    // SAFETY: AT_PHDR points to AT_PHNUM program headers of the mapped executable, valid for the process's life.
    let headers = unsafe { std::slice::from_raw_parts(headers as *const libc::Elf64_Phdr, count as usize) };
    // A position-dependent program is mapped where its headers say; a relocated one is left alone.
    let here = headers.as_ptr() as usize;
    let at_home = headers.iter().any(|header| {
        header.p_type == libc::PT_LOAD
            && (header.p_vaddr as usize..(header.p_vaddr + header.p_memsz) as usize).contains(&here)
    });
    let constant =
        |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0;
    let range = |header: &libc::Elf64_Phdr| (header.p_vaddr as usize, header.p_memsz as usize);
    if at_home { headers.iter().filter(constant).map(range).collect() } else { Vec::new() }
}

/// How much stack below the current frame is given back: more than any call of ours reaches down.
const DEEP: usize = 256 << 10;

#[inline(never)]
fn release_stack() {
    let marker = 0_u8;
    let here = (&raw const marker) as usize;
    // This frame, the callee's and the red zone stay: together a few hundred bytes.
    let end = here.saturating_sub(1024);
    advise(end.saturating_sub(DEEP), DEEP);
}

const PAGE: usize = 4096;

/// madvise(MADV_DONTNEED) of the whole pages inside the range. Parts that are not mapped are skipped by the kernel.
fn advise(start: usize, length: usize) {
    let first = start.next_multiple_of(PAGE);
    let end = (start + length) / PAGE * PAGE;
    if first < end {
        // SAFETY: the callers name either pages backed by the unwritten executable, which come back with the same
        // contents, or stack below the live frames, whose contents nobody reads again.
        unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_DONTNEED) };
    }
}
