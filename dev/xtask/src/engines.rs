//! Engines with docker's command line (corten, podman, docker), each in roots of its own.

use std::path::{Path, PathBuf};

use crate::failure::Result;
use crate::shell::Cmd;

const DOCKER_REMOVE: &[&str] = &["rm", "-f"];

/// An engine with docker's command line, in roots of its own.
#[derive(Debug, Clone)]
pub(crate) struct Cli {
    pub(crate) name: &'static str,
    program: PathBuf,
    /// In front of the subcommand.
    global: Vec<String>,
    env: Vec<(&'static str, PathBuf)>,
    /// With `run` and `create`.
    run: Vec<&'static str>,
    /// `rm -f` without the ten seconds of grace that podman gives a container first.
    remove: &'static [&'static str],
    /// What is synced to the disk after writing.
    pub(crate) root: PathBuf,
}

impl Cli {
    /// Its root below `dir`, its volatile state in `run`.
    pub(crate) fn corten(binary: &Path, dir: &Path, run: &Path) -> Self {
        let root = dir.join("root");
        let env = vec![("CORTEN_ROOT", root.clone()), ("CORTEN_RUN_ROOT", run.to_path_buf())];
        Self {
            name: "corten",
            program: binary.to_path_buf(),
            global: Vec::new(),
            env,
            run: vec!["--network", "none"],
            remove: DOCKER_REMOVE,
            root,
        }
    }

    /// Its root below `dir`, its volatile state below `run`.
    pub(crate) fn podman(dir: &Path, run: &Path) -> Self {
        let root = dir.join("root");
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let mut global =
            vec!["--root".to_owned(), path(&root), "--runroot".to_owned(), path(&run.join("podman"))];
        let fixed = [
            "--tmpdir",
            &path(&run.join("podman-tmp")),
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "file",
            "--runtime",
            "crun",
        ];
        global.extend(fixed.map(str::to_owned));
        // Its defaults are above what an unprivileged machine allows.
        let run = vec![
            "--network",
            "none",
            "--pull",
            "never",
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1000:1000",
        ];
        Self {
            name: "podman",
            program: "podman".into(),
            global,
            env: Vec::new(),
            run,
            remove: &["rm", "-f", "-t", "0"],
            root,
        }
    }

    pub(crate) fn docker(socket: &Path, root: &Path) -> Self {
        let global = vec!["-H".to_owned(), format!("unix://{}", socket.display())];
        let run = vec!["--network", "none", "--pull", "never"];
        Self {
            name: "docker",
            program: "docker".into(),
            global,
            env: Vec::new(),
            run,
            remove: DOCKER_REMOVE,
            root: root.to_path_buf(),
        }
    }

    /// A subcommand as it is.
    pub(crate) fn cmd(&self, args: &[&str]) -> Cmd {
        self.with_env(Cmd::new(&self.program)).args(&self.global).args(args)
    }

    /// A subcommand run by another program: `cmd_below(&["timeout", "60"], &["ps"])`.
    pub(crate) fn cmd_below(&self, above: &[&str], args: &[&str]) -> Cmd {
        let cmd = Cmd::new(above.first().copied().unwrap_or_default()).args(above.iter().skip(1));
        self.with_env(cmd).arg(&self.program).args(&self.global).args(args)
    }

    fn with_env(&self, mut cmd: Cmd) -> Cmd {
        for (name, value) in &self.env {
            cmd = cmd.env(name, value);
        }
        cmd
    }

    /// `run` with the engine's own flags: `run(&["--rm"], image, &["true"])`.
    pub(crate) fn run(&self, flags: &[&str], image: &str, args: &[&str]) -> Cmd {
        self.with_run_flags("run", flags, image, args)
    }

    pub(crate) fn create(&self, flags: &[&str], image: &str, args: &[&str]) -> Cmd {
        self.with_run_flags("create", flags, image, args)
    }

    /// Ends and removes a container.
    pub(crate) fn remove(&self, name: &str) -> Cmd {
        self.cmd(self.remove).arg(name)
    }

    fn with_run_flags(&self, verb: &str, flags: &[&str], image: &str, args: &[&str]) -> Cmd {
        self.cmd(&[verb]).args(&self.run).args(flags).arg(image).args(args)
    }

    /// Starts a detached container that sleeps until it is removed.
    pub(crate) fn start_sleeper(&self, name: &str, image: &str) -> Result<Container<'_>> {
        self.run(&["-d", "--name", name], image, &["sleep", "1000000"]).read()?;
        Ok(Container { cli: self, name: name.to_owned() })
    }
}

/// A container that goes with its owner.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    cli: &'a Cli,
    name: String,
}

impl<'a> Container<'a> {
    /// Takes over a container that was made by other means.
    pub(crate) fn adopt(cli: &'a Cli, name: &str) -> Self {
        Self { cli, name: name.to_owned() }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let removed = self.cli.remove(&self.name).read();
        if let Err(failure) = removed {
            eprintln!("xtask: leaving a container: {failure}");
        }
    }
}
