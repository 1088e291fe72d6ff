//! A docker of our own: containerd and dockerd with roots and sockets below one directory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Failure, Result};
use crate::shell::Cmd;

const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// Both daemons; stopped, dockerd first, when dropped.
#[derive(Debug)]
pub(crate) struct Docker {
    pub(crate) socket: PathBuf,
    /// For their `Drop`, in this order.
    _dockerd: Daemon,
    _containerd: Daemon,
}

impl Docker {
    /// Roots below `dir`, volatile state below `run`.
    pub(crate) fn start(dir: &Path, run: &Path) -> Result<Self> {
        let config = dir.join("containerd.toml");
        let text = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
        fs::write(&config, text).map_err(|error| Failure::io("write", &config, &error))?;
        let address = dir.join("containerd.sock");
        let containerd = Cmd::new("containerd")
            .arg("--config")
            .arg(&config)
            .arg("--root")
            .arg(dir.join("containerd"))
            .arg("--state")
            .arg(run.join("containerd"))
            .arg("--address")
            .arg(&address);
        let containerd = Daemon::start("containerd", containerd, "successfully booted")?;
        let socket = dir.join("docker.sock");
        let dockerd = Cmd::new("dockerd")
            .arg("--containerd")
            .arg(&address)
            .arg("--data-root")
            .arg(dir.join("docker"))
            .arg("--exec-root")
            .arg(run.join("docker"))
            .arg("--pidfile")
            .arg(dir.join("docker.pid"))
            .args(["--bridge", "none", "--iptables=false", "--storage-driver", "overlay2", "-H"])
            .arg(format!("unix://{}", socket.display()));
        let dockerd = Daemon::start("dockerd", dockerd, "API listen on")?;
        Ok(Self { socket, _dockerd: dockerd, _containerd: containerd })
    }
}

/// A process that says on stderr when it is ready.
#[derive(Debug)]
struct Daemon {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
}

impl Daemon {
    fn start(name: &'static str, cmd: Cmd, ready: &str) -> Result<Self> {
        let mut command = cmd.into_command();
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Failure::new(format!("run {name}: {error}")))?;
        let stderr = child.stderr.take().ok_or_else(|| Failure::new(format!("{name}: no stderr")))?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(std::result::Result::ok) {
                // Nobody listens after the start; the pipe is read on, so that the daemon never blocks on it.
                sender.send(line).ok();
            }
        });
        let daemon = Self { name, child, lines };
        daemon.wait_for(ready)?;
        Ok(daemon)
    }

    fn wait_for(&self, ready: &str) -> Result<()> {
        let deadline = Instant::now() + START;
        let mut last = String::from("no message");
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(ready) => return Ok(()),
                Ok(line) => last = line,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Failure::new(format!("{}: not ready in time: {last}", self.name)));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new(format!("{}: ended: {last}", self.name)));
                }
            }
        }
    }

    /// Waits for the end of its stderr, which is the end of the process.
    fn ends_in_time(&self) -> bool {
        let deadline = Instant::now() + STOP;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(reason) => return reason == RecvTimeoutError::Disconnected,
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let asked = Cmd::new("kill").args(["-TERM", &self.child.id().to_string()]).silent().status();
        if asked.is_err() || !self.ends_in_time() {
            eprintln!("xtask: {} did not stop when asked; killing it", self.name);
            self.child.kill().ok();
        }
        self.child.wait().ok();
    }
}
