//! The logs of several containers at once: a reading process for each, whose lines are told in the order of their
//! times for what there is already, and as they come for what follows.

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use corten_engine::containers::logs::{self, LogEntry, LogEvent, LogOptions, Stream};
use corten_engine::containers::{self, ContainerRecord};
use corten_engine::{Engine, Error};
use corten_sys::process::{self, Cloned};
use corten_sys::{SysError, clock, socket};
use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;

use super::Shown;
use crate::cli::CliError;
use crate::ui::{Output, Ui};

/// So much of a reader's lines is taken at once, and waits at most for those of others.
const AT_ONCE: usize = 256 << 10;

/// A frame begins with what it is, the time, and the length of its text.
const HEAD: usize = 1 + TIME + 4;
const TIME: usize = 30;

const STDOUT: u8 = b'o';
const STDERR: u8 = b'e';
/// All that was there has been told.
const CAUGHT_UP: u8 = b'c';

/// Shows the logs of these containers, each line behind its container's name; returns whether all could be read.
///
/// The caller has one thread.
pub(super) fn show(
    ui: &mut Ui,
    engine: &Engine,
    records: &[ContainerRecord],
    options: &LogOptions,
    shown: &Shown,
) -> Result<bool, CliError> {
    let width = records.iter().map(|record| record.name.len()).max().unwrap_or(0);
    let mut sources = Vec::new();
    for record in records {
        sources.push(Source {
            prefix: format!("{:width$} | ", record.name).into_bytes(),
            ..Source::new(engine, record, options, shown)?
        });
    }
    while let Some(next) = next(&mut sources)? {
        let Some(source) = sources.get_mut(next) else { break };
        let mut shown = source.show_first(ui);
        if sources.iter().all(|source| source.first().is_none()) {
            // All that has come is shown before the next is waited for.
            shown = shown.and_then(|()| ui.deliver(Output::Data, b""));
        }
        if shown.is_err() {
            // Nobody reads any more; the readers end with this process.
            return Ok(true);
        }
    }
    ui.flush();
    let mut all = true;
    for source in &sources {
        all &= process::wait(&source.reader)?.code() == 0;
    }
    Ok(all)
}

/// A reading process and what it has said.
struct Source {
    prefix: Vec<u8>,
    reader: OwnedFd,
    socket: UnixStream,
    said: Vec<u8>,
    /// Told already, at the front of that.
    told: usize,
    caught_up: bool,
    ended: bool,
}

impl Source {
    fn new(
        engine: &Engine,
        record: &ContainerRecord,
        options: &LogOptions,
        shown: &Shown,
    ) -> Result<Self, CliError> {
        let (ours, theirs) = socket::pair()?;
        match process::clone(0, None)? {
            Cloned::Parent { pidfd, .. } => Ok(Self {
                prefix: Vec::new(),
                reader: pidfd,
                socket: ours,
                said: Vec::new(),
                told: 0,
                caught_up: false,
                ended: false,
            }),
            Cloned::Child => {
                drop(ours);
                let read = process::die_with_parent(Signal::KILL)
                    .map_err(Error::from)
                    .and_then(|()| read(engine, record, options, shown, &theirs));
                if let Err(error) = &read {
                    log::warn!("logs of {}: {error}", record.name);
                }
                process::exit_now(i32::from(read.is_err()))
            }
        }
    }

    /// The kind, the time and the text of the first frame that has not been told.
    fn first(&self) -> Option<(u8, &[u8], &[u8])> {
        let rest = self.said.get(self.told..)?;
        let (head, rest) = rest.split_at_checked(HEAD)?;
        let (time, length) = head.get(1..)?.split_at_checked(TIME)?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        Some((*head.first()?, time, rest.get(..length)?))
    }

    /// Takes frames that only say something about the reader.
    fn settle(&mut self) {
        while let Some((CAUGHT_UP, _, text)) = self.first() {
            self.told += HEAD + text.len();
            self.caught_up = true;
        }
    }

    fn receive(&mut self) -> Result<(), SysError> {
        self.said.drain(..self.told);
        self.told = 0;
        let begun = self.said.len();
        self.said.resize(begun + AT_ONCE, 0);
        let room = self.said.get_mut(begun..).unwrap_or_default();
        let length = match self.socket.read(room) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                self.said.truncate(begun);
                return Ok(());
            }
            Err(error) => return Err(SysError::io("read", "a log", &error)),
        };
        self.said.truncate(begun + length);
        self.ended = length == 0;
        self.settle();
        Ok(())
    }

    fn show_first(&mut self, ui: &mut Ui) -> std::io::Result<()> {
        let Some((kind, _, text)) = self.first() else { return Ok(()) };
        let length = HEAD + text.len();
        let line = [self.prefix.as_slice(), text, if text.ends_with(b"\n") { b"" } else { b"\n" }].concat();
        if kind == STDOUT {
            ui.raw(&line);
        } else {
            ui.deliver(Output::Other, &line)?;
        }
        self.told += length;
        self.settle();
        Ok(())
    }
}

/// The source whose first line comes next; waits for lines, and `None` is the end.
fn next(sources: &mut [Source]) -> Result<Option<usize>, SysError> {
    loop {
        let waiting = |source: &Source| source.first().is_none() && !source.ended;
        // What was there before is told in order: nobody is ahead of one that may still say something older.
        match sources.iter_mut().find(|source| waiting(source) && !source.caught_up) {
            Some(source) => source.receive()?,
            None => {
                let firsts =
                    sources.iter().enumerate().filter_map(|(index, source)| Some((source.first()?.1, index)));
                match firsts.min() {
                    Some((_, index)) => return Ok(Some(index)),
                    None if sources.iter().all(|source| source.ended) => return Ok(None),
                    None => wait(sources)?,
                }
            }
        }
    }
}

/// Waits until one of those that follow has said something, and takes that.
fn wait(sources: &mut [Source]) -> Result<(), SysError> {
    let open: Vec<&mut Source> = sources.iter_mut().filter(|source| !source.ended).collect();
    let mut fds: Vec<_> =
        open.iter().map(|source| PollFd::from_borrowed_fd(source.socket.as_fd(), PollFlags::IN)).collect();
    clock::poll(&mut fds, None)?;
    let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    drop(fds);
    open.into_iter().zip(ready).filter(|(_, ready)| *ready).try_for_each(|(source, _)| source.receive())
}

/// What a reading process does: sends frames to whoever shows them.
fn read(
    engine: &Engine,
    record: &ContainerRecord,
    options: &LogOptions,
    shown: &Shown,
    to: &UnixStream,
) -> Result<(), Error> {
    // A container whose keeper was killed gets a new one by this, and with it its log goes on.
    containers::state::read(engine, record)?;
    let mut collected = Vec::new();
    let mut text = Vec::new();
    let mut caught_up = false;
    logs::read(engine, record, options, |event| {
        match event {
            LogEvent::Entry(entry) => {
                text.clear();
                if shown.render(&entry, &mut text) {
                    frame(&mut collected, &entry, &text);
                }
                if collected.len() < AT_ONCE {
                    return ControlFlow::Continue(());
                }
            }
            LogEvent::CaughtUp if !std::mem::replace(&mut caught_up, true) => {
                collected.push(CAUGHT_UP);
                collected.extend_from_slice(&[b'0'; TIME]);
                collected.extend_from_slice(&[0; 4]);
            }
            LogEvent::CaughtUp => {}
        }
        let mut to = to;
        let sent = to.write_all(&collected);
        collected.clear();
        if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
}

fn frame(out: &mut Vec<u8>, entry: &LogEntry<'_>, text: &[u8]) {
    out.push(if entry.stream == Stream::Stdout { STDOUT } else { STDERR });
    out.extend_from_slice(entry.time);
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(text);
}
