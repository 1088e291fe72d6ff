//! Manifests and indexes, OCI and docker schema 2: one document, told apart without ambiguity.
//!
//! Documents are kept verbatim elsewhere; the types here are for reading, and for writing our own.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::descriptor::{Descriptor, media_type};

/// The largest manifest or index that is read (distribution-spec: at least 4 MiB must be supported).
pub const MANIFEST_LIMIT: usize = 4 << 20;

/// A manifest: one config and its layers, lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(
        default,
        deserialize_with = "crate::image_config::null_is_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// An index: manifests for several platforms, or several images of a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(
        default,
        deserialize_with = "crate::image_config::null_is_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}

/// Either document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    Manifest(Box<Manifest>),
    Index(Box<Index>),
}

/// Why a document is neither a manifest nor an index that corten reads.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("manifest is larger than {} MiB", MANIFEST_LIMIT >> 20)]
    TooLarge,
    #[error("manifest: {0}")]
    Json(#[from] serde_json::Error),
    #[error("manifest has '{0}' twice, or in another case")]
    RepeatedKey(String),
    #[error("manifest is at once a manifest and an index")]
    Ambiguous,
    #[error("manifest has the unsupported schema version {0}")]
    SchemaVersion(u32),
    #[error("manifest has the media type '{found}' where '{expected}' was declared")]
    MediaType { found: String, expected: String },
    #[error("manifest has the media type '{0}', which does not fit its content")]
    Contradiction(String),
}

impl Document {
    /// Parses a document; `declared` is the media type by which it was delivered, where there is one.
    ///
    /// Refuses what two readers could understand differently (CVE-2021-41190): both kinds at once, repeated
    /// or case-variant keys, a media type that contradicts the content.
    pub fn parse(bytes: &[u8], declared: Option<&str>) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_LIMIT {
            return Err(ManifestError::TooLarge);
        }
        let keys = serde_json::from_slice::<Keys>(bytes)?;
        keys.check()?;
        let head: Head = serde_json::from_slice(bytes)?;
        if head.schema_version != 2 {
            return Err(ManifestError::SchemaVersion(head.schema_version));
        }
        if let (Some(found), Some(expected)) = (&head.media_type, declared)
            && found != expected
        {
            return Err(ManifestError::MediaType { found: found.clone(), expected: expected.to_owned() });
        }
        let is_index = keys.has("manifests");
        if let Some(kind) = head.media_type.as_deref().or(declared) {
            let index = matches!(kind, media_type::OCI_INDEX | media_type::DOCKER_MANIFEST_LIST);
            let manifest = matches!(kind, media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST);
            if !index && !manifest || index != is_index {
                return Err(ManifestError::Contradiction(kind.to_owned()));
            }
        }
        Ok(if is_index {
            Self::Index(serde_json::from_slice(bytes)?)
        } else {
            Self::Manifest(serde_json::from_slice(bytes)?)
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    schema_version: u32,
    media_type: Option<String>,
}

/// The keys of a JSON object's first level, in order and with repetitions.
struct Keys(Vec<String>);

impl Keys {
    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|k| k == key)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let mut seen = std::collections::HashSet::new();
        // Go's decoder takes `Layers` for `layers`: such a document has two readings.
        if let Some(key) = self.0.iter().find(|key| !seen.insert(key.to_lowercase())) {
            return Err(ManifestError::RepeatedKey(key.clone()));
        }
        const KNOWN: [&str; 6] = ["schemaVersion", "mediaType", "manifests", "layers", "config", "fsLayers"];
        let variant = |key: &&String| KNOWN.iter().any(|k| k.eq_ignore_ascii_case(key) && k != key);
        if let Some(key) = self.0.iter().find(variant) {
            return Err(ManifestError::RepeatedKey(key.clone()));
        }
        let manifest = self.has("layers") || self.has("config") || self.has("fsLayers");
        if self.has("manifests") && manifest { Err(ManifestError::Ambiguous) } else { Ok(()) }
    }
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn descriptor(kind: &str) -> String {
        format!(r#"{{"mediaType":"{kind}","digest":"{}","size":2}}"#, Digest::of(b"{}"))
    }

    #[test]
    fn reads_both_kinds() {
        let config = descriptor(media_type::OCI_CONFIG);
        let text = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
        for declared in [None, Some(media_type::OCI_MANIFEST), Some(media_type::DOCKER_MANIFEST)] {
            assert!(matches!(Document::parse(text.as_bytes(), declared), Ok(Document::Manifest(_))));
        }
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{config}],"annotations":null}}"#,
            media_type::DOCKER_MANIFEST_LIST
        );
        let Ok(Document::Index(index)) = Document::parse(text.as_bytes(), None) else { panic!("no index") };
        assert_eq!(index.manifests.len(), 1);
    }

    #[test]
    fn refuses_what_has_two_readings() {
        let config = descriptor(media_type::OCI_CONFIG);
        let check = |text: &str, declared: Option<&str>, expected: &str| {
            let error = Document::parse(text.as_bytes(), declared).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        let both = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":[]}}"#);
        check(&both, None, "at once");
        let variant = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"Layers":[]}}"#);
        check(&variant, None, "'Layers' twice");
        check(&format!(r#"{{"schemaVersion":2,"Config":{config},"layers":[]}}"#), None, "another case");
        let plain = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[]}}"#);
        check(&plain, Some(media_type::OCI_INDEX), "does not fit");
        check(&plain, Some("text/html"), "does not fit");
        check(&plain.replace(":2,\"config", ":1,\"config"), None, "schema version 1");
        let typed = plain.replacen('{', &format!(r#"{{"mediaType":"{}","#, media_type::OCI_MANIFEST), 1);
        check(&typed, Some(media_type::DOCKER_MANIFEST), "was declared");
        check(&plain.replace("layers\":[]", "layers\":[],\"layers\":[]"), None, "twice");
        check(&format!("\u{feff}{plain}"), None, "expected value");
        check("[]", None, "a JSON object");
        check(&format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000)), None, "manifest");
        check(&plain.replace("\"size\":2", "\"size\":1e400"), None, "number");
        check(&" ".repeat(MANIFEST_LIMIT + 1), None, "larger");
    }
}
