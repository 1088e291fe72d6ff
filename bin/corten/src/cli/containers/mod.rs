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
