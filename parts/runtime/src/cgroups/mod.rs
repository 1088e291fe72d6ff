//! Control groups: one per container, in every v1 hierarchy it needs or in the v2 tree.
//!
//! Limits are translated by pure functions (`v1`, `v2`, `devices`); this module makes the directories, writes
//! the files and deals with the processes inside. It takes no lock; the caller owns the container's record.

pub mod devices;
mod error;
mod layout;
mod processes;
pub mod resources;
mod setup;
mod tree;
pub mod usage;
pub mod v1;
pub mod v2;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use corten_sys::{Errno, SysError, fs};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

pub use error::{CgroupError, Setting};
pub use layout::{Controller, Hierarchy, Layout};
pub use resources::Resources;
pub use setup::Former;

/// The parent of containers' cgroups unless `--cgroup-parent` names another.
pub const DEFAULT_PARENT: &str = "corten";

/// A container's cgroup: the same path in every hierarchy where it exists.
///
/// Holds no descriptor; serialises for the runtime record. What exists is asked of the kernel at every use, since
/// the freezer and other hierarchies may be joined later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    layout: Layout,
    /// Relative to each mount: `corten/<id>`.
    path: String,
}

impl Cgroup {
    /// Makes the cgroup `parent/id` with its limits; on an error nothing of it is left (the parent may be).
    ///
    /// On v1 only the hierarchies that every container needs, and those that a limit asks for, are entered. An
    /// empty cgroup of that name is replaced; one with processes is an error.
    pub fn create(
        layout: &Layout,
        parent: &str,
        id: &str,
        resources: &Resources,
    ) -> Result<Self, CgroupError> {
        let path = joined(parent, id)?;
        let cgroup = Self { layout: layout.clone(), path };
        match layout {
            Layout::V1(hierarchies) => setup::create_v1(hierarchies, &cgroup.path, resources)?,
            Layout::V2(mount) => setup::create_v2(mount, &cgroup.path, resources)?,
        }
        Ok(cgroup)
    }

    /// Names an existing cgroup by its path below the mounts (`corten/<id>`), without looking.
    pub fn open(layout: Layout, path: &str) -> Result<Self, CgroupError> {
        let path = joined("", path)?;
        Ok(Self { layout, path })
    }

    /// The path below each mount.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The mounts it lives in.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Lists the directories that exist, one per hierarchy.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.candidates().into_iter().filter(|directory| fs::exists(directory)).collect()
    }

    fn candidates(&self) -> Vec<PathBuf> {
        match &self.layout {
            Layout::V1(hierarchies) => {
                hierarchies.iter().map(|hierarchy| hierarchy.mount.join(&self.path)).collect()
            }
            Layout::V2(mount) => vec![mount.join(&self.path)],
        }
    }

    /// The directory in the hierarchy of `controller`, which need not exist.
    fn directory(&self, controller: Controller) -> Option<PathBuf> {
        match &self.layout {
            Layout::V1(hierarchies) => hierarchies
                .iter()
                .find(|hierarchy| hierarchy.controllers.contains(&controller))
                .map(|hierarchy| hierarchy.mount.join(&self.path)),
            Layout::V2(mount) => Some(mount.join(&self.path)),
        }
    }

    /// Opens, on v1, the files to which a process writes `0` to join; empty on v2 (see [`Cgroup::dir_fd`]).
    ///
    /// `tasks`, not `cgroup.procs`: the latter moves a thread group, which waits for a grace period (12 ms at the
    /// 95th percentile where `tasks` takes 0.3). The writer must be single-threaded.
    pub fn tasks_files(&self) -> Result<Vec<OwnedFd>, CgroupError> {
        match &self.layout {
            Layout::V1(_) => self.open_in_each("tasks"),
            Layout::V2(_) => Ok(Vec::new()),
        }
    }

    /// Opens every `cgroup.procs`, for a process that joins by writing `0` or is moved by writing its pid.
    pub fn procs_files(&self) -> Result<Vec<OwnedFd>, CgroupError> {
        self.open_in_each("cgroup.procs")
    }

    fn open_in_each(&self, file: &str) -> Result<Vec<OwnedFd>, CgroupError> {
        let mut files = Vec::new();
        for directory in self.candidates() {
            let path = directory.join(file);
            match rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
                Ok(fd) => files.push(fd),
                // v1: a hierarchy this container is not in.
                Err(Errno::NOENT) if !self.layout.is_v2() => {}
                Err(errno) => return Err(SysError::at("open", path, errno).into()),
            }
        }
        if files.is_empty() {
            return Err(SysError::new("open cgroup", &self.path, Errno::NOENT).into());
        }
        Ok(files)
    }

    /// Opens, on v2, the directory for clone3(CLONE_INTO_CGROUP); `None` on v1 (see [`Cgroup::tasks_files`]).
    pub fn dir_fd(&self) -> Result<Option<OwnedFd>, CgroupError> {
        match &self.layout {
            Layout::V1(_) => Ok(None),
            Layout::V2(mount) => Ok(Some(tree::open(&mount.join(&self.path))?)),
        }
    }

    /// Changes the given limits and leaves the others; a hierarchy that becomes necessary is entered by all.
    ///
    /// All of them or none: what was there before is put back after an error, and returned otherwise. Device rules
    /// alone are not.
    pub fn update(&self, resources: &Resources) -> Result<Former, CgroupError> {
        match &self.layout {
            Layout::V1(hierarchies) => {
                let joined = setup::update_v1(hierarchies, &self.path, resources)?;
                for directory in joined {
                    self.adopt(&directory)?;
                }
                setup::apply_v1(hierarchies, &self.path, resources)
            }
            Layout::V2(mount) => setup::update_v2(mount, &self.path, resources),
        }
    }

    /// Counts the processes that the kernel killed for want of memory; 0 without a memory controller.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let file = if self.layout.is_v2() { "memory.events" } else { "memory.oom_control" };
        let Some(directory) = self.directory(Controller::Memory) else { return Ok(0) };
        let text = fs::read_if_exists(directory.join(file))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        Ok(value_of(&text, "oom_kill").and_then(|value| value.parse().ok()).unwrap_or(0))
    }

    /// Removes every directory, with those the container made inside; one that is not there is no error.
    ///
    /// A cgroup whose last process is still exiting is waited for until `patience` is over. Goes on after an error
    /// and reports all of them.
    pub fn remove(&self, patience: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + patience;
        let mut failures = Vec::new();
        for directory in self.candidates() {
            loop {
                match tree::remove(&directory) {
                    Ok(()) => break,
                    Err(error) if error.errno() == Errno::BUSY && Instant::now() < deadline => {
                        processes::wait_for_exit(&directory, deadline);
                    }
                    Err(error) => {
                        failures.push(error);
                        break;
                    }
                }
            }
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(CgroupError::Remove { path: self.path.clone(), failures })
        }
    }
}

/// Joins and checks a path below a hierarchy's mount.
fn joined(parent: &str, id: &str) -> Result<String, CgroupError> {
    let bad = |reason| Err(CgroupError::BadPath { path: format!("{parent}/{id}"), reason });
    let names: Vec<&str> = parent.split('/').chain(id.split('/')).filter(|name| !name.is_empty()).collect();
    if id.trim_matches('/').is_empty() {
        return bad("the name is empty");
    }
    if names.iter().any(|name| matches!(*name, "." | "..")) {
        return bad("`.` and `..` are not allowed");
    }
    if names.iter().any(|name| name.bytes().any(|byte| byte == b'\n' || byte == 0)) {
        return bad("a line break or NUL is not allowed");
    }
    Ok(names.join("/"))
}

/// Docker's limits where zero and below mean none.
fn max_or(limit: i64) -> String {
    if limit <= 0 { "max".to_owned() } else { limit.to_string() }
}

/// Returns the value of `key` in a file of "key value" lines.
fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_and_checked() {
        assert_eq!(joined("corten", "abc").unwrap(), "corten/abc");
        assert_eq!(joined("/system.slice/x.service/", "abc").unwrap(), "system.slice/x.service/abc");
        assert_eq!(joined("", "corten/abc").unwrap(), "corten/abc");
        for (parent, id) in [("a/..", "x"), ("a", ""), ("a", "/"), (".", "x"), ("a\nb", "x")] {
            assert!(joined(parent, id).is_err(), "{parent} {id}");
        }
    }

    #[test]
    fn reads_keyed_files() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(value_of(text, "oom_kill"), Some("3"));
        assert_eq!(value_of(text, "low"), None);
    }

    #[test]
    fn a_cgroup_survives_its_record() {
        let layout = Layout::V1(vec![Hierarchy {
            controllers: vec![Controller::Cpu, Controller::Cpuacct],
            mount: PathBuf::from("/sys/fs/cgroup/cpu,cpuacct"),
        }]);
        let cgroup = Cgroup::open(layout, "corten/abc").unwrap();
        let text = serde_json::to_string(&cgroup).unwrap();
        assert_eq!(serde_json::from_str::<Cgroup>(&text).unwrap(), cgroup);
    }
}
