//! `Config`: what runs in the container, image and flags taken together.

use std::collections::BTreeMap;

use corten_engine::containers::inspect::InspectedContainer;
use corten_engine::containers::spec::MountKind;
use serde_json::{Map, Value, json};

pub(super) fn render(container: &InspectedContainer) -> Value {
    let record = &container.record;
    let spec = &record.spec;
    let image = container.image.as_ref().map(|image| &image.config.config);
    let or_null = |words: &[String]| if words.is_empty() { Value::Null } else { json!(words) };
    let image_workdir = image.map(|image| image.working_dir.as_str()).unwrap_or_default();
    let workdir_was_asked = spec.workdir.is_some() || !image_workdir.is_empty();
    let mut config = json!({
        "Hostname": record.hostname,
        "Domainname": spec.domainname.clone().unwrap_or_default(),
        "User": record.process.user,
        "AttachStdin": spec.stdin_once,
        "AttachStdout": false,
        "AttachStderr": false,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "StdinOnce": spec.stdin_once,
        "Env": environment(container),
        "Cmd": or_null(&record.process.command),
        "Image": spec.image,
        "Volumes": volumes(container),
        "WorkingDir": if workdir_was_asked { record.process.workdir.as_str() } else { "" },
        "Entrypoint": or_null(&record.process.entrypoint),
        "OnBuild": image.filter(|image| !image.on_build.is_empty()).map(|image| &image.on_build),
        "Labels": record.labels,
    });
    // docker leaves these out where nobody has set them.
    let stop_signal = spec.stop_signal.clone().or_else(|| image.map(|image| image.stop_signal.clone()));
    if let Some(signal) = stop_signal.filter(|signal| !signal.is_empty()) {
        config["StopSignal"] = signal.into();
    }
    if let Some(timeout) = spec.stop_timeout.or_else(|| image.and_then(|image| image.stop_timeout)) {
        config["StopTimeout"] = timeout.into();
    }
    if let Some(check) = &record.healthcheck {
        config["Healthcheck"] = json!(check);
    }
    if !record.exposed_ports.is_empty() {
        config["ExposedPorts"] = empty_objects(record.exposed_ports.iter());
    }
    if let Some(shell) = image.and_then(|image| image.shell.as_ref()) {
        config["Shell"] = json!(shell);
    }
    config
}

/// Go's `map[string]struct{}`.
fn empty_objects<'a>(names: impl Iterator<Item = &'a String>) -> Value {
    Value::Object(names.map(|name| (name.clone(), json!({}))).collect::<Map<_, _>>())
}

/// Without what every container is given (HOSTNAME, TERM, PATH), unless image or user have set it.
fn environment(container: &InspectedContainer) -> Vec<&String> {
    fn name(entry: &str) -> &str {
        entry.split_once('=').map_or(entry, |(name, _)| name)
    }
    let record = &container.record;
    let image = container.image.iter().flat_map(|image| &image.config.config.env);
    let asked: BTreeMap<&str, ()> = image.chain(&record.spec.env).map(|entry| (name(entry), ())).collect();
    record.process.env.iter().filter(|entry| asked.contains_key(name(entry))).collect()
}

/// The volumes without a name: the image's, and `-v /path`.
fn volumes(container: &InspectedContainer) -> Value {
    let anonymous = container
        .record
        .mounts
        .iter()
        .filter(|mount| mount.anonymous && matches!(mount.source, MountKind::Volume { .. }));
    let targets: Vec<&String> = anonymous.map(|mount| &mount.target).collect();
    if targets.is_empty() { Value::Null } else { empty_objects(targets.into_iter()) }
}
