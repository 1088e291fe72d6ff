//! What the user sees: data on stdout, everything else on stderr.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use corten_monitor::journal;

/// Where bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// stdout
    Data,
    /// stderr
    Other,
}

/// The two output streams.
#[derive(Debug)]
pub(crate) struct Ui {
    out: BufWriter<Stdout>,
}

impl Ui {
    pub(crate) fn new() -> Self {
        Self { out: BufWriter::new(io::stdout()) }
    }

    /// One line of data.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        self.raw(text.as_ref().as_bytes());
        self.raw(b"\n");
    }

    /// Data as it is. A reader that has gone away is no failure of the command's.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.out.write_all(bytes).unwrap_or_default();
    }

    /// Bytes as they are, pushed out at once. Fails where their reader has gone away, for a command that would
    /// go on for nobody.
    pub(crate) fn deliver(&mut self, to: Output, bytes: &[u8]) -> io::Result<()> {
        match to {
            Output::Data => self.out.write_all(bytes).and_then(|()| self.out.flush()),
            Output::Other => {
                self.out.flush()?;
                io::stderr().write_all(bytes)
            }
        }
    }

    /// Pushes the data out.
    pub(crate) fn flush(&mut self) {
        self.out.flush().unwrap_or_default();
    }

    /// One line that is no data.
    pub(crate) fn note(&mut self, text: impl AsRef<str>) {
        self.flush();
        writeln!(io::stderr(), "{}", text.as_ref()).unwrap_or_default();
    }

    /// Says whether a person, not a script, sees what is no data.
    pub(crate) fn is_watched() -> bool {
        io::stderr().is_terminal()
    }

    /// Says whether a person is looking at the data.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }
}

/// Shows the libraries' warnings on stderr.
pub(crate) fn show_warnings() {
    static WARNINGS: Warnings = Warnings;
    // Only a second logger would be refused.
    if log::set_logger(&WARNINGS).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
}

struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        // The keeper is a clone of a command, with this logger, and has nobody on its stderr.
        if self.enabled(record.metadata()) && !journal::take(record.args()) {
            writeln!(io::stderr(), "WARNING: {}", record.args()).unwrap_or_default();
        }
    }

    fn flush(&self) {}
}

impl Drop for Ui {
    fn drop(&mut self) {
        self.flush();
    }
}
