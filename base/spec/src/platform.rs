//! Platforms: operating system, architecture and variant, normalised as docker and containerd do.

use std::env::consts;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(rename = "os.version", default, skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// A text that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is an invalid platform: use os/architecture or os/architecture/variant")]
pub struct PlatformError(String);

const SYSTEMS: [&str; 8] = ["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "wasi"];

impl Platform {
    /// Makes a normalised platform.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let os = match os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let (architecture, variant) =
            normalise(&architecture.to_ascii_lowercase(), &variant.to_ascii_lowercase());
        Self { architecture, os, os_version: String::new(), os_features: Vec::new(), variant }
    }

    /// The platform of this binary.
    pub fn host() -> Self {
        Self::new("linux", consts::ARCH, "")
    }

    /// Parses `linux/amd64`, `linux/arm64/v8`, `arm64` or `linux`; what is left out is the host's.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let bad = || PlatformError(text.to_owned());
        let word = |part: &&str| {
            part.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(word) {
            return Err(bad());
        }
        match parts.as_slice() {
            [one] if SYSTEMS.contains(&one.to_ascii_lowercase().as_str()) => {
                let host = Self::host();
                Ok(Self::new(one, &host.architecture, &host.variant))
            }
            [one] => {
                let platform = Self::new("linux", one, "");
                let known =
                    ["amd64", "arm64", "arm", "386", "riscv64", "ppc64le", "s390x", "loong64", "mips64le"];
                if known.contains(&platform.architecture.as_str()) { Ok(platform) } else { Err(bad()) }
            }
            [os, architecture] => Ok(Self::new(os, architecture, "")),
            [os, architecture, variant] => Ok(Self::new(os, architecture, variant)),
            _ => Err(bad()),
        }
    }

    /// Says whether an image for `image` runs where `self` is asked for: an ARM machine runs older variants.
    pub fn runs(&self, image: &Self) -> bool {
        let ours = Self::new(&self.os, &self.architecture, &self.variant);
        let theirs = Self::new(&image.os, &image.architecture, &image.variant);
        if ours.os != theirs.os || ours.architecture != theirs.architecture {
            return false;
        }
        let level = |variant: &str| variant.trim_start_matches('v').parse::<u32>().ok();
        match (ours.architecture.as_str(), level(&ours.variant), level(&theirs.variant)) {
            ("arm", Some(have), Some(need)) => need <= have,
            ("arm64", _, need) => theirs.variant == ours.variant || need.is_none_or(|need| need <= 8),
            _ => theirs.variant == ours.variant,
        }
    }
}

fn normalise(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", other) => ("amd64", other),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64", other) => ("arm64", other),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_normalises() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Platform::parse(text).map(|p| p.to_string()), Ok(expected.to_owned()), "{text}");
        };
        check("linux/amd64", "linux/amd64");
        check("linux/x86_64", "linux/amd64");
        check("Linux/AMD64", "linux/amd64");
        check("linux/amd64/v2", "linux/amd64/v2");
        check("linux/amd64/v1", "linux/amd64");
        check("linux/arm64/v8", "linux/arm64");
        check("linux/aarch64", "linux/arm64");
        check("linux/arm", "linux/arm/v7");
        check("linux/arm/6", "linux/arm/v6");
        check("linux/armhf", "linux/arm/v7");
        check("arm64", "linux/arm64");
        check("macos/arm64", "darwin/arm64");
        check("linux", &Platform::host().to_string());
    }

    #[test]
    fn refuses() {
        for text in ["", "/", "linux/", "linux/amd64/v1/x", "linux amd64", "linux/../x", "vax"] {
            assert_eq!(Platform::parse(text), Err(PlatformError(text.to_owned())));
        }
    }

    #[test]
    fn runs_compatible_images() {
        let check = |host: &str, image: &str, expected: bool| {
            let (host, image) = (Platform::parse(host).unwrap(), Platform::parse(image).unwrap());
            assert_eq!(host.runs(&image), expected, "{host} runs {image}");
        };
        check("linux/amd64", "linux/amd64", true);
        check("linux/amd64", "linux/arm64", false);
        check("linux/amd64", "linux/amd64/v3", false);
        check("linux/arm64", "linux/arm64/v8", true);
        check("linux/arm/v7", "linux/arm/v6", true);
        check("linux/arm/v6", "linux/arm/v7", false);
        check("linux/amd64", "windows/amd64", false);
    }
}
