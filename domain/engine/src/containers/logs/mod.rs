//! Reading a container's log, and following it while the container runs.
//!
//! Nothing is locked: the worker only appends and renames, and a follower subscribes with the worker before it
//! reads, so that no growth goes unseen.

mod entry;
mod files;
mod follower;

use std::ops::ControlFlow;
use std::path::PathBuf;

use corten_monitor::LogFormat;
use corten_monitor::log_file::timestamp;
use memchr::memchr;

pub use corten_monitor::log_file::Stream;
pub use entry::LogEntry;

use self::files::Files;
use self::follower::{Follower, Wake};
use super::log_driver;
use super::record::ContainerRecord;
use crate::{Engine, Error};

/// Read at once; a longer line makes the buffer grow.
const BUFFER: usize = 512 << 10;

/// Which part of a log to read. Times are nanoseconds since 1970 and included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Wait for more while the container runs.
    pub follow: bool,
    pub since: Option<i64>,
    pub until: Option<i64>,
    /// Only so many lines from the end, counted before `since` and `until`.
    pub tail: Option<u64>,
}

/// What a reader of a log is told.
#[derive(Debug, Clone, Copy)]
pub enum LogEvent<'a> {
    Entry(LogEntry<'a>),
    /// Everything there is has been told: what was collected should be shown.
    CaughtUp,
}

/// Tells `sink` the log, oldest line first, until its end, the end of the container when following, or until
/// the sink breaks off. Blocks while following.
pub fn read(
    engine: &Engine,
    record: &ContainerRecord,
    options: &LogOptions,
    mut sink: impl FnMut(LogEvent<'_>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let (base, format) = log_driver::file(engine, record)
        .ok_or_else(|| Error::unsupported("configured logging driver does not support reading"))?;
    let mut follower = if options.follow { Follower::subscribe(engine, record)? } else { None };
    let mut reader = Reader::new(base, format, record.spec.log.max_files, options);
    loop {
        if reader.drain(&mut sink)?.is_break() || sink(LogEvent::CaughtUp).is_break() {
            return Ok(());
        }
        let Some(following) = &mut follower else { return Ok(()) };
        match following.wait(options.until)? {
            Wake::Grew => {}
            Wake::TimeOver => return Ok(()),
            // The log is complete when the end is seen: once more to its end.
            Wake::Ended => follower = None,
        }
    }
}

struct Reader {
    base: PathBuf,
    format: LogFormat,
    kept: u64,
    tail: Option<u64>,
    since: Option<Vec<u8>>,
    until: Option<Vec<u8>>,
    files: Option<Files>,
    buffer: Vec<u8>,
    /// Bytes at the start of the buffer that are no whole line yet.
    filled: usize,
}

impl Reader {
    fn new(base: PathBuf, format: LogFormat, kept: u64, options: &LogOptions) -> Self {
        let text = |nanos: i64| timestamp(nanos).into_bytes();
        Self {
            base,
            format,
            kept,
            tail: options.tail,
            since: options.since.map(text),
            until: options.until.map(text),
            files: None,
            buffer: Vec::new(),
            filled: 0,
        }
    }

    /// Reads to the end of what is there.
    fn drain(
        &mut self,
        sink: &mut impl FnMut(LogEvent<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        loop {
            if self.files.is_none() {
                // A tail counts what is there at the first look; a log that begins later is told whole.
                self.files = match self.tail.take() {
                    Some(lines) => Files::tail(&self.base, self.kept, lines)?,
                    None => Files::oldest(&self.base, self.kept)?,
                };
            }
            let Some(files) = &mut self.files else { return Ok(ControlFlow::Continue(())) };
            if self.filled == self.buffer.len() {
                self.buffer.resize((self.buffer.len() * 2).max(BUFFER), 0);
            }
            let mut room = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let mut length = files.read(room)?;
            if length == 0 {
                if !files.is_superseded()? {
                    break;
                }
                // What was written between that read and the rename.
                length = files.read(room)?;
            }
            if length == 0 {
                // A line torn by a dying writer is no line.
                self.filled = 0;
                if !files.advance()? {
                    break;
                }
                room = self.buffer.as_mut_slice();
                length = files.read(room)?;
            }
            if self.tell(length, sink).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if self.filled == 0 {
            // Nothing is kept of a burst while waiting for the next.
            self.buffer = Vec::new();
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Tells the whole lines among the bytes in the buffer, of which `length` are new.
    fn tell(
        &mut self,
        length: usize,
        sink: &mut impl FnMut(LogEvent<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let end = self.filled + length;
        let mut rest = self.buffer.get(..end).unwrap_or_default();
        while let Some(at) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(at);
            rest = after.get(1..).unwrap_or_default();
            let Some(entry) = LogEntry::parse(self.format, line) else { continue };
            if self.since.as_ref().is_some_and(|since| entry.time < since.as_slice()) {
                continue;
            }
            if self.until.as_ref().is_some_and(|until| entry.time > until.as_slice()) {
                return ControlFlow::Break(());
            }
            sink(LogEvent::Entry(entry))?;
        }
        let left = rest.len();
        self.buffer.copy_within(end - left..end, 0);
        self.filled = left;
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_monitor::LogOrder;
    use corten_monitor::log_file::LogFile;
    use corten_sys::{clock, fs};

    fn drain(reader: &mut Reader) -> (String, bool) {
        let mut text = Vec::new();
        let flow = reader.drain(&mut |event| {
            if let LogEvent::Entry(entry) = event {
                entry.append_to(&mut text);
            }
            ControlFlow::Continue(())
        });
        (String::from_utf8(text).unwrap(), flow.unwrap().is_break())
    }

    #[test]
    fn no_line_is_lost_over_rotations_and_torn_lines_are_passed_over() {
        let directory = std::env::temp_dir().join(format!("corten-logs-{}", std::process::id()));
        fs::create_dir_all(&directory, 0o700).unwrap();
        let base = directory.join("log");
        let mut follower = Reader::new(base.clone(), LogFormat::Json, 4, &LogOptions::default());
        assert_eq!(drain(&mut follower), (String::new(), false));
        let order = LogOrder { path: base.clone(), max_size: 1000, max_files: 4, ..LogOrder::default() };
        let mut log = LogFile::open(order.clone());
        let (mut expected, mut followed) = (String::new(), String::new());
        for number in 0..30 {
            let line = format!("line {number} \"é\\\n");
            log.write(Stream::Stdout, line.as_bytes()).unwrap();
            expected.push_str(&line);
            if number % 4 == 0 {
                followed.push_str(&drain(&mut follower).0);
            }
        }
        followed.push_str(&drain(&mut follower).0);
        assert_eq!(followed, expected);
        let whole = |options| drain(&mut Reader::new(base.clone(), LogFormat::Json, 4, &options));
        assert_eq!(whole(LogOptions::default()), (expected.clone(), false));
        let last = expected.lines().skip(18).map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!(whole(LogOptions { tail: Some(12), ..LogOptions::default() }), (last, false));
        let now = clock::wall_nanos();
        assert_eq!(whole(LogOptions { since: Some(now), ..LogOptions::default() }), (String::new(), false));
        assert_eq!(
            whole(LogOptions { until: Some(now), ..LogOptions::default() }),
            (expected.clone(), false)
        );
        assert_eq!(whole(LogOptions { until: Some(1), ..LogOptions::default() }), (String::new(), true));
        drop(log);

        let mut torn = fs::read(&base).unwrap();
        torn.extend_from_slice(b"{\"log\":\"half");
        fs::write_atomic(&base, &torn).unwrap();
        LogFile::open(order).write(Stream::Stdout, b"after\n").unwrap();
        expected.push_str("after\n");
        assert_eq!(whole(LogOptions::default()), (expected, false));
        fs::remove_dir_all(&directory).unwrap();
    }
}
