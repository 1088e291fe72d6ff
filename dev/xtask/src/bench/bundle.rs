//! The bundle crun runs: like with like, so what corten itself would start, taken from `corten inspect --as oci`.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::engines::Cli;
use crate::failure::{Failure, Result};
use crate::shell::Cmd;

/// The files that corten generates for a container and binds; here they lie in the bundle.
const GENERATED: &[&str] = &["hosts", "hostname", "resolv.conf"];

/// The configuration of a container of corten: its namespaces, ids, mounts, masks, capabilities, limits and filter.
pub(super) fn config_of(corten: &Cli, image: &str) -> Result<Value> {
    let id = corten.create(&[], image, &["true"]).read()?;
    let id = id.trim();
    let text = corten.cmd(&["inspect", "--as", "oci", id]).read()?;
    corten.remove(id).read()?;
    let mut config: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("parse corten inspect --as oci: {error}")))?;
    // Debian 12's crun takes no later version.
    config["ociVersion"] = json!("1.0.2");
    // Every run of crun gets a cgroup of its own.
    if let Some(linux) = config["linux"].as_object_mut() {
        linux.remove("cgroupsPath");
    }
    Ok(config)
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
    let mut config = config.clone();
    for name in GENERATED {
        let path = dir.join(name);
        fs::write(&path, "127.0.0.1 localhost\n").map_err(|error| Failure::io("write", &path, &error))?;
        let target = format!("/etc/{name}");
        for mount in config["mounts"].as_array_mut().into_iter().flatten() {
            if mount["destination"] == target.as_str() {
                mount["source"] = json!(path);
            }
        }
    }
    let path = dir.join("config.json");
    fs::write(&path, config.to_string()).map_err(|error| Failure::io("write", &path, &error))?;
    Ok(dir.to_path_buf())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::with_args;

    #[test]
    fn the_command_is_replaced() {
        let config = with_args(json!({ "process": { "args": ["true"] } }), &["sleep", "9"]);
        assert_eq!(config["process"]["args"], json!(["sleep", "9"]));
    }
}
