//! Removing images by docker's rules: a name takes that name away and the image with its last name; an ID takes
//! the image where that is what the user can only mean.

use std::collections::HashSet;

use corten_spec::{DiffId, ImageId, Reference};
use corten_store::Image;
use corten_store::images::{ImageLayer, Tagged};
use corten_store::lock::Lock;

use crate::containers::{self, ContainerRecord};
use crate::error::ErrorKind;
use crate::pins::{self, Pinnable};
use crate::{Engine, Error, events, undo};

/// How to remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Several names, and containers that do not run, are no hindrance.
    pub force: bool,
    /// Keep it for an undo.
    pub keep: bool,
    /// Images that the image was made of stay, though nothing names or uses them.
    pub keep_parents: bool,
}

/// What one target's removal did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// A reference as docker shows it.
    Untagged(String),
    /// The digest of an image or of a layer.
    Deleted(String),
}

/// Removes what `name` means. The caller empties the trash when all targets are done.
///
/// Takes the images lock, under which containers are created too: none can begin with an image that is going.
pub fn remove(engine: &Engine, name: &str, options: RemoveOptions) -> Result<Vec<Removal>, Error> {
    let store = engine.store();
    let lock = store.lock_images()?;
    let image = match store.resolve_image(name) {
        Err(error) if super::is_not_found(&error) => {
            let shown =
                Reference::parse(name).map_or_else(|_| name.to_owned(), |reference| reference.familiar());
            return Err(Error::not_found(format!("No such image: {shown}")));
        }
        found => found?,
    };
    let tagged = store.references()?.into_iter().filter(|tagged| tagged.image == image.id);
    let mut names: Vec<Reference> = tagged.map(|tagged| tagged.reference).collect();
    names.sort();
    let mut task = Task {
        engine,
        lock: &lock,
        image: &image,
        containers: containers::list(engine)?,
        options,
        untagged: Vec::new(),
        done: Vec::new(),
    };
    let by_name = is_name(engine, &image, name)?;
    // Taking one of several names away is no removal of the image.
    if !by_name || is_single(&names) {
        pins::check(engine, &Pinnable::Image(image.id.clone()), name)?;
    }
    if by_name {
        task.by_name(name, &names)?;
    } else {
        task.by_id(&names)?;
    }
    if options.keep {
        undo::keep_names(engine, &image, &task.untagged)?;
    }
    Ok(task.done)
}

struct Task<'a> {
    engine: &'a Engine,
    lock: &'a Lock,
    image: &'a Image,
    containers: Vec<ContainerRecord>,
    options: RemoveOptions,
    /// Names that were taken, for an undo.
    untagged: Vec<Tagged>,
    done: Vec<Removal>,
}

impl Task<'_> {
    fn by_name(&mut self, name: &str, names: &[Reference]) -> Result<(), Error> {
        let meant = Reference::parse(name).map_err(|error| Error::invalid(error.to_string()))?;
        // With a digest it may be a tag that is meant: the one in that repository which has it.
        let is_tag = |other: &&Reference| {
            other.name() == meant.name() && meant.tag().is_none_or(|tag| other.tag() == Some(tag))
        };
        let stored = names.iter().find(|other| **other == meant);
        let reference = stored.or(names.iter().find(is_tag)).unwrap_or(&meant).clone();
        if !self.options.force
            && is_single(names)
            && let Some(user) = self.users().next()
        {
            return Err(Error::conflict(format!(
                "conflict: unable to remove repository reference \"{name}\" (must force) - container {} is using \
                 its referenced image {}",
                short(&user.id),
                self.image.id.short()
            )));
        }
        self.untag(&reference)?;
        let mut left: Vec<Reference> = names.iter().filter(|other| **other != reference).cloned().collect();
        // Digests of a repository go with its last tag.
        let in_repository = |other: &Reference| other.name() == reference.name();
        if !left.iter().any(|other| in_repository(other) && other.digest().is_none()) {
            let (digests, others) = left.into_iter().partition(in_repository);
            left = others;
            for digest in &digests {
                self.untag(digest)?;
            }
        }
        if !left.is_empty() {
            return Ok(());
        }
        // Without a name but in use: it stays, which nobody has to be told.
        let used = self.running()?.is_some() || !self.options.force && self.users().next().is_some();
        if used || self.has_children(&self.image.id)? {
            return Ok(());
        }
        self.delete()
    }

    fn by_id(&mut self, names: &[Reference]) -> Result<(), Error> {
        if self.has_children(&self.image.id)? {
            return Err(self.conflict("cannot be forced", "image has dependent child images"));
        }
        if let Some(user) = self.running()? {
            return Err(self
                .conflict("cannot be forced", &format!("image is being used by running container {user}")));
        }
        if !is_single(names) && !self.options.force {
            return Err(self.conflict("must be forced", "image is referenced in multiple repositories"));
        }
        self.check_stopped()?;
        for name in names {
            self.untag(name)?;
        }
        self.delete()
    }

    fn users(&self) -> impl Iterator<Item = &ContainerRecord> {
        self.containers.iter().filter(|record| record.image == self.image.id)
    }

    fn running(&self) -> Result<Option<String>, Error> {
        for record in self.users() {
            if containers::state::read(self.engine, record)?.is_running() {
                return Ok(Some(short(&record.id).to_owned()));
            }
        }
        Ok(None)
    }

    fn check_stopped(&self) -> Result<(), Error> {
        match self.users().next() {
            Some(user) if !self.options.force => {
                let reason = format!("image is being used by stopped container {}", short(&user.id));
                Err(self.conflict("must be forced", &reason))
            }
            _ => Ok(()),
        }
    }

    fn conflict(&self, force: &str, reason: &str) -> Error {
        let id = self.image.id.short();
        Error::new(ErrorKind::Conflict, format!("conflict: unable to delete {id} ({force}) - {reason}"))
    }

    fn untag(&mut self, reference: &Reference) -> Result<(), Error> {
        self.untagged.extend(self.engine.store().reference(reference)?);
        self.engine.store().untag_image_locked(self.lock, reference)?;
        self.done.push(Removal::Untagged(reference.familiar()));
        events::image(self.engine, self.image, "untag", &self.image.id.to_string());
        Ok(())
    }

    fn has_children(&self, id: &ImageId) -> Result<bool, Error> {
        for other in self.engine.store().image_ids()? {
            let child = self.engine.store().image(&other)?;
            if child.is_some_and(|child| child.parent.as_ref() == Some(id)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Deletes the image, and those it was made of that nothing names, uses or is made of any more.
    fn delete(&mut self) -> Result<(), Error> {
        let mut parent = self.delete_one(self.image)?;
        while let Some(id) = parent.filter(|_| !self.options.keep_parents) {
            let Some(image) = self.engine.store().image(&id)? else { break };
            let is_named = self.engine.store().references()?.iter().any(|tagged| tagged.image == id);
            let is_used = self.containers.iter().any(|record| record.image == id);
            let is_pinned = pins::is_pinned(self.engine, &Pinnable::Image(id.clone()));
            if is_named || is_used || is_pinned || self.has_children(&id)? {
                break;
            }
            parent = self.delete_one(&image)?;
        }
        Ok(())
    }

    /// Deletes one image and returns what it was made of.
    fn delete_one(&mut self, image: &Image) -> Result<Option<ImageId>, Error> {
        let held = held(&self.containers);
        let (engine, untagged, options) = (self.engine, &self.untagged, self.options);
        let removed = engine.store().remove_image_with(self.lock, &image.id, held, |image, unused| {
            let needed = |layer: &&ImageLayer| unused.contains(&layer.diff_id);
            let size = image.layers.iter().filter(needed).map(|layer| layer.size).sum();
            if options.keep {
                undo::keep_image(engine, image, untagged, size)
            } else {
                engine.store().erase_image(&image.id)
            }
        })?;
        self.untagged.clear();
        self.done.push(Removal::Deleted(image.id.to_string()));
        events::image(self.engine, image, "delete", &image.id.to_string());
        // As docker: from the top down.
        for layer in image.layers.iter().rev() {
            if removed.layers.contains(&layer.diff_id) {
                self.done.push(Removal::Deleted(layer.diff_id.to_string()));
            }
        }
        Ok(image.parent.clone())
    }
}

/// Discards the layers that no image and no container stands on any more: those of containers that outlived
/// their image, and what crashes left. The caller empties the trash.
pub fn collect(engine: &Engine) -> Result<(), Error> {
    let lock = engine.store().lock_images()?;
    let held = held(&containers::list(engine)?);
    engine.store().collect_unused_locked(&lock, held)?;
    Ok(())
}

/// Every layer that a container stands on or mounts.
fn held(containers: &[ContainerRecord]) -> HashSet<DiffId> {
    let layers = |record: &ContainerRecord| {
        let mounted = record.mounts.iter().flat_map(|mount| mount.layers.clone());
        record.layers.iter().cloned().chain(mounted).collect::<Vec<_>>()
    };
    containers.iter().flat_map(layers).collect()
}

/// Whether the user meant the image by a name of its own. A name wins over an ID of the same letters, as it does
/// everywhere else (docker's rmi takes `b` for the start of an ID that happens to begin so).
fn is_name(engine: &Engine, image: &Image, text: &str) -> Result<bool, Error> {
    match Reference::parse(text) {
        Ok(reference) => Ok(engine.store().referenced(&reference)?.as_ref() == Some(&image.id)),
        Err(_) => Ok(false),
    }
}

/// At most one tag, and digests only beside it.
fn is_single(names: &[Reference]) -> bool {
    if names.len() <= 1 {
        return true;
    }
    let (digests, tags): (Vec<&Reference>, Vec<&Reference>) =
        names.iter().partition(|name| name.digest().is_some());
    let repository = tags.first().or(digests.first()).map(|name| name.name());
    tags.len() <= 1 && digests.iter().all(|name| Some(name.name()) == repository)
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corten_spec::Digest;

    #[test]
    fn a_single_name_and_its_digests() {
        let names = |texts: &[&str]| -> Vec<Reference> {
            let digest = Digest::of(b"x").to_string();
            texts.iter().map(|text| Reference::parse(&text.replace("DIGEST", &digest)).unwrap()).collect()
        };
        let cases: [(&[&str], bool); 7] = [
            (&[], true),
            (&["a"], true),
            (&["a", "a:2"], false),
            (&["a", "b"], false),
            (&["a", "a@DIGEST"], true),
            (&["a", "b@DIGEST"], false),
            (&["a@DIGEST", "b@DIGEST"], false),
        ];
        for (texts, expected) in cases {
            assert_eq!(is_single(&names(texts)), expected, "{texts:?}");
        }
    }
}
