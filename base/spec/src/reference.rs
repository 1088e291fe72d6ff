//! References: what a user types for an image, by docker's grammar and with docker's words for what is wrong.
//!
//! `redis` is `docker.io/library/redis:latest`; the short form is for display, the full one for everything else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, DigestError};

const DEFAULT_REGISTRY: &str = "docker.io";
const LEGACY_REGISTRY: &str = "index.docker.io";
const OFFICIAL: &str = "library/";
const REPOSITORY_LIMIT: usize = 255;
const TAG_LIMIT: usize = 128;

/// Registry, repository, and a tag, a digest or both. With both, the digest decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference. The wording is docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    UpperCase(String),
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    #[error("repository name must not be more than {REPOSITORY_LIMIT} characters")]
    TooLong,
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl Reference {
    /// Parses a reference; one without tag and digest gets the tag `latest`.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let mut reference = Self::parse_untagged(text)?;
        if reference.tag.is_none() && reference.digest.is_none() {
            reference.tag = Some("latest".to_owned());
        }
        Ok(reference)
    }

    /// Parses a reference and adds no tag: for commands where a bare name means every tag.
    pub fn parse_untagged(text: &str) -> Result<Self, ReferenceError> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (registry, remainder) = split_registry(text);
        let name = remainder.split(':').next().unwrap_or_default();
        if name.chars().any(char::is_uppercase) {
            return Err(ReferenceError::UpperCase(name.to_owned()));
        }
        let (name, digest) = match remainder.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (remainder.as_str(), None),
        };
        let (repository, tag) = match name.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (name, None),
        };
        if !is_registry(registry) || !is_repository(repository) || !tag.is_none_or(is_tag) {
            return Err(ReferenceError::Format);
        }
        if digest.is_some_and(|digest| !looks_like_digest(digest)) {
            return Err(ReferenceError::Format);
        }
        if repository.len() > REPOSITORY_LIMIT {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(Digest::parse).transpose()?,
        })
    }

    /// The registry's host and port, `docker.io` by default.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path below the registry, `library/redis` for `redis`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, where there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where there is one.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Format);
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with this digest and no tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Registry and repository without tag and digest, in full.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The name without tag and digest as docker shows it: `redis`, `user/app`, `localhost:5000/a`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        match self.repository.strip_prefix(OFFICIAL) {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// The whole reference as docker shows it: `redis:latest`.
    pub fn familiar(&self) -> String {
        self.render(self.familiar_name())
    }

    fn render(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(self.name()))
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        Self::parse_untagged(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

/// Splits off what docker takes for a registry: a first component with a dot, a colon, or upper case.
fn split_registry(text: &str) -> (&str, String) {
    let (registry, remainder) = match text.split_once('/') {
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_REGISTRY, text),
    };
    let registry = if registry == LEGACY_REGISTRY { DEFAULT_REGISTRY } else { registry };
    if registry == DEFAULT_REGISTRY && !remainder.contains('/') {
        return (registry, format!("{OFFICIAL}{remainder}"));
    }
    (registry, remainder.to_owned())
}

fn is_registry(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, rest)) = rest.split_once(']') else { return false };
            if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') {
                return false;
            }
            match rest {
                "" => return true,
                _ => match rest.strip_prefix(':') {
                    Some(port) => ("localhost", Some(port)),
                    None => return false,
                },
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_repository(text: &str) -> bool {
    text.split('/').all(is_component)
}

/// Lower-case letters and digits; between them one dot, one or two underscores, or any number of dashes.
fn is_component(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().last()) else { return false };
    let separators =
        text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|s| !s.is_empty());
    plain(first)
        && plain(last)
        && separators.into_iter().all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= TAG_LIMIT
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// The grammar's digest, looser than [`Digest`], which then says what is wrong with it.
fn looks_like_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let part = |part: &str| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(part)
        && hex.len() >= 32
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn parses_and_normalises() {
        let check = |text: &str, full: &str, familiar: &str| {
            let text = text.replace("HEX", HEX);
            let reference = Reference::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(reference.to_string(), full.replace("HEX", HEX), "{text}");
            assert_eq!(reference.familiar(), familiar.replace("HEX", HEX), "{text}");
            assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
            assert_eq!(Reference::parse(&reference.familiar()).unwrap(), reference);
        };
        check("redis", "docker.io/library/redis:latest", "redis:latest");
        check("redis:7", "docker.io/library/redis:7", "redis:7");
        check("user/app", "docker.io/user/app:latest", "user/app:latest");
        check("docker.io/redis", "docker.io/library/redis:latest", "redis:latest");
        check("index.docker.io/user/a", "docker.io/user/a:latest", "user/a:latest");
        check("library/redis", "docker.io/library/redis:latest", "redis:latest");
        check("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest");
        check("localhost/a", "localhost/a:latest", "localhost/a:latest");
        check("localhost", "docker.io/library/localhost:latest", "localhost:latest");
        check("localhost:5000/a@sha256:HEX", "localhost:5000/a@sha256:HEX", "localhost:5000/a@sha256:HEX");
        check("redis:7@sha256:HEX", "docker.io/library/redis:7@sha256:HEX", "redis:7@sha256:HEX");
        check("ghcr.io/a/b/c:v1.0-x_y", "ghcr.io/a/b/c:v1.0-x_y", "ghcr.io/a/b/c:v1.0-x_y");
        check("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest");
        check("[fe80::1]/a", "[fe80::1]/a:latest", "[fe80::1]/a:latest");
        check("Host/a", "Host/a:latest", "Host/a:latest");
        check("a__b/c--d.e_f", "docker.io/a__b/c--d.e_f:latest", "a__b/c--d.e_f:latest");
        check("redis:UPPER", "docker.io/library/redis:UPPER", "redis:UPPER");
        check("xn--n3h.com/a:80", "xn--n3h.com/a:80", "xn--n3h.com/a:80");
    }

    #[test]
    fn refuses_in_dockers_words() {
        let check = |text: &str, expected: &str| {
            let text = text.replace("HEX", HEX);
            assert_eq!(
                Reference::parse(&text).map_err(|e| e.to_string()),
                Err(expected.to_owned()),
                "{text}"
            );
        };
        let format = "invalid reference format";
        check("UPPER", "invalid reference format: repository name (library/UPPER) must be lowercase");
        check("user/App:1", "invalid reference format: repository name (user/App) must be lowercase");
        check("HOST/App", "invalid reference format: repository name (App) must be lowercase");
        for text in
            ["", " ", ":", "a:", "a@", "a:b:c", "/a", "a/", "a//b", "-a", "a-", ".a", "a..b", "a___b", "a._b"]
        {
            check(text, format);
        }
        check("a:-b", format);
        check(&format!("a:{}", "x".repeat(129)), format);
        check("a b", format);
        check("a_b.c/x", format);
        check("host.:80/x", format);
        check("host.com:/x", format);
        check("[::g]/x", format);
        check("[::1/x", format);
        check("a@sha256:abc", format);
        check("../../etc", format);
        check("a@sha256:HEXHEX", "invalid checksum digest length");
        check("a@md5:HEX", "unsupported digest algorithm");
        check("HEX", &format!("invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"));
        check(&format!("a/{}", "b".repeat(255)), "repository name must not be more than 255 characters");
    }

    #[test]
    fn parts() {
        let reference = Reference::parse_untagged("quay.io/a/b").unwrap();
        assert_eq!((reference.registry(), reference.repository()), ("quay.io", "a/b"));
        assert_eq!((reference.tag(), reference.digest()), (None, None));
        assert_eq!(reference.with_tag("1").unwrap().to_string(), "quay.io/a/b:1");
        assert_eq!(reference.with_tag("a/b"), Err(ReferenceError::Format));
        let digest = Digest::of(b"");
        assert_eq!(reference.with_digest(digest.clone()).to_string(), format!("quay.io/a/b@{digest}"));
    }
}
