//! A further process in a running container.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use corten_sys::process::{self, Cloned, namespace};
use corten_sys::{Dir, SysError, pty, socket};

use crate::init::Report;
use crate::init::prelude::new_session_keyring;
use crate::init::steps::{payload, stdio};
use crate::launch::{Launched, StartFailure, set_limit};
use crate::plan::ProcessPlan;

/// Where a process joins a container.
#[derive(Debug)]
pub struct Target {
    /// The container's init.
    pub pidfd: OwnedFd,
    /// The namespaces that it does not share with the host (`CLONE_NEW*`).
    pub namespaces: u64,
    /// cgroup v1: the `tasks` files to write to.
    pub cgroup_tasks: Vec<OwnedFd>,
    /// cgroup v2: the directory to be born in.
    pub cgroup: Option<OwnedFd>,
    /// Resource limits, by the kernel's number: soft, hard.
    pub rlimits: Vec<(i32, u64, u64)>,
}

/// Clones a process into the container and lets it become the payload.
///
/// The process is a child of the caller, whose `pid_for_children` stays in the container's PID namespace.
pub fn launch(
    target: &Target,
    plan: &ProcessPlan,
    seccomp: &[u8],
    fifos: Vec<OwnedFd>,
) -> Result<Launched, StartFailure> {
    let (ours, theirs) = socket::pair()?;
    if target.namespaces & namespace::PID != 0 {
        process::enter_namespaces(&target.pidfd, namespace::PID)?;
    }
    match process::clone(0, target.cgroup.as_ref().map(AsFd::as_fd))? {
        Cloned::Parent { pid, pidfd } => Ok(Launched::of(pid, pidfd, ours)),
        Cloned::Child => {
            drop(ours);
            let failure = match run(target, plan, seccomp, fifos, &theirs) {
                Ok(never) => match never {},
                Err(failure) => failure,
            };
            let code = i32::from(failure.code);
            // The exit code is all that is left to say where nobody listens.
            Report::Failed(failure).send(&theirs).unwrap_or_default();
            process::exit_now(code)
        }
    }
}

fn run(
    target: &Target,
    plan: &ProcessPlan,
    seccomp: &[u8],
    fifos: Vec<OwnedFd>,
    reports: &UnixStream,
) -> Result<std::convert::Infallible, StartFailure> {
    let own = target.cgroup_tasks.iter().chain(&fifos).chain([&target.pidfd]);
    let kept: Vec<_> = own.map(AsFd::as_fd).chain([reports.as_fd()]).collect();
    process::close_all_but(&kept)?;
    process::forbid_tracing()?;
    for tasks in &target.cgroup_tasks {
        rustix::io::write(tasks, b"0").map_err(|errno| SysError::new("join cgroup", "tasks", errno))?;
    }
    for &(resource, soft, hard) in &target.rlimits {
        // Here, with the host's rights still: inside raising one is refused.
        set_limit(process::own_pid(), resource, soft, hard)?;
    }
    new_session_keyring(&plan.selinux)?;
    let rest = target.namespaces & !namespace::PID;
    process::enter_namespaces(&target.pidfd, rest)?;
    if rest & namespace::USER != 0 {
        process::become_ids(0, 0)?;
    }
    rustix::process::setsid().map_err(|errno| SysError::new("setsid", "", errno))?;
    let mut terminal = None;
    if plan.terminal {
        let (master, slave) = pty::open_in(&Dir::open("/dev/pts")?)?;
        Report::Terminal(master).send(reports)?;
        terminal = Some(slave);
    }
    stdio::install(fifos, terminal)?;
    payload::become_it(plan, seccomp)
}
