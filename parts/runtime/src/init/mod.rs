//! The first process inside: carries out an [`InitPlan`] step by step and becomes the payload.
//!
//! It begins as a copy of the keeper in new namespaces, knows only what the socket brings, and reports a
//! failure over the same socket, which closes by itself when the payload is executed.

pub(crate) mod prelude;
pub(crate) mod reaper;
pub(crate) mod steps;
pub(crate) mod user;

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use corten_sys::process::{self, Cloned};
use corten_sys::{SysError, arena, exec, socket};

use crate::launch::StartFailure;
use crate::plan::{InitPlan, MountSource, Prelude};
use prelude::Prepared;

/// What init says to the process that launched it.
#[derive(Debug)]
pub(crate) enum Report {
    /// The master side of the payload's terminal.
    Terminal(OwnedFd),
    /// The proxy cloned init.
    Cloned { pid: i32, pidfd: OwnedFd },
    /// The start failed; the sender is about to exit.
    Failed(StartFailure),
}

impl Report {
    pub(crate) fn send(&self, socket: &UnixStream) -> Result<(), SysError> {
        match self {
            Self::Terminal(master) => socket::send(socket, b"T", &[master.as_fd()]),
            Self::Cloned { pid, pidfd } => {
                let mut bytes = vec![b'C'];
                bytes.extend_from_slice(&pid.to_le_bytes());
                socket::send(socket, &bytes, &[pidfd.as_fd()])
            }
            Self::Failed(failure) => {
                let mut bytes = vec![b'F', failure.code];
                bytes.extend_from_slice(failure.message.as_bytes());
                socket::send(socket, &bytes, &[])
            }
        }
    }

    pub(crate) fn receive(socket: &UnixStream) -> Result<Option<Self>, SysError> {
        let message = match socket::receive(socket) {
            Ok(Some(message)) => message,
            // A peer that was killed mid-way resets the connection: the same as closing it.
            Ok(None) => return Ok(None),
            Err(error) if error.errno() == corten_sys::Errno::CONNRESET => return Ok(None),
            Err(error) => return Err(error),
        };
        let fd = message.fds.into_iter().next();
        Ok(match (message.bytes.as_slice(), fd) {
            ([b'T'], Some(master)) => Some(Self::Terminal(master)),
            ([b'C', a, b, c, d], Some(pidfd)) => {
                Some(Self::Cloned { pid: i32::from_le_bytes([*a, *b, *c, *d]), pidfd })
            }
            ([b'F', code, text @ ..], _) => {
                let message = String::from_utf8_lossy(text).into_owned();
                Some(Self::Failed(StartFailure { message, code: *code }))
            }
            _ => None,
        })
    }
}

/// Init's life, from the clone to the payload. Never returns.
pub(crate) fn main(socket: &UnixStream) -> ! {
    arena::open();
    // The keeper's own descriptors came with the clone: its end of this very socket among them, without whose end
    // nothing here would hear that it has died.
    let failure = match process::close_all_but(&[socket.as_fd()])
        .map_err(StartFailure::from)
        .and_then(|()| run(socket))
    {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    let code = i32::from(failure.code);
    // Nobody listens any more where this fails: the exit code is all that is left to say.
    Report::Failed(failure).send(socket).unwrap_or_default();
    process::exit_now(code)
}

/// The name by which this program is executed as an init with the host's ids, its socket's number behind it.
pub const PROTECTED: &str = "corten-init";

/// As [`main`] for a container whose root is the host's: from a read-only clone of this program that is attached
/// nowhere, so that the payload cannot write the real one through /proc/PID/exe (CVE-2019-5736).
pub(crate) fn main_protected(socket: &UnixStream, program: &OwnedFd) -> ! {
    let failure = match become_protected(socket, program) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    Report::Failed(StartFailure::platform(failure)).send(socket).unwrap_or_default();
    process::exit_now(125)
}

fn become_protected(socket: &UnixStream, program: &OwnedFd) -> Result<std::convert::Infallible, SysError> {
    let kept = socket.as_fd();
    rustix::io::fcntl_setfd(kept, rustix::io::FdFlags::empty())
        .map_err(|errno| SysError::new("fcntl", "", errno))?;
    Err(exec::replace_with(program, &[PROTECTED.to_owned(), kept.as_raw_fd().to_string()], &[]))
}

/// Goes on as init in the fresh program that [`PROTECTED`] names. Never returns.
pub fn resume(socket: Option<UnixStream>) -> ! {
    let Some(socket) = socket else { process::exit_now(125) };
    main(&socket)
}

/// Joins other containers' namespaces, then clones init from there as a sibling, which goes on in the `protected`
/// program where there is one. Never returns.
pub(crate) fn proxy(
    targets: &[(u64, OwnedFd)],
    namespaces: u64,
    cgroup: Option<BorrowedFd<'_>>,
    socket: &UnixStream,
    protected: Option<&OwnedFd>,
) -> ! {
    let cloned = targets
        .iter()
        .try_for_each(|(flag, pidfd)| process::enter_namespaces(pidfd, *flag))
        .and_then(|()| process::clone(namespaces | process::CLONE_PARENT, cgroup));
    let report = match cloned {
        Ok(Cloned::Child) => match protected {
            Some(program) => main_protected(socket, program),
            None => main(socket),
        },
        Ok(Cloned::Parent { pid, pidfd }) => Report::Cloned { pid: pid.as_raw_nonzero().get(), pidfd },
        Err(error) => Report::Failed(StartFailure::platform(error)),
    };
    report.send(socket).unwrap_or_default();
    process::exit_now(0)
}

/// The descriptors that came with the plan, taken in the order in which they were sent.
#[derive(Debug)]
pub(crate) struct Handed {
    fds: VecDeque<OwnedFd>,
}

impl Handed {
    pub(crate) fn next(&mut self) -> Result<OwnedFd, StartFailure> {
        self.fds.pop_front().ok_or_else(|| StartFailure::platform("init: a descriptor is missing"))
    }
}

fn run(socket: &UnixStream) -> Result<std::convert::Infallible, StartFailure> {
    let mut prepared = Prepared::default();
    let mut early = Ok(());
    let message = loop {
        let message = socket::receive(socket)?.ok_or_else(|| StartFailure::platform("init: no plan came"))?;
        match message.bytes.split_first() {
            // A failure is reported when somebody listens.
            Some((&PRELUDE, json)) => {
                early = decode_prelude(json).and_then(|prelude| Ok(prepared.work(prelude)?));
            }
            _ => break message,
        }
    };
    early?;
    let (plan, seccomp) = decode(&message.bytes)?;
    let mut handed = Handed { fds: message.fds.into() };
    prepared.settle(&plan.process.selinux)?;
    let mut stdio =
        if plan.process.terminal { Vec::new() } else { vec![handed.next()?, handed.next()?, handed.next()?] };
    if plan.mounts.iter().any(|step| step.source == MountSource::Dev) {
        prepared.dev = Some(handed.next()?);
    }
    let rootfs = steps::rootfs::build(&plan, &mut handed)?;
    if plan.join_cgroups {
        // The last descriptor, behind all trees.
        let channel =
            handed.fds.pop_back().ok_or_else(|| StartFailure::platform("init: no cgroup channel"))?;
        steps::cgroup::join(&UnixStream::from(channel))?;
    }
    if plan.new_cgroup_namespace {
        process::unshare(process::namespace::CGROUP)?;
    }
    let terminal = steps::mounts::attach_all(&plan, &rootfs, &mut handed, &mut prepared, socket)?;
    if plan.own_network {
        prepared.loopback_up()?;
    }
    steps::host::name(&plan)?;
    steps::host::sysctls(&plan, &rootfs)?;
    steps::paths::cover(&plan, &rootfs)?;
    steps::rootfs::enter(&plan, &rootfs)?;
    drop((rootfs, handed, prepared));
    if !stdio.is_empty() {
        let stdin = steps::stdio::own_null(stdio.remove(0))?;
        stdio.insert(0, stdin);
    }
    steps::stdio::install(stdio, terminal)?;
    steps::payload::become_it(&plan.process, seccomp)
}

/// The first byte of a message to init: a [`Prelude`], or the plan with its seccomp program.
const PRELUDE: u8 = b'e';
const PLAN: u8 = b'p';

/// Encodes a prelude for init's socket.
pub(crate) fn encode_prelude(prelude: &Prelude) -> Vec<u8> {
    let mut bytes = vec![PRELUDE];
    bytes.extend(serde_json::to_vec(prelude).unwrap_or_default());
    bytes
}

fn decode_prelude(json: &[u8]) -> Result<Prelude, StartFailure> {
    serde_json::from_slice(json).map_err(|error| StartFailure::platform(format!("init: prelude: {error}")))
}

/// Encodes an init plan and its seccomp program.
pub(crate) fn encode(plan: &InitPlan, seccomp: &[u8]) -> Vec<u8> {
    let json = serde_json::to_vec(plan).unwrap_or_default();
    let mut bytes = Vec::with_capacity(5 + json.len() + seccomp.len());
    bytes.push(PLAN);
    bytes.extend_from_slice(&u32::try_from(json.len()).unwrap_or(0).to_le_bytes());
    bytes.extend_from_slice(&json);
    bytes.extend_from_slice(seccomp);
    bytes
}

fn decode(bytes: &[u8]) -> Result<(InitPlan, &[u8]), StartFailure> {
    let wrong = || StartFailure::platform("init: the plan is cut short");
    let (_, bytes) = bytes.split_first().filter(|(kind, _)| **kind == PLAN).ok_or_else(wrong)?;
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (json, seccomp) = rest.split_at_checked(length).ok_or_else(wrong)?;
    let plan = serde_json::from_slice(json)
        .map_err(|error| StartFailure::platform(format!("init: plan: {error}")))?;
    Ok((plan, seccomp))
}
