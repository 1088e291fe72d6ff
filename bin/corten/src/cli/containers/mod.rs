//! Container commands, one file each.

pub(crate) mod keys;
pub(crate) mod run;
pub(crate) mod session;

use corten_engine::containers::{self, StartOptions};
use corten_engine::launch::Keeper;
use corten_engine::{Engine, Error};

/// Starts a container again because its policy says so: called in a fresh process by its keeper.
pub(crate) fn restart_by_policy(engine: &Engine, id: &str, keeper: Keeper) -> Result<(), Error> {
    let record = containers::load(engine, id)?;
    containers::start(engine, &record, keeper, StartOptions { by_policy: true, ..StartOptions::default() })
        .map(drop)
}
