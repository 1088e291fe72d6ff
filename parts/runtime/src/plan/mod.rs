//! What init and the launching process have to do, decided beforehand: pure data, no system call.
//!
//! A plan is made from a runtime-spec [`Spec`] and the host's facts, sent to init over a socket, and carried
//! out step by step (`init/`). Everything that needs the host's eyes (paths, devices) is a [`Tree`]: opened
//! outside by the launching process and handed in as a descriptor.

mod options;

use std::path::PathBuf;

use corten_spec::runtime::{Device, Mount, Namespace, NamespaceKind, Spec};
use corten_sys::mount::MountAttrFlags;
use serde::{Deserialize, Serialize};

use crate::capabilities::CapSet;
pub use options::MountOptions;

/// The ids of the container's user namespace, 0 to `size`, on the host from `base` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    pub base: u32,
    pub size: u32,
}

/// The layers and the writable directories that make the root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsSource {
    /// Lower directories, the topmost first.
    pub lowers: Vec<PathBuf>,
    /// The directory that holds `upper` and `work`; without one the root is read-only.
    pub writable: Option<PathBuf>,
    /// Skips syncing the upper on unmount: for roots that die with their container.
    pub volatile: bool,
}

/// A host path that the launching process clones into a detached mount for init.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    pub path: PathBuf,
    /// Only this directory below it, resolved without leaving it.
    pub below: Option<String>,
    pub recursive: bool,
    /// Present the ids through the container's user namespace.
    pub idmap: bool,
    /// Mount attributes to set (`MOUNT_ATTR_*`).
    pub attributes: u32,
    pub propagation: Propagation,
}

/// How mount events travel between a bind and its source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    #[default]
    Private,
    Slave,
    Shared,
}

/// The whole plan of a container's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// For the launching process.
    pub launch: LaunchPlan,
    /// For init.
    pub init: InitPlan,
}

/// What is done outside, by the keeper, with the host's rights.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LaunchPlan {
    /// `CLONE_NEW*` flags of the clone that makes init.
    pub namespaces: u64,
    /// Namespaces to join first: a flag and the pid of the container that has it.
    pub join: Vec<(u64, i32)>,
    pub ids: Option<IdRange>,
    /// Opened in this order and handed to init: lowers, the writable directory, binds, devices.
    pub trees: Vec<Tree>,
    /// Device nodes to make outside, for a container in whose user namespace mknod is refused; owners by the
    /// container's ids. Handed in together, as one tree behind the others.
    #[serde(default)]
    pub nodes: Vec<DeviceStep>,
    /// The container's /dev, where it has a user namespace of its own.
    pub dev: Option<DevFilesystem>,
    /// Resource limits, by the kernel's number: soft, hard.
    pub rlimits: Vec<(i32, u64, u64)>,
    pub oom_score_adj: Option<i32>,
    /// The host user and group of the container's root: what stdio FIFOs belong to.
    pub owner: (u32, u32),
    /// The SELinux label of what is made outside for the container; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mount_label: String,
}

/// What is done inside, by init.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InitPlan {
    pub lowers: usize,
    pub writable: bool,
    pub volatile: bool,
    pub readonly: bool,
    /// Init was cloned into a new user namespace.
    pub own_user_namespace: bool,
    pub own_network: bool,
    pub mounts: Vec<MountStep>,
    pub devices: Vec<DeviceStep>,
    pub masked_paths: Vec<String>,
    pub readonly_paths: Vec<String>,
    pub hostname: String,
    pub domainname: String,
    pub sysctl: Vec<(String, String)>,
    /// Wait for `tasks` descriptors (cgroup v1) and join through them.
    pub join_cgroups: bool,
    pub new_cgroup_namespace: bool,
    pub root_propagation: Propagation,
    /// The SELinux label of the root and of the file systems made for the container; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mount_label: String,
    pub process: ProcessPlan,
}

/// One mount, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MountStep {
    pub target: String,
    pub source: MountSource,
    /// Copy what the image has at the target into the (new, empty) source first.
    pub populate: bool,
    /// Make it read-only once everything is mounted.
    pub seal: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MountSource {
    /// The next tree that was handed in; its attributes were set outside.
    Tree,
    /// The /dev that was made outside ([`LaunchPlan::dev`]).
    Dev,
    /// The device node with that number among those handed in.
    Node(usize),
    New(NewFilesystem),
}

/// A new instance of a file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFilesystem {
    pub kind: String,
    pub options: Vec<(String, Option<String>)>,
    /// `MOUNT_ATTR_*`.
    pub attributes: u32,
    /// What is put into it before anything is mounted below.
    pub entries: Vec<Entry>,
    /// The SELinux label of its root, where a mount option cannot say it; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
}

impl NewFilesystem {
    /// Labels everything in it as runc does; /proc, /sys and cgroups keep what the policy says.
    fn set_label(&mut self, label: &str) {
        match self.kind.as_str() {
            _ if label.is_empty() => {}
            "tmpfs" | "devpts" => self.options.push((CONTEXT.to_owned(), Some(label.to_owned()))),
            // The kernel takes no context for it in a user namespace.
            "mqueue" => label.clone_into(&mut self.label),
            _ => {}
        }
    }
}

/// The mount option that labels a whole file system for SELinux (mount(8)). In a user namespace the kernel takes it for
/// tmpfs, devpts and overlay (5.13).
pub(crate) const CONTEXT: &str = "context";

/// Something in a new file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    Directory(String),
    /// A symbolic link: its name and its text.
    Link(String, String),
}

/// What init does before its plan is there, while the command still reads the image (see [`Prelude::new`]). Nothing of it
/// is labelled: with SELinux there is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prelude {
    pub own_network: bool,
    /// Made detached; the plan's mounts take those that are what they ask for.
    pub filesystems: Vec<NewFilesystem>,
}

impl Prelude {
    /// Chooses from the mounts that a plan will have what can be made already: not cgroups, whose file systems show
    /// the namespace that init enters last. `devices` are those of a /dev to be made outside, where it is.
    pub fn new(
        namespaces: &[Namespace],
        mounts: &[Mount],
        devices: Option<&[Device]>,
    ) -> Result<(Self, Option<DevFilesystem>), PlanError> {
        let mut trees = Vec::new();
        let mut steps = Vec::with_capacity(mounts.len());
        for mount in mounts {
            steps.push(mount_step(mount, false, &[], &mut trees)?);
        }
        fill(&mut steps);
        let mut devices = devices.map(|devices| devices.iter().map(device_step).collect());
        let dev = devices.as_mut().and_then(|devices| take_dev(&mut steps, devices));
        let early = |step: MountStep| match step.source {
            MountSource::New(filesystem) if !filesystem.kind.starts_with("cgroup") => Some(filesystem),
            _ => None,
        };
        let own_network = namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::Network);
        let filesystems = steps.into_iter().filter_map(early).collect();
        Ok((Self { own_network, filesystems }, dev))
    }
}

/// A /dev to be made outside, in the host's user namespace: the kernel opens no device on a file system of another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DevFilesystem {
    pub filesystem: NewFilesystem,
    /// Those right in it, owners by the container's ids.
    pub nodes: Vec<DeviceStep>,
}

/// Takes the plan's own /dev, and the devices right in it, out of what init makes.
fn take_dev(steps: &mut [MountStep], devices: &mut Vec<DeviceStep>) -> Option<DevFilesystem> {
    let is_own = |step: &&mut MountStep| {
        step.target == "/dev" && matches!(&step.source, MountSource::New(new) if new.kind == "tmpfs")
    };
    let step = steps.iter_mut().find(is_own)?;
    let MountSource::New(filesystem) = std::mem::replace(&mut step.source, MountSource::Dev) else {
        return None;
    };
    let (nodes, others) = std::mem::take(devices).into_iter().partition(|device| device.dev_name().is_some());
    *devices = others;
    Some(DevFilesystem { filesystem, nodes })
}

/// A device node to make: by init, or outside where the container has a user namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceStep {
    pub path: String,
    /// As mknod(2) takes it, with the type.
    pub mode: u32,
    pub number: (u32, u32),
    pub owner: (u32, u32),
}

impl DeviceStep {
    /// Its name where it is right in /dev.
    pub(crate) fn dev_name(&self) -> Option<&str> {
        self.path.strip_prefix("/dev/").filter(|name| !name.is_empty() && !name.contains('/'))
    }
}

/// The process to become.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProcessPlan {
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub cwd: String,
    /// As docker's `--user`: looked up in the container's own passwd and group files.
    pub user: String,
    /// As docker's `--group-add`: names or numbers.
    pub groups: Vec<String>,
    pub bounding: CapSet,
    /// Permitted and effective of a process whose user is root.
    pub effective: CapSet,
    pub no_new_privileges: bool,
    /// Entered with the execve; none where it is empty.
    #[serde(default)]
    pub apparmor: String,
    /// The SELinux label taken with the execve; the one that corten has where it is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selinux: String,
    pub terminal: bool,
    /// Make the working directory where it is missing.
    pub create_directory: bool,
    /// Run the payload as a child of a small reaper (`--init`).
    pub reaper: bool,
}

/// The plan cannot be made from this configuration.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("mount {destination}: {reason}")]
    Mount { destination: String, reason: String },
    #[error("ulimit {0}: no such limit")]
    Rlimit(String),
    #[error(transparent)]
    Capability(#[from] crate::capabilities::CapabilityError),
}

/// What [`Plan::new`] needs beside the specification.
#[derive(Debug, Clone, Default)]
pub struct PlanInput {
    pub rootfs: RootfsSource,
    /// Namespaces of other containers to join, by a pid that lives in them.
    pub join: Vec<(NamespaceKind, i32)>,
    pub user: String,
    pub groups: Vec<String>,
    pub join_cgroups: bool,
    pub reaper: bool,
    /// Destinations of new volumes that take over the image's content.
    pub populate: Vec<String>,
}

impl Plan {
    /// Decides everything that can be decided without the kernel.
    pub fn new(spec: &Spec, input: PlanInput) -> Result<Self, PlanError> {
        let mut launch = LaunchPlan { rlimits: rlimits(spec)?, ..LaunchPlan::default() };
        launch.oom_score_adj = spec.process.oom_score_adj;
        if let Some(mapping) = spec.linux.uid_mappings.first() {
            launch.ids = Some(IdRange { base: mapping.host_id, size: mapping.size });
            launch.owner = (mapping.host_id, mapping.host_id);
        }
        let idmap = launch.ids.is_some();
        launch.namespaces = clone_flags(&spec.linux.namespaces);
        let new_cgroup_namespace =
            spec.linux.namespaces.iter().any(|namespace| namespace.kind == NamespaceKind::Cgroup);
        for (kind, pid) in input.join {
            launch.join.push((clone_flag(kind), pid));
        }

        let lowers = input.rootfs.lowers.len();
        for path in input.rootfs.lowers {
            launch.trees.push(Tree::plain(path, idmap, MountAttrFlags::MOUNT_ATTR_RDONLY));
        }
        let writable = input.rootfs.writable.is_some();
        if let Some(path) = input.rootfs.writable {
            launch.trees.push(Tree::plain(path, idmap, MountAttrFlags::empty()));
        }
        let mut mounts = Vec::with_capacity(spec.mounts.len());
        for mount in &spec.mounts {
            mounts.push(mount_step(mount, idmap, &input.populate, &mut launch.trees)?);
        }
        let mut devices: Vec<DeviceStep> = spec.linux.devices.iter().map(device_step).collect();
        fill(&mut mounts);
        let label = spec.linux.mount_label.as_str();
        for step in &mut mounts {
            if let MountSource::New(filesystem) = &mut step.source {
                filesystem.set_label(label);
            }
        }
        label.clone_into(&mut launch.mount_label);
        if idmap {
            launch.dev = take_dev(&mut mounts, &mut devices);
            mounts.extend(devices.iter().enumerate().map(|(index, device)| node_step(index, device)));
            launch.nodes = std::mem::take(&mut devices);
        }
        let init = InitPlan {
            lowers,
            writable,
            volatile: input.rootfs.volatile,
            readonly: spec.root.readonly,
            own_network: launch.namespaces & clone_flag(NamespaceKind::Network) != 0,
            own_user_namespace: launch.namespaces & clone_flag(NamespaceKind::User) != 0,
            mounts,
            devices,
            masked_paths: spec.linux.masked_paths.clone(),
            readonly_paths: spec.linux.readonly_paths.clone(),
            hostname: spec.hostname.clone(),
            domainname: spec.domainname.clone(),
            sysctl: spec.linux.sysctl.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
            join_cgroups: input.join_cgroups,
            new_cgroup_namespace,
            mount_label: label.to_owned(),
            root_propagation: options::propagation(&spec.linux.rootfs_propagation).unwrap_or_default(),
            process: process(spec, input.user, input.groups, input.reaper)?,
        };
        Ok(Self { launch, init })
    }
}

impl Tree {
    fn plain(path: PathBuf, idmap: bool, attributes: MountAttrFlags) -> Self {
        Self {
            path,
            below: None,
            recursive: false,
            idmap,
            attributes: attributes.bits(),
            propagation: Propagation::Private,
        }
    }
}

fn rlimits(spec: &Spec) -> Result<Vec<(i32, u64, u64)>, PlanError> {
    let number = |kind: &str| {
        let name = kind.strip_prefix("RLIMIT_").unwrap_or(kind).to_ascii_lowercase();
        corten_sys::rlimit::number(&name).ok_or(PlanError::Rlimit(name))
    };
    spec.process.rlimits.iter().map(|limit| Ok((number(&limit.kind)?, limit.soft, limit.hard))).collect()
}

/// The `CLONE_NEW*` flags for these namespaces, but for the cgroup namespace: init enters that by itself once it has
/// joined its cgroups, because the namespace's root is where it was made.
pub fn clone_flags(namespaces: &[Namespace]) -> u64 {
    let flags = namespaces.iter().fold(0, |flags, namespace| flags | clone_flag(namespace.kind));
    flags & !clone_flag(NamespaceKind::Cgroup)
}

fn clone_flag(kind: NamespaceKind) -> u64 {
    use corten_sys::process::namespace;
    match kind {
        NamespaceKind::Pid => namespace::PID,
        NamespaceKind::Network => namespace::NETWORK,
        NamespaceKind::Mount => namespace::MOUNT,
        NamespaceKind::Ipc => namespace::IPC,
        NamespaceKind::Uts => namespace::UTS,
        NamespaceKind::User => namespace::USER,
        NamespaceKind::Cgroup => namespace::CGROUP,
    }
}

fn mount_step(
    mount: &Mount,
    idmap: bool,
    populate: &[String],
    trees: &mut Vec<Tree>,
) -> Result<MountStep, PlanError> {
    let options = MountOptions::parse(&mount.options)
        .map_err(|reason| PlanError::Mount { destination: mount.destination.clone(), reason })?;
    let attributes = options.attributes.bits();
    let populate = populate.contains(&mount.destination);
    let read_only = MountAttrFlags::MOUNT_ATTR_RDONLY.bits();
    // What is still to be written to, or mounted upon, becomes read-only at the end.
    let seal = attributes & read_only != 0 && (populate || mount.kind == "tmpfs");
    let attributes = if seal { attributes & !read_only } else { attributes };
    let source = if mount.kind == "bind" || options.bind {
        trees.push(Tree {
            path: PathBuf::from(&mount.source),
            below: options.below.clone(),
            recursive: options.recursive,
            idmap: idmap && !options.no_idmap,
            attributes,
            propagation: options.propagation.unwrap_or_default(),
        });
        MountSource::Tree
    } else {
        MountSource::New(NewFilesystem {
            kind: mount.kind.clone(),
            options: options.data,
            attributes,
            entries: Vec::new(),
            label: String::new(),
        })
    };
    Ok(MountStep { target: mount.destination.clone(), source, populate, seal })
}

/// The links that programs expect in /dev: name and text.
const DEV_LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Lists what each new tmpfs begins with: the links of a /dev, and the targets of the new file systems right below it.
fn fill(steps: &mut [MountStep]) {
    let targets: Vec<String> = steps
        .iter()
        .filter(|step| matches!(step.source, MountSource::New(_)))
        .map(|step| step.target.clone())
        .collect();
    for step in steps {
        let MountSource::New(filesystem) = &mut step.source else { continue };
        if filesystem.kind != "tmpfs" {
            continue;
        }
        if step.target == "/dev" {
            let link = |&(name, text): &(&str, &str)| Entry::Link(name.to_owned(), text.to_owned());
            filesystem.entries.extend(DEV_LINKS.iter().map(link));
        }
        for target in &targets {
            let below = target.strip_prefix(&step.target).and_then(|rest| rest.strip_prefix('/'));
            let Some(name) = below.filter(|name| !name.is_empty() && !name.contains('/')) else { continue };
            let directory = Entry::Directory(name.to_owned());
            if !filesystem.entries.contains(&directory) {
                filesystem.entries.push(directory);
            }
        }
    }
}

fn node_step(index: usize, device: &DeviceStep) -> MountStep {
    MountStep { target: device.path.clone(), source: MountSource::Node(index), populate: false, seal: false }
}

fn device_step(device: &Device) -> DeviceStep {
    const BLOCK: u32 = 0o060_000;
    const CHARACTER: u32 = 0o020_000;
    const FIFO: u32 = 0o010_000;
    let kind = match device.kind.as_str() {
        "b" => BLOCK,
        "p" => FIFO,
        _ => CHARACTER,
    };
    DeviceStep {
        path: device.path.clone(),
        mode: kind | device.file_mode.unwrap_or(0o666),
        number: (device.major, device.minor),
        owner: (device.uid.unwrap_or(0), device.gid.unwrap_or(0)),
    }
}

fn process(spec: &Spec, user: String, groups: Vec<String>, reaper: bool) -> Result<ProcessPlan, PlanError> {
    let set = |names: &[String]| CapSet::parse_all(names);
    let capabilities = &spec.process.capabilities;
    Ok(ProcessPlan {
        args: spec.process.args.clone(),
        env: spec.process.env.clone(),
        cwd: spec.process.cwd.clone(),
        user,
        groups,
        bounding: set(&capabilities.bounding)?,
        effective: set(&capabilities.effective)?,
        no_new_privileges: spec.process.no_new_privileges,
        apparmor: spec.process.apparmor_profile.clone(),
        selinux: spec.process.selinux_label.clone(),
        terminal: spec.process.terminal,
        create_directory: true,
        reaper,
    })
}
