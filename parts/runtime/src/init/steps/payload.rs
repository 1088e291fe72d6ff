//! The last steps: who, where, with which rights, and which program. Shared by start and exec.

use std::convert::Infallible;

use corten_sys::process::{self, Cloned};
use corten_sys::{Dir, Errno, SysError, exec, signal};
use rustix::fs::{FileType, Mode, OFlags};

use super::super::reaper;
use super::super::user::{self, Identity};
use crate::capabilities::{self, CapSet};
use crate::launch::StartFailure;
use crate::lsm;
use crate::plan::ProcessPlan;

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the payload; the process is already inside its namespaces and root.
pub(crate) fn become_it(plan: &ProcessPlan, seccomp: &[u8]) -> Result<Infallible, StartFailure> {
    rustix::process::umask(Mode::from_bits_truncate(0o022));
    let root = Dir::open("/")?;
    let identity = user::resolve(&root, &plan.user, &plan.groups)?;
    enter_directory(&root, &plan.cwd, plan.create_directory)?;
    // Before no_new_privs, which lets a process only into a narrower profile.
    lsm::enter_on_exec(&root, &plan.apparmor)?;
    lsm::label_on_exec(&root, &plan.selinux)?;
    drop(root);
    hand_over_stdio(&identity)?;
    let mut environment = plan.env.clone();
    if !environment.iter().any(|entry| entry.starts_with("HOME=")) {
        environment.push(format!("HOME={}", identity.home));
    }
    process::close_on_exec_from(3)?;
    capabilities::limit_bounding(plan.bounding)?;
    if plan.no_new_privileges {
        rustix::thread::set_no_new_privs(true)
            .map_err(|errno| SysError::new("prctl", "NO_NEW_PRIVS", errno))?;
    } else {
        // Without no_new_privs the filter needs CAP_SYS_ADMIN, which the next step may give up.
        load_filter(seccomp)?;
    }
    become_user(plan, &identity)?;
    if plan.no_new_privileges {
        load_filter(seccomp)?;
    }
    let program = find_program(&plan.args, &environment)?;
    signal::reset_all();
    if plan.reaper
        && let Cloned::Parent { pid, .. } = process::clone(0, None)?
    {
        reaper::main(pid);
    }
    Err(explain(exec::replace(&program, &plan.args, &environment), &plan.args))
}

/// Loads a seccomp program: four bytes of flags, then its instructions. None at all is unconfined.
fn load_filter(program: &[u8]) -> Result<(), SysError> {
    match program.split_first_chunk::<4>() {
        None => Ok(()),
        Some((flags, instructions)) => {
            corten_sys::seccomp::set_mode_filter(instructions, u32::from_le_bytes(*flags))
        }
    }
}

/// Enters the working directory, which a container's first process may create; a path that leaves the root is refused
/// (CVE-2024-21626: `/proc/self/fd/N`).
fn enter_directory(root: &Dir, path: &str, create: bool) -> Result<(), StartFailure> {
    let path = if path.is_empty() { "/" } else { path };
    let refuse = |error: SysError| {
        let reason = corten_sys::error::reason(error.errno());
        let code = if error.errno() == Errno::ACCESS { 126 } else { 127 };
        StartFailure {
            message: format!("chdir to cwd (\"{path}\") set in config.json failed: {reason}"),
            code,
        }
    };
    let directory =
        if create { root.create_dir_all(path, 0o755) } else { root.open_dir(path) }.map_err(refuse)?;
    rustix::process::fchdir(&directory).map_err(|errno| refuse(SysError::at("chdir", path, errno)))?;
    let here =
        rustix::process::getcwd(Vec::new()).map_err(|errno| refuse(SysError::at("getcwd", path, errno)))?;
    if here.as_bytes().first() == Some(&b'/') {
        return Ok(());
    }
    Err(StartFailure::platform(format!("working directory {path} is outside the container's root")))
}

/// A payload that is not root owns its standard FIFOs and terminal, so that it can reopen /dev/stdout.
fn hand_over_stdio(identity: &Identity) -> Result<(), SysError> {
    if identity.uid == 0 {
        return Ok(());
    }
    let uid = Some(rustix::fs::Uid::from_raw(identity.uid));
    for fd in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let stat = rustix::fs::fstat(fd).map_err(|errno| SysError::new("stat", "stdio", errno))?;
        let is_null = stat.st_rdev == rustix::fs::makedev(1, 3);
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Fifo || (kind == FileType::CharacterDevice && !is_null) {
            rustix::fs::fchown(fd, uid, None).map_err(|errno| SysError::new("chown", "stdio", errno))?;
        }
    }
    Ok(())
}

/// Drops from the namespace's root to the user with the capabilities it keeps; inheritable and ambient stay empty.
fn become_user(plan: &ProcessPlan, identity: &Identity) -> Result<(), SysError> {
    rustix::thread::set_keep_capabilities(true).map_err(|errno| SysError::new("prctl", "KEEPCAPS", errno))?;
    process::become_user(identity.uid, identity.gid, &identity.groups)?;
    rustix::thread::set_keep_capabilities(false)
        .map_err(|errno| SysError::new("prctl", "KEEPCAPS", errno))?;
    let kept = if identity.uid == 0 { plan.effective } else { CapSet::EMPTY };
    capabilities::apply(kept, kept, CapSet::EMPTY, CapSet::EMPTY)
}

/// Finds the program as execvp(3) would, with docker's words for what is wrong.
fn find_program(args: &[String], environment: &[String]) -> Result<String, StartFailure> {
    let Some(name) = args.first().filter(|name| !name.is_empty()) else {
        return Err(StartFailure { message: "exec: \"\": no command specified".to_owned(), code: 127 });
    };
    if name.contains('/') {
        return match check(name) {
            Ok(()) => Ok(name.clone()),
            Err(errno) => Err(not_runnable(name, errno)),
        };
    }
    let path = environment.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut denied = false;
    for directory in path.split(':') {
        let candidate = format!("{}/{name}", if directory.is_empty() { "." } else { directory });
        match check(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::ACCESS) => denied = true,
            Err(_) => {}
        }
    }
    if denied {
        return Err(not_runnable(name, Errno::ACCESS));
    }
    Err(StartFailure { message: format!("exec: \"{name}\": executable file not found in $PATH"), code: 127 })
}

fn check(path: &str) -> Result<(), Errno> {
    let fd = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let stat = rustix::fs::fstat(&fd)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(Errno::ISDIR),
        _ if stat.st_mode & 0o111 == 0 => Err(Errno::ACCESS),
        _ => Ok(()),
    }
}

fn not_runnable(name: &str, errno: Errno) -> StartFailure {
    let reason = corten_sys::error::reason(errno);
    match errno {
        Errno::NOENT | Errno::NOTDIR => {
            StartFailure { message: format!("exec: \"{name}\": stat {name}: {reason}"), code: 127 }
        }
        _ => StartFailure { message: format!("exec: \"{name}\": {reason}"), code: 126 },
    }
}

/// What a failed execve means for the user.
fn explain(error: SysError, args: &[String]) -> StartFailure {
    let name = args.first().map_or("", String::as_str);
    match error.errno() {
        Errno::NOENT => {
            let message = format!("exec {name}: no such file or directory (its interpreter is missing)");
            StartFailure { message, code: 127 }
        }
        Errno::NOEXEC => StartFailure { message: format!("exec {name}: exec format error"), code: 255 },
        errno => not_runnable(name, errno),
    }
}
