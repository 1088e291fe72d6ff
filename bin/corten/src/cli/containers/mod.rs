//! Container commands, one file each.

pub(crate) mod attach;
pub(crate) mod create;
pub(crate) mod exec;
pub(crate) mod inspect_json;
mod keys;
pub(crate) mod kill;
pub(crate) mod logs;
mod output;
pub(crate) mod ps;
pub(crate) mod rm;
pub(crate) mod run;
mod session;
pub(crate) mod start;
pub(crate) mod stop;
mod targets;
pub(crate) mod wait;
