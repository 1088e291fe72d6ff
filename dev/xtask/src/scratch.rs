//! A temporary directory that goes away with its owner, whatever happened in between.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::shell::Cmd;

/// A directory of our own below `TMPDIR`; mounts below it are detached before it is removed.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(purpose: &str) -> Result<Self> {
        let base = env::temp_dir();
        let template = base.join(format!("corten-{purpose}.XXXXXX"));
        let made = Cmd::new("mktemp").arg("-d").arg(&template).read()?;
        // The user namespace of a container must be able to walk through to a bind source.
        Cmd::new("chmod").arg("0755").arg(made.trim()).run()?;
        Ok(Self(PathBuf::from(made.trim())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Creates a directory below it.
    pub(crate) fn dir(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir_all(&path).map_err(|error| Failure::io("create directory", &path, &error))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for point in mount_points_below(&mounts, &self.0) {
            if let Err(failure) = Cmd::new("umount").arg("-l").arg(&point).run() {
                eprintln!("xtask: leaving a mount: {failure}");
                return;
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("xtask: {}", Failure::io("leaving directory", &self.0, &error));
        }
    }
}

/// Mount points below `dir`, last mounted first. Our own names have no characters the kernel escapes.
fn mount_points_below(mountinfo: &str, dir: &Path) -> Vec<PathBuf> {
    let mut points: Vec<PathBuf> = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|point| point.starts_with(dir))
        .collect();
    points.reverse();
    points
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Scratch, mount_points_below};

    #[test]
    fn only_mounts_below_the_directory_count_and_the_last_goes_first() {
        let mountinfo = "21 1 8:1 / / rw - ext4 /dev/a rw\n\
                         30 21 0:5 / /tmp/x rw - tmpfs none rw\n\
                         31 30 0:6 / /tmp/x/merged rw - overlay none rw\n\
                         32 21 0:7 / /tmp/xy rw - tmpfs none rw\n";
        let expected: Vec<PathBuf> = vec!["/tmp/x/merged".into(), "/tmp/x".into()];
        assert_eq!(mount_points_below(mountinfo, Path::new("/tmp/x")), expected);
    }

    #[test]
    fn a_scratch_directory_goes_with_its_owner() {
        let scratch = Scratch::new("scratch-test").expect("mktemp");
        let dir = scratch.dir("a/b").expect("mkdir");
        let path = scratch.path().to_path_buf();
        assert!(dir.is_dir());
        drop(scratch);
        assert!(!path.exists());
    }
}
