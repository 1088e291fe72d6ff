//! Image commands, one file each.

pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod rmi;
pub(crate) mod tag;
