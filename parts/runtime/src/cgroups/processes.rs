//! The processes of a cgroup: listing, freezing, killing, waiting for their end.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use corten_sys::{Errno, SysError, fs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::error::CgroupError;
use super::layout::{Controller, Layout};
use super::{Cgroup, setup, tree, value_of};

/// How long a freeze may take: a task in uninterruptible sleep does not freeze.
const FREEZE_PATIENCE: Duration = Duration::from_secs(10);

/// How many processes are signalled and awaited at a time: each holds a descriptor.
const KILL_BATCH: usize = 256;

impl Cgroup {
    /// Lists the processes, those in cgroups that the container made included, as this pid namespace numbers them.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        Ok(match self.members() {
            Some(directory) => tree::pids(&directory)?,
            None => Vec::new(),
        })
    }

    /// The directory that lists every process: any existing one will do, all are joined at once.
    fn members(&self) -> Option<PathBuf> {
        let preferred = self.directory(Controller::Pids).filter(|directory| fs::exists(directory));
        preferred.or_else(|| self.directories().into_iter().next())
    }

    /// Stops every process where it is and returns once all have stopped; a second time changes nothing.
    ///
    /// On v1 the freezer is joined by all processes now, and by whoever joins through
    /// [`Cgroup::tasks_files`] from then on.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + FREEZE_PATIENCE;
        let frozen = match &self.layout {
            Layout::V1(_) => {
                let directory = self.join_freezer()?;
                fs::write_kernel_file(directory.join("freezer.state"), b"FROZEN")?;
                // The state is set first: whoever is moved in stops there and forks no more.
                self.adopt(&directory)?;
                let mut pause = Backoff::new(deadline);
                loop {
                    if freezer_state(&directory)? == "FROZEN" {
                        break true;
                    }
                    // v1 has no event for this; reading the state is what makes the kernel look.
                    if !pause.wait() {
                        break false;
                    }
                }
            }
            Layout::V2(mount) => {
                let directory = mount.join(&self.path);
                fs::write_kernel_file(directory.join("cgroup.freeze"), b"1")?;
                wait_for_event(&directory, "frozen", "1", deadline)?
            }
        };
        if frozen {
            return Ok(());
        }
        self.thaw()?;
        Err(CgroupError::NotFrozen { path: self.path.clone(), seconds: FREEZE_PATIENCE.as_secs() })
    }

    /// Lets the processes run again.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        match &self.layout {
            Layout::V1(_) => match self.freezer() {
                Some(directory) => fs::write_kernel_file(directory.join("freezer.state"), b"THAWED")?,
                None => return Ok(()),
            },
            Layout::V2(mount) => {
                fs::write_kernel_file(mount.join(&self.path).join("cgroup.freeze"), b"0")?;
            }
        }
        Ok(())
    }

    /// Says whether the processes are stopped.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        match &self.layout {
            Layout::V1(_) => match self.freezer() {
                Some(directory) => Ok(freezer_state(&directory)? == "FROZEN"),
                None => Ok(false),
            },
            Layout::V2(mount) => {
                let events = fs::read_to_string(mount.join(&self.path).join("cgroup.events"))?;
                Ok(value_of(&events, "frozen") == Some("1"))
            }
        }
    }

    /// The v1 freezer directory, where it was joined.
    fn freezer(&self) -> Option<PathBuf> {
        self.directory(Controller::Freezer).filter(|directory| fs::exists(directory))
    }

    fn join_freezer(&self) -> Result<PathBuf, CgroupError> {
        let missing = CgroupError::MissingController { what: "pause", controller: Controller::Freezer };
        let Layout::V1(hierarchies) = &self.layout else { return Err(missing) };
        let hierarchy =
            hierarchies.iter().find(|hierarchy| hierarchy.controllers.contains(&Controller::Freezer));
        setup::join_v1(hierarchy.ok_or(missing)?, &self.path)
    }

    /// Moves every process into a hierarchy that is joined late, until none is outside.
    pub(super) fn adopt(&self, directory: &Path) -> Result<(), CgroupError> {
        let procs = directory.join("cgroup.procs");
        let source = self.candidates().into_iter().find(|other| other != directory && fs::exists(other));
        let Some(source) = source else { return Ok(()) };
        loop {
            let inside: HashSet<i32> = tree::pids(directory)?.into_iter().collect();
            let outside: Vec<i32> =
                tree::pids(&source)?.into_iter().filter(|pid| !inside.contains(pid)).collect();
            if outside.is_empty() {
                return Ok(());
            }
            for pid in outside {
                match fs::write_kernel_file(&procs, pid.to_string().as_bytes()) {
                    Err(error) if error.errno() != Errno::SRCH => return Err(error.into()),
                    _ => {}
                }
            }
        }
    }

    /// Kills every process and returns when none is left; frozen ones too. Forking does not save one.
    pub fn kill_all(&self, patience: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + patience;
        let empty = match &self.layout {
            Layout::V1(_) => self.kill_v1(deadline)?,
            Layout::V2(mount) => {
                let directory = mount.join(&self.path);
                match fs::write_kernel_file(directory.join("cgroup.kill"), b"1") {
                    // Somebody else has removed it, before or meanwhile.
                    Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NODEV) => return Ok(()),
                    other => other?,
                }
                wait_for_event(&directory, "populated", "0", deadline)?
            }
        };
        if empty {
            return Ok(());
        }
        let pids = self.pids()?;
        if pids.is_empty() {
            return Ok(());
        }
        Err(CgroupError::Survivors { path: self.path.clone(), seconds: patience.as_secs(), pids })
    }

    fn kill_v1(&self, deadline: Instant) -> Result<bool, CgroupError> {
        let Some(members) = self.members() else { return Ok(true) };
        let _no_forks = self.directory(Controller::Pids).and_then(|pids| NoForks::impose(&pids));
        loop {
            let listed = tree::pids(&members)?;
            if listed.is_empty() {
                return Ok(true);
            }
            let mut killed = Vec::new();
            for batch in listed.chunks(KILL_BATCH) {
                killed = kill_batch(&members, batch)?;
                // A frozen process on v1 does not even die.
                self.thaw()?;
                if !wait_for_pidfds(&killed, deadline) {
                    return Ok(false);
                }
            }
            if killed.is_empty() && !Backoff::new(deadline).wait() {
                return Ok(false);
            }
        }
    }
}

/// A `pids.max` of 0 for the time of a kill; the former value comes back with the drop.
struct NoForks {
    file: PathBuf,
    former: Vec<u8>,
}

impl NoForks {
    fn impose(directory: &Path) -> Option<Self> {
        let file = directory.join("pids.max");
        let former = fs::read(&file).ok()?;
        fs::write_kernel_file(&file, b"0").ok()?;
        Some(Self { file, former })
    }
}

impl Drop for NoForks {
    fn drop(&mut self) {
        // The cgroup may be gone by now, and an empty one needs no limit.
        drop(fs::write_kernel_file(&self.file, self.former.trim_ascii()));
    }
}

/// Sends SIGKILL to those of `pids` that are in `directory`, and returns a pidfd of each.
///
/// A number may be reused between the listing and pidfd_open; what is still listed once the descriptor is held is
/// ours to kill, whichever process it now is.
fn kill_batch(directory: &Path, pids: &[i32]) -> Result<Vec<OwnedFd>, CgroupError> {
    let mut open = Vec::with_capacity(pids.len());
    for pid in pids.iter().filter_map(|pid| Pid::from_raw(*pid)) {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => open.push((pid, fd)),
            Err(Errno::SRCH) => {}
            Err(errno) => return Err(SysError::new("pidfd_open", pid.to_string(), errno).into()),
        }
    }
    let still: HashSet<i32> = tree::pids(directory)?.into_iter().collect();
    let mut killed = Vec::with_capacity(open.len());
    for (pid, fd) in open.into_iter().filter(|(pid, _)| still.contains(&pid.as_raw_nonzero().get())) {
        match pidfd_send_signal(&fd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => killed.push(fd),
            Err(errno) => return Err(SysError::new("kill", pid.to_string(), errno).into()),
        }
    }
    Ok(killed)
}

/// Waits until every process has exited; false when the deadline comes first.
fn wait_for_pidfds(pidfds: &[OwnedFd], deadline: Instant) -> bool {
    let mut waiting: Vec<PollFd<'_>> = pidfds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    while !waiting.is_empty() {
        let Some(left) = remaining(deadline) else { return false };
        match poll(&mut waiting, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => waiting.retain(|fd| fd.revents().is_empty()),
            Err(_) => return false,
        }
    }
    true
}

/// Waits for the processes of a cgroup that could not be removed, or a moment where there is nothing to wait on.
pub(super) fn wait_for_exit(directory: &Path, deadline: Instant) {
    if fs::exists(directory.join("cgroup.events")) {
        if let Ok(true) = wait_for_event(directory, "populated", "0", deadline) {
            Backoff::new(deadline).wait();
        }
        return;
    }
    let pids = tree::pids(directory).unwrap_or_default();
    let pids = pids.iter().take(KILL_BATCH).filter_map(|pid| Pid::from_raw(*pid));
    let pidfds: Vec<OwnedFd> = pids.filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect();
    wait_for_pidfds(&pidfds, deadline);
    // pidfds fire a little before the kernel lets go of the cgroup.
    Backoff::new(deadline).wait();
}

/// Waits until the line `key value` is in `cgroup.events`; false when the deadline comes first.
fn wait_for_event(directory: &Path, key: &str, value: &str, deadline: Instant) -> Result<bool, SysError> {
    let path = directory.join("cgroup.events");
    let events = match fs::open(&path) {
        Ok(events) => events,
        Err(error) if error.errno() == Errno::NOENT => return Ok(true),
        Err(error) => return Err(error),
    };
    loop {
        let mut text = [0u8; 256];
        // Reading from the start arms the next POLLPRI (cgroup-v2.rst, "cgroup.events").
        let length = match rustix::io::pread(&events, &mut text, 0) {
            Ok(length) => length,
            Err(Errno::NODEV) => return Ok(true),
            Err(errno) => return Err(SysError::at("read", &path, errno)),
        };
        if value_of(&String::from_utf8_lossy(&text[..length]), key) == Some(value) {
            return Ok(true);
        }
        let Some(left) = remaining(deadline) else { return Ok(false) };
        let mut waiting = [PollFd::from_borrowed_fd(events.as_fd(), PollFlags::PRI)];
        match poll(&mut waiting, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(SysError::at("poll", &path, errno)),
        }
    }
}

fn freezer_state(directory: &Path) -> Result<String, SysError> {
    Ok(fs::read_to_string(directory.join("freezer.state"))?.trim().to_owned())
}

fn remaining(deadline: Instant) -> Option<Timespec> {
    let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
    Timespec::try_from(left).ok()
}

/// Pauses of 0.2 ms to 20 ms for what the kernel gives no event for.
struct Backoff {
    next: Duration,
    deadline: Instant,
}

impl Backoff {
    fn new(deadline: Instant) -> Self {
        Self { next: Duration::from_micros(200), deadline }
    }

    /// Waits; false when the deadline is over.
    fn wait(&mut self) -> bool {
        if remaining(self.deadline).is_none() {
            return false;
        }
        if let Ok(pause) = Timespec::try_from(self.next) {
            // Polling nothing waits; a signal ending it early does no harm.
            let _waited = poll(&mut [], Some(&pause));
        }
        self.next = (self.next * 2).min(Duration::from_millis(20));
        true
    }
}
