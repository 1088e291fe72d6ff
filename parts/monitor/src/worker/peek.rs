//! Reading a FIFO without taking from it: what the payload wrote leaves the FIFO only when it is in the log, so that a
//! worker that is killed in between loses nothing. The next one may log the last piece again.

use std::os::fd::OwnedFd;

use corten_sys::Errno;
use rustix::buffer::spare_capacity;
use rustix::pipe::{PipeFlags, SpliceFlags};

/// A pipe through which a copy of the FIFO's pages goes (tee(2)); made when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Peek {
    pipe: Option<(OwnedFd, OwnedFd)>,
}

impl Peek {
    /// Reads into the empty buffer what is at the FIFO's head; 0 where nobody holds it for writing any more.
    pub(super) fn look(&mut self, fifo: &OwnedFd, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        let (reader, writer) = match self.pipe.take() {
            Some(pipe) => pipe,
            None => rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?,
        };
        let copied = rustix::pipe::tee(fifo, &writer, buffer.capacity(), SpliceFlags::NONBLOCK)?;
        while buffer.len() < copied {
            // After an error the pipe is not kept: it may hold a rest.
            rustix::io::retry_on_intr(|| rustix::io::read(&reader, spare_capacity(buffer)))?;
        }
        self.pipe = Some((reader, writer));
        Ok(copied)
    }
}

/// Takes off the FIFO what [`Peek::look`] has read; the buffer has been used.
pub(super) fn take(fifo: &OwnedFd, buffer: &mut [u8]) -> Result<(), Errno> {
    let mut taken = 0;
    while let Some(rest) = buffer.get_mut(taken..).filter(|rest| !rest.is_empty()) {
        match rustix::io::retry_on_intr(|| rustix::io::read(fifo, &mut *rest))? {
            0 => return Ok(()),
            length => taken += length,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_at_is_there_until_it_is_taken() {
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::NONBLOCK).unwrap();
        let mut peek = Peek::default();
        let mut look = |reader: &OwnedFd| {
            let mut buffer = Vec::with_capacity(64);
            peek.look(reader, &mut buffer).map(|length| {
                assert_eq!(length, buffer.len());
                buffer
            })
        };
        assert_eq!(look(&reader), Err(Errno::AGAIN));
        rustix::io::write(&writer, b"one\n").unwrap();
        assert_eq!(look(&reader), Ok(b"one\n".to_vec()));
        rustix::io::write(&writer, b"two\n").unwrap();
        assert_eq!(look(&reader), Ok(b"one\ntwo\n".to_vec()));
        take(&reader, &mut [0; 4]).unwrap();
        assert_eq!(look(&reader), Ok(b"two\n".to_vec()));
        take(&reader, &mut [0; 4]).unwrap();
        drop(writer);
        assert_eq!(look(&reader), Ok(Vec::new()));
    }
}
