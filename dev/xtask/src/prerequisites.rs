//! What the verbs need of the host, installed on Debian and Ubuntu as root and named elsewhere.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use crate::elf::Linkage;
use crate::failure::{Failure, Result};
use crate::shell::{self, Cmd};

/// How to tell that a package is there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Probe {
    /// A program on PATH.
    Program(&'static str),
    /// A program that is also statically linked.
    StaticProgram(&'static str),
    /// A file at a fixed place.
    File(&'static str),
}

/// A package of Debian and how to see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) probe: Probe,
}

const fn program(name: &'static str, program: &'static str) -> Package {
    Package { name, probe: Probe::Program(program) }
}

pub(crate) const GCC: Package = program("gcc", "cc");
pub(crate) const MUSL: Package = program("musl-tools", "musl-gcc");
pub(crate) const BUSYBOX: Package =
    Package { name: "busybox-static", probe: Probe::StaticProgram("busybox") };
pub(crate) const DEBOOTSTRAP: Package = program("debootstrap", "debootstrap");
pub(crate) const QEMU: Package = program("qemu-system-x86", "qemu-system-x86_64");
pub(crate) const E2FSPROGS: Package = program("e2fsprogs", "mkfs.ext4");
pub(crate) const PYTHON: Package = program("python3", "python3");
pub(crate) const PYTHON_VENV: Package = program("python3-venv", "python3-venv");
pub(crate) const CRUN: Package = program("crun", "crun");
pub(crate) const RUNC: Package = program("runc", "runc");
pub(crate) const PODMAN: Package = program("podman", "podman");
pub(crate) const DOCKER: Package = program("docker.io", "dockerd");
/// Without it podman's package has no policy for images and refuses to load one.
pub(crate) const CONTAINERS_POLICY: Package =
    Package { name: "golang-github-containers-common", probe: Probe::File("/etc/containers/policy.json") };

/// Installs packages; asks for the package lists at most once.
#[derive(Debug, Default)]
pub(crate) struct Installer {
    updated: Cell<bool>,
}

impl Installer {
    /// Installs those of `packages` that are missing. Idempotent; silent when nothing is.
    pub(crate) fn require(&self, packages: &[Package]) -> Result<()> {
        let missing: Vec<&str> = packages.iter().filter(|p| !is_present(p.probe)).map(|p| p.name).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if shell::find_program("apt-get").is_none() {
            return Err(Failure::new(format!(
                "missing, and only Debian and Ubuntu are installed on by itself: {}",
                missing.join(" ")
            )));
        }
        if !is_root() {
            return Err(Failure::new(format!(
                "missing: run `apt-get install {}` as root",
                missing.join(" ")
            )));
        }
        self.update()?;
        println!("installing {}", missing.join(" "));
        let quiet_services = PolicyRcD::deny()?;
        let result =
            apt_get().args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing).read();
        drop(quiet_services);
        result.map_err(|failure| Failure::new(format!("install {}: {failure}", missing.join(" "))))?;
        Ok(())
    }

    /// Refreshes the package lists, once per run.
    pub(crate) fn update(&self) -> Result<()> {
        if !self.updated.replace(true) {
            apt_get().args(["update", "-qq"]).read()?;
        }
        Ok(())
    }
}

fn apt_get() -> Cmd {
    Cmd::new("apt-get").args(["-o", "DPkg::Lock::Timeout=300"]).env("DEBIAN_FRONTEND", "noninteractive")
}

/// Whether we are root, as the kernel says it.
pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective_uid(&status) == Some(0)
}

fn effective_uid(status: &str) -> Option<u32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_whitespace().nth(1)?.parse().ok()
}

fn is_present(probe: Probe) -> bool {
    match probe {
        // The module is split off on Debian and has no program of its own.
        Probe::Program("python3-venv") => {
            let tried = Cmd::new("python3").args(["-c", "import venv, ensurepip"]).silent().status();
            tried.is_ok_and(|status| status.success())
        }
        Probe::Program(program) => shell::find_program(program).is_some(),
        Probe::StaticProgram(program) => shell::find_program(program)
            .and_then(|path| fs::read(path).ok())
            .is_some_and(|bytes| Linkage::parse(&bytes).is_ok_and(Linkage::is_static)),
        Probe::File(path) => Path::new(path).exists(),
    }
}

/// Keeps the services of packages from starting while we install them; removed on drop if it was ours.
#[derive(Debug)]
struct PolicyRcD {
    ours: bool,
}

impl PolicyRcD {
    const PATH: &str = "/usr/sbin/policy-rc.d";

    fn deny() -> Result<Self> {
        if Path::new(Self::PATH).exists() {
            return Ok(Self { ours: false });
        }
        // 101: "action forbidden by policy".
        fs::write(Self::PATH, "#!/bin/sh\nexit 101\n")
            .map_err(|error| Failure::io("write", Self::PATH, &error))?;
        let guard = Self { ours: true };
        Cmd::new("chmod").args(["0755", Self::PATH]).run()?;
        Ok(guard)
    }
}

impl Drop for PolicyRcD {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(Self::PATH)
        {
            eprintln!("xtask: {}", Failure::io("remove", Self::PATH, &error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::effective_uid;

    #[test]
    fn the_effective_uid_is_the_second_of_four() {
        assert_eq!(effective_uid("Name:\tx\nUid:\t1000\t0\t0\t0\nGid:\t5\t5\t5\t5\n"), Some(0));
        assert_eq!(effective_uid("Uid:\t0\t1000\t0\t0\n"), Some(1000));
        assert_eq!(effective_uid("Name:\tx\n"), None);
    }
}
