//! The bundle crun runs: like with like, so everything a container of corten gets by default.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::shell::Cmd;
use crate::workspace;

/// Docker's fourteen.
const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

const MASKED: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The first id of the host that the container's ids are mapped to, and how many.
const HOST_ID: u32 = 1_000_000;
const ID_COUNT: u32 = 65_536;

/// A configuration with what corten gives a container by default, written here from the same defaults.
///
/// [`from_file`] takes corten's own instead.
pub(super) fn default_config(seccomp: Option<Value>) -> Value {
    let mapping = json!([{ "containerID": 0, "hostID": HOST_ID, "size": ID_COUNT }]);
    let namespaces: Vec<Value> = ["pid", "mount", "ipc", "uts", "network", "cgroup", "user"]
        .iter()
        .map(|kind| json!({ "type": kind }))
        .collect();
    let mut config = json!({
        "ociVersion": "1.0.2",
        "hostname": "bench",
        "root": { "path": "rootfs" },
        "process": {
            "cwd": "/",
            "args": ["true"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=bench", "HOME=/root"],
            "user": { "uid": 0, "gid": 0 },
            "capabilities": { "bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES },
        },
        "mounts": mounts(),
        "linux": {
            "namespaces": namespaces,
            "uidMappings": mapping,
            "gidMappings": mapping,
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
        },
    });
    if let Some(seccomp) = seccomp {
        config["linux"]["seccomp"] = seccomp;
    }
    config
}

fn mounts() -> Value {
    let mount = |target: &str, kind: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": kind, "options": options });
    json!([
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ])
}

/// A configuration from an OCI `config.json`, such as the plan of a container of corten.
pub(super) fn from_file(path: &Path) -> Result<Value> {
    let text = workspace::read_text(path)?;
    serde_json::from_str(&text).map_err(|error| Failure::new(format!("parse {}: {error}", path.display())))
}

/// The same configuration with another command.
pub(super) fn with_args(mut config: Value, args: &[&str]) -> Value {
    config["process"]["args"] = json!(args);
    config["process"]["terminal"] = json!(false);
    config["root"]["path"] = json!("rootfs");
    config
}

/// Makes a bundle in `dir` with the root file system of `tar`, owned by the container's root.
pub(super) fn create(dir: &Path, tar: &Path, config: &Value) -> Result<PathBuf> {
    let rootfs = dir.join("rootfs");
    fs::create_dir_all(&rootfs).map_err(|error| Failure::io("create directory", &rootfs, &error))?;
    Cmd::new("tar").arg("-C").arg(&rootfs).arg("-xf").arg(tar).read()?;
    let first = config["linux"]["uidMappings"][0]["hostID"].as_u64().unwrap_or(0);
    Cmd::new("chown").args(["-hR", &format!("{first}:{first}")]).arg(&rootfs).read()?;
    let path = dir.join("config.json");
    fs::write(&path, config.to_string()).map_err(|error| Failure::io("write", &path, &error))?;
    Ok(dir.to_path_buf())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{default_config, with_args};

    #[test]
    fn the_command_and_the_filter_can_be_given() {
        let filter = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
        let config = with_args(default_config(Some(filter.clone())), &["sleep", "9"]);
        assert_eq!(
            (&config["process"]["args"], &config["linux"]["seccomp"]),
            (&json!(["sleep", "9"]), &filter)
        );
        assert_eq!(default_config(None)["linux"]["seccomp"], json!(null));
        assert_eq!(config["linux"]["namespaces"].as_array().map(Vec::len), Some(7));
    }
}
