//! Reading events: those of the past from the journal, those to come as they are appended.

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use corten_monitor::events as journal;
use corten_sys::error::Context;
use corten_sys::{SysError, clock, fs};
use rustix::fs::inotify;

use super::{Event, EventFilters};
use crate::{Engine, Error};

/// Which events, and until when.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// From this moment on, in nanoseconds since 1970; without it, none of the past.
    pub since: Option<i64>,
    /// Ends when this moment has come; without it, never.
    pub until: Option<i64>,
    pub filters: EventFilters,
}

/// Shows events in the order in which they were recorded; returns when `until` has come or `show` breaks off.
///
/// Blocks on the journal, which it never polls.
pub fn read(
    engine: &Engine,
    options: &ReadOptions,
    mut show: impl FnMut(&Event) -> ControlFlow<()>,
) -> Result<(), Error> {
    let directory = super::journal_of(engine);
    // Before the first look: what is appended from now on wakes.
    let watch = Watch::new(&directory)?;
    let mut tail = Tail::open(&directory)?;
    let since = options.since.unwrap_or_else(clock::wall_nanos);
    if options.since.is_none() {
        tail.skip()?;
    }
    let wanted = |event: &Event| {
        event.time_nano >= since
            && options.until.is_none_or(|until| event.time_nano <= until)
            && options.filters.matches(event)
    };
    loop {
        for event in tail.next()?.iter().filter(|event| wanted(event)) {
            if show(event).is_break() {
                return Ok(());
            }
        }
        let left = options.until.map(|until| until.saturating_sub(clock::wall_nanos()));
        if left.is_some_and(|left| left <= 0) || !watch.wait(left)? {
            return Ok(());
        }
    }
}

/// Wakes when a journal has changed.
struct Watch(OwnedFd);

impl Watch {
    fn new(directory: &Path) -> Result<Self, Error> {
        // Makes the directory where there was no event yet.
        drop(journal::hold(directory)?);
        let failed = |errno| SysError::at("watch", directory, errno);
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let fd = inotify::init(flags).map_err(failed)?;
        inotify::add_watch(&fd, directory, inotify::WatchFlags::MODIFY | inotify::WatchFlags::MOVED_TO)
            .map_err(failed)?;
        Ok(Self(fd))
    }

    /// False when `nanos` have passed.
    fn wait(&self, nanos: Option<i64>) -> Result<bool, Error> {
        let timeout = nanos.map(|nanos| Duration::from_nanos(nanos.unsigned_abs()));
        if !clock::wait_readable(&self.0, timeout)? {
            return Ok(false);
        }
        let mut buffer = [0; 4096];
        // What has happened is in the journal; how often does not matter.
        while rustix::io::read(&self.0, &mut buffer).is_ok_and(|length| length > 0) {}
        Ok(true)
    }
}

/// The files of a journal that are not read to their end yet, the oldest first; of the last one the rest is to come.
struct Tail {
    directory: PathBuf,
    files: Vec<File>,
    /// The beginning of a line.
    rest: Vec<u8>,
}

impl Tail {
    fn open(directory: &Path) -> Result<Self, Error> {
        let _hold = journal::hold(directory)?;
        let files = journal::files(directory).map(|path| fs::absent_is_none(fs::open(path)));
        let files = files.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        Ok(Self { directory: directory.to_owned(), files, rest: Vec::new() })
    }

    /// Leaves out what is there already.
    fn skip(&mut self) -> Result<(), Error> {
        self.next().map(drop)
    }

    fn next(&mut self) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        self.add_newer()?;
        for index in 0..self.files.len() {
            if let Some(file) = self.files.get_mut(index) {
                file.read_to_end(&mut self.rest).on("read", &self.directory)?;
            }
            let end = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let lines: Vec<u8> = self.rest.drain(..end).collect();
            events.extend(lines.split(|&byte| byte == b'\n').filter_map(parse));
        }
        let last = self.files.len().saturating_sub(1);
        self.files.drain(..last);
        Ok(events)
    }

    /// Opens the files that have begun since the last look. While it holds the journal, none does.
    fn add_newer(&mut self) -> Result<(), Error> {
        let _hold = journal::hold(&self.directory)?;
        let inode = |file: &File| file.metadata().map(|metadata| (metadata.dev(), metadata.ino())).ok();
        let last = self.files.last().and_then(inode);
        let mut newer = Vec::new();
        let mut paths: Vec<PathBuf> = journal::files(&self.directory).collect();
        paths.reverse();
        for path in paths {
            match fs::absent_is_none(fs::open(path))? {
                Some(file) if inode(&file) == last => break,
                Some(file) => newer.push(file),
                None => break,
            }
        }
        newer.reverse();
        self.files.extend(newer);
        Ok(())
    }
}

/// A line that was cut short by a full disk or a power cut is no event; one that was written behind it is.
fn parse(line: &[u8]) -> Option<Event> {
    const BEGIN: &[u8] = b"{\"Type\":";
    let whole = serde_json::from_slice(line).ok();
    whole.or_else(|| {
        let at =
            (1..line.len()).rev().find(|&at| line.get(at..).is_some_and(|rest| rest.starts_with(BEGIN)))?;
        serde_json::from_slice(line.get(at..)?).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_costs_itself_only() {
        let line = journal::line("image", "tag", "x", "", 3);
        assert_eq!(parse(line.trim_end().as_bytes()).map(|event| event.time_nano), Some(3));
        let torn = format!("{{\"Type\":\"image\",\"Act{}", line.trim_end());
        assert_eq!(parse(torn.as_bytes()).map(|event| event.action), Some("tag".to_owned()));
        assert_eq!(parse(b"{\"Type\":\"image\",\"Act"), None);
    }
}
