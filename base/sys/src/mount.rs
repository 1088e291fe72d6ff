//! The mount API by descriptor (Linux 5.2, mount_setattr 5.12): trees are made detached and then attached,
//! so that no path is looked up twice.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountPropagationFlags, MoveMountFlags};
pub use rustix::mount::{MountAttrFlags, MountFlags};
use rustix::mount::{OpenTreeFlags, UnmountFlags};

use crate::error::{Context, Errno, SysError};
use crate::process::last_errno;

/// Whether a mount operation covers the mounts below as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    One,
    Recursive,
}

/// How mount events travel (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    Private,
    Slave,
    Shared,
    Unbindable,
}

/// Clones the mount at `path` into a detached tree.
pub fn clone_tree(path: impl AsRef<Path>, depth: Depth) -> Result<OwnedFd, SysError> {
    let path = path.as_ref();
    rustix::mount::open_tree(CWD, path, clone_flags(depth)).on("open_tree", path)
}

/// Clones the mount behind a descriptor (O_PATH will do) into a detached tree; `name` is for the error.
pub fn clone_tree_of(fd: impl AsFd, name: &str, depth: Depth) -> Result<OwnedFd, SysError> {
    rustix::mount::open_tree(fd, "", clone_flags(depth) | OpenTreeFlags::AT_EMPTY_PATH).on("open_tree", name)
}

fn clone_flags(depth: Depth) -> OpenTreeFlags {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    match depth {
        Depth::One => flags,
        Depth::Recursive => flags | OpenTreeFlags::AT_RECURSIVE,
    }
}

/// What [`set_attributes`] changes.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    pub set: MountAttrFlags,
    pub clear: MountAttrFlags,
    pub propagation: Option<Propagation>,
    /// Presents ids through this user namespace's mapping; the tree must be detached and the file system able.
    pub idmap: Option<BorrowedFd<'a>>,
}

impl Default for Attributes<'_> {
    fn default() -> Self {
        Self { set: MountAttrFlags::empty(), clear: MountAttrFlags::empty(), propagation: None, idmap: None }
    }
}

/// Changes attributes of the mount (tree) behind `fd`; `name` is for the error.
pub fn set_attributes(
    fd: impl AsFd,
    name: &str,
    depth: Depth,
    attributes: Attributes<'_>,
) -> Result<(), SysError> {
    let mut set = attributes.set;
    let mut userns_fd = 0;
    if let Some(userns) = attributes.idmap {
        set |= MountAttrFlags::MOUNT_ATTR_IDMAP;
        userns_fd = u64::try_from(userns.as_raw_fd()).unwrap_or_default();
    }
    let propagation = match attributes.propagation {
        None => 0,
        Some(Propagation::Private) => libc::MS_PRIVATE,
        Some(Propagation::Slave) => libc::MS_SLAVE,
        Some(Propagation::Shared) => libc::MS_SHARED,
        Some(Propagation::Unbindable) => libc::MS_UNBINDABLE,
    };
    let attr = MountAttr {
        attr_set: u64::from(set.bits()),
        attr_clr: u64::from(attributes.clear.bits()),
        propagation,
        userns_fd,
    };
    let recursive = if depth == Depth::Recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: `attr` is a live mount_attr and the size is its exact length; the kernel only reads it.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    if rc == 0 { Ok(()) } else { Err(SysError::new("mount_setattr", name, last_errno())) }
}

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Makes a new file system instance, detached. An option without a value is a flag.
///
/// The error carries the kernel's own explanation where the file system wrote one.
pub fn new_filesystem(
    fstype: &str,
    options: &[(&str, Option<&str>)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, SysError> {
    let context = rustix::mount::fsopen(fstype, FsOpenFlags::FSOPEN_CLOEXEC).on("fsopen", fstype)?;
    let explain = |call, subject: String, errno| match explanation(&context) {
        Some(text) => SysError::new(call, format!("{subject} ({text})"), errno),
        None => SysError::new(call, subject, errno),
    };
    for (key, value) in options {
        let result = match value {
            Some(value) => rustix::mount::fsconfig_set_string(context.as_fd(), *key, *value),
            None => rustix::mount::fsconfig_set_flag(context.as_fd(), *key),
        };
        let option = || format!("{fstype} option {key}={}", value.unwrap_or_default());
        result.map_err(|errno| explain("fsconfig", option(), errno))?;
    }
    rustix::mount::fsconfig_create(context.as_fd())
        .map_err(|errno| explain("mount", fstype.to_owned(), errno))?;
    rustix::mount::fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(|errno| explain("fsmount", fstype.to_owned(), errno))
}

/// The last message a file system context holds (fsopen(2) read), without its severity letter.
fn explanation(context: &OwnedFd) -> Option<String> {
    let mut buffer = [0_u8; 256];
    let length = rustix::io::read(context, &mut buffer).ok()?;
    let text = String::from_utf8_lossy(buffer.get(..length)?).trim().to_owned();
    Some(text.get(2..).unwrap_or(&text).to_owned())
}

/// Attaches a detached tree onto an open directory or file.
pub fn attach(tree: impl AsFd, onto: impl AsFd, name: &str) -> Result<(), SysError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree, "", onto, "", flags).on("move_mount", name)
}

/// Attaches a detached tree at a path relative to an open directory, symlinks followed.
pub fn attach_at(tree: impl AsFd, directory: impl AsFd, path: &str) -> Result<(), SysError> {
    rustix::mount::move_mount(tree, "", directory, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .on("move_mount", path)
}

/// mount(2) of an overlay with relative names, resolved from the current directory: the names are all that
/// a container sees in its mountinfo.
pub fn mount_overlay(target: &str, options: &str) -> Result<(), SysError> {
    let options = std::ffi::CString::new(options).map_err(|_| SysError::at("mount", target, Errno::INVAL))?;
    rustix::mount::mount("overlay", target, "overlay", MountFlags::empty(), Some(options.as_c_str()))
        .on("mount", "overlay")
}

/// mount(2), for what a user describes in its words.
pub fn mount(
    source: &str,
    target: &Path,
    fstype: &str,
    flags: MountFlags,
    data: &str,
) -> Result<(), SysError> {
    let data = std::ffi::CString::new(data).map_err(|_| SysError::at("mount", target, Errno::INVAL))?;
    rustix::mount::mount(source, target, fstype, flags, Some(data.as_c_str())).on("mount", target)
}

/// Sets flags of a bind mount.
pub fn remount_bind(target: &Path, flags: MountFlags) -> Result<(), SysError> {
    rustix::mount::mount_remount(target, flags | MountFlags::BIND, c"").on("remount", target)
}

/// Says whether something is mounted right at `path`, not followed where it is a symlink.
pub fn is_mount_point(path: &Path) -> Result<bool, SysError> {
    use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let stat = rustix::fs::statx(CWD, path, flags, StatxFlags::empty()).on("stat", path)?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Changes the propagation of the mount at `path` and all below.
pub fn set_propagation(path: &str, propagation: Propagation) -> Result<(), SysError> {
    let flags = match propagation {
        Propagation::Private => MountPropagationFlags::PRIVATE,
        Propagation::Slave => MountPropagationFlags::DOWNSTREAM,
        Propagation::Shared => MountPropagationFlags::SHARED,
        Propagation::Unbindable => MountPropagationFlags::UNBINDABLE,
    };
    rustix::mount::mount_change(path, flags | MountPropagationFlags::REC).on("mount", path)
}

/// Makes the current directory the root and drops the old one, which it was stacked on.
pub fn pivot_to_current_directory() -> Result<(), SysError> {
    rustix::process::pivot_root(".", ".").on("pivot_root", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).on("umount", ".")?;
    rustix::process::chdir("/").on("chdir", "/")
}

/// Says whether this mount namespace has at least `count` mounts, without counting on.
pub fn are_many(count: usize) -> bool {
    // listmount(2), Linux 6.8: ids into a buffer that is full when there are enough.
    let mut ids = vec![0_u64; count];
    let request = MountIdRequest { size: 24, spare: 0, mnt_id: u64::MAX, param: 0 };
    // SAFETY: `request` is a live mnt_id_req of version 0 and `ids` has room for `count` ids; the kernel writes only there.
    let found = unsafe { libc::syscall(SYS_LISTMOUNT, &raw const request, ids.as_mut_ptr(), ids.len(), 0) };
    if let Ok(found) = usize::try_from(found) {
        return found >= count;
    }
    // A line is 80 bytes and more: what does not fit in here is many.
    let mut buffer = vec![0; count * 80];
    let Ok(file) = crate::fs::open("/proc/self/mountinfo") else { return false };
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(&file, rest) {
            Ok(0) | Err(_) => return false,
            Ok(length) => filled += length,
        }
    }
    true
}

/// Whether the file of a mount namespace is mounted at `path` or below it.
pub fn pins_mount_namespace(path: &Path) -> Result<bool, SysError> {
    let table = crate::fs::read("/proc/self/mountinfo")?;
    // Names that are not text are no reason to fail.
    let table = String::from_utf8_lossy(&table);
    let mut points = table.lines().filter_map(|line| {
        // Id, parent, device, root, mount point (proc_pid_mountinfo(5)).
        let mut fields = line.split(' ').skip(3);
        fields.next().filter(|root| root.starts_with("mnt:["))?;
        fields.next()
    });
    let Some(first) = points.next() else { return Ok(false) };
    // A path that is not there fails in open_tree, by its own name.
    let Ok(path) = path.canonicalize() else { return Ok(false) };
    Ok(std::iter::once(first).chain(points).any(|point| Path::new(&unescape(point)).starts_with(&path)))
}

/// Undoes the octal escapes that the kernel puts for blanks and backslashes.
fn unescape(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(point.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

/// The number of listmount(2), the same for all architectures.
const SYS_LISTMOUNT: libc::c_long = 458;

/// `struct mnt_id_req` of linux/mount.h, version 0; the id of all ones is the root (`LSMT_ROOT`).
#[repr(C)]
struct MountIdRequest {
    size: u32,
    spare: u32,
    mnt_id: u64,
    param: u64,
}

/// Detaches the mount at `path`.
pub fn unmount(path: impl AsRef<Path>) -> Result<(), SysError> {
    rustix::mount::unmount(path.as_ref(), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).on("umount", path)
}
