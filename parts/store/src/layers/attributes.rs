//! Extended attributes: which of an archive's a layer keeps, and the two that make a directory opaque.

use std::os::fd::AsFd;

use corten_sys::Errno;
use rustix::fs::{Mode, OFlags, XattrFlags};

const CAPABILITY: &[u8] = b"security.capability";
const OPAQUE_TRUSTED: &str = "trusted.overlay.opaque";
const OPAQUE_USER: &str = "user.overlay.opaque";

/// A name and a value.
pub(crate) type Attribute = (Vec<u8>, Vec<u8>);

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

/// Says whether a directory hides what is below it, for whichever way of mounting.
pub(crate) fn is_opaque(directory: impl AsFd) -> Result<bool, Errno> {
    for name in [OPAQUE_USER, OPAQUE_TRUSTED] {
        let mut value = [0; 1];
        match rustix::fs::fgetxattr(&directory, name, &mut value) {
            Ok(1) if value == *b"y" => return Ok(true),
            // ERANGE: longer, so something else. EPERM: not ours to see in a user namespace.
            Ok(_) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(false)
}

/// Reads the attributes that a layer keeps, sorted by name. A capability set that counts for the user namespace whose
/// root is `root` becomes one that counts everywhere: what layers contain.
pub(crate) fn read(file: impl AsFd, root: u32) -> Result<Vec<Attribute>, Errno> {
    let mut found = Vec::new();
    let names = match listed(&file) {
        Err(Errno::OPNOTSUPP) => return Ok(found),
        other => other?,
    };
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name != CAPABILITY && !name.starts_with(b"user.") {
            continue;
        }
        // One that has gone since is not there.
        let Some(mut value) = valued(&file, name)? else { continue };
        if name == CAPABILITY {
            value = of_every_namespace(value, root);
        }
        if judge(name, &value) == Verdict::Keep {
            found.push((name.to_vec(), value));
        }
    }
    found.sort();
    Ok(found)
}

/// The capability set of a file.
pub(crate) fn capability(file: impl AsFd) -> Result<Option<Vec<u8>>, Errno> {
    match valued(file, CAPABILITY) {
        Err(Errno::OPNOTSUPP) => Ok(None),
        other => Ok(other?.map(|value| of_every_namespace(value, 0))),
    }
}

fn listed(file: impl AsFd) -> Result<Vec<u8>, Errno> {
    let mut room = vec![0; 1024];
    loop {
        match rustix::fs::flistxattr(&file, &mut room) {
            Ok(length) => {
                room.truncate(length);
                return Ok(room);
            }
            Err(Errno::RANGE) if room.len() < 1 << 16 => room = vec![0; 1 << 16],
            Err(errno) => return Err(errno),
        }
    }
}

fn valued(file: impl AsFd, name: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    let mut room = vec![0; 256];
    loop {
        match rustix::fs::fgetxattr(&file, name, &mut room) {
            Ok(length) => {
                room.truncate(length);
                return Ok(Some(room));
            }
            Err(Errno::RANGE) if room.len() < 1 << 16 => room = vec![0; 1 << 16],
            Err(Errno::NODATA) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
}

/// Version 3 with the given root id as version 2 (capability.h, `vfs_ns_cap_data`).
fn of_every_namespace(value: Vec<u8>, root: u32) -> Vec<u8> {
    let Ok(bytes) = <[u8; 24]>::try_from(value.as_slice()) else { return value };
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if word(0) & !1 != 0x0300_0000 || !matches!(word(20), owner if owner == root || owner == 0) {
        return value;
    }
    let head = (word(0) & 1) | 0x0200_0000;
    [&head.to_le_bytes()[..], &bytes[4..20]].concat()
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

    #[test]
    fn capabilities_of_one_namespace() {
        let body = [7; 16];
        let set = |head: [u8; 4], root: &[u8]| [&head[..], &body, root].concat();
        let v2 = set([1, 0, 0, 2], b"");
        let of_root = |root: u32| set([1, 0, 0, 3], &root.to_le_bytes());
        assert_eq!(of_every_namespace(of_root(0), 0), v2);
        assert_eq!(of_every_namespace(of_root(0), 65_536), v2);
        assert_eq!(of_every_namespace(of_root(65_536), 65_536), v2);
        assert_eq!(of_every_namespace(of_root(7), 65_536), of_root(7), "somebody else's");
        assert_eq!(of_every_namespace(v2.clone(), 0), v2);
    }
}
