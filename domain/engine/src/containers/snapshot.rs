//! A container's root file system read from outside: `diff` and `export`, of a running container, too.

use std::io::Write;
use std::path::PathBuf;

use corten_store::trees::{Change, Snapshot};

use super::record::ContainerRecord;
use crate::{Engine, Error, events};

/// What the container changed. Nothing that corten itself makes or mounts is among it.
pub fn changes(engine: &Engine, record: &ContainerRecord) -> Result<Vec<Change>, Error> {
    Ok(whole(engine, record)?.changes()?)
}

/// Writes the root file system, without what is mounted in it, as a tar. Blocking.
pub fn export(engine: &Engine, record: &ContainerRecord, output: &mut dyn Write) -> Result<(), Error> {
    whole(engine, record)?.write_tar(output)?;
    events::container(engine, record, "export", &[]);
    Ok(())
}

/// The container's layers, with the skeleton below them.
fn whole(engine: &Engine, record: &ContainerRecord) -> Result<Snapshot, Error> {
    let mut snapshot = of_image(engine, record);
    snapshot.lowers.push(engine.skeleton()?);
    Ok(snapshot)
}

/// The container's layers on those of its image alone.
pub(super) fn of_image(engine: &Engine, record: &ContainerRecord) -> Snapshot {
    let lowers: Vec<PathBuf> = record.layers.iter().map(|layer| engine.store().layer_tree(layer)).collect();
    Snapshot { upper: record.directory(engine).join("rw/upper"), lowers }
}
