//! Who is measured: command lines of docker's grammar (corten, podman, docker) and crun with its bundle.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::bundle;
use crate::failure::{Failure, Result};
use crate::shell::Cmd;

const DOCKER_REMOVE: &[&str] = &["rm", "-f"];

/// An engine with docker's command line, in roots of its own.
#[derive(Debug, Clone)]
pub(super) struct Cli {
    pub(super) name: &'static str,
    program: PathBuf,
    /// In front of the subcommand.
    global: Vec<String>,
    env: Vec<(&'static str, PathBuf)>,
    /// With `run` and `create`.
    run: Vec<&'static str>,
    /// `rm -f` without the ten seconds of grace that podman gives a container first.
    remove: &'static [&'static str],
    /// What is synced to the disk after writing.
    pub(super) root: PathBuf,
}

impl Cli {
    pub(super) fn corten(binary: &Path, dir: &Path, run: &Path) -> Self {
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

    pub(super) fn podman(dir: &Path, run: &Path) -> Self {
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

    pub(super) fn docker(socket: &Path, root: &Path) -> Self {
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
    pub(super) fn cmd(&self, args: &[&str]) -> Cmd {
        let mut cmd = Cmd::new(&self.program).args(&self.global);
        for (name, value) in &self.env {
            cmd = cmd.env(name, value);
        }
        cmd.args(args)
    }

    /// `run` with the engine's own flags: `run(&["--rm"], image, &["true"])`.
    pub(super) fn run(&self, flags: &[&str], image: &str, args: &[&str]) -> Cmd {
        self.with_run_flags("run", flags, image, args)
    }

    pub(super) fn create(&self, flags: &[&str], image: &str, args: &[&str]) -> Cmd {
        self.with_run_flags("create", flags, image, args)
    }

    /// Ends and removes a container.
    pub(super) fn remove(&self, name: &str) -> Cmd {
        self.cmd(self.remove).arg(name)
    }

    fn with_run_flags(&self, verb: &str, flags: &[&str], image: &str, args: &[&str]) -> Cmd {
        self.cmd(&[verb]).args(&self.run).args(flags).arg(image).args(args)
    }

    /// Starts a detached container that sleeps until it is removed.
    pub(super) fn start_sleeper(&self, name: &str, image: &str) -> Result<Container<'_>> {
        self.run(&["-d", "--name", name], image, &["sleep", "1000000"]).read()?;
        Ok(Container { cli: self, name: name.to_owned() })
    }
}

/// A container that goes with its owner.
#[derive(Debug)]
pub(super) struct Container<'a> {
    cli: &'a Cli,
    name: String,
}

impl<'a> Container<'a> {
    /// Takes over a container that was made by other means.
    pub(super) fn adopt(cli: &'a Cli, name: &str) -> Self {
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

/// crun on ready bundles.
#[derive(Debug)]
pub(super) struct Crun {
    root: PathBuf,
    quick: PathBuf,
    sleeping: PathBuf,
}

impl Crun {
    /// Makes a bundle that runs `true` and one that sleeps, both with `config`; crun keeps its state in `state`.
    pub(super) fn new(dir: &Path, state: &Path, tar: &Path, config: &Value) -> Result<Self> {
        let quick = bundle::create(&dir.join("quick"), tar, &bundle::with_args(config.clone(), &["true"]))?;
        let sleeping = bundle::create(
            &dir.join("sleeping"),
            tar,
            &bundle::with_args(config.clone(), &["sleep", "1000000"]),
        )?;
        Ok(Self { root: state.to_path_buf(), quick, sleeping })
    }

    fn cmd(&self) -> Cmd {
        Cmd::new("crun").arg("--root").arg(&self.root)
    }

    pub(super) fn run_true(&self, id: &str) -> Cmd {
        self.cmd().arg("run").arg("--bundle").arg(&self.quick).arg(id)
    }

    pub(super) fn start_sleeper(&self, id: &str) -> Result<CrunContainer<'_>> {
        // Its output would keep a pipe of ours open, so the error goes to a file.
        let log = self.sleeping.join("log");
        let cmd = self
            .cmd()
            .arg("--log")
            .arg(&log)
            .arg("run")
            .arg("--detach")
            .arg("--bundle")
            .arg(&self.sleeping)
            .arg(id);
        if cmd.silent().status()?.success() {
            return Ok(CrunContainer { crun: self, id: id.to_owned() });
        }
        let text = fs::read_to_string(&log).unwrap_or_default();
        Err(Failure::new(format!("crun run --detach: {}", text.lines().last().unwrap_or("no message"))))
    }

    pub(super) fn exec_true(&self, id: &str) -> Cmd {
        self.cmd().args(["exec", id, "true"])
    }
}

/// A container of crun that goes with its owner.
#[derive(Debug)]
pub(super) struct CrunContainer<'a> {
    crun: &'a Crun,
    id: String,
}

impl Drop for CrunContainer<'_> {
    fn drop(&mut self) {
        if let Err(failure) = self.crun.cmd().args(["delete", "--force", &self.id]).read() {
            eprintln!("xtask: leaving a container: {failure}");
        }
    }
}

/// crun and podman insist on a hugetlb hierarchy on cgroup v1; taken away again if it was not there.
#[derive(Debug)]
pub(super) struct Hugetlb {
    ours: bool,
}

impl Hugetlb {
    const PATH: &str = "/sys/fs/cgroup/hugetlb";

    pub(super) fn mounted() -> Result<Self> {
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        if unified || Path::new(Self::PATH).join("cgroup.procs").exists() {
            return Ok(Self { ours: false });
        }
        fs::create_dir_all(Self::PATH)
            .map_err(|error| Failure::io("create directory", Self::PATH, &error))?;
        let guard = Self { ours: true };
        Cmd::new("mount").args(["-t", "cgroup", "-o", "hugetlb", "cgroup", Self::PATH]).read()?;
        Ok(guard)
    }
}

impl Drop for Hugetlb {
    fn drop(&mut self) {
        if self.ours {
            let unmounted = Cmd::new("umount").arg(Self::PATH).read().map(|_| ());
            let removed =
                fs::remove_dir(Self::PATH).map_err(|error| Failure::io("remove", Self::PATH, &error));
            if let Err(failure) = unmounted.and(removed) {
                eprintln!("xtask: {failure}");
            }
        }
    }
}
