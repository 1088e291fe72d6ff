//! The mounts of a container, in order: what every container has, the generated files, the user's.

use std::path::Path;

use corten_runtime::cgroups::{Controller, Layout};
use corten_spec::runtime::Mount;

use crate::containers::record::{ContainerRecord, MountRecord};
use crate::containers::spec::{ContainerSpec, MountKind, NetworkMode, Share};
use crate::host::HostFacts;
use crate::{Engine, Error};

const DEFAULT_SHM: u64 = 64 << 20;

/// Lists all mounts. A mount of the user's replaces a default one at the same target, as docker's does.
pub(super) fn all(
    engine: &Engine,
    record: &ContainerRecord,
    facts: &HostFacts,
    user_namespace: bool,
) -> Result<Vec<Mount>, Error> {
    let mut mounts = defaults(&record.spec, facts);
    if !user_namespace && record.spec.privileged {
        mounts.retain(|mount| mount.destination != "/dev" || mount.kind == "tmpfs");
    }
    // What a default mount is mounted on must be there: below these two, the user's has it all.
    for place in ["/dev", "/sys/fs/cgroup"] {
        if record.mounts.iter().any(|own| own.target == place) {
            mounts.retain(|mount| !Path::new(&mount.destination).starts_with(place));
        }
    }
    let theirs = |target: &str| record.mounts.iter().any(|own| own.target == target);
    mounts.retain(|mount| !theirs(&mount.destination));
    mounts.extend(record.mounts.iter().map(user_mount));
    // After the user's: a volume at /etc does not hide the names of the container.
    let run_dir = engine.run_dir(&record.id);
    for name in super::files::NAMES {
        let target = format!("/etc/{name}");
        if !theirs(&target) {
            let source = run_dir.join(name).to_string_lossy().into_owned();
            // The files belong to the container's root already.
            let mut options = vec!["bind", "rprivate", "noidmap"];
            options.extend(record.spec.read_only.then_some("ro"));
            mounts.push(mount("bind", &source, &target, &options));
        }
    }
    Ok(mounts)
}

fn mount(kind: &str, source: &str, destination: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
    }
}

/// What every container has, before the user's mounts take the place of any.
pub(crate) fn defaults(spec: &ContainerSpec, facts: &HostFacts) -> Vec<Mount> {
    let shm = format!("size={}", spec.shm_size.unwrap_or(DEFAULT_SHM));
    let writable = if spec.privileged { "rw" } else { "ro" };
    let mut mounts = vec![
        mount("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]),
        mount("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "devpts",
            "devpts",
            "/dev/pts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
    ];
    mounts.push(match (&spec.network, spec.host_ids()) {
        // A sysfs shows the network namespace of its maker: with the host's, bind the host's own.
        (NetworkMode::Host, _) => {
            mount("bind", "/sys", "/sys", &["rbind", "nosuid", "noexec", "nodev", writable])
        }
        _ => mount("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", writable]),
    });
    if spec.namespaces.cgroup_host && spec.network != NetworkMode::Host {
        // A mount of its own would show a cgroup namespace of its own.
        let options = ["rbind", "noidmap", "nosuid", "noexec", "nodev", writable];
        mounts.push(mount("bind", "/sys/fs/cgroup", "/sys/fs/cgroup", &options));
    } else if spec.network != NetworkMode::Host {
        mounts.extend(cgroups(&facts.cgroups, writable));
    }
    // A message queue file system shows the IPC namespace of its maker, the host's with --ipc=host.
    mounts.push(mount("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]));
    mounts.push(match &spec.namespaces.ipc {
        Share::Host => mount("bind", "/dev/shm", "/dev/shm", &["rbind", "nosuid", "noexec", "nodev"]),
        _ => mount("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", &shm]),
    });
    mounts
}

/// The container's own cgroups: on v1 only the hierarchies that every container joins.
fn cgroups(layout: &Layout, writable: &str) -> Vec<Mount> {
    let options = ["nosuid", "noexec", "nodev", writable];
    let hierarchies = match layout {
        Layout::V2(_) => return vec![mount("cgroup2", "cgroup", "/sys/fs/cgroup", &options)],
        Layout::V1(hierarchies) => hierarchies,
    };
    let joined =
        [Controller::Cpu, Controller::Cpuacct, Controller::Memory, Controller::Pids, Controller::Devices];
    let mut mounts =
        vec![mount("tmpfs", "tmpfs", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "mode=755", writable])];
    for hierarchy in hierarchies {
        if hierarchy.controllers.iter().any(|controller| joined.contains(controller)) {
            let names: Vec<&str> = hierarchy.controllers.iter().map(|controller| controller.name()).collect();
            let target = format!("/sys/fs/cgroup/{}", names.join(","));
            let options: Vec<&str> = options.iter().copied().chain(names).collect();
            mounts.push(mount("cgroup", "cgroup", &target, &options));
        }
    }
    mounts
}

fn user_mount(own: &MountRecord) -> Mount {
    let mut options: Vec<String> = Vec::new();
    let source = own.path.to_string_lossy().into_owned();
    let kind = match &own.source {
        MountKind::Tmpfs { options: data } => {
            options.extend(["nosuid", "nodev", "noexec"].map(str::to_owned));
            options.extend(data.iter().cloned());
            "tmpfs"
        }
        MountKind::Bind { recursive, propagation, .. } => {
            options.push(if *recursive { "rbind" } else { "bind" }.to_owned());
            options.push(propagation.clone().unwrap_or_else(|| "rprivate".to_owned()));
            "bind"
        }
        MountKind::Volume { .. } | MountKind::Image { .. } => {
            options.extend(["rbind", "rprivate"].map(str::to_owned));
            "bind"
        }
    };
    options.extend(own.below.iter().map(|below| format!("X-corten.below={below}")));
    if own.read_only {
        options.push("ro".to_owned());
    }
    Mount { destination: own.target.clone(), kind: kind.to_owned(), source, options }
}
