//! One health probe, in a process of its own that the worker starts: executes the check in the container, records what
//! it came to, and says what is to be done about it.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use corten_monitor::health::{Health, HealthStatus, ProbeResult};
use corten_monitor::state::RunState;
use corten_sys::process::Cloned;
use corten_sys::{Errno, SysError, clock, fs, process};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::FlockOperation;
use rustix::process::{Signal, kill_process_group};

use super::super::exec::{self, ExecOptions, ExecProcess};
use super::super::record::ContainerRecord;
use super::super::spec::HealthAction;
use super::super::state::{self, Status};
use super::super::stop;
use super::Check;
use crate::error::Error;
use crate::{Engine, events};

/// The name of the file that a probe locks, in the container's run directory: there is one at a time.
const LOCK: &str = "probing";

/// So much of a probe's output is kept.
const LONGEST_OUTPUT: usize = 4096;

/// How the process that carries a probe out tells its parent that the container is unhealthy.
const UNHEALTHY: i32 = 3;

/// What is left to do after a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The container is unhealthy, and is to be restarted for that: by a program that is fresh from its start.
    Restart,
}

/// Probes a container once; does what it asks for where that finds it unhealthy, but for a restart.
///
/// The caller has one thread. Nothing is recorded of a container that ends, pauses or is restarted meanwhile.
pub fn probe(engine: &Engine, id: &str) -> Result<Outcome, Error> {
    let record = super::super::load(engine, id)?;
    let Some(check) = Check::of(&record) else { return Ok(Outcome::Done) };
    let action = record.spec.health_on_failure;
    if action == HealthAction::None {
        carry_out(engine, &record, &check)?;
        return Ok(Outcome::Done);
    }
    // Executing in the container leaves a process in the container's PID namespace for good: it could start nothing
    // on the host any more.
    let unhealthy = match process::clone(0, None)? {
        Cloned::Child => {
            let status = carry_out(engine, &record, &check).unwrap_or_else(|error| {
                log::warn!("health probe: {error}");
                None
            });
            process::exit_now(if status == Some(HealthStatus::Unhealthy) { UNHEALTHY } else { 0 })
        }
        Cloned::Parent { pidfd, .. } => process::wait(&pidfd)?.code() == UNHEALTHY,
    };
    match action {
        HealthAction::Restart if unhealthy => return Ok(Outcome::Restart),
        HealthAction::Stop if unhealthy => stop::stop(engine, &record, &stop::StopOptions::default())?,
        HealthAction::Kill if unhealthy => stop::kill_as_from_outside(engine, &record)?,
        _ => {}
    }
    Ok(Outcome::Done)
}

/// Executes the check and records its result; `None` where there is nothing to say.
fn carry_out(
    engine: &Engine,
    record: &ContainerRecord,
    check: &Check,
) -> Result<Option<HealthStatus>, Error> {
    let run_dir = engine.run_dir(&record.id);
    let path = run_dir.join(LOCK);
    let lock = fs::open_with(&path, OpenOptions::new().create(true).truncate(false).write(true));
    let Some(lock) = fs::absent_is_none(lock)? else { return Ok(None) };
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        // One that an earlier worker began is still at it.
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(errno) => return Err(SysError::at("flock", &path, errno).into()),
    }
    let current = state::read(engine, record)?;
    let Some(run) = current.run.filter(|_| current.status == Status::Running) else { return Ok(None) };
    let result = run_check(engine, record, check)?;
    let after = RunState::read(&run_dir)?.filter(|after| after.generation == run.generation);
    let goes_on = after.is_some_and(|after| !after.restarting && after.init.is_alive());
    if !goes_on || is_paused(engine, record) {
        return Ok(None);
    }
    let mut health = Health::read(&run_dir)?.unwrap_or_default();
    let before = health.status;
    health.record(result, &check.rules, run.started);
    // A run directory that is gone belongs to a container that has just ended.
    fs::absent_is_none(health.write(&run_dir))?;
    if health.status != before {
        events::container(engine, record, &format!("health_status: {}", health.status.name()), &[]);
    }
    Ok(Some(health.status))
}

fn is_paused(engine: &Engine, record: &ContainerRecord) -> bool {
    fs::exists(engine.run_dir(&record.id).join(corten_monitor::state::PAUSED))
}

/// Executes the check; one that cannot be executed has failed.
fn run_check(engine: &Engine, record: &ContainerRecord, check: &Check) -> Result<ProbeResult, Error> {
    let start = clock::wall_nanos();
    let options = ExecOptions { args: check.args.clone(), ..ExecOptions::default() };
    let (code, output) = match exec::exec(engine, record, &options) {
        Ok(process) => attend(&process, check.timeout)?,
        Err(error) => (-1, error.to_string().into_bytes()),
    };
    Ok(ProbeResult { start, end: clock::wall_nanos(), code, output })
}

/// Reads what the check says until it ends or its time is over: its code and its output in docker's words.
fn attend(process: &ExecProcess, timeout: Duration) -> Result<(i32, Vec<u8>), Error> {
    let deadline = Instant::now() + timeout;
    let mut output = Output::default();
    let mut streams: Vec<&OwnedFd> = process.stdout.iter().chain(&process.stderr).collect();
    for stream in &streams {
        rustix::io::ioctl_fionbio(stream, true).map_err(|errno| SysError::new("ioctl", "FIONBIO", errno))?;
    }
    loop {
        let now = Instant::now();
        if now >= deadline {
            // What the check started as well: it leads its own process group.
            kill_process_group(process.pid(), Signal::KILL).unwrap_or_default();
            process.wait()?;
            output.take_all(&streams);
            return Ok((
                -1,
                output.render(&format!("Health check exceeded timeout ({})", go_duration(timeout))),
            ));
        }
        let mut fds = vec![PollFd::from_borrowed_fd(process.pidfd().as_fd(), PollFlags::IN)];
        fds.extend(streams.iter().map(|stream| PollFd::from_borrowed_fd(stream.as_fd(), PollFlags::IN)));
        clock::poll(&mut fds, Some(deadline - now))?;
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        let (ended, ready) = ready.split_first().map_or((false, &[][..]), |(ended, ready)| (*ended, ready));
        let mut ready = ready.iter();
        streams.retain(|stream| !ready.next().is_some_and(|&ready| ready) || output.take(stream));
        if ended {
            output.take_all(&streams);
            return Ok((process.wait()?.code(), output.render("")));
        }
    }
}

/// The beginning of what a check says.
#[derive(Debug, Default)]
struct Output {
    kept: Vec<u8>,
    cut: bool,
}

impl Output {
    /// Takes what a stream has at this moment; false where it is at its end.
    fn take(&mut self, stream: &OwnedFd) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match rustix::io::read(stream, &mut buffer) {
                Ok(0) => return false,
                Ok(length) => self.add(buffer.get(..length).unwrap_or_default()),
                Err(Errno::INTR) => {}
                Err(_) => return true,
            }
        }
    }

    fn take_all(&mut self, streams: &[&OwnedFd]) {
        for stream in streams {
            self.take(stream);
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = LONGEST_OUTPUT - self.kept.len();
        self.cut |= bytes.len() > room;
        self.kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    /// The output, behind a reason where there is one.
    fn render(mut self, reason: &str) -> Vec<u8> {
        if self.cut {
            self.kept.extend_from_slice(b"...");
        }
        match (reason.is_empty(), self.kept.is_empty()) {
            (true, _) => self.kept,
            (false, true) => reason.as_bytes().to_vec(),
            (false, false) => [reason.as_bytes(), b": ", &self.kept].concat(),
        }
    }
}

/// As Go prints a duration: `1m30s`, `1.5s`, `20ms`.
fn go_duration(duration: Duration) -> String {
    let fraction = |nanos: u128, unit: u128| {
        let text = format!("{}.{:0width$}", nanos / unit, nanos % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let nanos = duration.as_nanos();
    let (hours, minutes) = (nanos / 3_600_000_000_000, nanos / 60_000_000_000 % 60);
    let seconds = fraction(nanos % 60_000_000_000, 1_000_000_000);
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(nanos, 1_000_000)),
        _ if hours > 0 => format!("{hours}h{minutes}m{seconds}s"),
        _ if minutes > 0 => format!("{minutes}m{seconds}s"),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5µs"),
            (20_000_000, "20ms"),
            (1_000_000_000, "1s"),
            (1_050_000_000, "1.05s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (nanos, expected) in cases {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), expected);
        }
    }

    #[test]
    fn output_is_cut_and_told() {
        let render = |length: usize, reason: &str| {
            let mut output = Output::default();
            vec![b'x'; length].chunks(1000).for_each(|chunk| output.add(chunk));
            String::from_utf8(output.render(reason)).unwrap()
        };
        assert_eq!(render(4096, ""), "x".repeat(4096));
        assert_eq!(render(4097, ""), "x".repeat(4096) + "...");
        assert_eq!([render(0, "late"), render(2, "late")], ["late", "late: xx"]);
    }
}
