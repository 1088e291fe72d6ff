//! A further process in a running container.

use std::os::fd::OwnedFd;

use corten_runtime::capabilities::CapSet;
use corten_runtime::cgroups::Cgroup;
use corten_runtime::exec::{Target, launch};
use corten_runtime::launch::Launched;
use corten_runtime::plan::ProcessPlan;
use corten_sys::process::{self, Exit, Pid, namespace};
use corten_sys::{SysError, label};
use rustix::fs::{Gid, Uid};

use super::record::ContainerRecord;
use super::spec::{NetworkMode, Share};
use super::state::Status;
use super::{oci_spec, seccomp_cache, start, state};
use crate::{Engine, Error, events};

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    pub args: Vec<String>,
    /// `NAME=value`, over the container's.
    pub env: Vec<String>,
    pub user: Option<String>,
    pub workdir: Option<String>,
    pub tty: bool,
    /// The process reads what the caller writes; otherwise its input is empty.
    pub stdin: bool,
    pub privileged: bool,
}

/// A process that was executed in a container, a child of the caller.
#[derive(Debug)]
pub struct ExecProcess {
    launched: Launched,
    told: Told,
    /// With a terminal, its master; else absent.
    pub terminal: Option<OwnedFd>,
    /// Without a terminal: the writing end of its input, where it has one.
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
}

impl ExecProcess {
    /// Its pid on the host, which leads a session and a process group of its own.
    pub fn pid(&self) -> Pid {
        self.launched.pid
    }

    /// Becomes readable when the process has ended.
    pub fn pidfd(&self) -> &OwnedFd {
        &self.launched.pidfd
    }

    /// Waits for its end and reaps it.
    pub fn wait(&self) -> Result<Exit, Error> {
        let exit = process::wait(&self.launched.pidfd)?;
        self.told.end(exit);
        Ok(exit)
    }
}

/// Executes a process in a running container; returns when it has become the command.
///
/// The caller has one thread and stays its parent.
pub fn exec(engine: &Engine, record: &ContainerRecord, options: &ExecOptions) -> Result<ExecProcess, Error> {
    let not_running = || Error::conflict(format!("container {} is not running", record.id));
    let current = state::read(engine, record)?;
    if current.status == Status::Paused {
        let text = format!("Container {} is paused, unpause the container before exec", record.name);
        return Err(Error::conflict(text));
    }
    let run = current.run.as_ref().filter(|_| current.is_running()).ok_or_else(not_running)?;
    let init = run.init.open().ok_or_else(not_running)?;
    let facts = engine.facts()?;
    let fail = |error: corten_runtime::cgroups::CgroupError| Error::from_cause(&error);
    let cgroup = Cgroup::open(facts.cgroups.clone(), &start::cgroup_path(record)).map_err(fail)?;
    let target = Target {
        pidfd: init,
        namespaces: namespaces(record),
        cgroup_tasks: cgroup.tasks_files().map_err(fail)?,
        cgroup: cgroup.dir_fd().map_err(fail)?,
        rlimits: limits(record),
    };
    let seccomp =
        if options.privileged { Vec::new() } else { seccomp_cache::program(engine, record, facts)? };
    let (fifos, mut ends) = stdio(options)?;
    if record.spec.host_ids().is_none() {
        give_to_container(&fifos, start::read_id_range(run.init.pid)?.base)?;
    }
    if !record.mount_label.is_empty() {
        fifos.iter().try_for_each(|fifo| label::set_on(fifo, "pipe", &record.mount_label))?;
    }
    let launched = launch(&target, &plan(record, options)?, &seccomp, fifos)?;
    ends.terminal = launched.wait_exec().inspect_err(|_| launched.abandon())?;
    let Ends { terminal, stdin, stdout, stderr } = ends;
    let told = Told::begin(engine, record, &options.args)?;
    Ok(ExecProcess { launched, told, terminal, stdin, stdout, stderr })
}

/// Tells of a process, under an id of its own.
#[derive(Debug)]
struct Told {
    engine: Engine,
    record: ContainerRecord,
    id: String,
}

impl Told {
    fn begin(engine: &Engine, record: &ContainerRecord, args: &[String]) -> Result<Self, Error> {
        let id = super::random_id()?;
        let line = args.join(" ");
        let created = format!("exec_create: {line} ");
        let started = format!("exec_start: {line} ");
        let more: &[(&str, &str)] = &[("execID", &id)];
        events::containers(engine, record, &[(&created, more), (&started, more)]);
        Ok(Self { engine: engine.clone(), record: record.clone(), id })
    }

    fn end(&self, exit: Exit) {
        let code = exit.code().to_string();
        let more: &[(&str, &str)] = &[("execID", &self.id), ("exitCode", &code)];
        events::container(&self.engine, &self.record, "exec_die", more);
    }
}

/// Says whether the processes of a running container have the host's ids, by its own flag or by that of the one whose
/// namespaces it joins.
pub fn has_host_ids(engine: &Engine, record: &ContainerRecord) -> Result<bool, Error> {
    if record.spec.host_ids().is_some() || !record.spec.joins_another() {
        return Ok(record.spec.host_ids().is_some());
    }
    let current = state::read(engine, record)?;
    let range = current.run.filter(|run| run.init.is_alive()).map(|run| start::read_id_range(run.init.pid));
    Ok(range.transpose()?.is_some_and(|range| range.base == 0))
}

#[derive(Default)]
struct Ends {
    terminal: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

fn stdio(options: &ExecOptions) -> Result<(Vec<OwnedFd>, Ends), Error> {
    if options.tty {
        return Ok((Vec::new(), Ends::default()));
    }
    let pipe = || {
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
            .map_err(|errno| SysError::new("pipe", "", errno))
    };
    let (stdin, write) = pipe()?;
    let (stdout, out) = pipe()?;
    let (stderr, err) = pipe()?;
    // Without -i the writing end is dropped here: the process reads end of file.
    let ends = Ends {
        terminal: None,
        stdin: options.stdin.then_some(write),
        stdout: Some(stdout),
        stderr: Some(stderr),
    };
    Ok((vec![stdin, out, err], ends))
}

/// The pipes belong to the container's root, who may then hand them to the user.
fn give_to_container(fifos: &[OwnedFd], base: u32) -> Result<(), SysError> {
    for fifo in fifos {
        rustix::fs::fchown(fifo, Some(Uid::from_raw(base)), Some(Gid::from_raw(base)))
            .map_err(|errno| SysError::new("chown", "pipe", errno))?;
    }
    Ok(())
}

/// The container's own limits, which a further process has as well (security.md F27).
fn limits(record: &ContainerRecord) -> Vec<(i32, u64, u64)> {
    let number = |name: &str| corten_sys::rlimit::number(name);
    record
        .spec
        .ulimits
        .iter()
        .filter_map(|limit| Some((number(&limit.name)?, limit.soft, limit.hard)))
        .collect()
}

/// The namespaces that the container does not share with the host.
fn namespaces(record: &ContainerRecord) -> u64 {
    let modes = &record.spec.namespaces;
    let mut flags = namespace::MOUNT;
    let mut set = |flag: u64, on: bool| flags |= if on { flag } else { 0 };
    set(namespace::USER, record.spec.host_ids().is_none());
    set(namespace::PID, modes.pid != Share::Host);
    set(namespace::IPC, modes.ipc != Share::Host);
    set(namespace::UTS, !modes.uts_host);
    set(namespace::NETWORK, record.spec.network != NetworkMode::Host);
    set(namespace::CGROUP, !modes.cgroup_host);
    flags
}

fn plan(record: &ContainerRecord, options: &ExecOptions) -> Result<ProcessPlan, Error> {
    let capabilities =
        if options.privileged { CapSet::bounding() } else { oci_spec::bounding_set(&record.spec)? };
    let mut env = record.process.env.clone();
    if options.tty && !env.iter().any(|entry| entry.starts_with("TERM=")) {
        env.push("TERM=xterm".to_owned());
    }
    for entry in &options.env {
        let name = entry.split('=').next();
        env.retain(|other| other.split('=').next() != name);
        if entry.contains('=') {
            env.push(entry.clone());
        }
    }
    let workdir = options.workdir.clone().unwrap_or_else(|| record.process.workdir.clone());
    if !workdir.starts_with('/') {
        return Err(Error::invalid(format!("Cwd must be an absolute path: {workdir}")));
    }
    Ok(ProcessPlan {
        args: options.args.clone(),
        env,
        cwd: workdir,
        user: options.user.clone().unwrap_or_else(|| record.process.user.clone()),
        groups: record.spec.groups.clone(),
        bounding: capabilities,
        effective: capabilities,
        no_new_privileges: record.spec.security.no_new_privileges,
        apparmor: if options.privileged { "" } else { record.spec.security.apparmor_to_enter() }.to_owned(),
        selinux: record.process_label.clone(),
        terminal: options.tty,
        create_directory: false,
        reaper: false,
    })
}
