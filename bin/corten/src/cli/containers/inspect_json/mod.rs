//! A container as docker's `inspect` shows it.

mod config;
pub(super) mod host_config;

use corten_engine::containers::inspect::{self, InspectedContainer, UserIds};
use corten_engine::containers::record::MountRecord;
use corten_engine::containers::spec::{MountKind, NetworkMode};
use corten_engine::containers::{self, Status, list};
use corten_engine::{Engine, ErrorKind};
use corten_monitor::health::{Health, ProbeResult};
use corten_monitor::log_file::timestamp;
use serde_json::{Map, Value, json};

use crate::cli::CliError;

/// docker's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Why the exit code is 255 where it is not.
const UNKNOWN: &str = "the exit code is not known: the container ended while it had no keeper";

/// The container of that name, id or start of an id; `None` where there is none.
pub(crate) fn container_json(engine: &Engine, name: &str, size: bool) -> Result<Option<Value>, CliError> {
    let record = match containers::find(engine, name) {
        Ok(record) => record,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some(render(&inspect::inspect(engine, record, size)?)))
}

fn render(container: &InspectedContainer) -> Value {
    let InspectedContainer { record, state, files, .. } = container;
    let args = record.process.args();
    let path = |path: &Option<std::path::PathBuf>| {
        path.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let restarts = state
        .run
        .as_ref()
        .map(|run| run.restarts)
        .or(state.exit.map(|exit| exit.restarts))
        .unwrap_or_default();
    let mut value = json!({
        "Id": record.id,
        "Created": time(record.created),
        "Path": args.first(),
        "Args": args.get(1..).unwrap_or_default(),
        "State": state_json(container),
        "Image": record.image.to_string(),
        "ResolvConfPath": path(&files.resolv_conf),
        "HostnamePath": path(&files.hostname),
        "HostsPath": path(&files.hosts),
        "LogPath": path(&container.log),
        "Name": format!("/{}", record.name),
        "RestartCount": restarts,
        "Driver": "overlay2",
        "Platform": container.image.as_ref().map_or("linux", |image| &image.config.os),
        "MountLabel": record.mount_label,
        "ProcessLabel": record.process_label,
        "AppArmorProfile": record.spec.security.apparmor.clone().unwrap_or_default(),
        "ExecIDs": null,
        "HostConfig": host_config::render(container),
        "GraphDriver": graph_driver(container),
        "Mounts": record.mounts.iter().filter_map(mount).collect::<Vec<_>>(),
        "Config": config::render(container),
        "NetworkSettings": network_settings(container),
        "Corten": corten(container),
    });
    if let Some(size) = container.size {
        value["SizeRw"] = size.own.into();
        value["SizeRootFs"] = size.virtual_.into();
    }
    value
}

/// RFC 3339 without trailing zeros, as Go's RFC3339Nano.
fn time(nanos: i64) -> String {
    let text = timestamp(nanos);
    let short = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{short}Z")
}

fn state_json(container: &InspectedContainer) -> Value {
    let state = &container.state;
    let restarting = state.status == Status::Restarting;
    let started = state.run.as_ref().map(|run| run.started).or(state.exit.map(|exit| exit.started));
    let code = state.exit.map_or(0, |exit| exit.code.unwrap_or(255));
    let pid = state.run.as_ref().filter(|_| state.is_running()).map_or(0, |run| run.init.pid);
    let is_unknown = state.status == Status::Exited && state.exit.is_some_and(|exit| exit.code.is_none());
    let mut value = json!({
        "Status": state.status.name(),
        // docker: what waits for its restart counts as running.
        "Running": state.is_running() || restarting,
        "Paused": state.status == Status::Paused,
        "Restarting": restarting,
        "OOMKilled": !state.is_running() && state.exit.is_some_and(|exit| exit.oom_killed),
        "Dead": false,
        "Pid": pid,
        "ExitCode": if state.is_running() { 0 } else { code },
        "Error": if is_unknown { UNKNOWN } else { "" },
        "StartedAt": started.map_or_else(|| NEVER.to_owned(), time),
        "FinishedAt": state.exit.map_or_else(|| NEVER.to_owned(), |exit| time(exit.finished)),
    });
    if let Some(health) = &container.health {
        value["Health"] = health_json(health);
    }
    value
}

fn health_json(health: &Health) -> Value {
    let probe = |probe: &ProbeResult| {
        json!({
            "Start": time(probe.start),
            "End": time(probe.end),
            "ExitCode": probe.code,
            "Output": String::from_utf8_lossy(&probe.output),
        })
    };
    json!({
        "Status": health.status.name(),
        "FailingStreak": health.failing_streak,
        "Log": health.log.iter().map(probe).collect::<Vec<_>>(),
    })
}

fn graph_driver(container: &InspectedContainer) -> Value {
    let layers = &container.layers;
    let lower: Vec<_> = layers.lower.iter().map(|path| path.to_string_lossy()).collect();
    json!({
        "Name": "overlay2",
        "Data": {
            "ID": container.record.id,
            "LowerDir": lower.join(":"),
            "UpperDir": layers.upper.to_string_lossy(),
            "WorkDir": layers.work.to_string_lossy(),
            "MergedDir": layers.merged.as_ref().map(|path| path.to_string_lossy()).unwrap_or_default(),
        },
    })
}

/// What is mounted from outside. A tmpfs is told in HostConfig.
fn mount(mount: &MountRecord) -> Option<Value> {
    let mut value = json!({
        "Source": mount.path.to_string_lossy(),
        "Destination": mount.target,
        "Mode": "",
        "RW": !mount.read_only,
        "Propagation": "",
    });
    match &mount.source {
        MountKind::Tmpfs { .. } => return None,
        MountKind::Bind { propagation, .. } => {
            value["Type"] = "bind".into();
            value["Mode"] = mode(mount, "").into();
            value["Propagation"] = propagation.as_deref().unwrap_or("rprivate").into();
        }
        MountKind::Volume { name, .. } => {
            value["Type"] = "volume".into();
            // docker's own word for a volume that any container may use.
            value["Mode"] = mode(mount, "z").into();
            value["Name"] = name.as_deref().into();
            value["Driver"] = "local".into();
        }
        MountKind::Image { reference, .. } => {
            value["Type"] = "image".into();
            value["Name"] = reference.as_str().into();
        }
    }
    Some(value)
}

/// The options of `-v`; `plain` where there is none.
fn mode(mount: &MountRecord, plain: &str) -> String {
    let relabel = mount.relabel.map(|relabel| relabel.letter().to_string());
    let options: Vec<String> = mount.read_only.then(|| "ro".to_owned()).into_iter().chain(relabel).collect();
    if options.is_empty() { plain.to_owned() } else { options.join(",") }
}

fn network_settings(container: &InspectedContainer) -> Value {
    let pid = container.state.run.as_ref().filter(|_| container.state.is_running()).map(|run| run.init.pid);
    let own = pid.filter(|_| container.record.spec.network != NetworkMode::Host);
    let mut networks = Map::new();
    let mut endpoint = addresses();
    for (name, value) in [
        ("IPAMConfig", Value::Null),
        ("Links", Value::Null),
        ("Aliases", Value::Null),
        ("DriverOpts", Value::Null),
        ("GwPriority", 0.into()),
        ("NetworkID", "".into()),
        ("DNSNames", Value::Null),
    ] {
        endpoint[name] = value;
    }
    networks.insert(list::network_name(&container.record).to_owned(), endpoint);
    let mut settings = addresses();
    for (name, value) in [
        ("Bridge", "".into()),
        ("SandboxID", "".into()),
        ("SandboxKey", own.map(|pid| format!("/proc/{pid}/ns/net")).unwrap_or_default().into()),
        ("Ports", json!({})),
        ("HairpinMode", false.into()),
        ("LinkLocalIPv6Address", "".into()),
        ("LinkLocalIPv6PrefixLen", 0.into()),
        ("SecondaryIPAddresses", Value::Null),
        ("SecondaryIPv6Addresses", Value::Null),
        ("Networks", Value::Object(networks)),
    ] {
        settings[name] = value;
    }
    settings
}

/// What both the container and each of its networks have; neither `none` nor `host` fills any of it in.
fn addresses() -> Value {
    json!({
        "EndpointID": "",
        "Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "MacAddress": "",
    })
}

/// What docker has no word for: whose ids the container's are.
fn corten(container: &InspectedContainer) -> Value {
    let (namespace, range) = match &container.ids {
        UserIds::Own(range) => ("own".to_owned(), range),
        UserIds::Joined { container, range } => (format!("container:{container}"), range),
        UserIds::Host(flag) => (format!("host ({flag})"), &None),
    };
    json!({
        "UserNamespace": namespace,
        "HealthOnFailure": container.record.spec.health_on_failure.name(),
        // Leased while the container runs.
        "IdRange": range.map(|(first, count)| json!({"First": first, "Count": count})),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_gos() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(1_500_000_000), "1970-01-01T00:00:01.5Z");
        assert_eq!(time(10_000_000_001), "1970-01-01T00:00:10.000000001Z");
        assert_eq!(time(20_000_000_000), "1970-01-01T00:00:20Z");
    }
}
