//! The environment and the global flags, read once: the only file that does.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::PathBuf;

use corten_engine::EngineConfig;

use crate::client_config::ClientConfig;

/// What the caller set up, flags before environment before defaults.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `--root`, `CORTEN_ROOT`: images, containers, volumes.
    pub(crate) root: PathBuf,
    /// `--run-root`, `CORTEN_RUN_ROOT`: what does not outlive a boot.
    pub(crate) run_root: PathBuf,
    /// `--config`, `DOCKER_CONFIG`, `~/.docker`: the directory of docker's client configuration.
    client_directory: Option<PathBuf>,
    client: OnceCell<ClientConfig>,
    /// `DOCKER_DEFAULT_PLATFORM`.
    pub(crate) platform: Option<String>,
    /// Where relative paths begin.
    pub(crate) directory: PathBuf,
}

/// Flags that stand before the command.
#[derive(Debug, Default)]
pub(crate) struct GlobalFlags {
    pub(crate) root: Option<OsString>,
    pub(crate) run_root: Option<OsString>,
    pub(crate) config: Option<OsString>,
}

impl Settings {
    /// Reads the environment under the flags.
    pub(crate) fn read(flags: GlobalFlags) -> Self {
        let path = |flag: Option<OsString>, name, default: &str| {
            flag.or_else(|| variable(name)).map_or_else(|| PathBuf::from(default), PathBuf::from)
        };
        let home = variable("HOME").map(|home| PathBuf::from(home).join(".docker"));
        Self {
            root: path(flags.root, "CORTEN_ROOT", "/var/lib/corten"),
            run_root: path(flags.run_root, "CORTEN_RUN_ROOT", "/run/corten"),
            client: OnceCell::new(),
            client_directory: flags.config.or_else(|| variable("DOCKER_CONFIG")).map(PathBuf::from).or(home),
            platform: variable("DOCKER_DEFAULT_PLATFORM").and_then(|text| text.into_string().ok()),
            directory: current_directory(),
        }
    }

    /// docker's client configuration, read when it is first asked for.
    pub(crate) fn client(&self) -> &ClientConfig {
        let load = || self.client_directory.as_ref().map(|directory| ClientConfig::load(directory));
        self.client.get_or_init(|| load().unwrap_or_default())
    }

    /// Where the engine keeps its state.
    pub(crate) fn engine(&self) -> EngineConfig {
        EngineConfig { root: self.directory.join(&self.root), run_root: self.directory.join(&self.run_root) }
    }
}

/// A variable of the caller's that may be empty, for `-e NAME` and env files.
#[allow(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
pub(crate) fn variable_or_empty(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// A setting; an empty one is none.
fn variable(name: &str) -> Option<OsString> {
    variable_or_empty(name).filter(|value| !value.is_empty())
}

#[allow(clippy::disallowed_methods, reason = "this is the file that reads the environment")]
fn current_directory() -> PathBuf {
    // A directory that was removed under the caller: relative paths then fail by themselves.
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))
}

/// This process's arguments as they came, for executing itself again.
pub(crate) fn arguments() -> Vec<String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// The whole environment, for executing itself again.
pub(crate) fn environment() -> Vec<String> {
    let entry = |(name, value): (OsString, OsString)| {
        format!("{}={}", name.to_string_lossy(), value.to_string_lossy())
    };
    std::env::vars_os().map(entry).collect()
}
