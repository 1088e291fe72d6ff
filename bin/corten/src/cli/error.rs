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

    /// As it is with another exit code.
    #[must_use]
    pub(crate) fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Without `corten: ` in front, as docker has it everywhere but in run.
    #[must_use]
    pub(crate) fn bare(mut self) -> Self {
        self.bare = true;
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

/// The one table from the domain's kinds to exit codes of commands other than run.
fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::NotStarted(code) => code,
        _ => 1,
    }
}

impl From<Error> for CliError {
    fn from(error: Error) -> Self {
        // docker's client says this itself, before it asks a registry.
        let own_words = error.kind() == ErrorKind::ImageMissing;
        let mut lines = match own_words {
            true => vec![error.to_string()],
            false => vec![format!("{}", DaemonWords(&error))],
        };
        lines.extend(error.hints().iter().map(|hint| format!("hint: {hint}")));
        Self { lines, code: exit_code(error.kind()), bare: own_words }
    }
}

/// docker's prefix for what its daemon answers: scripts match on the line as a whole.
struct DaemonWords<'a>(&'a Error);

impl std::fmt::Display for DaemonWords<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Error response from daemon: {}", self.0)
    }
}

impl From<SysError> for CliError {
    fn from(error: SysError) -> Self {
        Self::new(error.to_string(), 1)
    }
}
