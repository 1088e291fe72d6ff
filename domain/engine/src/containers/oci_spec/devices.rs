//! Devices: docker's default nodes and `--device`, made or bound.

use corten_runtime::cgroups::devices::docker_default;
use corten_runtime::cgroups::resources::{Access, DeviceKind, DeviceRule};
use std::path::Path;

use corten_spec::runtime::{Device, Mount};
use corten_sys::SysError;
use rustix::fs::FileType;

use crate::Error;
use crate::containers::record::ContainerRecord;
use crate::containers::spec::DeviceSpec;

/// Every container's nodes: name, major, minor.
const DEFAULT: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Says whether a path is one of every container's nodes.
pub(super) fn is_default(path: &str) -> bool {
    path.strip_prefix("/dev/").is_some_and(|name| DEFAULT.iter().any(|(default, ..)| *default == name))
}

/// The nodes to make with mknod, for a container with the host's ids.
pub(super) fn to_make(record: &ContainerRecord) -> Result<Vec<Device>, Error> {
    let mut devices: Vec<Device> = DEFAULT
        .iter()
        .map(|&(name, major, minor)| Device {
            path: format!("/dev/{name}"),
            kind: "c".to_owned(),
            major,
            minor,
            file_mode: Some(0o666),
            ..Device::default()
        })
        .collect();
    if record.spec.privileged {
        let default = devices.clone();
        let others = host_nodes(Path::new("/dev"))?;
        devices.extend(others.into_iter().filter(|node| default.iter().all(|known| known.path != node.path)));
    }
    for asked in requested(record)? {
        devices.push(Node::read(&asked.host)?.to_device(asked.container.clone()));
    }
    Ok(devices)
}

/// Directories of /dev that every container has its own of, and nodes that belong to a terminal session.
const NOT_THE_HOST_S: [&str; 5] = ["/dev/console", "/dev/mqueue", "/dev/ptmx", "/dev/pts", "/dev/shm"];

/// All device nodes of the host below a directory, for a privileged container.
fn host_nodes(directory: &Path) -> Result<Vec<Device>, Error> {
    let mut devices = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for name in corten_sys::fs::list(&directory)? {
            let path = directory.join(name);
            let text = path.to_string_lossy().into_owned();
            // A node that vanishes while we look belongs to hardware that was just pulled.
            let Ok(stat) = rustix::fs::lstat(&path) else { continue };
            match FileType::from_raw_mode(stat.st_mode) {
                _ if NOT_THE_HOST_S.contains(&text.as_str()) => {}
                FileType::Directory => directories.push(path),
                FileType::CharacterDevice | FileType::BlockDevice => {
                    devices.push(Node::read(&text)?.to_device(text));
                }
                _ => {}
            }
        }
    }
    Ok(devices)
}

/// The host's nodes to bind, where mknod is refused.
pub(super) fn to_bind(record: &ContainerRecord) -> Result<Vec<Mount>, Error> {
    let bind = |source: &str, destination: &str| Mount {
        destination: destination.to_owned(),
        kind: "bind".to_owned(),
        source: source.to_owned(),
        options: ["bind", "rprivate", "noidmap", "nosuid", "noexec"].map(str::to_owned).to_vec(),
    };
    let mut mounts: Vec<_> =
        DEFAULT.iter().map(|(name, ..)| bind(&format!("/dev/{name}"), &format!("/dev/{name}"))).collect();
    for asked in requested(record)? {
        Node::read(&asked.host)?;
        mounts.push(bind(&asked.host, &asked.container));
    }
    Ok(mounts)
}

/// The device rules of the container's cgroup; `None` allows everything.
pub(crate) fn rules(record: &ContainerRecord) -> Result<Option<Vec<DeviceRule>>, Error> {
    if record.spec.privileged {
        return Ok(None);
    }
    let mut rules = docker_default();
    rules.extend(record.spec.resources.devices.iter().flatten().cloned());
    for asked in requested(record)? {
        let node = Node::read(&asked.host)?;
        let wrong = || Error::invalid(format!("invalid device mode: {}", asked.access));
        rules.push(DeviceRule {
            allow: true,
            kind: node.kind,
            major: Some(node.major),
            minor: Some(node.minor),
            access: Access::parse(&asked.access).ok_or_else(wrong)?,
        });
    }
    Ok(Some(rules))
}

/// `--device`, a directory of nodes taken for each node in it, as docker does.
fn requested(record: &ContainerRecord) -> Result<Vec<DeviceSpec>, Error> {
    let mut devices = Vec::new();
    for asked in &record.spec.devices {
        let names = corten_sys::fs::list(&asked.host);
        match names {
            Ok(names) if !names.is_empty() => {
                for name in names {
                    let host = format!("{}/{name}", asked.host);
                    let container = format!("{}/{name}", asked.container);
                    if Node::read(&host).is_ok() {
                        devices.push(DeviceSpec { host, container, access: asked.access.clone() });
                    }
                }
            }
            _ => devices.push(asked.clone()),
        }
    }
    Ok(devices)
}

struct Node {
    kind: DeviceKind,
    major: u32,
    minor: u32,
    mode: u32,
    owner: (u32, u32),
}

impl Node {
    fn to_device(&self, path: String) -> Device {
        Device {
            path,
            kind: self.kind.letter().to_string(),
            major: self.major,
            minor: self.minor,
            file_mode: Some(self.mode),
            uid: Some(self.owner.0),
            gid: Some(self.owner.1),
        }
    }

    fn read(path: &str) -> Result<Self, Error> {
        let unusable = |reason: String| {
            Error::invalid(format!(
                "error gathering device information while adding custom device \"{path}\": {reason}"
            ))
        };
        let stat = rustix::fs::stat(path)
            .map_err(|errno| unusable(SysError::at("stat", path, errno).to_string()))?;
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice => DeviceKind::Char,
            FileType::BlockDevice => DeviceKind::Block,
            _ => return Err(unusable("not a device node".to_owned())),
        };
        Ok(Self {
            kind,
            major: rustix::fs::major(stat.st_rdev),
            minor: rustix::fs::minor(stat.st_rdev),
            mode: stat.st_mode & 0o7777,
            owner: (stat.st_uid, stat.st_gid),
        })
    }
}
