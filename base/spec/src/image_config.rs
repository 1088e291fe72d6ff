//! The image config: the OCI document with docker's extensions. Its digest is the image ID.
//!
//! A config that came with an image is kept as bytes and never written from this type; what corten makes
//! itself is serialised here, fields in a fixed order and maps sorted, so that equal configs have equal IDs.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::DiffId;
use crate::platform::Platform;

/// An image config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub architecture: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub os: String,
    #[serde(
        rename = "os.version",
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub config: ContainerConfig,
    #[serde(default)]
    pub rootfs: Rootfs,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// What a container made from the image starts with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub user: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Absent and empty differ: an empty one in a child image resets its parent's.
    #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds; -1 waits for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(deserialize_with = "words", skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// How to tell whether a container is healthy. Durations are nanoseconds; zero inherits the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", line]`; empty inherits.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// The `{}` of Go's `map[string]struct{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The layers, lowest first, by diff ID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub diff_ids: Vec<DiffId>,
}

impl Default for Rootfs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

/// One step of how the image was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "is_false")]
    pub empty_layer: bool,
}

/// Why a document is no image config.
#[derive(Debug, thiserror::Error)]
pub enum ImageConfigError {
    #[error("image config is larger than {} MiB", ImageConfig::LIMIT >> 20)]
    TooLarge,
    #[error("image config: {0}")]
    Json(#[from] serde_json::Error),
    #[error("image config has a root file system of the unsupported type '{0}'")]
    RootfsType(String),
}

impl ImageConfig {
    /// The largest config that is read.
    pub const LIMIT: usize = 8 << 20;

    /// Parses a config.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageConfigError> {
        if bytes.len() > Self::LIMIT {
            return Err(ImageConfigError::TooLarge);
        }
        let config: Self = serde_json::from_slice(bytes)?;
        match config.rootfs.kind.as_str() {
            "layers" => Ok(config),
            other => Err(ImageConfigError::RootfsType(other.to_owned())),
        }
    }

    /// Renders the config as the bytes whose digest is the image ID.
    pub fn render(&self) -> Vec<u8> {
        // Strings, numbers and string-keyed maps only: serde_json has nothing to refuse.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The platform the image runs on.
    pub fn platform(&self) -> Platform {
        let mut platform = Platform::new(&self.os, &self.architecture, &self.variant);
        platform.os_version.clone_from(&self.os_version);
        platform.os_features.clone_from(&self.os_features);
        platform
    }

    /// Sets the platform the image runs on.
    pub fn set_platform(&mut self, platform: &Platform) {
        self.os.clone_from(&platform.os);
        self.architecture.clone_from(&platform.architecture);
        self.variant.clone_from(&platform.variant);
        self.os_version.clone_from(&platform.os_version);
        self.os_features.clone_from(&platform.os_features);
    }
}

/// Reads `null` as the empty value: Go writes nil maps and slices so.
pub(crate) fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    d: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// Reads a command as docker does: a list of words, or one word.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(Option::<Words>::deserialize(deserializer)?.map(|words| match words {
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    }))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn reads_dockers_nulls_and_extensions() {
        let text = br#"{"architecture":"amd64","os":"linux","container":"ignored","docker_version":"20.10",
            "config":{"Hostname":"","Env":["A=b"],"Cmd":["sh"],"Entrypoint":null,"Volumes":null,"Labels":null,
              "OnBuild":null,"ExposedPorts":{"80/tcp":{}},"StopTimeout":3,"Shell":["/bin/bash","-c"],
              "Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":1000000000,"Retries":2}},
            "history":[{"created_by":"x","empty_layer":true}],"rootfs":{"type":"layers","diff_ids":null}}"#;
        let config = ImageConfig::parse(text).unwrap();
        assert_eq!(
            config.config,
            ContainerConfig {
                env: vec!["A=b".into()],
                cmd: Some(vec!["sh".into()]),
                exposed_ports: BTreeMap::from([("80/tcp".into(), Empty {})]),
                stop_timeout: Some(3),
                shell: Some(vec!["/bin/bash".into(), "-c".into()]),
                healthcheck: Some(Healthcheck {
                    test: vec!["CMD-SHELL".into(), "true".into()],
                    interval: 1_000_000_000,
                    retries: 2,
                    ..Healthcheck::default()
                }),
                ..ContainerConfig::default()
            }
        );
        assert!(config.history[0].empty_layer);
        assert_eq!(config.platform().to_string(), "linux/amd64");
    }

    #[test]
    fn a_single_word_is_a_command() {
        let config = ImageConfig::parse(br#"{"config":{"Entrypoint":"/init"}}"#).unwrap();
        assert_eq!(config.config.entrypoint, Some(vec!["/init".to_owned()]));
    }

    #[test]
    fn serialisation_is_stable() {
        let mut config = ImageConfig::default();
        config.set_platform(&Platform::new("linux", "arm64", "v8"));
        config.created = Some("2026-01-02T03:04:05Z".into());
        config.config.labels = BTreeMap::from([("b".into(), "2".into()), ("a".into(), "1".into())]);
        config.rootfs.diff_ids.push(DiffId(Digest::of(b"")));
        let expected = format!(
            concat!(
                r#"{{"created":"2026-01-02T03:04:05Z","architecture":"arm64","os":"linux","#,
                r#""config":{{"Labels":{{"a":"1","b":"2"}}}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#
            ),
            Digest::of(b"")
        );
        assert_eq!(String::from_utf8(config.render()).unwrap(), expected);
        assert_eq!(ImageConfig::parse(&config.render()).unwrap(), config);
    }

    #[test]
    fn refuses() {
        let check = |text: &str, expected: &str| {
            let error = ImageConfig::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check(r#"{"rootfs":{"type":"erofs","diff_ids":[]}}"#, "'erofs'");
        check(r#"{"rootfs":{"type":"layers","diff_ids":["sha256:../x"]}}"#, "digest");
        check(r#"{"os":3}"#, "string");
        check("", "image config");
    }
}
