//! The mounts below the root and what belongs in /dev, every target resolved inside the root.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use corten_sys::mount::{self, Attributes, Depth, MountAttrFlags};
use corten_sys::{Dir, Errno, SysError, pty};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

use super::super::prelude::{self, Prepared};
use super::super::{Handed, Report};
use super::populate;
use crate::launch::StartFailure;
use crate::plan::{DeviceStep, InitPlan, MountSource, MountStep};

/// Attaches every mount in order, makes the device nodes, and opens the terminal where one is asked for.
pub(crate) fn attach_all(
    plan: &InitPlan,
    rootfs: &Dir,
    handed: &mut Handed,
    prepared: &mut Prepared,
    socket: &UnixStream,
) -> Result<Option<OwnedFd>, StartFailure> {
    let mut terminal = None;
    let mut sealed = Vec::new();
    let mut nodes = None;
    for step in &plan.mounts {
        let tree = attach(step, rootfs, handed, &mut Sources { prepared, nodes: &mut nodes })?;
        if step.seal {
            sealed.push((tree, &step.target));
        }
    }
    for device in &plan.devices {
        make_node(device, rootfs)?;
    }
    for (tree, target) in sealed {
        let attributes = Attributes { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        mount::set_attributes(tree, target, Depth::One, attributes)?;
    }
    if plan.process.terminal {
        let (master, slave) = pty::open_in(&rootfs.open_dir("/dev/pts")?)?;
        Report::Terminal(master).send(socket)?;
        if plan.mounts.iter().all(|step| {
            step.target != "/dev" || matches!(step.source, MountSource::New(_) | MountSource::Dev)
        }) {
            console(&slave, rootfs)?;
        }
        terminal = Some(slave);
    }
    Ok(terminal)
}

/// Where trees come from that were not handed in one by one.
struct Sources<'a> {
    prepared: &'a mut Prepared,
    /// The directory of the device nodes, once it is attached.
    nodes: &'a mut Option<Dir>,
}

fn attach(
    step: &MountStep,
    rootfs: &Dir,
    handed: &mut Handed,
    sources: &mut Sources<'_>,
) -> Result<OwnedFd, StartFailure> {
    let tree = match &step.source {
        MountSource::Tree => handed.next()?,
        MountSource::Dev => {
            let missing = || StartFailure::platform("init: a descriptor is missing");
            sources.prepared.dev.take().ok_or_else(missing)?
        }
        MountSource::Node(number) => {
            let nodes = match sources.nodes.take() {
                Some(open) => sources.nodes.insert(open),
                None => sources.nodes.insert(attach_nodes(handed)?),
            };
            let node = nodes.open_at(number.to_string(), OFlags::PATH | OFlags::NOFOLLOW, 0)?;
            mount::clone_tree_of(node, &step.target, Depth::One)?
        }
        MountSource::New(filesystem) => match sources.prepared.take(filesystem) {
            Some(tree) => tree,
            None => prelude::make(filesystem)?,
        },
    };
    let stat = rustix::fs::fstat(&tree).map_err(|errno| SysError::at("stat", &step.target, errno))?;
    let target = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        rootfs.create_dir_all(&step.target, 0o755)?.into()
    } else {
        target_file(rootfs, &step.target)?
    };
    if step.populate {
        populate::copy(&target, &tree, &step.target)?;
    }
    mount::attach(&tree, &target, &step.target)?;
    Ok(tree)
}

/// Attaches the device nodes that were made outside beside the root, which is soon left: only an attached mount can be
/// cloned (before Linux 6.15).
fn attach_nodes(handed: &mut Handed) -> Result<Dir, StartFailure> {
    let name = "nodes";
    rustix::fs::mkdirat(CWD, name, Mode::from_bits_truncate(0o755))
        .map_err(|errno| SysError::at("mkdir", name, errno))?;
    mount::attach_at(handed.next()?, CWD, name)?;
    Ok(Dir::open(name)?)
}

/// Opens the file to mount over, creating it where it is missing. A dangling symlink gives way to a file.
fn target_file(rootfs: &Dir, path: &str) -> Result<OwnedFd, SysError> {
    match rootfs.open_at(path, OFlags::PATH, 0) {
        Err(error) if error.errno() == Errno::NOENT => {}
        other => return other,
    }
    let path = Path::new(path);
    let parent = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().ok_or_else(|| SysError::at("create", path, Errno::INVAL))?;
    let directory = rootfs.create_dir_all(parent, 0o755)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW;
    let created = match directory.open_at(name, flags, 0o644) {
        Err(error) if error.errno() == Errno::EXIST => {
            directory.unlink(&name.to_string_lossy())?;
            directory.open_at(name, flags, 0o644)
        }
        other => other,
    };
    created.map_err(|error| SysError::at("create", path, error.errno()))
}

fn make_node(device: &DeviceStep, rootfs: &Dir) -> Result<(), SysError> {
    let path = Path::new(&device.path);
    let on = |call, errno| SysError::at(call, path, errno);
    let parent = rootfs.create_dir_all(path.parent().unwrap_or(Path::new("/")), 0o755)?;
    let name = path.file_name().ok_or_else(|| on("mknod", Errno::INVAL))?;
    let kind = FileType::from_raw_mode(device.mode);
    let number = rustix::fs::makedev(device.number.0, device.number.1);
    let mode = Mode::from_bits_truncate(device.mode);
    match rustix::fs::mknodat(&parent, name, kind, mode, number) {
        Ok(()) => {}
        // Whatever has the name already (a user's mount) is left as it is, if it is that device.
        Err(Errno::EXIST) => {
            return same_device(&parent, name, kind, number).map_err(|errno| on("mknod", errno));
        }
        Err(errno) => return Err(on("mknod", errno)),
    }
    let (uid, gid) = (rustix::fs::Uid::from_raw(device.owner.0), rustix::fs::Gid::from_raw(device.owner.1));
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(&parent, name, Some(uid), Some(gid), flags).map_err(|errno| on("chown", errno))
}

fn same_device(parent: &Dir, name: &OsStr, kind: FileType, number: u64) -> Result<(), Errno> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let same = FileType::from_raw_mode(stat.st_mode) == kind && stat.st_rdev == number;
    if same { Ok(()) } else { Err(Errno::EXIST) }
}

/// Binds the terminal over /dev/console, by descriptor.
fn console(slave: &OwnedFd, rootfs: &Dir) -> Result<(), SysError> {
    let target = target_file(rootfs, "/dev/console")?;
    let tree = mount::clone_tree_of(slave.as_fd(), "/dev/console", mount::Depth::One)?;
    mount::attach(&tree, &target, "/dev/console")
}
