//! What `info` tells: this store, and the machine it is on.

use std::path::PathBuf;

use corten_monitor::journal;
use corten_runtime::lsm;
use corten_sys::SysError;
use corten_sys::fs;

use crate::containers::{self, Status};
use crate::host::HostFacts;
use crate::{Engine, Error};

/// The store and the machine at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemInfo {
    pub running: usize,
    pub paused: usize,
    /// Created or ended.
    pub stopped: usize,
    pub images: usize,
    pub root: PathBuf,
    /// Where keepers and workers leave their warnings; absent while there were none.
    pub supervisor_log: PathBuf,
    /// docker's word for the file system under the store.
    pub file_system: &'static str,
    pub cgroup_version: u8,
    pub swap_limit: bool,
    pub kernel: String,
    pub operating_system: String,
    pub os_version: String,
    pub machine: String,
    pub host_name: String,
    pub cpus: usize,
    /// Bytes.
    pub memory: u64,
    /// AppArmor is active: profiles can be asked for. Without that a container is in none.
    pub apparmor: bool,
    /// SELinux is active: containers are labelled, if its policy knows them.
    pub selinux: bool,
}

/// Collects it. Reads every container's state; takes no lock.
pub fn system(engine: &Engine) -> Result<SystemInfo, Error> {
    let records = containers::list(engine)?;
    let (mut running, mut paused) = (0, 0);
    for record in &records {
        let status = containers::state::read(engine, record)?.status;
        running += usize::from(matches!(status, Status::Running | Status::Restarting));
        paused += usize::from(status == Status::Paused);
    }
    let facts = HostFacts::read()?;
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let memory = rustix::system::sysinfo();
    // Absent in the smallest of root file systems.
    let release =
        fs::read_to_string("/etc/os-release").or_else(|_| fs::read_to_string("/usr/lib/os-release"));
    let release = release.unwrap_or_default();
    let root = engine.store().root().to_owned();
    let statfs = rustix::fs::statfs(&root).map_err(|errno| SysError::at("statfs", &root, errno))?;
    Ok(SystemInfo {
        running,
        paused,
        stopped: records.len() - running - paused,
        images: engine.store().image_ids()?.len(),
        supervisor_log: engine.run().join(journal::FILE),
        file_system: file_system(u64::try_from(statfs.f_type).unwrap_or(0)),
        root,
        cgroup_version: if facts.cgroups.is_v2() { 2 } else { 1 },
        swap_limit: facts.cgroups.has_swap_limit(""),
        kernel: text(uname.release()),
        operating_system: field(&release, "PRETTY_NAME").unwrap_or_else(|| text(uname.sysname())),
        os_version: field(&release, "VERSION_ID").unwrap_or_default(),
        machine: text(uname.machine()),
        host_name: text(uname.nodename()),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        memory: memory.totalram as u64 * u64::from(memory.mem_unit),
        apparmor: lsm::has_apparmor(),
        selinux: facts.selinux,
    })
}

/// The magic numbers of statfs(2).
fn file_system(magic: u64) -> &'static str {
    match magic {
        0xef53 => "extfs",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlayfs",
        0x2fc1_2fc1 => "zfs",
        0xf2f5_2010 => "f2fs",
        _ => "<unknown>",
    }
}

/// A value of os-release(5), without its quotes.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
    Some(line.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release() {
        let text = "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID='12'\n";
        assert_eq!(field(text, "PRETTY_NAME").as_deref(), Some("Debian GNU/Linux 12"));
        assert_eq!(field(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(field(text, "VERSION"), None);
    }
}
