//! The tar format as streams of entries: ustar, PAX, GNU and old GNU; sparse files of every kind.
//!
//! A parser and a header writer only: nothing here touches a file system. Where readers of the world
//! disagree it follows Go's `archive/tar`, by which images are made and read elsewhere.

pub(crate) mod encode;
pub(crate) mod header;
pub(crate) mod pax;
pub(crate) mod reader;
pub(crate) mod sparse;
pub(crate) mod writer;

/// The unit of the format.
pub(crate) const BLOCK: usize = 512;

/// The largest PAX record block, GNU long name or sparse map that is held in memory.
pub(crate) const SPECIAL_LIMIT: u64 = 1 << 20;

/// Why a stream is no tar that corten accepts.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("read the archive: {0}")]
    Read(#[source] std::io::Error),
    #[error("archive ends in the middle of {0}")]
    Truncated(&'static str),
    #[error("archive has no valid header at offset {0}")]
    Header(u64),
    #[error("archive has an invalid {field} at offset {offset}")]
    Field { field: &'static str, offset: u64 },
    #[error("archive has an extended header of {0} bytes, more than 1 MiB")]
    SpecialTooLarge(u64),
    #[error("archive has a malformed PAX record at offset {0}")]
    Pax(u64),
    #[error("archive has a malformed sparse map at offset {0}")]
    Sparse(u64),
    #[error("archive has an entry of the unknown type '{}' at offset {offset}", flag.escape_ascii())]
    Type { flag: u8, offset: u64 },
}

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    CharDevice,
    BlockDevice,
    Fifo,
}

/// One member of an archive, all extensions applied.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, u32),
    /// Major and minor.
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of the file when it is there.
    pub(crate) size: u64,
    /// Bytes of it in the archive: fewer for a sparse file, none for what is not a file.
    pub(crate) stored: u64,
    pub(crate) sparse: Option<Vec<sparse::Segment>>,
}

impl Entry {
    /// An entry of root's, of the epoch, without content.
    pub(crate) fn new(path: &[u8], kind: Kind, mode: u32) -> Self {
        Self {
            path: path.to_vec(),
            kind,
            link: Vec::new(),
            mode,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            device: (0, 0),
            xattrs: Vec::new(),
            size: 0,
            stored: 0,
            sparse: None,
        }
    }
}
