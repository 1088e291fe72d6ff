//! The flags of run and create: what they are called, what they say, where they go.

use clap::{ArgAction, Args};

use super::table::{Duration, Flag, Value as _};

/// Flags of run and create, as given. Later ones win, lists grow.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContainerFlags {
    /// run only: do not stay attached.
    pub(crate) detach: bool,
    /// run only.
    pub(crate) detach_keys: Option<String>,
    /// run only: signals are not passed on when this is `false`.
    pub(crate) sig_proxy: Option<bool>,
    pub(crate) name: Option<String>,
    pub(crate) entrypoint: Option<String>,
    pub(crate) env: Vec<String>,
    pub(crate) env_file: Vec<String>,
    pub(crate) workdir: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) group_add: Vec<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    pub(crate) add_host: Vec<String>,
    pub(crate) label: Vec<String>,
    pub(crate) label_file: Vec<String>,
    pub(crate) annotation: Vec<String>,
    pub(crate) interactive: bool,
    pub(crate) tty: bool,
    pub(crate) rm: bool,
    pub(crate) attach: Vec<String>,
    pub(crate) volume: Vec<String>,
    pub(crate) mount: Vec<String>,
    pub(crate) tmpfs: Vec<String>,
    pub(crate) volumes_from: Vec<String>,
    pub(crate) read_only: bool,
    pub(crate) init: bool,
    pub(crate) stop_signal: Option<String>,
    pub(crate) stop_timeout: Option<i64>,
    pub(crate) restart: Option<String>,
    pub(crate) memory: Option<String>,
    pub(crate) memory_reservation: Option<String>,
    pub(crate) memory_swap: Option<String>,
    pub(crate) memory_swappiness: Option<i64>,
    pub(crate) cpus: Option<String>,
    pub(crate) cpu_shares: Option<u64>,
    pub(crate) cpu_period: Option<u64>,
    pub(crate) cpu_quota: Option<i64>,
    pub(crate) cpu_rt_period: Option<u64>,
    pub(crate) cpu_rt_runtime: Option<i64>,
    pub(crate) cpuset_cpus: Option<String>,
    pub(crate) cpuset_mems: Option<String>,
    pub(crate) pids_limit: Option<i64>,
    pub(crate) blkio_weight: Option<u16>,
    pub(crate) blkio_weight_device: Vec<String>,
    pub(crate) device_read_bps: Vec<String>,
    pub(crate) device_write_bps: Vec<String>,
    pub(crate) device_read_iops: Vec<String>,
    pub(crate) device_write_iops: Vec<String>,
    pub(crate) device: Vec<String>,
    pub(crate) device_cgroup_rule: Vec<String>,
    pub(crate) ulimit: Vec<String>,
    pub(crate) shm_size: Option<String>,
    pub(crate) sysctl: Vec<String>,
    pub(crate) cap_add: Vec<String>,
    pub(crate) cap_drop: Vec<String>,
    pub(crate) privileged: bool,
    pub(crate) security_opt: Vec<String>,
    pub(crate) network: Option<String>,
    pub(crate) userns: Option<String>,
    pub(crate) pid: Option<String>,
    pub(crate) ipc: Option<String>,
    pub(crate) uts: Option<String>,
    pub(crate) cgroupns: Option<String>,
    pub(crate) cgroup_parent: Option<String>,
    pub(crate) oom_kill_disable: bool,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) cidfile: Option<String>,
    pub(crate) pull: Option<String>,
    pub(crate) quiet: bool,
    pub(crate) platform: Option<String>,
    pub(crate) health: HealthFlags,
    pub(crate) log_driver: Option<String>,
    pub(crate) log_opt: Vec<String>,
    pub(crate) expose: Vec<String>,
    /// The image, then the command and its arguments.
    pub(crate) words: Vec<String>,
}

/// The flags of a health check.
#[derive(Debug, Clone, Default)]
pub(crate) struct HealthFlags {
    pub(crate) cmd: Option<String>,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) start_period: Duration,
    pub(crate) start_interval: Duration,
    pub(crate) retries: Option<i64>,
    pub(crate) none: bool,
    pub(crate) on_failure: Option<String>,
}

/// What only run has.
pub(crate) const RUN: &[Flag<ContainerFlags>] = &[
    Flag::switch("detach", Some('d'), "Run container in background and print container ID", |flags, text| {
        flags.detach.read(text)
    }),
    Flag::value(
        "detach-keys",
        None,
        "string",
        "Override the key sequence for detaching a container",
        |flags, text| flags.detach_keys.read(text),
    ),
    Flag::switch("sig-proxy", None, "Proxy received signals to the process (default true)", |flags, text| {
        flags.sig_proxy.read(text)
    }),
];

/// What run and create share.
pub(crate) const CONTAINER: &[Flag<ContainerFlags>] = &[
    Flag::value("name", None, "string", "Assign a name to the container", |flags, text| {
        flags.name.read(text)
    }),
    Flag::value(
        "entrypoint",
        None,
        "string",
        "Overwrite the default ENTRYPOINT of the image",
        |flags, text| flags.entrypoint.read(text),
    ),
    Flag::value("env", Some('e'), "list", "Set environment variables", |flags, text| flags.env.read(text)),
    Flag::value("env-file", None, "list", "Read in a file of environment variables", |flags, text| {
        flags.env_file.read(text)
    }),
    Flag::value("workdir", Some('w'), "string", "Working directory inside the container", |flags, text| {
        flags.workdir.read(text)
    }),
    Flag::value(
        "user",
        Some('u'),
        "string",
        "Username or UID (format: <name|uid>[:<group|gid>])",
        |flags, text| flags.user.read(text),
    ),
    Flag::value("group-add", None, "list", "Add additional groups to join", |flags, text| {
        flags.group_add.read(text)
    }),
    Flag::value("hostname", Some('h'), "string", "Container host name", |flags, text| {
        flags.hostname.read(text)
    }),
    Flag::value("domainname", None, "string", "Container NIS domain name", |flags, text| {
        flags.domainname.read(text)
    }),
    Flag::value("add-host", None, "list", "Add a custom host-to-IP mapping (host:ip)", |flags, text| {
        flags.add_host.read(text)
    }),
    Flag::value("label", Some('l'), "list", "Set meta data on a container", |flags, text| {
        flags.label.read(text)
    }),
    Flag::value("label-file", None, "list", "Read in a line delimited file of labels", |flags, text| {
        flags.label_file.read(text)
    }),
    Flag::value(
        "annotation",
        None,
        "map",
        "Add an annotation to the container (passed through to the OCI runtime)",
        |flags, text| flags.annotation.read(text),
    ),
    Flag::switch("interactive", Some('i'), "Keep STDIN open even if not attached", |flags, text| {
        flags.interactive.read(text)
    }),
    Flag::switch("tty", Some('t'), "Allocate a pseudo-TTY", |flags, text| flags.tty.read(text)),
    Flag::switch(
        "rm",
        None,
        "Automatically remove the container and its associated anonymous volumes when it exits",
        |flags, text| flags.rm.read(text),
    ),
    Flag::value("attach", Some('a'), "list", "Attach to STDIN, STDOUT or STDERR", |flags, text| {
        flags.attach.read(text)
    }),
    Flag::value("volume", Some('v'), "list", "Bind mount a volume", |flags, text| flags.volume.read(text)),
    Flag::value("mount", None, "mount", "Attach a filesystem mount to the container", |flags, text| {
        flags.mount.read(text)
    }),
    Flag::value("tmpfs", None, "list", "Mount a tmpfs directory", |flags, text| flags.tmpfs.read(text)),
    Flag::value(
        "volumes-from",
        None,
        "list",
        "Mount volumes from the specified container(s)",
        |flags, text| flags.volumes_from.read(text),
    ),
    Flag::switch("read-only", None, "Mount the container's root filesystem as read only", |flags, text| {
        flags.read_only.read(text)
    }),
    Flag::switch(
        "init",
        None,
        "Run an init inside the container that forwards signals and reaps processes",
        |flags, text| flags.init.read(text),
    ),
    Flag::value("stop-signal", None, "string", "Signal to stop the container", |flags, text| {
        flags.stop_signal.read(text)
    }),
    Flag::value("stop-timeout", None, "int", "Timeout (in seconds) to stop a container", |flags, text| {
        flags.stop_timeout.read(text)
    }),
    Flag::value(
        "restart",
        None,
        "string",
        "Restart policy to apply when a container exits (default \"no\")",
        |flags, text| flags.restart.read(text),
    ),
    Flag::value("memory", Some('m'), "bytes", "Memory limit", |flags, text| flags.memory.read(text)),
    Flag::value("memory-reservation", None, "bytes", "Memory soft limit", |flags, text| {
        flags.memory_reservation.read(text)
    }),
    Flag::value(
        "memory-swap",
        None,
        "bytes",
        "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
        |flags, text| flags.memory_swap.read(text),
    ),
    Flag::value(
        "memory-swappiness",
        None,
        "int",
        "Tune container memory swappiness (0 to 100)",
        |flags, text| flags.memory_swappiness.read(text),
    ),
    Flag::value("cpus", None, "decimal", "Number of CPUs", |flags, text| flags.cpus.read(text)),
    Flag::value("cpu-shares", Some('c'), "int", "CPU shares (relative weight)", |flags, text| {
        flags.cpu_shares.read(text)
    }),
    Flag::value(
        "cpu-period",
        None,
        "int",
        "Limit CPU CFS (Completely Fair Scheduler) period",
        |flags, text| flags.cpu_period.read(text),
    ),
    Flag::value(
        "cpu-quota",
        None,
        "int",
        "Limit CPU CFS (Completely Fair Scheduler) quota",
        |flags, text| flags.cpu_quota.read(text),
    ),
    Flag::value("cpu-rt-period", None, "int", "Limit CPU real-time period in microseconds", |flags, text| {
        flags.cpu_rt_period.read(text)
    }),
    Flag::value(
        "cpu-rt-runtime",
        None,
        "int",
        "Limit CPU real-time runtime in microseconds",
        |flags, text| flags.cpu_rt_runtime.read(text),
    ),
    Flag::value(
        "cpuset-cpus",
        None,
        "string",
        "CPUs in which to allow execution (0-3, 0,1)",
        |flags, text| flags.cpuset_cpus.read(text),
    ),
    Flag::value(
        "cpuset-mems",
        None,
        "string",
        "MEMs in which to allow execution (0-3, 0,1)",
        |flags, text| flags.cpuset_mems.read(text),
    ),
    Flag::value(
        "pids-limit",
        None,
        "int",
        "Tune container pids limit (set -1 for unlimited)",
        |flags, text| flags.pids_limit.read(text),
    ),
    Flag::value(
        "blkio-weight",
        None,
        "uint16",
        "Block IO (relative weight), between 10 and 1000, or 0 to disable",
        |flags, text| flags.blkio_weight.read(text),
    ),
    Flag::value(
        "blkio-weight-device",
        None,
        "list",
        "Block IO weight (relative device weight)",
        |flags, text| flags.blkio_weight_device.read(text),
    ),
    Flag::value(
        "device-read-bps",
        None,
        "list",
        "Limit read rate (bytes per second) from a device",
        |flags, text| flags.device_read_bps.read(text),
    ),
    Flag::value(
        "device-write-bps",
        None,
        "list",
        "Limit write rate (bytes per second) to a device",
        |flags, text| flags.device_write_bps.read(text),
    ),
    Flag::value(
        "device-read-iops",
        None,
        "list",
        "Limit read rate (IO per second) from a device",
        |flags, text| flags.device_read_iops.read(text),
    ),
    Flag::value(
        "device-write-iops",
        None,
        "list",
        "Limit write rate (IO per second) to a device",
        |flags, text| flags.device_write_iops.read(text),
    ),
    Flag::value("device", None, "list", "Add a host device to the container", |flags, text| {
        flags.device.read(text)
    }),
    Flag::value(
        "device-cgroup-rule",
        None,
        "list",
        "Add a rule to the cgroup allowed devices list",
        |flags, text| flags.device_cgroup_rule.read(text),
    ),
    Flag::value("ulimit", None, "ulimit", "Ulimit options", |flags, text| flags.ulimit.read(text)),
    Flag::value("shm-size", None, "bytes", "Size of /dev/shm", |flags, text| flags.shm_size.read(text)),
    Flag::value("sysctl", None, "map", "Sysctl options", |flags, text| flags.sysctl.read(text)),
    Flag::value("cap-add", None, "list", "Add Linux capabilities", |flags, text| flags.cap_add.read(text)),
    Flag::value("cap-drop", None, "list", "Drop Linux capabilities", |flags, text| flags.cap_drop.read(text)),
    Flag::switch("privileged", None, "Give extended privileges to this container", |flags, text| {
        flags.privileged.read(text)
    }),
    Flag::value("security-opt", None, "list", "Security Options", |flags, text| {
        flags.security_opt.read(text)
    }),
    Flag::value(
        "network",
        None,
        "network",
        "Connect a container to a network: none or host (networks of their own are not there yet)",
        |flags, text| flags.network.read(text),
    ),
    Flag::value(
        "userns",
        None,
        "string",
        "User namespace to use: a range of ids of its own unless \"host\"",
        |flags, text| flags.userns.read(text),
    ),
    Flag::value("pid", None, "string", "PID namespace to use", |flags, text| flags.pid.read(text)),
    Flag::value("ipc", None, "string", "IPC mode to use", |flags, text| flags.ipc.read(text)),
    Flag::value("uts", None, "string", "UTS namespace to use", |flags, text| flags.uts.read(text)),
    Flag::value("cgroupns", None, "string", "Cgroup namespace to use (host|private)", |flags, text| {
        flags.cgroupns.read(text)
    }),
    Flag::value(
        "cgroup-parent",
        None,
        "string",
        "Optional parent cgroup for the container",
        |flags, text| flags.cgroup_parent.read(text),
    ),
    Flag::switch("oom-kill-disable", None, "Disable OOM Killer", |flags, text| {
        flags.oom_kill_disable.read(text)
    }),
    Flag::value(
        "oom-score-adj",
        None,
        "int",
        "Tune host's OOM preferences (-1000 to 1000)",
        |flags, text| flags.oom_score_adj.read(text),
    ),
    Flag::value("cidfile", None, "string", "Write the container ID to the file", |flags, text| {
        flags.cidfile.read(text)
    }),
    Flag::value(
        "pull",
        None,
        "string",
        "Pull image before running (\"always\", \"missing\", \"never\") (default \"missing\")",
        |flags, text| flags.pull.read(text),
    ),
    Flag::switch("quiet", Some('q'), "Suppress the pull output", |flags, text| flags.quiet.read(text)),
    Flag::value(
        "platform",
        None,
        "string",
        "Set platform if server is multi-platform capable",
        |flags, text| flags.platform.read(text),
    ),
    Flag::value("health-cmd", None, "string", "Command to run to check health", |flags, text| {
        flags.health.cmd.read(text)
    }),
    Flag::value(
        "health-interval",
        None,
        "duration",
        "Time between running the check (ms|s|m|h) (default 0s)",
        |flags, text| flags.health.interval.read(text),
    ),
    Flag::value(
        "health-on-failure",
        None,
        "string",
        "Action to take once the container turns unhealthy (\"none\", \"restart\", \"stop\", \"kill\") (default \"none\")",
        |flags, text| flags.health.on_failure.read(text),
    ),
    Flag::value(
        "health-retries",
        None,
        "int",
        "Consecutive failures needed to report unhealthy",
        |flags, text| flags.health.retries.read(text),
    ),
    Flag::value(
        "health-start-interval",
        None,
        "duration",
        "Time between running the check during the start period (ms|s|m|h) (default 0s)",
        |flags, text| flags.health.start_interval.read(text),
    ),
    Flag::value(
        "health-start-period",
        None,
        "duration",
        "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)",
        |flags, text| flags.health.start_period.read(text),
    ),
    Flag::value(
        "health-timeout",
        None,
        "duration",
        "Maximum time to allow one check to run (ms|s|m|h) (default 0s)",
        |flags, text| flags.health.timeout.read(text),
    ),
    Flag::switch("no-healthcheck", None, "Disable any container-specified HEALTHCHECK", |flags, text| {
        flags.health.none.read(text)
    }),
    Flag::value(
        "log-driver",
        None,
        "string",
        "Logging driver for the container (json-file, local, journald, syslog or none)",
        |flags, text| flags.log_driver.read(text),
    ),
    Flag::value("log-opt", None, "list", "Log driver options", |flags, text| flags.log_opt.read(text)),
    Flag::value("expose", None, "list", "Expose a port or a range of ports", |flags, text| {
        flags.expose.read(text)
    }),
    Flag::alias("net", "network", |flags, text| flags.network.read(text)),
];

/// Flags of commands that attach.
#[derive(Debug, Default, Args)]
pub(crate) struct AttachFlags {
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "string")]
    pub(crate) detach_keys: Option<String>,
    /// Proxy received signals to the process
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, default_value_t = true, hide_default_value = true, hide_possible_values = true, value_name = "bool")]
    pub(crate) sig_proxy: bool,
}
