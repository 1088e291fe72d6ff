//! Extended attributes: which of an archive's a layer keeps, and the two that make a directory opaque.

use std::os::fd::AsFd;

use corten_sys::Errno;
use rustix::fs::{Mode, OFlags, XattrFlags};

const CAPABILITY: &[u8] = b"security.capability";
const OPAQUE_TRUSTED: &str = "trusted.overlay.opaque";
const OPAQUE_USER: &str = "user.overlay.opaque";

/// What to do with an attribute of an archive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    Drop,
    /// A capability set that no kernel wrote.
    Invalid,
}

/// Judges an attribute: file capabilities and `user.*`, without those that overlayfs or rootless engines read.
pub(crate) fn judge(name: &[u8], value: &[u8]) -> Verdict {
    if name == CAPABILITY {
        return if is_capability(value) { Verdict::Keep } else { Verdict::Invalid };
    }
    let reserved = name.starts_with(b"user.overlay.") || name.starts_with(b"user.containers.");
    if name.starts_with(b"user.") && name.len() > b"user.".len() && !reserved {
        Verdict::Keep
    } else {
        Verdict::Drop
    }
}

/// `struct vfs_cap_data` of version 2, or of version 3 with a root id.
fn is_capability(value: &[u8]) -> bool {
    const EFFECTIVE: u32 = 1;
    let Some(Ok(magic)) = value.get(..4).map(<[u8; 4]>::try_from) else { return false };
    match u32::from_le_bytes(magic) & !EFFECTIVE {
        0x0200_0000 => value.len() == 20,
        0x0300_0000 => value.len() == 24,
        _ => false,
    }
}

/// Sets a kept attribute on an open file or directory. One that the file system cannot hold is dropped,
/// unless it is a capability.
pub(crate) fn set(file: impl AsFd, name: &[u8], value: &[u8]) -> Result<(), Errno> {
    match rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()) {
        Err(Errno::OPNOTSUPP) if name != CAPABILITY => Ok(()),
        other => other,
    }
}

/// Makes a directory hide what is below it, for mounts with and without `userxattr` (architecture D6).
pub(crate) fn set_opaque(directory: impl AsFd) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    rustix::fs::fsetxattr(&directory, OPAQUE_USER, b"y", XattrFlags::empty())?;
    match rustix::fs::fsetxattr(&directory, OPAQUE_TRUSTED, b"y", XattrFlags::empty()) {
        // Without privilege in the initial user namespace only userxattr mounts are possible anyway.
        Err(Errno::PERM) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allow_list() {
        let v2 = [&[1, 0, 0, 2][..], &[0; 16]].concat();
        let v3 = [&[0, 0, 0, 3][..], &[0; 20]].concat();
        let check = |name: &str, value: &[u8], expected| {
            assert_eq!(judge(name.as_bytes(), value), expected, "{name}");
        };
        check("security.capability", &v2, Verdict::Keep);
        check("security.capability", &v3, Verdict::Keep);
        check("security.capability", &v3[..20], Verdict::Invalid);
        check("security.capability", b"", Verdict::Invalid);
        check("security.capability", &[0; 20], Verdict::Invalid);
        check("user.a", b"x", Verdict::Keep);
        check("user.", b"x", Verdict::Drop);
        check("user.overlay.opaque", b"y", Verdict::Drop);
        check("user.containers.override_stat", b"0:0:0", Verdict::Drop);
        check("trusted.overlay.redirect", b"/x", Verdict::Drop);
        check("security.selinux", b"x", Verdict::Drop);
        check("security.ima", b"x", Verdict::Drop);
        check("system.posix_acl_access", b"x", Verdict::Drop);
    }
}
