//! Who is measured beside the engines: crun with its bundle, and what it and podman need of the host.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::bundle;
use crate::failure::{Failure, Result};
use crate::shell::Cmd;

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
