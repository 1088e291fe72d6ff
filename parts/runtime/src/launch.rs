//! The outer half of a start: clones init into its namespaces, writes its id mapping, opens the host's paths
//! for it and tells how it went.
//!
//! Runs in the keeper, with the host's rights and in the caller's mount namespace (architecture D11): no path
//! of the host is resolved inside.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use corten_sys::mount::{self, Attributes, Depth, MountAttrFlags};
use corten_sys::process::{self, Cloned, Pid, namespace};
use corten_sys::{Dir, SysError};
use corten_sys::{exec, fs, rlimit, socket};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::plan::{DevFilesystem, IdRange, LaunchPlan, Prelude, Propagation, Tree};
use crate::{init, nodes};

/// What init gets from outside beside its plan.
#[derive(Debug)]
pub struct Inheritance<'a> {
    /// The init plan, encoded ([`encode_init`]).
    pub plan: &'a [u8],
    /// stdin, stdout and stderr of the payload; empty where init opens a terminal.
    pub stdio: Vec<OwnedFd>,
    /// Delivers the cgroup v1 `tasks` descriptors once the limits are written.
    pub cgroup_socket: Option<OwnedFd>,
    /// The cgroup v2 directory to be born in.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// An init that was cloned and is working through its plan.
#[derive(Debug)]
pub struct Launched {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    socket: UnixStream,
    /// Its user namespace has its ids.
    mapped: bool,
    /// A /dev that was made for it early.
    dev: Option<(DevFilesystem, OwnedFd)>,
}

/// Why a container did not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StartFailure {
    /// One line: what was tried, on what, why.
    pub message: String,
    /// docker's exit code for it: 125 ours, 126 not executable, 127 not found.
    pub code: u8,
}

impl StartFailure {
    /// A failure of the platform, not of the command that was to run.
    pub fn platform(error: impl ToString) -> Self {
        Self { message: error.to_string(), code: 125 }
    }
}

impl From<SysError> for StartFailure {
    fn from(error: SysError) -> Self {
        Self::platform(error)
    }
}

/// Encodes an init plan and its seccomp program for [`Inheritance::plan`].
pub fn encode_init(plan: &crate::plan::InitPlan, seccomp: &[u8]) -> Vec<u8> {
    init::encode(plan, seccomp)
}

/// Clones init and hands it everything; it then works by itself. On failure nothing is left running.
///
/// `early` is an init that [`clone_init`] made with the same namespaces while the plan was being made. `template` is
/// the mount namespace to begin with ([`crate::template`]).
pub fn launch(
    plan: &LaunchPlan,
    inheritance: Inheritance<'_>,
    early: Option<Launched>,
    template: Option<OwnedFd>,
) -> Result<Launched, StartFailure> {
    let launched = match early {
        Some(early) => early,
        None if plan.join.is_empty() => clone_init(plan.namespaces, inheritance.cgroup, template)?,
        None => {
            let joined = plan.join.iter().map(|&(flag, pid)| Ok((flag, open_target(pid)?)));
            let joined = joined.collect::<Result<Vec<_>, SysError>>()?;
            // The template first: whoever has joined a user namespace may enter no mount namespace of the host's.
            let targets = from_template(template).into_iter().chain(joined).collect::<Vec<_>>();
            clone_by_proxy(&targets, plan.namespaces, inheritance.cgroup)?
        }
    };
    launched.prepare(plan, &inheritance).inspect_err(|_| launched.abandon())?;
    Ok(launched)
}

/// Clones an init that waits for its plan, its mount namespace from `template` where there is one.
pub fn clone_init(
    namespaces: u64,
    cgroup: Option<BorrowedFd<'_>>,
    template: Option<OwnedFd>,
) -> Result<Launched, SysError> {
    if let Some(target) = from_template(template) {
        return clone_by_proxy(&[target], namespaces, cgroup)
            .map_err(|failure| SysError::new("clone init", failure.message, corten_sys::Errno::IO));
    }
    let (ours, theirs) = socket::pair()?;
    // Made here: inside, the program's mount belongs to another namespace and cannot be cloned.
    let protected = if namespaces & namespace::USER == 0 { Some(exec::detached_self()?) } else { None };
    match process::clone(namespaces, cgroup)? {
        Cloned::Child => {
            drop(ours);
            match protected {
                Some(program) => init::main_protected(&theirs, &program),
                None => init::main(&theirs),
            }
        }
        Cloned::Parent { pid, pidfd } => Ok(Launched::of(pid, pidfd, ours)),
    }
}

fn from_template(template: Option<OwnedFd>) -> Option<(u64, OwnedFd)> {
    template.map(|template| (namespace::MOUNT, template))
}

/// Clones init from a process that has first joined other namespaces, as a child of this one.
fn clone_by_proxy(
    targets: &[(u64, OwnedFd)],
    namespaces: u64,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Launched, StartFailure> {
    let (ours, theirs) = socket::pair()?;
    // As in clone_init: who joins no container's user namespace has the host's ids.
    let joins_user = targets.iter().any(|(flag, _)| flag & namespace::USER != 0);
    let protected =
        if namespaces & namespace::USER == 0 && !joins_user { Some(exec::detached_self()?) } else { None };
    let Cloned::Parent { pidfd: proxy, .. } = process::clone(0, None)? else {
        drop(ours);
        init::proxy(targets, namespaces, cgroup, &theirs, protected.as_ref())
    };
    drop(theirs);
    let reply = init::Report::receive(&ours);
    process::wait(&proxy)?;
    match reply? {
        Some(init::Report::Cloned { pid, pidfd }) => {
            let pid = Pid::from_raw(pid).ok_or_else(|| StartFailure::platform("clone: no pid"))?;
            Ok(Launched::of(pid, pidfd, ours))
        }
        Some(init::Report::Failed(failure)) => Err(failure),
        _ => Err(StartFailure::platform("join namespaces: the helper died")),
    }
}

fn open_target(pid: i32) -> Result<OwnedFd, SysError> {
    let pid = Pid::from_raw(pid).ok_or_else(|| SysError::new("pidfd_open", "0", corten_sys::Errno::SRCH))?;
    process::open_pidfd(pid)
}

impl Launched {
    pub(crate) fn of(pid: Pid, pidfd: OwnedFd, socket: UnixStream) -> Self {
        Self { pid, pidfd, socket, mapped: false, dev: None }
    }

    /// Gives an init that waits for its plan its ids and something to do meanwhile, and makes its /dev.
    pub fn begin(
        &mut self,
        ids: Option<IdRange>,
        prelude: &Prelude,
        dev: Option<DevFilesystem>,
    ) -> Result<(), SysError> {
        if let Some(ids) = ids {
            self.map_ids(ids)?;
        }
        self.mapped = true;
        socket::send(&self.socket, &init::encode_prelude(prelude), &[])?;
        if let Some(dev) = dev {
            let tree = nodes::make_dev(&dev, ids)?;
            self.dev = Some((dev, tree));
        }
        Ok(())
    }

    /// The plan's /dev: the one made early, if it is what the plan wants, or a new one.
    fn dev(&self, plan: &LaunchPlan) -> Result<Option<OwnedFd>, SysError> {
        match (&plan.dev, &self.dev) {
            (None, _) => Ok(None),
            (Some(wanted), Some((made, tree))) if wanted == made => {
                tree.try_clone().map(Some).map_err(|error| SysError::io("dup", "/dev", &error))
            }
            (Some(wanted), _) => nodes::make_dev(wanted, plan.ids).map(Some),
        }
    }

    fn map_ids(&self, ids: IdRange) -> Result<(), SysError> {
        let pid = self.pid.as_raw_nonzero();
        let line = format!("0 {} {}\n", ids.base, ids.size);
        fs::write_kernel_file(format!("/proc/{pid}/uid_map"), line.as_bytes())?;
        fs::write_kernel_file(format!("/proc/{pid}/gid_map"), line.as_bytes())
    }

    fn prepare(&self, plan: &LaunchPlan, inheritance: &Inheritance<'_>) -> Result<(), SysError> {
        let pid = self.pid.as_raw_nonzero();
        if let Some(ids) = plan.ids.filter(|_| plan.namespaces & namespace::USER != 0 && !self.mapped) {
            self.map_ids(ids)?;
        }
        let userns = match plan.ids {
            Some(_) => Some(fs::open(format!("/proc/{pid}/ns/user"))?),
            None => None,
        };
        for &(resource, soft, hard) in &plan.rlimits {
            set_limit(self.pid, resource, soft, hard)?;
        }
        if let Some(score) = plan.oom_score_adj {
            set_oom_score(self.pid, score)?;
        }
        let trees = plan.trees.iter().map(|tree| open_tree(tree, userns.as_ref()));
        let mut trees = trees.collect::<Result<Vec<_>, SysError>>()?;
        if !plan.nodes.is_empty() {
            trees.push(nodes::make(&plan.nodes, plan.ids, &plan.mount_label)?);
        }
        let dev = self.dev(plan)?;
        let fds = inheritance.stdio.iter().chain(&dev).chain(&trees).chain(&inheritance.cgroup_socket);
        let fds: Vec<_> = fds.map(AsFd::as_fd).collect();
        socket::send(&self.socket, inheritance.plan, &fds)
    }

    /// Waits until init has become the payload; a terminal's master comes with it. After a failure the caller calls
    /// [`Launched::abandon`].
    pub fn wait_exec(&self) -> Result<Option<OwnedFd>, StartFailure> {
        let mut terminal = None;
        loop {
            match init::Report::receive(&self.socket)? {
                None => return Ok(terminal),
                Some(init::Report::Terminal(master)) => terminal = Some(master),
                Some(init::Report::Failed(failure)) => return Err(failure),
                Some(init::Report::Cloned { .. }) => {
                    return Err(StartFailure::platform("init: an unexpected report"));
                }
            }
        }
    }

    /// Opens init's mount and IPC namespaces. While they are held the kernel need not dismantle them, with a wait
    /// for its grace periods, between init's end and its report.
    pub fn hold_namespaces(&self) -> Vec<OwnedFd> {
        let pid = self.pid.as_raw_nonzero();
        // Only a matter of time: an init that is gone already has none.
        ["mnt", "ipc"]
            .iter()
            .filter_map(|kind| fs::open(format!("/proc/{pid}/ns/{kind}")).ok().map(OwnedFd::from))
            .collect()
    }

    /// Kills init and reaps it.
    pub fn abandon(&self) {
        let ended = process::send_signal(&self.pidfd, 9).and_then(|_| process::wait(&self.pidfd));
        if let Err(error) = ended {
            log::warn!("leaving init {}: {error}", self.pid);
        }
    }
}

/// Sets one limit from outside: raising it needs the host's CAP_SYS_RESOURCE. Where that is missing, the
/// values are cut to the hard limit there is.
pub(crate) fn set_limit(pid: Pid, resource: i32, soft: u64, hard: u64) -> Result<(), SysError> {
    match rlimit::set_of(pid, resource, soft, hard) {
        Err(error) if error.errno() == corten_sys::Errno::PERM => {
            let (_, ceiling) = rlimit::current(resource)?;
            log::warn!("limit {resource} is cut to {ceiling}: raising it needs CAP_SYS_RESOURCE");
            rlimit::set_of(pid, resource, soft.min(ceiling), hard.min(ceiling))
        }
        other => other,
    }
}

fn set_oom_score(pid: Pid, score: i32) -> Result<(), SysError> {
    let path = format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero());
    match fs::write_kernel_file(path, score.to_string().as_bytes()) {
        Err(error) if error.errno() == corten_sys::Errno::ACCESS => {
            log::warn!("oom_score_adj {score} is not applied: lowering it needs CAP_SYS_RESOURCE");
            Ok(())
        }
        other => other,
    }
}

fn open_tree(tree: &Tree, userns: Option<&File>) -> Result<OwnedFd, SysError> {
    let depth = if tree.recursive { Depth::Recursive } else { Depth::One };
    let fd = match tree.recursive && mount::pins_mount_namespace(&tree.path)? {
        true => elsewhere(|| clone_tree(tree, depth))?,
        false => clone_tree(tree, depth)?,
    };
    let name = tree.path.display().to_string();
    let attributes = Attributes {
        set: MountAttrFlags::from_bits_retain(tree.attributes),
        propagation: match tree.propagation {
            Propagation::Private => Some(mount::Propagation::Private),
            Propagation::Slave => Some(mount::Propagation::Slave),
            Propagation::Shared => None,
        },
        idmap: userns.filter(|_| tree.idmap).map(AsFd::as_fd),
        ..Attributes::default()
    };
    match mount::set_attributes(&fd, &name, depth, attributes) {
        Err(error) if tree.idmap && tree.recursive && error.errno() == corten_sys::Errno::INVAL => {
            // One of the mounts below cannot map ids: the top one still may, and those below keep the host's.
            let below = Attributes { idmap: None, ..attributes };
            mount::set_attributes(&fd, &name, depth, below)?;
            let top = Attributes { idmap: attributes.idmap, ..Attributes::default() };
            mount::set_attributes(&fd, &name, Depth::One, top)
        }
        other => other,
    }
    .map_err(|error| refuse_idmap(error, tree))?;
    Ok(fd)
}

fn clone_tree(tree: &Tree, depth: Depth) -> Result<OwnedFd, SysError> {
    match &tree.below {
        None => mount::clone_tree(&tree.path, depth),
        Some(below) => {
            let inside = Dir::open(&tree.path)?.open_at(below, OFlags::PATH | OFlags::DIRECTORY, 0)?;
            mount::clone_tree_of(inside, below, depth)
        }
    }
}

/// Opens a tree in a copy of this mount namespace. The copy lacks the pinned mount namespaces, and with one of
/// those in it a tree cannot be attached in a container (ELOOP: the kernel forbids cycles of namespaces).
fn elsewhere(open: impl FnOnce() -> Result<OwnedFd, SysError>) -> Result<OwnedFd, SysError> {
    let (ours, theirs) = socket::pair()?;
    match process::clone(namespace::MOUNT, None)? {
        Cloned::Child => {
            drop(ours);
            let sent = open().and_then(|tree| socket::send(&theirs, &[], &[tree.as_fd()]));
            process::exit_now(sent.map_or_else(|error| error.errno().raw_os_error(), |()| 0))
        }
        Cloned::Parent { pidfd, .. } => {
            drop(theirs);
            let received = socket::receive(&ours);
            let exit = process::wait(&pidfd)?;
            received?.and_then(|mut message| message.fds.pop()).ok_or_else(|| {
                let errno = match exit {
                    process::Exit::Code(code) => corten_sys::Errno::from_raw_os_error(code),
                    process::Exit::Signal(..) => corten_sys::Errno::CHILD,
                };
                SysError::new("open_tree", "in a copy of the mount namespace", errno)
            })
        }
    }
}

/// An idmapping that the file system refuses is said so, with the way out.
fn refuse_idmap(error: SysError, tree: &Tree) -> SysError {
    if !tree.idmap || error.errno() != corten_sys::Errno::INVAL {
        return error;
    }
    let hint = "its file system cannot map ids for the container's user namespace; run with --userns=host";
    SysError::new("mount_setattr", format!("{} ({hint})", tree.path.display()), error.errno())
}
