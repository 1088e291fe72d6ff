//! The log of a container, wherever it goes.

use corten_sys::SysError;

use crate::journald::Journald;
use crate::log_file::{LogFile, Stream};
use crate::order::LogSink;
use crate::syslog::Syslog;

/// One of docker's log drivers. None of them stops the payload for longer than a moment.
#[derive(Debug)]
pub(crate) enum Log {
    Files(LogFile),
    Journald(Journald),
    Syslog(Syslog),
}

impl Log {
    /// `late`: a file is only made when there is something to write.
    pub(crate) fn open(sink: LogSink, late: bool) -> Self {
        match sink {
            LogSink::Files(order) if late => Self::Files(LogFile::when_needed(order)),
            LogSink::Files(order) => Self::Files(LogFile::open(order)),
            LogSink::Journald(order) => Self::Journald(Journald::new(order)),
            LogSink::Syslog(order) => Self::Syslog(Syslog::new(order)),
        }
    }

    /// Takes what a stream wrote; an unfinished line waits for its rest.
    pub(crate) fn write(&mut self, stream: Stream, bytes: &[u8]) -> Result<(), SysError> {
        match self {
            Self::Files(files) => files.write(stream, bytes),
            Self::Journald(journald) => {
                journald.write(stream, bytes);
                Ok(())
            }
            Self::Syslog(syslog) => {
                syslog.write(stream, bytes);
                Ok(())
            }
        }
    }

    /// Gives back the memory that a burst of output took.
    pub(crate) fn release(&mut self) {
        if let Self::Files(files) = self {
            files.release();
        }
    }

    /// Writes the unfinished lines; syncs a file that is to be durable.
    pub(crate) fn finish(&mut self, durable: bool) -> Result<(), SysError> {
        match self {
            Self::Files(files) => files.finish(durable),
            Self::Journald(journald) => {
                journald.finish();
                Ok(())
            }
            Self::Syslog(syslog) => {
                syslog.finish();
                Ok(())
            }
        }
    }
}
