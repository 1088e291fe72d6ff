//! `HostConfig`: what the user asked of the host, in docker's words.

use corten_engine::containers::inspect::InspectedContainer;
use corten_engine::containers::list;
use corten_engine::containers::spec::{
    ContainerSpec, DeviceSpec, MountKind, MountSpec, Restart, Seccomp, Share, Ulimit,
};
use corten_runtime::cgroups::resources::{DeviceRule, DeviceValue};
use serde_json::{Map, Value, json};

/// docker's default of `--shm-size`.
const SHM: u64 = 64 << 20;

pub(super) fn render(container: &InspectedContainer) -> Value {
    let spec = &container.record.spec;
    let mut value = json!({
        "ContainerIDFile": "",
        "LogConfig": {"Type": spec.log.driver.name(), "Config": spec.log.options},
        "NetworkMode": list::network_name(&container.record),
        "PortBindings": {},
        "PublishAllPorts": false,
        "RestartPolicy": restart(spec.restart),
        "AutoRemove": spec.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": or_null(&spec.volumes_from),
        "ConsoleSize": [0, 0],
        "CapAdd": or_null(&spec.cap_add),
        "CapDrop": or_null(&spec.cap_drop),
        "Dns": [],
        "DnsOptions": [],
        "DnsSearch": [],
        "ExtraHosts": or_null(&spec.extra_hosts),
        "GroupAdd": or_null(&spec.groups),
        "Cgroup": "",
        "Links": null,
        "OomScoreAdj": spec.oom_score_adj.unwrap_or(0),
        "Privileged": spec.privileged,
        "ReadonlyRootfs": spec.read_only,
        "SecurityOpt": or_null(&security_options(spec)),
        "ShmSize": spec.shm_size.unwrap_or(SHM),
        "Runtime": "corten",
        "Isolation": "",
        "CgroupParent": spec.cgroup_parent.clone().unwrap_or_default(),
        "MaskedPaths": container.masked_paths,
        "ReadonlyPaths": container.readonly_paths,
    });
    let parts = [namespaces(spec), mounts(spec), limits(spec), devices(spec)];
    for (name, part) in parts.into_iter().flatten() {
        value[name] = part;
    }
    // docker leaves these out where nobody has set them.
    if !spec.sysctls.is_empty() {
        value["Sysctls"] = json!(spec.sysctls);
    }
    if !spec.annotations.is_empty() {
        value["Annotations"] = json!(spec.annotations);
    }
    if spec.init {
        value["Init"] = true.into();
    }
    value
}

fn or_null(words: &[String]) -> Value {
    if words.is_empty() { Value::Null } else { json!(words) }
}

fn restart(policy: Restart) -> Value {
    let (name, count) = match policy {
        Restart::No => ("no", 0),
        Restart::OnFailure(count) => ("on-failure", count),
        Restart::Always => ("always", 0),
        Restart::UnlessStopped => ("unless-stopped", 0),
    };
    json!({"Name": name, "MaximumRetryCount": count})
}

fn security_options(spec: &ContainerSpec) -> Vec<String> {
    let security = &spec.security;
    let seccomp = match &security.seccomp {
        Seccomp::Builtin => None,
        Seccomp::Unconfined => Some("seccomp=unconfined".to_owned()),
        Seccomp::Custom(profile) => Some(format!("seccomp={profile}")),
    };
    let apparmor = security.apparmor.as_ref().map(|profile| format!("apparmor={profile}"));
    let no_new = security.no_new_privileges.then(|| "no-new-privileges".to_owned());
    let labels = security.labels.iter().map(|option| format!("label={option}"));
    [no_new, seccomp, apparmor].into_iter().flatten().chain(labels).collect()
}

fn namespaces(spec: &ContainerSpec) -> Map<String, Value> {
    let modes = &spec.namespaces;
    let share = |share: &Share, private: &str| match share {
        Share::Private => private.to_owned(),
        Share::Host => "host".to_owned(),
        Share::Container(id) => format!("container:{id}"),
    };
    let host = |host: bool, private: &str| if host { "host" } else { private }.to_owned();
    object([
        ("PidMode", share(&modes.pid, "").into()),
        ("IpcMode", share(&modes.ipc, "private").into()),
        ("UTSMode", host(modes.uts_host, "").into()),
        ("UsernsMode", host(modes.user_host, "").into()),
        ("CgroupnsMode", host(modes.cgroup_host, "private").into()),
    ])
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Binds for what `-v` can say, Tmpfs for every tmpfs, Mounts for the rest.
fn mounts(spec: &ContainerSpec) -> Map<String, Value> {
    let binds: Vec<String> = spec.mounts.iter().filter_map(bind).collect();
    let mut fields = object([("Binds", or_null(&binds))]);
    let mut tmpfs = Map::new();
    let mut others = Vec::new();
    for mount in &spec.mounts {
        match &mount.source {
            MountKind::Tmpfs { options } => {
                tmpfs.insert(mount.target.clone(), options.join(",").into());
            }
            _ if bind(mount).is_some() => {}
            source => others.extend(long_mount(mount, source)),
        }
    }
    if !tmpfs.is_empty() {
        fields.insert("Tmpfs".to_owned(), Value::Object(tmpfs));
    }
    if !others.is_empty() {
        fields.insert("Mounts".to_owned(), Value::Array(others));
    }
    fields
}

/// `SOURCE:TARGET[:OPTIONS]`.
pub(in crate::cli::containers) fn bind(mount: &MountSpec) -> Option<String> {
    let (source, no_copy, propagation) = match &mount.source {
        MountKind::Bind { path, create: true, recursive: true, propagation } => {
            (path, false, propagation.as_ref())
        }
        MountKind::Volume { name: Some(name), no_copy, subpath: None, labels, options }
            if labels.is_empty() && options.is_empty() =>
        {
            (name, *no_copy, None)
        }
        _ => return None,
    };
    let relabel = mount.relabel.map(|relabel| relabel.letter().to_string());
    let options = [
        mount.read_only.then_some("ro"),
        no_copy.then_some("nocopy"),
        relabel.as_deref(),
        propagation.map(String::as_str),
    ];
    let options: Vec<&str> = options.into_iter().flatten().collect();
    let mut text = format!("{source}:{}", mount.target);
    if !options.is_empty() {
        text.push(':');
        text.push_str(&options.join(","));
    }
    Some(text)
}

/// As the API has it. An anonymous volume is told in Config.Volumes.
fn long_mount(mount: &MountSpec, source: &MountKind) -> Option<Value> {
    let mut value = json!({"Target": mount.target});
    if mount.read_only {
        value["ReadOnly"] = true.into();
    }
    match source {
        MountKind::Bind { path, create, recursive, propagation } => {
            value["Type"] = "bind".into();
            value["Source"] = path.as_str().into();
            let mut options = Map::new();
            if let Some(propagation) = propagation {
                options.insert("Propagation".to_owned(), propagation.as_str().into());
            }
            if !recursive {
                options.insert("NonRecursive".to_owned(), true.into());
            }
            if *create {
                options.insert("CreateMountpoint".to_owned(), true.into());
            }
            if !options.is_empty() {
                value["BindOptions"] = Value::Object(options);
            }
        }
        MountKind::Volume { name, no_copy, subpath, labels, options } => {
            name.as_ref()?;
            value["Type"] = "volume".into();
            value["Source"] = name.as_deref().into();
            value["VolumeOptions"] = json!({
                "NoCopy": no_copy,
                "Labels": labels,
                "Subpath": subpath.as_deref().unwrap_or_default(),
                "DriverConfig": {"Name": "local", "Options": options},
            });
        }
        MountKind::Image { reference, subpath } => {
            value["Type"] = "image".into();
            value["Source"] = reference.as_str().into();
            value["ImageOptions"] = json!({"Subpath": subpath.as_deref().unwrap_or_default()});
        }
        MountKind::Tmpfs { .. } => return None,
    }
    Some(value)
}

fn limits(spec: &ContainerSpec) -> Map<String, Value> {
    let (memory, cpu) = (&spec.resources.memory, &spec.resources.cpu);
    // docker's -1 for no limit is the largest number of the kernel's.
    let limit = |value: u64| i64::try_from(value).unwrap_or(-1);
    let ulimit = |ulimit: &Ulimit| json!({"Name": ulimit.name, "Hard": limit(ulimit.hard), "Soft": limit(ulimit.soft)});
    object([
        ("Memory", memory.limit.unwrap_or(0).into()),
        ("MemoryReservation", memory.reservation.unwrap_or(0).into()),
        ("MemorySwap", memory.swap.unwrap_or(0).into()),
        ("MemorySwappiness", json!(memory.swappiness)),
        ("OomKillDisable", json!(memory.oom_kill_disable)),
        ("CpuShares", cpu.shares.unwrap_or(0).into()),
        ("NanoCpus", cpu.nano_cpus.unwrap_or(0).into()),
        ("CpuPeriod", cpu.period.unwrap_or(0).into()),
        ("CpuQuota", cpu.quota.unwrap_or(0).into()),
        ("CpuRealtimePeriod", cpu.realtime_period.unwrap_or(0).into()),
        ("CpuRealtimeRuntime", cpu.realtime_runtime.unwrap_or(0).into()),
        ("CpusetCpus", cpu.cpus.clone().unwrap_or_default().into()),
        ("CpusetMems", cpu.mems.clone().unwrap_or_default().into()),
        ("CpuCount", 0.into()),
        ("CpuPercent", 0.into()),
        ("IOMaximumIOps", 0.into()),
        ("IOMaximumBandwidth", 0.into()),
        ("PidsLimit", json!(spec.resources.pids)),
        ("Ulimits", spec.ulimits.iter().map(ulimit).collect()),
    ])
}

fn devices(spec: &ContainerSpec) -> Map<String, Value> {
    let blkio = &spec.resources.blkio;
    let device = |device: &DeviceSpec| {
        json!({
            "PathOnHost": device.host,
            "PathInContainer": device.container,
            "CgroupPermissions": device.access,
        })
    };
    let values = |list: &[DeviceValue], name: &str| -> Value {
        let one = |value: &DeviceValue| json!({"Path": format!("/dev/block/{}:{}", value.major, value.minor), name: value.value});
        list.iter().map(one).collect()
    };
    let rules: Vec<String> = spec.resources.devices.iter().flatten().map(rule).collect();
    object([
        ("Devices", spec.devices.iter().map(device).collect()),
        ("DeviceCgroupRules", or_null(&rules)),
        ("DeviceRequests", Value::Null),
        ("BlkioWeight", blkio.weight.unwrap_or(0).into()),
        ("BlkioWeightDevice", values(&blkio.weight_device, "Weight")),
        ("BlkioDeviceReadBps", values(&blkio.read_bps, "Rate")),
        ("BlkioDeviceWriteBps", values(&blkio.write_bps, "Rate")),
        ("BlkioDeviceReadIOps", values(&blkio.read_iops, "Rate")),
        ("BlkioDeviceWriteIOps", values(&blkio.write_iops, "Rate")),
    ])
}

/// `c 10:200 rwm`, as `--device-cgroup-rule` takes it.
pub(in crate::cli::containers) fn rule(rule: &DeviceRule) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    let (major, minor) = (number(rule.major), number(rule.minor));
    format!("{} {major}:{minor} {}", rule.kind.letter(), rule.access.letters())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_as_they_were_asked_for() {
        let mount =
            |source, read_only| MountSpec { target: "/t".to_owned(), read_only, relabel: None, source };
        let volume = |name: Option<&str>, subpath: Option<&str>| MountKind::Volume {
            name: name.map(str::to_owned),
            no_copy: true,
            subpath: subpath.map(str::to_owned),
            labels: Default::default(),
            options: Default::default(),
        };
        let source = |create| MountKind::Bind {
            path: "/s".to_owned(),
            create,
            recursive: true,
            propagation: Some("rslave".to_owned()),
        };
        let cases = [
            (mount(source(true), true), Some("/s:/t:ro,rslave")),
            (mount(source(false), true), None),
            (mount(volume(Some("v"), None), false), Some("v:/t:nocopy")),
            (mount(volume(Some("v"), Some("sub")), false), None),
            (mount(volume(None, None), false), None),
        ];
        for (mount, expected) in cases {
            assert_eq!(bind(&mount).as_deref(), expected, "{mount:?}");
        }
        let spec = ContainerSpec { mounts: vec![mount(source(false), true)], ..ContainerSpec::default() };
        let expected = json!({
            "Binds": null,
            "Mounts": [{
                "Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": true,
                "BindOptions": {"Propagation": "rslave"},
            }],
        });
        assert_eq!(Value::Object(mounts(&spec)), expected);
    }
}
