//! What was removed and can be brought back for a while: `removed/<entry>/{removal.json,object}`.
//!
//! An entry's name says when, what kind and how much, so that the oldest can go without a file being read. The layers and
//! blobs that an entry needs stay where they are, held by it. How long and how much is kept is for the engine to say.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use corten_spec::{DiffId, Digest, ImageId};
use corten_sys::{Errno, SysError, fs, tree};
use serde::{Deserialize, Serialize};

use crate::{Store, StoreError, record};

/// What kind of object was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemovedKind {
    Container,
    Image,
    Volume,
}

impl RemovedKind {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Container, Self::Image, Self::Volume].into_iter().find(|kind| kind.name() == text)
    }
}

/// One removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    pub version: u32,
    pub kind: RemovedKind,
    /// A container's or image's ID, a volume's name.
    pub id: String,
    /// As the user called it.
    pub name: String,
    /// Nanoseconds since 1970.
    pub time: i64,
    /// The process that removed it: what one command removed comes back together.
    pub command: String,
    /// Bytes that are kept for it.
    pub size: u64,
    /// Names that were taken from an image.
    pub references: Vec<RemovedReference>,
    /// Layers and blobs that it needs.
    pub layers: Vec<DiffId>,
    pub blobs: Vec<Digest>,
    /// There is something to move back, not only names to give again.
    pub has_object: bool,
}

/// A name that was taken from an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedReference {
    pub reference: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Digest>,
}

/// What an entry's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedEntry {
    pub name: String,
    pub time: i64,
    pub kind: RemovedKind,
    pub size: u64,
}

impl RemovedEntry {
    fn parse(name: &str) -> Option<Self> {
        let mut fields = name.split('.');
        Some(Self {
            name: name.to_owned(),
            time: fields.next()?.parse().ok()?,
            kind: RemovedKind::parse(fields.next()?)?,
            size: fields.next()?.parse().ok()?,
        })
    }
}

impl Store {
    /// Removes `object` from its place and keeps it; false where it is not there. It disappears at one moment.
    ///
    /// Without an object, only what the removal says is kept.
    pub fn keep_removed(&self, removal: &Removal, object: Option<&Path>) -> Result<bool, StoreError> {
        let draft = self.draft("removed")?;
        let entered = fs::write_atomic(draft.join("removal.json"), &record::render(removal))
            .and_then(|()| object.map_or(Ok(()), |object| fs::rename_new(object, draft.join("object"))));
        if let Err(error) = entered {
            tree::remove(&draft).unwrap_or_default();
            return if error.errno() == Errno::NOENT { Ok(false) } else { Err(error.into()) };
        }
        fs::create_dir_all(self.path("removed"), 0o700)?;
        let serial = draft.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{}.{}.{}.{serial}", removal.time, removal.kind.name(), removal.size);
        fs::rename_new(&draft, self.removed_path(&name))?;
        Ok(true)
    }

    /// Lists the entries, the oldest first.
    pub fn removed_entries(&self) -> Result<Vec<RemovedEntry>, StoreError> {
        let names = fs::list(self.path("removed"))?;
        let mut entries: Vec<RemovedEntry> =
            names.iter().filter_map(|name| RemovedEntry::parse(name)).collect();
        entries.sort_by_key(|entry| entry.time);
        Ok(entries)
    }

    /// Reads an entry; `None` where it is gone, or was brought back but for its own removal.
    pub fn removal(&self, entry: &str) -> Result<Option<Removal>, StoreError> {
        let path = self.removed_path(entry);
        let removal: Option<Removal> = record::load(&path.join("removal.json"))?;
        Ok(removal.filter(|removal| !removal.has_object || fs::exists(path.join("object"))))
    }

    /// Moves an entry's object to its place, durably. Fails with `EXIST` where something is there.
    pub fn bring_back(&self, entry: &str, place: &Path) -> Result<(), SysError> {
        fs::rename_new(self.removed_path(entry).join("object"), place)?;
        fs::sync_parent(place)
    }

    /// Lets an entry go: into the trash, for [`Store::empty_trash`].
    pub fn drop_removed(&self, entry: &str) -> Result<bool, StoreError> {
        self.discard(&self.removed_path(entry))
    }

    /// Brings an image back under the names that it had. The names are free; the caller has seen to that under `lock`.
    pub fn restore_image(
        &self,
        _lock: &crate::lock::Lock,
        entry: &str,
        removal: &Removal,
        id: &ImageId,
    ) -> Result<(), StoreError> {
        if removal.has_object {
            match self.bring_back(entry, &self.image_path(id)) {
                // It came again meanwhile; only its names are missing.
                Err(error) if error.errno() == Errno::EXIST => {}
                other => other?,
            }
        }
        for RemovedReference { reference, manifest } in &removal.references {
            if let Ok(reference) = corten_spec::Reference::parse_untagged(reference) {
                self.write_reference(&reference, id, manifest.as_ref())?;
            }
        }
        self.drop_removed(entry)?;
        Ok(())
    }

    /// The layers and blobs that removed containers and images would need again.
    pub(crate) fn removed_roots(&self) -> Result<(HashSet<DiffId>, HashSet<Digest>), StoreError> {
        let (mut layers, mut blobs) = (HashSet::new(), HashSet::new());
        for entry in self.removed_entries()? {
            if entry.kind != RemovedKind::Volume
                && let Some(removal) = self.removal(&entry.name)?
            {
                layers.extend(removal.layers);
                blobs.extend(removal.blobs);
            }
        }
        Ok((layers, blobs))
    }

    fn removed_path(&self, entry: &str) -> PathBuf {
        self.path("removed").join(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_entries() {
        let entry = |name: &str, time, kind, size| RemovedEntry { name: name.to_owned(), time, kind, size };
        let name = "1700000000000000000.volume.4096.removed.12.0";
        assert_eq!(
            RemovedEntry::parse(name),
            Some(entry(name, 1_700_000_000_000_000_000, RemovedKind::Volume, 4096))
        );
        for wrong in ["", "x", "1.tag.2.removed.1.0", "1.image.x.removed.1.0", "..", "1"] {
            assert_eq!(RemovedEntry::parse(wrong), None, "{wrong}");
        }
    }
}
