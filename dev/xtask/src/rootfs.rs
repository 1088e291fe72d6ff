//! Root file systems to show and measure with: the host's busybox, or a Debian from debootstrap.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::shell::{self, Cmd};
use crate::ustar::Archive;

/// The host's static busybox with the names of its applets.
#[derive(Debug)]
pub(crate) struct Busybox {
    pub(crate) binary: Vec<u8>,
    pub(crate) applets: BTreeSet<String>,
}

impl Busybox {
    pub(crate) fn of_host() -> Result<Self> {
        let path = shell::find_program("busybox").ok_or_else(|| Failure::new("no busybox on PATH"))?;
        let binary = fs::read(&path).map_err(|error| Failure::io("read", &path, &error))?;
        let list = Cmd::new(&path).arg("--list").read()?;
        let applets = list.lines().map(str::to_owned).filter(|name| name != "busybox").collect();
        Ok(Self { binary, applets })
    }

    /// A root file system as a tar archive: busybox, a link per applet, root and nobody.
    pub(crate) fn tar(&self, extra: &[(&str, &[u8])]) -> Result<Vec<u8>> {
        let mut archive = Archive::default();
        for (dir, mode) in
            [("bin", 0o755), ("dev", 0o755), ("etc", 0o755), ("proc", 0o555), ("root", 0o700), ("sys", 0o555)]
        {
            archive.dir(dir, mode)?;
        }
        archive.dir("tmp", 0o1777)?;
        archive.file("bin/busybox", 0o755, &self.binary)?;
        for applet in &self.applets {
            archive.symlink(&format!("bin/{applet}"), "busybox")?;
        }
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
        archive.file("etc/passwd", 0o644, passwd)?;
        archive.file("etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
        for (path, content) in extra {
            archive.file(path, 0o644, content)?;
        }
        Ok(archive.finish())
    }
}

/// Makes a minimal Debian of the host's own release in `dir` and returns it as a tar file beside it.
pub(crate) fn debian(dir: &Path) -> Result<PathBuf> {
    let tree = dir.join("debian");
    let tar = dir.join("debian.tar");
    let suite = host_suite()?;
    Cmd::new("debootstrap").args(["--variant=minbase", &suite]).arg(&tree).read()?;
    // Devices are made by the runtime, the package cache is no part of a system.
    let excluded = ["--exclude=./dev/*", "--exclude=./proc/*", "--exclude=./var/cache/apt/archives/*.deb"];
    Cmd::new("tar")
        .arg("-C")
        .arg(&tree)
        .args(excluded)
        .arg("--numeric-owner")
        .arg("-cf")
        .arg(&tar)
        .arg(".")
        .read()?;
    fs::remove_dir_all(&tree).map_err(|error| Failure::io("remove", &tree, &error))?;
    Ok(tar)
}

fn host_suite() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release")
        .map_err(|error| Failure::io("read", "/etc/os-release", &error))?;
    codename(&text).ok_or_else(|| {
        Failure::new("/etc/os-release: no VERSION_CODENAME; debootstrap needs to know the suite")
    })
}

fn codename(os_release: &str) -> Option<String> {
    let value = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    Some(value.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::codename;

    #[test]
    fn the_suite_is_the_code_name() {
        assert_eq!(codename("NAME=x\nVERSION_CODENAME=bookworm\n").as_deref(), Some("bookworm"));
        assert_eq!(codename("VERSION_CODENAME=\"noble\"\n").as_deref(), Some("noble"));
        assert_eq!(codename("NAME=x\n"), None);
    }
}
