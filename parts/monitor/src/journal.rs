//! Where keepers and workers leave their warnings: one small file in the run root, written only when there is
//! something to say.
//!
//! Nobody reads what they would print, and they outlive the command that started them.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use corten_sys::error::Context;
use corten_sys::{SysError, clock, fs};

use crate::log_file::timestamp;

/// The name of the file, in the run root of this boot.
pub const FILE: &str = "supervisors.log";

/// A file that has grown to this is renamed, and the one before it goes.
const LIMIT: u64 = 256 << 10;

static JOURNAL: OnceLock<Journal> = OnceLock::new();
static IS_WORKER: AtomicBool = AtomicBool::new(false);

struct Journal {
    path: PathBuf,
    id: String,
}

/// From here on this process's warnings, and its children's, go to the journal of its run root. Opens nothing.
pub fn begin(run_dir: &Path, id: &str) {
    // <run root>/<boot>/containers/<id>
    let Some(run_root) = run_dir.ancestors().nth(2) else { return };
    // A process keeps one container only.
    JOURNAL.get_or_init(|| Journal { path: run_root.join(FILE), id: id.to_owned() });
    static LOGGER: Logger = Logger;
    // Where the command had set one it asks [`take`] first.
    if log::set_logger(&LOGGER).is_ok() {
        log::set_max_level(log::LevelFilter::Warn);
    }
}

/// This process is the worker, not the keeper that it is a clone of.
pub(crate) fn become_worker() {
    IS_WORKER.store(true, Ordering::Relaxed);
}

/// Writes a warning to the journal; false in a process that has none, a command.
pub fn take(message: &fmt::Arguments<'_>) -> bool {
    let Some(journal) = JOURNAL.get() else { return false };
    let who = if IS_WORKER.load(Ordering::Relaxed) { "worker" } else { "keeper" };
    let line = format!("{} {who} {} {message}\n", timestamp(clock::wall_nanos()), journal.id);
    // There is nobody left to tell.
    append(&journal.path, &line, LIMIT).unwrap_or_default();
    true
}

/// Appends a line; a file that is full becomes the old one.
fn append(path: &Path, line: &str, limit: u64) -> Result<(), SysError> {
    let open = || fs::open_with(path, OpenOptions::new().append(true).create(true).mode(0o600));
    let mut file = open()?;
    if file.metadata().on("stat", path)?.len() >= limit {
        // Two that do so at once lose one old file: no line of this one.
        fs::absent_is_none(fs::rename(path, path.with_extension("log.1")))?;
        file = open()?;
    }
    file.write_all(line.as_bytes()).on("write", path)
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            take(record.args());
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_journal_becomes_the_old_one() {
        let path = std::env::temp_dir().join(format!("corten-journal-{}.log", std::process::id()));
        let old = path.with_extension("log.1");
        let lines = || [&path, &old].map(|path| fs::read_to_string(path).unwrap_or_default());
        for line in ["one\n", "two\n", "three\n"] {
            append(&path, line, 6).unwrap();
        }
        assert_eq!(lines(), ["three\n", "one\ntwo\n"]);
        for line in ["four\n", "five\n"] {
            append(&path, line, 6).unwrap();
        }
        assert_eq!(lines(), ["four\nfive\n", "three\n"]);
        for path in [&path, &old] {
            fs::remove_file(path).unwrap();
        }
    }
}
