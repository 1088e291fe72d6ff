//! Bringing back what was removed (architecture D10): for one hour and up to 1 GiB, the oldest going first; all of it at
//! once where the disk is nearly full, and with a prune.
//!
//! Containers that go with their end, and what a prune removes, are not kept.

use std::path::Path;

use corten_spec::{Digest, ImageId, Reference};
use corten_store::containers::NameOwner;
use corten_store::images::Tagged;
use corten_store::removed::{Removal, RemovedReference};
use corten_store::{Image, StoreError};
use corten_sys::{Errno, clock, fs, process};

pub use corten_store::removed::RemovedKind;

use crate::containers::{
    self, Beginning, ContainerRecord, names,
    size::{self, Measure},
};
use crate::{Engine, Error, events, images};

/// How long something is kept, in nanoseconds.
const TIME: i64 = 3_600_000_000_000;

/// How much is kept, in bytes.
const BUDGET: u64 = 1 << 30;

/// What an entry counts for at least: it has directories and a record, however little is in them.
const LEAST: u64 = 64 << 10;

/// Something that can be brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undoable {
    entry: String,
    pub removal: Removal,
    /// When it goes, in nanoseconds since 1970.
    pub expires: i64,
}

impl Undoable {
    /// Says whether the user means this one by `text`: its name, or the start of its ID.
    pub fn is_called(&self, text: &str) -> bool {
        let id = self.removal.id.strip_prefix("sha256:").unwrap_or(&self.removal.id);
        let is_named = |reference: &RemovedReference| match (
            Reference::parse(&reference.reference),
            Reference::parse(text),
        ) {
            (Ok(own), Ok(asked)) => own == asked,
            _ => false,
        };
        let by_id = self.removal.kind != RemovedKind::Volume
            && !text.is_empty()
            && id.starts_with(text.strip_prefix("sha256:").unwrap_or(text));
        self.removal.name == text || by_id || self.removal.references.iter().any(is_named)
    }
}

/// Lists what can be brought back, the newest first.
pub fn list(engine: &Engine) -> Result<Vec<Undoable>, Error> {
    let now = clock::wall_nanos();
    let mut found = Vec::new();
    for entry in engine.store().removed_entries()?.into_iter().rev() {
        let expires = entry.time + TIME;
        if expires > now
            && let Some(removal) = engine.store().removal(&entry.name)?
        {
            found.push(Undoable { entry: entry.name, removal, expires });
        }
    }
    Ok(found)
}

/// Those that the last command removed.
pub fn last(mut all: Vec<Undoable>) -> Vec<Undoable> {
    let command = all.first().map(|newest| newest.removal.command.clone());
    all.retain(|other| Some(&other.removal.command) == command.as_ref());
    all
}

/// Brings one back; a container under another `name` where one is given. Whole, or not at all.
pub fn restore(engine: &Engine, undoable: &Undoable, name: Option<&str>) -> Result<(), Error> {
    let Undoable { entry, removal, .. } = undoable;
    if name.is_some() && removal.kind != RemovedKind::Container {
        return Err(Error::invalid(format!(
            "only a container can come back under another name: {}",
            removal.name
        )));
    }
    match removal.kind {
        RemovedKind::Container => container(engine, entry, removal, name.unwrap_or(&removal.name)),
        RemovedKind::Volume => volume(engine, entry, removal),
        RemovedKind::Image => image(engine, entry, removal),
    }
}

fn within(removal: &Removal, why: &str) -> Error {
    Error::conflict(format!("cannot bring {} {} back: {why}", removal.kind.name(), removal.name))
}

fn container(engine: &Engine, entry: &str, removal: &Removal, name: &str) -> Result<(), Error> {
    let store = engine.store();
    names::validate(name)?;
    let lock = store.share_images()?;
    for layer in &removal.layers {
        if store.layer(layer)?.is_none() {
            return Err(within(removal, &format!("its layer {layer} is gone")));
        }
    }
    let _mark = Beginning::again(engine, &removal.id)?;
    let owner = NameOwner {
        id: removal.id.clone(),
        boot: engine.boot().to_owned(),
        creator: process::own_identity(),
    };
    if let Some(holder) = names::claim(engine, name, &owner)? {
        let why = names::taken(name, &holder);
        return Err(within(removal, &why.to_string()).hint("corten undo --name NAME gives it another one"));
    }
    let back = store.bring_back(entry, &store.container_dir(&removal.id)).map_err(Error::from);
    let back = back.and_then(|()| {
        let record = containers::load(engine, &removal.id)?;
        let renamed = ContainerRecord { name: name.to_owned(), ..record };
        renamed.save(engine)?;
        renamed.sync(engine)?;
        Ok(renamed)
    });
    drop(lock);
    match back {
        Ok(record) => {
            store.drop_removed(entry)?;
            events::container(engine, &record, "restore", &[]);
            Ok(())
        }
        Err(error) => {
            if !ContainerRecord::exists(engine, &removal.id)? {
                store.release_name(name, &removal.id)?;
            }
            Err(error)
        }
    }
}

fn volume(engine: &Engine, entry: &str, removal: &Removal) -> Result<(), Error> {
    match engine.store().bring_back(entry, &engine.store().volume_dir(&removal.id)) {
        Err(error) if matches!(error.errno(), Errno::EXIST | Errno::NOTEMPTY) => {
            return Err(within(removal, "there is a volume of that name again"));
        }
        other => other?,
    }
    engine.store().drop_removed(entry)?;
    events::volume(engine, &removal.id, "restore", &[("driver", "local")]);
    Ok(())
}

fn image(engine: &Engine, entry: &str, removal: &Removal) -> Result<(), Error> {
    let store = engine.store();
    let id = ImageId(Digest::parse(&removal.id).map_err(|error| Error::invalid(error.to_string()))?);
    let lock = store.lock_images()?;
    for named in &removal.references {
        let Ok(reference) = Reference::parse_untagged(&named.reference) else { continue };
        if let Some(now) = store.reference(&reference)?.filter(|now| now.image != id) {
            let why = format!("{} names {} now", reference.familiar(), now.image.short());
            return Err(within(removal, &why)
                .hint("corten tag gives that image another name, corten rmi takes this one"));
        }
    }
    if !removal.has_object && !store.has_image(&id) {
        return Err(within(removal, "the image has been removed since"));
    }
    store.restore_image(&lock, entry, removal, &id)?;
    drop(lock);
    events::images(engine, [&id], "restore");
    Ok(())
}

/// Removes a kept container's directory and keeps it; false where it was not there.
pub(crate) fn keep_container(engine: &Engine, record: &ContainerRecord) -> Result<bool, Error> {
    let directory = record.directory(engine);
    let mounted = record.mounts.iter().flat_map(|mount| mount.layers.clone());
    let removal = Removal {
        size: size::tree(&directory, Measure::Occupied)?,
        layers: record.layers.iter().cloned().chain(mounted).collect(),
        has_object: true,
        ..removal(RemovedKind::Container, &record.id, &record.name)
    };
    keep(engine, removal, &directory)
}

/// Removes a volume and keeps it; false where there was none.
pub(crate) fn keep_volume(engine: &Engine, name: &str) -> Result<bool, Error> {
    let directory = engine.store().volume_dir(name);
    let removal = Removal {
        size: size::tree(&directory, Measure::Occupied)?,
        has_object: true,
        ..removal(RemovedKind::Volume, name, name)
    };
    keep(engine, removal, &directory)
}

/// Takes an image's record away and keeps it, with the names that were taken from it. The caller has the images lock.
/// `size`: of the layers that nothing else needs.
pub(crate) fn keep_image(
    engine: &Engine,
    image: &Image,
    names: &[Tagged],
    size: u64,
) -> Result<(), StoreError> {
    let name = names.first().map_or_else(|| image.id.short().to_owned(), |named| named.reference.familiar());
    let removal = Removal {
        size,
        layers: image.layers.iter().map(|layer| layer.diff_id.clone()).collect(),
        blobs: image.blobs.clone(),
        references: references(names),
        has_object: true,
        ..removal(RemovedKind::Image, &image.id.to_string(), &name)
    };
    let store = engine.store();
    let path = store.image_path(&image.id);
    if !fits(engine, &removal) || !keeps(store.keep_removed(&removal, Some(&path)))? {
        return store.erase_image(&image.id);
    }
    Ok(fs::sync_parent(&path)?)
}

/// Keeps the names that were taken from an image which stays.
pub(crate) fn keep_names(engine: &Engine, image: &Image, names: &[Tagged]) -> Result<(), Error> {
    let Some(first) = names.first() else { return Ok(()) };
    let removal = Removal {
        references: references(names),
        ..removal(RemovedKind::Image, &image.id.to_string(), &first.reference.familiar())
    };
    keeps(engine.store().keep_removed(&removal, None))?;
    Ok(())
}

fn references(names: &[Tagged]) -> Vec<RemovedReference> {
    names
        .iter()
        .map(|named| RemovedReference {
            reference: named.reference.to_string(),
            manifest: named.manifest.clone(),
        })
        .collect()
}

fn removal(kind: RemovedKind, id: &str, name: &str) -> Removal {
    Removal {
        version: 1,
        kind,
        id: id.to_owned(),
        name: name.to_owned(),
        time: clock::wall_nanos(),
        command: process::own_identity().to_string(),
        size: 0,
        references: Vec::new(),
        layers: Vec::new(),
        blobs: Vec::new(),
        has_object: false,
    }
}

fn keep(engine: &Engine, removal: Removal, object: &Path) -> Result<bool, Error> {
    if fits(engine, &removal) {
        match engine.store().keep_removed(&removal, Some(object)) {
            // Making room must not need room.
            Err(error) if matches!(error.errno(), Some(Errno::NOSPC | Errno::DQUOT)) => {}
            kept => return Ok(kept?),
        }
    }
    Ok(engine.store().discard(object)?)
}

/// Whether it was kept: a disk that has no room for the note of it is no failure of the removal.
fn keeps(kept: Result<bool, StoreError>) -> Result<bool, StoreError> {
    match kept {
        Err(error) if matches!(error.errno(), Some(Errno::NOSPC | Errno::DQUOT)) => Ok(false),
        other => other,
    }
}

fn fits(engine: &Engine, removal: &Removal) -> bool {
    removal.size <= BUDGET && !is_nearly_full(engine)
}

/// Less than 5 % of the disk is free.
fn is_nearly_full(engine: &Engine) -> bool {
    let free = rustix::fs::statfs(engine.store().root());
    free.is_ok_and(|free| free.f_bavail < free.f_blocks / 20)
}

/// Lets go what has been kept for long enough, or is too much. The caller empties the trash.
pub fn trim(engine: &Engine) -> Result<(), Error> {
    let entries = engine.store().removed_entries()?;
    if entries.is_empty() {
        return Ok(());
    }
    let nearly_full = is_nearly_full(engine);
    let now = clock::wall_nanos();
    let mut total = 0_u64;
    let mut holds_layers = false;
    for entry in entries.into_iter().rev() {
        total = total.saturating_add(entry.size.max(LEAST));
        if nearly_full || total > BUDGET || entry.time + TIME <= now {
            holds_layers |= entry.kind != RemovedKind::Volume;
            engine.store().drop_removed(&entry.name)?;
        }
    }
    if holds_layers { images::collect(engine) } else { Ok(()) }
}

/// As [`trim`], and empties the trash: for a command that has removed something.
pub fn tidy(engine: &Engine) -> Result<(), Error> {
    trim(engine)?;
    Ok(engine.store().empty_trash()?)
}

/// Lets go everything of a kind, or of all, and returns its bytes. The caller empties the trash.
pub fn clear(engine: &Engine, kind: Option<RemovedKind>) -> Result<u64, Error> {
    let mut bytes = 0;
    let mut holds_layers = false;
    for entry in engine.store().removed_entries()? {
        if kind.is_none_or(|kind| kind == entry.kind) && engine.store().drop_removed(&entry.name)? {
            bytes += entry.size;
            holds_layers |= entry.kind != RemovedKind::Volume;
        }
    }
    if holds_layers {
        images::collect(engine)?;
    }
    Ok(bytes)
}
