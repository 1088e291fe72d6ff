//! The journal of events: one JSON object a line, appended by whoever did what it tells of: commands, keepers, workers.
//!
//! `events/0.jsonl` is the newest file; a full one becomes `1.jsonl`, and so on. Appending holds the directory's lock
//! shared and for one write, so that a rotation, which holds it alone, loses no line. A line is written back at once but
//! not waited for, and a file has its room from its beginning. Filtering and following are the engine's.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use corten_sys::error::Context;
use corten_sys::{Errno, SysError, clock, fs};
use rustix::fs::{FallocateFlags, FlockOperation};

use crate::exits::ExitRecord;
use crate::order::Order;
use crate::state;

/// A file of this size is full.
const LIMIT: u64 = 1 << 20;

/// Files that are kept.
const FILES: u32 = 4;

/// What the events of a container say of it beside what happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Where the journal is; empty where there is none.
    pub journal: PathBuf,
    pub name: String,
    /// Members of a JSON object: the image and the labels.
    pub attributes: String,
}

/// Renders one event. `attributes`: the members of a JSON object.
pub fn line(kind: &str, action: &str, id: &str, attributes: &str, time: i64) -> String {
    format!(
        "{{\"Type\":\"{kind}\",\"Action\":\"{action}\",\"Actor\":{{\"ID\":\"{id}\",\"Attributes\":{{{attributes}}}}},\
         \"scope\":\"local\",\"time\":{},\"timeNano\":{time}}}\n",
        time.div_euclid(1_000_000_000)
    )
}

/// Appends the event of a container that its supervisors have seen. `more`: further members of its attributes, each
/// followed by a comma.
///
/// A journal that cannot be written is warned of: what happened has happened.
pub fn tell(order: &Order, action: &str, more: &str) {
    let subject = &order.subject;
    if subject.journal.as_os_str().is_empty() {
        return;
    }
    let renamed = fs::read_if_exists(order.run_dir.join(state::NAME)).ok().flatten();
    let name = renamed.map(|name| String::from_utf8_lossy(&name).into_owned());
    let name = name.as_ref().unwrap_or(&subject.name);
    // A name of a container has nothing in it that JSON escapes.
    let comma = if subject.attributes.is_empty() { "" } else { "," };
    let attributes = format!("{more}{}{comma}\"name\":\"{name}\"", subject.attributes);
    let line = line("container", action, &order.id, &attributes, clock::wall_nanos());
    if let Err(error) = append(&subject.journal, &line) {
        log::warn!("event {action} of container {}: {error}", order.id);
    }
}

/// Tells how a run ended.
pub fn tell_end(order: &Order, exit: &ExitRecord) {
    if exit.oom_killed {
        tell(order, "oom", "");
    }
    let code = exit.code.unwrap_or(255);
    let seconds = exit.finished.saturating_sub(exit.started) / 1_000_000_000;
    tell(order, "die", &format!("\"execDuration\":\"{seconds}\",\"exitCode\":\"{code}\","));
}

/// Appends lines to a journal, whose directory is made where it is missing.
pub fn append(directory: &Path, lines: &str) -> Result<(), SysError> {
    append_within(directory, lines, LIMIT)
}

fn append_within(directory: &Path, lines: &str, limit: u64) -> Result<(), SysError> {
    let path = directory.join(file_name(0));
    loop {
        let lock = lock(directory, FlockOperation::LockShared)?;
        let mut file = fs::open_with(&path, OpenOptions::new().append(true).create(true).mode(0o600))?;
        let length = file.metadata().on("stat", &path)?.len();
        if length == 0 {
            // Room for what happens while the disk is full; where there is none, or it cannot be had, so be it.
            rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, limit).unwrap_or_default();
        }
        if length < limit {
            file.write_all(lines.as_bytes()).on("write", &path)?;
            fs::begin_writeback(&file);
            return Ok(());
        }
        drop(lock);
        rotate(directory, limit)?;
    }
}

/// Makes room for a new file, unless somebody else just has.
fn rotate(directory: &Path, limit: u64) -> Result<(), SysError> {
    let _lock = lock(directory, FlockOperation::LockExclusive)?;
    let path = directory.join(file_name(0));
    if std::fs::metadata(&path).on("stat", &path)?.len() < limit {
        return Ok(());
    }
    for number in (0..FILES - 1).rev() {
        let [from, to] = [number, number + 1].map(|number| directory.join(file_name(number)));
        fs::absent_is_none(fs::rename(from, to))?;
    }
    Ok(())
}

/// The files of a journal, the oldest first; some may not be there.
pub fn files(directory: &Path) -> impl Iterator<Item = PathBuf> {
    (0..FILES).rev().map(|number| directory.join(file_name(number)))
}

fn file_name(number: u32) -> String {
    format!("{number}.jsonl")
}

/// Locks the journal: shared, it is not rotated; alone, nobody appends. Released with the file.
fn lock(directory: &Path, operation: FlockOperation) -> Result<File, SysError> {
    let file = match fs::open(directory) {
        Err(error) if error.errno() == Errno::NOENT => {
            fs::create_dir_all(directory, 0o700)?;
            fs::open(directory)?
        }
        other => other?,
    };
    rustix::fs::flock(&file, operation).map_err(|errno| SysError::at("flock", directory, errno))?;
    Ok(file)
}

/// Keeps a journal from being rotated while it is read.
pub fn hold(directory: &Path) -> Result<File, SysError> {
    lock(directory, FlockOperation::LockShared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object() {
        assert_eq!(
            line("volume", "create", "data", "\"driver\":\"local\"", 1_500_000_000),
            "{\"Type\":\"volume\",\"Action\":\"create\",\"Actor\":{\"ID\":\"data\",\"Attributes\":\
             {\"driver\":\"local\"}},\"scope\":\"local\",\"time\":1,\"timeNano\":1500000000}\n"
        );
    }

    #[test]
    fn full_files_move_up_and_the_oldest_goes() {
        let directory = std::env::temp_dir().join(format!("corten-events-{}", std::process::id()));
        for text in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "seven\n"] {
            append_within(&directory, text, 5).unwrap();
        }
        let texts: Vec<String> = files(&directory).map(|path| fs::read_to_string(path).unwrap()).collect();
        assert_eq!(texts, ["three\n", "four\n", "five\n", "six\nseven\n"]);
        fs::remove_dir_all(&directory).unwrap();
    }
}
