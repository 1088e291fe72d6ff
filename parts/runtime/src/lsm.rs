//! Linux security modules: which are active, and the profile that a process enters with its next execve.
//!
//! corten loads no policy of its own: it honours what the host has.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use corten_sys::{Dir, Errno, SysError, fs};
use rustix::fs::OFlags;

/// The name of no profile at all.
pub const UNCONFINED: &str = "unconfined";

/// Where AppArmor lists its profiles, one `name (mode)` a line; absent where securityfs is not mounted.
const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";

/// Says whether AppArmor is built in and enabled.
pub fn has_apparmor() -> bool {
    fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
}

/// Says whether SELinux is active: only then its file system can be mounted.
pub fn has_selinux() -> bool {
    fs::exists("/sys/fs/selinux/enforce")
}

/// Says whether AppArmor knows a profile of that name; `None` where nobody can tell.
pub fn apparmor_profile_is_loaded(name: &str) -> Result<Option<bool>, SysError> {
    let listed = fs::read_if_exists(PROFILES)?;
    Ok(listed.map(|text| is_listed(&String::from_utf8_lossy(&text), name)))
}

fn is_listed(profiles: &str, name: &str) -> bool {
    profiles.lines().filter_map(|line| line.rsplit_once(" (")).any(|(listed, _)| listed == name)
}

/// Makes the next execve of this process, or of its child, enter the profile; an empty one leaves it as it is.
///
/// Through the procfs below `root`, checked to be one: whoever shapes the image may have put something else there
/// (CVE-2019-16884, CVE-2025-52881).
pub(crate) fn enter_on_exec(root: &Dir, profile: &str) -> Result<(), SysError> {
    if profile.is_empty() {
        return Ok(());
    }
    let on = |call, errno| SysError::new(call, format!("AppArmor profile {profile}"), errno);
    // The first is there since Linux 5.1; the other belongs to the first module of the kernel's list.
    let file = match root.open_at("/proc/thread-self/attr/apparmor/exec", OFlags::WRONLY, 0) {
        Err(error) if error.errno() == Errno::NOENT => {
            root.open_at(Path::new("/proc/thread-self/attr/exec"), OFlags::WRONLY, 0)
        }
        other => other,
    };
    let file = file.map_err(|error| on("open", error.errno()))?;
    let kind = rustix::fs::fstatfs(&file).map_err(|errno| on("statfs", errno))?;
    if kind.f_type != rustix::fs::PROC_SUPER_MAGIC {
        return Err(on("enter", Errno::NODEV));
    }
    // One write: the kernel takes each as a command of its own.
    File::from(file)
        .write_all(format!("exec {profile}").as_bytes())
        .map_err(|error| on("enter", Errno::from_io_error(&error).unwrap_or(Errno::IO)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_listed_with_their_modes() {
        let listed = "docker-default (enforce)\n/usr/sbin/a (b) (complain)\nfirefox//null-x (kill)\n";
        for (name, expected) in [
            ("docker-default", true),
            ("/usr/sbin/a (b)", true),
            ("firefox", false),
            ("docker", false),
            ("", false),
        ] {
            assert_eq!(is_listed(listed, name), expected, "{name}");
        }
    }

    #[test]
    fn no_profile_is_nothing_to_do() {
        let empty = std::env::temp_dir();
        assert!(enter_on_exec(&Dir::open(&empty).unwrap(), "").is_ok());
        let error = enter_on_exec(&Dir::open(&empty).unwrap(), "x").unwrap_err();
        assert_eq!(error.to_string(), "open AppArmor profile x: no such file or directory");
    }
}
