//! Image commands, one file each.

pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod inspect_json;
pub(crate) mod list;
pub(crate) mod load;
pub(crate) mod prune;
pub(crate) mod rmi;
pub(crate) mod save;
pub(crate) mod tag;
mod tree;
