//! Linux security modules: which are active, and the profile that a process enters with its next execve.
//!
//! corten loads no policy of its own: it honours what the host has.

use std::fs::File;
use std::io::Write;

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

/// Says whether AppArmor knows a profile of that name; `None` where nobody can tell.
pub fn apparmor_profile_is_loaded(name: &str) -> Result<Option<bool>, SysError> {
    let listed = fs::read_if_exists(PROFILES)?;
    Ok(listed.map(|text| is_listed(&String::from_utf8_lossy(&text), name)))
}

fn is_listed(profiles: &str, name: &str) -> bool {
    profiles.lines().filter_map(|line| line.rsplit_once(" (")).any(|(listed, _)| listed == name)
}

/// Makes the next execve of this process, or of its child, enter the AppArmor profile; an empty one leaves it as it is.
pub(crate) fn enter_on_exec(root: &Dir, profile: &str) -> Result<(), SysError> {
    if profile.is_empty() {
        return Ok(());
    }
    let what = format!("AppArmor profile {profile}");
    // The first is there since Linux 5.1; the other belongs to the first module of the kernel's list.
    write_attribute(root, &["apparmor/exec", "exec"], &what, &format!("exec {profile}"))
}

/// Makes the next execve of this process, or of its child, take the SELinux label; an empty one leaves it as it is.
pub(crate) fn label_on_exec(root: &Dir, label: &str) -> Result<(), SysError> {
    if label.is_empty() { Ok(()) } else { write_attribute(root, &["exec"], &labelled(label), label) }
}

/// Makes this process's new keyrings, until its next execve, have the SELinux label; an empty one changes nothing.
pub(crate) fn label_keys(root: &Dir, label: &str) -> Result<(), SysError> {
    if label.is_empty() { Ok(()) } else { write_attribute(root, &["keycreate"], &labelled(label), label) }
}

fn labelled(label: &str) -> String {
    format!("SELinux label {label}")
}

/// Writes the first of these attributes that is there; `what` is for the error.
///
/// Through the procfs below `root`, checked to be one: whoever shapes the image may have put something else there
/// (CVE-2019-16884, CVE-2025-52881).
fn write_attribute(root: &Dir, names: &[&str], what: &str, text: &str) -> Result<(), SysError> {
    let on = |call, errno| SysError::new(call, what, errno);
    let mut opened = Err(on("open", Errno::NOENT));
    for name in names {
        opened = root.open_at(format!("/proc/thread-self/attr/{name}"), OFlags::WRONLY, 0);
        if !matches!(&opened, Err(error) if error.errno() == Errno::NOENT) {
            break;
        }
    }
    let file = opened.map_err(|error| on("open", error.errno()))?;
    let kind = rustix::fs::fstatfs(&file).map_err(|errno| on("statfs", errno))?;
    if kind.f_type != rustix::fs::PROC_SUPER_MAGIC {
        return Err(on("enter", Errno::NODEV));
    }
    // One write: the kernel takes each as a command of its own.
    File::from(file)
        .write_all(text.as_bytes())
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
        assert!(label_on_exec(&Dir::open(&empty).unwrap(), "").is_ok());
        let error = label_on_exec(&Dir::open(&empty).unwrap(), "a:b:c").unwrap_err();
        assert_eq!(error.to_string(), "open SELinux label a:b:c: no such file or directory");
    }
}
