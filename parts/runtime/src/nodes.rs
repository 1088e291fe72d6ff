//! Device nodes for a container with a user namespace of its own, in which mknod(2) is refused.
//!
//! The host's node will not do where it is not open to everybody: its owner is no id of the container, so not even the
//! container's root may open it. A node made here has the same owner and mode by the container's ids. What may be done
//! with it is the business of the device cgroup, as for any other node.

use std::os::fd::OwnedFd;

use corten_sys::SysError;
use corten_sys::mount::{self, MountAttrFlags};
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};

use crate::plan::{DeviceStep, IdRange};

/// Makes the nodes in a detached tmpfs, named by their numbers. It belongs to the host's user namespace: the kernel
/// opens no device on a file system of another one.
pub(crate) fn make(nodes: &[DeviceStep], ids: Option<IdRange>) -> Result<OwnedFd, SysError> {
    let options = [("mode", Some("0755")), ("size", Some("1m"))];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tree = mount::new_filesystem("tmpfs", &options, attributes)?;
    for (number, node) in nodes.iter().enumerate() {
        let name = number.to_string();
        let on = |call| move |errno| SysError::at(call, &node.path, errno);
        let device = rustix::fs::makedev(node.number.0, node.number.1);
        let kind = FileType::from_raw_mode(node.mode);
        rustix::fs::mknodat(&tree, &name, kind, Mode::empty(), device).map_err(on("mknod"))?;
        let (uid, gid) = (host_id(node.owner.0, ids), host_id(node.owner.1, ids));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::chownat(&tree, &name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags)
            .map_err(on("chown"))?;
        // After mknod, so that the umask has no say.
        let mode = Mode::from_raw_mode(node.mode & 0o7777);
        rustix::fs::chmodat(&tree, &name, mode, AtFlags::empty()).map_err(on("chmod"))?;
    }
    Ok(tree)
}

/// The host's id behind a container's. One that the container has not got is nobody's there, as it is in any file.
fn host_id(id: u32, ids: Option<IdRange>) -> u32 {
    match ids {
        Some(ids) if id < ids.size => ids.base + id,
        Some(_) => NOBODY,
        None => id,
    }
}

/// The host's `nobody`, which no range of a container holds.
const NOBODY: u32 = 65_534;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_by_the_ids_of_the_container() {
        let ids = Some(IdRange { base: 1 << 20, size: 1 << 16 });
        let cases = [(0, ids, 1 << 20), (44, ids, (1 << 20) + 44), (1 << 16, ids, NOBODY), (44, None, 44)];
        for (id, ids, expected) in cases {
            assert_eq!(host_id(id, ids), expected, "{id}");
        }
    }
}
