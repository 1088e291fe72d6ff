//! When the next health probe is due, and the process that carries one out: the engine, in a program image of its own,
//! so that this one stays small.
//!
//! Everything that a respawned worker has to know is in the files of the run directory.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use corten_sys::process::{self, Cloned};
use corten_sys::{SysError, clock, exec, fs};

use crate::health::{Health, HealthStatus};
use crate::order::{Order, ProbeOrder};
use crate::state::{self, RunState};

/// How long a probe may take to end after its container.
const PATIENCE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Probes {
    order: ProbeOrder,
    run_dir: PathBuf,
    started: Instant,
    due: Instant,
    /// The one under way.
    probe: Option<OwnedFd>,
}

impl Probes {
    /// The probes of this run, going on where an earlier worker left off; `None` where there are none to make.
    pub(super) fn new(order: &Order) -> Option<Self> {
        let probe = order.probe.clone()?;
        let run_dir = order.run_dir.clone();
        let now = Instant::now();
        // The first worker is born before the record of this run is.
        let known = RunState::read(&run_dir).ok().flatten().filter(|run| run.generation == order.generation);
        let ago =
            |moment: i64| Duration::from_nanos(u64::try_from(clock::wall_nanos() - moment).unwrap_or(0));
        let running = known.as_ref().map_or(Duration::ZERO, |run| ago(run.started));
        let started = now.checked_sub(running).unwrap_or(now);
        let health = Health::read(&run_dir).ok().flatten().unwrap_or_default();
        let last = health.log.last().filter(|last| known.as_ref().is_some_and(|run| last.end > run.started));
        let since = last.map_or(running, |last| ago(last.end));
        let pause = probe.rules.pause(health.status, running).saturating_sub(since);
        Some(Self { order: probe, run_dir, started, due: now + pause, probe: None })
    }

    /// How long until there is something to do here.
    pub(super) fn remaining(&self, now: Instant) -> Option<Duration> {
        self.probe.is_none().then(|| self.due.saturating_duration_since(now))
    }

    /// Becomes readable when the probe under way has ended.
    pub(super) fn ending(&self) -> Option<&OwnedFd> {
        self.probe.as_ref()
    }

    /// The probe under way has ended: decides when the next one is due.
    pub(super) fn ended(&mut self) {
        if let Some(probe) = self.probe.take()
            && let Err(error) = process::wait(&probe)
        {
            log::warn!("health probe: {error}");
        }
        self.plan_next();
    }

    /// Starts a probe, if one is due. A paused container is left alone.
    pub(super) fn attend(&mut self) {
        if self.probe.is_some() || Instant::now() < self.due {
            return;
        }
        if fs::exists(self.run_dir.join(state::PAUSED)) {
            self.plan_next();
            return;
        }
        match self.start() {
            Ok(probe) => self.probe = Some(probe),
            Err(error) => {
                log::warn!("no health probe: {error}");
                self.plan_next();
            }
        }
    }

    /// The container has ended: what is under way in it ends as well, and is waited for, so that nobody else has to. One
    /// that stops or restarts the container waits for the keeper, and is left to itself.
    pub(super) fn finish(self) -> Result<(), SysError> {
        match self.probe {
            Some(probe) if clock::wait_readable(&probe, Some(PATIENCE))? => process::wait(&probe).map(drop),
            _ => Ok(()),
        }
    }

    fn plan_next(&mut self) {
        let status =
            Health::read(&self.run_dir).ok().flatten().map_or(HealthStatus::Starting, |it| it.status);
        self.due = Instant::now() + self.order.rules.pause(status, self.started.elapsed());
    }

    fn start(&self) -> Result<OwnedFd, SysError> {
        match process::clone(0, None)? {
            Cloned::Parent { pidfd, .. } => Ok(pidfd),
            Cloned::Child => {
                // It may outlive this worker, and its keeper: the end of either is no business of its own.
                rustix::process::setsid().map(drop).unwrap_or_default();
                let error = match fs::open("/proc/self/exe") {
                    Ok(program) => exec::replace_with(&program, &self.order.arguments, &[]),
                    Err(error) => error,
                };
                log::warn!("no health probe: {error}");
                process::exit_now(1)
            }
        }
    }
}
