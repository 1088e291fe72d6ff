//! The environment and the global flags, read once: the only file that does.

use std::ffi::OsString;
use std::path::PathBuf;

use corten_engine::EngineConfig;
use corten_sys::fs;

/// What the caller set up, flags before environment before defaults.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `--root`, `CORTEN_ROOT`: images, containers, volumes.
    pub(crate) root: PathBuf,
    /// `--run-root`, `CORTEN_RUN_ROOT`: what does not outlive a boot.
    pub(crate) run_root: PathBuf,
    /// `--config`, `DOCKER_CONFIG`, `~/.docker`: the directory of docker's client configuration.
    pub(crate) client_config: Option<PathBuf>,
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
            client_config: flags.config.or_else(|| variable("DOCKER_CONFIG")).map(PathBuf::from).or(home),
            platform: variable("DOCKER_DEFAULT_PLATFORM").and_then(|text| text.into_string().ok()),
            directory: current_directory(),
        }
    }

    /// A text of docker's client configuration, such as `imagesFormat`.
    ///
    /// A configuration that is broken concerns logins, not a listing: it has no text then.
    pub(crate) fn client_option(&self, name: &str) -> Option<String> {
        let path = self.client_config.as_ref()?.join("config.json");
        let bytes = fs::read_if_exists(path).ok()??;
        let config: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        config.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A list of texts of docker's client configuration, such as `pruneFilters`.
    pub(crate) fn client_list(&self, name: &str) -> Vec<String> {
        let read = || {
            let path = self.client_config.as_ref()?.join("config.json");
            let bytes = fs::read_if_exists(path).ok()??;
            let config: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
            let texts = config.get(name)?.as_array()?.iter().filter_map(|text| text.as_str());
            Some(texts.map(str::to_owned).collect())
        };
        read().unwrap_or_default()
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
