//! Making a cgroup's directories and writing its limits.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use corten_sys::{Errno, SysError, bpf, fs};
use rustix::fs::{Mode, OFlags};

use super::error::{CgroupError, Setting};
use super::layout::{Controller, Hierarchy};
use super::resources::Resources;
use super::{devices, tree, v1, v2};

/// What every container enters on v1: its limits are the usual ones, and `pids` and `devices` contain it.
const EAGER: [Controller; 5] =
    [Controller::Cpu, Controller::Cpuacct, Controller::Memory, Controller::Pids, Controller::Devices];

/// What is switched on in a v2 parent where the kernel has it, for accounting.
const ACCOUNTED: [Controller; 4] = [Controller::Cpu, Controller::Memory, Controller::Pids, Controller::Blkio];

const DIRECTORY_MODE: u32 = 0o755;

/// The directories made so far; removed again unless kept.
struct Undo(Vec<PathBuf>);

impl Undo {
    fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        for directory in self.0.drain(..) {
            // The error that led here is the one to report.
            drop(tree::remove(&directory));
        }
    }
}

/// What the files of a cgroup said before they were written, in the order of the writing.
#[derive(Debug)]
pub struct Former(Vec<(PathBuf, Vec<u8>)>);

impl Former {
    /// Reads what the settings are going to change; what has several lines, or cannot be read, is left out.
    fn read(settings: &[Setting], directory: impl Fn(&Setting) -> Option<PathBuf>) -> Self {
        let one = |setting: &Setting| {
            let path = directory(setting)?.join(&setting.file);
            let bytes = fs::read(&path).ok()?;
            let line = bytes.trim_ascii();
            // io.bfq.weight shows a word that it does not take.
            let line = if setting.file.contains("bfq") {
                line.strip_prefix(b"default ").unwrap_or(line)
            } else {
                line
            };
            (!line.contains(&b'\n')).then(|| (path, line.to_vec()))
        };
        Self(settings.iter().filter_map(one).collect())
    }

    /// Writes it back, the last first, so that every step is as allowed as it was the other way round.
    pub fn restore(self) {
        for (path, value) in self.0.into_iter().rev() {
            // An empty write is none to the kernel; a line break empties a cpuset.
            let value = if value.is_empty() { b"\n".to_vec() } else { value };
            if let Err(error) = fs::write_kernel_file(&path, &value) {
                log::warn!("restoring a limit: {error}");
            }
        }
    }
}

/// Makes a new cgroup directory and, where missing, its parents. A leftover without processes is replaced.
fn make_new(mount: &Path, path: &str) -> Result<PathBuf, SysError> {
    let directory = mount.join(path);
    match fs::create_dir(&directory, DIRECTORY_MODE) {
        Err(error) if error.errno() == Errno::NOENT => {
            if let Some(parent) = directory.parent() {
                fs::create_dir_all(parent, DIRECTORY_MODE)?;
            }
            fs::create_dir(&directory, DIRECTORY_MODE)?;
        }
        Err(error) if error.errno() == Errno::EXIST => {
            tree::remove(&directory)?;
            fs::create_dir(&directory, DIRECTORY_MODE)?;
        }
        other => other?,
    }
    Ok(directory)
}

fn hierarchy_of(hierarchies: &[Hierarchy], controller: Controller) -> Option<&Hierarchy> {
    hierarchies.iter().find(|hierarchy| hierarchy.controllers.contains(&controller))
}

/// Returns the hierarchies that the settings need, or says which limit cannot be kept.
fn needed_v1<'a>(
    hierarchies: &'a [Hierarchy],
    settings: &[Setting],
) -> Result<Vec<&'a Hierarchy>, CgroupError> {
    let mut needed: Vec<&Hierarchy> = Vec::new();
    for (what, controller) in v2::needed(settings) {
        let hierarchy = hierarchy_of(hierarchies, controller)
            .ok_or(CgroupError::MissingController { what, controller })?;
        if !needed.contains(&hierarchy) {
            needed.push(hierarchy);
        }
    }
    Ok(needed)
}

/// The facts of a cgroup that is being made: no limit yet, BFQ weights.
const FRESH: v1::Facts = v1::Facts { memory_limit: u64::MAX, bfq: true };

pub(super) fn create_v1(
    hierarchies: &[Hierarchy],
    path: &str,
    resources: &Resources,
) -> Result<(), CgroupError> {
    let mut settings = v1::settings(resources, FRESH)?;
    let mut wanted = needed_v1(hierarchies, &settings)?;
    for controller in EAGER {
        if let Some(hierarchy) = hierarchy_of(hierarchies, controller)
            && !wanted.contains(&hierarchy)
        {
            wanted.push(hierarchy);
        }
    }
    let mut undo = Undo(Vec::with_capacity(wanted.len()));
    for hierarchy in wanted {
        undo.0.push(make_new(&hierarchy.mount, path)?);
        if hierarchy.controllers.contains(&Controller::Cpuset) {
            fill_cpuset(&hierarchy.mount, path)?;
        }
    }
    if has_legacy_weight(hierarchies, path, resources) {
        settings = v1::settings(resources, v1::Facts { bfq: false, ..FRESH })?;
    }
    write_v1(hierarchies, path, &settings)?;
    undo.keep();
    Ok(())
}

/// Joins the hierarchies that `resources` needs and that the cgroup is not in yet; returns their directories, which
/// the processes still have to enter.
pub(super) fn update_v1(
    hierarchies: &[Hierarchy],
    path: &str,
    resources: &Resources,
) -> Result<Vec<PathBuf>, CgroupError> {
    let settings = v1::settings(resources, FRESH)?;
    let mut joined = Vec::new();
    for hierarchy in needed_v1(hierarchies, &settings)? {
        if fs::exists(hierarchy.mount.join(path)) {
            continue;
        }
        joined.push(make_new(&hierarchy.mount, path)?);
        if hierarchy.controllers.contains(&Controller::Cpuset) {
            fill_cpuset(&hierarchy.mount, path)?;
        }
    }
    Ok(joined)
}

/// Makes the freezer's directory unless it is there.
pub(super) fn join_v1(hierarchy: &Hierarchy, path: &str) -> Result<PathBuf, CgroupError> {
    let directory = hierarchy.mount.join(path);
    if fs::exists(&directory) { Ok(directory) } else { Ok(make_new(&hierarchy.mount, path)?) }
}

/// Writes limits into an existing cgroup.
pub(super) fn apply_v1(
    hierarchies: &[Hierarchy],
    path: &str,
    resources: &Resources,
) -> Result<Former, CgroupError> {
    let mut facts = FRESH;
    if resources.memory.limit.is_some()
        && resources.memory.swap.is_some()
        && let Some(hierarchy) = hierarchy_of(hierarchies, Controller::Memory)
    {
        let text = fs::read_to_string(hierarchy.mount.join(path).join("memory.limit_in_bytes"))?;
        facts.memory_limit = text.trim().parse().unwrap_or(u64::MAX);
    }
    facts.bfq = !has_legacy_weight(hierarchies, path, resources);
    let settings = v1::settings(resources, facts)?;
    let directory = |setting: &Setting| Some(hierarchy_of(hierarchies, setting.controller)?.mount.join(path));
    let former = Former::read(&settings, directory);
    match write_v1(hierarchies, path, &settings) {
        Ok(()) => Ok(former),
        Err(error) => {
            former.restore();
            Err(error)
        }
    }
}

fn has_legacy_weight(hierarchies: &[Hierarchy], path: &str, resources: &Resources) -> bool {
    let weighs = resources.blkio.weight.is_some() || !resources.blkio.weight_device.is_empty();
    weighs
        && hierarchy_of(hierarchies, Controller::Blkio)
            .is_some_and(|hierarchy| fs::exists(hierarchy.mount.join(path).join("blkio.weight")))
}

fn write_v1(hierarchies: &[Hierarchy], path: &str, settings: &[Setting]) -> Result<(), CgroupError> {
    for group in settings.chunk_by(|a, b| a.controller == b.controller) {
        let Some(first) = group.first() else { continue };
        let hierarchy = hierarchy_of(hierarchies, first.controller)
            .ok_or(CgroupError::MissingController { what: first.what, controller: first.controller })?;
        write(&hierarchy.mount.join(path), group)?;
    }
    Ok(())
}

/// Gives every empty cpuset on the way down its parent's processors and memory nodes: a task cannot enter a v1
/// cpuset that has none.
fn fill_cpuset(mount: &Path, path: &str) -> Result<(), SysError> {
    let mut parent = mount.to_owned();
    for name in path.split('/') {
        let directory = parent.join(name);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if fs::read(directory.join(file))?.trim_ascii().is_empty() {
                let inherited = fs::read(parent.join(file))?;
                fs::write_kernel_file(directory.join(file), inherited.trim_ascii())?;
            }
        }
        parent = directory;
    }
    Ok(())
}

pub(super) fn create_v2(mount: &Path, path: &str, resources: &Resources) -> Result<(), CgroupError> {
    let settings = v2::settings(resources, v2::Facts { bfq: false })?;
    let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
    let parent_directory = mount.join(parent);
    if !parent.is_empty() && !fs::exists(&parent_directory) {
        fs::create_dir_all(&parent_directory, DIRECTORY_MODE)?;
    }
    enable(mount, parent, &v2::needed(&settings))?;
    let undo = Undo(vec![make_new(mount, path)?]);
    apply_v2(&mount.join(path), resources, settings)?;
    undo.keep();
    Ok(())
}

pub(super) fn update_v2(mount: &Path, path: &str, resources: &Resources) -> Result<Former, CgroupError> {
    let settings = v2::settings(resources, v2::Facts { bfq: false })?;
    let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
    enable(mount, parent, &v2::needed(&settings))?;
    let directory = mount.join(path);
    let former = Former::read(&settings, |_| Some(directory.clone()));
    match apply_v2(&directory, resources, settings) {
        Ok(()) => Ok(former),
        Err(error) => {
            former.restore();
            Err(error)
        }
    }
}

fn apply_v2(directory: &Path, resources: &Resources, settings: Vec<Setting>) -> Result<(), CgroupError> {
    let weighs = settings.iter().any(|setting| setting.file == "io.weight");
    let settings = if weighs && fs::exists(directory.join("io.bfq.weight")) {
        v2::settings(resources, v2::Facts { bfq: true })?
    } else {
        settings
    };
    write(directory, &settings)?;
    if let Some(rules) = &resources.devices {
        filter_devices(directory, &devices::v2_program(rules))
            .map_err(|source| CgroupError::DeviceFilter { directory: directory.to_owned(), source })?;
    }
    Ok(())
}

/// Attaches the device program in place of the one that is there, without a moment with neither.
fn filter_devices(directory: &Path, program: &[u64]) -> Result<(), SysError> {
    let cgroup = tree::open(directory)?;
    let loaded = bpf::load_cgroup_device(program)?;
    let mut old = Vec::new();
    for id in bpf::query_cgroup_device(cgroup.as_fd())? {
        old.push(bpf::program_by_id(id)?);
    }
    bpf::attach_cgroup_device(cgroup.as_fd(), loaded.as_fd(), old.first().map(AsFd::as_fd))?;
    for extra in old.iter().skip(1) {
        bpf::detach_cgroup_device(cgroup.as_fd(), extra.as_fd())?;
    }
    Ok(())
}

/// Switches the controllers on from the root down to `parent`, so that its children have them.
fn enable(mount: &Path, parent: &str, needed: &[(&'static str, Controller)]) -> Result<(), CgroupError> {
    let mut wanted: Vec<(Option<&'static str>, Controller, &'static str)> = Vec::new();
    for (what, controller) in needed {
        wanted.extend(controller.v2_name().map(|name| (Some(*what), *controller, name)));
    }
    for controller in ACCOUNTED {
        if !needed.iter().any(|(_, other)| *other == controller) {
            wanted.extend(controller.v2_name().map(|name| (None, controller, name)));
        }
    }
    let enabled = fs::read_to_string(mount.join(parent).join("cgroup.subtree_control"))?;
    if wanted.iter().all(|(_, _, name)| has_word(&enabled, name)) {
        return Ok(());
    }
    let mut directory = mount.to_owned();
    enable_in(&directory, &wanted)?;
    for name in parent.split('/').filter(|name| !name.is_empty()) {
        directory.push(name);
        enable_in(&directory, &wanted)?;
    }
    Ok(())
}

fn enable_in(
    directory: &Path,
    wanted: &[(Option<&'static str>, Controller, &'static str)],
) -> Result<(), CgroupError> {
    let available = fs::read_to_string(directory.join("cgroup.controllers"))?;
    let control = directory.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&control)?;
    // The root (which alone has no cgroup.events) may have processes. In any other cgroup with processes the kernel
    // refuses some controllers, and takes others by turning the children into threads of it.
    let occupied =
        fs::exists(directory.join("cgroup.events")) && !fs::read(directory.join("cgroup.procs"))?.is_empty();
    for (what, controller, name) in wanted.iter().copied() {
        if has_word(&enabled, name) {
            continue;
        }
        if !has_word(&available, name) {
            match what {
                Some(what) => return Err(CgroupError::MissingController { what, controller }),
                None => continue,
            }
        }
        let value = format!("+{name}");
        // One at a time: a line is taken whole or not at all.
        let written = if occupied {
            Err(Errno::BUSY)
        } else {
            fs::write_kernel_file(&control, value.as_bytes()).map_err(|error| error.errno())
        };
        match (written, what) {
            (Err(Errno::BUSY), Some(what)) => {
                return Err(CgroupError::BusyParent { what, controller, directory: directory.to_owned() });
            }
            (Err(errno), Some(what)) => {
                return Err(CgroupError::Write { what, value, path: control, errno });
            }
            (Err(_), None) | (Ok(()), _) => {}
        }
    }
    Ok(())
}

fn has_word(text: &str, word: &str) -> bool {
    text.split_ascii_whitespace().any(|other| other == word)
}

/// Writes the settings of one directory; consecutive values for one file go through one descriptor.
fn write(directory: &Path, settings: &[Setting]) -> Result<(), CgroupError> {
    if settings.is_empty() {
        return Ok(());
    }
    let handle = tree::open(directory)?;
    for group in settings.chunk_by(|a, b| a.file == b.file) {
        let Some(Setting { what, file, .. }) = group.first() else { continue };
        let failed = |value: &str, errno| CgroupError::Write {
            what,
            value: value.to_owned(),
            path: directory.join(file),
            errno,
        };
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let fd: OwnedFd = match rustix::fs::openat(&handle, file.as_str(), flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => {
                let (file, directory) = (file.clone(), directory.to_owned());
                return Err(CgroupError::MissingFile { what, file, directory });
            }
            Err(errno) => return Err(failed("", errno)),
        };
        for setting in group {
            rustix::io::write(&fd, setting.value.as_bytes())
                .map_err(|errno| failed(&setting.value, errno))?;
        }
    }
    Ok(())
}
