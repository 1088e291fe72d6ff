//! Recipes: how to regenerate a layer's exact tar from its unpacked tree (architecture D7).
//!
//! A zstd stream of instructions: bytes to copy (headers, padding, whatever is odd) and ranges of files in
//! the tree. Whatever an entry's content was replaced by later in the same tar, its own content is kept in
//! `kept/<n>`, n counting the files that the recipe names.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use corten_sys::{Dir, Errno, SysError, fs};
use rustix::fs::OFlags;
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use super::chunks::ChunkWriter;
use super::kept;
use crate::trees::path::as_path;

/// The file beside the tree.
pub(crate) const FILE: &str = "recipe";

const MAGIC: &[u8; 8] = b"cortenr1";
const COMPRESSION_LEVEL: i32 = 1;

const LITERAL: u8 = b'L';
/// Names a file and copies a range of it.
const FILE_RANGE: u8 = b'F';
/// Copies another range of the file named last.
const MORE: u8 = b'M';
const END: u8 = b'E';

/// Writes a recipe.
pub(crate) struct RecipeWriter {
    sink: Encoder<'static, BufWriter<File>>,
    files: u32,
}

impl RecipeWriter {
    pub(crate) fn create(layer: &Path) -> Result<Self, RecipeError> {
        let file = BufWriter::with_capacity(128 << 10, fs::create_new(layer.join(FILE))?);
        let mut sink = Encoder::new(file, COMPRESSION_LEVEL).map_err(RecipeError::Write)?;
        sink.write_all(MAGIC).map_err(RecipeError::Write)?;
        Ok(Self { sink, files: 0 })
    }

    pub(crate) fn literal(&mut self, bytes: &[u8]) -> Result<(), RecipeError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.put(&[LITERAL], &[bytes.len() as u64], bytes)
    }

    /// Names the file at `path` of the tree, copies a range of it, and returns its number.
    pub(crate) fn file(&mut self, path: &[u8], offset: u64, length: u64) -> Result<u32, RecipeError> {
        self.put(&[FILE_RANGE], &[path.len() as u64], path)?;
        self.put(&[], &[offset, length], &[])?;
        self.files += 1;
        Ok(self.files - 1)
    }

    /// Copies another range of the file named last.
    pub(crate) fn more(&mut self, offset: u64, length: u64) -> Result<(), RecipeError> {
        self.put(&[MORE], &[offset, length], &[])
    }

    pub(crate) fn finish(mut self) -> Result<(), RecipeError> {
        self.put(&[END], &[], &[])?;
        let file = self.sink.finish().map_err(RecipeError::Write)?;
        file.into_inner().map_err(|error| RecipeError::Write(error.into_error()))?;
        Ok(())
    }

    fn put(&mut self, tag: &[u8], numbers: &[u64], bytes: &[u8]) -> Result<(), RecipeError> {
        let mut head = tag.to_vec();
        for number in numbers {
            let mut left = *number;
            while left >= 0x80 {
                head.push((left & 0x7f) as u8 | 0x80);
                left >>= 7;
            }
            head.push((left & 0x7f) as u8);
        }
        self.sink.write_all(&head).and_then(|()| self.sink.write_all(bytes)).map_err(RecipeError::Write)
    }
}

/// Why a recipe could not be written or replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    #[error("write the recipe: {0}")]
    Write(#[source] io::Error),
    #[error("read the recipe: {0}")]
    Read(#[source] io::Error),
    #[error("recipe is damaged")]
    Damaged,
    #[error("file {0} of the layer is shorter than its recipe says")]
    Short(String),
    #[error(transparent)]
    Sys(#[from] SysError),
    #[error("write the layer's tar: {0}")]
    Output(#[source] io::Error),
}

impl RecipeError {
    /// What the kernel answered, where that is why.
    pub(crate) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Write(error) | Self::Read(error) | Self::Output(error) => Errno::from_io_error(error),
            Self::Sys(error) => Some(error.errno()),
            Self::Damaged | Self::Short(_) => None,
        }
    }
}

/// Writes the exact tar of the layer at `layer` (holding the tree in `tree`) to `output`.
pub(crate) fn replay(layer: &Path, tree: &str, output: &mut ChunkWriter) -> Result<(), RecipeError> {
    let file = BufReader::with_capacity(128 << 10, fs::open(layer.join(FILE))?);
    let decoder = Decoder::with_buffer(file).map_err(RecipeError::Read)?;
    let mut source = BufReader::with_capacity(128 << 10, decoder);
    let mut magic = [0; MAGIC.len()];
    source.read_exact(&mut magic).map_err(RecipeError::Read)?;
    if magic != *MAGIC {
        return Err(RecipeError::Damaged);
    }
    let tree = Dir::open(layer.join(tree))?;
    let replaced = match fs::exists(layer.join(kept::DIRECTORY)) {
        true => Some(Dir::open(layer.join(kept::DIRECTORY))?),
        false => None,
    };
    let mut copier = Copier { current: None };
    let mut files = 0_u32;
    loop {
        let mut tag = [0];
        source.read_exact(&mut tag).map_err(RecipeError::Read)?;
        match tag[0] {
            LITERAL => {
                let length = number(&mut source)?;
                literal(&mut source, length, output)?;
            }
            FILE_RANGE => {
                let length = usize::try_from(number(&mut source)?).map_err(|_| RecipeError::Damaged)?;
                if length > 1 << 21 {
                    return Err(RecipeError::Damaged);
                }
                let mut path = vec![0; length];
                source.read_exact(&mut path).map_err(RecipeError::Read)?;
                copier.open(&tree, replaced.as_ref(), path, files)?;
                files += 1;
                copier.copy(number(&mut source)?, number(&mut source)?, output)?;
            }
            MORE => copier.copy(number(&mut source)?, number(&mut source)?, output)?,
            END => return Ok(()),
            _ => return Err(RecipeError::Damaged),
        }
    }
}

struct Copier {
    current: Option<(File, Vec<u8>)>,
}

impl Copier {
    fn open(
        &mut self,
        tree: &Dir,
        kept: Option<&Dir>,
        path: Vec<u8>,
        number: u32,
    ) -> Result<(), RecipeError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let replaced = match kept {
            Some(kept) => fs::absent_is_none(kept.open_at(number.to_string(), flags, 0))?,
            None => None,
        };
        let file = match replaced {
            Some(file) => file,
            None => open_deep(tree, &path, flags)?,
        };
        self.current = Some((File::from(file), path));
        Ok(())
    }

    fn copy(&mut self, offset: u64, length: u64, output: &mut ChunkWriter) -> Result<(), RecipeError> {
        let (file, path) = self.current.as_ref().ok_or(RecipeError::Damaged)?;
        let short = || RecipeError::Short(as_path(path).display().to_string());
        let (mut offset, mut left) = (offset, length);
        while left > 0 {
            let count = match output.read_from(file, offset, left) {
                Ok(0) => return Err(short()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Whoever took the chunks is gone.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    return Err(RecipeError::Output(error));
                }
                Err(error) => return Err(SysError::io("read", as_path(path), &error).into()),
            };
            offset += count as u64;
            left -= count as u64;
        }
        Ok(())
    }
}

/// Opens a path that may be longer than PATH_MAX.
fn open_deep(tree: &Dir, path: &[u8], flags: OFlags) -> Result<OwnedFd, SysError> {
    const PIECE: usize = 2048;
    let mut rest = path;
    let mut current: Option<Dir> = None;
    while rest.len() > PIECE {
        let Some(slash) = rest[..PIECE].iter().rposition(|b| *b == b'/') else { break };
        current = Some(current.as_ref().unwrap_or(tree).open_dir(as_path(&rest[..slash]))?);
        rest = &rest[slash + 1..];
    }
    current.as_ref().unwrap_or(tree).open_at(as_path(rest), flags, 0)
}

fn literal(source: &mut impl BufRead, length: u64, output: &mut ChunkWriter) -> Result<(), RecipeError> {
    let mut left = length;
    while left > 0 {
        let bytes = source.fill_buf().map_err(RecipeError::Read)?;
        if bytes.is_empty() {
            return Err(RecipeError::Damaged);
        }
        let part = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        output.write_all(&bytes[..part]).map_err(RecipeError::Output)?;
        source.consume(part);
        left -= part as u64;
    }
    Ok(())
}

fn number(source: &mut impl Read) -> Result<u64, RecipeError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        source.read_exact(&mut byte).map_err(RecipeError::Read)?;
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(RecipeError::Damaged)
}
