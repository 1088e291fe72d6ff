//! The runtime record: which processes a container has now. Volatile, in the run root, void after a reboot.
//!
//! Whether the container runs is never read from it: the recorded init is asked of the kernel (D5).

use std::path::Path;

use corten_sys::process::{Exit, Identity};
use corten_sys::{SysError, fs};

use crate::exits::ExitRecord;

/// The name of the record in a container's run directory.
pub const FILE: &str = "state";

/// The name of the file on which the keeper holds a lock until the exit record is written.
pub const ALIVE: &str = "alive";

/// The name of the marker that keeps the restart policy from acting: somebody asked the container to stop.
pub const STOPPING: &str = "stopping";

/// The name of the marker that keeps a container which would go with its end: its next start is on its way.
pub const KEEP: &str = "keep";

/// The name of the marker of a container that was asked to pause; whether it has is asked of its cgroup.
pub const PAUSED: &str = "paused";

/// The name of the file with the container's name, where that has changed since the start.
pub const NAME: &str = "name";

/// The name of the file with the restart policy, where that has changed since the start.
pub const POLICY: &str = "policy";

/// The name of the worker's socket.
pub const SOCKET: &str = "attach";

/// The processes of a container and what belongs to this run of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunState {
    pub init: Identity,
    pub keeper: Identity,
    pub generation: u64,
    /// Nanoseconds since 1970.
    pub started: i64,
    /// The container waits for its next start by policy; `init` is the one that ended.
    pub restarting: bool,
    pub restarts: u64,
    /// The pause before this start, in milliseconds.
    pub backoff_ms: u64,
}

impl RunState {
    /// Writes the record, visible at once.
    pub fn write(&self, run_dir: &Path) -> Result<(), SysError> {
        fs::write_atomic(run_dir.join(FILE), self.render().as_bytes())
    }

    /// The record of the end of this run, `finished` nanoseconds after 1970.
    pub fn ended(&self, exit: Option<Exit>, finished: i64) -> ExitRecord {
        ExitRecord {
            generation: self.generation,
            code: exit.map(Exit::code),
            oom_killed: false,
            started: self.started,
            finished,
            restarts: self.restarts,
            backoff_ms: self.backoff_ms,
        }
    }

    pub(crate) fn render(&self) -> String {
        format!(
            "init {} {}\nkeeper {} {}\ngeneration {}\nstarted {}\nrestarting {}\nrestarts {}\nbackoff {}\n",
            self.init.pid,
            self.init.start,
            self.keeper.pid,
            self.keeper.start,
            self.generation,
            self.started,
            u8::from(self.restarting),
            self.restarts,
            self.backoff_ms
        )
    }

    /// Reads the record; `None` where the container has none in this boot.
    pub fn read(run_dir: &Path) -> Result<Option<Self>, SysError> {
        let Some(bytes) = fs::read_if_exists(run_dir.join(FILE))? else { return Ok(None) };
        Ok(Self::parse(&String::from_utf8_lossy(&bytes)))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let number = |name| field(name)?.parse().ok();
        let identity = |name| {
            let (pid, start) = field(name)?.split_once(' ')?;
            Some(Identity { pid: pid.parse().ok()?, start: start.parse().ok()? })
        };
        Some(Self {
            init: identity("init")?,
            keeper: identity("keeper")?,
            generation: number("generation")?,
            started: field("started")?.parse().ok()?,
            restarting: field("restarting")? == "1",
            restarts: number("restarts")?,
            backoff_ms: number("backoff")?,
        })
    }
}
