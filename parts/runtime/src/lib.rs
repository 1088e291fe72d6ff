//! .
pub mod cgroups;
