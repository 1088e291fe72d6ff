//! A container's /dev and other device nodes, where it has a user namespace of its own, in which mknod(2) is refused.
//!
//! The host's nodes will not do: their owner is no id of the container, so one that is not open to everybody not even
//! the container's root may open. What is made here has the same owner and mode by the container's ids. What may be done
//! with it is the business of the device cgroup, as for any other node.

use std::os::fd::{AsFd, OwnedFd};

use corten_sys::SysError;
use corten_sys::mount::{self, MountAttrFlags};
use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};

use crate::plan::{CONTEXT, DevFilesystem, DeviceStep, Entry, IdRange};

/// Makes nodes in a detached tmpfs, named by their numbers and with this SELinux label, where there is one.
pub(crate) fn make(nodes: &[DeviceStep], ids: Option<IdRange>, label: &str) -> Result<OwnedFd, SysError> {
    let mut options = vec![("mode", Some("0755")), ("size", Some("1m"))];
    if !label.is_empty() {
        options.push((CONTEXT, Some(label)));
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tree = mount::new_filesystem("tmpfs", &options, attributes)?;
    for (number, node) in nodes.iter().enumerate() {
        make_node(&tree, &number.to_string(), node, ids)?;
    }
    Ok(tree)
}

/// Makes a /dev, detached, with everything that belongs in it.
pub(crate) fn make_dev(wanted: &DevFilesystem, ids: Option<IdRange>) -> Result<OwnedFd, SysError> {
    let DevFilesystem { filesystem, nodes } = wanted;
    let root = host_id(0, ids).to_string();
    let own = [("uid", Some(root.as_str())), ("gid", Some(root.as_str()))];
    let options = filesystem.options.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
    let options: Vec<_> = options.chain(own).collect();
    let attributes = MountAttrFlags::from_bits_retain(filesystem.attributes);
    let tree = mount::new_filesystem(&filesystem.kind, &options, attributes)?;
    for entry in &filesystem.entries {
        let (name, made) = match entry {
            Entry::Directory(name) => {
                (name, rustix::fs::mkdirat(&tree, name, Mode::from_bits_truncate(0o755)))
            }
            Entry::Link(name, text) => (name, rustix::fs::symlinkat(text, &tree, name)),
        };
        made.map_err(|errno| SysError::at("make in /dev", name, errno))?;
        own_entry(&tree, name, (0, 0), ids)?;
    }
    for node in nodes {
        make_node(&tree, node.dev_name().unwrap_or(&node.path), node, ids)?;
    }
    Ok(tree)
}

fn make_node(tree: &OwnedFd, name: &str, node: &DeviceStep, ids: Option<IdRange>) -> Result<(), SysError> {
    let on = |call| move |errno| SysError::at(call, &node.path, errno);
    let device = rustix::fs::makedev(node.number.0, node.number.1);
    let kind = FileType::from_raw_mode(node.mode);
    rustix::fs::mknodat(tree, name, kind, Mode::empty(), device).map_err(on("mknod"))?;
    own_entry(tree, name, node.owner, ids)?;
    // After mknod, so that the umask has no say.
    let mode = Mode::from_raw_mode(node.mode & 0o7777);
    rustix::fs::chmodat(tree, name, mode, AtFlags::empty()).map_err(on("chmod"))
}

fn own_entry(tree: impl AsFd, name: &str, owner: (u32, u32), ids: Option<IdRange>) -> Result<(), SysError> {
    let (uid, gid) = (Uid::from_raw(host_id(owner.0, ids)), Gid::from_raw(host_id(owner.1, ids)));
    rustix::fs::chownat(tree, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| SysError::at("chown", name, errno))
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
