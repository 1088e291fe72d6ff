//! .
pub mod capabilities;
pub mod cgroups;
