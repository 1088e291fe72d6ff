//! What a user asked a container to be: the flags of run and create, parsed, before any image is looked at.

use std::collections::BTreeMap;

use corten_runtime::cgroups::Resources;
use corten_runtime::lsm;
use corten_spec::image_config::Healthcheck;
use serde::{Deserialize, Serialize};

/// A container as asked for. Empty and `None` mean "as the image, or docker's default, has it".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSpec {
    pub image: String,
    #[serde(skip_serializing_if = "is_default")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub command: Vec<String>,
    /// `Some` with an empty list resets the image's.
    #[serde(skip_serializing_if = "is_default")]
    pub entrypoint: Option<Vec<String>>,
    /// `NAME=value`, or `NAME` alone to unset.
    #[serde(skip_serializing_if = "is_default")]
    pub env: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub workdir: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub hostname: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub domainname: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub extra_hosts: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub exposed_ports: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub tty: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub stdin: bool,
    /// Close the payload's input when the first client that gave some leaves.
    #[serde(skip_serializing_if = "is_default")]
    pub stdin_once: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub auto_remove: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub restart: Restart,
    #[serde(skip_serializing_if = "is_default")]
    pub stop_signal: Option<String>,
    /// Seconds; negative waits for ever.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "is_default")]
    pub read_only: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub init: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub mounts: Vec<MountSpec>,
    #[serde(skip_serializing_if = "is_default")]
    pub volumes_from: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub resources: Resources,
    #[serde(skip_serializing_if = "is_default")]
    pub cgroup_parent: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub oom_score_adj: Option<i32>,
    #[serde(skip_serializing_if = "is_default")]
    pub ulimits: Vec<Ulimit>,
    /// Bytes.
    #[serde(skip_serializing_if = "is_default")]
    pub shm_size: Option<u64>,
    #[serde(skip_serializing_if = "is_default")]
    pub sysctls: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_default")]
    pub devices: Vec<DeviceSpec>,
    #[serde(skip_serializing_if = "is_default")]
    pub cap_add: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub cap_drop: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub privileged: bool,
    #[serde(skip_serializing_if = "is_default")]
    pub security: SecurityOptions,
    #[serde(skip_serializing_if = "is_default")]
    pub network: NetworkMode,
    #[serde(skip_serializing_if = "is_default")]
    pub namespaces: NamespaceModes,
    pub log: LogSpec,
    /// As the flags have it; the image's fills the gaps.
    #[serde(skip_serializing_if = "is_default")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "is_default")]
    pub health_on_failure: HealthAction,
}

/// What is as it is by default is not written down: a list of containers reads a record of each.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What is done with a container that has become unhealthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthAction {
    #[default]
    None,
    /// As `restart` does it.
    Restart,
    /// As `stop` does it: its restart policy does not act.
    Stop,
    /// Its restart policy decides what follows.
    Kill,
}

impl HealthAction {
    pub const ALL: [Self; 4] = [Self::None, Self::Restart, Self::Stop, Self::Kill];

    /// As the flag spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }
}

/// docker's restart policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    #[default]
    No,
    OnFailure(u64),
    Always,
    UnlessStopped,
}

/// One mount of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    pub target: String,
    pub read_only: bool,
    /// Label the source for SELinux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relabel: Option<Relabel>,
    pub source: MountKind,
}

/// Which SELinux label the source of a mount gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relabel {
    /// `z`: that of every container.
    Shared,
    /// `Z`: that of this container alone.
    Private,
}

impl Relabel {
    /// docker's option for it.
    pub fn letter(self) -> char {
        match self {
            Self::Shared => 'z',
            Self::Private => 'Z',
        }
    }
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    Bind {
        path: String,
        /// `-v` makes a missing source directory, `--mount` refuses it.
        create: bool,
        recursive: bool,
        propagation: Option<String>,
    },
    Volume {
        /// `None` makes an anonymous one.
        name: Option<String>,
        no_copy: bool,
        subpath: Option<String>,
        labels: BTreeMap<String, String>,
        options: BTreeMap<String, String>,
    },
    Tmpfs {
        /// Options for the file system, as mount(8) has them.
        options: Vec<String>,
    },
    Image {
        reference: String,
        subpath: Option<String>,
    },
}

/// One `--ulimit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

/// One `--device`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    pub host: String,
    pub container: String,
    /// Of `r`, `w` and `m`.
    pub access: String,
}

/// `--security-opt`, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SecurityOptions {
    pub no_new_privileges: bool,
    pub seccomp: Seccomp,
    /// Neither masked nor read-only paths.
    pub unmasked: bool,
    /// The profile asked for.
    pub apparmor: Option<String>,
    /// The options of `label=` for SELinux.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

impl SecurityOptions {
    /// The AppArmor profile to enter; empty for none, which is the default.
    pub fn apparmor_to_enter(&self) -> &str {
        self.apparmor.as_deref().filter(|&profile| profile != lsm::UNCONFINED).unwrap_or_default()
    }
}

/// Which seccomp profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    #[default]
    Builtin,
    Unconfined,
    /// The text of a profile in docker's JSON.
    Custom(String),
}

/// `--network`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    #[default]
    None,
    Host,
}

/// Which namespaces are shared with whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceModes {
    /// `--userns=host`.
    pub user_host: bool,
    pub uts_host: bool,
    pub cgroup_host: bool,
    pub pid: Share,
    pub ipc: Share,
}

/// A namespace of one's own, the host's, or another container's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Share {
    #[default]
    Private,
    Host,
    /// By id.
    Container(String),
}

/// `--log-driver` and `--log-opt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    pub driver: LogDriver,
    /// As given, for inspect.
    pub options: BTreeMap<String, String>,
    /// Bytes; 0 never rotates.
    pub max_size: u64,
    pub max_files: u64,
}

impl Default for LogSpec {
    /// Rotated by default, so that no log fills the disk unseen.
    fn default() -> Self {
        Self { driver: LogDriver::JsonFile, options: BTreeMap::new(), max_size: 16 << 20, max_files: 4 }
    }
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogDriver {
    JsonFile,
    Local,
    Journald,
    Syslog,
    None,
}

impl LogDriver {
    pub const ALL: [Self; 5] = [Self::JsonFile, Self::Local, Self::Journald, Self::Syslog, Self::None];

    /// docker's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::JsonFile => "json-file",
            Self::Local => "local",
            Self::Journald => "journald",
            Self::Syslog => "syslog",
            Self::None => "none",
        }
    }
}

impl ContainerSpec {
    /// Says whether it shares a namespace with another container.
    pub fn joins_another(&self) -> bool {
        let modes = &self.namespaces;
        [&modes.pid, &modes.ipc].into_iter().any(|share| matches!(share, Share::Container(_)))
    }

    /// Whether root in the container is root on the host, and by which of the user's choices.
    ///
    /// Ids of the host are only used where the container shares what belongs to them (architecture D11).
    pub fn host_ids(&self) -> Option<&'static str> {
        if self.namespaces.user_host {
            Some("--userns=host")
        } else if self.privileged {
            Some("--privileged")
        } else if self.network == NetworkMode::Host {
            Some("--network=host")
        } else if self.namespaces.pid == Share::Host {
            Some("--pid=host")
        } else if self.namespaces.ipc == Share::Host {
            Some("--ipc=host")
        } else {
            None
        }
    }
}
