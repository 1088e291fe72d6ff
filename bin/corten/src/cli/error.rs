//! How a command fails: one line on stderr, docker's exit code, hints below.

use std::process::ExitCode;

use corten_engine::{Error, ErrorKind};
use corten_sys::SysError;

use crate::ui::Ui;

/// A failed command.
#[derive(Debug)]
pub(crate) struct CliError {
    lines: Vec<String>,
    code: u8,
    /// Printed as it is, without `corten: `: usage texts.
    bare: bool,
}

impl CliError {
    /// One line and an exit code.
    pub(crate) fn new(message: impl Into<String>, code: u8) -> Self {
        Self { lines: vec![message.into()], code, bare: false }
    }

    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(message, 1)
    }

    /// Wrong flags or arguments: docker's 125 for run and its like, 1 elsewhere is set by the caller.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { lines: vec![message.into()], code: 125, bare: true }
    }

    /// The command has said everything itself.
    pub(crate) fn silent(code: u8) -> Self {
        Self { lines: Vec::new(), code, bare: true }
    }

    /// One line as it is, without `corten: `.
    pub(crate) fn bare(message: impl Into<String>, code: u8) -> Self {
        Self { lines: vec![message.into()], code, bare: true }
    }

    /// As [`CliError::bare`], for a failure that says itself what was tried.
    pub(crate) fn plain(error: impl std::fmt::Display) -> Self {
        Self::bare(error.to_string(), 1)
    }

    /// What docker's daemon would answer.
    pub(crate) fn daemon(message: impl std::fmt::Display) -> Self {
        Self::bare(format!("{DAEMON}{message}"), 1)
    }

    /// Puts what was tried before the reason, behind docker's prefix.
    #[must_use]
    pub(crate) fn within(mut self, tried: &str) -> Self {
        if let Some(line) = self.lines.first_mut() {
            let reason = line.strip_prefix(DAEMON).unwrap_or(line);
            *line = format!("{DAEMON}{tried}: {reason}");
        }
        self
    }

    /// As [`CliError::code`], but help stays a success.
    #[must_use]
    pub(crate) fn code_unless_help(self, code: u8) -> Self {
        if self.code == 0 { self } else { self.code(code) }
    }

    /// As it is with another exit code.
    #[must_use]
    pub(crate) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Several failures, each on its line.
    pub(crate) fn all(errors: Vec<Self>) -> Result<u8, Self> {
        let Some(code) = errors.iter().map(|error| error.code).max() else { return Ok(0) };
        Err(Self { lines: errors.into_iter().flat_map(|error| error.lines).collect(), code, bare: true })
    }

    /// Adds a line below.
    #[must_use]
    pub(crate) fn hint(mut self, line: &str) -> Self {
        if !self.lines.is_empty() {
            self.lines.push(String::new());
            self.lines.push(line.to_owned());
        }
        self
    }

    /// Prints the error and returns its code.
    pub(crate) fn report(self, ui: &mut Ui) -> ExitCode {
        for (index, line) in self.lines.iter().enumerate() {
            let prefix = if self.bare || index > 0 { "" } else { "corten: " };
            ui.note(format!("{prefix}{line}"));
        }
        ExitCode::from(self.code)
    }
}

/// docker's prefix for what its daemon answers: scripts match on the line as a whole.
const DAEMON: &str = "Error response from daemon: ";

/// What docker's daemon would answer, for who has no error to make of it yet.
pub(crate) fn daemon(message: &str) -> String {
    format!("{DAEMON}{message}")
}

impl CliError {
    /// The exit code of a failure of the engine's.
    pub(crate) fn code_of(error: &Error) -> u8 {
        exit_code(error.kind())
    }

    /// Puts `corten: ` in front of what the daemon would answer, as run does.
    #[must_use]
    pub(crate) fn prefixed(mut self) -> Self {
        self.bare &= !self.lines.first().is_some_and(|line| line.starts_with(DAEMON));
        self
    }
}

/// The one table from the domain's kinds to exit codes of commands other than run.
fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::NotStarted(code) => code,
        _ => 1,
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        // docker's client says this one itself, before it asks a registry.
        let said_by = if error.kind() == ErrorKind::ImageMissing { "" } else { DAEMON };
        let mut lines = vec![format!("{said_by}{error}")];
        lines.extend(error.hints().iter().map(|hint| format!("hint: {hint}")));
        Self { lines, code: exit_code(error.kind()), bare: true }
    }
}

impl From<SysError> for CliError {
    fn from(error: SysError) -> Self {
        Self::new(error.to_string(), 1)
    }
}
