//! What init does before its plan has come: what every start needs, and file systems that a plan will ask for.

use std::os::fd::OwnedFd;

use corten_sys::mount::{self, MountAttrFlags};
use corten_sys::{Dir, Errno, SysError, label, network, process};
use rustix::fs::{Mode, OFlags};

use crate::lsm;
use crate::plan::{Entry, NewFilesystem, Prelude};

/// What is done already.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    settled: bool,
    loopback: bool,
    filesystems: Vec<(NewFilesystem, OwnedFd)>,
    /// The /dev that was made outside.
    pub(crate) dev: Option<OwnedFd>,
}

impl Prepared {
    /// Does what the prelude asks for. A file system that cannot be made is left for the plan's own attempt, which
    /// reports why.
    pub(crate) fn work(&mut self, prelude: Prelude) -> Result<(), SysError> {
        self.settle("")?;
        if prelude.own_network {
            self.loopback_up()?;
        }
        for filesystem in prelude.filesystems {
            if let Ok(tree) = make(&filesystem) {
                self.filesystems.push((filesystem, tree));
            }
        }
        Ok(())
    }

    /// Makes this process one of its own: untraceable, the container's root, in a session and keyring of its own, which
    /// has the payload's SELinux label.
    pub(crate) fn settle(&mut self, label: &str) -> Result<(), SysError> {
        if std::mem::replace(&mut self.settled, true) {
            return Ok(());
        }
        // Until it has become the payload nobody inside may look into it or trace it (CVE-2016-9962).
        process::forbid_tracing()?;
        // Modes of nodes and directories are as asked for.
        rustix::process::umask(Mode::empty());
        process::become_ids(0, 0)?;
        rustix::process::setsid().map_err(|errno| SysError::new("setsid", "", errno))?;
        new_session_keyring(label)
    }

    /// Switches the loopback on, once.
    pub(crate) fn loopback_up(&mut self) -> Result<(), SysError> {
        if std::mem::replace(&mut self.loopback, true) { Ok(()) } else { network::loopback_up() }
    }

    /// Takes a file system that was made like this.
    pub(crate) fn take(&mut self, wanted: &NewFilesystem) -> Option<OwnedFd> {
        let index = self.filesystems.iter().position(|(made, _)| made == wanted)?;
        Some(self.filesystems.swap_remove(index).1)
    }
}

/// Joins a new session keyring that has the SELinux label, where there is one.
pub(crate) fn new_session_keyring(label: &str) -> Result<(), SysError> {
    if !label.is_empty() {
        lsm::label_keys(&Dir::open("/")?, label)?;
    }
    process::new_session_keyring()
}

/// Makes a file system, detached, with what belongs in it.
pub(crate) fn make(wanted: &NewFilesystem) -> Result<OwnedFd, SysError> {
    let options: Vec<_> =
        wanted.options.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
    let attributes = MountAttrFlags::from_bits_retain(wanted.attributes);
    let tree = mount::new_filesystem(&wanted.kind, &options, attributes)?;
    label_root(&tree, wanted)?;
    for entry in &wanted.entries {
        match entry {
            Entry::Directory(name) => rustix::fs::mkdirat(&tree, name, Mode::from_bits_truncate(0o755))
                .map_err(|errno| SysError::at("mkdir", name, errno))?,
            Entry::Link(name, text) => rustix::fs::symlinkat(text, &tree, name)
                .map_err(|errno| SysError::at("symlink", name, errno))?,
        }
    }
    Ok(tree)
}

fn label_root(tree: &OwnedFd, wanted: &NewFilesystem) -> Result<(), SysError> {
    if wanted.label.is_empty() {
        return Ok(());
    }
    // The mount's own descriptor is one of the O_PATH kind.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(tree, ".", flags, Mode::empty())
        .map_err(|errno| SysError::new("open", &wanted.kind, errno))?;
    match label::set_on(&root, &wanted.kind, &wanted.label) {
        // The root of the message queues belongs to who has made the IPC namespace, which is no user of a container's own
        // user namespace: there they keep the label that the policy gives them.
        Err(error) if error.errno() == Errno::PERM => Ok(()),
        other => other,
    }
}
