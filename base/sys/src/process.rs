//! Processes: clone3 with namespaces, pidfds, waiting, and the identity that survives pid reuse.

use std::fmt;
use std::num::ParseIntError;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::str::FromStr;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

pub use rustix::process::{Pid, Signal};
use rustix::process::{PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus};

use crate::error::{Context, Errno, SysError};
use crate::fs;

/// Namespace flags of clone3(2), unshare(2) and setns(2).
pub mod namespace {
    pub const MOUNT: u64 = libc::CLONE_NEWNS as u64;
    pub const UTS: u64 = libc::CLONE_NEWUTS as u64;
    pub const IPC: u64 = libc::CLONE_NEWIPC as u64;
    pub const USER: u64 = libc::CLONE_NEWUSER as u64;
    pub const PID: u64 = libc::CLONE_NEWPID as u64;
    pub const NETWORK: u64 = libc::CLONE_NEWNET as u64;
    pub const CGROUP: u64 = libc::CLONE_NEWCGROUP as u64;
}

/// Makes the child a sibling: its parent is the caller's parent.
pub const CLONE_PARENT: u64 = libc::CLONE_PARENT as u64;

/// Which side of [`clone`] this is.
#[derive(Debug)]
pub enum Cloned {
    /// The new process.
    Child,
    /// The caller, with the new process's pid and pidfd.
    Parent { pid: Pid, pidfd: OwnedFd },
}

/// Forks with the given `CLONE_*` flags, on v2 straight into the cgroup whose directory is given.
///
/// The child is a copy of the whole process and may allocate: corten clones only while it has one thread
/// (checked in debug builds). Falls back to clone(2) where a seccomp filter answers ENOSYS and no cgroup is asked.
pub fn clone(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, SysError> {
    debug_assert_eq!(fs::list("/proc/self/task").map_or(1, |tasks| tasks.len()), 1, "clone with threads");
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: flags | libc::CLONE_PIDFD as u64,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if flags & CLONE_PARENT != 0 {
        // The kernel gives the sibling the caller's own exit signal and refuses any other word for it.
        args.exit_signal = 0;
    }
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: `args` is a live clone_args of the given size; without CLONE_VM the child runs on a copy of
    // this stack, and the process has one thread, so no lock is held by a thread the child lacks.
    let mut pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    if pid == -1 && last_errno() == Errno::NOSYS && cgroup.is_none() {
        // A seccomp filter that cannot look into clone3's arguments answers so; clone(2) has the flags in a register.
        let flags = args.flags | args.exit_signal;
        // SAFETY: as above; a null stack shares the caller's copy, and the third argument is where the pidfd goes.
        pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    }
    match pid {
        0 => Ok(Cloned::Child),
        -1 => Err(SysError::new("clone3", format!("flags {flags:#x}"), last_errno())),
        pid => {
            let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
            let pid = pid.ok_or_else(|| SysError::new("clone3", "pid", Errno::INVAL))?;
            // SAFETY: CLONE_PIDFD made the kernel store a new descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid, pidfd })
        }
    }
}

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of linux/sched.h, version 2 (Linux 5.7).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Opens a pidfd for a process by its pid; the caller checks the identity (see [`Identity`]).
pub fn open_pidfd(pid: Pid) -> Result<OwnedFd, SysError> {
    rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .map_err(|errno| SysError::new("pidfd_open", pid.to_string(), errno))
}

/// Sends a signal through a pidfd; a process that is gone is `Ok(false)`.
///
/// By number, so that real-time signals pass as well.
pub fn send_signal(pidfd: impl AsFd, signal: i32) -> Result<bool, SysError> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: the descriptor is live for the call; a null siginfo means that of kill(2).
    let rc = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, std::ptr::null::<()>(), 0) };
    if rc == 0 {
        return Ok(true);
    }
    match last_errno() {
        Errno::SRCH => Ok(false),
        errno => Err(SysError::new("pidfd_send_signal", signal.to_string(), errno)),
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl Exit {
    /// The code a shell shows: the exit code, or 128 + the signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    fn from_status(status: &WaitIdStatus) -> Option<Self> {
        status.exit_status().map(Self::Code).or_else(|| status.terminating_signal().map(Self::Signal))
    }
}

/// Waits for a child's end and reaps it. EINTR is retried.
pub fn wait(pidfd: impl AsFd) -> Result<Exit, SysError> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                if let Some(exit) = Exit::from_status(&status) {
                    return Ok(exit);
                }
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(SysError::new("waitid", "", errno)),
        }
    }
}

/// Reaps a child that has ended, or returns `None` while it runs.
pub fn try_wait(pidfd: impl AsFd) -> Result<Option<Exit>, SysError> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options)
        .map_err(|errno| SysError::new("waitid", "", errno))?;
    Ok(status.as_ref().and_then(Exit::from_status))
}

/// How a process that is not our child ended, as far as the kernel still tells; the pidfd is from while it lived.
///
/// An unreaped zombie shows its status in /proc; after the reaping PIDFD_GET_INFO has it (Linux 6.15).
pub fn exit_of_stranger(pidfd: impl AsFd, process: Identity) -> Option<Exit> {
    pidfd_exit(&pidfd).or_else(|| zombie_exit(process)).or_else(|| pidfd_exit(&pidfd))
}

/// How an unreaped zombie ended.
pub fn zombie_exit(process: Identity) -> Option<Exit> {
    let stat = fs::read(format!("/proc/{}/stat", process.pid)).ok()?;
    let Stat { state, start, threads } = parse_stat(&stat)?;
    if state != b'Z' || threads > 1 || start != process.start {
        return None;
    }
    let text = String::from_utf8_lossy(&stat);
    decode_status(text.trim_end().rsplit(' ').next()?.parse().ok()?)
}

/// Reads a status as wait(2) encodes it.
fn decode_status(status: i32) -> Option<Exit> {
    match status & 0x7f {
        0 => Some(Exit::Code(status >> 8 & 0xff)),
        signal => Some(Exit::Signal(signal)),
    }
}

fn pidfd_exit(pidfd: &impl AsFd) -> Option<Exit> {
    const GET_INFO: libc::c_int = 0xc040_ff0b_u32.cast_signed();
    const INFO_EXIT: u64 = 1 << 3;
    let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: `info` is a live struct of the size that is part of the request's number; the kernel fills it.
    let rc = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), GET_INFO, &raw mut info) };
    if rc == 0 && info.mask & INFO_EXIT != 0 { decode_status(info.exit_code) } else { None }
}

/// `struct pidfd_info` of linux/pidfd.h, its first version (64 bytes).
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroupid: u64,
    ids: [u32; 11],
    exit_code: i32,
}

/// What tells a process from a later one with the same pid: its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub pid: i32,
    /// Clock ticks since boot (proc(5), stat field 22).
    pub start: u64,
}

/// `<pid> <start>`, as it stands in records.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.pid, self.start)
    }
}

impl FromStr for Identity {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (pid, start) = text.split_once(' ').unwrap_or((text, ""));
        Ok(Self { pid: pid.parse()?, start: start.parse()? })
    }
}

impl Identity {
    /// Reads the identity of a running process; `None` where it is gone or a zombie.
    pub fn of(pid: i32) -> Option<Self> {
        let file = fs::open(format!("/proc/{pid}/stat")).ok()?;
        // Longer than any line: 52 numbers and a name of at most 64 bytes.
        let mut line = [0_u8; 1536];
        let length = rustix::io::read(&file, &mut line).ok()?;
        let Stat { state, start, threads } = parse_stat(line.get(..length)?)?;
        // A zombie with more than one thread is a leader that has left the others running.
        let ended = state == b'X' || state == b'Z' && threads <= 1;
        (!ended).then_some(Self { pid, start })
    }

    /// Says whether this very process still runs. A zombie does not.
    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// Opens a pidfd that is certainly of this process, or `None` where it is gone.
    pub fn open(self) -> Option<OwnedFd> {
        let pidfd = open_pidfd(Pid::from_raw(self.pid)?).ok()?;
        // The pid cannot have been reused while the pidfd was open: if it matches now, it was the right one.
        self.is_alive().then_some(pidfd)
    }
}

/// The fields of a /proc/PID/stat line that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: u8,
    threads: u32,
    start: u64,
}

/// Reads a /proc/PID/stat line. The command name may hold anything, spaces and
/// parentheses too, so fields are counted from its last `)`.
fn parse_stat(stat: &[u8]) -> Option<Stat> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.bytes().next()?;
    let threads = fields.nth(16)?.parse().ok()?;
    let start = fields.nth(1)?.parse().ok()?;
    Some(Stat { state, threads, start })
}

/// The calling process's pid.
pub fn own_pid() -> Pid {
    rustix::process::getpid()
}

/// The identity of the calling process; looked up once.
pub fn own_identity() -> Identity {
    // A clone of this process has another pid and looks again.
    static KNOWN_PID: AtomicI32 = AtomicI32::new(0);
    static KNOWN_START: AtomicU64 = AtomicU64::new(0);
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    if KNOWN_PID.load(Ordering::Acquire) != pid {
        // Without descriptors left to look it up with, it is not kept: the next question may find it.
        let Some(own) = Identity::of(pid) else { return Identity { pid, start: 0 } };
        KNOWN_START.store(own.start, Ordering::Relaxed);
        KNOWN_PID.store(pid, Ordering::Release);
    }
    Identity { pid, start: KNOWN_START.load(Ordering::Relaxed) }
}

/// Joins all the given namespaces of the process behind `pidfd` with one call (Linux 5.8).
pub fn enter_namespaces(pidfd: impl AsFd, flags: u64) -> Result<(), SysError> {
    let flags = libc::c_int::try_from(flags).map_err(|_| SysError::new("setns", "flags", Errno::INVAL))?;
    // SAFETY: the descriptor is live for the call; setns changes only the calling thread, the only one.
    let rc = unsafe { libc::setns(pidfd.as_fd().as_raw_fd(), flags) };
    if rc == 0 { Ok(()) } else { Err(SysError::new("setns", format!("{flags:#x}"), last_errno())) }
}

/// Moves the calling process into new namespaces.
pub fn unshare(flags: u64) -> Result<(), SysError> {
    let flags = libc::c_int::try_from(flags).map_err(|_| SysError::new("unshare", "flags", Errno::INVAL))?;
    // SAFETY: namespaces are per thread and this process has one; no shared resource is unshared.
    let rc = unsafe { libc::unshare(flags) };
    if rc == 0 { Ok(()) } else { Err(SysError::new("unshare", format!("{flags:#x}"), last_errno())) }
}

/// Becomes the reaper of orphaned descendants (prctl(2), PR_SET_CHILD_SUBREAPER).
pub fn become_subreaper() -> Result<(), SysError> {
    rustix::process::set_child_subreaper(Some(Pid::INIT)).on("prctl", "PR_SET_CHILD_SUBREAPER")
}

/// Reaps every child that has ended, except those that `keep` still wants to wait for itself.
pub fn reap_others(keep: &[Pid]) {
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let Ok(Some(pid)) = peek_ended(options) else { return };
        if keep.contains(&pid)
            || rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG).is_err()
        {
            return;
        }
    }
}

fn peek_ended(options: WaitIdOptions) -> Result<Option<Pid>, SysError> {
    // SAFETY: all-zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = options.bits().cast_signed();
    // SAFETY: `info` is live and of the kernel's type; P_ALL ignores the id.
    let rc = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, options) };
    if rc != 0 {
        return Err(SysError::new("waitid", "", last_errno()));
    }
    // SAFETY: waitid filled the child variant of `info`, or left it zero.
    let pid = unsafe { info.si_pid() };
    Ok(Pid::from_raw(pid))
}

/// Fixes the user and group ids, real, effective and saved, groups first.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> Result<(), SysError> {
    let ids: Vec<_> = groups.iter().map(|&gid| rustix::process::Gid::from_raw(gid)).collect();
    rustix::thread::set_thread_groups(&ids).on("setgroups", "")?;
    become_ids(uid, gid)
}

/// As [`become_user`] with the supplementary groups left alone.
pub fn become_ids(uid: u32, gid: u32) -> Result<(), SysError> {
    let gid = rustix::process::Gid::from_raw(gid);
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .map_err(|errno| SysError::new("setresgid", gid.as_raw().to_string(), errno))?;
    let uid = rustix::process::Uid::from_raw(uid);
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .map_err(|errno| SysError::new("setresuid", uid.as_raw().to_string(), errno))
}

/// Makes what this thread creates in file systems belong to these ids, and keeps what it may do otherwise: a file
/// system of another user namespace takes no file from an id that it has no name for (setfsuid(2)).
pub fn create_as(uid: u32, gid: u32) -> Result<(), SysError> {
    use rustix::thread::CapabilitiesSecureBits as Bits;
    let failed = |errno| SysError::new("prctl", "PR_SET_SECUREBITS", errno);
    let bits = rustix::thread::capabilities_secure_bits().map_err(failed)?;
    if !bits.contains(Bits::NO_SETUID_FIXUP) {
        rustix::thread::set_capabilities_secure_bits(bits | Bits::NO_SETUID_FIXUP).map_err(failed)?;
    }
    // SAFETY: the call takes a number only.
    unsafe { libc::setfsgid(gid) };
    // SAFETY: the call takes a number only.
    unsafe { libc::setfsuid(uid) };
    // Neither tells of a failure but by what a second call, which changes nothing, returns.
    // SAFETY: the call takes a number only.
    let now = unsafe { libc::setfsuid(libc::uid_t::MAX) };
    if now.cast_unsigned() == uid {
        return Ok(());
    }
    Err(SysError::new("setfsuid", uid.to_string(), Errno::PERM))
}

/// Marks every descriptor from `first` on close-on-exec, in a descriptor table of its own.
pub fn close_on_exec_from(first: RawFd) -> Result<(), SysError> {
    const UNSHARE_AND_CLOEXEC: libc::c_uint = (1 << 1) | (1 << 2);
    // SAFETY: marks descriptors, closes none; every owner keeps what it owns.
    let rc = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, UNSHARE_AND_CLOEXEC) };
    if rc == 0 { Ok(()) } else { Err(SysError::new("close_range", first.to_string(), last_errno())) }
}

/// Closes every descriptor except the standard three and those given.
///
/// For the child side of a clone, which owns nothing else and never returns to the owners' frames.
pub fn close_all_but(kept: &[BorrowedFd<'_>]) -> Result<(), SysError> {
    let mut kept: Vec<_> = kept.iter().filter_map(|fd| libc::c_uint::try_from(fd.as_raw_fd()).ok()).collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().filter(|&fd| fd >= 3).chain([libc::c_uint::MAX]) {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd.saturating_add(1);
    }
    Ok(())
}

fn close_range(first: libc::c_uint, last: libc::c_uint) -> Result<(), SysError> {
    // SAFETY: closes descriptors whose owners the caller gives up.
    let rc = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if rc == 0 { Ok(()) } else { Err(SysError::new("close_range", first.to_string(), last_errno())) }
}

/// Joins a new, anonymous session keyring, so that the payload cannot reach the caller's (keyctl(2)).
///
/// A kernel without keyrings has none to leak: ENOSYS is fine.
pub fn new_session_keyring() -> Result<(), SysError> {
    const JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; nothing is read.
    let rc = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, std::ptr::null::<u8>()) };
    if rc >= 0 {
        return Ok(());
    }
    match last_errno() {
        // EDQUOT: the keyring quota of the user is used up; the payload then keeps none of ours but an old one.
        Errno::NOSYS => Ok(()),
        errno => Err(SysError::new("keyctl", "JOIN_SESSION_KEYRING", errno)),
    }
}

/// Sets the calling process's exit signal target: it gets `signal` when its parent dies.
pub fn die_with_parent(signal: Signal) -> Result<(), SysError> {
    rustix::process::set_parent_process_death_signal(Some(signal)).on("prctl", "PR_SET_PDEATHSIG")
}

/// Makes this process one that cannot be traced and whose /proc entries are root's, until the next execve.
pub fn forbid_tracing() -> Result<(), SysError> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .on("prctl", "PR_SET_DUMPABLE")
}

/// Ends the process at once, without destructors or exit handlers: for the child side of a clone.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; nothing runs after it.
    unsafe { libc::_exit(code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_hostile_name() {
        let line = b"12 (a) R (b) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 424242 20";
        assert_eq!(parse_stat(line), Some(Stat { state: b'Z', threads: 17, start: 424_242 }));
        assert_eq!(parse_stat(b"12 (x) R"), None);
    }

    #[test]
    fn the_exit_of_a_zombie_and_of_one_that_was_reaped() {
        let mut child = std::process::Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let start = parse_stat(&fs::read(format!("/proc/{pid}/stat")).unwrap()).unwrap().start;
        let pidfd = open_pidfd(Pid::from_raw(pid).unwrap()).unwrap();
        crate::clock::wait_readable(&pidfd, None).unwrap();
        assert_eq!(exit_of_stranger(&pidfd, Identity { pid, start }), Some(Exit::Code(7)));
        child.wait().unwrap();
        let reaped = exit_of_stranger(&pidfd, Identity { pid, start });
        assert!(reaped.is_none() || reaped == Some(Exit::Code(7)), "older kernels forget: {reaped:?}");
    }

    #[test]
    fn own_identity_is_alive_and_another_start_is_not() {
        let own = own_identity();
        assert!(own.is_alive());
        assert!(!Identity { start: own.start + 1, ..own }.is_alive());
    }
}
