//! Devices: docker's default nodes and `--device`, made or bound.

use corten_runtime::cgroups::devices::docker_default;
use corten_runtime::cgroups::resources::{Access, DeviceKind, DeviceRule};
use std::path::Path;

use corten_spec::runtime::Device;
use rustix::fs::{FileType, Stat};

use crate::Error;
use crate::containers::record::ContainerRecord;

/// Every container's nodes: name, major, minor.
const DEFAULT: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Says whether a path is one of every container's nodes.
pub(super) fn is_default(path: &str) -> bool {
    path.strip_prefix("/dev/").is_some_and(|name| DEFAULT.iter().any(|(default, ..)| *default == name))
}

/// The nodes to make: the default ones and those asked for. Whoever mounts a /dev of their own gets what is in that.
pub(super) fn to_make(record: &ContainerRecord) -> Result<Vec<Device>, Error> {
    if record.mounts.iter().any(|own| own.target == "/dev") {
        return Ok(Vec::new());
    }
    let mut devices = defaults();
    if record.spec.privileged {
        let default = devices.clone();
        let others = host_nodes(Path::new("/dev"))?;
        devices.extend(others.into_iter().filter(|node| default.iter().all(|known| known.path != node.path)));
    }
    for asked in requested(record)? {
        let device = asked.node.to_device(asked.container);
        devices.retain(|other| other.path != device.path);
        devices.push(device);
    }
    Ok(devices)
}

/// The nodes of every container.
pub(crate) fn defaults() -> Vec<Device> {
    let device = |&(name, major, minor): &(&str, u32, u32)| Device {
        path: format!("/dev/{name}"),
        kind: "c".to_owned(),
        major,
        minor,
        file_mode: Some(0o666),
        ..Device::default()
    };
    DEFAULT.iter().map(device).collect()
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

/// The device rules of the container's cgroup; `None` allows everything.
pub(crate) fn rules(record: &ContainerRecord) -> Result<Option<Vec<DeviceRule>>, Error> {
    if record.spec.privileged {
        return Ok(None);
    }
    let mut rules = docker_default();
    rules.extend(record.spec.resources.devices.iter().flatten().cloned());
    for asked in requested(record)? {
        let wrong = || Error::invalid(format!("invalid device mode: {}", asked.access));
        rules.push(DeviceRule {
            allow: true,
            kind: asked.node.kind,
            major: Some(asked.node.major),
            minor: Some(asked.node.minor),
            access: Access::parse(&asked.access).ok_or_else(wrong)?,
        });
    }
    Ok(Some(rules))
}

/// One node of the host that was asked for.
struct Requested {
    node: Node,
    container: String,
    access: String,
}

/// `--device`, a directory taken for every node below it, as docker does: links in it do not count, a link itself does.
fn requested(record: &ContainerRecord) -> Result<Vec<Requested>, Error> {
    let mut devices = Vec::new();
    for asked in &record.spec.devices {
        let found = |node, container| Requested { node, container, access: asked.access.clone() };
        if !Path::new(&asked.host).is_dir() {
            devices.push(found(Node::read(&asked.host)?, asked.container.clone()));
            continue;
        }
        let before = devices.len();
        let mut directories = vec![String::new()];
        while let Some(directory) = directories.pop() {
            for name in corten_sys::fs::list(format!("{}{directory}", asked.host))? {
                let below = format!("{directory}/{name}");
                let host = format!("{}{below}", asked.host);
                // A node that vanishes while we look belongs to hardware that was just pulled.
                let Ok(stat) = rustix::fs::lstat(&host) else { continue };
                match Node::of(&stat) {
                    Some(node) => devices.push(found(node, format!("{}{below}", asked.container))),
                    None if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                        directories.push(below);
                    }
                    None => {}
                }
            }
        }
        if devices.len() == before {
            return Err(unusable(&asked.host, "no device node in this directory"));
        }
    }
    Ok(devices)
}

fn unusable(path: &str, reason: &str) -> Error {
    Error::invalid(format!(
        "error gathering device information while adding custom device \"{path}\": {reason}"
    ))
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
        let stat =
            rustix::fs::stat(path).map_err(|errno| unusable(path, &corten_sys::error::reason(errno)))?;
        Self::of(&stat).ok_or_else(|| unusable(path, "not a device node"))
    }

    fn of(stat: &Stat) -> Option<Self> {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::CharacterDevice => DeviceKind::Char,
            FileType::BlockDevice => DeviceKind::Block,
            _ => return None,
        };
        Some(Self {
            kind,
            major: rustix::fs::major(stat.st_rdev),
            minor: rustix::fs::minor(stat.st_rdev),
            mode: stat.st_mode & 0o7777,
            owner: (stat.st_uid, stat.st_gid),
        })
    }
}
