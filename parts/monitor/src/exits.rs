//! The exit record: how a container's runs ended, durable before anybody is told.
//!
//! A file of two fixed-width text lines written in turn, preallocated when the container is created, so that a
//! full disk or a torn write cannot take an exit code away: the line with the higher generation counts.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use corten_sys::error::Context;
use corten_sys::{SysError, fs};

/// Bytes of one line, its newline included.
const WIDTH: usize = 192;

/// How one run ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExitRecord {
    /// Which start of the container it was; 0 is none.
    pub generation: u64,
    /// The exit code, 128 + n for a signal; `None` where nobody saw it.
    pub code: Option<i32>,
    /// The kernel killed a process of the container for memory.
    pub oom_killed: bool,
    /// Nanoseconds since 1970.
    pub started: i64,
    pub finished: i64,
    /// Restarts by policy before this run.
    pub restarts: u64,
    /// The pause before this run, in milliseconds.
    pub backoff_ms: u64,
}

impl ExitRecord {
    fn render(&self) -> String {
        let code = self.code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
        let text = format!(
            "generation={} code={code} oom={} started={} finished={} restarts={} backoff={} end",
            self.generation,
            u8::from(self.oom_killed),
            self.started,
            self.finished,
            self.restarts,
            self.backoff_ms
        );
        format!("{text:<width$}\n", width = WIDTH - 1)
    }

    fn parse(line: &str) -> Option<Self> {
        let body = line.trim_end().strip_suffix(" end")?;
        let mut record = Self::default();
        for field in body.split(' ') {
            let (key, value) = field.split_once('=')?;
            match key {
                "generation" => record.generation = value.parse().ok()?,
                "code" => record.code = value.parse().ok(),
                "oom" => record.oom_killed = value == "1",
                "started" => record.started = value.parse().ok()?,
                "finished" => record.finished = value.parse().ok()?,
                "restarts" => record.restarts = value.parse().ok()?,
                "backoff" => record.backoff_ms = value.parse().ok()?,
                _ => {}
            }
        }
        Some(record)
    }
}

/// Makes the file with room for both lines; [`write()`] needs no further block.
pub fn preallocate(path: &Path) -> Result<(), SysError> {
    let blank = format!("{:<width$}\n", "", width = WIDTH - 1).repeat(2);
    let file = fs::create_new(path)?;
    file.write_all_at(blank.as_bytes(), 0).on("write", path)
}

/// Writes a record over the older of the two lines and syncs it.
pub fn write(path: &Path, record: &ExitRecord, durable: bool) -> Result<(), SysError> {
    let file = fs::open_with(path, OpenOptions::new().write(true).create(true).truncate(false))?;
    let offset = (record.generation % 2) * WIDTH as u64;
    file.write_all_at(record.render().as_bytes(), offset).on("write", path)?;
    if durable { sync(&file, path) } else { Ok(()) }
}

fn sync(file: &File, path: &Path) -> Result<(), SysError> {
    rustix::fs::fdatasync(file).on("fdatasync", path)
}

/// Reads the last record; `None` where the container has not ended yet.
pub fn read(path: &Path) -> Result<Option<ExitRecord>, SysError> {
    let Some(bytes) = fs::read_record(path)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(ExitRecord::parse).max_by_key(|record| record.generation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_two_lines_counts_and_a_torn_one_does_not() {
        let path = std::env::temp_dir().join(format!("corten-exits-{}", std::process::id()));
        fs::remove_file(&path).unwrap();
        preallocate(&path).unwrap();
        assert_eq!(read(&path).unwrap(), None);
        let mut record = ExitRecord { generation: 1, code: Some(3), started: -5, ..ExitRecord::default() };
        write(&path, &record, true).unwrap();
        assert_eq!(read(&path).unwrap(), Some(record));
        let first = record;
        (record.generation, record.code, record.oom_killed) = (2, None, true);
        write(&path, &record, true).unwrap();
        assert_eq!(read(&path).unwrap(), Some(record));
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"generation=4 code=0 ", 0).unwrap();
        assert_eq!(read(&path).unwrap(), Some(first));
        assert_eq!(fs::read(&path).unwrap().len(), 2 * WIDTH);
        fs::remove_file(&path).unwrap();
    }
}
