//! Container commands, one file each.

pub(crate) mod attach;
pub(crate) mod create;
pub(crate) mod exec;
pub(crate) mod inspect_json;
mod keys;
pub(crate) mod kill;
pub(crate) mod logs;
mod output;
pub(crate) mod pause;
pub(crate) mod port;
pub(crate) mod prune;
pub(crate) mod ps;
pub(crate) mod rename;
pub(crate) mod restart;
pub(crate) mod rm;
pub(crate) mod run;
mod session;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod stop;
mod targets;
pub(crate) mod top;
pub(crate) mod unpause;
pub(crate) mod update;
pub(crate) mod wait;

use corten_engine::containers::{self, StartOptions};
use corten_engine::launch::Keeper;
use corten_engine::{Engine, Error};

/// Starts a container again because its policy says so: called in a fresh process by its keeper.
pub(crate) fn restart_by_policy(engine: &Engine, id: &str, keeper: Keeper) -> Result<(), Error> {
    let record = containers::load(engine, id)?;
    containers::start(engine, &record, keeper, StartOptions { by_policy: true, ..StartOptions::default() })
        .map(drop)
}
