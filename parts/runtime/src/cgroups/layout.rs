//! Where this machine's cgroup hierarchies are: one for cgroup v2, one per controller for v1.

use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use corten_sys::process::Pid;
use corten_sys::{Errno, fs};
use serde::{Deserialize, Serialize};

use super::error::CgroupError;

// statfs(2).
const CGROUP1_MAGIC: i64 = 0x0027_e0eb;
const CGROUP2_MAGIC: i64 = 0x6367_7270;

/// A resource controller, named as cgroup v1 names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Controller {
    Cpu,
    Cpuacct,
    Cpuset,
    Memory,
    Devices,
    Freezer,
    /// `io` on cgroup v2.
    Blkio,
    Pids,
    Hugetlb,
}

impl Controller {
    pub const ALL: [Self; 9] = [
        Self::Cpu,
        Self::Cpuacct,
        Self::Cpuset,
        Self::Memory,
        Self::Devices,
        Self::Freezer,
        Self::Blkio,
        Self::Pids,
        Self::Hugetlb,
    ];

    /// The v1 name, also that of the v1 mount.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Devices => "devices",
            Self::Freezer => "freezer",
            Self::Blkio => "blkio",
            Self::Pids => "pids",
            Self::Hugetlb => "hugetlb",
        }
    }

    /// The name in `cgroup.controllers`; `None` for what v2 has without a controller.
    pub fn v2_name(self) -> Option<&'static str> {
        match self {
            Self::Blkio => Some("io"),
            Self::Cpuacct | Self::Devices | Self::Freezer => None,
            other => Some(other.name()),
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|controller| controller.name() == name)
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where keepers and workers live, below each mount.
const SUPERVISORS: &str = "corten/supervisors";

/// One mounted v1 hierarchy and the controllers in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    pub controllers: Vec<Controller>,
    pub mount: PathBuf,
}

/// The cgroup mounts of this mount namespace. A hybrid set-up counts as v1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    V1(Vec<Hierarchy>),
    V2(PathBuf),
}

impl Layout {
    /// Finds the hierarchies.
    ///
    /// A few statfs calls below /sys/fs/cgroup answer on every usual machine; mountinfo, whose cost grows with the
    /// number of mounts, is read only where they do not.
    pub fn detect() -> Result<Self, CgroupError> {
        if let Some(layout) = Self::probe(Path::new("/sys/fs/cgroup")) {
            return Ok(layout);
        }
        let mountinfo = fs::read("/proc/self/mountinfo")?;
        Self::from_mountinfo(&mountinfo).ok_or(CgroupError::NotMounted)
    }

    fn probe(root: &Path) -> Option<Self> {
        if magic(root)? == CGROUP2_MAGIC {
            return Some(Self::V2(root.to_owned()));
        }
        let mut hierarchies: Vec<(Hierarchy, (u64, u64))> = Vec::new();
        for controller in Controller::ALL {
            let mount = root.join(controller.name());
            if magic(&mount) != Some(CGROUP1_MAGIC) {
                continue;
            }
            // `cpu` and `cpuacct` are links to one `cpu,cpuacct` where systemd mounts them.
            let Ok(stat) = rustix::fs::stat(&mount) else { continue };
            let identity = (stat.st_dev, stat.st_ino);
            match hierarchies.iter_mut().find(|(_, other)| *other == identity) {
                Some((hierarchy, _)) => hierarchy.controllers.push(controller),
                None => hierarchies.push((Hierarchy { controllers: vec![controller], mount }, identity)),
            }
        }
        if !hierarchies.is_empty() {
            return Some(Self::V1(hierarchies.into_iter().map(|(hierarchy, _)| hierarchy).collect()));
        }
        let unified = root.join("unified");
        (magic(&unified) == Some(CGROUP2_MAGIC)).then_some(Self::V2(unified))
    }

    /// Reads the layout out of the text of /proc/self/mountinfo; the first mount of a hierarchy counts.
    pub fn from_mountinfo(text: &[u8]) -> Option<Self> {
        let mut hierarchies: Vec<Hierarchy> = Vec::new();
        let mut unified = None;
        for line in text.split(|byte| *byte == b'\n') {
            let Some((mount, kind, options)) = mount_fields(line) else { continue };
            match kind {
                b"cgroup2" if unified.is_none() => unified = Some(mount),
                b"cgroup" => {
                    let controllers: Vec<Controller> = options
                        .split(|byte| *byte == b',')
                        .filter_map(|option| Controller::from_name(std::str::from_utf8(option).ok()?))
                        .collect();
                    let known = hierarchies.iter().any(|other| other.controllers == controllers);
                    if !controllers.is_empty() && !known {
                        hierarchies.push(Hierarchy { controllers, mount });
                    }
                }
                _ => {}
            }
        }
        if hierarchies.is_empty() { unified.map(Self::V2) } else { Some(Self::V1(hierarchies)) }
    }

    /// Moves this process, and others of one thread, into the cgroup of the keepers and workers, outside the caller's
    /// session and every container's limits.
    ///
    /// On v1 through `tasks`, and not in the cpuset hierarchy, where a new cgroup has no CPUs to run on.
    pub fn join_supervisors(&self, others: &[Pid]) -> Result<(), CgroupError> {
        let join = |mount: &Path, name: &str| -> Result<(), CgroupError> {
            let directory = mount.join(SUPERVISORS);
            let file = directory.join(name);
            match fs::write_kernel_file(&file, b"0") {
                Err(error) if error.errno() == Errno::NOENT => {
                    fs::create_dir_all(&directory, 0o755)?;
                    fs::write_kernel_file(&file, b"0")?;
                }
                other => other?,
            }
            for pid in others {
                fs::write_kernel_file(&file, pid.as_raw_nonzero().to_string().as_bytes())?;
            }
            Ok(())
        };
        match self {
            Self::V2(mount) => join(mount, "cgroup.procs"),
            Self::V1(hierarchies) => hierarchies
                .iter()
                .filter(|hierarchy| !hierarchy.controllers.contains(&Controller::Cpuset))
                .try_for_each(|hierarchy| join(&hierarchy.mount, "tasks")),
        }
    }

    /// Says whether the machine's one hierarchy is v2, without looking further.
    pub fn unified() -> bool {
        fs::exists("/sys/fs/cgroup/cgroup.controllers")
    }

    /// Says whether this is cgroup v2.
    pub fn is_v2(&self) -> bool {
        matches!(self, Self::V2(_))
    }

    /// Says whether limits of this kind can be set at all on this machine.
    pub fn has(&self, controller: Controller) -> bool {
        match self {
            Self::V1(hierarchies) => hierarchies.iter().any(|other| other.controllers.contains(&controller)),
            Self::V2(mount) => controller.v2_name().is_none_or(|name| {
                fs::read_to_string(mount.join("cgroup.controllers"))
                    .is_ok_and(|text| text.split_ascii_whitespace().any(|word| word == name))
            }),
        }
    }

    /// Says whether the kernel accounts swap, so that a swap limit can be kept.
    ///
    /// On v2 the file is looked for in `parent` (the cgroup's parent), the root having none.
    pub fn has_swap_limit(&self, parent: &str) -> bool {
        match self {
            Self::V1(hierarchies) => hierarchies
                .iter()
                .find(|hierarchy| hierarchy.controllers.contains(&Controller::Memory))
                .is_some_and(|hierarchy| fs::exists(hierarchy.mount.join("memory.memsw.limit_in_bytes"))),
            Self::V2(mount) => {
                let parent = mount.join(parent.trim_matches('/'));
                if fs::exists(parent.join("memory.current")) {
                    fs::exists(parent.join("memory.swap.max"))
                } else {
                    self.has(Controller::Memory) && fs::exists("/proc/swaps")
                }
            }
        }
    }

    /// Says whether the kernel can weigh block I/O (BFQ, CFQ or, on v2, iocost), so that a weight can be kept.
    ///
    /// The weight files are missing in a root; others that come with them tell. On v2 `parent` is looked at too.
    pub fn has_io_weight(&self, parent: &str) -> bool {
        let any =
            |directory: &Path, files: &[&str]| files.iter().any(|file| fs::exists(directory.join(file)));
        match self {
            Self::V1(hierarchies) => hierarchies
                .iter()
                .find(|hierarchy| hierarchy.controllers.contains(&Controller::Blkio))
                .is_some_and(|hierarchy| any(&hierarchy.mount, &["blkio.bfq.io_serviced", "blkio.weight"])),
            Self::V2(mount) => {
                let parent = mount.join(parent.trim_matches('/'));
                any(mount, &["io.cost.qos"]) || any(&parent, &["io.bfq.weight", "io.weight"])
            }
        }
    }
}

fn magic(path: &Path) -> Option<i64> {
    let statfs = rustix::fs::statfs(path).ok()?;
    #[allow(clippy::unnecessary_cast, reason = "the field's type differs between architectures")]
    Some(statfs.f_type as i64)
}

/// Returns the mount point, type and super options of a mountinfo line (proc(5)).
fn mount_fields(line: &[u8]) -> Option<(PathBuf, &[u8], &[u8])> {
    let mut words = line.split(|byte| *byte == b' ');
    let mount = words.nth(4)?;
    let mut tail = words.skip_while(|word| *word != b"-").skip(1);
    let kind = tail.next()?;
    let options = tail.nth(1)?;
    Some((PathBuf::from(std::ffi::OsString::from_vec(unescape(mount))), kind, options))
}

/// Undoes the `\040` style escapes of mountinfo.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        if let (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) = (*first, tail) {
            out.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1(list: &[(&[Controller], &str)]) -> Option<Layout> {
        let hierarchy = |(controllers, mount): &(&[Controller], &str)| Hierarchy {
            controllers: controllers.to_vec(),
            mount: PathBuf::from(mount),
        };
        Some(Layout::V1(list.iter().map(hierarchy).collect()))
    }

    #[test]
    fn reads_mountinfo() {
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            Layout::from_mountinfo(unified.as_bytes()),
            Some(Layout::V2(PathBuf::from("/sys/fs/cgroup")))
        );
        let hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
             32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
             33 31 0:30 / /a\\040b/memory rw - cgroup cgroup rw,memory\n\
             34 31 0:30 / /again rw - cgroup cgroup rw,memory\n\
             35 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
             36 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(
            Layout::from_mountinfo(hybrid.as_bytes()),
            v1(&[
                (&[Controller::Cpu, Controller::Cpuacct], "/sys/fs/cgroup/cpu,cpuacct"),
                (&[Controller::Memory], "/a b/memory"),
            ])
        );
        assert_eq!(Layout::from_mountinfo(b"23 1 8:1 / / rw - ext4 /dev/sda1 rw\n"), None);
        assert_eq!(Layout::from_mountinfo(b"garbage\n\n"), None);
    }

    #[test]
    fn the_probe_agrees_with_mountinfo() {
        let text = fs::read("/proc/self/mountinfo").unwrap();
        match (Layout::probe(Path::new("/sys/fs/cgroup")), Layout::from_mountinfo(&text)) {
            (Some(Layout::V1(probed)), Some(Layout::V1(read))) => {
                let mut left: Vec<_> = probed.into_iter().map(|hierarchy| hierarchy.controllers).collect();
                let mut right: Vec<_> = read.into_iter().map(|hierarchy| hierarchy.controllers).collect();
                left.sort();
                right.sort();
                assert_eq!(left, right);
            }
            (probed, read) => assert_eq!(probed, read),
        }
    }
}
