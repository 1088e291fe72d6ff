//! Masked and read-only paths of /proc and /sys: only what exists.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use corten_sys::mount::{self, Attributes, Depth, MountAttrFlags};
use corten_sys::{Dir, Errno, SysError};
use rustix::fs::{FileType, OFlags};

use crate::plan::{CONTEXT, InitPlan};

/// Covers the masked paths (files by the container's /dev/null, directories by one empty read-only tmpfs) and
/// makes the read-only ones so.
pub(crate) fn cover(plan: &InitPlan, rootfs: &Dir) -> Result<(), SysError> {
    let mut null = None;
    let mut empty: Option<OwnedFd> = None;
    for path in &plan.masked_paths {
        let Some(target) = open_existing(rootfs, path)? else { continue };
        let stat = rustix::fs::fstat(&target).map_err(|errno| SysError::at("stat", path, errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            let null = once(&mut null, || null_device(rootfs))?;
            mount::attach(mount::clone_tree_of(null, path, Depth::One)?, &target, path)?;
        } else if let Some(empty) = &empty {
            mount::attach(mount::clone_tree_of(empty, path, Depth::One)?, &target, path)?;
        } else {
            // The first place gets the file system itself: a detached mount cannot be cloned (before Linux 6.15).
            let made = empty_directory(&plan.mount_label)?;
            mount::attach(&made, &target, path)?;
            empty = Some(made);
        }
    }
    for path in &plan.readonly_paths {
        let Some(target) = open_existing(rootfs, path)? else { continue };
        let tree = mount::clone_tree_of(&target, path, Depth::Recursive)?;
        let attributes = Attributes { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        mount::set_attributes(&tree, path, Depth::Recursive, attributes)?;
        mount::attach(&tree, &target, path)?;
    }
    Ok(())
}

fn once(
    slot: &mut Option<OwnedFd>,
    make: impl FnOnce() -> Result<OwnedFd, SysError>,
) -> Result<BorrowedFd<'_>, SysError> {
    if slot.is_none() {
        *slot = Some(make()?);
    }
    slot.as_ref().map(AsFd::as_fd).ok_or_else(|| SysError::new("mask", "", Errno::INVAL))
}

fn open_existing(rootfs: &Dir, path: &str) -> Result<Option<OwnedFd>, SysError> {
    match rootfs.open_at(path, OFlags::PATH, 0) {
        Ok(fd) => Ok(Some(fd)),
        // A path that cannot be reached, in an image that has something else there, needs no mask.
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The null device in the container's own /dev, checked by its number (CVE-2025-31133).
fn null_device(rootfs: &Dir) -> Result<OwnedFd, SysError> {
    let fd = rootfs.open_at("/dev/null", OFlags::PATH, 0)?;
    let stat = rustix::fs::fstat(&fd).map_err(|errno| SysError::at("stat", "/dev/null", errno))?;
    let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)) == (1, 3);
    if is_null { Ok(fd) } else { Err(SysError::at("mask with", "/dev/null", Errno::NODEV)) }
}

fn empty_directory(label: &str) -> Result<OwnedFd, SysError> {
    let mut options = vec![("size", Some("0")), ("mode", Some("0755"))];
    if !label.is_empty() {
        options.push((CONTEXT, Some(label)));
    }
    mount::new_filesystem("tmpfs", &options, MountAttrFlags::MOUNT_ATTR_RDONLY)
}
