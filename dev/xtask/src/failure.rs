//! The one error of xtask: a line for a person.

use std::fmt;
use std::io;
use std::path::Path;

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// What was tried, on what, and why it did not work, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// An I/O error with the operation and the path it was tried on.
    pub(crate) fn io(call: &str, path: impl AsRef<Path>, error: &io::Error) -> Self {
        Self(format!("{call} {}: {error}", path.as_ref().display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
