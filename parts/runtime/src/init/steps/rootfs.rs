//! The root file system: an overlay of the handed-in layers, and the move into it.
//!
//! Mounted only in init's own mount namespace: the host sees no mount, and the namespace's end is the clean-up.

use std::fmt::Write as _;

use corten_sys::mount::{self, Attributes, Depth, MountAttrFlags, Propagation};
use corten_sys::{Dir, Errno, SysError};
use rustix::fs::{CWD, Mode, StatVfsMountFlags};

use super::super::Handed;
use crate::launch::StartFailure;
use crate::plan::{CONTEXT, InitPlan, Propagation as Planned};

/// Puts the root together on a tmpfs of its own and opens it.
///
/// The overlay's options are relative names, so a container sees no path of the host in its mountinfo.
pub(crate) fn build(plan: &InitPlan, handed: &mut Handed) -> Result<Dir, StartFailure> {
    if !plan.own_user_namespace {
        // In a user namespace of its own every mount that came along is a slave already (mount_namespaces(7)).
        mount::set_propagation("/", Propagation::Private)?;
    }
    let staging = mount::new_filesystem("tmpfs", &[("mode", Some("0700"))], MountAttrFlags::empty())?;
    // Any directory that every id may search will do. Not `/`: leaving it would then take off only the tmpfs.
    let onto = Dir::open("/proc")?;
    mount::attach(&staging, &onto, "staging")?;
    rustix::process::fchdir(&staging).map_err(|errno| SysError::new("chdir", "staging", errno))?;

    let mut options = String::from("lowerdir=");
    for index in 0..plan.lowers {
        attach_named(handed, &index.to_string())?;
        let separator = if index == 0 { "" } else { ":" };
        // Writing to a String cannot fail.
        write!(options, "{separator}{index}").unwrap_or_default();
    }
    if plan.writable {
        attach_named(handed, "w")?;
        options.push_str(",upperdir=w/upper,workdir=w/work");
        if plan.volatile {
            options.push_str(",volatile");
        }
    }
    options.push_str(",userxattr");
    if !plan.mount_label.is_empty() {
        // In quotes: a level has commas.
        write!(options, ",{CONTEXT}=\"{}\"", plan.mount_label).unwrap_or_default();
    }
    make_directory("root")?;
    mount_overlay(plan, options)?;
    let root = Dir::open("root")?;
    if plan.writable {
        check_writable(&root)?;
    }
    Ok(root)
}

/// An overlay that cannot make its work directory (a full disk) is mounted read-only without an error.
fn check_writable(root: &Dir) -> Result<(), SysError> {
    let failed = |errno| SysError::new("mount", "overlay", errno);
    let statistics = rustix::fs::fstatvfs(root).map_err(failed)?;
    if !statistics.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    // The reason is what the same attempt comes to here.
    let tried = rustix::fs::mkdirat(CWD, "w/work/tried", Mode::from_bits_truncate(0o700));
    Err(SysError::new("mount", "overlay: make its work directory", tried.err().unwrap_or(Errno::ROFS)))
}

/// A root that dies with its container needs no identity of its own, which the kernel would store in the upper
/// directory (`uuid=null`, Linux 6.6; before that there was none).
fn mount_overlay(plan: &InitPlan, options: String) -> Result<(), SysError> {
    if plan.writable && plan.volatile {
        match mount::mount_overlay("root", &format!("{options},uuid=null")) {
            Err(error) if error.errno() == Errno::INVAL => {}
            other => return other,
        }
    }
    mount::mount_overlay("root", &options)
}

fn attach_named(handed: &mut Handed, name: &str) -> Result<(), StartFailure> {
    make_directory(name)?;
    Ok(mount::attach_at(handed.next()?, CWD, name)?)
}

fn make_directory(name: &str) -> Result<(), SysError> {
    rustix::fs::mkdirat(CWD, name, Mode::from_bits_truncate(0o755))
        .map_err(|errno| SysError::at("mkdir", name, errno))
}

/// Makes the finished root the process's `/` and lets go of everything else.
pub(crate) fn enter(plan: &InitPlan, rootfs: &Dir) -> Result<(), SysError> {
    if plan.readonly {
        let attributes = Attributes { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        mount::set_attributes(rootfs, "/", Depth::One, attributes)?;
    }
    rustix::process::fchdir(rootfs).map_err(|errno| SysError::new("chdir", "rootfs", errno))?;
    mount::pivot_to_current_directory()?;
    match plan.root_propagation {
        Planned::Private => Ok(()),
        Planned::Slave => mount::set_propagation("/", Propagation::Slave),
        Planned::Shared => mount::set_propagation("/", Propagation::Shared),
    }
}
