//! Containers' directories and the names that point to them.
//!
//! A kept container lives in `containers/<id>`; one that is removed with its end in `scratch/<boot>/<id>`, which
//! does not outlive the boot. A name is a symbolic link whose text is `<id> <boot> <pid> <start>`: making it is the unique
//! constraint, reading it needs no lock.

use std::path::{Path, PathBuf};

use corten_sys::process::Identity;
use corten_sys::{Errno, fs};

use crate::{Store, StoreError};

/// What a container's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameOwner {
    pub id: String,
    /// The boot in which the name was taken.
    pub boot: String,
    /// The process that took it: until the container's record is written, only it can tell that there will be one.
    pub creator: Identity,
}

/// The outcome of [`Store::claim_name`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    Taken,
    /// Somebody else has the name.
    Held(NameOwner),
}

impl Store {
    /// The directory of a kept container.
    pub fn container_dir(&self, id: &str) -> PathBuf {
        self.path("containers").join(id)
    }

    /// The directory of a container that goes with its end, in the given boot.
    pub fn scratch_dir(&self, boot: &str, id: &str) -> PathBuf {
        self.path("scratch").join(boot).join(id)
    }

    /// Lists the ids of kept containers, unordered.
    pub fn container_ids(&self) -> Result<Vec<String>, StoreError> {
        let mut ids = fs::list(self.path("containers"))?;
        ids.retain(|id| id.len() == 64);
        Ok(ids)
    }

    /// Makes a container's directory with its writable layer's parts; the parent is made where it is missing.
    pub fn create_container_dir(&self, directory: &Path) -> Result<(), StoreError> {
        match fs::create_dir(directory, 0o700) {
            Err(error) if error.errno() == Errno::NOENT => fs::create_dir_all(directory, 0o700)?,
            other => other?,
        }
        let writable = directory.join("rw");
        fs::create_dir(&writable, 0o711)?;
        fs::create_dir(writable.join("upper"), 0o755)?;
        fs::create_dir(writable.join("work"), 0o700)?;
        Ok(())
    }

    /// Takes a name for a container, or says who has it.
    pub fn claim_name(&self, name: &str, owner: &NameOwner) -> Result<Claim, StoreError> {
        let text = format!("{} {} {}", owner.id, owner.boot, owner.creator);
        match fs::symlink(&text, self.name_path(name)) {
            Ok(()) => Ok(Claim::Taken),
            Err(error) if error.errno() == Errno::EXIST => match self.name_owner(name)? {
                Some(owner) => Ok(Claim::Held(owner)),
                // It was given up in between.
                None => self.claim_name(name, owner),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// Reads who has a name.
    pub fn name_owner(&self, name: &str) -> Result<Option<NameOwner>, StoreError> {
        let Some(text) = fs::absent_is_none(fs::read_link(self.name_path(name)))? else { return Ok(None) };
        Ok(parse_owner(&text.to_string_lossy()))
    }

    /// Gives a name up, if the container still has it.
    pub fn release_name(&self, name: &str, id: &str) -> Result<(), StoreError> {
        if self.name_owner(name)?.is_some_and(|owner| owner.id == id) {
            fs::remove_file(self.name_path(name))?;
        }
        Ok(())
    }

    fn name_path(&self, name: &str) -> PathBuf {
        self.path("containers/names").join(name)
    }

    /// Discards the scratch directories of earlier boots. One readdir where there is nothing to do.
    pub fn discard_other_boots(&self, boot: &str) -> Result<(), StoreError> {
        let mut found = false;
        for other in fs::list(self.path("scratch"))? {
            if other != boot {
                found |= self.discard(&self.path("scratch").join(other))?;
            }
        }
        if found { self.empty_trash() } else { Ok(()) }
    }
}

fn parse_owner(text: &str) -> Option<NameOwner> {
    let mut fields = text.splitn(3, ' ');
    Some(NameOwner {
        id: fields.next()?.to_owned(),
        boot: fields.next()?.to_owned(),
        creator: fields.next()?.parse().ok()?,
    })
}
