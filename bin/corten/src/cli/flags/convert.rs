//! From parsed flags to a [`ContainerSpec`].

use std::collections::BTreeMap;
use std::path::Path;

use corten_engine::containers::spec::{DeviceSpec, LogSpec, MountKind, MountSpec, Restart, Share};
use corten_engine::containers::{ContainerSpec, UpdateOptions, log_driver};
use corten_engine::{Engine, containers};
use corten_runtime::cgroups::Resources;
use corten_runtime::cgroups::resources::{Access, Blkio, Cpu, DeviceKind, DeviceRule, DeviceValue, Memory};
use corten_spec::Platform;
use corten_sys::fs;

use super::args::ContainerFlags;
use super::{health, mounts, security, values};
use crate::cli::CliError;
use crate::cli::error::daemon;
use crate::settings::{Settings, variable_or_empty};

/// Reads everything the flags say. Wrong values exit with docker's 125.
pub(crate) fn to_spec(
    engine: &Engine,
    settings: &Settings,
    flags: &ContainerFlags,
) -> Result<ContainerSpec, CliError> {
    let mut spec = read(settings, flags).map_err(|reason| match reason.starts_with(ARGUMENT) {
        true => CliError::bare(reason, 125),
        false => CliError::new(reason, 125),
    })?;
    for share in [&mut spec.namespaces.pid, &mut spec.namespaces.ipc] {
        if let Share::Container(name) = share {
            *name = containers::find(engine, name).map_err(|error| CliError::from(error).code(125))?.id;
        }
    }
    Ok(spec)
}

/// How docker's client begins to complain of a flag's value, without a prefix.
const ARGUMENT: &str = "invalid argument \"";

/// Says whether a complaint is of a flag's value.
pub(super) fn is_argument(reason: &str) -> bool {
    reason.starts_with(ARGUMENT)
}

/// Says which flag's value was wrong.
fn argument<T>(flag: &str, text: &str, read: Result<T, String>) -> Result<T, String> {
    read.map_err(|reason| format!("{ARGUMENT}{text}\" for \"{flag}\" flag: {reason}"))
}

fn read(settings: &Settings, flags: &ContainerFlags) -> Result<ContainerSpec, String> {
    let directory = &settings.directory;
    let Some((image, command)) = flags.words.split_first() else {
        return Err("requires at least 1 argument.\n\nUsage:  corten run [OPTIONS] IMAGE [COMMAND] [ARG...]"
            .to_owned());
    };
    check_platform(flags.platform.as_deref().or(settings.platform.as_deref()))?;
    check_pull(flags.pull.as_deref().unwrap_or("missing"))?;
    let entrypoint = flags.entrypoint.as_ref().map(|text| match text.as_str() {
        "" => Vec::new(),
        program => vec![program.to_owned()],
    });
    Ok(ContainerSpec {
        image: image.clone(),
        name: flags
            .name
            .as_ref()
            .filter(|name| !name.is_empty())
            .map(|name| name.trim_start_matches('/').to_owned()),
        command: command.to_vec(),
        entrypoint,
        env: proxies(settings)
            .into_iter()
            .chain(read_environment(settings, &flags.env_file, &flags.env)?)
            .collect(),
        user: flags.user.clone(),
        groups: flags.group_add.clone(),
        workdir: flags.workdir.clone(),
        hostname: flags.hostname.clone(),
        domainname: flags.domainname.clone(),
        extra_hosts: extra_hosts(&flags.add_host)?,
        labels: labels(directory, flags)?,
        annotations: flags.annotation.iter().map(|text| values::pair(text)).collect(),
        exposed_ports: expose(&flags.expose)?,
        tty: flags.tty,
        stdin: flags.interactive,
        stdin_once: flags.interactive,
        auto_remove: flags.rm,
        restart: restart(flags.restart.as_deref().unwrap_or("no"))?,
        stop_signal: flags.stop_signal.clone(),
        stop_timeout: flags.stop_timeout,
        read_only: flags.read_only,
        init: flags.init,
        mounts: user_mounts(directory, flags)?,
        volumes_from: flags.volumes_from.clone(),
        resources: resources(flags)?,
        cgroup_parent: flags.cgroup_parent.clone(),
        oom_score_adj: flags.oom_score_adj,
        ulimits: flags.ulimit.iter().map(|text| values::parse_ulimit(text)).collect::<Result<_, _>>()?,
        shm_size: shm_size(flags)?,
        sysctls: sysctls(flags)?,
        devices: flags.device.iter().map(|text| device(text)).collect::<Result<_, _>>()?,
        cap_add: flags.cap_add.clone(),
        cap_drop: flags.cap_drop.clone(),
        privileged: flags.privileged,
        security: security::options(&flags.security_opt, directory)?,
        network: security::network(flags.network.as_deref())?,
        namespaces: security::namespaces(flags)?,
        log: log(flags)?,
        healthcheck: health::check(&flags.health)?,
        health_on_failure: health::on_failure(&flags.health)?,
    })
}

/// Zero is the default.
fn shm_size(flags: &ContainerFlags) -> Result<Option<u64>, String> {
    let Some(text) = flags.shm_size.as_deref() else { return Ok(None) };
    Ok(Some(argument("--shm-size", text, values::parse_size(text))?).filter(|&size| size > 0))
}

/// Only images of this machine's platform run here; another one asked for is not silently replaced.
fn check_platform(platform: Option<&str>) -> Result<(), String> {
    let Some(text) = platform.filter(|text| !text.is_empty()) else { return Ok(()) };
    let wanted = Platform::parse(text).map_err(|error| error.to_string())?;
    if Platform::host().runs(&wanted) {
        return Ok(());
    }
    Err(format!(
        "--platform {text}: this host runs {}/{} only",
        Platform::host().os,
        Platform::host().architecture
    ))
}

fn check_pull(policy: &str) -> Result<(), String> {
    match policy {
        "missing" | "never" => Ok(()),
        "always" => Err("--pull=always: pulling is not there yet; load or import the image".to_owned()),
        _ => Err(format!(
            "invalid pull option: '{policy}': must be one of \"always\", \"missing\" or \"never\""
        )),
    }
}

/// Env files, then `-e`; a later entry wins in the engine.
pub(crate) fn read_environment(
    settings: &Settings,
    files: &[String],
    entries: &[String],
) -> Result<Vec<String>, String> {
    let mut env = Vec::new();
    for path in files {
        for line in key_value_file(&settings.directory, path)? {
            env.extend(client_environment(&line));
        }
    }
    for entry in entries {
        if entry.starts_with('=') || entry.is_empty() {
            let reason = format!("invalid environment variable: {entry}");
            return argument("-e, --env", entry, Err(reason));
        }
        env.extend(client_environment(entry));
    }
    Ok(env)
}

/// The lines of a file of `NAME=value`s, but for comments and empty ones.
fn key_value_file(directory: &Path, path: &str) -> Result<Vec<String>, String> {
    let wrong = |reason: String| format!("invalid env file ({path}): {reason}");
    let bytes = fs::read(directory.join(path))
        .map_err(|error| format!("open {path}: {}", corten_sys::error::reason(error.errno())))?;
    let mut lines = Vec::new();
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Ok(line) = std::str::from_utf8(line) else {
            let bytes: Vec<_> = line.iter().map(ToString::to_string).collect();
            return Err(wrong(format!("invalid utf8 bytes at line {}: [{}]", number + 1, bytes.join(" "))));
        };
        let line = line.trim_start_matches('\u{feff}').trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split('=').next().unwrap_or_default();
        if name.contains(char::is_whitespace) {
            return Err(wrong(format!("variable '{name}' contains whitespaces")));
        }
        if name.is_empty() {
            return Err(wrong(format!("no variable name on line '{line}'")));
        }
        lines.push(line.to_owned());
    }
    Ok(lines)
}

/// An entry without a value takes the caller's, or unsets the name where the caller has none.
fn client_environment(entry: &str) -> Option<String> {
    if entry.contains('=') {
        return Some(entry.to_owned());
    }
    match variable_or_empty(entry) {
        Some(value) => Some(format!("{entry}={}", value.to_string_lossy())),
        None => Some(entry.to_owned()),
    }
}

/// `proxies.default` of docker's client configuration, in both spellings.
fn proxies(settings: &Settings) -> Vec<String> {
    let names = [
        ("httpProxy", "HTTP_PROXY"),
        ("httpsProxy", "HTTPS_PROXY"),
        ("ftpProxy", "FTP_PROXY"),
        ("noProxy", "NO_PROXY"),
        ("allProxy", "ALL_PROXY"),
    ];
    let mut env = Vec::new();
    for (key, name) in names {
        if let Some(value) = settings.client().default_proxy(key) {
            env.push(format!("{name}={value}"));
            env.push(format!("{}={value}", name.to_ascii_lowercase()));
        }
    }
    env
}

fn labels(directory: &Path, flags: &ContainerFlags) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for path in &flags.label_file {
        labels.extend(key_value_file(directory, path)?.iter().map(|line| values::pair(line)));
    }
    for text in &flags.label {
        let (name, value) = argument("-l, --label", text, label(text))?;
        labels.insert(name, value);
    }
    Ok(labels)
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = values::pair(text);
    if name.is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    if name.contains(char::is_whitespace) {
        return Err(format!("label '{name}' contains whitespaces"));
    }
    Ok((name, value))
}

fn extra_hosts(entries: &[String]) -> Result<Vec<String>, String> {
    for entry in entries {
        argument("--add-host", entry, extra_host(entry))?;
    }
    Ok(entries.to_vec())
}

fn extra_host(entry: &str) -> Result<(), String> {
    let address =
        entry.split_once(['=', ':']).filter(|(name, _)| !name.is_empty()).map(|(_, address)| address);
    let Some(address) = address else { return Err(format!("bad format for add-host: \"{entry}\"")) };
    let plain = address.trim_start_matches('[').trim_end_matches(']');
    if plain.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: \"{address}\""));
    }
    Ok(())
}

fn expose(entries: &[String]) -> Result<Vec<String>, String> {
    let mut ports = Vec::new();
    for entry in entries {
        let invalid = || format!("invalid range format for --expose: {entry}, error: invalid port");
        let (range, protocol) = entry.split_once('/').unwrap_or((entry, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u16, u16) =
            (first.parse().map_err(|_| invalid())?, last.parse().map_err(|_| invalid())?);
        if first == 0 || first > last || !matches!(protocol, "tcp" | "udp" | "sctp") {
            return Err(invalid());
        }
        ports.extend((first..=last).map(|port| format!("{port}/{protocol}")));
    }
    Ok(ports)
}

fn restart(text: &str) -> Result<Restart, String> {
    let (name, limit) = text.split_once(':').map_or((text, None), |(name, limit)| (name, Some(limit)));
    let format = |reason: &str| Err(format!("invalid restart policy format: {reason}"));
    let limit = match limit {
        Some(_) if name.is_empty() => return format("no policy provided before colon"),
        Some(limit) => match limit.parse::<i64>() {
            Ok(limit) => limit,
            Err(_) => return format("maximum retry count must be an integer"),
        },
        None => 0,
    };
    let policy = match name {
        "no" | "" => Restart::No,
        "always" => Restart::Always,
        "unless-stopped" => Restart::UnlessStopped,
        "on-failure" => match u64::try_from(limit) {
            Ok(limit) => Restart::OnFailure(limit),
            Err(_) => return Err(daemon("maximum retry count cannot be negative")),
        },
        _ => {
            let known = "use one of: no, on-failure, always, unless-stopped";
            return Err(daemon(&format!("invalid restart policy '{name}': {known}")));
        }
    };
    if limit != 0 && !matches!(policy, Restart::OnFailure(_)) {
        return Err(daemon(&format!("maximum retry count cannot be used with restart policy '{name}'")));
    }
    Ok(policy)
}

fn user_mounts(directory: &Path, flags: &ContainerFlags) -> Result<Vec<MountSpec>, String> {
    let volumes = flags.volume.iter().map(|text| mounts::volume(text, directory));
    let long = flags.mount.iter().map(|text| mounts::mount(text, directory));
    let mut mounts = volumes.chain(long).collect::<Result<Vec<_>, _>>()?;
    mounts.extend(flags.tmpfs.iter().map(|text| mounts::tmpfs(text)));
    let bad = mounts
        .iter()
        .find(|mount| matches!(&mount.source, MountKind::Bind { path, .. } if path.contains('\0')));
    if bad.is_some() { Err("a path contains a NUL byte".to_owned()) } else { Ok(mounts) }
}

fn resources(flags: &ContainerFlags) -> Result<Resources, String> {
    let mut resources = limits(flags)?;
    let memory = &mut resources.memory;
    if memory.swap.is_none() {
        // docker's default: as much swap again as memory.
        memory.swap = memory.limit.filter(|&bytes| bytes > 0).and_then(|bytes| bytes.checked_mul(2));
    }
    Ok(resources)
}

/// What update changes: as docker reads it, zero and nothing change nothing.
pub(super) fn to_changes(flags: &ContainerFlags) -> Result<UpdateOptions, String> {
    let mut resources = limits(flags)?;
    let given = |text: &String| !text.is_empty();
    resources.memory.reservation = resources.memory.reservation.filter(|&bytes| bytes != 0);
    let cpu = &mut resources.cpu;
    cpu.quota = cpu.quota.filter(|&quota| quota != 0);
    cpu.period = cpu.period.filter(|&period| period != 0);
    cpu.realtime_period = cpu.realtime_period.filter(|&period| period != 0);
    cpu.realtime_runtime = cpu.realtime_runtime.filter(|&runtime| runtime != 0);
    cpu.cpus = cpu.cpus.take().filter(given);
    cpu.mems = cpu.mems.take().filter(given);
    let restart = flags.restart.as_deref().filter(|text| !text.is_empty()).map(restart).transpose()?;
    Ok(UpdateOptions { resources, restart })
}

fn limits(flags: &ContainerFlags) -> Result<Resources, String> {
    let limit = |flag: &str, text: &Option<String>| {
        text.as_deref().map(|text| argument(flag, text, values::parse_limit(text))).transpose()
    };
    let memory = limit("-m, --memory", &flags.memory)?.filter(|&bytes| bytes != 0);
    let swap = limit("--memory-swap", &flags.memory_swap)?.filter(|&bytes| bytes != 0);
    let reservation = limit("--memory-reservation", &flags.memory_reservation)?;
    let nano_cpus = flags.cpus.as_deref().map(values::parse_cpus).transpose()?.filter(|&cpus| cpus > 0);
    Ok(Resources {
        memory: Memory {
            limit: memory,
            reservation,
            swap,
            swappiness: swappiness(flags.memory_swappiness)?,
            oom_kill_disable: flags.oom_kill_disable.then_some(true),
        },
        cpu: Cpu {
            shares: flags.cpu_shares.filter(|&shares| shares > 0),
            quota: flags.cpu_quota,
            period: flags.cpu_period,
            nano_cpus,
            realtime_period: flags.cpu_rt_period,
            realtime_runtime: flags.cpu_rt_runtime,
            cpus: flags.cpuset_cpus.clone(),
            mems: flags.cpuset_mems.clone(),
        },
        pids: flags.pids_limit.filter(|&limit| limit != 0),
        blkio: blkio(flags)?,
        devices: device_rules(&flags.device_cgroup_rule)?,
        ..Resources::default()
    })
}

fn swappiness(value: Option<i64>) -> Result<Option<u64>, String> {
    match value {
        None | Some(-1) => Ok(None),
        Some(value @ 0..=100) => Ok(Some(value.cast_unsigned())),
        Some(value) => Err(format!("invalid value: {value}. Valid memory swappiness range is 0-100")),
    }
}

fn blkio(flags: &ContainerFlags) -> Result<Blkio, String> {
    let weight = flags.blkio_weight.filter(|&weight| weight != 0);
    let each = |flag: &str, list: &[String], value: fn(&str) -> Option<u64>, wrong: fn(&str) -> String| {
        let read = |text: &String| {
            argument(flag, text, rate(text, |number| value(number).ok_or_else(|| wrong(text))))
        };
        list.iter().map(read).collect::<Result<Vec<_>, _>>()
    };
    let number = |text: &str| text.parse::<u64>().ok();
    let bytes = |text: &str| values::parse_size(text).ok();
    let wrong_rate = |text: &str| {
        format!(
            "{RATE}{text}. The correct format is <device-path>:<number>. Number must be a positive integer"
        )
    };
    let wrong_bytes = |text: &str| {
        format!(
            "{RATE}{text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        )
    };
    let weight_of =
        |text: &str| text.parse::<u64>().ok().filter(|weight| *weight == 0 || (10..=1000).contains(weight));
    let wrong_weight = |text: &str| format!("invalid weight for device: {text}");
    Ok(Blkio {
        weight,
        weight_device: each("--blkio-weight-device", &flags.blkio_weight_device, weight_of, wrong_weight)?,
        read_bps: each("--device-read-bps", &flags.device_read_bps, bytes, wrong_bytes)?,
        write_bps: each("--device-write-bps", &flags.device_write_bps, bytes, wrong_bytes)?,
        read_iops: each("--device-read-iops", &flags.device_read_iops, number, wrong_rate)?,
        write_iops: each("--device-write-iops", &flags.device_write_iops, number, wrong_rate)?,
    })
}

const RATE: &str = "invalid rate for device: ";

/// Reads `PATH:VALUE` and looks the device up.
fn rate(text: &str, value: impl Fn(&str) -> Result<u64, String>) -> Result<DeviceValue, String> {
    let (path, number) = text.split_once(':').ok_or_else(|| format!("bad format: {text}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    let stat = rustix::fs::stat(path)
        .map_err(|errno| format!("device {path}: {}", corten_sys::error::reason(errno)))?;
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    Ok(DeviceValue { major, minor, value: value(number)? })
}

fn device_rules(list: &[String]) -> Result<Option<Vec<DeviceRule>>, String> {
    let rule = |text: &String| argument("--device-cgroup-rule", text, device_rule(text));
    if list.is_empty() { Ok(None) } else { list.iter().map(rule).collect::<Result<_, _>>().map(Some) }
}

fn device_rule(text: &str) -> Result<DeviceRule, String> {
    let invalid = || format!("invalid device cgroup format '{text}'");
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [kind, numbers, access] = fields.as_slice() else { return Err(invalid()) };
    let kind = match *kind {
        "a" => DeviceKind::All,
        "b" => DeviceKind::Block,
        "c" => DeviceKind::Char,
        _ => return Err(invalid()),
    };
    let number = |text: &str| match text {
        "*" => Ok(None),
        text => text.parse().map(Some).map_err(|_| invalid()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
    let access = Access::parse(access).ok_or_else(invalid)?;
    Ok(DeviceRule { allow: true, kind, major: number(major)?, minor: number(minor)?, access })
}

/// Reads `HOST[:CONTAINER][:ACCESS]`.
fn device(text: &str) -> Result<DeviceSpec, String> {
    let is_access = |text: &str| !text.is_empty() && text.bytes().all(|byte| b"rwm".contains(&byte));
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, access) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, access] if is_access(access) => (*host, *host, *access),
        [host, container] => (*host, *container, "rwm"),
        [host, container, access] if is_access(access) => (*host, *container, *access),
        [_, _, access] => return Err(format!("bad mode specified: {access}")),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    if let Some(path) = [host, container].into_iter().find(|path| !path.starts_with('/')) {
        return Err(format!("{path} is not an absolute path"));
    }
    Ok(DeviceSpec { host: host.to_owned(), container: container.to_owned(), access: access.to_owned() })
}

/// Only parameters that are namespaced: the others would change the host (security.md F03).
fn sysctls(flags: &ContainerFlags) -> Result<BTreeMap<String, String>, String> {
    let mut sysctls = BTreeMap::new();
    for text in &flags.sysctl {
        let (key, value) = values::pair(text);
        let key = key.replace('/', ".");
        let host_network = flags.network.as_deref() == Some("host");
        let host_ipc = flags.ipc.as_deref() == Some("host");
        let ipc = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."]
            .iter()
            .any(|start| key.starts_with(start));
        let well_formed = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let namespaced = (ipc && !host_ipc) || (key.starts_with("net.") && !host_network);
        let readable = text.contains('=') && well_formed && !key.contains("..") && !value.contains('\n');
        if !readable || !namespaced {
            return argument("--sysctl", text, Err(format!("sysctl '{text}' is not allowed")));
        }
        sysctls.insert(key, value);
    }
    Ok(sysctls)
}

fn log(flags: &ContainerFlags) -> Result<LogSpec, String> {
    let driver = flags.log_driver.as_deref().filter(|name| !name.is_empty()).unwrap_or("json-file");
    if driver == "none" && !flags.log_opt.is_empty() {
        return Err("invalid logging opts for driver none".to_owned());
    }
    let options = flags.log_opt.iter().map(|option| values::pair(option)).collect();
    log_driver::parse(driver, options).map_err(|error| daemon(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies() {
        assert_eq!(restart("on-failure:3"), Ok(Restart::OnFailure(3)));
        assert_eq!(restart("unless-stopped"), Ok(Restart::UnlessStopped));
        for text in ["always:3", "nope", "on-failure:x"] {
            assert!(restart(text).is_err(), "{text}");
        }
    }

    #[test]
    fn devices() {
        let read = |text: &str| device(text).map(|device| (device.host, device.container, device.access));
        let of = |a: &str, b: &str, c: &str| Ok((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(read("/dev/a"), of("/dev/a", "/dev/a", "rwm"));
        assert_eq!(read("/dev/a:r"), of("/dev/a", "/dev/a", "r"));
        assert_eq!(read("/dev/a:/dev/b:rw"), of("/dev/a", "/dev/b", "rw"));
        assert!(read("a").is_err() && read("/a:/b:x").is_err());
    }

    #[test]
    fn exposed_ports() {
        assert_eq!(expose(&["80-81".to_owned()]).unwrap(), ["80/tcp", "81/tcp"]);
        assert!(expose(&["0".to_owned()]).is_err());
    }
}
