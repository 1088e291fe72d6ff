//! The root of a container that does not run, put together for somebody outside of it: its layers and what is mounted
//! in them, with the ids they have on disk, in a mount namespace of this process's own. Nobody else sees a mount, and
//! they go with the process, however it ends.

use std::fmt::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use corten_sys::mount::{self, Attributes, Depth, MountAttrFlags, Propagation};
use corten_sys::process::{self, namespace};
use corten_sys::{Dir, Errno, SysError, fs};
use rustix::fs::{CWD, FileType, Mode, OFlags};

use crate::init::steps::populate;

/// A root to put together.
#[derive(Debug)]
pub struct StandingRoot {
    /// Topmost first.
    pub lowers: Vec<PathBuf>,
    /// The directory with `upper` and `work`, whose lock the caller holds where `writable`: an upper is mounted once.
    pub own: PathBuf,
    /// Otherwise it is a layer like the others, and nothing can be changed.
    pub writable: bool,
    /// The root itself was to be read-only, its mounts apart.
    pub read_only: bool,
    pub mounts: Vec<StandingMount>,
}

/// Something mounted in it.
#[derive(Debug)]
pub struct StandingMount {
    pub source: PathBuf,
    /// Mount only this below the source.
    pub below: Option<String>,
    pub target: String,
    pub read_only: bool,
    pub recursive: bool,
    /// An empty volume that takes over what the image has there, as the first start would do it.
    pub populate: bool,
}

/// Leaves the mount namespace of the caller for a copy, once, before anything is opened by path.
pub fn leave_callers_mounts() -> Result<(), SysError> {
    process::unshare(namespace::MOUNT)?;
    mount::set_propagation("/", Propagation::Private)
}

/// Puts a root together and opens it. In a mount namespace of this process's own ([`leave_callers_mounts`]).
pub fn assemble(plan: &StandingRoot) -> Result<Dir, SysError> {
    let failed = |call, errno| SysError::new(call, "root of the container", errno);
    let here =
        rustix::fs::openat(CWD, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| failed("open", errno))?;
    let own = mount::clone_tree(&plan.own, Depth::One)?;
    let staging = mount::new_filesystem("tmpfs", &[("mode", Some("0700"))], MountAttrFlags::empty())?;
    // In this namespace alone; what it hides there is in the staging directory.
    mount::attach(&staging, fs::open_path(&plan.own)?, "staging")?;
    rustix::process::fchdir(&staging).map_err(|errno| failed("chdir", errno))?;
    let root = overlay(plan, own);
    rustix::process::fchdir(here).map_err(|errno| failed("chdir", errno))?;
    let root = root?;
    for mount in &plan.mounts {
        add(plan, mount, &root)?;
    }
    if plan.read_only || !plan.writable {
        let attributes = Attributes { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        mount::set_attributes(&root, "/", Depth::One, attributes)?;
    }
    Ok(root)
}

/// Mounts the layers at `root` in the staging directory, which is the current one, and opens that.
fn overlay(plan: &StandingRoot, own: impl AsFd) -> Result<Dir, SysError> {
    make_directory("w")?;
    mount::attach_at(own, CWD, "w")?;
    let mut lowers = Vec::new();
    if !plan.writable {
        lowers.push("w/upper".to_owned());
    }
    for (index, lower) in plan.lowers.iter().enumerate() {
        make_directory(&index.to_string())?;
        mount::attach_at(mount::clone_tree(lower, Depth::One)?, CWD, &index.to_string())?;
        lowers.push(index.to_string());
    }
    if !plan.writable {
        // What is mounted needs something to be mounted on, which a start would have made.
        make_directory("points")?;
        for mount in &plan.mounts {
            Dir::open("points")?.create_dir_all(mount.target.trim_start_matches('/'), 0o755)?;
        }
        lowers.push("points".to_owned());
    }
    let mut options = format!("lowerdir={},userxattr", lowers.join(":"));
    if plan.writable {
        // Writing to a String cannot fail.
        write!(options, ",upperdir=w/upper,workdir=w/work").unwrap_or_default();
    }
    make_directory("root")?;
    mount::mount_overlay("root", &options)?;
    Dir::open("root")
}

fn add(plan: &StandingRoot, mount: &StandingMount, root: &Dir) -> Result<(), SysError> {
    let source = match &mount.below {
        Some(below) => Dir::open(&mount.source)?.open_at(below, OFlags::PATH, 0)?,
        None => fs::open_path(&mount.source)?,
    };
    let stat = rustix::fs::fstat(&source).map_err(|errno| SysError::at("stat", &mount.source, errno))?;
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let Some(target) = point(plan, mount, root, is_directory)? else { return Ok(()) };
    if mount.populate && plan.writable && is_directory && fs::list(&mount.source)?.is_empty() {
        populate::copy(&target, Dir::open(&mount.source)?, &mount.target)?;
    }
    let depth = if mount.recursive { Depth::Recursive } else { Depth::One };
    let tree = mount::clone_tree_of(source, &mount.target, depth)?;
    if mount.read_only || !plan.writable {
        let attributes = Attributes { set: MountAttrFlags::MOUNT_ATTR_RDONLY, ..Attributes::default() };
        mount::set_attributes(&tree, &mount.target, depth, attributes)?;
    }
    mount::attach(tree, target, &mount.target)
}

/// Opens what something is mounted on, making it where that can be; `None` where it cannot.
fn point(
    plan: &StandingRoot,
    mount: &StandingMount,
    root: &Dir,
    is_directory: bool,
) -> Result<Option<OwnedFd>, SysError> {
    let target = Path::new(&mount.target);
    match root.open_at(target, OFlags::PATH, 0) {
        Err(error) if error.errno() == Errno::NOENT && plan.writable => {}
        // Behind a symlink: the container has never been started with it.
        Err(error) if error.errno() == Errno::NOENT => return Ok(None),
        other => {
            let opened = other?;
            let stat = rustix::fs::fstat(&opened).map_err(|errno| SysError::at("stat", target, errno))?;
            let fits = (FileType::from_raw_mode(stat.st_mode) == FileType::Directory) == is_directory;
            // A directory of ours for a file that is mounted: it cannot be read without a start.
            return Ok(fits.then_some(opened));
        }
    }
    if is_directory {
        root.create_dir_all(target, 0o755)?;
    } else {
        root.create_dir_all(target.parent().unwrap_or(Path::new("/")), 0o755)?;
        root.write(target, b"", 0o644)?;
    }
    root.open_at(target, OFlags::PATH, 0).map(Some)
}

fn make_directory(name: &str) -> Result<(), SysError> {
    rustix::fs::mkdirat(CWD, name, Mode::from_bits_truncate(0o755))
        .map_err(|errno| SysError::at("mkdir", name, errno))
}
