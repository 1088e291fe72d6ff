//! Digests: `algorithm:hex` of some bytes, validated once, and the two newtypes that say of which bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

/// A hash function that a digest may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    /// The name as digests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The number of hexadecimal digits.
    pub fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// Why a text is no digest. The wording is docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("invalid checksum digest format")]
    Format,
    #[error("unsupported digest algorithm")]
    Algorithm,
    #[error("invalid checksum digest length")]
    Length,
}

/// A validated digest: known algorithm, exact length, lower-case hex. Safe as part of a file name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

impl Digest {
    /// Hashes `bytes` with SHA-256.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Parses `algorithm:hex`.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let (name, hex) = text.split_once(':').ok_or(DigestError::Format)?;
        let known = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+._-".contains(&b));
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            "" => return Err(DigestError::Format),
            _ if known && !hex.is_empty() => return Err(DigestError::Algorithm),
            _ => return Err(DigestError::Format),
        };
        Self::from_hex(algorithm, hex)
    }

    /// Makes a digest of its two halves.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<Self, DigestError> {
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(DigestError::Format);
        }
        if hex.len() != algorithm.hex_len() {
            return Err(DigestError::Length);
        }
        Ok(Self { algorithm, hex: hex.into() })
    }

    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hexadecimal half.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// `algorithm-hex`: one path component without a colon, which overlayfs would read as a separator.
    pub fn file_name(&self) -> String {
        format!("{}-{}", self.algorithm.name(), self.hex)
    }

    /// Reads what [`Digest::file_name`] wrote.
    pub fn from_file_name(name: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = name.split_once('-').ok_or(DigestError::Format)?;
        match algorithm {
            "sha256" => Self::from_hex(Algorithm::Sha256, hex),
            "sha512" => Self::from_hex(Algorithm::Sha512, hex),
            _ => Err(DigestError::Algorithm),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// The digest of a layer's uncompressed tar; keys a layer in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

/// The digest of an image's config; what docker prints as IMAGE ID.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub Digest);

impl ImageId {
    /// The first twelve digits, as listings show it.
    pub fn short(&self) -> &str {
        &self.0.hex()[..12]
    }
}

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Hashes a stream. SHA-NI and the ARM extensions are used where the CPU has them.
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Starts with no bytes.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Appends bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// Returns the digest of all bytes so far.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(state) => render(Algorithm::Sha256, &state.finalize()),
            State::Sha512(state) => render(Algorithm::Sha512, &state.finalize()),
        }
    }
}

fn render(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    Digest { algorithm, hex: hex.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn hashes() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        let mut long = Hasher::new(Algorithm::Sha512);
        long.update(b"ab");
        long.update(b"c");
        assert!(long.finish().hex().starts_with("ddaf35a193617abacc417349ae204131"));
    }

    #[test]
    fn parses_only_the_canonical_form() {
        let check =
            |text: &str, expected: DigestError| assert_eq!(Digest::parse(text), Err(expected), "{text}");
        assert_eq!(Digest::parse(EMPTY).unwrap().to_string(), EMPTY);
        assert!(Digest::parse(&format!("sha512:{}", "0".repeat(128))).is_ok());
        check(&EMPTY.to_uppercase(), DigestError::Algorithm);
        check(&format!("sha256:{}", "A".repeat(64)), DigestError::Format);
        check("sha256:../../etc/passwd", DigestError::Format);
        check("sha256:abc", DigestError::Length);
        check("sha256:", DigestError::Length);
        check("md5:abc", DigestError::Algorithm);
        check("sha256", DigestError::Format);
        check(":abc", DigestError::Format);
        check("", DigestError::Format);
        check(&format!("sha512:{}", "0".repeat(64)), DigestError::Length);
        check(&format!("sha256: {}", "0".repeat(64)), DigestError::Format);
    }

    #[test]
    fn file_names_round_trip() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::from_file_name(&digest.file_name()), Ok(digest.clone()));
        assert!(!digest.file_name().contains(':'));
        assert_eq!(Digest::from_file_name("layer"), Err(DigestError::Format));
    }

    #[test]
    fn json_is_validated() {
        assert!(serde_json::from_str::<ImageId>("\"sha256:../x\"").is_err());
        let id: ImageId = serde_json::from_str(&format!("\"{EMPTY}\"")).unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{EMPTY}\""));
        assert_eq!(id.short(), "e3b0c44298fc");
    }
}
