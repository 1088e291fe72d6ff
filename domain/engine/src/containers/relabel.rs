//! `-v …:z` and `:Z`: the SELinux label of what is mounted from the host, set at every start.

use std::path::Path;

use corten_runtime::selinux::{Context, SHARED_LEVEL};
use corten_sys::label;

use super::record::{ContainerRecord, MountRecord};
use super::spec::{MountKind, Relabel};
use crate::Error;

/// Labels the sources of the mounts that are to have the container's label. Nothing where it has none.
pub(super) fn sources(record: &ContainerRecord) -> Result<(), Error> {
    let Some(own) = Context::parse(&record.mount_label) else { return Ok(()) };
    for mount in &record.mounts {
        let Some((relabel, lazy)) = wanted(mount) else { continue };
        let label = match relabel {
            Relabel::Shared => own.at_level(SHARED_LEVEL).render(),
            Relabel::Private => record.mount_label.clone(),
        };
        // What is made in a directory gets its label.
        if lazy && label::get(&mount.path).as_deref() == Some(label.as_str()) {
            continue;
        }
        set(&mount.path, &label).map_err(|error| {
            let source = mount.path.display();
            Error::invalid(format!("error setting label on mount source '{source}': {error}"))
        })?;
    }
    Ok(())
}

/// How a mount's source is labelled, and whether only where it is not yet: docker shares every volume.
fn wanted(mount: &MountRecord) -> Option<(Relabel, bool)> {
    match (&mount.source, mount.relabel) {
        (MountKind::Bind { .. } | MountKind::Volume { .. }, Some(relabel)) => Some((relabel, false)),
        (MountKind::Volume { .. }, None) => Some((Relabel::Shared, true)),
        _ => None,
    }
}

fn set(path: &Path, label: &str) -> Result<(), String> {
    let real = path.canonicalize().map_err(|error| error.to_string())?;
    if is_the_hosts(&real) {
        return Err(format!("SELinux relabeling of {} is not allowed", real.display()));
    }
    label::set_tree(&real, label).map_err(|error| error.to_string())
}

/// docker's list of what belongs to the host: with a container's label the host itself would not work any more.
const THE_HOSTS: [&str; 24] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/passwd",
    "/etc/pki",
    "/etc/shadow",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/var",
    "/var/lib",
    "/var/log",
];

fn is_the_hosts(path: &Path) -> bool {
    // A user's home as well, whoever it is: docker knows only that of its caller.
    THE_HOSTS.iter().any(|own| Path::new(own) == path) || path.parent() == Some(Path::new("/home"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_is_refused() {
        let cases = [
            ("/", true),
            ("/etc", true),
            ("/usr", true),
            ("/home", true),
            ("/home/user", true),
            ("/root", true),
            ("/home/user/data", false),
            ("/srv/data", false),
            ("/etcetera", false),
        ];
        for (path, expected) in cases {
            assert_eq!(is_the_hosts(Path::new(path)), expected, "{path}");
        }
    }
}
