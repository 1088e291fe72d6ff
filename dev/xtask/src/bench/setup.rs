//! What the cases work on: engines in fresh roots on one file system, with the same images in each.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use super::bundle;
use super::peers::{Crun, Hugetlb};
use crate::docker::Docker;
use crate::engines::Cli;
use crate::failure::{Failure, Result};
use crate::rootfs::Busybox;
use crate::scratch::Scratch;
use crate::shell::Cmd;

pub(super) const IMAGE: &str = "bench/busybox";

/// Which peers take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peers {
    pub(super) crun: bool,
    pub(super) podman: bool,
    pub(super) docker: bool,
}

impl Peers {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut peers = Self { crun: false, podman: false, docker: false };
        for name in text.split(',').filter(|name| !name.is_empty()) {
            match name {
                "crun" => peers.crun = true,
                "podman" => peers.podman = true,
                "docker" => peers.docker = true,
                other => {
                    return Err(Failure::new(format!(
                        "--peers: no peer {other:?}; there are crun, podman, docker"
                    )));
                }
            }
        }
        Ok(peers)
    }
}

/// Everything set up; taken down in the order of the fields.
pub(super) struct Bench {
    pub(super) runs: usize,
    pub(super) binary: PathBuf,
    pub(super) busybox: Busybox,
    pub(super) corten: Cli,
    pub(super) podman: Option<Cli>,
    pub(super) docker: Option<Cli>,
    pub(super) crun: Option<Crun>,
    _docker: Option<Docker>,
    pub(super) runs_on: Tmpfs,
    pub(super) scratch: Scratch,
    _null: NullDevice,
    _hugetlb: Hugetlb,
}

/// The host's /dev/null, which is every entrant's input: crun gives it to the container's root (as runc does with
/// whatever is a payload's standard input), and this gives it back.
struct NullDevice {
    uid: u32,
    gid: u32,
}

impl NullDevice {
    const PATH: &str = "/dev/null";

    fn remember() -> Result<Self> {
        let metadata = fs::metadata(Self::PATH).map_err(|error| Failure::io("stat", Self::PATH, &error))?;
        Ok(Self { uid: metadata.uid(), gid: metadata.gid() })
    }
}

impl Drop for NullDevice {
    fn drop(&mut self) {
        if let Err(error) = chown(Self::PATH, Some(self.uid), Some(self.gid)) {
            eprintln!("xtask: {}", Failure::io("chown", Self::PATH, &error));
        }
    }
}

/// A tmpfs that goes with its owner.
pub(super) struct Tmpfs {
    pub(super) path: PathBuf,
}

impl Tmpfs {
    fn mount(path: &Path) -> Result<Self> {
        Cmd::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(path).read()?;
        Ok(Self { path: path.to_path_buf() })
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        if let Err(failure) = Cmd::new("umount").arg("-l").arg(&self.path).read() {
            eprintln!("xtask: {failure}");
        }
    }
}

impl Bench {
    pub(super) fn new(binary: PathBuf, runs: usize, peers: Peers) -> Result<Self> {
        let hugetlb = Hugetlb::mounted()?;
        let null = NullDevice::remember()?;
        let scratch = Scratch::new("bench")?;
        let busybox = Busybox::of_host()?;
        let tar = scratch.path().join("busybox.tar");
        fs::write(&tar, busybox.tar(&[])?).map_err(|error| Failure::io("write", &tar, &error))?;
        // Volatile state is on a tmpfs, as /run is on users' machines: for everybody.
        let runs_on = Tmpfs::mount(&scratch.dir("run")?)?;
        let podman =
            if peers.podman { Some(Cli::podman(&scratch.dir("podman")?, &runs_on.path)) } else { None };
        let daemon =
            if peers.docker { Some(Docker::start(&scratch.dir("docker")?, &runs_on.path)?) } else { None };
        let docker =
            daemon.as_ref().map(|daemon| Cli::docker(&daemon.socket, &scratch.path().join("docker")));
        let corten = Cli::corten(&binary, &scratch.dir("corten")?, &runs_on.path.join("corten"));
        let mut bench = Self {
            runs,
            binary,
            busybox,
            corten,
            podman,
            docker,
            crun: None,
            _docker: daemon,
            runs_on,
            scratch,
            _null: null,
            _hugetlb: hugetlb,
        };
        bench.import(&tar, IMAGE)?;
        if peers.crun {
            let config = bundle::config_of(&bench.corten, IMAGE)?;
            let state = bench.runs_on.path.join("crun");
            bench.crun = Some(Crun::new(&bench.scratch.dir("crun")?, &state, &tar, &config)?);
        }
        Ok(bench)
    }

    /// All that have docker's command line, ours first.
    pub(super) fn clis(&self) -> Vec<&Cli> {
        [Some(&self.corten), self.podman.as_ref(), self.docker.as_ref()].into_iter().flatten().collect()
    }

    /// Imports a tar file as an image into every engine.
    pub(super) fn import(&self, tar: &Path, image: &str) -> Result<()> {
        for cli in self.clis() {
            cli.cmd(&["import", &tar.to_string_lossy(), image]).read()?;
        }
        Ok(())
    }

    /// For cases whose single run takes long: enough for a median, not a hundred.
    pub(super) fn few(&self, per_run: usize) -> usize {
        (self.runs / per_run).max(3)
    }
}

#[cfg(test)]
mod tests {
    use super::Peers;

    #[test]
    fn peers_are_named() {
        assert_eq!(Peers::parse("crun,docker").unwrap(), Peers { crun: true, podman: false, docker: true });
        assert_eq!(Peers::parse("").unwrap(), Peers { crun: false, podman: false, docker: false });
        assert!(Peers::parse("crun,lxc").is_err());
    }
}
