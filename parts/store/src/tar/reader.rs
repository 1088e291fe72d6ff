//! The archive as a sequence of entries, with every byte that is not file content kept as it was.

use std::io::{BufRead, ErrorKind};

use super::header::{Format, Header, number};
use super::pax::Records;
use super::sparse::{self, MapReader, Segment};
use super::{BLOCK, Entry, Kind, SPECIAL_LIMIT, TarError};

/// Reads entries one after the other.
pub(crate) struct Reader<R> {
    source: R,
    /// Headers and padding since the last entry: what a recipe keeps.
    literal: Vec<u8>,
    left: u64,
    padding: usize,
    offset: u64,
}

impl<R: BufRead> Reader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, literal: Vec::new(), left: 0, padding: 0, offset: 0 }
    }

    /// The bytes between the last entry's content and this one's.
    pub(crate) fn literal(&self) -> &[u8] {
        &self.literal
    }

    /// The content of this entry that is buffered now; empty at its end.
    pub(crate) fn data(&mut self) -> Result<&[u8], TarError> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let bytes = fill(&mut self.source)?;
        if bytes.is_empty() {
            return Err(TarError::Truncated("a file"));
        }
        Ok(&bytes[..bytes.len().min(left)])
    }

    /// Marks `count` bytes of [`Reader::data`] as read.
    pub(crate) fn consume(&mut self, count: usize) {
        self.source.consume(count);
        self.left -= count as u64;
        self.offset += count as u64;
    }

    /// What follows the end marker; also needed to read a stream of digests to its end.
    pub(crate) fn into_source(self) -> R {
        self.source
    }

    /// Returns the next entry, or `None` at the end marker or the end of the stream. Content of the last
    /// entry that was not consumed is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        self.literal.clear();
        self.skip_content()?;
        let mut pax: Option<Records> = None;
        let (mut long_name, mut long_link) = (None, None);
        loop {
            let Some(block) = self.header()? else { return Ok(None) };
            let header = Header(&block);
            let offset = self.offset - BLOCK as u64;
            match header.flag() {
                b'x' | b'X' => {
                    let bytes = self.special(&header)?;
                    pax = Some(Records::parse(&bytes).ok_or(TarError::Pax(offset))?);
                }
                b'L' => long_name = Some(self.long_text(&header)?),
                b'K' => long_link = Some(self.long_text(&header)?),
                b'g' => {
                    let bytes = self.special(&header)?;
                    let records = Records::parse(&bytes).ok_or(TarError::Pax(offset))?;
                    // Readers differ on whether a global size counts: a smuggler's tool and nothing else.
                    if records.size.is_some() || records.path.is_some() || records.link.is_some() {
                        return Err(TarError::Pax(offset));
                    }
                }
                _ => {
                    let mut entry = self.entry(&header, offset, pax.take().unwrap_or_default())?;
                    if let Some(name) = long_name {
                        entry.path = name;
                    }
                    if let Some(link) = long_link {
                        entry.link = link;
                    }
                    return Ok(Some(entry));
                }
            }
        }
    }

    fn skip_content(&mut self) -> Result<(), TarError> {
        while self.left > 0 {
            let count = self.data()?.len();
            self.consume(count);
        }
        let padding = std::mem::take(&mut self.padding);
        if padding > 0 {
            self.read_literal(padding, "a file's padding")?;
        }
        Ok(())
    }

    /// Appends `count` bytes of the stream to the literal and returns where they start there.
    fn read_literal(&mut self, count: usize, what: &'static str) -> Result<usize, TarError> {
        let start = self.literal.len();
        let mut left = count;
        while left > 0 {
            let bytes = fill(&mut self.source)?;
            if bytes.is_empty() {
                return Err(TarError::Truncated(what));
            }
            let part = bytes.len().min(left);
            self.literal.extend_from_slice(&bytes[..part]);
            self.source.consume(part);
            left -= part;
        }
        self.offset += count as u64;
        Ok(start)
    }

    fn block(&mut self, what: &'static str) -> Result<[u8; BLOCK], TarError> {
        let start = self.read_literal(BLOCK, what)?;
        let mut block = [0; BLOCK];
        block.copy_from_slice(&self.literal[start..]);
        Ok(block)
    }

    /// Reads a header block that is not the end marker.
    fn header(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        if fill(&mut self.source)?.is_empty() {
            return Ok(None);
        }
        let block = self.block("a header")?;
        let offset = self.offset - BLOCK as u64;
        if block == [0; BLOCK] {
            if fill(&mut self.source)?.is_empty() || self.block("the end marker")? == [0; BLOCK] {
                return Ok(None);
            }
            return Err(TarError::Header(offset));
        }
        if Header(&block).is_valid() { Ok(Some(block)) } else { Err(TarError::Header(offset)) }
    }

    /// Reads the content of an extension entry.
    fn special(&mut self, header: &Header<'_>) -> Result<Vec<u8>, TarError> {
        let offset = self.offset - BLOCK as u64;
        let size = header.size().ok_or(TarError::Field { field: "size", offset })?;
        if size > SPECIAL_LIMIT {
            return Err(TarError::SpecialTooLarge(size));
        }
        // At most 1 MiB, so no truncation on any target.
        let length = usize::try_from(size).map_err(|_| TarError::SpecialTooLarge(size))?;
        let start = self.read_literal(length.next_multiple_of(BLOCK), "an extended header")?;
        Ok(self.literal[start..start + length].to_vec())
    }

    fn long_text(&mut self, header: &Header<'_>) -> Result<Vec<u8>, TarError> {
        let bytes = self.special(header)?;
        Ok(super::header::text(&bytes).to_vec())
    }

    fn entry(&mut self, header: &Header<'_>, offset: u64, pax: Records) -> Result<Entry, TarError> {
        let field = |field| TarError::Field { field, offset };
        let path = pax.path.clone().unwrap_or_else(|| header.path());
        let kind = match header.flag() {
            b'0' | b'7' | b'S' => Kind::File,
            0 if path.ends_with(b"/") => Kind::Directory,
            0 => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            flag => return Err(TarError::Type { flag, offset }),
        };
        let size = match pax.size {
            Some(size) => size,
            None => header.size().ok_or(field("size"))?,
        };
        // As Go and GNU tar: only files have content, whatever the size field of others says.
        let stored = if kind == Kind::File { size } else { 0 };
        let owner = |record: Option<u64>, value: Option<i64>| match record {
            Some(id) => Some(id),
            None => value.and_then(|id| u64::try_from(id).ok()),
        };
        let mut entry = Entry {
            path,
            kind,
            link: pax.link.clone().unwrap_or_else(|| header.link().to_vec()),
            mode: u32::try_from(header.mode().ok_or(field("mode"))? & 0o7777).unwrap_or(0),
            uid: owner(pax.uid, header.uid()).ok_or(field("user id"))?,
            gid: owner(pax.gid, header.gid()).ok_or(field("group id"))?,
            mtime: match pax.mtime {
                Some(time) => time,
                None => (header.mtime().ok_or(field("modification time"))?, 0),
            },
            device: match kind {
                Kind::CharDevice | Kind::BlockDevice => header.device().ok_or(field("device number"))?,
                _ => (0, 0),
            },
            xattrs: pax.xattrs.clone(),
            size: stored,
            stored,
            sparse: None,
        };
        if stored > i64::MAX as u64 - BLOCK as u64 {
            return Err(field("size"));
        }
        self.left = stored;
        self.padding = usize::try_from(stored.next_multiple_of(BLOCK as u64) - stored).unwrap_or(0);
        if kind == Kind::File {
            self.sparse(header, &mut entry, pax, offset)?;
        }
        Ok(entry)
    }

    /// Reads the sparse map where the entry has one, and sets the sizes that follow from it.
    fn sparse(
        &mut self,
        header: &Header<'_>,
        entry: &mut Entry,
        pax: Records,
        at: u64,
    ) -> Result<(), TarError> {
        let bad = || TarError::Sparse(at);
        let (segments, size) = if header.flag() == b'S' {
            if header.format() != Format::Gnu {
                return Err(bad());
            }
            let size =
                number(&header.0[483..495]).and_then(|size| u64::try_from(size).ok()).ok_or_else(bad)?;
            (self.old_gnu_map(header).ok_or_else(bad)?, size)
        } else {
            match (pax.sparse.major, pax.sparse.minor, &pax.sparse.map) {
                (Some(1), Some(0), None) => {
                    let segments = self.leading_map(entry)?.ok_or_else(bad)?;
                    (segments, pax.sparse.real_size.ok_or_else(bad)?)
                }
                (None | Some(0), _, Some(map)) => {
                    (sparse::pairs(map).ok_or_else(bad)?, pax.sparse.real_size.ok_or_else(bad)?)
                }
                (None, None, None) => return Ok(()),
                _ => return Err(bad()),
            }
        };
        if let Some(name) = pax.sparse.name {
            entry.path = name;
        }
        sparse::check(&segments, size, entry.stored).ok_or_else(bad)?;
        entry.size = size;
        entry.sparse = Some(segments);
        Ok(())
    }

    fn old_gnu_map(&mut self, header: &Header<'_>) -> Option<Vec<Segment>> {
        let mut segments = Vec::new();
        sparse::old_gnu(&header.0[386..482], &mut segments)?;
        let mut more = header.0[482] != 0;
        while more {
            let block = self.block("a sparse map").ok()?;
            sparse::old_gnu(&block[..504], &mut segments)?;
            more = block[504] != 0;
        }
        Some(segments)
    }

    /// Reads the map at the head of the content, which counts as stored bytes but not as the file's.
    fn leading_map(&mut self, entry: &mut Entry) -> Result<Option<Vec<Segment>>, TarError> {
        let mut map = MapReader::default();
        loop {
            if self.left < BLOCK as u64 {
                return Ok(None);
            }
            let block = self.block("a sparse map")?;
            self.left -= BLOCK as u64;
            entry.stored -= BLOCK as u64;
            match map.block(&block) {
                Some(true) => return Ok(map.segments()),
                Some(false) => {}
                None => return Ok(None),
            }
        }
    }
}

fn fill<R: BufRead>(source: &mut R) -> Result<&[u8], TarError> {
    // The borrow checker wants the retry outside of the borrow that is returned.
    loop {
        match source.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(TarError::Truncated("the compressed stream"));
            }
            Err(error) => return Err(TarError::Read(error)),
        }
    }
    source.fill_buf().map_err(TarError::Read)
}
