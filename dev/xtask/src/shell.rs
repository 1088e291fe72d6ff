//! Running programs: command lines that print as they are typed, and failures that name them.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use crate::failure::{Failure, Result};

/// A program with arguments; wraps [`Command`] to remember how it reads.
#[derive(Debug)]
pub(crate) struct Cmd {
    words: Vec<OsString>,
    command: Command,
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.stdin(Stdio::null());
        Self { words: vec![program.as_ref().to_owned()], command }
    }

    /// Cargo itself, as the one that runs us, without what it told us about ourselves.
    pub(crate) fn cargo(root: &Path) -> Self {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut cmd = Self::new("cargo");
        cmd.command = Command::new(cargo);
        cmd.command.current_dir(root).stdin(Stdio::null());
        // Set for us by `cargo run`; a build script of a nested build that looks at them would rebuild.
        for (name, _) in env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("CARGO_PKG_") || name_text.starts_with("CARGO_MANIFEST_") {
                cmd.command.env_remove(&name);
            }
        }
        cmd
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.words.push(arg.as_ref().to_owned());
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        for arg in args {
            self = self.arg(arg);
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub(crate) fn stdin(mut self, stdin: Stdio) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Drops the output of a program whose exit code is all that counts.
    pub(crate) fn silent(mut self) -> Self {
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        self
    }

    /// The words as a person would type them.
    pub(crate) fn line(&self) -> String {
        self.words.iter().map(|word| quote(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
    }

    /// The underlying command, for callers that keep the child.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }

    /// Runs with our stdout and stderr; any exit code is fine.
    pub(crate) fn status(mut self) -> Result<ExitStatus> {
        self.command.status().map_err(|error| Failure::new(format!("run {}: {error}", self.line())))
    }

    /// Runs with our stdout and stderr; anything but success is a failure.
    pub(crate) fn run(self) -> Result<()> {
        let line = self.line();
        let status = self.status()?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("{line}: {}", describe(status)))) }
    }

    /// Runs and collects stdout and stderr; any exit code is fine.
    pub(crate) fn output(mut self) -> Result<Output> {
        self.command.output().map_err(|error| Failure::new(format!("run {}: {error}", self.line())))
    }

    /// Runs and returns stdout as text; a failure carries the last line of stderr.
    pub(crate) fn read(self) -> Result<String> {
        let line = self.line();
        let output = self.output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr.lines().rfind(|text| !text.trim().is_empty()).unwrap_or("no message");
        Err(Failure::new(format!("{line}: {}: {last}", describe(output.status))))
    }
}

/// Returns "exit code 3" or "signal: 9 (SIGKILL)".
pub(crate) fn describe(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => status.to_string(),
    }
}

/// Returns where `program` is on PATH (or in the directories a root's PATH may lack).
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|candidate| candidate.is_file())
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn words_are_quoted_only_when_a_shell_would_need_it() {
        let check = |word, expected: &str| assert_eq!(quote(word), expected);
        check("--rm", "--rm");
        check("echo hi; id", "'echo hi; id'");
        check("it's", r"'it'\''s'");
        check("", "''");
    }
}
