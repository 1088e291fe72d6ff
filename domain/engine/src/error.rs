//! The domain's one error: kind, message, hints. Each front has one table from the kind to its own codes.

use std::fmt;

use corten_runtime::launch::StartFailure;
use corten_store::trees::TreeError;
use corten_store::{ImageError, StoreError};
use corten_sys::error::reason;
use corten_sys::{Errno, SysError};

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    NotFound,
    /// The image of a container that is to be made is not here: a client may pull it and try again.
    ImageMissing,
    Conflict,
    InvalidArgument,
    Denied,
    Unsupported,
    Unavailable,
    Corrupt,
    Internal,
    /// The container's command could not be started; docker's exit code for it.
    NotStarted(u8),
}

/// A failure as the user is told it: one line, and what may help.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hints: Vec<String>,
}

impl Error {
    /// A failure of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new() }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Adds what the user may try next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds the way out of what the kernel answered, where there is one.
    #[must_use]
    fn way_out(self, errno: Option<Errno>) -> Self {
        match errno {
            Some(Errno::NOSPC | Errno::DQUOT) => self.hint(
                "that file system is full: 'corten rm' and 'corten rmi' remove what is not needed any more",
            ),
            _ => self,
        }
    }

    /// A container whose command could not be started, as its keeper tells: text that has crossed a socket.
    pub(crate) fn not_started(code: u8, message: String) -> Self {
        let full = [Errno::NOSPC, Errno::DQUOT].into_iter().find(|&errno| message.ends_with(&reason(errno)));
        Self::new(ErrorKind::NotStarted(code), message).way_out(full)
    }

    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<SysError> for Error {
    fn from(error: SysError) -> Self {
        Self::new(ErrorKind::Internal, error.to_string()).way_out(Some(error.errno()))
    }
}

impl From<StartFailure> for Error {
    fn from(failure: StartFailure) -> Self {
        Self::not_started(failure.code, failure.message)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Sys(_) => ErrorKind::Internal,
            StoreError::Image(ImageError::NotFound(_)) => ErrorKind::NotFound,
            StoreError::Image(_) | StoreError::Input { .. } | StoreError::Archive(_) | StoreError::Tar(_) => {
                ErrorKind::InvalidArgument
            }
            StoreError::Format { .. } | StoreError::Record { .. } => ErrorKind::Corrupt,
            _ => ErrorKind::Internal,
        };
        Self::new(kind, with_causes(&error)).way_out(error.errno())
    }
}

impl From<TreeError> for Error {
    fn from(error: TreeError) -> Self {
        let kind = match &error {
            TreeError::Sys(_) | TreeError::Output(_) => ErrorKind::Internal,
            _ => ErrorKind::InvalidArgument,
        };
        Self::new(kind, with_causes(&error)).way_out(error.errno())
    }
}

/// The message of an error and of its causes, joined by colons.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

impl Error {
    /// An internal failure with all its causes in the message.
    pub(crate) fn from_cause(error: &dyn std::error::Error) -> Self {
        Self::new(ErrorKind::Internal, with_causes(error))
    }
}
