//! Init's steps, one file each, in the order in which [`super::main`] takes them.

pub(crate) mod cgroup;
pub(crate) mod host;
pub(crate) mod mounts;
pub(crate) mod paths;
pub(crate) mod payload;
pub(crate) mod populate;
pub(crate) mod rootfs;
pub(crate) mod stdio;
