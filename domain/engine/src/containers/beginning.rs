//! A container that a command is making, or giving another name: marked in the run root for as long as it is nothing
//! whole, so that a sweep finds what a killed command has left without looking at every container there is.

use std::path::PathBuf;

use corten_sys::fs;
use corten_sys::process::{self, Identity};

use crate::{Engine, Error};

/// The id of a container to be, and its mark; the mark goes when this is dropped, or is found by a sweep.
#[derive(Debug)]
pub struct Beginning {
    id: String,
    mark: PathBuf,
}

impl Beginning {
    /// Chooses an id and marks it.
    pub fn new(engine: &Engine) -> Result<Self, Error> {
        Self::mark(engine, super::random_id()?)
    }

    /// Marks a container that is there and is to get another name; the caller has its lock.
    pub(crate) fn again(engine: &Engine, id: &str) -> Result<Self, Error> {
        // What a killed command has left is made good by this one.
        fs::remove_file(marks(engine).join(id))?;
        Self::mark(engine, id.to_owned())
    }

    fn mark(engine: &Engine, id: String) -> Result<Self, Error> {
        let mark = marks(engine).join(&id);
        fs::symlink(process::own_identity().to_string(), &mark)?;
        Ok(Self { id, mark })
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        // One that stays is found to be a dead command's.
        fs::remove_file(&self.mark).unwrap_or_default();
    }
}

fn marks(engine: &Engine) -> PathBuf {
    engine.run().join("creating")
}

/// The ids that commands have left which are no more, with their marks.
pub(super) fn abandoned(engine: &Engine) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut found = Vec::new();
    for id in fs::list(marks(engine))? {
        let mark = marks(engine).join(&id);
        let Some(text) = fs::absent_is_none(fs::read_link(&mark))? else { continue };
        if !text.to_string_lossy().parse().is_ok_and(Identity::is_alive) {
            found.push((id, mark));
        }
    }
    Ok(found)
}
