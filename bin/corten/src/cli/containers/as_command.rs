//! `corten inspect --as run`: the command that makes such a container again.

use corten_engine::containers::ContainerRecord;
use corten_engine::containers::spec::{
    ContainerSpec, HealthAction, LogDriver, LogSpec, MountKind, MountSpec, NetworkMode, Restart, Seccomp,
    Share,
};
use corten_runtime::cgroups::resources::DeviceValue;
use corten_spec::image_config::Healthcheck;

use super::inspect_json::host_config;

/// A command in one line, and what it cannot say.
pub(crate) struct CommandLine {
    pub(crate) text: String,
    pub(crate) lacking: Vec<String>,
}

/// The command line of `run`, for a shell.
pub(crate) fn command_line(record: &ContainerRecord) -> CommandLine {
    let spec = &record.spec;
    let mut words = Words::default();
    let mut lacking = Vec::new();
    words.switch("detach", !spec.stdin && !spec.tty);
    // A name that was made up is not asked for again.
    words.optional("name", spec.name.as_ref().map(|_| record.name.clone()));
    process(&mut words, spec);
    mounts(&mut words, spec);
    limits(&mut words, spec);
    if security(&mut words, spec) {
        let text = "the file of the seccomp profile is not known: save it from HostConfig.SecurityOpt as profile.json";
        lacking.push(text.to_owned());
    }
    logging_and_health(&mut words, spec);
    let mut line = words.0;
    line.push(spec.image.clone());
    line.extend(entrypoint_rest(spec));
    line.extend(spec.command.iter().cloned());
    let text = ["corten".to_owned(), "run".to_owned()]
        .iter()
        .chain(&line)
        .map(|word| quote(word))
        .collect::<Vec<_>>();
    CommandLine { text: text.join(" "), lacking }
}

/// Flags in the order in which they are added.
#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn switch(&mut self, name: &str, on: bool) {
        if on {
            self.0.push(format!("--{name}"));
        }
    }

    fn value(&mut self, name: &str, value: impl ToString) {
        self.0.push(format!("--{name}={}", value.to_string()));
    }

    fn optional(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    fn list(&mut self, name: &str, values: impl IntoIterator<Item = impl ToString>) {
        for value in values {
            self.value(name, value);
        }
    }
}

fn process(words: &mut Words, spec: &ContainerSpec) {
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    words.switch("interactive", spec.stdin);
    words.switch("tty", spec.tty);
    words.switch("rm", spec.auto_remove);
    words.optional(
        "entrypoint",
        spec.entrypoint.as_ref().map(|list| list.first().cloned().unwrap_or_default()),
    );
    words.list("env", &spec.env);
    words.optional("user", spec.user.as_ref());
    words.list("group-add", &spec.groups);
    words.optional("workdir", spec.workdir.as_ref());
    words.optional("hostname", spec.hostname.as_ref());
    words.optional("domainname", spec.domainname.as_ref());
    words.list("add-host", &spec.extra_hosts);
    words.list("label", pairs(&spec.labels));
    words.list("annotation", pairs(&spec.annotations));
    words.list("expose", &spec.exposed_ports);
    words.optional("restart", restart(spec.restart));
    words.optional("stop-signal", spec.stop_signal.as_ref());
    words.optional("stop-timeout", spec.stop_timeout);
    words.switch("read-only", spec.read_only);
    words.switch("init", spec.init);
    words.list("sysctl", pairs(&spec.sysctls));
}

/// `--entrypoint` takes one word; what an image or a front has put behind it becomes the beginning of the command.
fn entrypoint_rest(spec: &ContainerSpec) -> Vec<String> {
    spec.entrypoint.iter().flat_map(|list| list.iter().skip(1)).cloned().collect()
}

fn restart(policy: Restart) -> Option<String> {
    match policy {
        Restart::No => None,
        Restart::OnFailure(0) => Some("on-failure".to_owned()),
        Restart::OnFailure(count) => Some(format!("on-failure:{count}")),
        Restart::Always => Some("always".to_owned()),
        Restart::UnlessStopped => Some("unless-stopped".to_owned()),
    }
}

fn mounts(words: &mut Words, spec: &ContainerSpec) {
    for mount in &spec.mounts {
        match &mount.source {
            MountKind::Tmpfs { options } if options.is_empty() => words.value("tmpfs", &mount.target),
            MountKind::Tmpfs { options } => {
                words.value("tmpfs", format!("{}:{}", mount.target, options.join(",")));
            }
            _ => match host_config::bind(mount) {
                Some(text) => words.value("volume", text),
                None => words.value("mount", long(mount)),
            },
        }
    }
    words.list("volumes-from", &spec.volumes_from);
}

/// A mount in the long form, for what `-v` cannot say. Fields with a comma are quoted, as in CSV.
fn long(mount: &MountSpec) -> String {
    let mut fields = Vec::new();
    let mut add = |key: &str, value: &str| fields.push(format!("{key}={value}"));
    match &mount.source {
        MountKind::Bind { path, create, recursive, propagation } => {
            add("type", "bind");
            add("source", path);
            if *create {
                add("bind-create-src", "true");
            }
            if !recursive {
                add("bind-recursive", "disabled");
            }
            propagation.iter().for_each(|mode| add("bind-propagation", mode));
        }
        MountKind::Volume { name, no_copy, subpath, labels, options } => {
            add("type", "volume");
            name.iter().for_each(|name| add("source", name));
            if *no_copy {
                add("volume-nocopy", "true");
            }
            subpath.iter().for_each(|path| add("volume-subpath", path));
            labels.iter().for_each(|(name, value)| add("volume-label", &format!("{name}={value}")));
            options.iter().for_each(|(name, value)| add("volume-opt", &format!("{name}={value}")));
        }
        MountKind::Image { reference, subpath } => {
            add("type", "image");
            add("source", reference);
            subpath.iter().for_each(|path| add("image-subpath", path));
        }
        MountKind::Tmpfs { .. } => add("type", "tmpfs"),
    }
    add("target", &mount.target);
    if mount.read_only {
        add("readonly", "true");
    }
    let csv = |field: &String| {
        if field.contains([',', '"']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.clone() }
    };
    fields.iter().map(csv).collect::<Vec<_>>().join(",")
}

fn limits(words: &mut Words, spec: &ContainerSpec) {
    let resources = &spec.resources;
    let (memory, cpu, blkio) = (&resources.memory, &resources.cpu, &resources.blkio);
    words.optional("memory", memory.limit);
    words.optional("memory-reservation", memory.reservation);
    // Twice the memory is what there is without the flag.
    let swap = memory.swap.filter(|&swap| memory.limit.and_then(|limit| limit.checked_mul(2)) != Some(swap));
    words.optional("memory-swap", swap);
    words.optional("memory-swappiness", memory.swappiness);
    words.switch("oom-kill-disable", memory.oom_kill_disable == Some(true));
    words.optional("oom-score-adj", spec.oom_score_adj);
    words.optional(
        "cpus",
        cpu.nano_cpus.map(|nanos| format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)),
    );
    words.optional("cpu-shares", cpu.shares);
    words.optional("cpu-quota", cpu.quota);
    words.optional("cpu-period", cpu.period);
    words.optional("cpu-rt-period", cpu.realtime_period);
    words.optional("cpu-rt-runtime", cpu.realtime_runtime);
    words.optional("cpuset-cpus", cpu.cpus.as_ref());
    words.optional("cpuset-mems", cpu.mems.as_ref());
    words.optional("pids-limit", resources.pids);
    words.optional("blkio-weight", blkio.weight);
    let lists: [(&str, &[DeviceValue]); 5] = [
        ("blkio-weight-device", &blkio.weight_device),
        ("device-read-bps", &blkio.read_bps),
        ("device-write-bps", &blkio.write_bps),
        ("device-read-iops", &blkio.read_iops),
        ("device-write-iops", &blkio.write_iops),
    ];
    for (name, values) in lists {
        let one = |value: &DeviceValue| format!("/dev/block/{}:{}:{}", value.major, value.minor, value.value);
        words.list(name, values.iter().map(one));
    }
    let devices = spec.devices.iter();
    words.list(
        "device",
        devices.map(|device| format!("{}:{}:{}", device.host, device.container, device.access)),
    );
    words.list("device-cgroup-rule", resources.devices.iter().flatten().map(host_config::rule));
    let ulimit = |value: u64| if value == u64::MAX { "-1".to_owned() } else { value.to_string() };
    words.list(
        "ulimit",
        spec.ulimits
            .iter()
            .map(|limit| format!("{}={}:{}", limit.name, ulimit(limit.soft), ulimit(limit.hard))),
    );
    words.optional("shm-size", spec.shm_size);
    words.optional("cgroup-parent", spec.cgroup_parent.as_ref());
}

/// True where a profile came from a file that is not known any more.
fn security(words: &mut Words, spec: &ContainerSpec) -> bool {
    words.list("cap-add", &spec.cap_add);
    words.list("cap-drop", &spec.cap_drop);
    words.switch("privileged", spec.privileged);
    let options = &spec.security;
    let mut add = |text: String| words.value("security-opt", text);
    if options.no_new_privileges {
        add("no-new-privileges".to_owned());
    }
    match &options.seccomp {
        Seccomp::Builtin => {}
        Seccomp::Unconfined => add("seccomp=unconfined".to_owned()),
        Seccomp::Custom(_) => add("seccomp=profile.json".to_owned()),
    }
    if options.unmasked {
        add("systempaths=unconfined".to_owned());
    }
    options.apparmor.iter().for_each(|profile| add(format!("apparmor={profile}")));
    options.labels.iter().for_each(|label| add(format!("label={label}")));
    let modes = &spec.namespaces;
    let share = |share: &Share| match share {
        Share::Private => None,
        Share::Host => Some("host".to_owned()),
        Share::Container(id) => Some(format!("container:{id}")),
    };
    words.optional("network", (spec.network == NetworkMode::Host).then_some("host"));
    words.optional("userns", modes.user_host.then_some("host"));
    words.optional("uts", modes.uts_host.then_some("host"));
    words.optional("cgroupns", modes.cgroup_host.then_some("host"));
    words.optional("pid", share(&modes.pid));
    words.optional("ipc", share(&modes.ipc));
    matches!(options.seccomp, Seccomp::Custom(_))
}

fn logging_and_health(words: &mut Words, spec: &ContainerSpec) {
    let LogSpec { driver, options, .. } = &spec.log;
    if *driver != LogDriver::JsonFile {
        words.value("log-driver", driver.name());
    }
    words.list("log-opt", options.iter().map(|(name, value)| format!("{name}={value}")));
    if let Some(Healthcheck { test, interval, timeout, start_period, start_interval, retries }) =
        &spec.healthcheck
    {
        match test.split_first() {
            Some((kind, _)) if kind == "NONE" => words.switch("no-healthcheck", true),
            Some((_, command)) => words.value("health-cmd", command.join(" ")),
            None => {}
        }
        let set = |nanos: &i64| (*nanos > 0).then(|| format!("{nanos}ns"));
        words.optional("health-interval", set(interval));
        words.optional("health-timeout", set(timeout));
        words.optional("health-start-period", set(start_period));
        words.optional("health-start-interval", set(start_interval));
        words.optional("health-retries", (*retries > 0).then_some(retries));
    }
    if spec.health_on_failure != HealthAction::None {
        words.value("health-on-failure", spec.health_on_failure.name());
    }
}

/// A word as a shell reads it back.
fn quote(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=./:,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_a_shell() {
        for (word, expected) in
            [("a-b=/c:d", "a-b=/c:d"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("$x", "'$x'")]
        {
            assert_eq!(quote(word), expected);
        }
    }

    #[test]
    fn mounts_in_the_long_form() {
        let source =
            MountKind::Bind { path: "/a,b".to_owned(), create: false, recursive: false, propagation: None };
        let mount = MountSpec { target: "/t".to_owned(), read_only: true, relabel: None, source };
        assert_eq!(long(&mount), "type=bind,\"source=/a,b\",bind-recursive=disabled,target=/t,readonly=true");
    }
}
