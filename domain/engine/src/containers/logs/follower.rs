//! Waiting for more of a log: subscribed with the container's worker, for one run of the container.

use std::time::Duration;

use corten_monitor::attach::{Client, LogWait, Want};
use corten_monitor::state::SOCKET;
use corten_sys::{clock, socket};

use crate::containers::record::ContainerRecord;
use crate::containers::state;
use crate::{Engine, Error};

/// How long a worker that has just been replaced is left alone.
const RETRY: Duration = Duration::from_millis(20);

/// Why [`Follower::wait`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    Grew,
    TimeOver,
    /// The run has ended and its log is complete.
    Ended,
}

#[derive(Debug)]
pub(super) struct Follower<'a> {
    engine: &'a Engine,
    record: &'a ContainerRecord,
    generation: u64,
    client: Option<Client>,
}

impl<'a> Follower<'a> {
    /// Subscribes; `None` where the container does not run.
    pub(super) fn subscribe(engine: &'a Engine, record: &'a ContainerRecord) -> Result<Option<Self>, Error> {
        let current = state::read(engine, record)?;
        let running = current.is_running();
        let Some(run) = current.run.filter(|_| running) else { return Ok(None) };
        let mut follower = Self { engine, record, generation: run.generation, client: None };
        follower.connect();
        Ok(Some(follower))
    }

    /// A worker that cannot be reached is gone, or being replaced: [`Follower::wait`] finds out which.
    fn connect(&mut self) -> bool {
        let path = self.engine.run_dir(&self.record.id).join(SOCKET);
        let want = Want { log: true, ..Want::default() };
        self.client = socket::connect(&path).and_then(|socket| Client::new(socket, want)).ok();
        self.client.is_some()
    }

    /// Blocks until the log may have grown, the run has ended, or the time `until` has come.
    pub(super) fn wait(&mut self, until: Option<i64>) -> Result<Wake, Error> {
        loop {
            let left = until.map(|until| until.saturating_sub(clock::wall_nanos()));
            if left.is_some_and(|left| left <= 0) {
                return Ok(Wake::TimeOver);
            }
            let timeout = left.map(|left| Duration::from_nanos(left.unsigned_abs()));
            if let Some(client) = &self.client {
                match client.wait_log(timeout)? {
                    LogWait::Grew => return Ok(Wake::Grew),
                    LogWait::TimedOut => return Ok(Wake::TimeOver),
                    LogWait::Closed => self.client = None,
                }
            }
            // The container has ended, or only its worker has.
            let current = state::read(self.engine, self.record)?;
            let running = current.is_running();
            match current.run.filter(|run| running && run.generation == self.generation) {
                None => return Ok(Wake::Ended),
                Some(_) if self.connect() => return Ok(Wake::Grew),
                Some(run) => {
                    if let Some(pidfd) = run.init.open() {
                        clock::wait_readable(
                            &pidfd,
                            Some(timeout.map_or(RETRY, |timeout| timeout.min(RETRY))),
                        )?;
                    }
                }
            }
        }
    }
}
