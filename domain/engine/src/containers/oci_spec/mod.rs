//! From a container's record to a runtime-spec configuration: pure, but for the files it names.

pub(crate) mod devices;
mod export;
pub(crate) mod files;
pub(crate) mod linux;
pub(crate) mod mounts;
pub(crate) mod resources;

use corten_runtime::capabilities::{self, CapSet};
use corten_runtime::plan::IdRange;
use corten_spec::runtime::{Capabilities, Linux, Process, Rlimit, Root, Spec, VERSION};

pub use export::oci_config;
pub(crate) use linux::{masked_paths, readonly_paths};

use super::record::ContainerRecord;
use super::spec::ContainerSpec;
use crate::host::HostFacts;
use crate::{Engine, Error};

/// Generates the configuration of one start. `ids` is absent where the container has the host's.
pub(crate) fn generate(
    engine: &Engine,
    record: &ContainerRecord,
    facts: &HostFacts,
    ids: Option<IdRange>,
) -> Result<Spec, Error> {
    let spec = &record.spec;
    Ok(Spec {
        oci_version: VERSION.to_owned(),
        process: process(record)?,
        root: Root { path: "rootfs".to_owned(), readonly: spec.read_only },
        hostname: if spec.namespaces.uts_host { String::new() } else { record.hostname.clone() },
        domainname: spec.domainname.clone().unwrap_or_default(),
        mounts: mounts::all(engine, record, facts, ids.is_some())?,
        annotations: spec.annotations.clone(),
        linux: Linux {
            namespaces: linux::namespaces(spec, ids.is_some()),
            uid_mappings: linux::mappings(ids),
            gid_mappings: linux::mappings(ids),
            devices: devices::to_make(record)?,
            cgroups_path: format!("/{}/{}", spec.cgroup_parent.as_deref().unwrap_or("corten"), record.id),
            sysctl: linux::sysctls(spec, ids),
            masked_paths: linux::masked_paths(spec),
            readonly_paths: linux::readonly_paths(spec),
            rootfs_propagation: String::new(),
            mount_label: record.mount_label.clone(),
            // The cgroup and the filter are made from the record itself.
            resources: None,
            seccomp: None,
        },
    })
}

fn process(record: &ContainerRecord) -> Result<Process, Error> {
    let spec = &record.spec;
    let bounding = bounding_set(spec)?;
    let names: Vec<String> = bounding.iter().map(|capability| capability.name().to_owned()).collect();
    Ok(Process {
        terminal: spec.tty,
        args: record.process.args(),
        env: record.process.env.clone(),
        cwd: record.process.workdir.clone(),
        capabilities: Capabilities {
            bounding: names.clone(),
            effective: names.clone(),
            permitted: names,
            ..Capabilities::default()
        },
        rlimits: rlimits(spec),
        no_new_privileges: spec.security.no_new_privileges,
        apparmor_profile: spec.security.apparmor_to_enter().to_owned(),
        selinux_label: record.process_label.clone(),
        oom_score_adj: spec.oom_score_adj,
        ..Process::default()
    })
}

/// docker's fourteen capabilities with what the flags add and drop; all there are with `--privileged`.
pub(crate) fn bounding_set(spec: &ContainerSpec) -> Result<CapSet, Error> {
    let available = CapSet::bounding();
    if spec.privileged {
        return Ok(available);
    }
    let default = CapSet::DEFAULT.intersection(available);
    capabilities::tweak(default, &spec.cap_add, &spec.cap_drop, available)
        .map_err(|error| Error::invalid(error.to_string()))
}

fn rlimits(spec: &ContainerSpec) -> Vec<Rlimit> {
    let limit = |ulimit: &super::spec::Ulimit| Rlimit {
        kind: format!("RLIMIT_{}", ulimit.name.to_ascii_uppercase()),
        soft: ulimit.soft,
        hard: ulimit.hard,
    };
    spec.ulimits.iter().map(limit).collect()
}
