//! Bytes from one thread to another in big recycled buffers, with an explicit end.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Big enough that hand-over and system calls cost nothing beside the copying, small enough for a cache.
pub(crate) const CHUNK: usize = 256 << 10;

enum Message {
    Data(Vec<u8>),
    End,
    Failed(io::Error),
}

/// The writing end. Dropped without [`ChunkSender::finish`] it makes the reader fail, not end.
pub(crate) struct ChunkSender {
    sender: SyncSender<Message>,
    spare: Receiver<Vec<u8>>,
}

/// The reading end.
pub(crate) struct ChunkReader {
    receiver: Receiver<Message>,
    spare: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    position: usize,
    ended: bool,
}

/// Makes a pair that holds at most `depth` chunks.
pub(crate) fn chunks(depth: usize) -> (ChunkSender, ChunkReader) {
    let (sender, receiver) = sync_channel(depth);
    let (spare_sender, spare) = channel();
    let reader = ChunkReader { receiver, spare: spare_sender, chunk: Vec::new(), position: 0, ended: false };
    (ChunkSender { sender, spare }, reader)
}

impl ChunkSender {
    /// An empty buffer, one that came back where there is one.
    pub(crate) fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.returned().unwrap_or_else(|| Vec::with_capacity(CHUNK));
        buffer.clear();
        buffer
    }

    /// A buffer that came back, where there is one.
    pub(crate) fn returned(&self) -> Option<Vec<u8>> {
        self.spare.try_recv().ok()
    }

    /// Hands a buffer over, waiting while the channel is full. `false` where the reader is gone.
    pub(crate) fn send(&self, chunk: Vec<u8>) -> bool {
        chunk.is_empty() || self.sender.send(Message::Data(chunk)).is_ok()
    }

    /// Ends the stream.
    pub(crate) fn finish(self) {
        // A reader that is gone needs no end.
        drop(self.sender.send(Message::End));
    }

    /// Makes the reader fail with this error.
    pub(crate) fn fail(self, error: io::Error) {
        drop(self.sender.send(Message::Failed(error)));
    }
}

impl ChunkReader {
    /// Takes the next chunk whole, or `None` at the end. [`ChunkReader::give_back`] it for the sender to fill again.
    pub(crate) fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.fill_buf()?;
        let mut chunk = std::mem::take(&mut self.chunk);
        chunk.drain(..std::mem::take(&mut self.position));
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    pub(crate) fn give_back(&self, chunk: Vec<u8>) {
        // A sender that is gone needs no buffers.
        drop(self.spare.send(chunk));
    }
}

impl BufRead for ChunkReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.chunk.len() && !self.ended {
            match self.receiver.recv() {
                Ok(Message::Data(chunk)) => {
                    let old = std::mem::replace(&mut self.chunk, chunk);
                    self.position = 0;
                    if old.capacity() > 0 {
                        // A sender that is gone needs no buffers.
                        drop(self.spare.send(old));
                    }
                }
                Ok(Message::End) => self.ended = true,
                Ok(Message::Failed(error)) => return Err(error),
                Err(_) => return Err(io::Error::new(io::ErrorKind::BrokenPipe, "its reader stopped")),
            }
        }
        Ok(&self.chunk[self.position..])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Collects small writes into chunks.
pub(crate) struct ChunkWriter {
    sender: ChunkSender,
    buffer: Vec<u8>,
}

impl ChunkWriter {
    pub(crate) fn new(sender: ChunkSender) -> Self {
        Self { buffer: sender.buffer(), sender }
    }

    /// Reads at most `limit` bytes of a file straight into the chunk and returns how many; none at the file's end.
    pub(crate) fn read_from(&mut self, file: &File, offset: u64, limit: u64) -> io::Result<usize> {
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        let start = self.buffer.len();
        let room = (CHUNK - start).min(usize::try_from(limit).unwrap_or(usize::MAX));
        self.buffer.resize(start + room, 0);
        let read = file.read_at(&mut self.buffer[start..], offset);
        self.buffer.truncate(start + read.as_ref().map_or(0, |count| *count));
        read
    }

    /// Ends the stream.
    pub(crate) fn finish(mut self) {
        // A reader that is gone needs no rest.
        drop(self.flush());
        self.sender.finish();
    }

    /// Makes the reader fail with this error.
    pub(crate) fn fail(self, error: io::Error) {
        self.sender.fail(error);
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        let part = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..part]);
        Ok(part)
    }

    fn flush(&mut self) -> io::Result<()> {
        let next = self.sender.buffer();
        match self.sender.send(std::mem::replace(&mut self.buffer, next)) {
            true => Ok(()),
            false => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_only_when_told() {
        let (sender, mut reader) = chunks(4);
        assert!(sender.send(b"ab".to_vec()));
        assert!(sender.send(b"c".to_vec()));
        sender.finish();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");

        let (sender, mut reader) = chunks(1);
        assert!(sender.send(b"ab".to_vec()));
        drop(sender);
        assert_eq!(reader.read_to_string(&mut text).unwrap_err().kind(), io::ErrorKind::BrokenPipe);

        let (sender, reader) = chunks(1);
        drop(reader);
        assert!(!sender.send(b"ab".to_vec()));
    }
}
