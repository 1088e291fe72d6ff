//! A snapshot read from outside of its container: what it changed, and what it is as a whole.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use corten_sys::{Dir, SysError};
use rustix::fs::FileType;

use super::changes::{self, Change};
use super::copy::{Carrier, Copied, walk_into};
use super::layered::{Layered, is_whiteout};
use super::pair::{Hiding, Item, Pair};
use super::path::{as_path, join, split};
use super::walk::{Step, walk};
use super::{ArchiveWriter, Content, Sink, TreeEntry, TreeError};
use crate::StoreError;
use crate::layers::{OPAQUE, WHITEOUT};
use crate::tar::{Entry, Kind};

/// A container's upper tree and the trees below it, topmost first, by their host paths.
///
/// The container may run and go on changing: what is read is then from different moments.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub upper: PathBuf,
    pub lowers: Vec<PathBuf>,
}

impl Snapshot {
    /// What the container changed, parents before their children. Blocking; takes no lock.
    pub fn changes(&self) -> Result<Vec<Change>, StoreError> {
        changes::changes(&self.upper, &self.lowers)
    }

    /// Writes the whole root file system as a tar. Blocking; takes no lock.
    pub fn write_tar(&self, output: &mut dyn Write) -> Result<(), TreeError> {
        let trees: Vec<&PathBuf> = [&self.upper].into_iter().chain(&self.lowers).collect();
        let mut writer = ArchiveWriter::new(io::BufWriter::with_capacity(64 << 10, output));
        walk_into(Layered::open(&trees)?, b"", Carrier::new(&mut writer, 0))?;
        writer.finish()
    }

    /// Writes what the container changed as a layer's tar (image-spec, "Whiteouts").
    pub(crate) fn write_layer(&self, output: &mut dyn Write) -> Result<Copied, TreeError> {
        let root = Pair {
            upper: Dir::open(&self.upper)?.into(),
            lower: Layered::open(&self.lowers)?,
            hiding: Hiding::Nothing,
        };
        let mut writer = ArchiveWriter::new(output);
        let mut layer = LayerTar { carrier: Carrier::new(&mut writer, 0) };
        walk(root, b"", &mut |step| layer.step(&step))?;
        let copied = layer.carrier.copied;
        writer.finish()?;
        Ok(copied)
    }
}

struct LayerTar<'a> {
    carrier: Carrier<'a>,
}

impl LayerTar<'_> {
    fn step(&mut self, step: &Step<'_, Pair>) -> Result<bool, TreeError> {
        match step {
            Step::Into { at, path } => {
                // Where nothing is below, nothing is hidden: overlayfs marks every new directory, to be fast.
                if at.hiding == Hiding::Here && !at.lower.is_empty() {
                    self.marker(&join(path, OPAQUE))?;
                }
                Ok(true)
            }
            Step::Item { at, path, item } => self.item(at, path, item),
        }
    }

    fn item(&mut self, at: &Pair, path: &[u8], item: &Item) -> Result<bool, TreeError> {
        if is_whiteout(&item.stat) {
            let failed = |errno| SysError::at("stat", as_path(path), errno);
            // What an opaque directory hides needs no hiding, nor does what no image has.
            if at.hiding == Hiding::Nothing && at.lower.get(&item.name).map_err(failed)?.is_some() {
                let (directory, name) = split(path);
                self.marker(&join(directory, &[WHITEOUT, name].concat()))?;
            }
            return Ok(false);
        }
        self.carrier.carry(at.upper.as_fd(), &item.name, path)?;
        Ok(FileType::from_raw_mode(item.stat.st_mode) == FileType::Directory)
    }

    fn marker(&mut self, path: &[u8]) -> Result<(), TreeError> {
        self.carrier.put(&TreeEntry(Entry::new(path, Kind::File, 0)), Content::None)
    }
}

/// The first path of each file that has several, by device and inode.
pub(crate) type Links = HashMap<(u64, u64), Vec<u8>>;
