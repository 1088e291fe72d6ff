//! Descriptors: media type, digest and size of a blob, with what points to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::platform::Platform;

/// The media types that corten reads and writes.
pub mod media_type {
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    pub const DOCKER_MANIFEST_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

    /// Says whether the type names a tar layer, whatever its compression and its distribution terms.
    pub fn is_layer(media_type: &str) -> bool {
        let base = media_type
            .replace(".nondistributable.", ".")
            .replace("rootfs.foreign.diff", "rootfs.diff")
            .replace("diff.tar.zstd", "diff.tar.gzip");
        [OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, DOCKER_LAYER, DOCKER_LAYER_GZIP].contains(&base.as_str())
    }

    /// Says whether the type names an image config.
    pub fn is_config(media_type: &str) -> bool {
        matches!(media_type, OCI_CONFIG | DOCKER_CONFIG)
    }
}

/// What a manifest or an index says of one blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    /// Kept for display; corten never fetches from them (security.md D19).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(
        default,
        deserialize_with = "crate::image_config::null_is_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Describes a blob without annotations.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            artifact_type: None,
            annotations: BTreeMap::new(),
            platform: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_types() {
        let check = |text: &str, expected: bool| assert_eq!(media_type::is_layer(text), expected, "{text}");
        check("application/vnd.oci.image.layer.v1.tar", true);
        check("application/vnd.oci.image.layer.v1.tar+zstd", true);
        check("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", true);
        check("application/vnd.docker.image.rootfs.diff.tar.gzip", true);
        check("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", true);
        check("application/vnd.docker.image.rootfs.diff.tar.zstd", true);
        check("application/vnd.oci.image.layer.v1.tar+encrypted", false);
        check("application/vnd.erofs.layer.v1", false);
        check("application/vnd.oci.image.config.v1+json", false);
    }

    #[test]
    fn json_round_trips() {
        let text = format!(
            r#"{{"mediaType":"m","digest":"{}","size":3,"annotations":{{"a":"b"}},"platform":{{"architecture":"amd64","os":"linux"}}}}"#,
            Digest::of(b"")
        );
        let descriptor: Descriptor = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&descriptor).unwrap(), text);
        assert!(serde_json::from_str::<Descriptor>(&text.replace(":3,", ":-3,")).is_err());
    }
}
