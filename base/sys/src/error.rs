//! The error of every wrapper in this crate: which call, on what, and the errno.

use std::fmt;
use std::io;
use std::path::Path;

pub use rustix::io::Errno;

/// A system call that failed, with what it was tried on.
///
/// Displays as `open /etc/passwd: No such file or directory`; the errno text is part of the message, so
/// [`std::error::Error::source`] is empty.
#[derive(Debug, Clone)]
pub struct SysError {
    call: &'static str,
    subject: String,
    errno: Errno,
}

impl SysError {
    /// Describes the failure of `call` on `subject` (a path, a pid, an option: whatever the caller named).
    pub fn new(call: &'static str, subject: impl Into<String>, errno: Errno) -> Self {
        Self { call, subject: subject.into(), errno }
    }

    /// As [`SysError::new`] for a path, which need not be UTF-8.
    pub fn at(call: &'static str, path: impl AsRef<Path>, errno: Errno) -> Self {
        Self::new(call, path.as_ref().display().to_string(), errno)
    }

    /// As [`SysError::at`] for an error of the standard library; one without an errno counts as EIO.
    pub fn io(call: &'static str, path: impl AsRef<Path>, error: &io::Error) -> Self {
        Self::at(call, path, Errno::from_io_error(error).unwrap_or(Errno::IO))
    }

    /// What the kernel answered.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// The call that failed.
    pub fn call(&self) -> &'static str {
        self.call
    }
}

impl fmt::Display for SysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = reason(self.errno);
        if self.subject.is_empty() {
            write!(f, "{}: {reason}", self.call)
        } else {
            write!(f, "{} {}: {reason}", self.call, self.subject)
        }
    }
}

impl std::error::Error for SysError {}

/// Returns the C library's text for `errno` in lower case ("no such file or directory"), as docker prints it.
pub fn reason(errno: Errno) -> String {
    let text = io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// Attaches the call and its subject to a rustix result.
pub trait Context<T> {
    /// Names the call and the path it was tried on.
    fn on(self, call: &'static str, path: impl AsRef<Path>) -> Result<T, SysError>;
}

impl<T> Context<T> for Result<T, Errno> {
    fn on(self, call: &'static str, path: impl AsRef<Path>) -> Result<T, SysError> {
        self.map_err(|errno| SysError::at(call, path, errno))
    }
}

impl<T> Context<T> for io::Result<T> {
    fn on(self, call: &'static str, path: impl AsRef<Path>) -> Result<T, SysError> {
        self.map_err(|error| SysError::io(call, path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_call_subject_and_reason() {
        let error = SysError::at("open", "/etc/x", Errno::NOENT);
        assert_eq!(error.to_string(), "open /etc/x: no such file or directory");
        assert_eq!(
            SysError::new("fork", "", Errno::AGAIN).to_string(),
            "fork: resource temporarily unavailable"
        );
    }
}
