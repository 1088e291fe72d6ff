//! The domain: containers, images, volumes, as docker's users know them, over the store and the runtime.
//!
//! No wire format and no terminal: fronts translate. An [`Engine`] owns handles only; what it can do is in the
//! modules, as functions that take it first.

pub mod check;
pub mod containers;
pub mod disk_usage;
pub mod error;
pub mod events;
mod filter;
pub mod host;
mod id_range;
pub mod images;
pub mod info;
pub mod launch;
pub mod pins;
pub mod undo;
pub mod volumes;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use corten_store::Store;
use corten_sys::{clock, fs};

pub use corten_store::Image;
pub use error::{Error, ErrorKind};
use host::HostFacts;

/// Where an engine keeps its state.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Everything that outlives a boot.
    pub root: PathBuf,
    /// Everything that does not: on a tmpfs.
    pub run_root: PathBuf,
}

/// An open store and run directory.
#[derive(Debug, Clone)]
pub struct Engine {
    store: Store,
    config: EngineConfig,
    boot: String,
    run: PathBuf,
    facts: OnceLock<HostFacts>,
}

impl Engine {
    /// Opens (and on first use makes) the directories; drops what an earlier boot left in them.
    pub fn open(config: EngineConfig) -> Result<Self, Error> {
        let store = Store::open(&config.root)?;
        let boot = clock::boot_id()?;
        let run = config.run_root.join(&boot);
        let is_first = !fs::exists(run.join("creating"));
        let engine = Self { store, config, boot, run, facts: OnceLock::new() };
        if is_first {
            for directory in ["records", "exits", "ids", "containers", containers::GONE, "creating"] {
                fs::create_dir_all(engine.run.join(directory), 0o700)?;
            }
            engine.store.discard_other_boots(&engine.boot)?;
            if let Err(error) = containers::sweep_all(&engine) {
                log::warn!("leaving what an earlier boot left: {error}");
            }
        }
        Ok(engine)
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where this engine was opened.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// From here on what this process warns of goes to where the keeper and the worker of this container leave theirs.
    pub fn keep_journal(&self, id: &str) {
        corten_monitor::journal::begin(&self.run_dir(id), id);
    }

    /// Facts of the host, read when they are first asked for.
    pub fn facts(&self) -> Result<&HostFacts, Error> {
        if let Some(facts) = self.facts.get() {
            return Ok(facts);
        }
        let facts = HostFacts::read()?;
        Ok(self.facts.get_or_init(|| facts))
    }

    /// The lowest layer of every container: the directories and empty files that corten mounts over, so that an
    /// image without them needs no write into the container's own layer.
    pub(crate) fn skeleton(&self) -> Result<PathBuf, Error> {
        let path = self.store.path("skeleton");
        if !fs::exists(path.join(SKELETON_LAST)) {
            make_skeleton(&path)?;
        }
        Ok(path)
    }

    pub(crate) fn boot(&self) -> &str {
        &self.boot
    }

    pub(crate) fn run(&self) -> &Path {
        &self.run
    }

    /// The volatile directory of a container.
    pub(crate) fn run_dir(&self, id: &str) -> PathBuf {
        self.run.join("containers").join(id)
    }
}

/// Made last: with it the skeleton is whole.
const SKELETON_LAST: &str = ".dockerenv";

/// Makes what is missing of the skeleton; several commands may do so at once.
fn make_skeleton(path: &Path) -> Result<(), Error> {
    for directory in ["dev", "etc", "proc", "sys", "tmp"] {
        fs::create_dir_all(path.join(directory), 0o755)?;
    }
    fs::set_mode(path.join("tmp"), 0o1777)?;
    for file in ["etc/hostname", "etc/hosts", "etc/resolv.conf", SKELETON_LAST] {
        fs::write_atomic(path.join(file), b"")?;
        fs::set_mode(path.join(file), if file == SKELETON_LAST { 0o755 } else { 0o644 })?;
    }
    Ok(())
}
