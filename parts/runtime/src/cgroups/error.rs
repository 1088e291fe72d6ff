//! What can go wrong with a cgroup, and what a single setting is.

use std::path::PathBuf;

use corten_sys::{Errno, SysError};

use super::layout::Controller;

/// A cgroup that could not be made, set, used or removed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("no cgroup file system is mounted (looked in /sys/fs/cgroup and /proc/self/mountinfo)")]
    NotMounted,
    #[error("cgroup path {path:?}: {reason}")]
    BadPath { path: String, reason: &'static str },
    #[error("{what}: no {controller} controller is mounted")]
    MissingController { what: &'static str, controller: Controller },
    #[error("{what}: the kernel offers no {file} in {}", directory.display())]
    MissingFile { what: &'static str, file: String, directory: PathBuf },
    #[error("{what}: cgroup v2 has no such setting")]
    NotInV2 { what: &'static str },
    #[error("{what}: {reason}")]
    Invalid { what: &'static str, reason: String },
    #[error("{what}: write {value:?} to {}: {}", path.display(), corten_sys::error::reason(*errno))]
    Write { what: &'static str, value: String, path: PathBuf, errno: Errno },
    #[error(
        "{what}: enable the {controller} controller below {}: processes live in that cgroup itself; choose an empty \
         parent with --cgroup-parent", directory.display()
    )]
    BusyParent { what: &'static str, controller: Controller, directory: PathBuf },
    #[error("device rules: {0}")]
    Devices(#[from] super::devices::DeviceRuleError),
    #[error("cgroup device filter on {}: {source}", directory.display())]
    DeviceFilter { directory: PathBuf, source: SysError },
    #[error("freeze {path}: the cgroup did not settle within {seconds} s")]
    NotFrozen { path: String, seconds: u64 },
    #[error("kill cgroup {path}: {} still alive after {seconds} s: {}", plural(pids.len()), list(pids))]
    Survivors { path: String, seconds: u64, pids: Vec<i32> },
    #[error("remove cgroup {path}: {}", failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Remove { path: String, failures: Vec<SysError> },
    #[error("cgroup: {0}")]
    Sys(#[from] SysError),
}

fn plural(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

fn list(pids: &[i32]) -> String {
    let mut text = pids.iter().take(8).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if pids.len() > 8 {
        text.push_str(", …");
    }
    text
}

/// One value for one file of one controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The limit as a user knows it, for errors.
    pub what: &'static str,
    pub controller: Controller,
    pub file: String,
    pub value: String,
}

impl Setting {
    /// Names a value for a file.
    pub fn new(
        what: &'static str,
        controller: Controller,
        file: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        Self { what, controller, file: file.into(), value: value.into() }
    }
}
