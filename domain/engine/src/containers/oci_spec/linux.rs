//! Namespaces, id mappings, kernel parameters, masked paths.

use std::collections::BTreeMap;

use corten_runtime::plan::IdRange;
use corten_spec::runtime::{IdMapping, Namespace, NamespaceKind};

use crate::containers::spec::{ContainerSpec, NetworkMode, Share};

/// The namespaces to make; one that is shared is not among them.
pub(crate) fn namespaces(spec: &ContainerSpec, user: bool) -> Vec<Namespace> {
    let wanted = [
        (NamespaceKind::User, user && !spec.joins_another()),
        (NamespaceKind::Mount, true),
        (NamespaceKind::Pid, spec.namespaces.pid == Share::Private),
        (NamespaceKind::Ipc, spec.namespaces.ipc == Share::Private),
        (NamespaceKind::Uts, !spec.namespaces.uts_host),
        (NamespaceKind::Network, spec.network != NetworkMode::Host),
        (NamespaceKind::Cgroup, !spec.namespaces.cgroup_host),
    ];
    let namespace = |kind| Namespace { kind, path: String::new() };
    wanted.into_iter().filter(|(_, wanted)| *wanted).map(|(kind, _)| namespace(kind)).collect()
}

pub(super) fn mappings(ids: Option<IdRange>) -> Vec<IdMapping> {
    ids.map(|ids| IdMapping { container_id: 0, host_id: ids.base, size: ids.size }).into_iter().collect()
}

/// docker's defaults for a network namespace of one's own, then the user's.
pub(super) fn sysctls(spec: &ContainerSpec, ids: Option<IdRange>) -> BTreeMap<String, String> {
    let mut sysctls = BTreeMap::new();
    if spec.network != NetworkMode::Host {
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        // Only mapped groups can be named.
        let highest = ids.map_or(i32::MAX.cast_unsigned(), |ids| ids.size - 1);
        sysctls.insert("net.ipv4.ping_group_range".to_owned(), format!("0 {highest}"));
    }
    sysctls.extend(spec.sysctls.clone());
    sysctls
}

/// Paths that show or change the host: docker's list.
///
/// What else podman masks is readable by the host's root only, which a container's root is not.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Masked as well where the container's root is the host's.
const MASKED_FROM_HOST_ROOT: [&str; 9] = [
    "/proc/iomem",
    "/proc/ioports",
    "/proc/kallsyms",
    "/proc/kmsg",
    "/proc/kpagecount",
    "/proc/slabinfo",
    "/proc/vmallocinfo",
    "/sys/kernel/debug",
    "/sys/kernel/security",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(crate) fn masked_paths(spec: &ContainerSpec) -> Vec<String> {
    let mut paths = listed(spec, &MASKED);
    if spec.host_ids().is_some() {
        paths.extend(listed(spec, &MASKED_FROM_HOST_ROOT));
    }
    paths
}

pub(crate) fn readonly_paths(spec: &ContainerSpec) -> Vec<String> {
    listed(spec, &READ_ONLY)
}

fn listed(spec: &ContainerSpec, paths: &[&str]) -> Vec<String> {
    let open = spec.privileged || spec.security.unmasked;
    if open { Vec::new() } else { paths.iter().map(|&path| path.to_owned()).collect() }
}
