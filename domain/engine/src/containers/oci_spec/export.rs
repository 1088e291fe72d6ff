//! The configuration that another OCI runtime would be given for a container (runtime-spec, `config.json`).

use corten_runtime::cgroups::Resources as Limits;
use corten_runtime::cgroups::resources::{Blkio, DeviceKind};
use corten_runtime::plan::IdRange;
use corten_runtime::seccomp::{self, Arch};
use corten_spec::runtime::{Cpu, DeviceAccess, Memory, Pids, Resources, Seccomp as Filter, Spec, User};

use super::super::spec::Seccomp;
use super::{ContainerRecord, bounding_set, devices, generate, resources};
use crate::error::ErrorKind;
use crate::host::HostFacts;
use crate::id_range;
use crate::{Engine, Error};

/// Generates the configuration with its limits and its system call policy. The root file system is named `rootfs`;
/// a container that does not run is shown with the first range of ids there is.
///
/// What it cannot say is refused: a configuration that is weaker than the container would be a trap.
pub fn oci_config(engine: &Engine, record: &ContainerRecord) -> Result<Spec, Error> {
    refuse_unsayable(record)?;
    let facts = engine.facts()?;
    let ids = match record.spec.host_ids() {
        Some(_) => None,
        None => Some(ids_of(engine, record)?),
    };
    let mut spec = generate(engine, record, facts, ids)?;
    // What the specification has every runtime provide by itself, and words that only corten has.
    spec.linux.devices.retain(|device| !devices::is_default(&device.path));
    for mount in &mut spec.mounts {
        mount.options.retain(|option| option != "noidmap" && !option.starts_with("X-corten."));
    }
    spec.process.user = user(record)?;
    spec.linux.resources = Some(limits(&resources::of(record)?));
    spec.linux.seccomp = policy(record, facts)?;
    Ok(spec)
}

fn refuse_unsayable(record: &ContainerRecord) -> Result<(), Error> {
    let resources = &record.spec.resources;
    let cases = [
        (record.spec.joins_another(), "it shares namespaces of another container"),
        (resources.blkio != Blkio::default(), "it has limits of block I/O"),
        (!resources.hugepages.is_empty(), "it has limits of huge pages"),
        (resources.memory.oom_kill_disable == Some(true), "its OOM killer is off"),
        (
            resources.cpu.realtime_period.is_some() || resources.cpu.realtime_runtime.is_some(),
            "it has limits of real-time processor time",
        ),
        (!record.spec.groups.is_empty(), "it has supplementary groups, which are looked up in its image"),
    ];
    match cases.iter().find(|(applies, _)| *applies) {
        Some((_, reason)) => Err(unsayable(&record.name, reason)),
        None => Ok(()),
    }
}

fn unsayable(name: &str, reason: &str) -> Error {
    let message = format!("container {name} cannot be written as a config.json: {reason}");
    Error::new(ErrorKind::Unsupported, message)
}

/// A user by number; a name is looked up in the image when the container starts.
fn user(record: &ContainerRecord) -> Result<User, Error> {
    let text = record.process.user.as_str();
    let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
    let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse().ok() };
    match (number(uid), number(gid)) {
        (Some(uid), Some(gid)) => Ok(User { uid, gid, ..User::default() }),
        _ => Err(unsayable(&record.name, "its user is a name, which is looked up in its image")),
    }
}

fn ids_of(engine: &Engine, record: &ContainerRecord) -> Result<IdRange, Error> {
    let current = super::super::state::read(engine, record)?;
    let running = current.is_running();
    match current.run.filter(|_| running) {
        Some(run) => super::super::start::read_id_range(run.init.pid),
        None => Ok(id_range::example(record.highest_id)),
    }
}

fn policy(record: &ContainerRecord, facts: &HostFacts) -> Result<Option<Filter>, Error> {
    let profile = match &record.spec.security.seccomp {
        Seccomp::Unconfined => None,
        Seccomp::Builtin if record.spec.privileged => None,
        Seccomp::Builtin => Some(seccomp::docker_default()),
        Seccomp::Custom(text) => {
            seccomp::parse(text.as_bytes()).map_err(|error| Error::invalid(error.to_string()))?
        }
    };
    let caps = bounding_set(&record.spec)?;
    Ok(profile.map(|profile| seccomp::to_spec(&profile, caps, Arch::NATIVE, facts.kernel)))
}

fn limits(limits: &Limits) -> Resources {
    let (quota, period) = limits.cpu.bandwidth();
    let every = DeviceAccess { allow: false, access: "rwm".to_owned(), ..DeviceAccess::default() };
    let rules = limits.devices.iter().flatten().map(|rule| DeviceAccess {
        allow: rule.allow,
        kind: if rule.kind == DeviceKind::All { String::new() } else { rule.kind.letter().to_string() },
        major: rule.major.map(i64::from),
        minor: rule.minor.map(i64::from),
        access: rule.access.letters().to_owned(),
    });
    Resources {
        devices: if limits.devices.is_some() {
            [every].into_iter().chain(rules).collect()
        } else {
            Vec::new()
        },
        memory: Memory {
            limit: limits.memory.limit,
            reservation: limits.memory.reservation,
            swap: limits.memory.swap,
            swappiness: limits.memory.swappiness,
        },
        cpu: Cpu {
            shares: limits.cpu.shares,
            quota,
            period,
            cpus: limits.cpu.cpus.clone().unwrap_or_default(),
            mems: limits.cpu.mems.clone().unwrap_or_default(),
        },
        pids: limits.pids.map(|limit| Pids { limit }),
    }
}
