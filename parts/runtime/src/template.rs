//! A mount namespace with nothing in it but /proc and /sys, for hosts that have many mounts.
//!
//! A container's mount namespace begins as a copy of one. Copying and dropping the host's thousand mounts takes longer
//! than the rest of a start; copying these two takes a few microseconds, however many there are outside. It is pinned
//! by a bind of its nsfs file in the run directory, so it needs no process and ends with the boot. No path of the host
//! can be resolved in it: those are opened by the keeper (architecture D11).

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::path::Path;

use corten_sys::mount::{self, Attributes, Depth, MountAttrFlags, Propagation};
use corten_sys::process::{self, Cloned, namespace};
use corten_sys::{Dir, Errno, SysError, fs, socket};
use rustix::fs::{FlockOperation, Mode};

/// From so many mounts on the detour through the template is the shorter way.
const MANY: usize = 100;

/// Its directory in the run directory, and the file in that on which it is pinned.
const DIRECTORY: &str = "template";
const FILE: &str = "mnt";

/// Holds the reason where it could not be pinned: it is not tried again in this boot.
const FAILED: &str = "template-failed";

/// `NSFS_MAGIC` (linux/magic.h).
const NSFS: i64 = 0x6e73_6673;

/// Opens the template below `run`, making it on first use; `None` where the host has few mounts, or it could not be made.
pub fn open(run: &Path) -> Result<Option<OwnedFd>, SysError> {
    if !mount::are_many(MANY) {
        return Ok(None);
    }
    let directory = run.join(DIRECTORY);
    if let Some(pinned) = pinned(&directory.join(FILE))? {
        return Ok(Some(pinned));
    }
    if fs::exists(run.join(FAILED)) {
        return Ok(None);
    }
    fs::create_dir_all(&directory, 0o700)?;
    // Held while it is made: one command makes it, the others wait.
    let lock = fs::open(run)?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)
        .map_err(|errno| SysError::at("flock", run, errno))?;
    if let Some(pinned) = pinned(&directory.join(FILE))? {
        return Ok(Some(pinned));
    }
    if let Err(error) = make(&directory) {
        mount::unmount(&directory).unwrap_or_default();
        fs::write_atomic(run.join(FAILED), error.to_string().as_bytes())?;
        return Err(error);
    }
    pinned(&directory.join(FILE))
}

/// The namespace mounted at `path`, if one is: a caller in another mount namespace may not see it.
fn pinned(path: &Path) -> Result<Option<OwnedFd>, SysError> {
    let Some(file) = fs::absent_is_none(fs::open(path))? else { return Ok(None) };
    let stat = rustix::fs::fstatfs(&file).map_err(|errno| SysError::at("statfs", path, errno))?;
    Ok((stat.f_type == NSFS).then(|| file.into()))
}

/// Lets a child make the namespace and pins it in `directory`.
fn make(directory: &Path) -> Result<(), SysError> {
    let place = private_place(directory)?;
    let (ours, theirs) = socket::pair()?;
    match process::clone(namespace::MOUNT, None)? {
        Cloned::Child => {
            drop(ours);
            let made = build();
            let text = made.as_ref().err().map(ToString::to_string).unwrap_or_default();
            // A parent that is gone needs no answer; the namespace ends with this process.
            socket::send(&theirs, text.as_bytes(), &[]).unwrap_or_default();
            socket::receive(&theirs).map(drop).unwrap_or_default();
            process::exit_now(i32::from(made.is_err()))
        }
        Cloned::Parent { pid, pidfd } => {
            drop(theirs);
            let answer = socket::receive(&ours)?;
            let pin = match answer {
                Some(message) if message.bytes.is_empty() => {
                    let path = format!("/proc/{}/ns/mnt", pid.as_raw_nonzero());
                    mount::clone_tree(&path, Depth::One).and_then(|tree| mount::attach_at(tree, &place, FILE))
                }
                other => {
                    let text = other.map(|message| String::from_utf8_lossy(&message.bytes).into_owned());
                    let text = text.unwrap_or_else(|| "its maker died".to_owned());
                    Err(SysError::new("make mount namespace", text, Errno::IO))
                }
            };
            drop(ours);
            process::wait(&pidfd)?;
            pin
        }
    }
}

/// Binds the directory to itself, privately, with a file in it: no copy of a mount namespace's file may reach another
/// mount namespace, and the run root is often on a mount that is shared (unshare(1), "Persistent namespaces").
fn private_place(directory: &Path) -> Result<OwnedFd, SysError> {
    let tree = mount::clone_tree(directory, Depth::One)?;
    let attributes = Attributes { propagation: Some(Propagation::Private), ..Attributes::default() };
    mount::set_attributes(&tree, "template", Depth::One, attributes)?;
    mount::attach(&tree, fs::open_path(directory)?, "template")?;
    // Attaching to a shared mount has made it shared again.
    mount::set_attributes(&tree, "template", Depth::One, attributes)?;
    fs::open_with(directory.join(FILE), OpenOptions::new().create(true).truncate(false).write(true))?;
    Ok(tree)
}

/// Leaves nothing in this process's mount namespace but the two file systems that a container must find visible to be
/// allowed its own (mount_namespaces(7)).
fn build() -> Result<(), SysError> {
    mount::set_propagation("/", Propagation::Private)?;
    let staging = mount::new_filesystem("tmpfs", &[("mode", Some("0755"))], MountAttrFlags::empty())?;
    let onto = Dir::open("/proc")?;
    mount::attach(&staging, &onto, "staging")?;
    rustix::process::fchdir(&staging).map_err(|errno| SysError::new("chdir", "staging", errno))?;
    for kind in ["proc", "sysfs"] {
        let name = kind.trim_end_matches("fs");
        rustix::fs::mkdirat(&staging, name, Mode::from_bits_truncate(0o755))
            .map_err(|errno| SysError::at("mkdir", name, errno))?;
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let tree = mount::new_filesystem(kind, &[], flags)?;
        mount::attach_at(tree, &staging, name)?;
    }
    mount::pivot_to_current_directory()
}
