//! `--security-opt`, `--userns`, `--pid`, `--ipc`, `--uts`, `--cgroupns`, `--network`.

use std::path::Path;

use corten_engine::containers::spec::{NamespaceModes, NetworkMode, Seccomp, SecurityOptions, Share};
use corten_sys::fs;

use super::args::ContainerFlags;
use crate::cli::error::daemon;

/// Sorts `--security-opt`.
pub(super) fn options(list: &[String], directory: &Path) -> Result<SecurityOptions, String> {
    let mut options = SecurityOptions::default();
    for option in list {
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (key, value) {
            ("no-new-privileges", "" | "true") => options.no_new_privileges = true,
            ("no-new-privileges", "false") => options.no_new_privileges = false,
            (_, "") => return Err(format!("Invalid --security-opt: \"{option}\"")),
            ("seccomp", "unconfined") => options.seccomp = Seccomp::Unconfined,
            ("seccomp", "builtin") => options.seccomp = Seccomp::Builtin,
            ("seccomp", path) => {
                let path = directory.join(path);
                let text = fs::read_to_string(&path).map_err(|error| {
                    format!("opening seccomp profile ({}) failed: {error}", path.display())
                })?;
                options.seccomp = Seccomp::Custom(text);
            }
            ("systempaths", "unconfined") => options.unmasked = true,
            ("apparmor", profile) => options.apparmor = Some(profile.to_owned()),
            ("label", option) => options.labels.push(option.to_owned()),
            _ => return Err(daemon(&format!("invalid --security-opt 2: \"{option}\""))),
        }
    }
    Ok(options)
}

/// Reads the namespace flags.
pub(super) fn namespaces(flags: &ContainerFlags) -> Result<NamespaceModes, String> {
    let only = |flag: &str, value: &Option<String>, allowed: &[&str]| match value.as_deref() {
        None => Ok(false),
        Some("host") => Ok(true),
        Some(value) if allowed.contains(&value) => Ok(false),
        Some(_) => Err(format!("--{flag}: invalid {} mode", flag.trim_end_matches("ns").to_uppercase())),
    };
    Ok(NamespaceModes {
        user_host: only("userns", &flags.userns, &["", "private", "auto"])?,
        uts_host: only("uts", &flags.uts, &["", "private"])?,
        cgroup_host: only("cgroupns", &flags.cgroupns, &["", "private"])?,
        pid: share("pid", flags.pid.as_deref(), &["", "private"])?,
        ipc: share("ipc", flags.ipc.as_deref(), &["", "private", "shareable"])?,
    })
}

fn share(flag: &str, value: Option<&str>, private: &[&str]) -> Result<Share, String> {
    match value {
        None => Ok(Share::Private),
        Some("host") => Ok(Share::Host),
        Some(value) if private.contains(&value) => Ok(Share::Private),
        Some(value) => match value.strip_prefix("container:") {
            Some(name) if !name.is_empty() => Ok(Share::Container(name.to_owned())),
            _ => Err(format!("--{flag}: invalid {} mode: {value}", flag.to_uppercase())),
        },
    }
}

/// Reads `--network`.
pub(super) fn network(value: Option<&str>) -> Result<NetworkMode, String> {
    match value {
        None | Some("none" | "") => Ok(NetworkMode::None),
        Some("host") => Ok(NetworkMode::Host),
        Some(other) => Err(format!("network {other} not found: only none and host are there yet")),
    }
}
