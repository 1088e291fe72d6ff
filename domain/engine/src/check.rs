//! Checking the store: every record can be read and what it names is there, every layer and blob still has its digest.
//!
//! A repair takes away only what can come again (an image that is damaged, a name that leads nowhere, what a crash has
//! left half made). A container, its layer and a volume are told of, never touched (architecture D10).

use std::collections::BTreeSet;

use corten_spec::{DiffId, ImageId, Reference};
use corten_store::{Image, StoreError};
use corten_sys::fs;

use crate::containers::{self, ContainerRecord};
use crate::{Engine, Error, images};

/// What is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckOptions {
    /// Records only: no layer and no blob is read.
    pub quick: bool,
    /// Mend what can be mended.
    pub repair: bool,
}

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub images: usize,
    pub layers: usize,
    pub blobs: usize,
    pub containers: usize,
    pub volumes: usize,
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `layer sha256:…`, `container web`.
    pub object: String,
    pub reason: String,
    /// How it was mended, or what to do.
    pub outcome: Outcome,
}

/// What became of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Repaired(String),
    /// A repair would mend it.
    Repairable,
    /// Only its owner can.
    Left(String),
}

/// Looks at everything. Reads the whole store unless that is to be quick; takes no lock while it reads, so that what is
/// removed meanwhile is no problem.
pub fn check(engine: &Engine, options: CheckOptions) -> Result<Report, Error> {
    let mut check = Check { engine, options, report: Report::default(), bad: BTreeSet::new() };
    check.layers()?;
    check.blobs()?;
    check.images()?;
    check.references()?;
    check.containers()?;
    check.volumes()?;
    if options.repair {
        engine.store().collect_stale_ingests()?;
        containers::sweep_all(engine)?;
        images::collect(engine)?;
        engine.store().empty_trash()?;
    }
    Ok(check.report)
}

struct Check<'a> {
    engine: &'a Engine,
    options: CheckOptions,
    report: Report,
    /// Layers with another content than their name says.
    bad: BTreeSet<DiffId>,
}

impl Check<'_> {
    fn found(&mut self, object: String, reason: impl ToString, outcome: Outcome) {
        self.report.problems.push(Problem { object, reason: reason.to_string(), outcome });
    }

    fn layers(&mut self) -> Result<(), Error> {
        let store = self.engine.store();
        for id in store.layers()? {
            self.report.layers += 1;
            let verified = match store.layer(&id) {
                Ok(_) if self.options.quick => Ok(()),
                Ok(_) => store.write_layer_tar(&id, &mut std::io::sink()).map(drop),
                Err(error) => Err(error),
            };
            // One that was removed meanwhile is not wrong.
            if let Err(error) = verified
                && fs::exists(store.layer_path(&id))
            {
                self.bad.insert(id.clone());
                let outcome = self.mend_layer(&id)?;
                self.found(format!("layer {id}"), crate::error::with_causes(&error), outcome);
            }
        }
        Ok(())
    }

    /// A damaged layer that no container stands on goes, so that a load or a pull brings it again.
    fn mend_layer(&self, id: &DiffId) -> Result<Outcome, Error> {
        let users = containers::list(self.engine)?;
        let user = users.iter().find(|record| {
            record.layers.contains(id) || record.mounts.iter().any(|mount| mount.layers.contains(id))
        });
        if let Some(user) = user {
            let text =
                format!("container {} stands on it: save what it holds, remove it, repair again", user.name);
            return Ok(Outcome::Left(text));
        }
        if !self.options.repair {
            return Ok(Outcome::Repairable);
        }
        let _lock = self.engine.store().lock_images()?;
        self.engine.store().discard(&self.engine.store().layer_path(id))?;
        Ok(Outcome::Repaired("removed".to_owned()))
    }

    fn blobs(&mut self) -> Result<(), Error> {
        let store = self.engine.store();
        for digest in store.blobs()? {
            self.report.blobs += 1;
            if self.options.quick {
                continue;
            }
            if let Err(error) = store.verify_blob(&digest)
                && store.has_blob(&digest)
            {
                let outcome = if self.options.repair {
                    store.discard(&store.blob_path(&digest))?;
                    Outcome::Repaired("removed".to_owned())
                } else {
                    Outcome::Repairable
                };
                self.found(format!("blob {digest}"), error, outcome);
            }
        }
        Ok(())
    }

    fn images(&mut self) -> Result<(), Error> {
        let store = self.engine.store();
        for id in store.image_ids()? {
            self.report.images += 1;
            let reason = match store.image(&id) {
                Ok(Some(image)) => self.lacks(&image),
                Ok(None) => None,
                Err(error) => Some(crate::error::with_causes(&error)),
            };
            let Some(reason) = reason.filter(|_| store.has_image(&id)) else { continue };
            let used = containers::list(self.engine)?.into_iter().find(|record| record.image == id);
            let outcome = match used {
                Some(record) => Outcome::Left(format!("container {} is made of it", record.name)),
                None if self.options.repair => {
                    let _lock = store.lock_images()?;
                    store.erase_image(&id)?;
                    Outcome::Repaired("removed: load or pull it again".to_owned())
                }
                None => Outcome::Repairable,
            };
            self.found(format!("image {id}"), reason, outcome);
        }
        Ok(())
    }

    /// What an image needs and has not got.
    fn lacks(&self, image: &Image) -> Option<String> {
        let store = self.engine.store();
        if let Some(blob) = image.blobs.iter().find(|blob| !store.has_blob(blob)) {
            return Some(format!("its blob {blob} is missing"));
        }
        let is_bad = |id: &DiffId| self.bad.contains(id) || !fs::exists(store.layer_path(id));
        let layer = image.layers.iter().map(|layer| &layer.diff_id).find(|id| is_bad(id))?;
        Some(format!("its layer {layer} is missing or damaged"))
    }

    fn references(&mut self) -> Result<(), Error> {
        let store = self.engine.store();
        for tagged in store.references()? {
            if store.has_image(&tagged.image) || store.reference(&tagged.reference)?.is_none() {
                continue;
            }
            let outcome = if self.options.repair {
                self.untag(&tagged.reference, &tagged.image)?;
                Outcome::Repaired("removed".to_owned())
            } else {
                Outcome::Repairable
            };
            let reason = format!("it names image {}, which is not there", tagged.image.short());
            self.found(format!("reference {}", tagged.reference.familiar()), reason, outcome);
        }
        Ok(())
    }

    fn untag(&self, reference: &Reference, image: &ImageId) -> Result<(), StoreError> {
        let lock = self.engine.store().lock_images()?;
        if !self.engine.store().has_image(image) {
            self.engine.store().untag_image_locked(&lock, reference)?;
        }
        Ok(())
    }

    fn containers(&mut self) -> Result<(), Error> {
        let engine = self.engine;
        for id in engine.store().container_ids()? {
            self.report.containers += 1;
            let directory = engine.store().container_dir(&id);
            let reason = match ContainerRecord::load(engine, &id) {
                Ok(Some(record)) => self.lost_by(&record)?,
                Ok(None) if !fs::exists(&directory) => None,
                Ok(None) => Some("its record is missing".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(reason) = reason {
                let text = format!("what it wrote is in {}", directory.join("rw/upper").display());
                self.found(format!("container {}", id.get(..12).unwrap_or(&id)), reason, Outcome::Left(text));
            }
        }
        Ok(())
    }

    /// What a container needs and has not got.
    fn lost_by(&self, record: &ContainerRecord) -> Result<Option<String>, Error> {
        let store = self.engine.store();
        if let Some(layer) = record.layers.iter().find(|layer| !fs::exists(store.layer_path(layer))) {
            return Ok(Some(format!("its layer {layer} is missing")));
        }
        let owner = store.name_owner(&record.name)?;
        if owner.is_none_or(|owner| owner.id != record.id) {
            return Ok(Some(format!(
                "its name {} does not lead to it: corten rename gives it one",
                record.name
            )));
        }
        Ok(None)
    }

    fn volumes(&mut self) -> Result<(), Error> {
        let store = self.engine.store();
        for name in fs::list(store.path("volumes"))? {
            self.report.volumes += 1;
            let reason = match store.volume(&name) {
                Ok(Some(_)) if !fs::exists(store.volume_data(&name)) => "its _data is missing".to_owned(),
                Ok(Some(_)) => continue,
                Ok(None) => "its record is missing".to_owned(),
                Err(error) => crate::error::with_causes(&error),
            };
            let directory = store.volume_dir(&name);
            if fs::exists(&directory) {
                let text = format!("what is in it is left: {}", directory.display());
                self.found(format!("volume {name}"), reason, Outcome::Left(text));
            }
        }
        Ok(())
    }
}
